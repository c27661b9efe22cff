"""Requests for admission: what they are, and decisions on them."""

from __future__ import annotations

from dui_kit.calls.call import Call
from dui_kit.calls.versioned import Versioned
from dui_kit.calls.visibility import Place, may_decide_at
from dui_kit.db.columns import AnyRow
from dui_kit.errors import Refusal
from sqlalchemy import select

from dui_records.admissions.events import admission_changed, admission_perimeter
from dui_records.admissions.mapping import content_of
from dui_records.admissions.rules import NOT_OF_THIS_FACILITY, AdmissionStatus, Decision, decided
from dui_records.admissions.tables import OPEN, admission

_a = admission.c
ADMISSION = Versioned(admission, content_of, events=(admission_changed, admission_perimeter))


def check_decides_at(call: Call, facility_id: str, unit_id: str | None = None) -> None:
    """Refuses a decision that belongs to a facility, or to a unit of it, where no assignment in force gives the caller the right
    to take it: that the person is also accompanied where the caller works is not enough."""
    call.facility_id = facility_id
    if not may_decide_at(call, Place(facility_id, unit_id)):
        raise Refusal(NOT_OF_THIS_FACILITY)


def decide(call: Call, row: AnyRow, decision: Decision, reason: str | None = None) -> AnyRow:
    """Takes a decision on a locked request, and announces it."""
    status = decided(AdmissionStatus(row.status), decision)
    return ADMISSION.write(call, row, {"status": int(status), "decision_reason": reason, "decided_at": call.now})


def another_is_open(call: Call, row: AnyRow) -> bool:
    """Whether the person has another open request for the same facility and modality."""
    query = select(_a.admission_id).where(
        _a.tenant_id == call.tenant_id,
        _a.beneficiary_id == row.beneficiary_id,
        _a.facility_id == row.facility_id,
        _a.modality == row.modality,
        _a.admission_id != row.admission_id,
        OPEN,
    )
    return call.session.scalar(query.limit(1)) is not None
