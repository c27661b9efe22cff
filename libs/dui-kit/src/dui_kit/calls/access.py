"""Who may do what, decided from this service's own projections of the access facts (`dui_kit.facts`).

One statement reads what decides a call, under the tenant's row-level security. Periods are evaluated against the
database's clock at each call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dui_kit.db.statements import Statement, Step
from dui_kit.wire.contract import ADMISSION_CATEGORIES, ALL_CATEGORIES, Action, Perimeter, Rule


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
SELECT t.active, a.account_id, a.active, a.sessions_revoked_at,
       (SELECT min(h.sent_at) FROM access_heartbeat h WHERE h.tenant_id = t.tenant_id),
       s.profession, p.rights, {reach}, {people}, {glass}
FROM access_tenant t
LEFT JOIN LATERAL (
     SELECT account_id, active, sessions_revoked_at FROM access_account
     WHERE tenant_id = $1 AND subject = $2 ORDER BY active DESC LIMIT 1) a ON true
{person}
LEFT JOIN access_assignment s ON s.tenant_id = t.tenant_id AND s.account_id = a.account_id
     AND s.valid_from <= now() AND (s.valid_to IS NULL OR s.valid_to > now())
LEFT JOIN access_policy p ON p.tenant_id = t.tenant_id AND p.profession = s.profession
WHERE t.tenant_id = $1
"""

# Reach: NULL none, 0 whole, 1 only what is open to an admission.
_REACH_PERSON = """(SELECT min(q.admission_only::int) FROM access_perimeter q
        WHERE q.tenant_id = t.tenant_id AND q.beneficiary_id = ANY (b.ids)
          AND (s.facility_id IS NULL OR q.facility_id = s.facility_id)
          AND (s.unit_id IS NULL OR q.unit_id IS NULL OR q.unit_id = s.unit_id)
          AND q.valid_from <= now() AND (q.valid_to IS NULL OR q.valid_to > now()))"""
# CASE, not coalesce: PostgreSQL does not take coalesce for leakproof, and under row-level security the join would read
# every person of the association.
_PERSON = """LEFT JOIN LATERAL (
     SELECT array_agg(m.beneficiary_id ORDER BY m.surviving_id NULLS FIRST, m.beneficiary_id) AS ids
     FROM (SELECT CASE WHEN surviving_id IS NULL THEN beneficiary_id ELSE surviving_id END AS id
           FROM access_person WHERE tenant_id = $1 AND beneficiary_id = $3) o
     JOIN access_person m ON m.tenant_id = $1 AND (m.beneficiary_id = o.id OR m.surviving_id = o.id)) b ON true"""
_GLASS = """EXISTS (SELECT 1 FROM access_break_glass g
        WHERE g.tenant_id = t.tenant_id AND g.account_id = a.account_id AND g.beneficiary_id = ANY (b.ids)
          AND g.valid_from <= now() AND g.valid_to > now())"""

_OF_PERSON = Statement(_HEAD.format(reach=_REACH_PERSON, people="b.ids", glass=_GLASS, person=_PERSON))
_OF_PERSON_WITHOUT_GLASS = Statement(_HEAD.format(reach=_REACH_PERSON, people="b.ids", glass="false", person=_PERSON))
_OF_FACILITY = Statement(
    _HEAD.format(
        reach="CASE WHEN s.facility_id IS NULL OR s.facility_id = $3 THEN 0 END",
        people="NULL",
        glass="false",
        person="",
    )
)
_OF_WHOLE_FACILITY = Statement(
    _HEAD.format(
        reach="CASE WHEN s.facility_id IS NULL OR (s.facility_id = $3 AND s.unit_id IS NULL) THEN 0 END",
        people="NULL",
        glass="false",
        person="",
    )
)
_OF_WHOLE_ASSOCIATION = Statement(
    _HEAD.format(reach="CASE WHEN s.facility_id IS NULL THEN 0 END", people="NULL", glass="false", person="")
)
_OF_CALLER = Statement(_HEAD.format(reach="0", people="NULL", glass="false", person=""))


def question(rule: Rule, *, tenant_id: str, subject: str, beneficiary_id: str, facility_id: str) -> Step:
    """The statement whose result decides one call."""
    match rule.perimeter:
        case Perimeter.PERIMETER_BENEFICIARY:
            asked = _OF_PERSON if rule.break_glass else _OF_PERSON_WITHOUT_GLASS
            return asked(tenant_id, subject, beneficiary_id or None)
        case Perimeter.PERIMETER_FACILITY:
            # Who works in one unit does not administer the facility.
            administers = rule.action == Action.ACTION_ADMINISTER
            return (_OF_WHOLE_FACILITY if administers else _OF_FACILITY)(tenant_id, subject, facility_id or None)
        case Perimeter.PERIMETER_WHOLE_ASSOCIATION:
            return _OF_WHOLE_ASSOCIATION(tenant_id, subject)
        case _:
            return _OF_CALLER(tenant_id, subject)


def decision(found: Sequence[tuple[Any, ...]]) -> Decision:
    """What the rows of `question` say. With break-glass access, the caller's rights anywhere reach this person."""
    if not found:
        return Decision(None, None, False, None, None, False, (), (), False)
    tenant_active, account_id, account_active, revoked_at, heard_at, _, _, _, people, glass = found[0]
    broken = bool(glass)
    grants = tuple(
        Grant(profession, rights, admission_only=bool(reach) and not broken)
        for _, _, _, _, _, profession, rights, reach, _, _ in found
        if profession is not None and rights is not None and (broken or reach is not None)
    )
    return Decision(
        tenant_active=tenant_active,
        account_id=account_id,
        account_active=bool(account_active),
        sessions_revoked_at=revoked_at,
        heard_at=heard_at,
        assigned=any(row[5] is not None for row in found),
        grants=grants,
        beneficiary_ids=tuple(people or ()),
        break_glass=broken,
    )
