"""Facts that staff publishes."""

from __future__ import annotations

from dui.access.v1 import facts_pb2
from dui_kit.times import to_timestamp

from dui_identity.staff.rules import Status
from dui_identity.staff.tables import Account, Assignment


def account_changed(row: Account) -> facts_pb2.AccountChanged:
    """The fact that an account may enter or not, and since when older tokens are refused."""
    fact = facts_pb2.AccountChanged(
        account_id=row.account_id,
        version=row.version,
        subject=row.subject or "",
        active=row.status == Status.ACTIVE,
    )
    if row.sessions_revoked_at is not None:
        fact.sessions_revoked_at.CopyFrom(to_timestamp(row.sessions_revoked_at))
    return fact


def assignment_changed(row: Assignment) -> facts_pb2.AssignmentChanged:
    """The fact of where somebody works, as what, from when to when."""
    fact = facts_pb2.AssignmentChanged(
        assignment_id=row.assignment_id,
        version=row.version,
        account_id=row.account_id,
        facility_id=row.facility_id,
        unit_id=row.unit_id,
        profession=row.profession,
        valid_from=to_timestamp(row.valid_from),
    )
    if row.valid_to is not None:
        fact.valid_to.CopyFrom(to_timestamp(row.valid_to))
    return fact
