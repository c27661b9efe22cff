"""Drafts and signed prescriptions as rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Any

from dui.medication.v1 import prescriptions_pb2 as pb
from dui_kit.calls.call import Call
from dui_kit.calls.stamps import stamp_version
from dui_kit.db.columns import AnyRow
from dui_kit.db.statements import Query
from dui_kit.db.transaction import Transaction
from dui_kit.errors import not_found
from google.protobuf.message import Message
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Table,
    Text,
    and_,
    any_,
    bindparam,
    cast,
    delete,
    func,
    insert,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, UUID

from dui_medication.prescriptions.lines import LAST_ID
from dui_medication.prescriptions.rules import DRAFT_LIFETIME
from dui_medication.prescriptions.tables import prescription, prescription_draft

_d, _p = prescription_draft.c, prescription.c
#: Of prescriptions on one page, which is shorter than asked for where they are long: an answer has 4 MiB.
MOST_BYTES = 3 << 20
#: Drafts that one run of the job deletes in one transaction.
BATCH = 1000

_persons = bindparam("persons", type_=ARRAY(UUID(as_uuid=False)))
_own = and_(
    _d.tenant_id == bindparam("tenant"),
    _d.beneficiary_id == any_(_persons),
    _d.author_account_id == bindparam("account_id"),
    _d.expires_at > bindparam("now"),
)
_theirs = and_(_p.tenant_id == bindparam("tenant"), _p.beneficiary_id == any_(_persons))


_COLUMNS = ("prescription_id", "beneficiary_id", "version", "author_account_id", "recorded_at", "content")


def _columns(table: Table) -> list[Column[Any]]:
    return [table.c[name] for name in _COLUMNS]


_drafts, _signed = select(*_columns(prescription_draft)), select(*_columns(prescription))
_DRAFT = Query(_drafts.where(_own, _d.prescription_id == bindparam("id")))
_LOCKED = Query(_drafts.where(_own, _d.prescription_id == bindparam("id")).with_for_update())
_SIGNED = Query(_signed.where(_theirs, _p.prescription_id == bindparam("id")))
_who = func.unnest(cast(_persons, ARRAY(UUID(as_uuid=False)))).table_valued("id").render_derived(name="who")


def _newest(table: Table, *conditions: ColumnElement[bool]) -> Query:
    """A page of a table, newest first; of each record of the person by itself, since only so an index has the order."""
    t = table.c
    own = (
        select(*_columns(table))
        .where(t.tenant_id == bindparam("tenant"), t.beneficiary_id == _who.c.id, *conditions)
        .where(t.prescription_id < bindparam("before", type_=UUID(as_uuid=False)))
        .order_by(t.prescription_id.desc())
        .limit(bindparam("size"))
        .lateral("own")
    )
    return Query(
        select(*own.c)
        .select_from(_who.join(own, true()))
        .order_by(own.c.prescription_id.desc())
        .limit(bindparam("size"))
    )


_OWN_PAGE = _newest(
    prescription_draft, _d.author_account_id == bindparam("account_id"), _d.expires_at > bindparam("now")
)
_PAGE = _newest(prescription)
_ADD = Query(insert(prescription_draft).values(tenant_id=bindparam("tenant")))
_CHANGE = Query(
    update(prescription_draft).where(_d.tenant_id == bindparam("tenant"), _d.prescription_id == bindparam("id"))
)
_DELETE = Query(
    delete(prescription_draft).where(_d.tenant_id == bindparam("tenant"), _d.prescription_id == bindparam("id"))
)
_SIGN = Query(insert(prescription).values(tenant_id=bindparam("tenant")))
#: Held until the commit: two prescriptions of one person are checked one after the other, or neither would see the other.
_LOCK_PERSON = Query(
    select(
        func.pg_advisory_xact_lock(
            func.hashtextextended(bindparam("person", type_=Text()), bindparam("seed", type_=BigInteger()))
        ).label("locked")
    )
)
_SEED = 7_315_004


def _values(call: Call) -> dict[str, object]:
    return {"persons": list(call.beneficiary_ids), "account_id": call.caller.account_id, "now": call.now}


def lock_person(call: Call) -> None:
    """Nobody else signs for the person of the call until the commit."""
    call.rows(_LOCK_PERSON, person=f"{call.tenant_id}|{call.beneficiary_id}", seed=_SEED)


def draft(call: Call, prescription_id: str, *, lock: bool = False) -> AnyRow | None:
    """The caller's own draft; None: there is none of that id."""
    return call.row(_LOCKED if lock else _DRAFT, id=prescription_id, **_values(call))


