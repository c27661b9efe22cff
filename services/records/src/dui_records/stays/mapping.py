"""Between messages, rules and rows of a stay."""

from __future__ import annotations

from dui.records.v1 import stays_pb2 as pb
from dui_kit.calls.call import Call
from dui_kit.calls.stamps import stamp_version
from dui_kit.db.columns import AnyRow

from dui_records.stays.rules import ExitReason, Stay, StayModality


def stay_of_row(row: AnyRow) -> Stay:
    """What the rules need of a stay."""
    return Stay(
        facility_id=row.facility_id,
        modality=StayModality(row.modality),
        started_on=row.started_on,
        expected_end_on=row.expected_end_on,
        ended_on=row.ended_on,
        exit_reason=ExitReason(row.exit_reason),
    )


def to_version(row: AnyRow) -> pb.Stay:
    """The version that a row holds, as it goes to the history."""
    message = pb.Stay(
        stay_id=row.stay_id,
        beneficiary_id=row.beneficiary_id,
        admission_id=row.admission_id,
        facility_id=row.facility_id,
        modality=row.modality,
        unit_id=row.unit_id,
        room=row.room,
        started_on=row.started_on.isoformat(),
        expected_end_on=row.expected_end_on.isoformat() if row.expected_end_on else None,
        ended_on=row.ended_on.isoformat() if row.ended_on else None,
        exit_reason=row.exit_reason,
    )
    stamp_version(message.version, row)
    return message


def to_proto(call: Call, row: AnyRow) -> pb.Stay:
    """The stay, as its readers get it."""
    message = to_version(row)
    message.etag = call.etag(row.stay_id, row.version)
    return message
