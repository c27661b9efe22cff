"""Professionals, their accounts and their assignments."""

from __future__ import annotations

from dui.identity.v1 import staff_pb2 as pb
from dui_kit.calls.call import Call
from dui_kit.calls.visibility import Place, check_covers, places_of_right
from dui_kit.errors import Refusal, not_found
from dui_kit.times import from_timestamp
from sqlalchemy import select

from dui_identity.organisation.queries import association_of, is_facility, is_unit
from dui_identity.organisation.rules import clean_name
from dui_identity.policy.queries import policy_in_force
from dui_identity.provisioning.queue import enqueue, forget, relied_on_elsewhere
from dui_identity.provisioning.rules import Kind, Problem
from dui_identity.staff import opening, queries, rules
from dui_identity.staff.events import account_changed, assignment_changed
from dui_identity.staff.mapping import to_account, to_assignment, to_professional
from dui_identity.staff.rules import Period, Status
from dui_identity.staff.tables import Account, Assignment, Professional


class ProfessionalServicer:
    """Professionals of the association."""

    CONTRACT = pb.DESCRIPTOR.services_by_name["ProfessionalService"]

    def CreateProfessional(self, request: pb.CreateProfessionalRequest, call: Call) -> pb.CreateProfessionalResponse:
        """Adds a professional."""
        wanted = request.professional
        row = opening.add_professional(
            call,
            family_name=clean_name(wanted.family_name, field="professional.family_name"),
            given_name=clean_name(wanted.given_name, field="professional.given_name"),
            profession=wanted.profession,
            author_account_id=call.caller.account_id,
            qualification=wanted.qualification or None,
            rpps=wanted.rpps or None,
            email=rules.clean_email(wanted.email) or None,
        )
        return pb.CreateProfessionalResponse(professional=to_professional(row))

    def GetProfessional(self, request: pb.GetProfessionalRequest, call: Call) -> pb.GetProfessionalResponse:
        """One professional."""
        row = queries.professional_of(call, request.professional_id)
        return pb.GetProfessionalResponse(professional=to_professional(row))

    def ListProfessionals(self, request: pb.ListProfessionalsRequest, call: Call) -> pb.ListProfessionalsResponse:
        """The professionals, by name."""
        query = select(Professional).where(Professional.tenant_id == call.tenant_id)
        rows, token = call.page(request).fetch(call.session, query, Professional.name_key, Professional.professional_id)
        return pb.ListProfessionalsResponse(professionals=map(to_professional, rows), next_page_token=token)

    def UpdateProfessional(self, request: pb.UpdateProfessionalRequest, call: Call) -> pb.UpdateProfessionalResponse:
        """Changes a professional; another e-mail address also reaches the identity provider."""
        row = queries.professional_of(call, request.professional_id, lock=True)
        call.check_etag(row.professional_id, row.version)
        account = queries.live_account_of(call, row.professional_id)
        _check_reach(call, row, account, field="professional_id")
        wanted = call.apply_mask(to_professional(row), request.professional, request.update_mask, prefix="professional")
        email_before = row.email
        row.family_name = clean_name(wanted.family_name, field="professional.family_name")
        row.given_name = clean_name(wanted.given_name, field="professional.given_name")
        row.name_key = opening.name_key(row.family_name, row.given_name)
        row.profession = wanted.profession
        row.qualification = wanted.qualification or None
        row.rpps = wanted.rpps or None
        row.email = rules.clean_email(wanted.email) or None
        row.version += 1
        call.session.flush()
        if row.email != email_before and account is not None:
            enqueue(call, account_id=account.account_id, kind=Kind.ACCOUNT)
        return pb.UpdateProfessionalResponse(professional=to_professional(row))


