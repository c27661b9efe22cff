"""The one mechanism of entries: a capability says what its kind of entry is, and gets the five operations.

Their rows are `dui_kit.calls.versioned`; here is what entries add: a category that decides who may touch one, and corrections
with a reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, TypeVar

from dui.records.v1 import allergies_pb2, handover_notes_pb2, medical_events_pb2, relations_pb2
from dui_kit.calls.call import Call
from dui_kit.calls.versioned import Versioned
from dui_kit.db.columns import AnyRow
from dui_kit.db.statements import Query
from dui_kit.errors import not_found
from dui_kit.wire.texts import RIGHT_MISSING
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from sqlalchemy import Column, SmallInteger, any_, bindparam, select
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


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Kind(Versioned[Entry]):
    """One kind of entry; its table has the name of the entry in requests."""

    #: Refuses an entry that cannot be; given now.
    check: Callable[[Entry, datetime], None]
    #: The columns of an entry; given now.
    values: Callable[[Entry, datetime], dict[str, object]]
    #: The column of the category that decides who may touch an entry, named like the field of its message: every operation here
    #: asks for it. None: the rule of the RPC decides alone.
    category: Column[int] | None = None
    #: Refuses a correction that is not the caller's to make.
    check_corrector: Callable[[Call, AnyRow], None] = anybody
    #: Refuses an entry that may not stand beside another one of the person; given the row that it corrects, None: it is new.
    check_beside: Callable[[Call, AnyRow | None, Entry], None] = beside_any


def create(call: Call, kind: Kind[Entry], entry: Entry, draft_id: str = "") -> Entry:
    """Adds an entry; the draft that it finishes, when there is one, goes with the same commit."""
    kind.check(entry, call.now)
    kind.check_beside(call, None, entry)
    if draft_id:
        finish(call, kind.table.name, draft_id)
    values = kind.values(entry, call.now)
    _require(call, kind, values)
    return kind.to_message(kind.add(call, values))


def get(call: Call, kind: Kind[Entry], entry_id: str) -> Entry:
    """The current version of an entry."""
    return kind.to_message(_one(call, kind, entry_id))


def page(call: Call, kind: Kind[Entry], request: Message) -> tuple[list[Entry], str]:
    """A page of the entries of the person, newest first, and the token of the next one."""
    asked = call.page(request)
    query = _page(kind, one=len(call.beneficiary_ids) == 1, continued=asked.after is not None)
    values = {
        "person": call.beneficiary_id,
        "persons": list(call.beneficiary_ids),
        "categories": sorted(call.categories),
        "size": asked.size + 1,
        "after": asked.after[0] if asked.after else None,
    }
    rows, token = asked.cut(call.rows(query, **values), key=lambda row: (kind.id_of(row),))
    return [kind.to_message(row) for row in rows], token


def correct(call: Call, kind: Kind[Entry], entry_id: str, change: Entry, mask: FieldMask) -> Entry:
    """Writes the next version of an entry, with its reason; its category before and after has to be open to the caller."""
    row = _one(call, kind, entry_id, lock=True)
    kind.check_corrector(call, row)
    call.check_etag(entry_id, row.version)
    current = kind.read(row)
    current.ClearField("reason")  # a reason belongs to the version that it explains
    entry = call.apply_mask(current, change, mask, prefix=kind.table.name)
    check_reason(entry.reason)
    kind.check(entry, call.now)
    kind.check_beside(call, row, entry)
    values = kind.values(entry, call.now) | {"reason": entry.reason.strip()}
    _require(call, kind, values)
    return kind.to_message(kind.write(call, row, values))


def history(call: Call, kind: Kind[Entry], entry_id: str, request: Message) -> tuple[list[Entry], str]:
    """A page of the versions of an entry, newest first, and the token of the next one; without the versions of a category that
    is closed to the caller."""
    versions, token = kind.history(call, _one(call, kind, entry_id), request)
    if kind.category is not None:
        versions = [version for version in versions if getattr(version, kind.category.name) in call.categories]
    return versions, token


@cache
def _page(kind: Kind[Any], *, one: bool, continued: bool) -> Query:
    """The entries of a person that the caller may read; `one`: no record is merged with theirs, as is usual, and the index
    then gives them in their order."""
    person = kind.table.c.beneficiary_id
    query = select(*kind.columns).where(
        kind.table.c.tenant_id == bindparam("tenant"),
        person == bindparam("person")
        if one
        else person == any_(bindparam("persons", type_=ARRAY(UUID(as_uuid=False)))),
    )
    if kind.category is not None:
        query = query.where(kind.category == any_(bindparam("categories", type_=ARRAY(SmallInteger))))
    if continued:
        query = query.where(kind.id < bindparam("after"))
    return Query(query.order_by(kind.id.desc()).limit(bindparam("size")))


def _one(call: Call, kind: Kind[Any], entry_id: str, *, lock: bool = False) -> AnyRow:
    """An entry that the caller may touch; one of a category that is closed to them is NOT_FOUND, and the journal keeps why."""
    row = kind.of_person(call, entry_id, lock=lock)
    if kind.category is not None and getattr(row, kind.category.name) not in call.categories:
        raise not_found(kind.id.name, because=RIGHT_MISSING)
    _require(call, kind, row._asdict())
    return row


def _require(call: Call, kind: Kind[Any], values: Mapping[str, Any]) -> None:
    """Refuses an entry of a category that is closed to the caller; the journal keeps the category."""
    if kind.category is not None:
        call.require(values[kind.category.name])
