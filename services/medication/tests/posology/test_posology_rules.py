"""What a posology may say: each limit by its two sides, each refusal with its field."""

from __future__ import annotations

from datetime import UTC, date, time
from decimal import Decimal
from typing import Any

import pytest
from dui_kit.errors import Refusal
from dui_medication.posology.rules import (
    AsNeeded,
    Course,
    Infusion,
    IntervalDose,
    Posology,
    Step,
    TimedDose,
    check,
    last_day,
    longest_day,
)

START = date(2026, 5, 4)
ONE = Decimal(1)


def at(hour: int, minute: int = 0, quantity: Decimal = ONE) -> TimedDose:
    return TimedDose(time(hour, minute), quantity)


def every(hours: int, first: int = 8, quantity: Decimal = ONE) -> IntervalDose:
    return IntervalDose(hours, quantity, time(first))


def line(*steps: Step, unit: str = "{tbl}") -> Posology:
    return Posology(unit, steps, None)


def as_needed(**changes: Any) -> Posology:
    said = {"quantity": ONE, "reason": "douleur", "max_per_24h": Decimal(4), "min_gap_minutes": 360}
    return Posology("{tbl}", (), AsNeeded(**(said | changes)))


def days(count: int, first_at: time | None = None) -> Course:
    """A course of so many days."""
    return Course(START, first_at, date.fromordinal(START.toordinal() + count - 1))


OPEN = Course(START, None, None)
DAILY = Step(None, (at(8),))


def faults(posology: Posology, course: Course = OPEN) -> list[tuple[str, str]]:
    """Reason and field of each fault."""
    try:
        check(posology, course, prefix="line")
    except Refusal as refusal:
        for violation in refusal.violations:
            assert "{" not in violation.text("fr") + violation.text("en"), "a text has a value that it was not given"
        return [(violation.reason.name, violation.field) for violation in refusal.violations]
    return []


@pytest.mark.parametrize(
    ("posology", "course"),
    [
        (line(DAILY), OPEN),
        (line(DAILY), days(1)),
        (line(Step(1, (at(8),))), OPEN),
        (line(Step(7, (at(8), at(20))), Step(7, (at(8),)), DAILY), days(30)),
        (line(Step(7, (at(8),)), Step(3, (at(20),))), days(10)),
        (line(Step(None, interval=every(72))), OPEN),
        (line(Step(None, interval=every(1))), OPEN),
        (line(Step(None, infusion=Infusion(time(22), 24, Decimal("0.000001"))), unit="mL"), OPEN),
        (line(Step(None, infusion=Infusion(time(22), 1, Decimal(100_000))), unit="mg"), OPEN),
        (line(Step(None, (at(8),), weekdays=frozenset(range(1, 8)))), OPEN),
        (line(Step(None, (at(8),), every_days=366)), OPEN),
        (line(*(Step(1, (at(8),)) for _ in range(20))), OPEN),
        (line(Step(None, tuple(at(hour, minute) for hour in range(24) for minute in (0, 30)))), OPEN),
        (line(DAILY), days(3653)),
        (as_needed(), OPEN),
        (as_needed(max_per_24h=ONE, min_gap_minutes=0), days(1)),
        (as_needed(min_gap_minutes=2880, reason="x" * 200), OPEN),
    ],
)
def test_what_can_be_given_as_written_is_accepted(posology: Posology, course: Course) -> None:
    assert faults(posology, course) == []


