"""What a prescribed line may say: how much, when, for how long. Times are wall times of the facility, amounts are exact.

The words are those of FHIR R4, `Dosage` and `Timing.repeat`: times of the day (`timeOfDay`), days of the week (`dayOfWeek`),
every so many days or hours (`period` with `periodUnit`), from a day to a day (`bounds`), one step after another (`sequence`).
`timing` says what that comes to in instants.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from itertools import pairwise

from dui_kit.errors import Reason, Refusal, Violation

from dui_medication.posology import refusals
from dui_medication.posology.units import UNITS, Kind

MAX_STEPS = 20
#: Times of one day: every half hour.
MAX_DOSES = 48
MAX_INTERVAL_HOURS = 72
MAX_QUANTITY = 100_000
MAX_DECIMALS = 6
#: Ten years with their leap days.
MAX_DAYS = 3653
#: A dose every year is the rarest there is.
MAX_EVERY_DAYS = 366
MAX_GAP_MINUTES = 48 * 60
MAX_REASON = 200


@dataclass(frozen=True, slots=True)
class TimedDose:
    """A quantity at a time of the day, to the minute."""

    at: time
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class IntervalDose:
    """A quantity every so many hours; `first` is the time of the first dose of the step."""

    hours: int
    quantity: Decimal
    first: time

    @property
    def daily(self) -> bool:
        """Whether the same times come back each day: they are then wall times, which the clock change does not move."""
        return 24 % self.hours == 0

    def times(self) -> tuple[time, ...]:
        """The times of each day of a `daily` interval, the earliest first."""
        minutes = _minutes(self.first) % (self.hours * 60)
        return tuple(_time(minutes + 60 * hour) for hour in range(0, 24, self.hours))


@dataclass(frozen=True, slots=True)
class Infusion:
    """From `starts` on, for so many hours (24: continuous), `rate` of the line's unit an hour."""

    starts: time
    hours: int
    rate: Decimal

    @property
    def continuous(self) -> bool:
        """Whether it runs until the same time of the next day."""
        return self.hours == 24


@dataclass(frozen=True, slots=True)
class Step:
    """A stretch of days with one way to give: one of `doses`, `interval`, `infusion`."""

    #: None, on the last step only: until the end of the line.
    days: int | None
    doses: tuple[TimedDose, ...] = ()
    interval: IntervalDose | None = None
    infusion: Infusion | None = None
    #: ISO, 1 is Monday; empty: every day.
    weekdays: frozenset[int] = frozenset()
    #: 2: the first day of the step, the third, the fifth.
    every_days: int = 1

    def chosen(self, first: date, since: date, until: date) -> Iterator[date]:
        """The days with doses from `since` to `until`, both included, of the step that begins on `first`.

        Goes to `since` in one stride, whatever lies between.
        """
        start = max(first, since).toordinal()
        start += (first.toordinal() - start) % self.every_days
        for ordinal in range(start, until.toordinal() + 1, self.every_days):
            day = date.fromordinal(ordinal)
            if not self.weekdays or day.isoweekday() in self.weekdays:
                yield day


@dataclass(frozen=True, slots=True)
class AsNeeded:
    """A quantity that may be given when `reason` shows, within limits."""

    quantity: Decimal
    reason: str
    max_per_24h: Decimal
    #: 0: the maximum is the only limit.
    min_gap_minutes: int


@dataclass(frozen=True, slots=True)
class Posology:
    """How a line is given: steps one after another, or as needed. `unit` is a UCUM code of `units`."""

    unit: str
    steps: tuple[Step, ...]
    as_needed: AsNeeded | None


@dataclass(frozen=True, slots=True)
class Course:
    """The days of a line."""

    starts_on: date
    #: Doses of the first day before this time are not due.
    first_at: time | None
    #: The last day, included; None: open, or the last day of the steps.
    ends_on: date | None


@dataclass(frozen=True, slots=True)
class Pause:
    """Instants, from `since` (included) to `until` (excluded; None: until further notice), in which nothing is due."""

    since: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Span:
    """The calendar days of a step, both included; `last` is None when the line has no end."""

    first: date
    last: date | None


