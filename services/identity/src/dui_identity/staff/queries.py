"""What other capabilities ask of staff, and what provisioning writes back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from dui_kit.calls.call import Call
from dui_kit.db.columns import AnyRow
from dui_kit.db.statements import Query
from dui_kit.db.transaction import Transaction
from dui_kit.errors import not_found
from sqlalchemy import ColumnElement, and_, bindparam, or_, select, update

from dui_identity.organisation.tables import Facility
from dui_identity.policy.queries import guardians
from dui_identity.policy.rules import Policy
from dui_identity.staff.events import account_changed
from dui_identity.staff.rules import Administrator, Status, check_still_administered
from dui_identity.staff.tables import Account, AccountStatusChange, Assignment, Professional

#: `PROVISIONING_PROBLEM_INVITATION_NOT_SENT`, `_PENDING` and `_EXPIRED` of the contract.
OF_INVITATIONS = (5, 7, 8)


#: More than anybody works as in one place: professions, times units.
_MOST_WORK = 100
_WORKING_AT = Query(
    select(
        Professional.family_name,
        Professional.given_name,
        Professional.qualification,
        Professional.rpps,
        Facility.name,
        Facility.finess_et,
        Facility.town,
        Assignment.profession,
    )
    .select_from(Account)
    .join(
        Professional,
        and_(Professional.tenant_id == Account.tenant_id, Professional.professional_id == Account.professional_id),
    )
    .join(Facility, Facility.tenant_id == Account.tenant_id)
    .join(
        Assignment,
        and_(
            Assignment.tenant_id == Account.tenant_id,
            Assignment.account_id == Account.account_id,
            or_(Assignment.facility_id.is_(None), Assignment.facility_id == Facility.facility_id),
        ),
    )
    .where(
        Account.tenant_id == bindparam("tenant"),
        Account.account_id == bindparam("account_id"),
        Account.status == Status.ACTIVE.value,
        Facility.facility_id == bindparam("facility_id"),
        Assignment.valid_from <= bindparam("now"),
        or_(Assignment.valid_to.is_(None), Assignment.valid_to > bindparam("now")),
    )
    .order_by(Assignment.facility_id.is_(None), Assignment.valid_from, Assignment.assignment_id)
    .limit(_MOST_WORK)
)


class SubjectTaken(Exception):
    """The user at the identity provider already is another account of the same association."""


@dataclass(frozen=True, slots=True)
class AtProvider:
    """What the identity provider needs to know of an account."""

    status: int
    login: str
    email: str | None
    subject: str | None


def account_at_provider(transaction: Transaction, account_id: str) -> AtProvider:
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
        .where(Account.tenant_id == transaction.tenant_id, Account.account_id == account_id)
    )
    return AtProvider(*transaction.session.execute(query).one())


def provisioned(transaction: Transaction, account_id: str, subject: str, login: str, *, may_enter: bool = True) -> None:
    """Writes down the user of an account, once; an account in creation becomes active when its person may enter. SubjectTaken:
    see there.
    """
    row = lock_account(transaction, account_id)
    if row is None or (row.subject is not None and not (may_enter and row.status == Status.PROVISIONING)):
        return
    others = select(Account.account_id).where(
        Account.tenant_id == transaction.tenant_id,
        Account.account_id != account_id,
        Account.status != Status.ENDED,
        or_(Account.subject == subject, Account.login == login),
    )
    if row.status != Status.ENDED and transaction.session.scalar(others.limit(1)) is not None:
        raise SubjectTaken
    row.subject = subject
    row.login = login
    row.version += 1
    if may_enter and row.status == Status.PROVISIONING:
        row.status = Status.ACTIVE
        transaction.session.add(status_change(row, now=transaction.now))
    transaction.publish(account_changed(row))


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


def set_problem(transaction: Transaction, account_id: str, problem: int, *, invited: bool = True) -> None:
    """Says what stands in the way of an account. What is said of its invitation holds until one is sent or answered."""
    row = lock_account(transaction, account_id)
    if row is not None and (invited or row.problem not in OF_INVITATIONS):
        row.problem = problem


def set_problem_of_new_accounts(transaction: Transaction, problem: int) -> None:
    """Says what stands in the way of every account of an association that nobody was invited to yet."""
    transaction.session.execute(
        update(Account)
        .where(
            Account.tenant_id == transaction.tenant_id,
            Account.status == Status.PROVISIONING,
            Account.subject.is_(None),
            Account.problem.not_in(OF_INVITATIONS),
        )
        .values(problem=problem)
    )


def lock_account(transaction: Transaction, account_id: str) -> Account | None:
    """An account, held until the end of the transaction; None when the association has no such account."""
    return transaction.session.scalars(
        select(Account)
        .where(Account.tenant_id == transaction.tenant_id, Account.account_id == account_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one_or_none()


def account_of(transaction: Transaction, account_id: str, *, lock: bool = False) -> Account:
    """An account of the association, held until the end of the transaction when `lock`; NOT_FOUND otherwise."""
    query = select(Account).where(Account.tenant_id == transaction.tenant_id, Account.account_id == account_id)
    row = lock_account(transaction, account_id) if lock else transaction.session.scalars(query).one_or_none()
    if row is None:
        raise not_found("account_id")
    return row


def professional_of(
    transaction: Transaction, professional_id: str, *, field: str = "professional_id", lock: bool = False
) -> Professional:
    """A professional of the association; NOT_FOUND, which names `field`, otherwise."""
    query = select(Professional).where(
        Professional.tenant_id == transaction.tenant_id, Professional.professional_id == professional_id
    )
    row = transaction.session.scalars(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        raise not_found(field)
    return row


def assignments_in_force(transaction: Transaction, account_id: str) -> Sequence[Assignment]:
    """Where an account works now, first the ones that began first."""
    return transaction.session.scalars(
        select(Assignment)
        .where(
            Assignment.tenant_id == transaction.tenant_id,
            Assignment.account_id == account_id,
            Assignment.valid_from <= transaction.now,
            _not_over(transaction),
        )
        .order_by(Assignment.valid_from, Assignment.assignment_id)
    ).all()


def working_at(call: Call, account_id: str, facility_id: str) -> Sequence[AnyRow]:
    """What an active account does now at a facility: one row for each assignment in force there, those to the facility and its
    units before those to the whole association, with the professional and the facility. None: it does not work there."""
    return call.rows(_WORKING_AT, account_id=account_id, facility_id=facility_id, now=call.now)


def open_assignments(transaction: Transaction, account_id: str) -> Sequence[Assignment]:
    """The assignments of an account that hold or are to come, held until the end of the transaction."""
    return transaction.session.scalars(
        select(Assignment)
        .where(
            Assignment.tenant_id == transaction.tenant_id,
            Assignment.account_id == account_id,
            _not_over(transaction),
        )
        .with_for_update()
    ).all()


def is_assigned_at_all(transaction: Transaction, account_id: str) -> bool:
    """Whether an account has an assignment, be it over or to come."""
    query = select(Assignment.assignment_id).where(
        Assignment.tenant_id == transaction.tenant_id, Assignment.account_id == account_id
    )
    return transaction.session.scalar(query.limit(1)) is not None


def places_worked(transaction: Transaction, professional_id: str) -> set[tuple[str | None, str | None]]:
    """Facility and unit of every assignment that a professional has or had, with any account."""
    query = (
        select(Assignment.facility_id, Assignment.unit_id)
        .join(Account, and_(Account.tenant_id == Assignment.tenant_id, Account.account_id == Assignment.account_id))
        .where(Account.tenant_id == transaction.tenant_id, Account.professional_id == professional_id)
    )
    return {(row.facility_id, row.unit_id) for row in transaction.session.execute(query)}


def author_of_account(transaction: Transaction, account_id: str) -> str | None:
    """The account of who opened an account; None: an operator."""
    change = AccountStatusChange
    return transaction.session.scalar(
        select(change.author_account_id).where(
            change.tenant_id == transaction.tenant_id, change.account_id == account_id, change.version == 1
        )
    )


def _not_over(transaction: Transaction) -> ColumnElement[bool]:
    return or_(Assignment.valid_to.is_(None), Assignment.valid_to > transaction.now)


def check_administered(
    transaction: Transaction, policy: Policy, *, without_account: str = "", without_assignment: str = ""
) -> None:
    """Refuses when nobody could administer the association under a policy without this account or assignment.

    Only assignments whose end is not known count: the last administrator must not leave with the passing of time. The
    association's row must be locked, or two administrators could end each other at the same moment.
    """
    guarded = guardians(policy)
    query = (
        select(Assignment.account_id, Assignment.assignment_id, Assignment.profession)
        .join(Account, and_(Account.tenant_id == Assignment.tenant_id, Account.account_id == Assignment.account_id))
        .where(
            Assignment.tenant_id == transaction.tenant_id,
            Assignment.profession.in_(frozenset().union(*guarded)),
            Assignment.valid_from <= transaction.now,
            Assignment.valid_to.is_(None),
            Assignment.facility_id.is_(None),
            Account.status == Status.ACTIVE,
        )
    )
    found = [Administrator(*row) for row in transaction.session.execute(query)]
    check_still_administered(
        (one for one in found if one.account_id != without_account and one.assignment_id != without_assignment),
        guarded,
    )


def live_account_of(transaction: Transaction, professional_id: str) -> Account | None:
    """The account of a professional that is not ended, held until the end of the transaction."""
    return transaction.session.scalars(
        select(Account)
        .where(
            Account.tenant_id == transaction.tenant_id,
            Account.professional_id == professional_id,
            Account.status != Status.ENDED,
        )
        .with_for_update()
    ).one_or_none()
