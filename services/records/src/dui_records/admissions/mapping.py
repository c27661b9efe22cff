"""Requests for admission as the contract says them."""

from __future__ import annotations

from dui.records.v1 import stays_pb2 as pb
from dui_kit.db.columns import AnyRow
from dui_kit.times import to_timestamp


def content_of(row: AnyRow) -> pb.Admission:
    """The content of a row, with its ids."""
    return pb.Admission(
        admission_id=row.admission_id,
        beneficiary_id=row.beneficiary_id,
        facility_id=row.facility_id,
        modality=row.modality,
        requested_on=row.requested_on.isoformat(),
        wished_entry_on=row.wished_entry_on.isoformat() if row.wished_entry_on else None,
        origin=row.origin,
        status=row.status,
        decision_reason=row.decision_reason,
        decided_at=to_timestamp(row.decided_at) if row.decided_at else None,
    )
