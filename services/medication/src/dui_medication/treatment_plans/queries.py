"""Reading a treatment plan: its lines, and whether a prescriber has looked at those of several records together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from dui_kit.calls.call import Call
from dui_kit.days import latest_day
from dui_kit.db.statements import Query
from dui_kit.db.tables import access_person
from sqlalchemy import any_, bindparam, insert, select
from sqlalchemy.dialects.postgresql import ARRAY, UUID

from dui_medication.prescriptions import lines
from dui_medication.prescriptions.lines import Line
from dui_medication.treatment_plans.rules import ENDED_DAYS, is_to_review
from dui_medication.treatment_plans.tables import plan_confirmation

_c, _p = plan_confirmation.c, access_person.c
_CONFIRMED = Query(
    select(_c.beneficiary_ids, _c.person_versions)
    .where(_c.tenant_id == bindparam("tenant"), _c.beneficiary_id == bindparam("person"))
    .order_by(_c.plan_confirmation_id.desc())
    .limit(20)
)
#: The records of a person, each with the version that a merge or its undoing makes greater.
_RECORDS = Query(
    select(_p.beneficiary_id, _p.version).where(
        _p.tenant_id == bindparam("tenant"),
        _p.beneficiary_id == any_(bindparam("persons", type_=ARRAY(UUID(as_uuid=False)))),
    )
)
_CONFIRM = Query(insert(plan_confirmation).values(tenant_id=bindparam("tenant")))


@dataclass(frozen=True, slots=True)
class Plan:
    """The treatment of a person."""

    lines: Sequence[Line]
    #: Those that ended in the last days.
    ended: Sequence[Line]
    to_review: bool
    #: Nothing was left out: there were fewer lines than are read at once.
    complete: bool


def plan_of(call: Call) -> Plan:
    """The treatment of the person of the call, merged records included."""
    found = lines.since(call, latest_day(call.now) - timedelta(days=ENDED_DAYS + 1))
    current = [line for line in found if line.in_force]
    ended = [line for line in found if not line.in_force]
    to_review = _is_to_review(call, treated=bool(current))
    return Plan(current, ended, to_review, complete=len(found) < lines.MOST)


def _is_to_review(call: Call, *, treated: bool) -> bool:
    # Most people have one record: their plan is one query.
    if not treated or len(call.beneficiary_ids) == 1:
        return False
    confirmed = [
        dict(zip(row.beneficiary_ids, row.person_versions, strict=True))
        for row in call.rows(_CONFIRMED, person=call.beneficiary_id)
    ]
    return is_to_review(_records(call), treated=treated, confirmed=confirmed)


def _records(call: Call) -> dict[str, int]:
    return {row.beneficiary_id: row.version for row in call.rows(_RECORDS, persons=list(call.beneficiary_ids))}


def confirm(call: Call, line_ids: Sequence[str]) -> None:
    """Keeps that the caller has looked at the lines of all records of the person, as these are now."""
    records = _records(call)
    call.write(
        _CONFIRM,
        plan_confirmation_id=call.new_id(),
        beneficiary_id=call.beneficiary_id,
        beneficiary_ids=list(records),
        person_versions=list(records.values()),
        line_ids=sorted(line_ids),
        author_account_id=call.caller.account_id,
        recorded_at=call.now,
    )
