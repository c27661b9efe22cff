"""For tests: an association on a real PostgreSQL whose people may act, without an identity provider."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dui.identity.v1 import organisation_pb2, staff_pb2
from dui.journal.v1 import journal_pb2
from dui_kit.ids import new_id
from dui_kit.testing import Harness
from dui_kit.worker import Event
from dui_kit.worker.parts import transaction
from google.protobuf.message import Message
from sqlalchemy import Engine

from dui_identity.journal import chain
from dui_identity.staff.queries import account_at_provider, provisioned

_numbers = itertools.count(1)


@dataclass(slots=True)
class Association:
    """One association, its administrator logged in."""

    harness: Harness
    tenant_id: str
    slug: str
    administrator_account_id: str

    @property
    def administrator(self) -> str:
        """Subject of the administrator's token."""
        return f"{self.slug}-administrator"

    def call(self, operation: str, request: Message, *, as_: str = "", acr: int = 2, **headers: Any) -> Any:
        """A call by the administrator, with a second factor, unless told."""
        return self.harness.call(
            f"dui.identity.v1.{operation}",
            request,
            as_=as_ or self.administrator,
            tenant=self.tenant_id,
            acr=acr,
            **headers,
        )

    def set_up(self, account_id: str, subject: str) -> str:
        """Does to an account what provisioning does when the identity provider answers; its subject."""
        return provision(self.harness, self.tenant_id, account_id, subject)

    def place(self, finess: str = "010000024") -> tuple[str, str]:
        """A facility and a unit of it."""
        facility = organisation_pb2.Facility(
            name="Les Tilleuls", finess_et=finess, category_code="500", time_zone="Europe/Paris"
        )
        made = self.call(
            "FacilityService/CreateFacility", organisation_pb2.CreateFacilityRequest(facility=facility)
        ).facility
        request = organisation_pb2.CreateUnitRequest(
            facility_id=made.facility_id, unit=organisation_pb2.Unit(name="Nord")
        )
        unit = self.call("UnitService/CreateUnit", request).unit
        return made.facility_id, unit.unit_id

    def person(
        self, profession: Any, *, email: str | None = None, facility_id: str | None = None, by: str = ""
    ) -> tuple[str, str]:
        """A professional with an active account and an assignment, made by an administrator: account id and subject."""
        number = next(_numbers)
        professional = self.call(
            "ProfessionalService/CreateProfessional",
            staff_pb2.CreateProfessionalRequest(
                professional=staff_pb2.Professional(
                    family_name=f"Martin{number}", given_name="Camille", profession=profession, email=email
                )
            ),
            as_=by,
        ).professional
        account = self.call(
            "AccountService/CreateAccount",
            staff_pb2.CreateAccountRequest(
                account=staff_pb2.Account(professional_id=professional.professional_id, login=f"login-{number}")
            ),
            as_=by,
        ).account
        self.call(
            "AssignmentService/CreateAssignment",
            staff_pb2.CreateAssignmentRequest(
                account_id=account.account_id,
                assignment=staff_pb2.Assignment(profession=profession, facility_id=facility_id),
            ),
            as_=by,
        )
        return account.account_id, self.set_up(account.account_id, f"subject-{number}")


def provision(harness: Harness, tenant_id: str, account_id: str, subject: str) -> str:
    """Writes down what the identity provider answered, as the worker does."""
    with transaction(harness.engine, "identity", tenant_id) as call:
        provisioned(call, account_id, subject, account_at_provider(call, account_id).login)
    return subject


def open_association(harness: Harness, *, email: str | None = None) -> Association:
    """A new association whose administrator may act at once."""
    number = next(_numbers)
    slug = f"association-{number}"
    reply = harness.call(
        "dui.identity.v1.AssociationService/CreateAssociation",
        organisation_pb2.CreateAssociationRequest(
            association=organisation_pb2.Association(slug=slug, name=f"Association {number}"),
            administrator=organisation_pb2.FirstAdministrator(
                family_name="Durand", given_name="Dominique", login=f"admin-{number}", email=email
            ),
        ),
    )
    found = Association(harness, reply.association.association_id, slug, reply.administrator_account_id)
    found.set_up(found.administrator_account_id, found.administrator)
    return found


class JournalWriter:
    """The journal of a service for one association, in the batches that its relay hands over."""

    def __init__(self, tenant_id: str, service: str = "records") -> None:
        self.tenant_id = tenant_id
        self.service = service
        self.entry_ids: list[str] = []

    def batch(self, count: int, *, first: int | None = None, **entry: Any) -> journal_pb2.JournalBatch:
        """The next entries; or others under the numbers from `first` on, as of a database that was set back."""
        start = first or len(self.entry_ids) + 1
        previous = self.entry_ids[start - 2] if 1 < start <= len(self.entry_ids) + 1 else ""
        batch = journal_pb2.JournalBatch(service=self.service, tenant_id=self.tenant_id, previous_entry_id=previous)
        for sequence in range(start, start + count):
            made = batch.entries.add(sequence=sequence, entry_id=new_id(), **entry)
            made.occurred_at.GetCurrentTime()
        if first is None:
            self.entry_ids += [made.entry_id for made in batch.entries]
        return batch


def append_batch(engine: Engine, batch: journal_pb2.JournalBatch, now: datetime | None = None) -> None:
    """What the consumer of the journal does with a batch."""
    with transaction(engine, "identity", batch.tenant_id) as call:
        call.now = now or call.now
        chain.append(call, Event(new_id(), batch.tenant_id, batch.DESCRIPTOR.full_name, batch.service, batch))
