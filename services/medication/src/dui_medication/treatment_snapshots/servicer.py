"""The RPC of TreatmentSnapshotService."""

from __future__ import annotations

from dui.medication.v1 import treatment_plans_pb2
from dui.medication.v1 import treatment_snapshots_pb2 as pb
from dui_kit.calls.call import Call
from dui_kit.errors import not_found
from dui_kit.times import to_timestamp

from dui_medication.prescriptions.lines import Line
from dui_medication.prescriptions.rules import LineStatus
from dui_medication.treatment_plans.queries import plan_of
from dui_medication.treatment_snapshots.queries import enter_person


class TreatmentSnapshotServicer:
    """What a person takes, for records."""

    CONTRACT = pb.DESCRIPTOR.services_by_name["TreatmentSnapshotService"]

    def GetTreatmentSnapshot(
        self, request: pb.GetTreatmentSnapshotRequest, call: Call
    ) -> pb.GetTreatmentSnapshotResponse:
        """The lines in force."""
        if not enter_person(call, request.beneficiary_id):
            raise not_found("beneficiary_id")
        plan = plan_of(call)
        snapshot = pb.TreatmentSnapshot(
            beneficiary_id=call.beneficiary_id,
            merged_beneficiary_ids=call.beneficiary_ids[1:],
            status=treatment_plans_pb2.TREATMENT_PLAN_STATUS_TO_REVIEW
            if plan.to_review
            else treatment_plans_pb2.TREATMENT_PLAN_STATUS_IN_FORCE,
            lines=map(_line, plan.lines),
            complete=plan.complete,
            read_at=to_timestamp(call.now),
        )
        return pb.GetTreatmentSnapshotResponse(snapshot=snapshot)


def _line(line: Line) -> pb.TreatmentSnapshotLine:
    message = line.message
    order, view = message.order, message.view
    told = pb.TreatmentSnapshotLine(
        prescription_line_id=line.row.prescription_line_id,
        beneficiary_id=line.row.beneficiary_id,
        facility_id=line.row.facility_id,
        label=view.label,
        dosage_text=view.dosage_text,
        status=message.status,
        starts_on=order.starts_on,
        ends_on=order.ends_on if order.HasField("ends_on") else None,
        as_needed=order.dosage.HasField("as_needed"),
        nursing_act_required=order.nursing_act_required,
        poison_list=view.poison_list,
        fictive=view.fictive,
        prescriber_account_id=message.prescriber_account_id,
        review_outcome=message.review.outcome,
    )
    if line.status is LineStatus.SUSPENDED and message.pauses[-1].HasField("until"):
        told.suspended_until.CopyFrom(message.pauses[-1].until)
    return told
