"""How long a prescription lasts, its renewals counted, against a limit in days, weeks or months.

The day of the start counts: from the 1st to the 28th are twenty-eight days. Months are civil ones: a month from the 15th ends with
the 14th, and one from the 31st with the last day of a month that has none.
"""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import date, timedelta

_ISO = re.compile(r"P([1-9]\d{0,3})([DWMY])")
_LAST_YEAR = date.max.year


@dataclass(frozen=True, slots=True)
class Longest:
    """A limit: days or months, one of the two."""

    days: int = 0
    months: int = 0

    @classmethod
    def parse(cls, text: str) -> Longest | None:
        """A limit of the catalogue (`P28D`, `P12W`, `P6M`, `P1Y`); None when empty. ValueError when it is none of these."""
        if not text:
            return None
        if (found := _ISO.fullmatch(text)) is None:
            message = f"no duration of the catalogue: {text[:20]!r}"
            raise ValueError(message)
        number = int(found[1])
        match found[2]:
            case "D":
                return cls(days=number)
            case "W":
                return cls(days=7 * number)
            case "M":
                return cls(months=number)
            case _:
                return cls(months=12 * number)

    def last_day(self, starts_on: date) -> date:
        """The last day that a treatment from `starts_on` may have."""
        if self.months:
            return end_of_months(starts_on, self.months)
        return date.fromordinal(min(starts_on.toordinal() + self.days - 1, date.max.toordinal()))

    def allows(self, starts_on: date, ends_on: date, renewals: int) -> bool:
        """Whether the period and as many renewals of it stay within the limit.

        Renewals of whole months follow each other by months: twelve times from the 1st to the 31st are a year, not 372 days.
        """
        times = renewals + 1
        days = (self.last_day(starts_on) - starts_on).days + 1
        if ((ends_on - starts_on).days + 1) * times <= days:
            return True
        each = whole_months(starts_on, ends_on)
        return bool(self.months and each) and each * times <= self.months

    def about_days(self) -> int:
        """For comparing limits: a month counts as thirty days."""
        return self.days + 30 * self.months

    def shorter(self, other: Longest | None) -> Longest:
        """The shorter of the two."""
        return self if other is None or self.about_days() <= other.about_days() else other


def covered_until(starts_on: date, ends_on: date, renewals: int) -> date:
    """The last day of a treatment whose period is renewed so many times; by months where it is of whole months, as in `allows`."""
    months = whole_months(starts_on, ends_on)
    if renewals and months:
        return end_of_months(starts_on, months * (renewals + 1))
    days = ((ends_on - starts_on).days + 1) * (renewals + 1)
    return date.fromordinal(min(starts_on.toordinal() + days - 1, date.max.toordinal()))


def end_of_months(starts_on: date, months: int) -> date:
    """The last day of so many months from `starts_on`."""
    year, month = divmod(starts_on.year * 12 + starts_on.month - 1 + months, 12)
    if year > _LAST_YEAR:
        return date.max
    length = monthrange(year, month + 1)[1]
    if starts_on.day > length:
        return date(year, month + 1, length)
    return date(year, month + 1, starts_on.day) - timedelta(days=1)


def whole_months(starts_on: date, ends_on: date) -> int:
    """How many months the period is, when it is a whole number of them; 0 otherwise."""
    near = (ends_on.year - starts_on.year) * 12 + ends_on.month - starts_on.month
    return next(
        (months for months in (near, near + 1) if months > 0 and end_of_months(starts_on, months) == ends_on), 0
    )
