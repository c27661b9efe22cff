"""What a stay announces."""

from __future__ import annotations

from dui.access.v1 import facts_pb2
from dui.records.v1 import events_pb2
from dui_kit.db.columns import AnyRow
from dui_kit.times import to_timestamp

from dui_records.beneficiaries.events import CLOCK_MARGIN
from dui_records.stays.mapping import stay_of_row
from dui_records.stays.rules import reach


def stay_changed(row: AnyRow) -> events_pb2.StayChanged:
    """The stay, without the room."""
    return events_pb2.StayChanged(
        stay_id=row.stay_id,
        version=row.version,
        beneficiary_id=row.beneficiary_id,
        facility_id=row.facility_id,
        unit_id=row.unit_id,
        modality=row.modality,
        started_on=row.started_on.isoformat(),
        ended_on=row.ended_on.isoformat() if row.ended_on else None,
        exit_reason=row.exit_reason,
    )


def stay_perimeter(row: AnyRow) -> facts_pb2.PerimeterChanged:
    """The access that the stay gives to its facility, or to its unit."""
    opened = reach(stay_of_row(row), row.created_at - CLOCK_MARGIN)
    return facts_pb2.PerimeterChanged(
        fact_id=row.stay_id,
        version=row.version,
        beneficiary_id=row.beneficiary_id,
        facility_id=row.facility_id,
        unit_id=row.unit_id,
        admission_only=False,
        valid_from=to_timestamp(opened.valid_from),
        valid_to=to_timestamp(opened.valid_to) if opened.valid_to else None,
    )
