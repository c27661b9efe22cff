"""What may be said of a treatment that was told before."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from dui_kit.errors import Refusal
from dui_records.treatment_summaries.rules import LineStatus, Told, check_known, is_to_review, status_now

NOW = datetime(2026, 6, 10, 22, 30, tzinfo=UTC)
#: Half past midnight in Paris: the calendar of the facility is a day ahead of UTC.
TODAY = date(2026, 6, 11)


@pytest.mark.parametrize(
    ("records", "known", "reason"),
    [
        ("A", "", "TREATMENT_UNKNOWN"),
        ("AB", "", "TREATMENT_UNKNOWN"),
        ("AB", "A", "TREATMENT_KNOWN_IN_PART"),
        ("AB", "B", "TREATMENT_KNOWN_IN_PART"),
    ],
)
def test_a_part_of_a_treatment_is_never_shown_for_all_of_it(records: str, known: str, reason: str) -> None:
    with pytest.raises(Refusal) as refused:
        check_known(records, known)
    assert refused.value.reason.name == reason


def test_what_is_known_of_every_record_is_shown() -> None:
    check_known("AB", "ABC")


def told(*, treated: bool = True, together: str = "", to_review: bool = False) -> Told:
    return Told(treated=treated, together=frozenset(together), to_review=to_review)


def test_lines_of_one_record_wait_for_nobody() -> None:
    assert not is_to_review({"A": told(together="A")})
    # Taken apart since: what waited when they were together does so no longer.
    assert not is_to_review({"A": told(together="AB", to_review=True)})
    assert not is_to_review({"A": told(together="A"), "B": told(together="B", treated=False)})


def test_lines_of_two_records_wait_unless_medication_knew_them_as_one_persons_and_says_that_they_do_not() -> None:
    assert is_to_review({"A": told(together="A"), "B": told(together="B")})
    assert is_to_review({"A": told(together="AB"), "B": told(together="B")})
    assert is_to_review({"A": told(together="AB", to_review=True), "B": told(together="AB", to_review=True)})
    assert not is_to_review({"A": told(together="AB"), "B": told(together="AB")})
    # A third record without a line, merged since, changes nothing.
    assert not is_to_review(
        {"A": told(together="AB"), "B": told(together="AB"), "C": told(together="C", treated=False)}
    )


@pytest.mark.parametrize(
    ("status", "ends_on", "until", "expected"),
    [
        (LineStatus.ACTIVE, None, None, LineStatus.ACTIVE),
        (LineStatus.ACTIVE, TODAY, None, LineStatus.ACTIVE),
        (LineStatus.ACTIVE, TODAY - timedelta(days=1), None, LineStatus.EXPIRED),
        (LineStatus.SUSPENDED, None, None, LineStatus.SUSPENDED),
        (LineStatus.SUSPENDED, None, NOW + timedelta(seconds=1), LineStatus.SUSPENDED),
        (LineStatus.SUSPENDED, None, NOW, LineStatus.ACTIVE),
        (LineStatus.SUSPENDED, TODAY - timedelta(days=1), NOW, LineStatus.EXPIRED),
        (LineStatus.STOPPED, TODAY - timedelta(days=1), None, LineStatus.STOPPED),
    ],
)
def test_the_calendar_goes_on_for_a_line_that_was_told_before(
    status: LineStatus, ends_on: date | None, until: datetime | None, expected: LineStatus
) -> None:
    assert status_now(status, ends_on, until, now=NOW, today=TODAY) is expected
