"""What other capabilities ask of staff, and what provisioning writes back."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from google.protobuf.message import Message
from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.orm import Session

from dui_identity.staff.events import account_changed
from dui_identity.staff.rules import Administrator, Status
from dui_identity.staff.tables import Account, AccountStatusChange, Assignment, Professional

#: `PROVISIONING_PROBLEM_INVITATION_NOT_SENT` of the contract.
INVITATION_NOT_SENT = 5


class SubjectTaken(Exception):
    """The user at the identity provider already is another account of the same association."""


@dataclass(frozen=True, slots=True)
class AtProvider:
    """What the identity provider needs to know of an account."""

    status: int
    login: str
    email: str | None
    subject: str | None


def account_at_provider(session: Session, tenant_id: str, account_id: str) -> AtProvider:
    """An account with the address of its professional."""
    query = (
        select(Account.status, Account.login, Professional.email, Account.subject)
        .join(
            Professional,
            and_(
                Professional.tenant_id == Account.tenant_id,
                Professional.professional_id == Account.professional_id,
            ),
        )
        .where(Account.tenant_id == tenant_id, Account.account_id == account_id)
    )
    return AtProvider(*session.execute(query).one())


def provisioned(
    session: Session,
    publish: Callable[[Message], None],
    tenant_id: str,
    account_id: str,
    subject: str,
    login: str,
    now: datetime,
) -> None:
    """Writes down the user of an account, once; an account in creation becomes active. SubjectTaken: see there."""
    row = lock_account(session, tenant_id, account_id)
    if row is None or row.subject is not None:
        return
    others = select(Account.account_id).where(
        Account.tenant_id == tenant_id,
        Account.account_id != account_id,
        Account.status != Status.ENDED,
        or_(Account.subject == subject, Account.login == login),
    )
    if row.status != Status.ENDED and session.scalar(others.limit(1)) is not None:
        raise SubjectTaken
    row.subject = subject
    row.login = login
    if row.status == Status.PROVISIONING:
        row.status = Status.ACTIVE
    row.version += 1
    session.add(status_change(row, now=now))
    publish(account_changed(row))


def status_change(
    row: Account, *, now: datetime, author_account_id: str | None = None, reason: str | None = None
) -> AccountStatusChange:
    """The line of history for the status that an account has from now on."""
    return AccountStatusChange(
        tenant_id=row.tenant_id,
        account_id=row.account_id,
        version=row.version,
        status=row.status,
        reason=reason,
        author_account_id=author_account_id,
        changed_at=now,
    )


def set_problem(session: Session, tenant_id: str, account_id: str, problem: int, *, invited: bool = True) -> None:
    """Says what stands in the way of an account. What is said of its invitation holds until one is sent."""
    row = lock_account(session, tenant_id, account_id)
    if row is not None and (invited or row.problem != INVITATION_NOT_SENT):
        row.problem = problem


def lock_account(session: Session, tenant_id: str, account_id: str) -> Account | None:
    """An account, held until the end of the transaction; None when the association has no such account."""
    return session.scalars(
        select(Account)
        .where(Account.tenant_id == tenant_id, Account.account_id == account_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one_or_none()


def in_force(now: datetime) -> ColumnElement[bool]:
    """Assignments that hold at an instant."""
    return and_(Assignment.valid_from <= now, or_(Assignment.valid_to.is_(None), Assignment.valid_to > now))


def administrators(
    session: Session, tenant_id: str, professions: Collection[int], now: datetime
) -> list[Administrator]:
    """Active accounts with an assignment in force in one of these professions."""
    query = (
        select(Assignment.account_id, Assignment.assignment_id, Assignment.profession)
        .join(Account, and_(Account.tenant_id == Assignment.tenant_id, Account.account_id == Assignment.account_id))
        .where(
            Assignment.tenant_id == tenant_id,
            Assignment.profession.in_(professions),
            Account.status == Status.ACTIVE,
            in_force(now),
        )
    )
    return [Administrator(*row) for row in session.execute(query)]


def accounts_after(session: Session, tenant_id: str, after: str | None, limit: int) -> Sequence[Account]:
    """Accounts by id, for snapshots."""
    query = select(Account).where(Account.tenant_id == tenant_id).order_by(Account.account_id).limit(limit)
    if after is not None:
        query = query.where(Account.account_id > after)
    return session.scalars(query).all()


def assignments_after(session: Session, tenant_id: str, after: str | None, limit: int) -> Sequence[Assignment]:
    """Assignments by id, for snapshots."""
    query = select(Assignment).where(Assignment.tenant_id == tenant_id).order_by(Assignment.assignment_id).limit(limit)
    if after is not None:
        query = query.where(Assignment.assignment_id > after)
    return session.scalars(query).all()


def of_subject(session: Session, tenant_id: str, subject: str) -> tuple[Sequence[Account], Sequence[Assignment]]:
    """The accounts of one subject (a second one when they left and came back), and the assignments of these."""
    accounts = session.scalars(select(Account).where(Account.tenant_id == tenant_id, Account.subject == subject)).all()
    ids = [account.account_id for account in accounts]
    assignments = session.scalars(
        select(Assignment).where(Assignment.tenant_id == tenant_id, Assignment.account_id.in_(ids))
    ).all()
    return accounts, assignments


def live_account_of(session: Session, tenant_id: str, professional_id: str) -> Account | None:
    """The account of a professional that is not ended, held until the end of the transaction."""
    return session.scalars(
        select(Account)
        .where(
            Account.tenant_id == tenant_id,
            Account.professional_id == professional_id,
            Account.status != Status.ENDED,
        )
        .with_for_update()
    ).one_or_none()
