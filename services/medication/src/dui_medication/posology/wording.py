"""A posology in French, as a prescriber writes it and a nurse reads it.

A figure stays with its unit at the end of a line: « 10 » above and « 000 unités » below is how a dose is read wrong. So the
spaces within an amount and within a time are no-break ones (U+00A0).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import date, time
from decimal import Decimal
from itertools import groupby

from num2words import num2words

from dui_medication.posology.rules import AsNeeded, Course, Infusion, IntervalDose, Posology, Step, last_day
from dui_medication.posology.units import UNITS, Kind

NO_BREAK = "\u00a0"
_WEEKDAYS = ("lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche")
_MONTHS = (
    "janvier",
    "février",
    "mars",
    "avril",
    "mai",
    "juin",
    "juillet",
    "août",
    "septembre",
    "octobre",
    "novembre",
    "décembre",
)
#: A strength of the public database: `10 mg`, `0,5 mg`, `25 microgrammes`.
_STRENGTH = re.compile(r"(\d+(?:\s\d{3})*)(?:[,.](\d+))?\s*([^\W\d_]+)")
_OF_STRENGTHS = {"microgramme": "ug", "microgrammes": "ug", "µg": "ug", "ml": "mL", "ui": "[iU]"}
#: More times than this are told by the interval alone.
_MOST_TIMES = 6


def posology_text(posology: Posology, course: Course, *, in_words: bool = False) -> str:
    """What `rules.check` accepts, in French: « 1 comprimé à 8 h et 20 h, pendant 7 jours, puis 1 comprimé à 8 h, … ».

    Says how long, and of a first day that is not whole from when on. `in_words`: amounts, and the number of intakes where it
    is fixed, in full letters, as the law asks of controlled drugs (CSP, article R5132-29).
    """
    if posology.as_needed is not None:
        told = _as_needed(posology.as_needed, posology.unit, in_words=in_words)
        return ", ".join((*told, *_bounds(course)))
    if (only := _single(posology, course)) is not None:
        amount = _told(only.doses[0].quantity, posology.unit, in_words=in_words)
        return f"{amount} en une prise unique le {_day(course.starts_on)} à {_hour(only.doses[0].at)}"
    parts = [
        _step(step, posology.unit, course, last=index == len(posology.steps) - 1, in_words=in_words)
        for index, step in enumerate(posology.steps)
    ]
    if course.first_at is not None:
        parts[0] += f", à partir du {_day(course.starts_on)} à {_hour(course.first_at)}"
    return ", puis ".join(parts)


def day_text(day: date) -> str:
    """« 3 mars 2026 », « 1er mars 2026 »."""
    return _day(day)


def strength_in_words(strength: str) -> str:
    """« dix milligrammes » of `10 mg`; empty when it is not a plain amount in a unit of the list."""
    found = _STRENGTH.fullmatch(strength.strip())
    if found is None:
        return ""
    unit = _OF_STRENGTHS.get(found[3].lower(), found[3])
    if unit not in UNITS:
        return ""
    number = re.sub(r"\s", "", found[1]) + (f".{found[2]}" if found[2] else "")
    return amount_in_words(Decimal(number), unit)


def amount(quantity: Decimal, unit: str) -> str:
    """« 0,5 comprimé », « 2 comprimés », « 10 000 unités ». KeyError for a unit that is not listed."""
    form = UNITS[unit]
    return f"{_figures(quantity)}{NO_BREAK}{form.many if quantity >= 2 else form.one}"


def amount_in_words(quantity: Decimal, unit: str) -> str:
    """« deux comprimés et demi », « un quart de comprimé », « deux virgule cinq milligrammes »: exact, in full letters.

    Halves and quarters of what is counted are told as such; any other part decimal by decimal, zeros included.
    KeyError for a unit that is not listed.
    """
    form = UNITS[unit]
    whole, part = divmod(quantity, 1)
    number = _number(int(whole), feminine=form.feminine)
    if part and form.kind is Kind.COUNT and part in _PARTS:
        return _with_part(int(whole), part, unit)
    if part:
        # Normalised, 0.050 is 5E-2: no zero is told that says nothing.
        decimals = format(part.normalize(), "f").partition(".")[2]
        zeros = len(decimals) - len(decimals.lstrip("0"))
        number = " ".join((_number(int(whole)), "virgule", *["zéro"] * zeros, _number(int(decimals))))
    return f"{number} {form.words if quantity >= 2 else form.word}"


_PARTS = {Decimal("0.25"): "un quart", Decimal("0.5"): "demi", Decimal("0.75"): "trois quarts"}


def _with_part(whole: int, part: Decimal, unit: str) -> str:
    form = UNITS[unit]
    half = part == Decimal("0.5")
    if whole == 0:
        if half:
            return f"{'une' if form.feminine else 'un'} demi-{form.word}"
        of = "d'" if form.word[0] in "aeiou" else "de "
        return f"{_PARTS[part]} {of}{form.word}"
    counted = f"{_number(whole, feminine=form.feminine)} {form.words if whole >= 2 else form.word}"
    return f"{counted} et {('demie' if form.feminine else 'demi') if half else _PARTS[part]}"


def _number(number: int, *, feminine: bool = False) -> str:
    words = str(num2words(number, lang="fr"))
    return f"{words}e" if feminine and number % 10 == 1 and words.endswith("un") else words


def _figures(quantity: Decimal) -> str:
    """« 10 000 », « 0,5 »: a comma, no zero that says nothing, thousands apart from 10 000 on."""
    whole, _, decimals = format(quantity, "f").partition(".")
    grouped = f"{int(whole):,}".replace(",", NO_BREAK) if len(whole) > 4 else whole
    decimals = decimals.rstrip("0")
    return f"{grouped},{decimals}" if decimals else grouped


def _told(quantity: Decimal, unit: str, *, in_words: bool) -> str:
    return amount_in_words(quantity, unit) if in_words else amount(quantity, unit)


# ----------------------------------------------------------------------------------------------------------------- steps


def _single(posology: Posology, course: Course) -> Step | None:
    """The only step of a line of one dose on one day."""
    step = posology.steps[0]
    one_day = last_day(posology, course) == course.starts_on
    return step if one_day and len(posology.steps) == 1 and len(step.doses) == 1 else None


def _step(step: Step, unit: str, course: Course, *, last: bool, in_words: bool) -> str:
    if step.infusion is not None:
        told = _infusion(step.infusion, unit, in_words=in_words)
    elif step.interval is not None:
        told = _interval(step.interval, unit, in_words=in_words)
    else:
        told = _doses(step, unit, in_words=in_words)
    intakes = _intakes(step) if in_words else ()
    return ", ".join((told, *intakes, *_days(step), *_lasting(step, course, last=last, in_words=in_words)))


def _intakes(step: Step) -> Iterable[str]:
    """« soit quatre prises par jour », where each day with doses has as many."""
    hours = step.interval.hours if step.interval is not None and step.interval.daily else None
    count = 24 // hours if hours else len(step.doses)
    if count:
        whole_week = step.every_days == 1 and len(step.weekdays) in {0, 7}
        day = "jour" if whole_week else "jour de prise"
        yield f"soit {_number(count, feminine=True)} prise{'s' if count > 1 else ''} par {day}"


def _doses(step: Step, unit: str, *, in_words: bool) -> str:
    """Doses in the order of the day; neighbours of one quantity share it."""
    doses = sorted(step.doses, key=lambda dose: dose.at)
    groups = [
        f"{_told(quantity, unit, in_words=in_words)} à {_listed([_hour(dose.at) for dose in same])}"
        for quantity, same in groupby(doses, key=lambda dose: dose.quantity)
    ]
    return ", ".join(groups)


def _interval(interval: IntervalDose, unit: str, *, in_words: bool) -> str:
    every = "toutes les heures" if interval.hours == 1 else f"toutes les {interval.hours}{NO_BREAK}h"
    told = f"{_told(interval.quantity, unit, in_words=in_words)} {every}"
    if interval.daily and 24 // interval.hours <= _MOST_TIMES:
        times = interval.times()
        from_first = times.index(interval.first)
        in_order = (*times[from_first:], *times[:from_first])
        return f"{told} ({_listed([_hour(at) for at in in_order])})"
    return f"{told} à partir de {_hour(interval.first)}"


def _infusion(infusion: Infusion, unit: str, *, in_words: bool) -> str:
    rate = f"{_told(infusion.rate, unit, in_words=in_words)} par heure"
    if infusion.continuous:
        return f"{rate} en perfusion continue à partir de {_hour(infusion.starts)}"
    return f"{rate} en perfusion de {infusion.hours}{NO_BREAK}h à {_hour(infusion.starts)}"


def _days(step: Step) -> Iterable[str]:
    if step.weekdays and len(step.weekdays) < 7:
        yield _listed([f"le {_WEEKDAYS[day - 1]}" for day in sorted(step.weekdays)])
    elif step.every_days == 2:
        yield "un jour sur deux"
    elif step.every_days > 2:
        yield f"tous les {step.every_days} jours"


def _lasting(step: Step, course: Course, *, last: bool, in_words: bool) -> Iterable[str]:
    if step.days is not None:
        days = _number(step.days) if in_words else f"{step.days}"
        yield f"pendant {days}{NO_BREAK}jour{'s' if step.days > 1 else ''}"
    elif last:
        yield f"jusqu'au {_day(course.ends_on)} inclus" if course.ends_on else "sans date de fin"


def _as_needed(needed: AsNeeded, unit: str, *, in_words: bool) -> Iterable[str]:
    yield f"si besoin ({needed.reason.strip()})"
    yield _told(needed.quantity, unit, in_words=in_words)
    yield f"{_told(needed.max_per_24h, unit, in_words=in_words)} au plus par 24{NO_BREAK}h"
    if needed.min_gap_minutes:
        yield f"{_duration(needed.min_gap_minutes)} au moins entre deux prises"


def _bounds(course: Course) -> Iterable[str]:
    if course.first_at is not None:
        yield f"à partir du {_day(course.starts_on)} à {_hour(course.first_at)}"
    if course.ends_on is not None:
        yield f"jusqu'au {_day(course.ends_on)} inclus"


def _listed(words: Sequence[str]) -> str:
    """« a, b et c »."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} et {words[-1]}"


def _hour(at: time) -> str:
    return f"{at.hour}{NO_BREAK}h{NO_BREAK}{at.minute:02}" if at.minute else f"{at.hour}{NO_BREAK}h"


def _duration(minutes: int) -> str:
    hours, rest = divmod(minutes, 60)
    if not hours:
        return f"{rest}{NO_BREAK}min"
    return f"{hours}{NO_BREAK}h{NO_BREAK}{rest:02}" if rest else f"{hours}{NO_BREAK}h"


def _day(day: date) -> str:
    number = "1er" if day.day == 1 else f"{day.day}"
    return f"{number}{NO_BREAK}{_MONTHS[day.month - 1]}{NO_BREAK}{day.year}"
