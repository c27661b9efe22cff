"""The life of accounts: opened, invited, suspended, given back, ended."""

from __future__ import annotations

from dui.identity.v1 import staff_pb2 as pb
from dui_kit.call import Call
from dui_kit.errors import not_found
from sqlalchemy import or_, select

from dui_identity.organisation.queries import association_of
from dui_identity.policy.queries import policy_in_force
from dui_identity.provisioning.queue import enqueue, forget
from dui_identity.provisioning.rules import Kind, Problem
from dui_identity.staff import rules
from dui_identity.staff.events import account_changed, assignment_changed
from dui_identity.staff.queries import in_force, lock_account, status_change
from dui_identity.staff.rules import Period, Status
from dui_identity.staff.servicer import (
    account_of,
    assignment_proto,
    check_administered,
    opening,
    professional_proto,
)
from dui_identity.staff.tables import Account, Assignment, Professional


class AccountServicer:
    """`dui.identity.v1.AccountService`."""

    def __init__(self, password_key: bytes) -> None:
        """The key of first passwords."""
        self._password_key = password_key

    def GetMyAccount(self, request: pb.GetMyAccountRequest, call: Call) -> pb.GetMyAccountResponse:  # noqa: ARG002
        """The caller's account, the person, where they work now, and what they may do there."""
        account = account_of(call, str(call.caller.account_id))
        assignments = call.session.scalars(
            select(Assignment)
            .where(
                Assignment.tenant_id == call.tenant_id,
                Assignment.account_id == account.account_id,
                in_force(call.now),
            )
            .order_by(Assignment.valid_from, Assignment.assignment_id)
        ).all()
        policy = policy_in_force(call.session, call.tenant_id)
        return pb.GetMyAccountResponse(
            account=_account(account),
            professional=professional_proto(_professional(call, account)),
            assignments=[assignment_proto(row) for row in assignments],
            rights=[
                pb.EffectiveRight(
                    facility_id=row.facility_id,
                    unit_id=row.unit_id,
                    profession=row.profession,  # type: ignore[arg-type]
                    category=category,  # type: ignore[arg-type]
                    actions=sorted(actions),  # type: ignore[arg-type]
                )
                for row in assignments
                for category, actions in policy.rights(row.profession).items()
            ],
        )

    def CreateAccount(self, request: pb.CreateAccountRequest, call: Call) -> pb.CreateAccountResponse:
        """Opens the account of a professional."""
        professional = call.session.scalars(
            select(Professional).where(
                Professional.tenant_id == call.tenant_id,
                Professional.professional_id == request.account.professional_id,
            )
        ).one_or_none()
        if professional is None:
            raise not_found("account.professional_id")
        row, password = opening(call, self._password_key).account(
            professional, request.account.login, field="account.login"
        )
        reply = pb.CreateAccountResponse(account=_account(row))
        if password is not None:
            reply.temporary_password = password
        return reply

    def GetAccount(self, request: pb.GetAccountRequest, call: Call) -> pb.GetAccountResponse:
        """One account."""
        return pb.GetAccountResponse(account=_account(account_of(call, request.account_id)))

    def ListAccounts(self, request: pb.ListAccountsRequest, call: Call) -> pb.ListAccountsResponse:
        """The accounts, by login, ended ones included."""
        page = call.page(request)
        query = (
            select(Account)
            .where(Account.tenant_id == call.tenant_id)
            .order_by(Account.login, Account.account_id)
            .limit(page.size + 1)
        )
        if page.after:
            login, account_id = page.after
            query = query.where(Account.login >= login, or_(Account.login > login, Account.account_id > account_id))
        rows, token = page.cut(call.session.scalars(query).all(), key=lambda row: (row.login, row.account_id))
        return pb.ListAccountsResponse(accounts=[_account(row) for row in rows], next_page_token=token)

    def InviteAccount(self, request: pb.InviteAccountRequest, call: Call) -> pb.InviteAccountResponse:
        """Sends the invitation again."""
        row = _locked(call, request.account_id)
        rules.check_invite(Status(row.status), _professional(call, row).email)
        _ask(call, row, Kind.INVITE)
        return pb.InviteAccountResponse(account=_account(row))

    def SuspendAccount(self, request: pb.SuspendAccountRequest, call: Call) -> pb.SuspendAccountResponse:
        """Shuts somebody out for now: their tokens are refused, and their sessions end."""
        association_of(call.session, call.tenant_id, lock=True)
        row = _locked(call, request.account_id)
        rules.check_suspend(Status(row.status), own=row.account_id == call.caller.account_id)
        check_administered(call, without_account=row.account_id)
        _set_status(call, row, Status.SUSPENDED, reason=request.reason)
        _ask(call, row, Kind.LOCK_OUT)
        return pb.SuspendAccountResponse(account=_account(row))

    def ReactivateAccount(self, request: pb.ReactivateAccountRequest, call: Call) -> pb.ReactivateAccountResponse:
        """Gives a suspended account back."""
        row = _locked(call, request.account_id)
        rules.check_reactivate(Status(row.status))
        _set_status(call, row, Status.ACTIVE)
        _ask(call, row, Kind.ACCOUNT)
        return pb.ReactivateAccountResponse(account=_account(row))

    def EndAccount(self, request: pb.EndAccountRequest, call: Call) -> pb.EndAccountResponse:
        """Somebody leaves: assignments, sessions and account end together."""
        association_of(call.session, call.tenant_id, lock=True)
        row = _locked(call, request.account_id)
        rules.check_end(Status(row.status), own=row.account_id == call.caller.account_id)
        check_administered(call, without_account=row.account_id)
        self._end_assignments(call, row)
        _set_status(call, row, Status.ENDED, reason=request.reason)
        forget(call.session, tenant_id=call.tenant_id, account_id=row.account_id)
        row.problem = Problem.NONE
        _ask(call, row, Kind.LOCK_OUT)
        return pb.EndAccountResponse(account=_account(row))

    @staticmethod
    def _end_assignments(call: Call, account: Account) -> None:
        open_ones = call.session.scalars(
            select(Assignment)
            .where(
                Assignment.tenant_id == call.tenant_id,
                Assignment.account_id == account.account_id,
                or_(Assignment.valid_to.is_(None), Assignment.valid_to > call.now),
            )
            .with_for_update()
        ).all()
        for row in open_ones:
            row.valid_to = rules.end_period(Period(row.valid_from, row.valid_to), None, now=call.now).end
            row.ended_by_account_id = call.caller.account_id
            row.version += 1
            call.publish(assignment_changed(row))


