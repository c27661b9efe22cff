"""Calendar days and instants where no facility is at hand: what belongs to one goes by its calendar (`dui_kit.calls.places`).

France spans UTC-10 (French Polynesia) to UTC+12 (Wallis and Futuna). A rule that refuses ("not in the future") takes
the latest day that it is anywhere, so that nobody is refused their own today; a right that begins or ends with a day
takes the whole day anywhere, so that nobody loses access during it.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

EARLIEST_ZONE = timedelta(hours=12)
LATEST_ZONE = timedelta(hours=10)


def parse_day(text: str) -> date | None:
    """A day of a message, `YYYY-MM-DD`; None when it is not given."""
    return date.fromisoformat(text) if text else None


def latest_day(now: datetime) -> date:
    """The latest calendar day that it is somewhere in France at `now`."""
    return (now.astimezone(UTC) + EARLIEST_ZONE).date()


def earliest_day(now: datetime) -> date:
    """The earliest calendar day that it is somewhere in France at `now`."""
    return (now.astimezone(UTC) - LATEST_ZONE).date()


def day_begins(day: date) -> datetime:
    """The first instant at which it is `day` somewhere in France."""
    return datetime.combine(day, time(), UTC) - EARLIEST_ZONE


def day_is_over(day: date) -> datetime:
    """The first instant at which `day` is over everywhere in France."""
    return datetime.combine(day + timedelta(days=1), time(), UTC) + LATEST_ZONE
