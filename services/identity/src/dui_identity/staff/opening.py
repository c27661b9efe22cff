"""How somebody comes in: a professional of an association, or the first administrator of a new one.

`author_account_id` is the account of who decides; None: an operator.
"""

from __future__ import annotations

import os

from dui_kit.db.transaction import Transaction
from dui_kit.identifiers import normalise_name
from dui_kit.ids import new_id

from dui_identity.provisioning.queue import enqueue
from dui_identity.provisioning.rules import NONCE_BYTES, Kind, Problem, first_password, new_nonce
from dui_identity.staff import rules
from dui_identity.staff.events import account_changed, assignment_changed
from dui_identity.staff.queries import status_change
from dui_identity.staff.rules import Status
from dui_identity.staff.tables import Account, Assignment, Professional


def add_professional(
    transaction: Transaction,
    *,
    family_name: str,
    given_name: str,
    profession: int,
    author_account_id: str | None,
    qualification: str | None = None,
    rpps: str | None = None,
    email: str | None = None,
) -> Professional:
    """Adds a professional."""
    row = Professional(
        tenant_id=transaction.tenant_id,
        professional_id=new_id(),
        family_name=family_name,
        given_name=given_name,
        name_key=name_key(family_name, given_name),
        profession=profession,
        qualification=qualification,
        rpps=rpps,
        email=email,
        version=1,
        author_account_id=author_account_id,
    )
    transaction.session.add(row)
    transaction.session.flush()
    return row


def open_account(
    transaction: Transaction,
    professional: Professional,
    login: str,
    *,
    field: str,
    author_account_id: str | None,
    password_key: bytes,
) -> tuple[Account, str | None]:
    """Opens the account of a professional, and the password to hand over when they have no e-mail address.

    The identity provider is asked later, by the worker: this transaction only writes down what to ask. `field` names the
    login in a refusal.
    """
    row = Account(
        tenant_id=transaction.tenant_id,
        account_id=new_id(),
        professional_id=professional.professional_id,
        login=rules.clean_login(login, field=field),
        status=Status.PROVISIONING,
        problem=Problem.NONE,
        version=1,
    )
    transaction.session.add(row)
    transaction.session.flush()
    transaction.session.add(status_change(row, now=transaction.now, author_account_id=author_account_id))
    transaction.publish(account_changed(row))
    nonce = None if professional.email else new_nonce(os.urandom(NONCE_BYTES), password_key)
    enqueue(transaction, account_id=row.account_id, kind=Kind.ACCOUNT, password_nonce=nonce)
    if nonce is None:
        enqueue(transaction, account_id=row.account_id, kind=Kind.INVITE)
        return row, None
    return row, first_password(nonce, password_key, login=row.login)


def invite(transaction: Transaction, row: Account, professional: Professional, *, password_key: bytes) -> str | None:
    """Lets somebody begin anew: tokens of before are refused, and an invitation follows; without an e-mail address, the first
    password to hand over."""
    row.sessions_revoked_at = transaction.now
    row.problem = Problem.NONE
    row.version += 1
    transaction.publish(account_changed(row))
    nonce = None if professional.email else new_nonce(os.urandom(NONCE_BYTES), password_key)
    enqueue(transaction, account_id=row.account_id, kind=Kind.INVITE, password_nonce=nonce)
    return first_password(nonce, password_key, login=row.login) if nonce else None


def assign(
    transaction: Transaction,
    account_id: str,
    profession: int,
    period: rules.Period,
    *,
    author_account_id: str | None,
    facility_id: str | None = None,
    unit_id: str | None = None,
) -> Assignment:
    """Assigns an account; without a facility, to the whole association."""
    row = Assignment(
        tenant_id=transaction.tenant_id,
        assignment_id=new_id(),
        account_id=account_id,
        profession=profession,
        facility_id=facility_id,
        unit_id=unit_id,
        valid_from=period.start,
        valid_to=period.end,
        version=1,
        author_account_id=author_account_id,
    )
    transaction.session.add(row)
    transaction.session.flush()
    transaction.publish(assignment_changed(row))
    return row


def name_key(family_name: str, given_name: str) -> str:
    """What professionals are sorted by."""
    return f"{normalise_name(family_name)} {normalise_name(given_name)}"
