"""How long a prescription lasts: boundaries of each limit, civil months, leap years."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from dui_medication.limits.durations import Longest, end_of_months, whole_months
from hypothesis import given
from hypothesis import strategies as st

DAYS = st.dates(date(1990, 1, 1), date(2100, 1, 1))


@pytest.mark.parametrize(
    ("text", "starts_on", "last"),
    [
        ("P2D", date(2026, 3, 1), date(2026, 3, 2)),
        ("P7D", date(2026, 3, 1), date(2026, 3, 7)),
        ("P14D", date(2026, 3, 1), date(2026, 3, 14)),
        ("P28D", date(2026, 3, 1), date(2026, 3, 28)),
        ("P4W", date(2026, 3, 1), date(2026, 3, 28)),
        ("P28D", date(2026, 2, 1), date(2026, 2, 28)),
        ("P28D", date(2028, 2, 2), date(2028, 2, 29)),
        ("P12W", date(2026, 1, 1), date(2026, 3, 25)),
        ("P6M", date(2026, 1, 15), date(2026, 7, 14)),
        ("P6M", date(2026, 8, 31), date(2027, 2, 28)),
        ("P6M", date(2027, 8, 31), date(2028, 2, 29)),
        ("P1Y", date(2026, 1, 1), date(2026, 12, 31)),
        ("P12M", date(2027, 3, 1), date(2028, 2, 29)),
        ("P12M", date(2028, 2, 29), date(2029, 2, 28)),
    ],
)
def test_the_last_day_that_a_limit_leaves(text: str, starts_on: date, last: date) -> None:
    longest = Longest.parse(text)
    assert longest is not None
    assert longest.last_day(starts_on) == last
    assert longest.allows(starts_on, last, 0)
    assert not longest.allows(starts_on, last + timedelta(days=1), 0)


@pytest.mark.parametrize("text", ["28", "P0D", "PT4H", "P28", "P4W2D", "quatre semaines", "P-3D"])
def test_what_is_no_duration_of_the_catalogue_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="no duration"):
        Longest.parse(text)
    assert Longest.parse("") is None


@pytest.mark.parametrize(
    ("text", "starts_on", "ends_on", "renewals", "allowed"),
    [
        # Four weeks and twelve weeks, renewals included.
        ("P12W", date(2026, 3, 1), date(2026, 3, 28), 2, True),
        ("P12W", date(2026, 3, 1), date(2026, 3, 28), 3, False),
        ("P4W", date(2026, 3, 1), date(2026, 3, 14), 1, True),
        ("P4W", date(2026, 3, 1), date(2026, 3, 15), 1, False),
        # A month renewed eleven times is a year, though January twelve times is 372 days.
        ("P12M", date(2026, 1, 1), date(2026, 1, 31), 11, True),
        ("P12M", date(2026, 1, 1), date(2026, 1, 31), 12, False),
        ("P12M", date(2026, 7, 1), date(2026, 9, 30), 3, True),
        ("P12M", date(2026, 7, 1), date(2026, 9, 30), 4, False),
        ("P12M", date(2026, 1, 31), date(2026, 2, 28), 11, True),
        # Twenty-eight days thirteen times are 364 days; thirty days thirteen times are more than a year.
        ("P12M", date(2026, 1, 5), date(2026, 2, 1), 12, True),
        ("P12M", date(2026, 1, 5), date(2026, 2, 3), 12, False),
        # A limit in days is not stretched by months.
        ("P12W", date(2026, 1, 1), date(2026, 1, 31), 2, False),
        ("P6M", date(2026, 1, 1), date(2026, 1, 31), 5, True),
        ("P6M", date(2026, 1, 1), date(2026, 1, 31), 6, False),
        ("P12M", date(2026, 1, 1), date(2026, 1, 31), 10**9, False),
    ],
)
def test_renewals_count(text: str, starts_on: date, ends_on: date, renewals: int, allowed: bool) -> None:
    longest = Longest.parse(text)
    assert longest is not None
    assert longest.allows(starts_on, ends_on, renewals) is allowed


@given(DAYS, st.integers(1, 60))
def test_months_end_the_day_before_they_would_begin_again(starts_on: date, months: int) -> None:
    ends_on = end_of_months(starts_on, months)
    assert whole_months(starts_on, ends_on) == months
    assert whole_months(starts_on, ends_on + timedelta(days=1)) != months
    assert 28 * months <= (ends_on - starts_on).days + 1 <= 31 * months


@given(DAYS, st.integers(0, 400), st.integers(0, 12), st.sampled_from(["P7D", "P28D", "P12W", "P6M", "P12M"]))
def test_what_is_allowed_is_allowed_with_fewer_renewals(starts_on: date, days: int, renewals: int, text: str) -> None:
    longest = Longest.parse(text)
    assert longest is not None
    ends_on = starts_on + timedelta(days=days)
    if renewals and longest.allows(starts_on, ends_on, renewals):
        assert longest.allows(starts_on, ends_on, renewals - 1)


def test_a_limit_beyond_the_last_year_is_no_error() -> None:
    assert Longest(months=12).last_day(date(9999, 6, 1)) == date.max
    assert Longest(days=28).last_day(date(9999, 12, 31)) == date.max


def test_the_shorter_of_two_limits_counts() -> None:
    year, weeks = Longest(months=12), Longest(days=84)
    assert year.shorter(weeks) == weeks.shorter(year) == weeks
    assert year.shorter(None) == year
