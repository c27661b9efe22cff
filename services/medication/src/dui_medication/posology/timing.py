"""What is due of a line: its doses as instants.

Times of the day are wall times of the facility's zone, as the nurse reads them. Where clocks change, RFC 5545 (section
3.3.5) says which instant a wall time is: one that does not exist that day (spring) is counted from the offset before the
change, so 2:30 is given when the clock shows 3:30; one that comes twice (autumn) is given once, the first time.

* Doses of a day and days of the week: wall times. Every n days: calendar days, the first day of the step being the first.
* Every n hours, n a divisor of 24: the same wall times each day (8, 14, 20, 2), clock change or not.
* Every n hours otherwise: hours that pass, from the first dose of the step on.
* An infusion of fewer than 24 hours runs as many hours as written. A continuous one runs until the same time of the next
  day, so that none is missing and none runs twice: 23 or 25 hours when clocks change. Its quantity is the rate times the
  hours that pass.
* Steps follow each other by calendar days. The last day of a line is a whole day; an infusion that starts on it runs out.
* A stop holds from its instant on, a pause from its first instant to just before its last. They take away what would start
  in them and move nothing: an infusion that runs is the business of who stops it.

Source of the model: FHIR R4, `Timing.repeat`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from dui_medication.posology.rules import Course, Infusion, IntervalDose, Pause, Posology, Span, Step, opening, spans

_DAY = timedelta(days=1)
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Due:
    """A dose, or an infusion to start."""

    #: The wall time as prescribed: one for each dose of a line, even where two fall on one instant. On a day without that
    #: time (spring) the clock shows another one at `at`.
    local: datetime
    #: The instant, in UTC.
    at: datetime
    #: In the line's unit; of an infusion: all of it.
    quantity: Decimal
    #: Which step of the posology, from 0.
    step: int
    #: How long an infusion runs; None for a dose.
    lasts: timedelta | None


def due(
    posology: Posology,
    course: Course,
    zone: ZoneInfo,
    since: datetime,
    until: datetime,
    *,
    stopped_at: datetime | None = None,
    pauses: Sequence[Pause] = (),
) -> list[Due]:
    """What is due of a line that `rules.check` accepts, from `since` (included) to `until` (excluded), in order.

    Costs what the window is long, however old the line. Nothing is due of a line as needed. ValueError for an instant
    without a zone.
    """
    instants = (since, until, stopped_at, *(edge for pause in pauses for edge in (pause.since, pause.until)))
    if any(instant is not None and instant.utcoffset() is None for instant in instants):
        raise ValueError("an instant has a time zone")
    # A wall time is never a day away from the instant it stands for.
    window = since.astimezone(zone).date() - _DAY, until.astimezone(zone).date() + _DAY
    found = [
        one
        for index, span in enumerate(spans(posology, course))
        for one in _of_step(posology, index, span, zone, *window)
        if since <= one.at < until
        and (course.first_at is None or one.local >= datetime.combine(course.starts_on, course.first_at))
        and (stopped_at is None or one.at < stopped_at)
        and not any(pause.since <= one.at and (pause.until is None or one.at < pause.until) for pause in pauses)
    ]
    return sorted(found, key=lambda one: (one.at, one.local))


def _of_step(posology: Posology, index: int, span: Span, zone: ZoneInfo, since: date, until: date) -> Iterator[Due]:
    """The doses of one step from day to day, both included."""
    step = posology.steps[index]
    if span.last is not None:
        until = min(span.last, until)
    if step.interval is not None and not step.interval.daily:
        yield from _elapsed(step.interval, index, span.first, zone, since, until)
        return
    for day in step.chosen(span.first, since, until):
        if step.interval is not None:
            begins = opening(posology, index) if day == span.first else time.min
            yield from _hourly(step.interval, index, day, begins, zone)
        elif step.infusion is not None:
            yield _infusion(step.infusion, index, day, zone)
        else:
            yield from _timed(step, index, day, zone)


def _timed(step: Step, index: int, day: date, zone: ZoneInfo) -> Iterator[Due]:
    for dose in step.doses:
        local = datetime.combine(day, dose.at)
        yield Due(local, _instant(local, zone), dose.quantity, index, None)


def _hourly(interval: IntervalDose, index: int, day: date, begins: time, zone: ZoneInfo) -> Iterator[Due]:
    """The doses of a day at its wall times; where one that does not exist falls on the next one (every hour), once."""
    for at in interval.times():
        local = datetime.combine(day, at)
        instant = _instant(local, zone)
        shown = instant.astimezone(zone).replace(tzinfo=None)
        if at >= begins and (shown == local or shown.time() not in interval.times()):
            yield Due(local, instant, interval.quantity, index, None)


def _elapsed(
    interval: IntervalDose, index: int, first: date, zone: ZoneInfo, since: date, until: date
) -> Iterator[Due]:
    """The doses every so many hours that pass, from the first of the step on."""
    at = _instant(datetime.combine(first, interval.first), zone)
    stride = interval.hours * _HOUR
    passed = _instant(datetime.combine(max(since, first), time.min), zone) - at
    at += max(0, -(-passed // stride)) * stride
    while (local := at.astimezone(zone).replace(tzinfo=None)).date() <= until:
        yield Due(local, at, interval.quantity, index, None)
        at += stride


def _infusion(infusion: Infusion, index: int, day: date, zone: ZoneInfo) -> Due:
    local = datetime.combine(day, infusion.starts)
    at = _instant(local, zone)
    lasts = _instant(local + _DAY, zone) - at if infusion.continuous else infusion.hours * _HOUR
    return Due(local, at, infusion.rate * (lasts // timedelta(minutes=1)) / 60, index, lasts)


def _instant(local: datetime, zone: ZoneInfo) -> datetime:
    """The instant of a wall time. Without a fold, PEP 495 says what RFC 5545 asks for."""
    return local.replace(tzinfo=zone).astimezone(UTC)
