"""Between messages and rules of a posology."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, time
from decimal import Decimal

from dui.medication.v1 import posology_pb2, prescriptions_pb2
from dui_kit.days import parse_day

from dui_medication.limits.durations import covered_until
from dui_medication.posology.rules import AsNeeded, Course, Infusion, IntervalDose, Posology, Step, TimedDose


def posology_of(dosage: posology_pb2.Dosage) -> Posology:
    """The posology of a message whose formats were checked."""
    as_needed = None
    if dosage.HasField("as_needed"):
        asked = dosage.as_needed
        as_needed = AsNeeded(
            Decimal(asked.quantity), asked.reason.strip(), Decimal(asked.max_per_24h), asked.min_gap_minutes
        )
    return Posology(dosage.unit, tuple(map(_step, dosage.steps)), as_needed)


def course_of(order: prescriptions_pb2.LineOrder) -> Course:
    """The days of an order, renewals included."""
    period = period_of(order)
    if period.ends_on is None or order.renewals <= 0:
        return period
    return replace(period, ends_on=covered_until(period.starts_on, period.ends_on, order.renewals))


def period_of(order: prescriptions_pb2.LineOrder) -> Course:
    """The days of an order that renewals repeat."""
    return Course(
        starts_on=date.fromisoformat(order.starts_on),
        first_at=time.fromisoformat(order.first_at) if order.HasField("first_at") else None,
        ends_on=parse_day(order.ends_on),
    )


def _step(step: posology_pb2.DosageStep) -> Step:
    interval = infusion = None
    if step.HasField("interval"):
        every = step.interval
        interval = IntervalDose(every.hours, Decimal(every.quantity), time.fromisoformat(every.first))
    if step.HasField("infusion"):
        lasting = step.infusion
        infusion = Infusion(time.fromisoformat(lasting.starts), lasting.hours, Decimal(lasting.rate))
    return Step(
        days=step.days if step.HasField("days") else None,
        doses=tuple(TimedDose(time.fromisoformat(each.at), Decimal(each.quantity)) for each in step.doses),
        interval=interval,
        infusion=infusion,
        weekdays=frozenset(int(day) for day in step.weekdays),
        every_days=step.every_days if step.HasField("every_days") else 1,
    )
