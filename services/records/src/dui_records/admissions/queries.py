"""Reading, locking and deciding requests for admission."""

from __future__ import annotations

from dui_kit.calls.call import Call
from dui_kit.calls.visibility import Place, may_decide_at
from dui_kit.db.columns import AnyRow
from dui_kit.errors import Refusal, not_found
from sqlalchemy import insert, select, update

from dui_records.admissions.events import admission_changed, admission_perimeter
from dui_records.admissions.mapping import to_version
from dui_records.admissions.rules import NOT_OF_THIS_FACILITY, AdmissionStatus, Decision, decided
from dui_records.admissions.tables import OPEN, admission

_a = admission.c
COLUMNS = tuple(_a)


def of_person(call: Call, admission_id: str, *, field: str, lock: bool = False) -> AnyRow:
    """A request of the person of the call; NOT_FOUND when it is anybody else's."""
    query = select(*COLUMNS).where(
        _a.tenant_id == call.tenant_id,
        _a.admission_id == admission_id,
        _a.beneficiary_id.in_(call.beneficiary_ids),
    )
    row = call.session.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        raise not_found(field)
    return row


def check_decides_at(call: Call, facility_id: str, unit_id: str | None = None) -> None:
    """Refuses a decision that belongs to a facility, or to a unit of it, where no assignment in force gives the caller the right
    to take it: that the person is also accompanied where the caller works is not enough."""
    call.facility_id = facility_id
    if not may_decide_at(call, Place(facility_id, unit_id)):
        raise Refusal(NOT_OF_THIS_FACILITY)


def add(call: Call, values: dict[str, object]) -> AnyRow:
    """Records a request, and announces it."""
    row = call.session.execute(
        insert(admission).returning(*COLUMNS),
        {
            "tenant_id": call.tenant_id,
            "admission_id": call.new_id(),
            "beneficiary_id": call.beneficiary_id,
            "created_at": call.now,
            **call.version_values(1),
            "status": int(AdmissionStatus.REQUESTED),
            **values,
        },
    ).one()
    return _announce(call, row)


def decide(call: Call, row: AnyRow, decision: Decision, reason: str | None = None) -> AnyRow:
    """Takes a decision on a locked request, and announces it."""
    status = decided(AdmissionStatus(row.status), decision)
    written = call.session.execute(
        update(admission)
        .where(_a.tenant_id == call.tenant_id, _a.admission_id == row.admission_id)
        .values(
            status=int(status),
            decision_reason=reason,
            decided_at=call.now,
            **call.version_values(row.version + 1),
        )
        .returning(*COLUMNS)
    ).one()
    return _announce(call, written)


def _announce(call: Call, row: AnyRow) -> AnyRow:
    call.save_version(
        entry_id=row.admission_id,
        version=row.version,
        message=to_version(row),
        beneficiary_id=row.beneficiary_id,
    )
    call.publish(admission_changed(row))
    call.publish(admission_perimeter(row))
    return row


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
