"""Whom a service asks about."""

from __future__ import annotations

from dui_kit.calls.call import Call
from dui_kit.db.statements import Query
from dui_kit.db.tables import access_person
from sqlalchemy import ColumnElement, FromClause, bindparam, case, or_, select

_asked, _member = access_person.alias("asked"), access_person.alias("member")


def _answers_for(record: FromClause) -> ColumnElement[str]:
    # CASE, not COALESCE: under row-level security PostgreSQL would read every person of the association.
    return case((record.c.surviving_id.is_(None), record.c.beneficiary_id), else_=record.c.surviving_id)


_SURVIVOR = (
    select(_answers_for(_asked))
    .where(_asked.c.tenant_id == bindparam("tenant"), _asked.c.beneficiary_id == bindparam("id"))
    .scalar_subquery()
)
_PERSON = Query(
    select(_member.c.beneficiary_id)
    .where(
        _member.c.tenant_id == bindparam("tenant"),
        or_(_member.c.beneficiary_id == _SURVIVOR, _member.c.surviving_id == _SURVIVOR),
    )
    .order_by(_member.c.surviving_id.nulls_first(), _member.c.beneficiary_id)
)


def enter_person(call: Call, beneficiary_id: str) -> bool:
    """Takes a system call to a whole person, as the guard does for a call of somebody: the surviving record first, then those
    merged into it. False: no such record is known here."""
    ids = tuple(row.beneficiary_id for row in call.rows(_PERSON, id=beneficiary_id))
    if ids:
        call.beneficiary_id, call.beneficiary_ids = ids[0], ids
    return bool(ids)