def spans(posology: Posology, course: Course) -> tuple[Span, ...]:
    """The days of each step: one after another from the first day of the line, no further than its last."""
    found = []
    first = course.starts_on
    for step in posology.steps:
        last = course.ends_on if step.days is None else _later(first, step.days - 1)
        if last is not None and course.ends_on is not None:
            last = min(last, course.ends_on)
        found.append(Span(first, last))
        if last is None:
            break
        first = _later(last, 1)
    return tuple(found)


def last_day(posology: Posology, course: Course) -> date | None:
    """The last day of the line; None when it has no end."""
    return spans(posology, course)[-1].last if posology.steps else course.ends_on


def opening(posology: Posology, index: int) -> time:
    """The time before which an interval has no dose on the first day of its step: its `first`.

    But a step that keeps the rhythm of the one before goes on with it. Every 6 hours at 8, 14, 20 and 2, then half of it
    every 6 hours from 8 on: without the dose of 2 in the night of the change, twelve hours would pass.
    """
    now = posology.steps[index].interval
    before = posology.steps[index - 1].interval if index else None
    if now is None:
        return time.min
    if before is not None and now.daily and now.hours == before.hours and now.times() == before.times():
        return time.min
    return now.first


def longest_day(posology: Posology, course: Course) -> Decimal:
    """The most that a calendar day asks for, in the line's unit; as needed: the most in 24 hours.

    For ceilings, so rather too much than too little: an interval that drifts through the days (every 5 hours) counts the
    most doses that a day can hold; an infusion counts on the day it starts, without the 25th hour of a day in autumn.
    """
    if posology.as_needed is not None:
        return posology.as_needed.max_per_24h
    return max(_longest_of(posology, index, span, course) for index, span in enumerate(spans(posology, course)))


