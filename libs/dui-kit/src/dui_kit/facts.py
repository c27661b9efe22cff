"""The access facts that identity and records announce, kept in projections of this service's own database.

A fact is an event of its owner and a row of the table of the same fields. An older version of a fact never replaces a newer
one, so that redeliveries and rebuilds are harmless.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from dui.access.v1 import facts_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import Column, Table

from dui_kit.db import tables
from dui_kit.db.statements import Connection, Statement, Step, run
from dui_kit.times import from_timestamp, to_timestamp
from dui_kit.wire.contract import descriptor_of, event_of

#: Room for categories to come: rights arrays of every version have this length.
CATEGORY_SLOTS = 32
#: The associations that a service knows, suspended ones included; for its relay role and its owner, which see all of them.
KNOWN_TENANTS = "SELECT tenant_id::text FROM access_tenant ORDER BY tenant_id"

Write = Callable[[Any], object]


@dataclass(frozen=True, slots=True, eq=False)
class Fact:
    """One kind of fact: who tells it, its message, and the table of its projection."""

    owners: tuple[str, ...]
    message: type[Message]
    table: Table
    #: The column of which the greater value is the newer fact.
    newer: str
    #: Column → its value in a message.
    writes: Mapping[str, Write]
    one: Statement
    #: The same for many rows, given as a JSON array.
    many: Statement

    @property
    def lasts(self) -> bool:
        """False for an announcement that the next one replaces: it has no version, and no snapshot holds it."""
        return self.newer == "version"

    @property
    def key(self) -> Column[Any] | None:
        """The column of the ids within an association; None for a fact of the association itself."""
        return next((column for column in self.table.primary_key if column.name != "tenant_id"), None)

    @property
    def aggregate(self) -> str:
        """The kind of thing that the fact is about, in the subject of its event."""
        return event_of(descriptor_of(self.message())).aggregate


def _timestamp(name: str) -> Write:
    return lambda fact: from_timestamp(getattr(fact, name)) if fact.HasField(name) else None


def _optional(name: str) -> Write:
    return lambda fact: getattr(fact, name) if fact.HasField(name) else None


def _plain(name: str) -> Write:
    return lambda fact: getattr(fact, name)


def _write(field: FieldDescriptor) -> Write:
    if field.message_type is not None:
        return _timestamp(field.name)
    return _optional(field.name) if field.has_presence else _plain(field.name)


def _fact(
    *owners: str, message: type[Message], table: Table, newer: str = "version", **special: Write
) -> tuple[str, Fact]:
    fields = descriptor_of(message()).fields_by_name
    columns = [column.name for column in table.c if column.name != "tenant_id"]
    writes = {name: special.get(name) or _write(fields[name]) for name in columns}
    names = ["tenant_id", *columns]
    keys = [column.name for column in table.primary_key]
    values = ", ".join(f"${number}" for number in range(1, len(names) + 1))
    updates = ", ".join(f"{name} = excluded.{name}" for name in names if name not in keys)
    head = f"INSERT INTO {table.name} ({', '.join(names)}) "
    rows = f"SELECT {', '.join(names)} FROM jsonb_populate_recordset(NULL::{table.name}, $1::jsonb) "  # noqa: S608 (names of tables)
    tail = f"ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {updates} WHERE {table.name}.{newer} < excluded.{newer}"
    fact = Fact(
        owners,
        message,
        table,
        newer,
        writes,
        Statement(f"{head}VALUES ({values}) {tail}"),
        Statement(head + rows + tail),
    )
    return message.DESCRIPTOR.full_name, fact


def _bits(fact: facts_pb2.PolicyChanged) -> list[int]:
    """The rights of a profession as `access_policy` holds them."""
    rights = [0] * CATEGORY_SLOTS
    for right in fact.rights:
        if 0 < right.category <= CATEGORY_SLOTS:
            rights[right.category - 1] = sum(1 << action for action in set(right.actions))
    return rights


def _rights(bits: Iterable[int]) -> list[facts_pb2.Right]:
    return [
        facts_pb2.Right(category=index, actions=[action for action in range(16) if actions & (1 << action)])
        for index, actions in enumerate(bits, start=1)
        if actions
    ]


def _reached(fact: facts_pb2.JournalReached) -> str:
    return json.dumps({each.service: [each.last_sequence, each.last_entry_id] for each in fact.services})


#: Every kind of fact, by the full name of its message. Snapshots give them in this order: add at the end.
FACTS: dict[str, Fact] = dict(
    (
        _fact("identity", message=facts_pb2.TenantChanged, table=tables.access_tenant),
        _fact("identity", message=facts_pb2.PolicyChanged, table=tables.access_policy, rights=_bits),
        _fact("identity", message=facts_pb2.AccountChanged, table=tables.access_account),
        _fact("identity", message=facts_pb2.AssignmentChanged, table=tables.access_assignment),
        _fact("identity", message=facts_pb2.BreakGlassChanged, table=tables.access_break_glass),
        _fact("identity", message=facts_pb2.FacilityChanged, table=tables.access_facility),
        _fact("identity", message=facts_pb2.UnitChanged, table=tables.access_unit),
        _fact("records", message=facts_pb2.PersonChanged, table=tables.access_person),
        _fact("records", message=facts_pb2.PerimeterChanged, table=tables.access_perimeter),
        _fact("identity", "records", message=facts_pb2.Heartbeat, table=tables.access_heartbeat, newer="sent_at"),
        _fact(
            "identity",
            message=facts_pb2.JournalReached,
            table=tables.journal_reached,
            newer="sent_at",
            services=_reached,
        ),
    )
)
#: The services that own access facts.
OWNERS = tuple(dict.fromkeys(owner for fact in FACTS.values() for owner in fact.owners))


@cache
def facts_of(owner: str) -> tuple[Fact, ...]:
    """What an owner tells; empty when it owns no facts."""
    return tuple(fact for fact in FACTS.values() if owner in fact.owners)


def message_of(fact: Fact, row: Any) -> Message:
    """The fact that a row of its projection holds."""
    message = fact.message()
    for field in descriptor_of(message).fields:
        if field.name == "policy_id":
            message.policy_id = f"profession-{row.profession}"  # type: ignore[attr-defined]
        elif field.name == "rights":
            message.rights.extend(_rights(row.rights))  # type: ignore[attr-defined]
        elif (value := getattr(row, field.name)) is None:
            continue
        elif isinstance(getattr(message, field.name), Timestamp):
            getattr(message, field.name).CopyFrom(to_timestamp(value))
        else:
            setattr(message, field.name, value)
    return message


def step_of(tenant_id: str, message: Message) -> Step | None:
    """What writes a fact into its projection, unless a newer version is there; None for another message."""
    fact = FACTS.get(message.DESCRIPTOR.full_name)
    if fact is None:
        return None
    return fact.one(tenant_id, *(write(message) for write in fact.writes.values()))


def apply_fact(connection: Connection, tenant_id: str, message: Message) -> None:
    """Writes a fact into its projection now (see `step_of`)."""
    step = step_of(tenant_id, message)
    if step is not None:
        run(connection, step)


def apply_facts(connection: Connection, tenant_id: str, messages: Iterable[Message]) -> None:
    """What `apply_fact` does to one after another, in one statement for each kind: a tenth of the cost."""
    kinds: dict[str, dict[tuple[object, ...], dict[str, Any]]] = {}
    for message in messages:
        name = message.DESCRIPTOR.full_name
        fact = FACTS.get(name)
        if fact is None:
            continue
        row = {"tenant_id": tenant_id} | {column: write(message) for column, write in fact.writes.items()}
        # One statement cannot write one row twice: only the newest of each goes in.
        rows = kinds.setdefault(name, {})
        key = tuple(row[column.name] for column in fact.table.primary_key)
        known = rows.get(key)
        if known is None or known[fact.newer] < row[fact.newer]:
            rows[key] = row
    steps = [FACTS[name].many(json.dumps(list(rows.values()), default=_json)) for name, rows in kinds.items()]
    if steps:
        run(connection, *steps)


def _json(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(type(value).__name__)


def wrap(message: Message) -> facts_pb2.AccessFact:
    """A fact as an item of a snapshot."""
    for field in facts_pb2.AccessFact.DESCRIPTOR.fields:
        if field.message_type is not None and field.message_type.full_name == message.DESCRIPTOR.full_name:
            item = facts_pb2.AccessFact()
            getattr(item, field.name).CopyFrom(message)
            return item
    raise TypeError(message.DESCRIPTOR.full_name)


def unwrap(item: facts_pb2.AccessFact) -> Message:
    """The fact inside an item of a snapshot."""
    kind = item.WhichOneof("fact")
    if kind is None:
        message = "an access fact of an unknown kind"
        raise ValueError(message)
    return getattr(item, kind)  # type: ignore[no-any-return]
