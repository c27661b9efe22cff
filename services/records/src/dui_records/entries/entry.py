"""The one mechanism of versioned entries: a capability says what its kind of entry is, and gets the five operations.

A write appends a version to `entry_version`, replaces the current row, and announces the kinds that have an event.
Whatever the operation, an entry is matched with the person of the call: an entry of somebody else is NOT_FOUND.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Generic, TypeVar

from dui.records.v1 import allergies_pb2, handover_notes_pb2, medical_history_pb2, relations_pb2
from dui_kit.call import Call
from dui_kit.errors import not_found
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from sqlalchemy import ColumnElement, Table, bindparam, insert, select, update

from dui_records.columns import AnyRow
from dui_records.drafts.queries import finish
from dui_records.entries.rules import check_reason
from dui_records.stamps import stamp_version

Entry = TypeVar(
    "Entry",
    allergies_pb2.Allergy,
    handover_notes_pb2.HandoverNote,
    medical_history_pb2.MedicalEvent,
    relations_pb2.Relation,
)


def anybody(_: Call, __: AnyRow) -> None:
    """Whoever may write entries of the kind may correct this one."""


@dataclass(frozen=True, slots=True, eq=False)
class Kind(Generic[Entry]):
    """One kind of entry."""

    #: Name of the entry in requests and of its table.
    name: str
    table: Table
    message: type[Entry]
    #: Refuses an entry that cannot be; given now.
    check: Callable[[Entry, datetime], None]
    #: The columns of an entry; given now.
    values: Callable[[Entry, datetime], dict[str, object]]
    #: The content of a row, with its ids; its version and its etag are set here.
    read: Callable[[AnyRow], Entry]
    #: The event of a row, for the kinds that other services follow.
    changed: Callable[[AnyRow], Message] | None = None
    #: Which entries the caller may touch, beyond the rule of the RPC.
    within: Callable[[Call], ColumnElement[bool]] | None = None
    #: Refuses a correction that is not the caller's to make.
    check_corrector: Callable[[Call, AnyRow], None] = anybody

    @property
    def id(self) -> Any:
        """The column of the ids."""
        return self.table.c[f"{self.name}_id"]


def create(call: Call, kind: Kind[Entry], entry: Entry, draft_id: str) -> Entry:
    """Adds an entry; the draft that it finishes, when there is one, goes with the same commit."""
    kind.check(entry, call.now)
    if draft_id:
        finish(call, kind.name, draft_id)
    row = call.session.execute(
        _insert(kind),
        {
            "tenant_id": call.tenant_id,
            f"{kind.name}_id": call.new_id(),
            "beneficiary_id": call.beneficiary_id,
            "version": 1,
            "author_account_id": call.caller.account_id,
            "recorded_at": call.now,
            "created_at": call.now,
            "reason": None,
            **kind.values(entry, call.now),
        },
    ).one()
    return _announce(call, kind, row)


def get(call: Call, kind: Kind[Entry], entry_id: str) -> Entry:
    """The current version of an entry."""
    return to_entry(kind, _one(call, kind, entry_id, lock=False))


def page(call: Call, kind: Kind[Entry], request: Message) -> tuple[list[Entry], str]:
    """A page of the entries of the person, newest first, and the token of the next one."""
    asked = call.page(request)
    query = select(*_columns(kind)).where(*_of_person(call, kind)).order_by(kind.id.desc()).limit(asked.size + 1)
    if asked.after:
        query = query.where(kind.id < asked.after[0])
    rows, token = asked.cut(call.session.execute(query).all(), key=lambda row: (row.entry_id,))
    return [to_entry(kind, row) for row in rows], token


def correct(call: Call, kind: Kind[Entry], entry_id: str, change: Entry, mask: FieldMask) -> Entry:
    """Writes the next version of an entry, with its reason."""
    row = _one(call, kind, entry_id, lock=True)
    kind.check_corrector(call, row)
    call.check_etag(row.entry_id, row.version)
    current = _version(kind, row)
    current.ClearField("reason")  # a reason belongs to the version that it explains
    entry = call.apply_mask(current, change, mask, prefix=kind.name)
    check_reason(entry.reason)
    kind.check(entry, call.now)
    written = call.session.execute(
        _update(kind).values(
            **kind.values(entry, call.now),
            reason=entry.reason.strip(),
            version=row.version + 1,
            author_account_id=call.caller.account_id,
            recorded_at=call.now,
        ),
        {"tenant": call.tenant_id, "id": row.entry_id},
    ).one()
    return _announce(call, kind, written)


def history(call: Call, kind: Kind[Entry], entry_id: str, request: Message) -> tuple[list[Entry], str]:
    """A page of the versions of an entry, newest first, and the token of the next one."""
    row = _one(call, kind, entry_id, lock=False)
    return call.versions(row.entry_id, kind.message, call.page(request))


def to_entry(kind: Kind[Entry], row: AnyRow) -> Entry:
    """The entry of a row, as its readers get it."""
    entry = _version(kind, row)
    entry.etag = Call.etag(row.entry_id, row.version)
    return entry


def _version(kind: Kind[Entry], row: AnyRow) -> Entry:
    """The version that a row holds, as it goes to the history."""
    entry = kind.read(row)
    stamp_version(entry.version, row)
    return entry


@cache
def _columns(kind: Kind[Any]) -> tuple[Any, ...]:
    content = (column for column in kind.table.c if column.name not in {"tenant_id", f"{kind.name}_id"})
    return (kind.id.label("entry_id"), *content)


@cache
def _insert(kind: Kind[Any]) -> Any:
    return insert(kind.table).returning(*_columns(kind))


@cache
def _update(kind: Kind[Any]) -> Any:
    one = (kind.table.c.tenant_id == bindparam("tenant"), kind.id == bindparam("id"))
    return update(kind.table).where(*one).returning(*_columns(kind))


def _of_person(call: Call, kind: Kind[Any]) -> list[ColumnElement[bool]]:
    person = kind.table.c.beneficiary_id
    ids = call.beneficiary_ids
    conditions = [kind.table.c.tenant_id == call.tenant_id, person == ids[0] if len(ids) == 1 else person.in_(ids)]
    if kind.within is not None:
        conditions.append(kind.within(call))
    return conditions


def _one(call: Call, kind: Kind[Any], entry_id: str, *, lock: bool) -> AnyRow:
    query = select(*_columns(kind)).where(*_of_person(call, kind), kind.id == entry_id)
    row = call.session.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        raise not_found(f"{kind.name}_id")
    return row


def _announce(call: Call, kind: Kind[Entry], row: AnyRow) -> Entry:
    entry = _version(kind, row)
    call.save_version(entry_id=row.entry_id, version=row.version, message=entry, beneficiary_id=row.beneficiary_id)
    if kind.changed is not None:
        call.publish(kind.changed(row))
    entry.etag = call.etag(row.entry_id, row.version)
    return entry
