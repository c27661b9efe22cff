"""The weight that a prescription for a child needs, and the dose per kilogram that comes of it.

CSP R5132-3 has age and, where it matters, weight on a prescription; no text says how old a weighing may be. The ages and delays
here are ours, chosen so that a child who grows fast is weighed anew: a medical team may judge otherwise, and should say so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, localcontext

ADULT_YEARS = 18
#: Below so many years of age, the weighing may be so many days old. Ours, not law.
_FRESH: tuple[tuple[int, int], ...] = ((2, 31), (6, 92), (ADULT_YEARS, 183))

_MILLIGRAMS: dict[str, Decimal] = {
    "kg": Decimal(1_000_000),
    "g": Decimal(1000),
    "gramme": Decimal(1000),
    "mg": Decimal(1),
    "milligramme": Decimal(1),
    "µg": Decimal("0.001"),
    "μg": Decimal("0.001"),  # Greek mu beside the micro sign: keyboards have either
    "mcg": Decimal("0.001"),
    "microgramme": Decimal("0.001"),
    "ng": Decimal("0.000001"),
    "nanogramme": Decimal("0.000001"),
}
_MILLILITRES: dict[str, Decimal] = {
    "ml": Decimal(1),
    "millilitre": Decimal(1),
    "cl": Decimal(10),
    "l": Decimal(1000),
    "litre": Decimal(1000),
}
#: `1,00`, `0.5`, `1 500`; not `1.500`, which is one thousand five hundred to some and one and a half to others.
_NUMBER = r"(\d{1,3}(?:[ \u00a0\u202f]\d{3})+|\d+)(?:,(\d+)|\.(\d{1,2}|\d{4,}))?"
_STRENGTH = re.compile(rf"{_NUMBER}\s*([^\W\d_]+)")
_PER = re.compile(rf"(?:(une?)|{_NUMBER})\s+([^\W\d_]+)(?:\b.*)?", re.DOTALL)


def age_on(birth_date: date, day: date) -> int:
    """Age in whole years; somebody born on 29 February is a year older on 1 March of a year without one."""
    return day.year - birth_date.year - ((day.month, day.day) < (birth_date.month, birth_date.day))


def fresh_for(birth_date: date, starts_on: date) -> int | None:
    """How many days old the weighing may be for a treatment that starts on a day; None: an adult then, no weight is needed."""
    age = age_on(birth_date, starts_on)
    return next((days for years, days in _FRESH if age < years), None)


@dataclass(frozen=True, slots=True)
class Strength:
    """How much of a substance is in how much of a medicine."""

    milligrams: Decimal
    #: So many of `per_unit`: 1 comprimé, 100 ml.
    per: Decimal
    #: `ml` for volumes, otherwise the first word of the BDPM in the singular (`comprimé`, `sachet`).
    per_unit: str


def strength_of(strength: str, per: str) -> Strength | None:
    """Reads the strength and the reference of a component of the BDPM; None when it is no plain mass (units, ranges, traces).

    `500 mg` for `un comprimé`; `2,4 g` for `100 ml de solution`. What a text says beyond a plain mass is not guessed at:
    `5 mg équivalent à 6 mg` is None.
    """
    mass = _STRENGTH.fullmatch(strength.strip())
    reference = _PER.fullmatch(per.strip())
    if mass is None or reference is None or (factor := _MILLIGRAMS.get(_unit(mass[4]))) is None:
        return None
    count = Decimal(1) if reference[1] else _decimal(*reference.group(2, 3, 4))
    unit, scale = _unit(reference[5]), Decimal(1)
    if unit in _MILLILITRES:
        unit, scale = "ml", _MILLILITRES[unit]
    milligrams = _decimal(*mass.group(1, 2, 3)) * factor
    if not count or not milligrams:
        return None
    return Strength(milligrams, count * scale, unit)


def dose_per_kg(quantity: Decimal, unit: str, weight: Decimal, strength: Strength | None = None) -> Decimal | None:
    """Milligrams of a substance per kilogram and dose, to four digits after the point.

    None when it cannot be computed, or when the unit may mean the substance as well as the cream that it is in: say so, and
    show no number (`refusals.DOSE_PER_KG_UNKNOWN`).

    Args:
        quantity: of one dose, in `unit`.
        unit: a mass (`mg`, `microgrammes`), or the unit of the strength (`comprimé`, `ml`).
        weight: in kilograms.
        strength: of the substance in the medicine (`strength_of`), for units that are no mass.
    """
    if weight <= 0:
        return None
    named = _unit(unit.strip())
    with localcontext() as context:
        context.prec = 28
        if (factor := _MILLIGRAMS.get(named)) is not None:
            # Five grams of a cream are no five grams of what acts in it, and nobody can tell which is meant.
            if strength is not None and strength.per_unit in _MILLIGRAMS:
                return None
            milligrams = quantity * factor
        elif strength is None:
            return None
        elif named in _MILLILITRES and strength.per_unit == "ml":
            milligrams = quantity * _MILLILITRES[named] * strength.milligrams / strength.per
        elif named == strength.per_unit:
            milligrams = quantity * strength.milligrams / strength.per
        else:
            return None
        return (milligrams / weight).quantize(Decimal("0.0001"))


def _decimal(whole: str, comma: str | None, point: str | None) -> Decimal:
    digits = re.sub(r"\s", "", whole)
    return Decimal(f"{digits}.{comma or point or 0}")


def _unit(word: str) -> str:
    """A unit in the singular, without capitals: `Comprimés`, `comprimé`. No unit of the tables ends in s."""
    lower = word.lower()
    return lower.removesuffix("s") if len(lower) > 2 else lower
