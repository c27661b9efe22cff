"""Opening an account: for a professional of an association, and for the first administrator of a new one."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from dui_kit.identifiers import normalise_name
from dui_kit.ids import new_id
from google.protobuf.message import Message
from sqlalchemy.orm import Session

from dui_identity.provisioning.queue import enqueue
from dui_identity.provisioning.rules import NONCE_BYTES, Kind, Problem, first_password, new_nonce
from dui_identity.staff import rules
from dui_identity.staff.events import account_changed, assignment_changed
from dui_identity.staff.queries import status_change
from dui_identity.staff.rules import Status
from dui_identity.staff.tables import Account, Assignment, Professional


@dataclass(frozen=True, slots=True)
class Opening:
    """The transaction in which somebody comes in."""

    session: Session
    publish: Callable[[Message], None]
    tenant_id: str
    now: datetime
    #: Account of who decides; None: an operator.
    author_account_id: str | None
    password_key: bytes

    def professional(
        self,
        *,
        family_name: str,
        given_name: str,
        profession: int,
        qualification: str | None = None,
        rpps: str | None = None,
        email: str | None = None,
    ) -> Professional:
        """Adds a professional."""
        row = Professional(
            tenant_id=self.tenant_id,
            professional_id=new_id(),
            family_name=family_name,
            given_name=given_name,
            name_key=name_key(family_name, given_name),
            profession=profession,
            qualification=qualification,
            rpps=rpps,
            email=email,
            version=1,
        )
        self.session.add(row)
        self.session.flush()
        return row

    def account(self, professional: Professional, login: str, *, field: str) -> tuple[Account, str | None]:
        """Opens the account of a professional, and the password to hand over when they have no e-mail address.

        The identity provider is asked later, by the worker: this transaction only writes down what to ask.
        """
        row = Account(
            tenant_id=self.tenant_id,
            account_id=new_id(),
            professional_id=professional.professional_id,
            login=rules.clean_login(login, field=field),
            status=Status.PROVISIONING,
            problem=Problem.NONE,
            version=1,
        )
        self.session.add(row)
        self.session.flush()
        self.session.add(status_change(row, now=self.now, author_account_id=self.author_account_id))
        self.publish(account_changed(row))
        nonce = None if professional.email else new_nonce(os.urandom(NONCE_BYTES), self.password_key)
        self._ask(row, Kind.ACCOUNT, nonce)
        if nonce is None:
            self._ask(row, Kind.INVITE, None)
            return row, None
        return row, first_password(nonce, self.password_key, login=row.login)

    def assignment(
        self,
        account_id: str,
        profession: int,
        period: rules.Period,
        *,
        facility_id: str | None = None,
        unit_id: str | None = None,
    ) -> Assignment:
        """Assigns an account; without a facility, to the whole association."""
        row = Assignment(
            tenant_id=self.tenant_id,
            assignment_id=new_id(),
            account_id=account_id,
            profession=profession,
            facility_id=facility_id,
            unit_id=unit_id,
            valid_from=period.start,
            valid_to=period.end,
            version=1,
            author_account_id=self.author_account_id,
        )
        self.session.add(row)
        self.session.flush()
        self.publish(assignment_changed(row))
        return row

    def _ask(self, row: Account, kind: Kind, nonce: bytes | None) -> None:
        enqueue(
            self.session,
            tenant_id=self.tenant_id,
            account_id=row.account_id,
            kind=kind,
            now=self.now,
            password_nonce=nonce,
        )
        self.session.flush()  # one insert after another: their serial numbers are their order


def name_key(family_name: str, given_name: str) -> str:
    """What professionals are sorted by."""
    return f"{normalise_name(family_name)} {normalise_name(given_name)}"