class AccountServicer:
    """Accounts: opened, invited, suspended, given back, ended."""

    CONTRACT = pb.DESCRIPTOR.services_by_name["AccountService"]

    def __init__(self, password_key: bytes) -> None:
        """The key of first passwords."""
        self._password_key = password_key

    def GetMyAccount(self, request: pb.GetMyAccountRequest, call: Call) -> pb.GetMyAccountResponse:  # noqa: ARG002
        """The caller's account, the person, where they work now, and what they may do there."""
        account = queries.account_of(call, str(call.caller.account_id))
        assignments = queries.assignments_in_force(call, account.account_id)
        policy = policy_in_force(call)
        return pb.GetMyAccountResponse(
            account=to_account(account),
            professional=to_professional(queries.professional_of(call, account.professional_id)),
            assignments=map(to_assignment, assignments),
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
        wanted = request.account
        professional = queries.professional_of(call, wanted.professional_id, field="account.professional_id")
        _check_reach(call, professional, None, field="account.professional_id")
        row, password = opening.open_account(
            call,
            professional,
            wanted.login,
            field="account.login",
            author_account_id=call.caller.account_id,
            password_key=self._password_key,
        )
        return pb.CreateAccountResponse(account=to_account(row), temporary_password=password)

    def GetAccount(self, request: pb.GetAccountRequest, call: Call) -> pb.GetAccountResponse:
        """One account."""
        return pb.GetAccountResponse(account=to_account(queries.account_of(call, request.account_id)))

    def ListAccounts(self, request: pb.ListAccountsRequest, call: Call) -> pb.ListAccountsResponse:
        """The accounts, by login, ended ones included."""
        query = select(Account).where(Account.tenant_id == call.tenant_id)
        rows, token = call.page(request).fetch(call.session, query, Account.login, Account.account_id)
        return pb.ListAccountsResponse(accounts=map(to_account, rows), next_page_token=token)

    def InviteAccount(self, request: pb.InviteAccountRequest, call: Call) -> pb.InviteAccountResponse:
        """Lets somebody begin anew: tokens of before are refused, and an invitation or a first password follows."""
        row = self._within_reach(call, request.account_id)
        professional = queries.professional_of(call, row.professional_id)
        rules.check_invite(
            Status(row.status),
            professional.email,
            own=row.account_id == call.caller.account_id,
            relied_on_elsewhere=relied_on_elsewhere(call, row.subject),
        )
        password = opening.invite(call, row, professional, password_key=self._password_key)
        return pb.InviteAccountResponse(account=to_account(row), temporary_password=password)

    def SuspendAccount(self, request: pb.SuspendAccountRequest, call: Call) -> pb.SuspendAccountResponse:
        """Shuts somebody out for now: their tokens are refused, and their sessions end."""
        association_of(call, lock=True)
        row = self._within_reach(call, request.account_id)
        rules.check_suspend(Status(row.status), own=row.account_id == call.caller.account_id)
        queries.check_administered(call, policy_in_force(call), without_account=row.account_id)
        _set_status(call, row, Status.SUSPENDED, request.reason)
        enqueue(call, account_id=row.account_id, kind=Kind.LOCK_OUT)
        return pb.SuspendAccountResponse(account=to_account(row))

    def ReactivateAccount(self, request: pb.ReactivateAccountRequest, call: Call) -> pb.ReactivateAccountResponse:
        """Gives a suspended account back."""
        row = self._within_reach(call, request.account_id)
        rules.check_reactivate(Status(row.status))
        _set_status(call, row, Status.ACTIVE, request.reason)
        enqueue(call, account_id=row.account_id, kind=Kind.ACCOUNT)
        return pb.ReactivateAccountResponse(account=to_account(row))

    def EndAccount(self, request: pb.EndAccountRequest, call: Call) -> pb.EndAccountResponse:
        """Somebody leaves: assignments, sessions and account end together."""
        association_of(call, lock=True)
        row = self._within_reach(call, request.account_id)
        rules.check_end(Status(row.status), own=row.account_id == call.caller.account_id)
        queries.check_administered(call, policy_in_force(call), without_account=row.account_id)
        for assignment in queries.open_assignments(call, row.account_id):
            period = rules.end_period(Period(assignment.valid_from, assignment.valid_to), None, now=call.now)
            _end(call, assignment, period)
        _set_status(call, row, Status.ENDED, request.reason)
        forget(call, account_id=row.account_id)
        row.problem = Problem.NONE
        enqueue(call, account_id=row.account_id, kind=Kind.LOCK_OUT)
        return pb.EndAccountResponse(account=to_account(row))

    @staticmethod
    def _within_reach(call: Call, account_id: str) -> Account:
        """An account, locked, of somebody about whom the caller may decide."""
        row = queries.account_of(call, account_id, lock=True)
        _check_reach(call, queries.professional_of(call, row.professional_id), row, field="account_id")
        return row


class AssignmentServicer:
    """Who works where, as what."""

    CONTRACT = pb.DESCRIPTOR.services_by_name["AssignmentService"]

    def CreateAssignment(self, request: pb.CreateAssignmentRequest, call: Call) -> pb.CreateAssignmentResponse:
        """Assigns an account to the association, a facility or a unit."""
        wanted = request.assignment
        account = queries.account_of(call, request.account_id, lock=True)
        rules.check_assignable(Status(account.status), own=account.account_id == call.caller.account_id)
        facility_id, unit_id = wanted.facility_id or None, wanted.unit_id or None
        rules.check_place(facility_id, unit_id)
        if facility_id and not is_facility(call, facility_id):
            raise not_found("assignment.facility_id")
        if facility_id and unit_id and not is_unit(call, facility_id, unit_id):
            raise Refusal(rules.UNIT_NOT_IN_FACILITY, field="assignment.unit_id")
        check_covers(call, [Place(facility_id, unit_id)], field="assignment.facility_id")
        if not queries.is_assigned_at_all(call, account.account_id):
            # The first one says whose the account is to decide about from then on.
            professional = queries.professional_of(call, account.professional_id)
            _check_reach(call, professional, account, field="account_id")
        period = rules.new_period(
            from_timestamp(wanted.valid_from) if wanted.HasField("valid_from") else None,
            from_timestamp(wanted.valid_to) if wanted.HasField("valid_to") else None,
            now=call.now,
        )
        row = opening.assign(
            call,
            account.account_id,
            wanted.profession,
            period,
            author_account_id=call.caller.account_id,
            facility_id=facility_id,
            unit_id=unit_id,
        )
        return pb.CreateAssignmentResponse(assignment=to_assignment(row))

    def ListAssignments(self, request: pb.ListAssignmentsRequest, call: Call) -> pb.ListAssignmentsResponse:
        """The assignments of an account, newest first."""
        queries.account_of(call, request.account_id)
        query = select(Assignment).where(
            Assignment.tenant_id == call.tenant_id, Assignment.account_id == request.account_id
        )
        rows, token = call.page(request).fetch(
            call.session, query, Assignment.valid_from, Assignment.assignment_id, newest_first=True
        )
        return pb.ListAssignmentsResponse(assignments=map(to_assignment, rows), next_page_token=token)

    def EndAssignment(self, request: pb.EndAssignmentRequest, call: Call) -> pb.EndAssignmentResponse:
        """Ends an assignment, now or at a given instant."""
        association_of(call, lock=True)
        row = call.session.scalars(
            select(Assignment)
            .where(
                Assignment.tenant_id == call.tenant_id,
                Assignment.account_id == request.account_id,
                Assignment.assignment_id == request.assignment_id,
            )
            .with_for_update()
        ).one_or_none()
        if row is None:
            raise not_found("assignment_id")
        check_covers(call, [Place(row.facility_id, row.unit_id)], field="assignment_id")
        wanted = from_timestamp(request.valid_to) if request.HasField("valid_to") else None
        period = rules.end_period(Period(row.valid_from, row.valid_to), wanted, now=call.now)
        queries.check_administered(call, policy_in_force(call), without_assignment=row.assignment_id)
        _end(call, row, period)
        call.session.flush()
        return pb.EndAssignmentResponse(assignment=to_assignment(row))


def _check_reach(call: Call, professional: Professional, account: Account | None, *, field: str) -> None:
    """Nobody decides about somebody who works, or has worked, where the decider has no say: what is theirs to open may be more
    tomorrow. What was never assigned, an account or an entry without one, is as far as the right of who made it.

    `account`: theirs, unless it ended.
    """
    places = [Place(*place) for place in queries.places_worked(call, professional.professional_id)]
    if not places:
        places += _places_of_author(call, professional.author_account_id)
    if account is not None and not queries.is_assigned_at_all(call, account.account_id):
        places += _places_of_author(call, queries.author_of_account(call, account.account_id))
    check_covers(call, places, field=field)


def _places_of_author(call: Call, author_account_id: str | None) -> list[Place]:
    """Where who made something may do what the caller does; the whole association when nobody knows them or they left."""
    theirs = places_of_right(call, account_id=author_account_id) if author_account_id else []
    return theirs or [Place(None)]


def _end(call: Call, row: Assignment, period: Period) -> None:
    row.valid_to = period.end
    row.ended_by_account_id = call.caller.account_id
    row.version += 1
    call.publish(assignment_changed(row))


def _set_status(call: Call, row: Account, status: Status, reason: str) -> None:
    row.status = status
    row.version += 1
    if status in {Status.SUSPENDED, Status.ENDED}:
        row.sessions_revoked_at = call.now
    call.session.flush()
    call.session.add(
        queries.status_change(row, now=call.now, author_account_id=call.caller.account_id, reason=reason.strip())
    )
    call.publish(account_changed(row))
