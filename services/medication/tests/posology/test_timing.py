"""What is due, against another expansion (python-dateutil, RFC 5545) and against days counted by hand."""

from __future__ import annotations

import time as clock
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from dateutil import rrule, tz
from dui_kit.errors import Refusal
from dui_medication.posology.rules import (
    AsNeeded,
    Course,
    Infusion,
    IntervalDose,
    Pause,
    Posology,
    Step,
    TimedDose,
    check,
    longest_day,
)
from dui_medication.posology.timing import Due, due
from hypothesis import assume, given, settings
from hypothesis import strategies as st

PARIS = ZoneInfo("Europe/Paris")
#: Where establishments are; Miquelon changes its clocks on American dates.
ZONES = ("Europe/Paris", "Indian/Reunion", "America/Cayenne", "Pacific/Noumea", "America/Miquelon")
DAY = timedelta(days=1)
ONE = Decimal(1)


def at(hour: int, minute: int = 0, quantity: Decimal = ONE) -> TimedDose:
    return TimedDose(time(hour, minute), quantity)


def every(hours: int, first: int, quantity: Decimal = ONE) -> IntervalDose:
    return IntervalDose(hours, quantity, time(first))


def line(*steps: Step, unit: str = "{tbl}") -> Posology:
    return Posology(unit, steps, None)


def from_(year: int, month: int, day: int, first_at: time | None = None, ends_on: date | None = None) -> Course:
    return Course(date(year, month, day), first_at, ends_on)


def on(zone: ZoneInfo, since: date, until: date, posology: Posology, course: Course) -> list[Due]:
    """What is due on the local days from `since` to `until`, both included."""
    begins = datetime.combine(since, time(), zone)
    return due(posology, course, zone, begins, datetime.combine(until + DAY, time(), zone))


def utc(found: list[Due]) -> list[str]:
    return [f"{one.at:%d %H:%M}" for one in found]


def local(found: list[Due]) -> list[str]:
    return [f"{one.local:%d %H:%M}" for one in found]


# ------------------------------------------------------------------------------------------------------ the other expansion


def expanded(
    posology: Posology, course: Course, zone: str, since: datetime, until: datetime
) -> list[tuple[datetime, Decimal, int]]:
    """Instants, quantities and steps by recurrence rules from the first day on, without any of the code under test."""
    place = tz.gettz(zone)
    assert place is not None
    found: list[tuple[datetime, Decimal, int]] = []
    first = course.starts_on
    before: IntervalDose | None = None
    for index, step in enumerate(posology.steps):
        far = until.astimezone(place).date() + 2 * DAY
        last = min(course.ends_on or far, far if step.days is None else first + timedelta(days=step.days - 1))
        midnight, end = datetime.combine(first, time()), datetime.combine(last, time(23, 59))

        def instant(wall: datetime) -> datetime:
            return tz.resolve_imaginary(wall.replace(tzinfo=place)).astimezone(UTC)

        def days(opens: datetime, closes: datetime, step: Step = step) -> list[datetime]:
            weekdays = [day - 1 for day in sorted(step.weekdays)] or None
            return list(rrule.rrule(rrule.DAILY, opens, interval=step.every_days, byweekday=weekdays, until=closes))

        walls: list[tuple[datetime, datetime, Decimal]] = []
        if step.interval is not None:
            quantity, hours = step.interval.quantity, step.interval.hours
            opens = datetime.combine(first, step.interval.first)
            if 24 % hours == 0:
                same = before is not None and before.hours == hours
                if same and before is not None and (before.first.hour - step.interval.first.hour) % hours == 0:
                    opens = datetime.combine(first, time(step.interval.first.hour % hours))
                times = rrule.rrule(rrule.HOURLY, opens, interval=hours, until=end)
                by_instant = {instant(wall): wall for wall in times}
                walls = [(moment, wall, quantity) for moment, wall in by_instant.items()]
            else:
                for moment in rrule.rrule(rrule.HOURLY, instant(opens), interval=hours, until=instant(end)):
                    walls.append((moment, moment.astimezone(place).replace(tzinfo=None), quantity))
        elif step.infusion is not None:
            for wall in days(datetime.combine(first, step.infusion.starts), end):
                begins = instant(wall)
                ends = (
                    instant(wall + DAY) if step.infusion.hours == 24 else begins + timedelta(hours=step.infusion.hours)
                )
                passed = Decimal(int((ends - begins).total_seconds())) / 3600
                walls.append((begins, wall, step.infusion.rate * passed))
        else:
            for dose in step.doses:
                for midnight_of in days(midnight, end):
                    wall = datetime.combine(midnight_of.date(), dose.at)
                    walls.append((instant(wall), wall, dose.quantity))
        for moment, wall, quantity in walls:
            if course.first_at and wall.date() == course.starts_on and wall.time() < course.first_at:
                continue
            if since <= moment < until:
                found.append((moment, quantity, index))
        before = step.interval
        first = last + DAY
    return sorted(found)


