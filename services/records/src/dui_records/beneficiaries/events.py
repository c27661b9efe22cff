"""What the identity of a person announces: ids, versions and status, never a trait."""

from __future__ import annotations

from datetime import datetime, timedelta

from dui.access.v1 import facts_pb2
from dui.records.v1 import events_pb2
from dui_kit.times import to_timestamp

#: How long the facility that opened a record may go on without recording a request for admission.
OPENING_PERIOD = timedelta(days=30)
#: Facts begin a little before they are written: the clocks of two machines may differ by that much.
CLOCK_MARGIN = timedelta(minutes=1)


def beneficiary_changed(beneficiary_id: str, version: int, status: int) -> events_pb2.BeneficiaryChanged:
    """A new version of an identity."""
    return events_pb2.BeneficiaryChanged(beneficiary_id=beneficiary_id, version=version, identity_status=status)


def person_changed(beneficiary_id: str, version: int, surviving_id: str | None) -> facts_pb2.PersonChanged:
    """A record exists, was merged or taken out."""
    return facts_pb2.PersonChanged(beneficiary_id=beneficiary_id, version=version, surviving_id=surviving_id)


def opening(
    beneficiary_id: str, facility_id: str, opened_at: datetime, closed_at: datetime | None = None
) -> facts_pb2.PerimeterChanged:
    """The facility that opens a record may prepare an admission. The fact has the id of the record: there is one opening,
    which ends after a time, or with the stay that takes over."""
    return facts_pb2.PerimeterChanged(
        fact_id=beneficiary_id,
        version=1 if closed_at is None else 2,
        beneficiary_id=beneficiary_id,
        facility_id=facility_id,
        admission_only=True,
        valid_from=to_timestamp(opened_at - CLOCK_MARGIN),
        valid_to=to_timestamp(closed_at or opened_at + OPENING_PERIOD),
    )
