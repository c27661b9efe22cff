"""Professionals and their assignments. Accounts are beside, in `accounts`."""

from __future__ import annotations

from dui.identity.v1 import staff_pb2 as pb
from dui_kit.call import Call
from dui_kit.errors import Refusal, not_found
from dui_kit.times import from_micros, from_timestamp, micros, to_timestamp
from sqlalchemy import select, tuple_

from dui_identity.organisation.queries import association_of, is_facility, is_unit
from dui_identity.organisation.rules import clean_name
from dui_identity.policy.queries import guardians, policy_in_force
from dui_identity.provisioning.queue import enqueue
from dui_identity.provisioning.rules import Kind
from dui_identity.staff import rules
from dui_identity.staff.events import assignment_changed
from dui_identity.staff.opening import Opening, name_key
from dui_identity.staff.queries import administrators, live_account_of, lock_account
from dui_identity.staff.rules import Period, Status
from dui_identity.staff.tables import Account, Assignment, Professional


class ProfessionalServicer:
    """`dui.identity.v1.ProfessionalService`."""

    def __init__(self, password_key: bytes) -> None:
        """The key of first passwords."""
        self._password_key = password_key

    def CreateProfessional(self, request: pb.CreateProfessionalRequest, call: Call) -> pb.CreateProfessionalResponse:
        """Adds a professional."""
        wanted = request.professional
        row = opening(call, self._password_key).professional(
            family_name=clean_name(wanted.family_name, field="professional.family_name"),
            given_name=clean_name(wanted.given_name, field="professional.given_name"),
            profession=wanted.profession,
            qualification=wanted.qualification or None,
            rpps=wanted.rpps or None,
            email=rules.clean_email(wanted.email) or None,
        )
        return pb.CreateProfessionalResponse(professional=professional_proto(row))

    def GetProfessional(self, request: pb.GetProfessionalRequest, call: Call) -> pb.GetProfessionalResponse:
        """One professional."""
        return pb.GetProfessionalResponse(professional=professional_proto(_professional(call, request.professional_id)))

    def ListProfessionals(self, request: pb.ListProfessionalsRequest, call: Call) -> pb.ListProfessionalsResponse:
        """The professionals, by name."""
        page = call.page(request)
        row = Professional
        query = (
            select(row)
            .where(row.tenant_id == call.tenant_id)
            .order_by(row.name_key, row.professional_id)
            .limit(page.size + 1)
        )
        if page.after:
            query = query.where(tuple_(row.name_key, row.professional_id) > page.after)
        rows, token = page.cut(call.session.scalars(query).all(), key=lambda row: (row.name_key, row.professional_id))
        return pb.ListProfessionalsResponse(
            professionals=[professional_proto(row) for row in rows], next_page_token=token
        )

    def UpdateProfessional(self, request: pb.UpdateProfessionalRequest, call: Call) -> pb.UpdateProfessionalResponse:
        """Changes a professional; another e-mail address also reaches the identity provider."""
        row = _professional(call, request.professional_id, lock=True)
        call.check_etag(row.professional_id, row.version)
        wanted = call.apply_mask(
            professional_proto(row), request.professional, request.update_mask, prefix="professional"
        )
        email_before = row.email
        row.family_name = clean_name(wanted.family_name, field="professional.family_name")
        row.given_name = clean_name(wanted.given_name, field="professional.given_name")
        row.name_key = name_key(row.family_name, row.given_name)
        row.profession = wanted.profession
        row.qualification = wanted.qualification or None
        row.rpps = wanted.rpps or None
        row.email = rules.clean_email(wanted.email) or None
        row.version += 1
        call.session.flush()
        if row.email != email_before:
            account = live_account_of(call.session, call.tenant_id, row.professional_id)
            if account is not None:
                enqueue(
                    call.session,
                    tenant_id=call.tenant_id,
                    account_id=account.account_id,
                    kind=Kind.ACCOUNT,
                    now=call.now,
                )
        return pb.UpdateProfessionalResponse(professional=professional_proto(row))