@pytest.mark.parametrize(
    ("posology", "reason", "field"),
    [
        (line(), "DOSAGE_MISSING", ""),
        (Posology("{tbl}", (DAILY,), as_needed().as_needed), "DOSAGE_AMBIGUOUS", ""),
        (line(*(Step(1, (at(8),)) for _ in range(21))), "STEPS_TOO_MANY", ".steps"),
        (line(Step(None)), "STEP_EMPTY", ".steps[0]"),
        (line(Step(None, (at(8),), every(8))), "STEP_AMBIGUOUS", ".steps[0]"),
        (line(Step(None, (at(8),), infusion=Infusion(time(8), 2, ONE)), unit="mL"), "STEP_AMBIGUOUS", ".steps[0]"),
        (line(Step(0, (at(8),))), "STEP_DAYS_INVALID", ".steps[0].days"),
        (line(Step(-1, (at(8),)), DAILY), "STEP_DAYS_INVALID", ".steps[0].days"),
        (line(Step(3654, (at(8),))), "STEP_DAYS_INVALID", ".steps[0].days"),
        (line(DAILY, DAILY), "STEP_DAYS_MISSING", ".steps[0].days"),
        (
            line(Step(None, (*(at(hour, minute) for hour in range(24) for minute in (0, 30)), at(8, 1)))),
            "DOSES_TOO_MANY",
            ".steps[0].doses",
        ),
        (line(Step(None, (TimedDose(time(8, 0, 30), ONE),))), "DOSE_TIME_INVALID", ".steps[0].doses[0].at"),
        (line(Step(None, (TimedDose(time(8, tzinfo=UTC), ONE),))), "DOSE_TIME_INVALID", ".steps[0].doses[0].at"),
        (
            line(Step(None, interval=IntervalDose(8, ONE, time(8, 0, 1)))),
            "DOSE_TIME_INVALID",
            ".steps[0].interval.first",
        ),
        (line(Step(1, (at(8),)), Step(None, (at(8), at(20), at(8)))), "DOSE_TIME_TWICE", ".steps[1].doses[2].at"),
        (line(Step(None, interval=every(0))), "INTERVAL_HOURS_INVALID", ".steps[0].interval.hours"),
        (line(Step(None, interval=every(73))), "INTERVAL_HOURS_INVALID", ".steps[0].interval.hours"),
        (line(Step(None, interval=every(8), every_days=2)), "INTERVAL_WITH_DAYS", ".steps[0].every_days"),
        (line(Step(None, interval=every(8), weekdays=frozenset({1}))), "INTERVAL_WITH_DAYS", ".steps[0].weekdays"),
        (
            line(Step(None, infusion=Infusion(time(8), 0, ONE)), unit="mL"),
            "INFUSION_HOURS_INVALID",
            ".steps[0].infusion.hours",
        ),
        (
            line(Step(None, infusion=Infusion(time(8), 25, ONE)), unit="mL"),
            "INFUSION_HOURS_INVALID",
            ".steps[0].infusion.hours",
        ),
        (
            line(Step(None, infusion=Infusion(time(8), 2, Decimal(0))), unit="mL"),
            "QUANTITY_NOT_POSITIVE",
            ".steps[0].infusion.rate",
        ),
        (line(Step(None, infusion=Infusion(time(8), 2, ONE))), "INFUSION_UNIT", ".unit"),
        (line(Step(None, (at(8),), weekdays=frozenset({0}))), "WEEKDAY_INVALID", ".steps[0].weekdays"),
        (line(Step(None, (at(8),), weekdays=frozenset({8}))), "WEEKDAY_INVALID", ".steps[0].weekdays"),
        (line(Step(None, (at(8),), every_days=0)), "EVERY_DAYS_INVALID", ".steps[0].every_days"),
        (line(Step(None, (at(8),), every_days=367)), "EVERY_DAYS_INVALID", ".steps[0].every_days"),
        (line(Step(None, (at(8),), weekdays=frozenset({1}), every_days=2)), "DAYS_AMBIGUOUS", ".steps[0].every_days"),
        (as_needed(reason=" \t"), "AS_NEEDED_REASON", ".as_needed.reason"),
        (as_needed(reason="x" * 201), "AS_NEEDED_REASON", ".as_needed.reason"),
        (as_needed(max_per_24h=Decimal("0.5")), "AS_NEEDED_MAX_BELOW_DOSE", ".as_needed.max_per_24h"),
        (as_needed(max_per_24h=Decimal(-1)), "QUANTITY_NOT_POSITIVE", ".as_needed.max_per_24h"),
        (as_needed(min_gap_minutes=-1), "AS_NEEDED_GAP_INVALID", ".as_needed.min_gap_minutes"),
        (as_needed(min_gap_minutes=2881), "AS_NEEDED_GAP_INVALID", ".as_needed.min_gap_minutes"),
    ],
)
def test_what_cannot_be_given_is_refused_where_it_is_written(posology: Posology, reason: str, field: str) -> None:
    assert faults(posology) == [(reason, f"line.dosage{field}")]


