"""For tests of medication: an association with a doctor, a nurse and a secretary, and the fictive formulary."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import psycopg
from dui.access.v1 import facts_pb2
from dui.options.v1.options_pb2 import Action, Category
from dui_kit.ids import new_id
from dui_kit.testing import Harness
from dui_kit.times import to_timestamp
from google.protobuf.message import Message

from dui_medication.catalogue.importing import Report, write
from dui_medication.catalogue.source import FICTIVE_EDITION, FORMULARY, Catalogue, read

DOCTOR, NURSE, SECRETARY = 4, 5, 19
READ_WRITE = (Action.ACTION_READ, Action.ACTION_WRITE)
POLICY: dict[int, dict[int, tuple[int, ...]]] = {
    DOCTOR: {Category.CATEGORY_MEDICATION: READ_WRITE},
    NURSE: {Category.CATEGORY_MEDICATION: READ_WRITE},
    SECRETARY: {Category.CATEGORY_ADMINISTRATIVE: READ_WRITE},
}
#: After every edition of the tests.
TODAY = date(2026, 6, 1)


def load(harness: Harness, catalogue: Catalogue | None = None, **options: Any) -> Report:
    """Imports a catalogue as the owner of the database; the fictive formulary, unless told."""
    with psycopg.connect(harness.database.owner_url, autocommit=True) as connection:
        found = catalogue or read(FORMULARY, FICTIVE_EDITION)
        return write(connection, found, today=TODAY, **options)


class World:
    """An association with one facility. Subjects: `doctor`, `nurse`, `secretary`."""

    def __init__(self, harness: Harness, now: datetime) -> None:
        self.harness = harness
        self.tenant, self.home = new_id(), new_id()
        facts: list[Message] = [
            facts_pb2.TenantChanged(tenant_id=self.tenant, version=1, active=True),
            facts_pb2.FacilityChanged(facility_id=self.home, version=1, category_code="500", time_zone="Europe/Paris"),
        ]
        for profession, rights in POLICY.items():
            granted = [facts_pb2.Right(category=c, actions=list(actions)) for c, actions in rights.items()]
            facts.append(
                facts_pb2.PolicyChanged(
                    policy_id=f"profession-{profession}", version=1, profession=profession, rights=granted
                )
            )
        for subject, profession in (("doctor", DOCTOR), ("nurse", NURSE), ("secretary", SECRETARY)):
            account = new_id()
            facts += [
                facts_pb2.AccountChanged(account_id=account, version=1, subject=subject, active=True),
                facts_pb2.AssignmentChanged(
                    assignment_id=new_id(),
                    version=1,
                    account_id=account,
                    facility_id=self.home,
                    profession=profession,
                    valid_from=to_timestamp(now - timedelta(days=1)),
                ),
            ]
        harness.facts(self.tenant, facts)

    def call(self, operation: str, request: Message, **options: Any) -> Any:
        """A call of the association, by its doctor with a password unless told."""
        options.setdefault("as_", "doctor")
        return self.harness.call(f"dui.medication.v1.{operation}", request, tenant=self.tenant, **options)