def _locked(call: Call, account_id: str) -> Account:
    row = lock_account(call.session, call.tenant_id, account_id)
    if row is None:
        raise not_found("account_id")
    return row


def _professional(call: Call, account: Account) -> Professional:
    return call.session.scalars(
        select(Professional).where(
            Professional.tenant_id == call.tenant_id, Professional.professional_id == account.professional_id
        )
    ).one()


def _set_status(call: Call, row: Account, status: Status, *, reason: str | None = None) -> None:
    row.status = status
    row.version += 1
    if status in {Status.SUSPENDED, Status.ENDED}:
        row.sessions_revoked_at = call.now
    call.session.flush()
    call.session.add(status_change(row, now=call.now, author_account_id=call.caller.account_id, reason=reason))
    call.publish(account_changed(row))


def _ask(call: Call, row: Account, kind: Kind) -> None:
    enqueue(call.session, tenant_id=call.tenant_id, account_id=row.account_id, kind=kind, now=call.now)
    call.session.flush()


def _account(row: Account) -> pb.Account:
    return pb.Account(
        account_id=row.account_id,
        professional_id=row.professional_id,
        login=row.login,
        status=row.status,  # type: ignore[arg-type]
        etag=Call.etag(row.account_id, row.version),
        provisioning_problem=row.problem,  # type: ignore[arg-type]
    )