class AssignmentServicer:
    """`dui.identity.v1.AssignmentService`."""

    def __init__(self, password_key: bytes) -> None:
        """The key of first passwords."""
        self._password_key = password_key

    def CreateAssignment(self, request: pb.CreateAssignmentRequest, call: Call) -> pb.CreateAssignmentResponse:
        """Assigns an account to the association, a facility or a unit."""
        wanted = request.assignment
        account = lock_account(call.session, call.tenant_id, request.account_id)
        if account is None:
            raise not_found("account_id")
        rules.check_assignable(Status(account.status), own=account.account_id == call.caller.account_id)
        facility_id, unit_id = wanted.facility_id or None, wanted.unit_id or None
        rules.check_place(facility_id, unit_id)
        if facility_id and not is_facility(call.session, call.tenant_id, facility_id):
            raise not_found("assignment.facility_id")
        if facility_id and unit_id and not is_unit(call.session, call.tenant_id, facility_id, unit_id):
            raise Refusal(rules.UNIT_NOT_IN_FACILITY, field="assignment.unit_id")
        period = rules.new_period(
            from_timestamp(wanted.valid_from) if wanted.HasField("valid_from") else None,
            from_timestamp(wanted.valid_to) if wanted.HasField("valid_to") else None,
            now=call.now,
        )
        row = opening(call, self._password_key).assignment(
            account.account_id, wanted.profession, period, facility_id=facility_id, unit_id=unit_id
        )
        return pb.CreateAssignmentResponse(assignment=assignment_proto(row))

    def ListAssignments(self, request: pb.ListAssignmentsRequest, call: Call) -> pb.ListAssignmentsResponse:
        """The assignments of an account, newest first."""
        account_of(call, request.account_id)
        page = call.page(request)
        row = Assignment
        query = (
            select(row)
            .where(row.tenant_id == call.tenant_id, row.account_id == request.account_id)
            .order_by(row.valid_from.desc(), row.assignment_id.desc())
            .limit(page.size + 1)
        )
        if page.after:
            before = (from_micros(int(page.after[0] or 0)), page.after[1])
            query = query.where(tuple_(row.valid_from, row.assignment_id) < before)
        rows, token = page.cut(
            call.session.scalars(query).all(), key=lambda row: (micros(row.valid_from), row.assignment_id)
        )
        return pb.ListAssignmentsResponse(assignments=[assignment_proto(row) for row in rows], next_page_token=token)

    def EndAssignment(self, request: pb.EndAssignmentRequest, call: Call) -> pb.EndAssignmentResponse:
        """Ends an assignment, now or at a given instant."""
        association_of(call.session, call.tenant_id, lock=True)
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
        wanted = from_timestamp(request.valid_to) if request.HasField("valid_to") else None
        period = rules.end_period(Period(row.valid_from, row.valid_to), wanted, now=call.now)
        if not period.holds_at(call.now):
            check_administered(call, without_assignment=row.assignment_id)
        row.valid_to = period.end
        row.ended_by_account_id = call.caller.account_id
        row.version += 1
        call.session.flush()
        call.publish(assignment_changed(row))
        return pb.EndAssignmentResponse(assignment=assignment_proto(row))


def opening(call: Call, password_key: bytes) -> Opening:
    """The transaction of a call in which somebody comes in."""
    return Opening(call.session, call.publish, call.tenant_id, call.now, call.caller.account_id, password_key)


def check_administered(call: Call, *, without_account: str = "", without_assignment: str = "") -> None:
    """Refuses when nobody could administer the association without this account or assignment.

    The association's row must be locked, or two administrators could end each other at the same moment.
    """
    guarded = guardians(policy_in_force(call.session, call.tenant_id))
    found = administrators(call.session, call.tenant_id, frozenset().union(*guarded), call.now)
    rules.check_still_administered(
        (one for one in found if one.account_id != without_account and one.assignment_id != without_assignment),
        guarded,
    )


def account_of(call: Call, account_id: str) -> Account:
    """An account of the caller's association; NOT_FOUND otherwise."""
    row = call.session.scalars(
        select(Account).where(Account.tenant_id == call.tenant_id, Account.account_id == account_id)
    ).one_or_none()
    if row is None:
        raise not_found("account_id")
    return row


def _professional(call: Call, professional_id: str, *, lock: bool = False) -> Professional:
    query = select(Professional).where(
        Professional.tenant_id == call.tenant_id, Professional.professional_id == professional_id
    )
    row = call.session.scalars(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        raise not_found("professional_id")
    return row


def professional_proto(row: Professional) -> pb.Professional:
    """A professional as the contract says it."""
    return pb.Professional(
        professional_id=row.professional_id,
        family_name=row.family_name,
        given_name=row.given_name,
        profession=row.profession,  # type: ignore[arg-type]
        qualification=row.qualification,
        rpps=row.rpps,
        email=row.email,
        etag=Call.etag(row.professional_id, row.version),
    )


def assignment_proto(row: Assignment) -> pb.Assignment:
    """An assignment as the contract says it."""
    found = pb.Assignment(
        assignment_id=row.assignment_id,
        account_id=row.account_id,
        profession=row.profession,  # type: ignore[arg-type]
        facility_id=row.facility_id,
        unit_id=row.unit_id,
        valid_from=to_timestamp(row.valid_from),
        author_account_id=row.author_account_id,
        ended_by_account_id=row.ended_by_account_id,
    )
    if row.valid_to is not None:
        found.valid_to.CopyFrom(to_timestamp(row.valid_to))
    return found
