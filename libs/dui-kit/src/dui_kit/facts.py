"""The access facts that identity and records announce, kept in projections of this service's own database.

An older version of a fact never replaces a newer one, so that redeliveries and rebuilds are harmless.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dui.access.v1 import facts_pb2
from google.protobuf.message import Message

from dui_kit.statements import Connection, Statement, Step, run
from dui_kit.times import from_timestamp

#: Room for categories to come: rights arrays of every version have this length.
CATEGORY_SLOTS = 32


def _optional_instant(message: Message, name: str) -> datetime | None:
    return from_timestamp(getattr(message, name)) if message.HasField(name) else None


def _optional(message: Message, name: str) -> str | None:
    return getattr(message, name) if message.HasField(name) else None


def _tenant(fact: facts_pb2.TenantChanged) -> dict[str, object]:
    return {"active": fact.active, "version": fact.version}


def _heartbeat(fact: facts_pb2.Heartbeat) -> dict[str, object]:
    return {"source": fact.source, "sent_at": from_timestamp(fact.sent_at)}


def _account(fact: facts_pb2.AccountChanged) -> dict[str, object]:
    return {
        "account_id": fact.account_id,
        "subject": fact.subject,
        "active": fact.active,
        "sessions_revoked_at": _optional_instant(fact, "sessions_revoked_at"),
        "version": fact.version,
    }


def _assignment(fact: facts_pb2.AssignmentChanged) -> dict[str, object]:
    return {
        "assignment_id": fact.assignment_id,
        "account_id": fact.account_id,
        "facility_id": _optional(fact, "facility_id"),
        "unit_id": _optional(fact, "unit_id"),
        "profession": fact.profession,
        "valid_from": from_timestamp(fact.valid_from),
        "valid_to": _optional_instant(fact, "valid_to"),
        "version": fact.version,
    }


def _policy(fact: facts_pb2.PolicyChanged) -> dict[str, object]:
    rights = [0] * CATEGORY_SLOTS
    for right in fact.rights:
        if 0 < right.category <= CATEGORY_SLOTS:
            rights[right.category - 1] = sum(1 << action for action in set(right.actions))
    return {"profession": fact.profession, "rights": rights, "version": fact.version}


def _break_glass(fact: facts_pb2.BreakGlassChanged) -> dict[str, object]:
    return {
        "break_glass_id": fact.break_glass_id,
        "account_id": fact.account_id,
        "beneficiary_id": fact.beneficiary_id,
        "valid_from": from_timestamp(fact.valid_from),
        "valid_to": from_timestamp(fact.valid_to),
        "version": fact.version,
    }


def _person(fact: facts_pb2.PersonChanged) -> dict[str, object]:
    return {
        "beneficiary_id": fact.beneficiary_id,
        "surviving_id": _optional(fact, "surviving_id"),
        "version": fact.version,
    }


def _perimeter(fact: facts_pb2.PerimeterChanged) -> dict[str, object]:
    return {
        "fact_id": fact.fact_id,
        "beneficiary_id": fact.beneficiary_id,
        "facility_id": fact.facility_id,
        "unit_id": _optional(fact, "unit_id"),
        "admission_only": fact.admission_only,
        "valid_from": from_timestamp(fact.valid_from),
        "valid_to": _optional_instant(fact, "valid_to"),
        "version": fact.version,
    }


def _facility(fact: facts_pb2.FacilityChanged) -> dict[str, object]:
    return {
        "facility_id": fact.facility_id,
        "category_code": fact.category_code,
        "time_zone": fact.time_zone,
        "version": fact.version,
    }


def _unit(fact: facts_pb2.UnitChanged) -> dict[str, object]:
    return {"unit_id": fact.unit_id, "facility_id": fact.facility_id, "version": fact.version}


@dataclass(frozen=True, slots=True)
class _Projection:
    one: Statement
    #: The same for many rows, given as a JSON array.
    many: Statement
    #: Without the tenant.
    columns: tuple[str, ...]
    keys: tuple[str, ...]
    newer: str
    row: Callable[[Any], dict[str, object]]


def _projection(
    table: str, key: str, row: Callable[[Any], dict[str, object]], columns: str, newer: str = "version"
) -> _Projection:
    names = ["tenant_id", *columns.split()]
    keys = ["tenant_id", *key.split()]
    values = ", ".join(f"${number}" for number in range(1, len(names) + 1))
    updates = ", ".join(f"{name} = excluded.{name}" for name in names if name not in keys)
    head = f"INSERT INTO {table} ({', '.join(names)}) "
    many = f"SELECT {', '.join(names)} FROM jsonb_populate_recordset(NULL::{table}, $1::jsonb) "  # noqa: S608 (constants)
    tail = f"ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {updates} WHERE {table}.{newer} < excluded.{newer}"
    one = Statement(f"{head}VALUES ({values}) {tail}")
    return _Projection(one, Statement(head + many + tail), tuple(names[1:]), tuple(keys), newer, row)


_PROJECTIONS: dict[str, _Projection] = {
    facts_pb2.TenantChanged.DESCRIPTOR.full_name: _projection("access_tenant", "", _tenant, "active version"),
    facts_pb2.Heartbeat.DESCRIPTOR.full_name: _projection(
        "access_heartbeat", "source", _heartbeat, "source sent_at", newer="sent_at"
    ),
    facts_pb2.AccountChanged.DESCRIPTOR.full_name: _projection(
        "access_account", "account_id", _account, "account_id subject active sessions_revoked_at version"
    ),
    facts_pb2.AssignmentChanged.DESCRIPTOR.full_name: _projection(
        "access_assignment",
        "assignment_id",
        _assignment,
        "assignment_id account_id facility_id unit_id profession valid_from valid_to version",
    ),
    facts_pb2.PolicyChanged.DESCRIPTOR.full_name: _projection(
        "access_policy", "profession", _policy, "profession rights version"
    ),
    facts_pb2.BreakGlassChanged.DESCRIPTOR.full_name: _projection(
        "access_break_glass",
        "break_glass_id",
        _break_glass,
        "break_glass_id account_id beneficiary_id valid_from valid_to version",
    ),
    facts_pb2.PersonChanged.DESCRIPTOR.full_name: _projection(
        "access_person", "beneficiary_id", _person, "beneficiary_id surviving_id version"
    ),
    facts_pb2.PerimeterChanged.DESCRIPTOR.full_name: _projection(
        "access_perimeter",
        "fact_id",
        _perimeter,
        "fact_id beneficiary_id facility_id unit_id admission_only valid_from valid_to version",
    ),
    facts_pb2.FacilityChanged.DESCRIPTOR.full_name: _projection(
        "access_facility", "facility_id", _facility, "facility_id category_code time_zone version"
    ),
    facts_pb2.UnitChanged.DESCRIPTOR.full_name: _projection(
        "access_unit", "unit_id", _unit, "unit_id facility_id version"
    ),
}

#: The owners of access facts, and what each of them tells.
FACTS_OF = {
    "identity": ("tenant", "account", "assignment", "policy", "break_glass", "facility", "unit", "heartbeat"),
    "records": ("person", "perimeter", "heartbeat"),
}
#: Full names of the facts that `apply_fact` knows.
FACT_TYPES = frozenset(_PROJECTIONS)


def step_of(tenant_id: str, fact: Message) -> Step | None:
    """What writes a fact into its projection, unless a newer version is there; None for another message."""
    projection = _PROJECTIONS.get(fact.DESCRIPTOR.full_name)
    if projection is None:
        return None
    row = projection.row(fact)
    return projection.one(tenant_id, *(row[name] for name in projection.columns))


def apply_fact(connection: Connection, tenant_id: str, fact: Message) -> None:
    """Writes a fact into its projection now (see `step_of`)."""
    step = step_of(tenant_id, fact)
    if step is not None:
        run(connection, step)


def apply_facts(connection: Connection, tenant_id: str, facts: Iterable[Message]) -> None:
    """What `apply_fact` does to one after another, in one statement for each kind: a tenth of the cost."""
    kinds: dict[str, dict[tuple[object, ...], dict[str, Any]]] = {}
    for fact in facts:
        name = fact.DESCRIPTOR.full_name
        projection = _PROJECTIONS.get(name)
        if projection is None:
            continue
        row = {"tenant_id": tenant_id, **projection.row(fact)}
        # One statement cannot write one row twice: only the newest of each goes in.
        rows = kinds.setdefault(name, {})
        key = tuple(row[each] for each in projection.keys)
        known = rows.get(key)
        if known is None or known[projection.newer] < row[projection.newer]:
            rows[key] = row
    steps = [_PROJECTIONS[name].many(json.dumps(list(rows.values()), default=_json)) for name, rows in kinds.items()]
    if steps:
        run(connection, *steps)


def _json(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(type(value).__name__)


def unwrap(fact: facts_pb2.AccessFact) -> Message:
    """The fact inside a snapshot item."""
    kind = fact.WhichOneof("fact")
    if kind is None:
        message = "an access fact of an unknown kind"
        raise ValueError(message)
    return getattr(fact, kind)  # type: ignore[no-any-return]
