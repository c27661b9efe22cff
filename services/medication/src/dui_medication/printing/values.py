"""Days, numbers and ages as they are written in French, on paper."""

from __future__ import annotations

from datetime import date, datetime

from dui_kit.identifiers import PartialDate, parse_partial_date

_MONTHS = (
    *("janvier", "février", "mars", "avril", "mai", "juin"),
    *("juillet", "août", "septembre", "octobre", "novembre", "décembre"),
)
#: Groups of digits stay on one line.
_NO_BREAK = "\u00a0"
#: Under these ages the months count, and under a month the days: doses of small children depend on them.
_YEARS_ONLY, _MONTHS_ONLY = 6, 2


def plural(number: int, one: str, many: str) -> str:
    """`1 jour`, `2 jours`; in French 0 is one."""
    return f"{number}{_NO_BREAK}{many if number > 1 else one}"


def grouped(digits: str, *sizes: int) -> str:
    """A number in groups of these sizes; as it is when it has another length."""
    if len(digits) != sum(sizes):
        return digits
    starts = [sum(sizes[:index]) for index in range(len(sizes))]
    return _NO_BREAK.join(digits[start : start + size] for start, size in zip(starts, sizes, strict=True))


def decimal(text: str) -> str:
    """A decimal of a message with the French comma."""
    return text.replace(".", ",")


def day(text: str) -> str:
    """A day of a message, `2026-11-26`, as `26/11/2026`; what is no day stays as it is."""
    try:
        return f"{date.fromisoformat(text):%d/%m/%Y}"
    except ValueError:
        return text


def instant(moment: datetime) -> str:
    """An instant by the clock of its zone, with what that clock is: those of France differ."""
    offset = f"{moment:%z}"
    return f"{moment:%d/%m/%Y} à {moment:%H:%M} (UTC{offset[:3]}:{offset[3:]})"


def birth_date(text: str) -> str:
    """A date of birth, in full or as far as it is known."""
    known = _partial(text)
    if known is None:
        return text
    if known.month is None:
        return f"en {known.year}"
    if known.day is None:
        return f"en {_MONTHS[known.month - 1]} {known.year}"
    return f"{known.latest:%d/%m/%Y}"


def age(born: str, on: date) -> str:
    """The age on a day: years, with months under 6 years, months under 2, days in the first month; empty when it is not known.

    Where the date of birth is partial it is a range, never a guess.
    """
    known = _partial(born)
    if known is None or known.earliest > on:
        return ""
    oldest, youngest = _age(known.earliest, on), _age(min(known.latest, on), on)
    return oldest if oldest == youngest else f"entre {youngest} et {oldest}"


def _age(born: date, on: date) -> str:
    months = (on.year - born.year) * 12 + on.month - born.month - (on.day < born.day)
    years, rest = divmod(months, 12)
    if years >= _YEARS_ONLY:
        return plural(years, "an", "ans")
    if years >= _MONTHS_ONLY:
        return plural(years, "an", "ans") + (f" et {rest}{_NO_BREAK}mois" if rest else "")
    return f"{months}{_NO_BREAK}mois" if months else plural((on - born).days, "jour", "jours")


def _partial(text: str) -> PartialDate | None:
    try:
        return parse_partial_date(text)
    except ValueError:
        return None
