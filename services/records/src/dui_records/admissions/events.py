"""What a request for admission announces."""

from __future__ import annotations

from dui.access.v1 import facts_pb2
from dui.records.v1 import events_pb2
from dui_kit.db.columns import AnyRow
from dui_kit.times import to_timestamp

from dui_records.admissions.rules import AdmissionStatus, reach
from dui_records.beneficiaries.events import CLOCK_MARGIN


def admission_changed(row: AnyRow) -> events_pb2.AdmissionChanged:
    """The request, without its words."""
    return events_pb2.AdmissionChanged(
        admission_id=row.admission_id,
        version=row.version,
        beneficiary_id=row.beneficiary_id,
        facility_id=row.facility_id,
        status=row.status,
    )


def admission_perimeter(row: AnyRow) -> facts_pb2.PerimeterChanged:
    """The access that the request gives to its facility."""
    opened = reach(AdmissionStatus(row.status), row.decided_at)
    return facts_pb2.PerimeterChanged(
        fact_id=row.admission_id,
        version=row.version,
        beneficiary_id=row.beneficiary_id,
        facility_id=row.facility_id,
        admission_only=opened.admission_only,
        valid_from=to_timestamp(row.created_at - CLOCK_MARGIN),
        valid_to=to_timestamp(opened.valid_to) if opened.valid_to else None,
    )
