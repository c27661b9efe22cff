"""The RPC of TreatmentSummaryService."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from zoneinfo import ZoneInfo

import grpc
from dui.medication.v1 import prescriptions_pb2, treatment_plans_pb2
from dui.medication.v1 import treatment_snapshots_pb2 as medication
from dui.records.v1 import treatment_summaries_pb2 as pb
from dui_kit.calls.call import Call
from dui_kit.times import from_timestamp, to_timestamp
from dui_kit.wire.telemetry import log

from dui_records.treatment_summaries import queries
from dui_records.treatment_summaries.remote import READER_SECONDS, Away, Parts, Treatments
from dui_records.treatment_summaries.rules import LineStatus, Told, check_known, is_to_review, oldest, status_now

_TO_REVIEW = treatment_plans_pb2.TREATMENT_PLAN_STATUS_TO_REVIEW
_IN_FORCE = treatment_plans_pb2.TREATMENT_PLAN_STATUS_IN_FORCE
#: The clock of a facility that is not known here.
_PARIS = ZoneInfo("Europe/Paris")


class TreatmentSummaryServicer:
    """What a person takes, in one look."""

    CONTRACT = pb.DESCRIPTOR.services_by_name["TreatmentSummaryService"]

    def __init__(self, treatments: Treatments) -> None:
        """`treatments`: where they are known."""
        self._treatments = treatments

    def GetTreatmentSummary(self, _: pb.GetTreatmentSummaryRequest, call: Call) -> pb.GetTreatmentSummaryResponse:
        """What medication says or, while it is away, what it said last."""
        parts = self._now(call)
        current = parts is not None
        if parts is None:
            parts = queries.kept(call)
            check_known(call.beneficiary_ids, parts)
            _age(call, parts)
        return pb.GetTreatmentSummaryResponse(treatment_summary=_together(call, parts, current=current))

    def _now(self, call: Call) -> Parts | None:
        """What medication says of every record of the person; None when it does not. Keeping it is the work of the worker."""
        try:
            return self._treatments.ask(call.tenant_id, call.beneficiary_ids, seconds=READER_SECONDS)
        except Away as away:
            log.warning("medication could not be asked for a treatment", reason=away.reason)
        except grpc.RpcError as error:
            # It has not heard of the person yet, or refuses: not for this reader to mend.
            code = getattr(error, "code", lambda: None)()
            log.warning("medication does not tell a treatment", reason=getattr(code, "name", ""))
        return None


def _together(call: Call, parts: Mapping[str, medication.TreatmentSnapshot], *, current: bool) -> pb.TreatmentSummary:
    told = {
        record: Told(
            treated=bool(part.lines),
            together=frozenset({record, *part.merged_beneficiary_ids}),
            to_review=part.status == _TO_REVIEW,
        )
        for record, part in parts.items()
    }
    lines = [line for part in parts.values() for line in part.lines]
    return pb.TreatmentSummary(
        beneficiary_id=call.beneficiary_id,
        status=_TO_REVIEW if is_to_review(told) else _IN_FORCE,
        # Ids grow with time: the oldest line comes first.
        lines=sorted(lines, key=lambda line: line.prescription_line_id),
        complete=all(part.complete for part in parts.values()),
        current=current,
        read_at=to_timestamp(oldest(from_timestamp(part.read_at) for part in parts.values())),
    )


def _age(call: Call, parts: Mapping[str, medication.TreatmentSnapshot]) -> None:
    """Lets the calendar go on for lines that were told before."""
    lines = [line for part in parts.values() for line in part.lines]
    clocks = queries.zones(call, {line.facility_id for line in lines}) if lines else {}
    for line in lines:
        status = status_now(
            LineStatus(line.status),
            date.fromisoformat(line.ends_on) if line.HasField("ends_on") else None,
            from_timestamp(line.suspended_until) if line.HasField("suspended_until") else None,
            now=call.now,
            today=_day(call.now, clocks.get(line.facility_id, _PARIS)),
        )
        line.status = prescriptions_pb2.LineStatus.ValueType(status)


def _day(instant: datetime, zone: ZoneInfo) -> date:
    return instant.astimezone(zone).date()