@pytest.mark.parametrize(
    ("quantity", "reason"),
    [
        ("0", "QUANTITY_NOT_POSITIVE"),
        ("-1", "QUANTITY_NOT_POSITIVE"),
        ("NaN", "QUANTITY_NOT_POSITIVE"),
        ("sNaN", "QUANTITY_NOT_POSITIVE"),
        ("Infinity", "QUANTITY_NOT_POSITIVE"),
        ("100000.000001", "QUANTITY_TOO_LARGE"),
        ("1E+30", "QUANTITY_TOO_LARGE"),
        ("0.0000001", "QUANTITY_TOO_PRECISE"),
        ("99999.9999999999999999999999999999999999", "QUANTITY_TOO_PRECISE"),
        ("1E-400", "QUANTITY_TOO_PRECISE"),
    ],
)
def test_a_quantity_that_nobody_can_measure_is_refused(quantity: str, reason: str) -> None:
    field = "line.dosage.steps[0].doses[0].quantity"
    assert faults(line(Step(None, (at(8, quantity=Decimal(quantity)),)))) == [(reason, field)]


@pytest.mark.parametrize("quantity", ["0.000001", "0.2500000000", "100000", "1E+5", "2.5"])
def test_a_quantity_that_can_be_measured_is_accepted_however_it_is_written(quantity: str) -> None:
    assert faults(line(Step(None, (at(8, quantity=Decimal(quantity)),)))) == []


def test_all_faults_are_told_at_once() -> None:
    posology = line(Step(0, (at(8, quantity=Decimal(0)), at(8))), Step(None))
    assert faults(posology, Course(START, time(8, 0, 1), date(2026, 5, 3))) == [
        ("DOSE_TIME_INVALID", "line.first_at"),
        ("COURSE_ENDS_BEFORE_START", "line.ends_on"),
        ("STEP_DAYS_INVALID", "line.dosage.steps[0].days"),
        ("QUANTITY_NOT_POSITIVE", "line.dosage.steps[0].doses[0].quantity"),
        ("DOSE_TIME_TWICE", "line.dosage.steps[0].doses[1].at"),
        ("STEP_EMPTY", "line.dosage.steps[1]"),
    ]


# ------------------------------------------------------------------------------------------------- the steps and the dates


def test_a_line_does_not_end_before_it_starts_nor_last_more_than_ten_years() -> None:
    assert faults(line(DAILY), Course(START, None, date(2026, 5, 3))) == [("COURSE_ENDS_BEFORE_START", "line.ends_on")]
    assert faults(as_needed(), days(3654)) == [("COURSE_TOO_LONG", "line.ends_on")]
    long = line(Step(3000, (at(8),)), Step(654, (at(8),)))
    assert faults(long) == [("COURSE_TOO_LONG", "line.dosage.steps")]


def test_steps_and_dates_that_disagree_are_refused_both_ways() -> None:
    week = line(Step(7, (at(8),)))
    assert faults(week, days(7)) == []
    assert faults(week, days(6)) == [("STEPS_BEYOND_COURSE", "line.ends_on")]
    assert faults(week, days(8)) == [("STEPS_SHORT_OF_COURSE", "line.ends_on")]
    taper = line(Step(7, (at(8),)), DAILY)
    assert faults(taper, days(8)) == []
    assert faults(taper, days(7)) == [("STEPS_BEYOND_COURSE", "line.ends_on")]


def test_a_step_without_any_dose_is_refused() -> None:
    """4 May 2026 is a Monday."""
    mondays = Step(3, (at(8),), weekdays=frozenset({1}))
    assert faults(line(mondays)) == []
    assert faults(line(Step(1, (at(8),)), mondays)) == [("STEP_WITHOUT_DOSE", "line.dosage.steps[1]")]
    assert faults(line(Step(None, (at(8),), weekdays=frozenset({5}))), days(4)) == [
        ("STEP_WITHOUT_DOSE", "line.dosage.steps[0]")
    ]
    assert faults(line(Step(None, (at(8),), weekdays=frozenset({5}))), days(5)) == []


@pytest.mark.parametrize(
    "step",
    [
        Step(1, (at(8), at(9))),
        Step(1, interval=every(12, 9)),
        Step(1, interval=every(5, 19)),
        Step(1, infusion=Infusion(time(9), 2, ONE)),
    ],
)
def test_a_day_that_begins_after_its_last_dose_is_refused(step: Step) -> None:
    posology = line(step, unit="mg")
    assert faults(posology, Course(START, time(21, 1), None)) == [("STEP_WITHOUT_DOSE", "line.dosage.steps[0]")]
    assert faults(posology, Course(START, time(9), None)) == []


