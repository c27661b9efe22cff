"""Who may do what, decided from this service's own projections of the access facts.

`apply_fact` keeps the projections (an older version never replaces a newer one); `decide` reads them, in one statement,
under the tenant's row-level security. Periods are evaluated against the database's clock at each call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import psycopg
from dui.access.v1 import facts_pb2
from google.protobuf.message import Message
from sqlalchemy import Select, and_, func, or_, select, true

from dui_kit.contract import ADMISSION_CATEGORIES, ALL_CATEGORIES, Perimeter, Rule
from dui_kit.tables import access_assignment, access_perimeter, access_policy
from dui_kit.times import from_timestamp

if TYPE_CHECKING:
    from dui_kit.call import Call

Connection = psycopg.Connection[tuple[Any, ...]]

#: Room for categories to come: rights arrays of every version have this length.
CATEGORY_SLOTS = 32


# ---------------------------------------------------------------------------------------------------------------- facts


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


@dataclass(frozen=True, slots=True)
class _Projection:
    sql: str
    row: Callable[[Any], dict[str, object]]


def _projection(
    table: str, key: str, row: Callable[[Any], dict[str, object]], columns: str, newer: str = "version"
) -> _Projection:
    names = ["tenant_id", *columns.split()]
    keys = ["tenant_id", *key.split()]
    values = ", ".join(f"%({name})s" for name in names)
    updates = ", ".join(f"{name} = excluded.{name}" for name in names if name not in keys)
    sql = (
        f"INSERT INTO {table} ({', '.join(names)}) VALUES ({values}) "  # noqa: S608 (constants of this module)
        f"ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {updates} WHERE {table}.{newer} < excluded.{newer}"
    )
    return _Projection(sql, row)


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
}

#: Full names of the facts that `apply_fact` knows.
FACT_TYPES = frozenset(_PROJECTIONS)


def apply_fact(connection: Connection, tenant_id: str, fact: Message) -> None:
    """Writes a fact into its projection, unless a newer version is there; other messages are left alone."""
    projection = _PROJECTIONS.get(fact.DESCRIPTOR.full_name)
    if projection is not None:
        connection.execute(projection.sql, {"tenant_id": tenant_id, **projection.row(fact)})


def unwrap(fact: facts_pb2.AccessFact) -> Message:
    """The fact inside a snapshot item."""
    kind = fact.WhichOneof("fact")
    if kind is None:
        message = "an access fact of an unknown kind"
        raise ValueError(message)
    return getattr(fact, kind)  # type: ignore[no-any-return]


# ------------------------------------------------------------------------------------------------------------- decision


@dataclass(frozen=True, slots=True)
class Grant:
    """One assignment in force that reaches what the call is about."""

    profession: int
    rights: Sequence[int]
    #: The reach: True when only the categories open to an admission are.
    admission_only: bool


@dataclass(frozen=True, slots=True)
class Decision:
    """What the projections say of one call."""

    tenant_active: bool | None
    account_id: str | None
    account_active: bool
    sessions_revoked_at: datetime | None
    #: When the least recently heard owner of facts was heard; None: never.
    heard_at: datetime | None
    #: Every assignment in force.
    assigned: bool
    grants: tuple[Grant, ...]
    #: The surviving record first, then the ones merged into it; empty: the person is not known.
    beneficiary_ids: tuple[str, ...]
    break_glass: bool

    def categories(self, action: int) -> frozenset[int]:
        """The categories that the grants open to an action."""
        found: set[int] = set()
        bit = 1 << action
        for grant in self.grants:
            allowed = {index + 1 for index, actions in enumerate(grant.rights) if actions & bit}
            found |= allowed & ADMISSION_CATEGORIES if grant.admission_only else allowed
        return frozenset(found & ALL_CATEGORIES)


_HEAD = """
SELECT t.active, a.account_id::text, a.active, a.sessions_revoked_at,
       (SELECT min(h.sent_at) FROM access_heartbeat h WHERE h.tenant_id = t.tenant_id),
       s.profession, p.rights, {reach}, {people}, {glass}
FROM access_tenant t
LEFT JOIN access_account a ON a.tenant_id = t.tenant_id AND a.subject = %(subject)s AND a.active
{person}
LEFT JOIN access_assignment s ON s.tenant_id = t.tenant_id AND s.account_id = a.account_id
     AND s.valid_from <= now() AND (s.valid_to IS NULL OR s.valid_to > now())