QUANTITIES = st.integers(1, 400).map(lambda number: Decimal(number) / 4)
HOURS = st.integers(0, 23).map(time)
#: Most often in the small hours, where clocks change.
TIMES = st.builds(time, st.sampled_from([0, 1, 2, 2, 2, 3, 8, 12, 20, 23]), st.sampled_from([0, 0, 15, 30, 59]))
RHYTHMS = st.one_of(
    st.fixed_dictionaries({}),
    st.fixed_dictionaries({"weekdays": st.frozensets(st.integers(1, 7), min_size=1)}),
    st.fixed_dictionaries({"every_days": st.integers(2, 9)}),
)


@st.composite
def steps(draw: st.DrawFn, *, is_open: bool) -> Step:
    days = None if is_open else draw(st.integers(1, 12))
    kind = draw(st.sampled_from(["doses", "interval", "infusion"]))
    if kind == "interval":
        # The rhythms that people use come up often enough for two steps to share one.
        hours = draw(st.sampled_from([1, 2, 4, 5, 6, 6, 6, 7, 8, 12, 24, 36, 48, 72]))
        return Step(days, interval=IntervalDose(hours, draw(QUANTITIES), draw(HOURS)))
    rhythm = draw(RHYTHMS)
    if kind == "infusion":
        hours = draw(st.sampled_from([1, 2, 12, 23, 24]))
        return Step(days, infusion=Infusion(draw(TIMES), hours, draw(QUANTITIES)), **rhythm)
    times = draw(st.lists(TIMES, min_size=1, max_size=5, unique=True))
    return Step(days, tuple(TimedDose(each, draw(QUANTITIES)) for each in times), **rhythm)


@st.composite
def lines(draw: st.DrawFn) -> tuple[Posology, Course]:
    """A line that begins in the weeks before a clock change, or whenever."""
    count = draw(st.integers(1, 4))
    is_open = draw(st.booleans())
    made = tuple(draw(steps(is_open=is_open and index == count - 1)) for index in range(count))
    change = draw(
        st.sampled_from([date(2026, 3, 8), date(2026, 3, 29), date(2026, 10, 25), date(2026, 11, 1), date(2026, 7, 1)])
    )
    starts_on = change - timedelta(days=draw(st.integers(0, 25)))
    fixed = sum(step.days or 0 for step in made)
    ends_on = starts_on + timedelta(days=fixed + draw(st.integers(0, 20))) if is_open and draw(st.booleans()) else None
    return line(*made, unit="mg"), Course(starts_on, draw(st.none() | TIMES), ends_on)


@st.composite
def windows(draw: st.DrawFn, posology: Posology, course: Course) -> tuple[datetime, datetime]:
    """Most often in the middle of the line."""
    days = sum(step.days or 30 for step in posology.steps)
    begins = course.starts_on + timedelta(days=draw(st.integers(-1, days)))
    since = datetime.combine(begins, time(), UTC) + timedelta(minutes=draw(st.integers(0, 1439)))
    return since, since + timedelta(days=draw(st.integers(0, 15)), minutes=draw(st.integers(0, 1439)))


def whole(course: Course) -> tuple[datetime, datetime]:
    """All days of a line of `lines`, which has at most four steps of twelve days, and some of the last one that is open."""
    since = datetime.combine(course.starts_on - DAY, time(), UTC)
    return since, since + timedelta(days=70)