@pytest.mark.parametrize(
    ("step", "refused"),
    [
        (Step(None, interval=every(72)), True),
        (Step(None, interval=every(5)), True),
        (Step(None, interval=every(6)), False),
        (Step(None, infusion=Infusion(time(8), 24, ONE)), True),
        (Step(None, infusion=Infusion(time(8), 12, ONE)), False),
        (Step(None, infusion=Infusion(time(8), 12, ONE), every_days=3), True),
        (Step(None, (at(8),), every_days=7), True),
        (Step(None, (at(8), at(20)), every_days=7), False),
        (Step(None, (at(8),), weekdays=frozenset({1, 4})), False),
        (DAILY, False),
    ],
)
def test_a_rhythm_that_would_lose_its_beginning_is_refused(step: Step, refused: bool) -> None:
    """A patch every 72 hours that starts at 8, on a line that starts at 10: the first one would be three days late."""
    posology = line(step, unit="mg")
    assert faults(posology, Course(START, time(8), None)) == []
    expected = [("FIRST_DOSE_SKIPPED", "line.first_at")] if refused else []
    assert faults(posology, Course(START, time(10), None)) == expected


@pytest.mark.parametrize(
    ("one", "other", "refused"),
    [
        # Days 1, 4, 7; the next one on day 8.
        (Step(7, interval=every(72)), Step(None, interval=every(72)), True),
        (Step(9, interval=every(72)), Step(None, interval=every(72)), False),
        (Step(9, interval=every(72, 20)), Step(None, interval=every(72, 8)), True),
        (Step(7, interval=every(72)), Step(None, interval=every(24)), False),
        (Step(7, (at(8),), every_days=2), Step(None, (at(8),), every_days=2), True),
        (Step(6, (at(8),), every_days=2), Step(None, (at(8),), every_days=2), False),
        (Step(8, (at(8),), every_days=2), Step(None, (at(8),), every_days=3), False),
        (Step(7, (at(8),), every_days=2), DAILY, False),
        (Step(7, interval=every(7)), Step(None, interval=every(7)), False),
    ],
)
def test_a_change_of_step_does_not_bring_two_doses_of_a_slow_rhythm_together(
    one: Step, other: Step, refused: bool
) -> None:
    expected = [("DOSES_TOO_CLOSE", "line.dosage.steps[0].days")] if refused else []
    assert faults(line(one, other, unit="{patch}")) == expected


# ---------------------------------------------------------------------------------------------------- what comes to a day


@pytest.mark.parametrize(
    ("posology", "course", "expected"),
    [
        (line(Step(None, (at(8, quantity=Decimal("0.1")), at(20, quantity=Decimal("0.2"))))), OPEN, "0.3"),
        (line(Step(7, (at(8), at(12), at(20))), Step(None, (at(8),))), OPEN, "3"),
        (line(Step(7, (at(8),)), Step(None, interval=every(6))), OPEN, "4"),
        (line(Step(1, interval=every(6))), OPEN, "3"),
        (line(Step(1, interval=every(6)), Step(1, interval=every(6))), OPEN, "4"),
        (line(Step(None, interval=every(72))), OPEN, "1"),
        (line(Step(None, interval=every(10))), OPEN, "3"),
        (line(Step(1, interval=every(10))), OPEN, "2"),
        (line(Step(None, infusion=Infusion(time(8), 24, Decimal("2.5"))), unit="mL"), OPEN, "60"),
        (line(Step(1, (at(8, quantity=Decimal(5)), at(20)))), Course(START, time(12), None), "1"),
        (line(Step(2, (at(8, quantity=Decimal(5)), at(20)))), Course(START, time(12), None), "6"),
        (as_needed(), OPEN, "4"),
    ],
)
def test_the_longest_day_is_the_most_that_one_day_asks_for(posology: Posology, course: Course, expected: str) -> None:
    assert faults(posology, course) == []
    assert longest_day(posology, course) == Decimal(expected)


def test_the_last_day_follows_from_the_steps_or_the_dates() -> None:
    assert last_day(line(Step(7, (at(8),)), Step(7, (at(8),))), OPEN) == date(2026, 5, 17)
    assert last_day(line(Step(7, (at(8),)), DAILY), OPEN) is None
    assert last_day(line(DAILY), days(3)) == date(2026, 5, 6)
    assert last_day(as_needed(), days(3)) == date(2026, 5, 6)
    assert last_day(line(Step(3653, (at(8),))), Course(date(9999, 1, 1), None, None)) == date.max