def _longest_of(posology: Posology, index: int, span: Span, course: Course) -> Decimal:
    step = posology.steps[index]
    within = _only_times(posology, index, span, course)
    if step.infusion is not None:
        return step.infusion.rate * step.infusion.hours
    if step.interval is not None:
        if within is not None:
            return step.interval.quantity * len(within)
        return step.interval.quantity * -(-24 // step.interval.hours)
    return sum((dose.quantity for dose in step.doses if within is None or dose.at in within), Decimal(0))


def _only_times(posology: Posology, index: int, span: Span, course: Course) -> tuple[time, ...] | None:
    """The times of the doses of a step that has them all on its first day; None when it has other days."""
    step = posology.steps[index]
    # Each weekday, and each day of a rhythm, comes within this stretch or never.
    horizon = _later(span.first, max(7, step.every_days))
    days = list(step.chosen(span.first, span.first, min(span.last or horizon, horizon)))
    if step.interval is not None and not step.interval.daily:
        hours = range(0, 24 - step.interval.first.hour, step.interval.hours)
        times = tuple(_time(_minutes(step.interval.first) + 60 * hour) for hour in hours)
    elif step.interval is not None:
        begins = opening(posology, index)
        times = tuple(at for at in step.interval.times() if at >= begins)
    elif step.infusion is not None:
        times = (step.infusion.starts,)
    else:
        times = tuple(dose.at for dose in step.doses)
    if days and days != [span.first]:
        return None
    opens = course.first_at if span.first == course.starts_on else None
    return tuple(at for at in times if days and (opens is None or at >= opens))


# ----------------------------------------------------------------------------------------------------------------- check


def check(posology: Posology, course: Course, *, prefix: str) -> None:
    """Refuses what cannot be given as written; all faults at once, with their fields below `prefix`.

    How the steps and the dates fit together is looked at when each is sound by itself.
    """
    faults = [*_course_faults(course, prefix), *_dosage_faults(posology, f"{prefix}.dosage")]
    if not faults:
        faults = list(_fit_faults(posology, course, prefix))
    if faults:
        raise Refusal.of(tuple(faults))


def _fault(reason: Reason, field: str, **params: str | int) -> Violation:
    return Violation(reason, field, tuple(params.items()))


def _course_faults(course: Course, prefix: str) -> Iterator[Violation]:
    yield from _time_faults(course.first_at, f"{prefix}.first_at")
    if course.ends_on is not None and course.ends_on < course.starts_on:
        yield _fault(refusals.COURSE_ENDS_BEFORE_START, f"{prefix}.ends_on")
    elif course.ends_on is not None and (course.ends_on - course.starts_on).days >= MAX_DAYS:
        yield _fault(refusals.COURSE_TOO_LONG, f"{prefix}.ends_on")


def _dosage_faults(posology: Posology, field: str) -> Iterator[Violation]:
    if posology.as_needed is not None:
        if posology.steps:
            yield _fault(refusals.DOSAGE_AMBIGUOUS, field)
        yield from _as_needed_faults(posology.as_needed, f"{field}.as_needed")
    elif not posology.steps:
        yield _fault(refusals.DOSAGE_MISSING, field)
    if len(posology.steps) > MAX_STEPS:
        yield _fault(refusals.STEPS_TOO_MANY, f"{field}.steps", most=MAX_STEPS)
        return
    for index, step in enumerate(posology.steps):
        yield from _step_faults(step, f"{field}.steps[{index}]", last=index == len(posology.steps) - 1)
    unit = UNITS.get(posology.unit)
    if unit is not None and unit.kind is Kind.COUNT and any(step.infusion for step in posology.steps):
        yield _fault(refusals.INFUSION_UNIT, f"{field}.unit")


def _as_needed_faults(needed: AsNeeded, field: str) -> Iterator[Violation]:
    quantities = [
        *_quantity_faults(needed.quantity, f"{field}.quantity"),
        *_quantity_faults(needed.max_per_24h, f"{field}.max_per_24h"),
    ]
    yield from quantities
    if not quantities and needed.max_per_24h < needed.quantity:
        yield _fault(refusals.AS_NEEDED_MAX_BELOW_DOSE, f"{field}.max_per_24h")
    if not 0 < len(needed.reason.strip()) <= MAX_REASON:
        yield _fault(refusals.AS_NEEDED_REASON, f"{field}.reason", most=MAX_REASON)
    if not 0 <= needed.min_gap_minutes <= MAX_GAP_MINUTES:
        yield _fault(refusals.AS_NEEDED_GAP_INVALID, f"{field}.min_gap_minutes", most=MAX_GAP_MINUTES)


def _step_faults(step: Step, field: str, *, last: bool) -> Iterator[Violation]:
    if step.days is None and not last:
        yield _fault(refusals.STEP_DAYS_MISSING, f"{field}.days")
    if step.days is not None and not 0 < step.days <= MAX_DAYS:
        yield _fault(refusals.STEP_DAYS_INVALID, f"{field}.days", most=MAX_DAYS)
    kinds = bool(step.doses) + (step.interval is not None) + (step.infusion is not None)
    if kinds != 1:
        yield _fault(refusals.STEP_AMBIGUOUS if kinds else refusals.STEP_EMPTY, field)
    yield from _doses_faults(step.doses, f"{field}.doses")
    if step.interval is not None:
        yield from _quantity_faults(step.interval.quantity, f"{field}.interval.quantity")
        yield from _time_faults(step.interval.first, f"{field}.interval.first")
        if not 0 < step.interval.hours <= MAX_INTERVAL_HOURS:
            yield _fault(refusals.INTERVAL_HOURS_INVALID, f"{field}.interval.hours", most=MAX_INTERVAL_HOURS)
        if step.weekdays or step.every_days != 1:
            yield _fault(refusals.INTERVAL_WITH_DAYS, f"{field}.{'weekdays' if step.weekdays else 'every_days'}")
    if step.infusion is not None:
        yield from _quantity_faults(step.infusion.rate, f"{field}.infusion.rate")
        yield from _time_faults(step.infusion.starts, f"{field}.infusion.starts")
        if not 0 < step.infusion.hours <= 24:
            yield _fault(refusals.INFUSION_HOURS_INVALID, f"{field}.infusion.hours")
    if not step.weekdays <= set(range(1, 8)):
        yield _fault(refusals.WEEKDAY_INVALID, f"{field}.weekdays")
    if not 0 < step.every_days <= MAX_EVERY_DAYS:
        yield _fault(refusals.EVERY_DAYS_INVALID, f"{field}.every_days", most=MAX_EVERY_DAYS)
    elif step.weekdays and step.every_days > 1:
        yield _fault(refusals.DAYS_AMBIGUOUS, f"{field}.every_days")


def _doses_faults(doses: tuple[TimedDose, ...], field: str) -> Iterator[Violation]:
    if len(doses) > MAX_DOSES:
        yield _fault(refusals.DOSES_TOO_MANY, field, most=MAX_DOSES)
        return
    seen = set()
    for index, dose in enumerate(doses):
        yield from _quantity_faults(dose.quantity, f"{field}[{index}].quantity")
        yield from _time_faults(dose.at, f"{field}[{index}].at")
        if dose.at in seen:
            yield _fault(refusals.DOSE_TIME_TWICE, f"{field}[{index}].at")
        seen.add(dose.at)


def _quantity_faults(quantity: Decimal, field: str) -> Iterator[Violation]:
    if not quantity.is_finite() or quantity <= 0:
        yield _fault(refusals.QUANTITY_NOT_POSITIVE, field)
    elif quantity > MAX_QUANTITY:
        yield _fault(refusals.QUANTITY_TOO_LARGE, field, most=MAX_QUANTITY)
    elif quantity != round(quantity, MAX_DECIMALS):
        yield _fault(refusals.QUANTITY_TOO_PRECISE, field, most=MAX_DECIMALS)


def _time_faults(at: time | None, field: str) -> Iterator[Violation]:
    if at is not None and (at.second or at.microsecond or at.tzinfo is not None):
        yield _fault(refusals.DOSE_TIME_INVALID, field)


def _fit_faults(posology: Posology, course: Course, prefix: str) -> Iterator[Violation]:
    """What is wrong with the steps and the dates together."""
    if not posology.steps:
        return
    days = sum(step.days or 0 for step in posology.steps)
    is_open = posology.steps[-1].days is None
    if days > MAX_DAYS:
        yield _fault(refusals.COURSE_TOO_LONG, f"{prefix}.dosage.steps")
        return
    if course.ends_on is not None:
        length = (course.ends_on - course.starts_on).days + 1
        if days + is_open > length:
            yield _fault(refusals.STEPS_BEYOND_COURSE, f"{prefix}.ends_on", days=days + is_open)
            return
        if days < length and not is_open:
            yield _fault(refusals.STEPS_SHORT_OF_COURSE, f"{prefix}.ends_on", days=days)
    for index, span in enumerate(spans(posology, course)):
        if _only_times(posology, index, span, course) == ():
            yield _fault(refusals.STEP_WITHOUT_DOSE, f"{prefix}.dosage.steps[{index}]")
        elif index == 0 and course.first_at is not None and _skips_first(posology.steps[0], course.first_at):
            yield _fault(refusals.FIRST_DOSE_SKIPPED, f"{prefix}.first_at")
    for index, (one, other) in enumerate(pairwise(posology.steps)):
        gap, hours = _gap(one, other)
        if gap < hours:
            yield _fault(refusals.DOSES_TOO_CLOSE, f"{prefix}.dosage.steps[{index}].days", gap=gap, hours=hours)


def _skips_first(step: Step, first_at: time) -> bool:
    """Whether a rhythm of more than a day, or an infusion that never stops, would lose its beginning."""
    if step.interval is not None:
        return not step.interval.daily and first_at > step.interval.first
    if step.infusion is not None:
        return (step.infusion.continuous or step.every_days > 1) and first_at > step.infusion.starts
    return step.every_days > 1 and all(first_at > dose.at for dose in step.doses)


def _gap(one: Step, other: Step) -> tuple[int, int]:
    """Hours from the last dose of a step to the first of the next, and the hours that their rhythm asks for.

    Rhythms of more than a day alone: a patch every 72 hours, then another one every 72 hours, and a step of seven days would
    put two patches a day apart. Of rhythms within the day the prescriber sees the times.
    """
    if one.days is None:  # refused before: the last step alone has no end
        return 0, 0
    if one.interval is not None and other.interval is not None:
        hours = min(one.interval.hours, other.interval.hours)
        begins = _minutes(one.interval.first)
        last = begins + (one.days * 1440 - 1 - begins) // (one.interval.hours * 60) * one.interval.hours * 60
        gap = (one.days * 1440 + _minutes(other.interval.first) - last) // 60
    else:
        hours = 24 * min(one.every_days, other.every_days)
        gap = 24 * (one.days - (one.days - 1) // one.every_days * one.every_days)
    return (gap, hours) if hours > 24 else (0, 0)


def _minutes(at: time) -> int:
    return at.hour * 60 + at.minute


def _time(minutes: int) -> time:
    return time(minutes // 60, minutes % 60)


def _later(day: date, days: int) -> date:
    """So many days later, or the last day that there is."""
    return date.fromordinal(min(day.toordinal() + days, date.max.toordinal()))