@settings(max_examples=400, deadline=None)
@given(st.data(), lines(), st.sampled_from(ZONES))
def test_what_is_due_is_what_recurrence_rules_say(
    data: st.DataObject, made: tuple[Posology, Course], zone: str
) -> None:
    since, until = data.draw(windows(*made))
    found = due(*made, ZoneInfo(zone), since, until)
    assert sorted((one.at, one.quantity, one.step) for one in found) == expanded(*made, zone, since, until)
    assert [(one.at, one.local) for one in found] == sorted((one.at, one.local) for one in found)
    assert len({(one.step, one.local) for one in found}) == len(found)


@settings(max_examples=100, deadline=None)
@given(st.data(), lines(), st.sampled_from(ZONES))
def test_a_window_cut_in_two_has_the_same_doses(data: st.DataObject, made: tuple[Posology, Course], zone: str) -> None:
    since, until = data.draw(windows(*made))
    cut = since + (until - since) * data.draw(st.floats(0, 1))
    place = ZoneInfo(zone)
    assert due(*made, place, since, cut) + due(*made, place, cut, until) == due(*made, place, since, until)


@settings(max_examples=100, deadline=None)
@given(st.data(), lines(), st.sampled_from(ZONES))
def test_a_pause_and_a_stop_take_away_and_move_nothing(
    data: st.DataObject, made: tuple[Posology, Course], zone: str
) -> None:
    since, until = data.draw(windows(*made))
    place = ZoneInfo(zone)
    all_of_it = due(*made, place, since, until)
    assume(all_of_it)
    stopped_at = data.draw(st.sampled_from(all_of_it)).at
    pause = Pause(data.draw(st.sampled_from(all_of_it)).at, data.draw(st.sampled_from(all_of_it)).at)
    left = due(*made, place, since, until, stopped_at=stopped_at, pauses=(pause,))
    assert pause.until is not None
    assert left == [one for one in all_of_it if one.at < stopped_at and not pause.since <= one.at < pause.until]


@settings(max_examples=100, deadline=None)
@given(lines(), st.sampled_from(ZONES))
def test_a_taper_is_its_steps_one_after_another(made: tuple[Posology, Course], zone: str) -> None:
    posology, course = made
    pairs = list(zip(posology.steps, posology.steps[1:], strict=False))
    assume(
        not any(one.interval and other.interval and one.interval.hours == other.interval.hours for one, other in pairs)
    )
    place = ZoneInfo(zone)
    since, until = whole(course)
    alone: list[tuple[datetime, Decimal, int]] = []
    first = course.starts_on
    for index, step in enumerate(posology.steps):
        own = Course(first, course.first_at if index == 0 else None, course.ends_on)
        alone += [(one.at, one.quantity, index) for one in due(line(step), own, place, since, until)]
        first += timedelta(days=step.days or 0)
    assert [(one.at, one.quantity, one.step) for one in due(posology, course, place, since, until)] == sorted(
        alone, key=lambda one: one[0]
    )


@settings(max_examples=100, deadline=None)
@given(lines())
def test_no_day_asks_for_more_than_the_longest(made: tuple[Posology, Course]) -> None:
    """Where clocks never change, and infusions count on the day they start."""
    posology, course = made
    by_day: dict[date, Decimal] = {}
    found = due(*made, ZoneInfo("UTC"), *whole(course))
    for one in found:
        by_day[one.local.date()] = by_day.get(one.local.date(), Decimal(0)) + one.quantity
    longest = longest_day(posology, course)
    assert max(by_day.values(), default=Decimal(0)) <= longest
    drifting = any(step.interval and 24 % step.interval.hours for step in posology.steps)
    if by_day and not drifting and all(step.infusion is None for step in posology.steps):
        assert max(by_day.values()) == longest


