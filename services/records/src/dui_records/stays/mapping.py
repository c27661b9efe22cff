"""Between messages, rules and rows of a stay."""

from __future__ import annotations

from dui.records.v1 import stays_pb2 as pb
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


def content_of(row: AnyRow) -> pb.Stay:
    """The content of a row, with its ids."""
    return pb.Stay(
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
