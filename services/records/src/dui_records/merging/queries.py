"""Merging records in the database."""

from __future__ import annotations

from collections.abc import Sequence

from dui_kit.calls.call import Call
from dui_kit.calls.visibility import Place, may_decide_at, visible_beneficiaries
from dui_kit.errors import Refusal, not_found
from sqlalchemy import bindparam, insert, or_, select, update

from dui_records.beneficiaries.events import person_changed
from dui_records.beneficiaries.tables import beneficiary
from dui_records.merging.rules import MERGED_MEANWHILE, OUT_OF_REACH, Record, Records, group_of
from dui_records.merging.tables import beneficiary_merge

_b = beneficiary.c
_RECORD = select(_b.beneficiary_id, _b.merged_into_id, _b.surviving_id, _b.fictitious)


def lock_records(call: Call, fields: dict[str, str]) -> Records:
    """Locks the named records and all that are merged into them; `fields`: request field → id.

    Locks are taken in the order of the ids, so that two merges never wait for each other; the group is read before and
    after, because it may have changed while the locks were awaited.
    """
    named = set(fields.values())
    wanted = named | set(_group(call, named))
    locked = _RECORD.where(_b.tenant_id == call.tenant_id, _b.beneficiary_id.in_(sorted(wanted)))
    rows = call.session.execute(locked.order_by(_b.beneficiary_id).with_for_update(key_share=True))
    records = {
        row.beneficiary_id: Record(row.beneficiary_id, row.merged_into_id, row.surviving_id, row.fictitious)
        for row in rows
    }
    for field, beneficiary_id in fields.items():
        if beneficiary_id not in records:
            raise not_found(field)
    if not set(_group(call, named)) <= wanted:
        raise Refusal(MERGED_MEANWHILE)
    return records


def check_reach(call: Call, records: Records, *beneficiary_ids: str) -> None:
    """Refuses to merge, or to take apart, records that the caller may not reach each: a merge opens to whoever reaches one of
    them everything of the other."""
    if may_decide_at(call, Place(None)):
        return
    asked = visible_beneficiaries(call).subquery()
    known = sorted(records)
    reached = set(call.session.scalars(select(asked.c.beneficiary_id).where(asked.c.beneficiary_id.in_(known))))
    if not all(reached & group_of(records, beneficiary_id) for beneficiary_id in beneficiary_ids):
        raise Refusal(OUT_OF_REACH)


def _group(call: Call, ids: set[str]) -> Sequence[str]:
    """The named records' fellows: those merged into the same surviving record."""
    survivors = select(_b.surviving_id).where(
        _b.tenant_id == call.tenant_id, _b.beneficiary_id.in_(sorted(ids)), _b.surviving_id.is_not(None)
    )
    return call.session.scalars(
        select(_b.beneficiary_id).where(
            _b.tenant_id == call.tenant_id, or_(_b.surviving_id.in_(sorted(ids)), _b.surviving_id.in_(survivors))
        )
    ).all()


_MOVE = (
    update(beneficiary)
    .where(_b.tenant_id == bindparam("tenant"), _b.beneficiary_id == bindparam("id"))
    .values(
        merged_into_id=bindparam("into", type_=_b.merged_into_id.type),
        surviving_id=bindparam("survivor", type_=_b.surviving_id.type),
        person_version=_b.person_version + 1,
    )
    .returning(_b.person_version)
)


def apply(call: Call, kind: str, moved: Sequence[Record], *, surviving_id: str, merged_id: str, reason: str) -> None:
    """Writes where the records stand now, announces each, and keeps who did it and why."""
    for record in moved:
        version = call.session.execute(
            _MOVE,
            {
                "tenant": call.tenant_id,
                "id": record.beneficiary_id,
                "into": record.merged_into_id,
                "survivor": record.surviving_id,
            },
        ).scalar_one()
        call.publish(person_changed(record.beneficiary_id, version, record.surviving_id))
    call.session.execute(
        insert(beneficiary_merge),
        {
            "tenant_id": call.tenant_id,
            "merge_id": call.new_id(),
            "kind": kind,
            "surviving_id": surviving_id,
            "merged_id": merged_id,
            "moved_ids": [record.beneficiary_id for record in moved],
            "reason": reason,
            "author_account_id": call.caller.account_id,
            "recorded_at": call.now,
        },
    )