@settings(max_examples=150, deadline=None)
@given(lines(), st.sampled_from(ZONES))
def test_every_step_of_an_accepted_line_has_a_dose_and_the_line_has_one_in_its_first_days(
    made: tuple[Posology, Course], zone: str
) -> None:
    posology, course = made
    try:
        check(posology, course, prefix="line")
    except Refusal:
        return
    found = due(posology, course, ZoneInfo(zone), *whole(course))
    assert {one.step for one in found} == set(range(len(posology.steps)))
    if not posology.steps[0].weekdays:
        assert found[0].local.date() <= course.starts_on + DAY


# ------------------------------------------------------------------------------------------- Paris, 29 March and 25 October


def test_eight_in_the_morning_stays_eight_in_the_morning_when_clocks_change() -> None:
    posology = line(Step(None, (at(8), at(20))))
    spring = on(PARIS, date(2026, 3, 28), date(2026, 3, 29), posology, from_(2026, 3, 1))
    assert utc(spring) == ["28 07:00", "28 19:00", "29 06:00", "29 18:00"]
    autumn = on(PARIS, date(2026, 10, 24), date(2026, 10, 25), posology, from_(2026, 10, 1))
    assert utc(autumn) == ["24 06:00", "24 18:00", "25 07:00", "25 19:00"]


def test_a_time_that_does_not_exist_is_counted_from_the_offset_before() -> None:
    """RFC 5545, 3.3.5: 2:30 on 29 March is 1:30 UTC, and the clock shows 3:30."""
    [dose] = on(PARIS, date(2026, 3, 29), date(2026, 3, 29), line(Step(None, (at(2, 30),))), from_(2026, 3, 29))
    assert dose.at == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
    assert local([dose]) == ["29 02:30"]
    assert dose.at.astimezone(PARIS).time() == time(3, 30)


def test_two_doses_that_fall_on_one_instant_are_both_due_and_told_apart() -> None:
    doses = on(PARIS, date(2026, 3, 29), date(2026, 3, 29), line(Step(None, (at(2, 30), at(3, 30)))), from_(2026, 3, 1))
    assert utc(doses) == ["29 01:30", "29 01:30"]
    assert local(doses) == ["29 02:30", "29 03:30"]


def test_a_time_that_comes_twice_is_given_once_the_first_time() -> None:
    [dose] = on(PARIS, date(2026, 10, 25), date(2026, 10, 25), line(Step(None, (at(2, 30),))), from_(2026, 10, 1))
    assert dose.at == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)


def test_every_six_hours_keeps_its_wall_times() -> None:
    posology = line(Step(None, interval=every(6, 8)))
    spring = on(PARIS, date(2026, 3, 28), date(2026, 3, 29), posology, from_(2026, 3, 28))
    assert local(spring) == ["28 08:00", "28 14:00", "28 20:00", "29 02:00", "29 08:00", "29 14:00", "29 20:00"]
    assert utc(spring)[3:5] == ["29 01:00", "29 06:00"]
    autumn = on(PARIS, date(2026, 10, 25), date(2026, 10, 25), posology, from_(2026, 10, 1))
    assert utc(autumn) == ["25 00:00", "25 07:00", "25 13:00", "25 19:00"]


def test_every_hour_has_one_dose_an_hour_of_the_clock() -> None:
    posology = line(Step(None, interval=every(1, 0)))
    spring = on(PARIS, date(2026, 3, 29), date(2026, 3, 29), posology, from_(2026, 3, 1))
    assert len(spring) == 23
    assert len({one.at for one in spring}) == 23
    assert local(spring)[:3] == ["29 00:00", "29 01:00", "29 03:00"]
    assert len(on(PARIS, date(2026, 10, 25), date(2026, 10, 25), posology, from_(2026, 10, 1))) == 24


def test_every_thirty_six_hours_counts_hours_that_pass() -> None:
    posology = line(Step(None, interval=every(36, 8)))
    found = on(PARIS, date(2026, 3, 27), date(2026, 3, 31), posology, from_(2026, 3, 27))
    assert utc(found) == ["27 07:00", "28 19:00", "30 07:00", "31 19:00"]
    assert local(found) == ["27 08:00", "28 20:00", "30 09:00", "31 21:00"]