LEFT JOIN access_policy p ON p.tenant_id = t.tenant_id AND p.profession = s.profession
WHERE t.tenant_id = %(tenant)s
"""

# Reach: NULL none, 0 whole, 1 only what is open to an admission.
_REACH_PERSON = """(SELECT min(q.admission_only::int) FROM access_perimeter q
        WHERE q.tenant_id = t.tenant_id AND q.beneficiary_id = ANY (b.ids)
          AND (s.facility_id IS NULL OR q.facility_id = s.facility_id)
          AND (s.unit_id IS NULL OR q.unit_id IS NULL OR q.unit_id = s.unit_id)
          AND q.valid_from <= now() AND (q.valid_to IS NULL OR q.valid_to > now()))"""
_PERSON = """LEFT JOIN LATERAL (
     SELECT array_agg(m.beneficiary_id ORDER BY m.surviving_id NULLS FIRST, m.beneficiary_id) AS ids
     FROM access_person o JOIN access_person m ON m.tenant_id = o.tenant_id
      AND (m.beneficiary_id = coalesce(o.surviving_id, o.beneficiary_id)
           OR m.surviving_id = coalesce(o.surviving_id, o.beneficiary_id))
     WHERE o.tenant_id = t.tenant_id AND o.beneficiary_id = %(beneficiary)s) b ON true"""
_GLASS = """EXISTS (SELECT 1 FROM access_break_glass g
        WHERE g.tenant_id = t.tenant_id AND g.account_id = a.account_id AND g.beneficiary_id = ANY (b.ids)
          AND g.valid_from <= now() AND g.valid_to > now())"""

_SQL: dict[int, str] = {
    Perimeter.PERIMETER_BENEFICIARY: _HEAD.format(
        reach=_REACH_PERSON, people="b.ids::text[]", glass=_GLASS, person=_PERSON
    ),
    Perimeter.PERIMETER_FACILITY: _HEAD.format(
        reach="CASE WHEN s.facility_id IS NULL OR s.facility_id = %(facility)s THEN 0 END",
        people="NULL",
        glass="false",
        person="",
    ),
    Perimeter.PERIMETER_ASSOCIATION: _HEAD.format(reach="0", people="NULL", glass="false", person=""),
    Perimeter.PERIMETER_SELF: _HEAD.format(reach="0", people="NULL", glass="false", person=""),
}


def decide(
    connection: Connection, rule: Rule, *, tenant_id: str, subject: str, beneficiary_id: str, facility_id: str
) -> Decision:
    """Reads what decides one call. With broken glass, the caller's rights anywhere reach this person."""
    rows = connection.execute(
        _SQL[rule.perimeter],
        {
            "tenant": tenant_id,
            "subject": subject,
            "beneficiary": beneficiary_id or None,
            "facility": facility_id or None,
        },
    ).fetchall()
    if not rows:
        return Decision(None, None, False, None, None, False, (), (), False)
    tenant_active, account_id, account_active, revoked_at, heard_at, _, _, _, people, glass = rows[0]
    broken = bool(glass)
    grants = tuple(
        Grant(profession, rights, admission_only=bool(reach) and not broken)
        for _, _, _, _, _, profession, rights, reach, _, _ in rows
        if profession is not None and rights is not None and (broken or reach is not None)
    )
    return Decision(
        tenant_active=tenant_active,
        account_id=account_id,
        account_active=bool(account_active),
        sessions_revoked_at=revoked_at,
        heard_at=heard_at,
        assigned=any(row[5] is not None for row in rows),
        grants=grants,
        beneficiary_ids=tuple(people or ()),
        break_glass=broken,
    )


def visible_beneficiaries(call: Call, *, facility_id: str | None = None) -> Select[tuple[str]]:
    """The ids of the persons whom the caller may reach for the call's rule, as a subquery for `IN`: list RPCs join it.

    With a category rule, only persons for whom that category is open; with `any_category`, any of `call.categories`.
    """
    wanted = [call.rule.category] if call.rule.category else sorted(call.categories)
    bit = 1 << call.rule.action
    q, s, p = access_perimeter.c, access_assignment.c, access_policy.c
    now = func.now()
    opened = [
        and_(
            p.rights[category].op("&")(bit) != 0,
            q.admission_only.is_(False) if category not in ADMISSION_CATEGORIES else true(),
        )
        for category in wanted
    ]
    statement = (
        select(q.beneficiary_id)
        .join(
            access_assignment,
            and_(
                s.tenant_id == q.tenant_id,
                s.account_id == call.caller.account_id,
                s.valid_from <= now,
                or_(s.valid_to.is_(None), s.valid_to > now),
                or_(s.facility_id.is_(None), s.facility_id == q.facility_id),
                or_(s.unit_id.is_(None), q.unit_id.is_(None), s.unit_id == q.unit_id),
            ),
        )
        .join(access_policy, and_(p.tenant_id == s.tenant_id, p.profession == s.profession))
        .where(
            q.tenant_id == call.tenant_id,
            q.valid_from <= now,
            or_(q.valid_to.is_(None), q.valid_to > now),
            or_(*opened),
        )
    )
    if facility_id is not None:
        statement = statement.where(q.facility_id == facility_id)
    return statement
