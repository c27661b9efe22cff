"""Professionals, accounts and assignments as the contract says them."""

from __future__ import annotations

from dui.identity.v1 import staff_pb2 as pb
from dui_kit.calls.call import Call
from dui_kit.times import to_timestamp

from dui_identity.staff.tables import Account, Assignment, Professional


def to_professional(row: Professional) -> pb.Professional:
    """A professional."""
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


def to_account(row: Account) -> pb.Account:
    """An account."""
    return pb.Account(
        account_id=row.account_id,
        professional_id=row.professional_id,
        login=row.login,
        status=row.status,  # type: ignore[arg-type]
        etag=Call.etag(row.account_id, row.version),
        provisioning_problem=row.problem,  # type: ignore[arg-type]
    )


def to_assignment(row: Assignment) -> pb.Assignment:
    """An assignment."""
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