def test_a_continuous_infusion_has_no_hole_and_no_overlap_when_clocks_change() -> None:
    posology = line(Step(None, infusion=Infusion(time(8), 24, Decimal(2))), unit="mL")
    for month, days, hours in ((3, (28, 29, 30), (23, 24, 24)), (10, (24, 25, 26), (25, 24, 24))):
        found = on(PARIS, date(2026, month, days[0]), date(2026, month, days[2]), posology, from_(2026, month, 1))
        assert [one.lasts for one in found] == [timedelta(hours=each) for each in hours]
        assert [one.quantity for one in found] == [2 * each for each in hours]
        assert found[0].lasts is not None
        assert found[0].at + found[0].lasts == found[1].at


def test_an_infusion_of_two_hours_lasts_two_hours_in_the_night_of_the_change() -> None:
    posology = line(Step(None, infusion=Infusion(time(2), 2, Decimal("12.5"))), unit="mL")
    [one] = on(PARIS, date(2026, 10, 25), date(2026, 10, 25), posology, from_(2026, 10, 1))
    assert (one.lasts, one.quantity) == (timedelta(hours=2), Decimal(25))


# ------------------------------------------------------------------------------------------------------------ the calendar


def test_every_other_day_counts_from_the_first_day_of_the_step() -> None:
    posology = line(Step(3, (at(8),)), Step(None, (at(20),), every_days=2))
    found = on(PARIS, date(2026, 5, 1), date(2026, 5, 9), posology, from_(2026, 5, 1))
    assert local(found) == ["01 08:00", "02 08:00", "03 08:00", "04 20:00", "06 20:00", "08 20:00"]


def test_days_of_the_week_are_those_of_the_facility() -> None:
    """Monday 4 May 2026 at 8 in Nouméa is still Sunday in UTC."""
    noumea = ZoneInfo("Pacific/Noumea")
    posology = line(Step(None, (at(8),), weekdays=frozenset({1, 5})))
    found = on(noumea, date(2026, 5, 1), date(2026, 5, 10), posology, from_(2026, 5, 1))
    assert local(found) == ["01 08:00", "04 08:00", "08 08:00"]
    assert utc(found)[1] == "03 21:00"


def test_the_last_day_is_a_whole_day_and_the_next_has_nothing() -> None:
    posology = line(Step(None, (at(8), at(23, 59))))
    found = on(PARIS, date(2026, 5, 1), date(2026, 5, 9), posology, from_(2026, 5, 1, ends_on=date(2026, 5, 2)))
    assert local(found) == ["01 08:00", "01 23:59", "02 08:00", "02 23:59"]


def test_the_first_day_begins_at_the_time_the_line_says() -> None:
    posology = line(Step(2, (at(8), at(14), at(20))))
    found = on(PARIS, date(2026, 5, 1), date(2026, 5, 3), posology, from_(2026, 5, 1, time(14)))
    assert local(found) == ["01 14:00", "01 20:00", "02 08:00", "02 14:00", "02 20:00"]


def test_a_smaller_dose_of_one_rhythm_leaves_no_hole_in_the_night_of_the_change() -> None:
    posology = line(Step(1, interval=every(6, 8, Decimal(2))), Step(1, interval=every(6, 8)))
    found = on(PARIS, date(2026, 5, 1), date(2026, 5, 3), posology, from_(2026, 5, 1))
    assert [(f"{one.local:%d %H}", one.quantity) for one in found] == [
        ("01 08", 2),
        ("01 14", 2),
        ("01 20", 2),
        ("02 02", 1),
        ("02 08", 1),
        ("02 14", 1),
        ("02 20", 1),
    ]


@pytest.mark.parametrize(
    ("other", "second_day"),
    [(every(8, 10), ["02 10:00", "02 18:00"]), (every(6, 9), ["02 09:00", "02 15:00", "02 21:00"])],
)
def test_another_rhythm_begins_with_its_own_first_dose(other: IntervalDose, second_day: list[str]) -> None:
    posology = line(Step(1, interval=every(6, 8)), Step(1, interval=other))
    found = on(PARIS, date(2026, 5, 1), date(2026, 5, 3), posology, from_(2026, 5, 1))
    assert local(found) == ["01 08:00", "01 14:00", "01 20:00", *second_day]


