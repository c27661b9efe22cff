"""For tests of medication: an association with its professionals and two persons, and the fictive formulary."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
from dui.access.v1 import facts_pb2
from dui.identity.v1 import directory_pb2
from dui.medication.v1 import prescriptions_pb2
from dui.options.v1.options_pb2 import Action, Category
from dui.records.v1 import beneficiaries_pb2, identity_strips_pb2
from dui_kit.calls.call import Call
from dui_kit.errors import Refusal
from dui_kit.ids import new_id
from dui_kit.testing import Harness
from dui_kit.times import to_timestamp
from google.protobuf.message import Message

from dui_medication.catalogue.importing import Report, write
from dui_medication.catalogue.source import FICTIVE_EDITION, FORMULARY, Catalogue, read
from dui_medication.knowledge.importing import Files
from dui_medication.knowledge.importing import write as write_thesaurus
from dui_medication.people.remote import Strip
from dui_medication.people.rules import DIRECTORY_AWAY

DOCTOR, NURSE, PHARMACIST, SECRETARY = 4, 5, 8, 19
_READ, _WRITE = Action.ACTION_READ, Action.ACTION_WRITE
POLICY: dict[int, dict[int, tuple[int, ...]]] = {
    DOCTOR: {Category.CATEGORY_MEDICATION: (_READ, _WRITE, Action.ACTION_PRESCRIBE)},
    NURSE: {Category.CATEGORY_MEDICATION: (_READ, _WRITE)},
    PHARMACIST: {Category.CATEGORY_MEDICATION: (_READ, _WRITE, Action.ACTION_VALIDATE)},
    SECRETARY: {Category.CATEGORY_ADMINISTRATIVE: (_READ, _WRITE)},
}
#: After every edition of the tests.
TODAY = date(2026, 6, 1)


def load(harness: Harness, catalogue: Catalogue | None = None, **options: Any) -> Report:
    """Imports a catalogue as the owner of the database; the fictive formulary, unless told."""
    with psycopg.connect(harness.database.owner_url, autocommit=True) as connection:
        found = catalogue or read(FORMULARY, FICTIVE_EDITION)
        return write(connection, found, today=TODAY, **options)


def _pair(one: str, other: str, level: str, info: str) -> list[dict[str, object]]:
    return [
        {
            "main_drug": left,
            "between_main_and_plus_drug": "+",
            "plus_drug": right,
            "severity_levels": [{"level": level, "info": info}],
            "interaction_mechanism": "Mécanisme d'essai.",
            "description": "",
        }
        for left, right in ((one, other), (other, one))
    ]


def inform(harness: Harness, edition_on: date) -> None:
    """Imports an invented thesaurus: warfarin is contraindicated with miconazole and advised against with ibuprofen; paracetamol
    asks for caution with it. It knows amoxicillin and clavulanic acid, and little else."""
    entries = [
        *_pair("WARFARINE", "MICONAZOLE", "CONTRE-INDICATION", "Ne pas associer."),
        *_pair("WARFARINE", "IBUPROFENE", "Association DECONSEILLEE", "À éviter."),
        *_pair("PARACETAMOL", "WARFARINE", "Précaution d'emploi", "Contrôler l'INR."),
        *_pair("MORPHINIQUES D'ESSAI", "WARFARINE", "A prendre en compte", ""),
    ]
    names = ("warfarine", "miconazole", "ibuprofene", "paracetamol", "amoxicilline", "acide clavulanique")
    index: list[dict[str, object]] = [{"substance": name, "drug_classes": []} for name in names]
    index.append({"substance": "oxycodone", "drug_classes": ["morphiniques d'essai"]})
    found = Files(edition_on, json.dumps(entries).encode(), json.dumps(index).encode())
    with psycopg.connect(harness.database.owner_url, autocommit=True) as connection:
        write_thesaurus(connection, found, today=datetime.now(UTC).date())


def order(cis: str, *times: str, quantity: str = "1", unit: str = "{tbl}", **more: Any) -> prescriptions_pb2.LineOrder:
    """An order by mouth from today on; `times` of the day."""
    steps = [{"doses": [{"at": at, "quantity": quantity} for at in times or ("08:00",)]}]
    values: dict[str, Any] = {
        "cis": cis,
        "route": "orale",
        "dosage": {"unit": unit, "steps": steps},
        "starts_on": today().isoformat(),
        "nursing_act_required": False,
    }
    return prescriptions_pb2.LineOrder(**(values | more))


def today(days: int = 0) -> date:
    """The day of the facilities, and those around it."""
    return datetime.now(ZoneInfo("Europe/Paris")).date() + timedelta(days=days)


class KnownPeople:
    """Stands where the way to records and identity stands: what they would say is set by a test."""

    def __init__(self) -> None:
        """Everybody is a doctor with an RPPS number; nobody has an allergy."""
        self.allergies: dict[str, list[identity_strips_pb2.StripAllergy]] = {}
        self.birth_date = "1938-05-04"
        self.died_on = ""
        self.rpps = "10003000048"
        #: The record does not answer.
        self.away = False
        #: The directory does not answer.
        self.directory_away = False

    def professional(self, call: Call, facility_id: str, *, field: str) -> directory_pb2.Prescriber:  # noqa: ARG002 (the port's)
        """The caller, as the directory would know them."""
        if self.directory_away:
            raise Refusal(DIRECTORY_AWAY)
        return directory_pb2.Prescriber(
            account_id=call.caller.account_id or "",
            facility_id=facility_id,
            family_name="Lemaire",
            given_name="Claire",
            rpps=self.rpps or None,
            facility_name="EHPAD Les Tilleuls",
            finess_et="750100042",
        )

    def strip(self, call: Call) -> Strip | None:
        """The person, as the record would say."""
        if self.away:
            return None
        strip = identity_strips_pb2.IdentityStrip(
            beneficiary_id=call.beneficiary_id,
            surviving_id=call.beneficiary_id,
            birth_name="Garnier",
            birth_given_names=["Odette", "Marie"],
            birth_date=self.birth_date,
            sex=beneficiaries_pb2.SEX_FEMALE,
            died_on=self.died_on or None,
            allergies=self.allergies.get(call.beneficiary_id, []),
            read_at=to_timestamp(call.now),
        )
        return Strip(strip, call.now, current=True)

    def keep(self, call: Call, strip: Strip) -> None:
        """Keeps nothing: it is never away for long."""


def announced(harness: Harness, tenant: str, kind: type[Message]) -> list[Any]:
    """The events of a kind that an association is told, in their order."""
    rows = harness.admin(
        "SELECT payload FROM outbox WHERE tenant_id = %s AND event_type = %s ORDER BY position",
        (tenant, kind.DESCRIPTOR.full_name),
    )
    return [kind.FromString(payload) for (payload,) in rows]


class World:
    """An association with two facilities and two persons. Subjects: `doctor`, `colleague` (a doctor too), `nurse`, `pharmacist`,
    `secretary`, of the first facility; `stranger`, a doctor of the second one."""

    def __init__(self, harness: Harness, now: datetime) -> None:
        self.harness = harness
        self.tenant, self.home, self.other_home = new_id(), new_id(), new_id()
        self.person, self.second = new_id(), new_id()
        self.accounts: dict[str, str] = {}
        facts: list[Message] = [facts_pb2.TenantChanged(tenant_id=self.tenant, version=1, active=True)]
        facts += [
            facts_pb2.FacilityChanged(facility_id=facility, version=1, category_code="500", time_zone="Europe/Paris")
            for facility in (self.home, self.other_home)
        ]
        for profession, rights in POLICY.items():
            granted = [facts_pb2.Right(category=c, actions=list(actions)) for c, actions in rights.items()]
            facts.append(
                facts_pb2.PolicyChanged(
                    policy_id=f"profession-{profession}", version=1, profession=profession, rights=granted
                )
            )
        staff = (
            ("doctor", DOCTOR, self.home),
            ("colleague", DOCTOR, self.home),
            ("stranger", DOCTOR, self.other_home),
            ("nurse", NURSE, self.home),
            ("pharmacist", PHARMACIST, self.home),
            ("secretary", SECRETARY, self.home),
        )
        for subject, profession, facility in staff:
            account = self.accounts[subject] = new_id()
            facts += [
                facts_pb2.AccountChanged(account_id=account, version=1, subject=subject, active=True),
                facts_pb2.AssignmentChanged(
                    assignment_id=new_id(),
                    version=1,
                    account_id=account,
                    facility_id=facility,
                    profession=profession,
                    valid_from=to_timestamp(now - timedelta(days=1)),
                ),
            ]
        for person in (self.person, self.second):
            facts += [
                facts_pb2.PersonChanged(beneficiary_id=person, version=1),
                self.stay(person, self.home, now - timedelta(days=1)),
            ]
        harness.facts(self.tenant, facts)

    @staticmethod
    def stay(person: str, facility: str, since: datetime) -> Message:
        """The fact of a stay."""
        return facts_pb2.PerimeterChanged(
            fact_id=new_id(),
            version=1,
            beneficiary_id=person,
            facility_id=facility,
            admission_only=False,
            valid_from=to_timestamp(since),
        )

    def call(self, operation: str, request: Message, **options: Any) -> Any:
        """A call of the association, by its doctor with a password unless told."""
        options.setdefault("as_", "doctor")
        return self.harness.call(f"dui.medication.v1.{operation}", request, tenant=self.tenant, **options)

    def draft(self, *orders: prescriptions_pb2.LineOrder, person: str = "", **more: Any) -> Any:
        """A draft of the doctor at the first facility."""
        as_ = more.pop("as_", "doctor")
        content = prescriptions_pb2.Prescription(facility_id=more.pop("facility_id", self.home), orders=orders, **more)
        request = prescriptions_pb2.CreatePrescriptionRequest(
            beneficiary_id=person or self.person, prescription=content
        )
        return self.call("PrescriptionService/CreatePrescription", request, as_=as_).prescription

    def sign(self, draft: Any, **options: Any) -> Any:
        """Signs a draft, with a second factor."""
        request = prescriptions_pb2.SignPrescriptionRequest(
            beneficiary_id=draft.beneficiary_id, prescription_id=draft.prescription_id
        )
        options = {"acr": 2, "if_match": draft.etag} | options
        return self.call("PrescriptionService/SignPrescription", request, **options).prescription

    def prescribe(self, *orders: prescriptions_pb2.LineOrder, **more: Any) -> Any:
        """A signed prescription."""
        return self.sign(self.draft(*orders, **more), as_=more.get("as_", "doctor"))
