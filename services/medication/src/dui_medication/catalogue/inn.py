"""The international name that a medicine is prescribed by (« dénomination commune », CSP L5121-1-2): substances, strengths, form.

The public database gives the strength of what is in the box and of what acts of it: metformin comes in tablets of 500 mg of its
chlorhydrate, of which 390 mg are metformin. A label has to show the figure that stands on the box, or somebody gives the wrong
number of tablets. So of the two the one is taken whose strength is in the name of the specialty; where neither is, or where it is
not said in how much of a liquid it is, the name of the specialty is the label.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

_FACTORS = {
    "g": Decimal(1_000_000),
    "gramme": Decimal(1_000_000),
    "mg": Decimal(1000),
    "milligramme": Decimal(1000),
    "µg": Decimal(1),
    "μg": Decimal(1),
    "mcg": Decimal(1),
    "microgramme": Decimal(1),
}
#: A number, with spaces between its thousands, and the word behind it.
_AMOUNT = re.compile(r"(\d{1,3}(?:[ \u00a0\u202f]\d{3})+|\d+)(?:[,.](\d+))?\s*(%|[^\W\d_]+)?")
#: What is counted by itself and given whole; the form tells it where the composition does not.
_ONE = re.compile(
    r"(?:une? +)?(?:comprimé|gélule|capsule|sachet|suppositoire|ovule|pastille|lyophilisat|film|gomme)", re.IGNORECASE
)
#: In how much of a liquid: `1 ml de suspension`.
_MEASURED = re.compile(r"\d")
Amount = tuple[Decimal, str]


@dataclass(frozen=True, slots=True)
class Part:
    """A substance of a medicine: what is in the box, and what of it acts."""

    substance: str
    strength: str
    #: The active moieties, each with its strength; empty: the substance itself acts.
    moieties: Sequence[tuple[str, str]] = ()
    #: In how much of the medicine: `un comprimé`, `1 ml`.
    per: str = ""

    def named(self, name: str) -> tuple[str, str] | None:
        """Name and strength by which it is prescribed in the specialty of that name; None: neither strength is in the name."""
        on_the_box = set(amounts(name))
        moiety = self.moieties[0] if len(self.moieties) == 1 else ("", "")
        for substance, strength in (moiety, (self.substance, self.strength)):
            said = amounts(strength)
            if substance and said and on_the_box.issuperset(said[:1]):
                return substance, strength
        return None

    @property
    def plain_name(self) -> str:
        """What acts of it, where that is one thing."""
        return self.moieties[0][0] if len(self.moieties) == 1 and self.moieties[0][0] else self.substance


def amounts(text: str) -> list[Amount]:
    """The amounts of a text, masses in micrograms: `1 g` is `1000 mg`; « sans unité » counts by its number alone."""
    found = []
    for whole, decimals, unit in _AMOUNT.findall(text):
        number = Decimal(re.sub(r"\s", "", whole) + (f".{decimals}" if decimals else ""))
        word = unit.lower().removesuffix("s") if len(unit) > 2 else unit.lower()
        factor = _FACTORS.get(word)
        found.append((number * factor, "µg") if factor else (number.normalize(), word))
    # `500 mg/125 mg` is two; of `1 g/200 mg` and `500/125 mg` the first of the second has no unit of its own.
    return found


def inn_label(name: str, parts: Iterable[Part], form: str) -> str:
    """`PARACÉTAMOL 500 mg, comprimé`; the name of the specialty where its composition does not give the strength on the box."""
    told: dict[str, None] = {}
    for part in parts:
        named = part.named(name)
        if named is None:
            return name
        # 10 mg of a tablet are in the tablet; 10 mg of a suspension are in 1 ml of it. Of an ampoule nobody can tell: 50 µg may be
        # all of it, or those of 1 ml.
        of_one = _ONE.match(part.per or form) is not None
        if not of_one and not _MEASURED.match(part.per):
            return name
        of_how_much = "" if of_one else f" pour {_without_form(part.per, form.strip())}"
        told[f"{named[0]} {_without_idle_zeros(named[1])}{of_how_much}"] = None
    return f"{' + '.join(told)}, {form.strip()}" if told else name


def _without_form(per: str, form: str) -> str:
    """`1 ml` of `1 ml de solution injectable`, where the form that follows says the rest."""
    cut = len(per) - len(f" de {form}")
    return per[:cut] if cut > 0 and per[cut:].lower() == f" de {form}".lower() else per


def _without_idle_zeros(strength: str) -> str:
    """`1,500 g` as `1,5 g`: a comma that is overlooked multiplies the dose."""
    return re.sub(r"(\d+),(\d*?)0+(?=\D|$)", lambda found: f"{found[1]},{found[2]}" if found[2] else found[1], strength)