def test_nothing_is_due_after_the_last_day_even_of_steps_that_go_beyond_it() -> None:
    posology = line(Step(7, (at(8),)), Step(7, (at(20),)))
    found = on(PARIS, date(2026, 5, 1), date(2026, 5, 20), posology, from_(2026, 5, 1, ends_on=date(2026, 5, 2)))
    assert local(found) == ["01 08:00", "02 08:00"]


def test_a_window_in_the_middle_of_a_step_keeps_its_days() -> None:
    posology = line(Step(None, (at(8),), every_days=3))
    found = on(PARIS, date(2026, 5, 12), date(2026, 5, 20), posology, from_(2026, 5, 1))
    assert local(found) == ["13 08:00", "16 08:00", "19 08:00"]


def test_a_window_in_the_middle_of_an_interval_keeps_its_hours() -> None:
    """The first dose is at 6:00 UTC on 1 May; 34 and 35 times seven hours later are 238 and 245 hours."""
    posology = line(Step(None, interval=every(7, 8)))
    since = datetime(2026, 5, 11, 3, tzinfo=UTC)
    found = due(posology, from_(2026, 5, 1), PARIS, since, since + timedelta(hours=9))
    assert utc(found) == ["11 04:00", "11 11:00"]


def test_a_stop_and_the_edges_of_a_pause_hold_to_the_minute() -> None:
    posology, course = line(Step(None, interval=every(2, 0))), from_(2026, 5, 1)
    since, until = datetime(2026, 5, 2, tzinfo=UTC), datetime(2026, 5, 2, 14, tzinfo=UTC)
    pause = Pause(datetime(2026, 5, 2, 2, tzinfo=UTC), datetime(2026, 5, 2, 6, tzinfo=UTC))
    stop = datetime(2026, 5, 2, 10, tzinfo=UTC)
    found = due(posology, course, PARIS, since, until, stopped_at=stop, pauses=[pause])
    assert [one.at.hour for one in found] == [0, 6, 8]
    assert due(posology, course, PARIS, pause.since, until, pauses=[Pause(pause.since, None)]) == []


def test_nothing_is_due_of_a_line_as_needed() -> None:
    posology = Posology("{tbl}", (), AsNeeded(ONE, "douleur", Decimal(4), 360))
    assert on(PARIS, date(2026, 5, 1), date(2026, 5, 9), posology, from_(2026, 5, 1)) == []


def test_a_window_without_a_zone_is_a_mistake_of_the_caller() -> None:
    day = datetime(2026, 5, 1, tzinfo=UTC)
    with pytest.raises(ValueError, match="time zone"):
        due(line(Step(None, (at(8),))), from_(2026, 5, 1), PARIS, day.replace(tzinfo=None), day + DAY)
    pause = Pause(day, (day + DAY).replace(tzinfo=None))
    with pytest.raises(ValueError, match="time zone"):
        due(line(Step(None, (at(8),))), from_(2026, 5, 1), PARIS, day, day + DAY, pauses=[pause])


@pytest.mark.parametrize(
    "step",
    [
        Step(None, (at(8),)),
        Step(None, (at(8),), every_days=2),
        Step(None, (at(8),), weekdays=frozenset({1})),
        Step(None, interval=every(1, 0)),
        Step(None, interval=every(5, 0)),
        Step(None, infusion=Infusion(time(8), 24, ONE)),
    ],
    ids=["times", "every other day", "mondays", "every hour", "every five hours", "infusion"],
)
def test_a_day_of_an_old_line_costs_no_more_than_its_first(step: Step) -> None:
    """A line of a thousand years would be a million doses to go through."""
    day = date(2026, 5, 4)
    old, new = from_(1026, 5, 6), from_(2026, 5, 4)

    def cost(course: Course) -> float:
        begun = clock.process_time()
        for _ in range(20):
            on(PARIS, day, day + DAY, line(step), course)
        return clock.process_time() - begun

    cost(old)
    assert cost(old) < 20 * cost(new) + 0.01
    assert on(PARIS, day, day + 7 * DAY, line(step), old)
