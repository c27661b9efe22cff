"""The one mechanism of versioned entries: a capability says what its kind of entry is, and gets the five operations.

A write appends a version to `entry_version`, replaces the current row, and announces the kinds that have an event.
Whatever the operation, an entry is matched with the person of the call: an entry of somebody else is NOT_FOUND.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Generic, TypeVar

from dui.records.v1 import allergies_pb2, handover_notes_pb2, medical_events_pb2, relations_pb2
from dui_kit.calls.call import Call
from dui_kit.calls.stamps import stamp_version
from dui_kit.db.columns import AnyRow
from dui_kit.db.statements import Query
from dui_kit.errors import Reason, not_found
from dui_kit.wire.contract import ALL_CATEGORIES
from dui_kit.wire.texts import RIGHT_MISSING
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from sqlalchemy import (
    Column,
    ColumnElement,
    Select,
    SmallInteger,
    Table,
    any_,
    bindparam,
    insert,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, UUID

from dui_records.drafts.queries import finish
from dui_records.entries.rules import check_reason

Entry = TypeVar(
    "Entry",
    allergies_pb2.Allergy,
    handover_notes_pb2.HandoverNote,
    medical_events_pb2.MedicalEvent,
    relations_pb2.Relation,
)


def anybody(_: Call, __: AnyRow) -> None:
    """Whoever may write entries of the kind may correct this one."""


def beside_any(_: Call, __: AnyRow | None, ___: object) -> None:
    """An entry of the kind may stand beside any others."""


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
    #: The column of the category that decides who may touch an entry, named like the field of its message: every operation here
    #: asks for it. None: the rule of the RPC decides alone.
    category: Column[int] | None = None
    #: Refuses a correction that is not the caller's to make.
    check_corrector: Callable[[Call, AnyRow], None] = anybody
    #: Refuses an entry that may not stand beside another one of the person; given the row that it corrects, None: it is new.
    check_beside: Callable[[Call, AnyRow | None, Entry], None] = beside_any

    @property
    def id(self) -> Any:
        """The column of the ids."""
        return self.table.c[f"{self.name}_id"]


def create(call: Call, kind: Kind[Entry], entry: Entry, draft_id: str = "") -> Entry:
    """Adds an entry; the draft that it finishes, when there is one, goes with the same commit."""
    kind.check(entry, call.now)
    kind.check_beside(call, None, entry)
    if draft_id:
        finish(call, kind.name, draft_id)
    values = {
        f"{kind.name}_id": call.new_id(),
        "beneficiary_id": call.beneficiary_id,
        "created_at": call.now,
        "reason": None,
        **call.version_values(1),
        **kind.values(entry, call.now),
    }
    _require(call, kind, values)
    call.write(_insert(kind), **values)
    return _announce(call, kind, _row(kind)(entry_id=values[f"{kind.name}_id"], **_content(kind, values)))


def get(call: Call, kind: Kind[Entry], entry_id: str) -> Entry:
    """The current version of an entry."""
    return to_entry(kind, _one(call, kind, entry_id, lock=False))


def page(call: Call, kind: Kind[Entry], request: Message) -> tuple[list[Entry], str]:
    """A page of the entries of the person, newest first, and the token of the next one."""
    asked = call.page(request)
    query = _page(kind, one=len(call.beneficiary_ids) == 1, continued=asked.after is not None)
    values = _values(call) | {"size": asked.size + 1, "after": asked.after[0] if asked.after else None}
    rows, token = asked.cut(call.rows(query, **values), key=lambda row: (row.entry_id,))
    return [to_entry(kind, row) for row in rows], token


def correct(call: Call, kind: Kind[Entry], entry_id: str, change: Entry, mask: FieldMask) -> Entry:
    """Writes the next version of an entry, with its reason; its category before and after has to be open to the caller."""
    row = _one(call, kind, entry_id, lock=True)
    kind.check_corrector(call, row)
    call.check_etag(row.entry_id, row.version)
    current = _version(kind, row)
    current.ClearField("reason")  # a reason belongs to the version that it explains
    entry = call.apply_mask(current, change, mask, prefix=kind.name)
    check_reason(entry.reason)
    kind.check(entry, call.now)
    kind.check_beside(call, row, entry)
    values = {
        **kind.values(entry, call.now),
        "reason": entry.reason.strip(),
        **call.version_values(row.version + 1),
    }
    _require(call, kind, values)
    call.write(_update(kind), id=row.entry_id, **values)
    return _announce(call, kind, row._replace(**values))


def history(call: Call, kind: Kind[Entry], entry_id: str, request: Message) -> tuple[list[Entry], str]:
    """A page of the versions of an entry, newest first, and the token of the next one; without the versions of a category that
    is closed to the caller."""
    row = _one(call, kind, entry_id, lock=False)
    versions, token = call.versions(row.entry_id, kind.message, call.page(request))
    if kind.category is not None:
        versions = [version for version in versions if getattr(version, kind.category.name) in call.categories]
    return versions, token


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


# Statements are built once for each kind: building them again for each call would cost as much as running them.


def _content(kind: Kind[Any], values: Mapping[str, object]) -> dict[str, object]:
    return {name: values[name] for name in _names(kind)}


@cache
def _names(kind: Kind[Any]) -> tuple[str, ...]:
    """The columns that `read` needs, but for the id."""
    return tuple(column.name for column in kind.table.c if column.name not in {"tenant_id", f"{kind.name}_id"})


@cache
def _row(kind: Kind[Any]) -> Any:
    """A row as `_columns` reads it, of an entry that is being written."""
    return namedtuple("Row", ("entry_id", *_names(kind)))  # noqa: PYI024 (its columns are the kind's)


@cache
def _columns(kind: Kind[Any]) -> tuple[ColumnElement[Any], ...]:
    return (kind.id.label("entry_id"), *(kind.table.c[name] for name in _names(kind)))


@cache
def _insert(kind: Kind[Any]) -> Query:
    return Query(insert(kind.table).values(tenant_id=bindparam("tenant")))


@cache
def _update(kind: Kind[Any]) -> Query:
    return Query(update(kind.table).where(kind.table.c.tenant_id == bindparam("tenant"), kind.id == bindparam("id")))


def _of_person(kind: Kind[Any], *, one: bool) -> Select[Any]:
    """The entries of a person that the caller may touch; `one`: no record is merged with theirs, as is usual, and the
    index then gives them in their order."""
    person = kind.table.c.beneficiary_id
    mine = (
        person == bindparam("person") if one else person == any_(bindparam("persons", type_=ARRAY(UUID(as_uuid=False))))
    )
    query = select(*_columns(kind)).where(kind.table.c.tenant_id == bindparam("tenant"), mine)
    if kind.category is None:
        return query
    return query.where(kind.category == any_(bindparam("categories", type_=ARRAY(SmallInteger))))


@cache
def _page(kind: Kind[Any], *, one: bool, continued: bool) -> Query:
    query = _of_person(kind, one=one).order_by(kind.id.desc()).limit(bindparam("size"))
    return Query(query.where(kind.id < bindparam("after")) if continued else query)


@cache
def _lookup(kind: Kind[Any], *, one: bool, lock: bool) -> Query:
    query = _of_person(kind, one=one).where(kind.id == bindparam("id"))
    return Query(query.with_for_update() if lock else query)


def _values(call: Call) -> dict[str, Any]:
    return {
        "person": call.beneficiary_id,
        "persons": list(call.beneficiary_ids),
        "categories": sorted(call.categories),
    }


def _one(call: Call, kind: Kind[Any], entry_id: str, *, lock: bool) -> AnyRow:
    query = _lookup(kind, one=len(call.beneficiary_ids) == 1, lock=lock)
    row = call.row(query, id=entry_id, **_values(call))
    if row is None:
        raise not_found(f"{kind.name}_id", because=_closed(call, kind, entry_id))
    _require(call, kind, row._asdict())
    return row


def _require(call: Call, kind: Kind[Any], values: Mapping[str, Any]) -> None:
    """Refuses an entry of a category that is closed to the caller; the journal keeps the category."""
    if kind.category is not None:
        call.require(values[kind.category.name])


def _closed(call: Call, kind: Kind[Any], entry_id: str) -> Reason | None:
    """Why an entry is not there for the caller, when it is there: its category is closed to them."""
    if kind.category is None:
        return None
    values = _values(call) | {"categories": sorted(ALL_CATEGORIES)}
    query = _lookup(kind, one=len(call.beneficiary_ids) == 1, lock=False)
    return RIGHT_MISSING if call.row(query, id=entry_id, **values) else None


def _announce(call: Call, kind: Kind[Entry], row: AnyRow) -> Entry:
    entry = _version(kind, row)
    call.save_version(entry_id=row.entry_id, version=row.version, message=entry, beneficiary_id=row.beneficiary_id)
    if kind.changed is not None:
        call.publish(kind.changed(row))
    entry.etag = call.etag(row.entry_id, row.version)
    return entry
