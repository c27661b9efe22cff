"""Rules of break-glass access."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from dui_identity.break_glass import rules
from dui_kit.errors import Refusal


def test_a_record_is_open_for_four_hours() -> None:
    start, end = rules.open_period(datetime(2026, 3, 29, 0, 30, tzinfo=UTC))  # across a clock change in Paris
    assert (start, end) == (datetime(2026, 3, 29, 0, 30, tzinfo=UTC), datetime(2026, 3, 29, 4, 30, tzinfo=UTC))


def test_a_reason_says_something() -> None:
    assert rules.clean_reason("  Malaise, seul médecin d'astreinte ") == "Malaise, seul médecin d'astreinte"
    for blank in ("", "   ", "...", "--", "a."):
        with pytest.raises(Refusal, match="REASON_TEXT_BLANK"):
            rules.clean_reason(blank)


def test_somebody_else_reviews_and_once() -> None:
    rules.check_review(own=False, reviewed=False)
    with pytest.raises(Refusal, match="OWN_BREAK_GLASS"):
        rules.check_review(own=True, reviewed=False)
    with pytest.raises(Refusal, match="ALREADY_REVIEWED"):
        rules.check_review(own=False, reviewed=True)