def signed(call: Call, prescription_id: str) -> AnyRow | None:
    """A signed prescription of the person of the call; None: there is none of that id."""
    return call.row(_SIGNED, id=prescription_id, persons=list(call.beneficiary_ids))


def one(call: Call, prescription_id: str) -> AnyRow:
    """A signed prescription of the person, or the caller's own draft; NOT_FOUND when it is neither."""
    both = call.together(
        (_SIGNED, {"id": prescription_id, "persons": list(call.beneficiary_ids)}),
        (_DRAFT, {"id": prescription_id, **_values(call)}),
    )
    for found in both:
        if found:
            return found[0]
    raise not_found("prescription_id")


def page(call: Call, request: Message) -> tuple[list[AnyRow], str]:
    """A page of the signed prescriptions and of the caller's own drafts, newest first, and the token of the next one."""
    asked = call.page(request)
    values = {"before": asked.after[0] if asked.after else LAST_ID, "size": asked.size + 1}
    both = call.together(
        (_PAGE, {"persons": list(call.beneficiary_ids), **values}), (_OWN_PAGE, {**_values(call), **values})
    )
    newest = sorted((row for rows in both for row in rows), key=lambda row: row.prescription_id, reverse=True)
    size = _fitting(newest[: asked.size])
    kept, token = replace(asked, size=size).cut(newest[: size + 1], key=lambda row: (row.prescription_id,))
    return list(kept), token


def _fitting(rows: Sequence[AnyRow]) -> int:
    """How many of the first rows go into one answer: at least one, which fits by itself."""
    sizes = accumulate(len(row.content) for row in rows)
    return max(1, sum(size <= MOST_BYTES for size in sizes))


def shown(row: AnyRow) -> pb.Prescription:
    """A prescription, as its readers get it."""
    message = pb.Prescription.FromString(row.content)
    stamp_version(message.version, row)
    message.etag = Call.etag(row.prescription_id, row.version)
    return message


def keep(call: Call, message: pb.Prescription) -> pb.Prescription:
    """Keeps a new draft."""
    message.prescription_id, message.beneficiary_id = call.new_id(), call.beneficiary_id
    message.status = pb.PRESCRIPTION_STATUS_DRAFT
    values = {
        "prescription_id": message.prescription_id,
        "beneficiary_id": call.beneficiary_id,
        "content": message.SerializeToString(),
        **call.version_values(1),
    }
    call.write(_ADD, expires_at=call.now + DRAFT_LIFETIME, **values)
    return _stamped(call, message, 1)


def change(call: Call, row: AnyRow, message: pb.Prescription) -> pb.Prescription:
    """Changes a locked draft."""
    version = row.version + 1
    call.write(_CHANGE, id=row.prescription_id, content=message.SerializeToString(), **call.version_values(version))
    return _stamped(call, message, version)


def forget(call: Call, row: AnyRow) -> None:
    """Deletes a locked draft."""
    call.write(_DELETE, id=row.prescription_id)


def sign(call: Call, row: AnyRow, message: pb.Prescription) -> pb.Prescription:
    """A locked draft becomes a signed prescription."""
    forget(call, row)
    version = row.version + 1
    call.write(
        _SIGN,
        prescription_id=row.prescription_id,
        beneficiary_id=message.beneficiary_id,
        facility_id=message.facility_id,
        content=message.SerializeToString(),
        **call.version_values(version),
    )
    return _stamped(call, message, version)


def _stamped(call: Call, message: pb.Prescription, version: int) -> pb.Prescription:
    answer = pb.Prescription()
    answer.CopyFrom(message)
    answer.version.version = version
    answer.version.author_account_id = call.caller.account_id or ""
    answer.version.recorded_at.FromDatetime(call.now)
    answer.etag = call.etag(message.prescription_id, version)
    return answer


def delete_expired(transaction: Transaction) -> int:
    """Deletes up to a batch of the drafts of an association that expired; returns how many."""
    own = _d.tenant_id == transaction.tenant_id
    expired = select(_d.prescription_id).where(own, _d.expires_at <= transaction.now).limit(BATCH)
    # As an array: joined to it, all drafts of the association would be read.
    ids = func.array(expired.scalar_subquery(), type_=ARRAY(UUID(as_uuid=False)))
    gone = delete(prescription_draft).where(own, _d.prescription_id == any_(ids)).returning(_d.prescription_id)
    return len(transaction.session.scalars(gone).all())
