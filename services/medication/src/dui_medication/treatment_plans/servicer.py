"""The RPCs of TreatmentPlanService."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta

from dui.medication.v1 import prescriptions_pb2
from dui.medication.v1 import treatment_plans_pb2 as pb
from dui_kit.calls.call import Call
from dui_kit.days import day_is_over, earliest_day, latest_day, parse_day
from dui_kit.errors import Refusal
from dui_kit.times import from_timestamp, micros, to_timestamp

from dui_medication.posology.rules import Course, Pause, Posology, check
from dui_medication.posology.timing import Due, due
from dui_medication.prescriptions import lines
from dui_medication.prescriptions.lines import Line
from dui_medication.prescriptions.mapping import course_of, posology_of
from dui_medication.prescriptions.rules import Work
from dui_medication.treatment_plans import queries
from dui_medication.treatment_plans.queries import Plan
from dui_medication.treatment_plans.rules import (
    MOST_ENDED,
    NOTHING_TO_CONFIRM,
    TOO_MANY_LINES,
    check_confirmed,
    period,
    widest,
)

_LAST_MINUTE = time(23, 59)


def _shown(call: Call, plan: Plan, *, to_review: bool) -> pb.TreatmentPlan:
    ended = sorted(plan.ended, key=lambda line: line.row.recorded_at, reverse=True)[:MOST_ENDED]
    status = pb.TREATMENT_PLAN_STATUS_TO_REVIEW if to_review else pb.TREATMENT_PLAN_STATUS_IN_FORCE
    return pb.TreatmentPlan(
        beneficiary_id=call.beneficiary_id,
        status=status,
        lines=[line.shown() for line in plan.lines],
        ended_lines=[line.shown() for line in ended],
        unreviewed=sum(line.message.review.outcome == 0 for line in plan.lines),
        read_at=to_timestamp(call.now),
        complete=plan.complete,
        to_answer=sum(line.row.work == Work.TO_ANSWER for line in plan.lines),
    )


def doses_of(line: Line, first: date, last: date) -> list[Due]:
    """The doses of a line that are due from one day to another by the clock of its facility, whatever became of it meanwhile."""
    message: prescriptions_pb2.PrescriptionLine = line.message
    posology = posology_of(message.order.dosage)
    pauses = [
        Pause(from_timestamp(each.since), from_timestamp(each.until) if each.HasField("until") else None)
        for each in message.pauses
    ]
    return due(
        posology,
        _given(posology, line),
        line.zone,
        _midnight(first, line),
        _midnight(last + timedelta(days=1), line),
        stopped_at=from_timestamp(message.stopped_at) if message.HasField("stopped_at") else None,
        pauses=pauses,
    )


def _given(posology: Posology, line: Line) -> Course:
    """The days of a line, from its signature on: nobody gives a dose of the hours before, and a replaced line gave its own.

    What has all of its doses before (a single one), or a rhythm of days that would lose its first one, is due as it is written.
    """
    course = course_of(line.message.order)
    signed = from_timestamp(line.message.signed_at).astimezone(line.zone)
    if course.first_at is not None or course.starts_on != signed.date():
        return course
    next_minute = (signed + timedelta(minutes=1, microseconds=-1)).replace(second=0, microsecond=0)
    opens = next_minute.time() if next_minute.date() == signed.date() else _LAST_MINUTE
    from_then = replace(course, first_at=opens)
    try:
        check(posology, from_then, prefix="order")
    except Refusal:
        return course
    return from_then


def _midnight(day: date, line: Line) -> datetime:
    return datetime.combine(day, time(), line.zone).astimezone(UTC)


def _dose(line: Line, each: Due) -> pb.DueDose:
    order = line.message.order
    return pb.DueDose(
        prescription_line_id=line.row.prescription_line_id,
        facility_id=line.row.facility_id,
        due_at=to_timestamp(each.at),
        local_time=each.local.isoformat(timespec="minutes"),
        time_zone=line.zone.key,
        quantity=f"{each.quantity.normalize():f}",
        unit=order.dosage.unit,
        lasts_minutes=int(each.lasts.total_seconds() // 60) if each.lasts is not None else None,
        label=line.message.view.label,
        nursing_act_required=order.nursing_act_required,
        route=order.route,
        instructions=order.instructions or None,
        handling=line.message.view.handling,
        review_outcome=line.message.review.outcome,
        fictive=line.message.view.fictive,
    )


class TreatmentPlanServicer:
    """One treatment plan for each person."""

    CONTRACT = pb.DESCRIPTOR.services_by_name["TreatmentPlanService"]

    def GetTreatmentPlan(self, _: pb.GetTreatmentPlanRequest, call: Call) -> pb.GetTreatmentPlanResponse:
        """The treatment as it stands."""
        plan = queries.plan_of(call)
        return pb.GetTreatmentPlanResponse(treatment_plan=_shown(call, plan, to_review=plan.to_review))

    def ConfirmTreatmentPlan(
        self, request: pb.ConfirmTreatmentPlanRequest, call: Call
    ) -> pb.ConfirmTreatmentPlanResponse:
        """A prescriber has looked at what a merge put together."""
        plan = queries.plan_of(call)
        if not plan.to_review:
            raise Refusal(NOTHING_TO_CONFIRM, field="beneficiary_id")
        check_confirmed([line.row.prescription_line_id for line in plan.lines], request.line_ids)
        queries.confirm(call, request.line_ids)
        return pb.ConfirmTreatmentPlanResponse(treatment_plan=_shown(call, plan, to_review=False))

    def ListDueDoses(self, request: pb.ListDueDosesRequest, call: Call) -> pb.ListDueDosesResponse:
        """The doses due, in the order of their instants."""
        asked = call.page(request)
        found = sorted(_doses(call, parse_day(request.from_on), parse_day(request.to_on)), key=_place)
        if asked.after:
            instant, line_id, local = asked.after
            after = int(instant or 0), str(line_id), str(local)
            found = [dose for dose in found if _place(dose) > after]
        kept, token = asked.cut(found[: asked.size + 1], key=_place)
        return pb.ListDueDosesResponse(due_doses=kept, next_page_token=token)


def _place(dose: pb.DueDose) -> tuple[int, str, str]:
    """In the order of the instants. Two doses of a line may be due at one, on the day without an hour."""
    return micros(from_timestamp(dose.due_at)), dose.prescription_line_id, dose.local_time


def _doses(call: Call, from_on: date | None, to_on: date | None) -> Iterator[pb.DueDose]:
    """The doses of every line; « today » is that of each line's facility."""
    first, last = widest(from_on, to_on, earliest_day(call.now), latest_day(call.now))
    found = lines.since(call, first, before=day_is_over(last))
    if len(found) == lines.MOST:
        # A list that lacks a dose is worse than none.
        raise Refusal(TOO_MANY_LINES, field="to_on")
    for line in found:
        days = period(from_on, to_on, call.now.astimezone(line.zone).date())
        yield from (_dose(line, each) for each in doses_of(line, *days))
