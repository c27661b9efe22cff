"""Association B gets nothing of association A out of identity: every RPC, every table. The same calls by A succeed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from dui.access.v1 import facts_pb2
from dui.identity.v1 import access_pb2 as access
from dui.identity.v1 import directory_pb2 as directory
from dui.identity.v1 import journal_pb2 as journal
from dui.identity.v1 import organisation_pb2 as organisation
from dui.identity.v1 import professions_pb2 as professions
from dui.identity.v1 import staff_pb2 as staff
from dui.options.v1.options_pb2 import Action, Category
from dui_identity.app import build
from dui_identity.settings import IdentitySettings
from dui_identity.testing import Association, JournalWriter, append_batch, open_association
from dui_kit.ids import new_id
from dui_kit.service import Service
from dui_kit.testing import CallFailed, Harness, create_database, postgres_server
from dui_kit.wire.contract import Perimeter
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from isolation import defects, fill, reach_in, rows_of, service_of, tenant_tables, told_for
from pydantic import SecretStr
from rest import Rest, rest_of

SERVICE = "dui.identity.v1."
SECRET = "Zwxqvkj"
P = professions.Profession
NUMBERS = iter(range(1, 10_000))


def service(folder: Path) -> Service:
    """Identity with a key of its own for the heads of the journal."""
    key = folder / "audit-signing.pem"
    encoding = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    key.write_bytes(Ed25519PrivateKey.generate().private_bytes(*encoding))
    heads = folder / "heads"
    heads.mkdir()
    return build(IdentitySettings(sealing_key=SecretStr("22" * 32), audit_signing_key_file=key, audit_heads_dir=heads))


METHODS = build(IdentitySettings(sealing_key=SecretStr("22" * 32))).methods()
OPERATIONS = sorted(operation.removeprefix(SERVICE) for operation in METHODS)


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    with postgres_server() as url:
        found = Harness(service(tmp_path_factory.mktemp("audit")), create_database(url, "identity"))
        yield found
        found.close()


@dataclass
class Case:
    """A request with ids of A, who of the association sends it, and what goes with it."""

    request: Message
    who: str = "administrator"
    if_match: str = ""


class Home:
    """An association with a facility, a nurse, a doctor and an officer, and a person that records told it of."""

    def __init__(self, harness: Harness) -> None:
        self.harness = harness
        self.association: Association = open_association(harness)
        self.doctor = self.officer = ""
        self.tenant = self.association.tenant_id
        self.facility = self.call("FacilityService/CreateFacility", self.new_facility()).facility
        self.unit = self.call(
            "UnitService/CreateUnit",
            organisation.CreateUnitRequest(facility_id=self.facility.facility_id, unit=organisation.Unit(name=SECRET)),
        ).unit
        self.nurse_account, _ = self.association.person(P.PROFESSION_NURSE)
        self.doctor_account, self.doctor = self.association.person(P.PROFESSION_DOCTOR)
        _, self.officer = self.association.person(P.PROFESSION_DATA_PROTECTION_OFFICER)
        self.person = new_id()
        harness.facts(self.tenant, [facts_pb2.PersonChanged(beneficiary_id=self.person, version=1)])

    @staticmethod
    def new_facility() -> organisation.CreateFacilityRequest:
        body = f"99{next(NUMBERS):06d}"
        total = sum(sum(divmod(int(digit) * (2 - n % 2), 10)) for n, digit in enumerate(reversed(body)))
        facility = organisation.Facility(
            name=SECRET, finess_et=f"{body}{-total % 10}", category_code="500", time_zone="Europe/Paris"
        )
        return organisation.CreateFacilityRequest(facility=facility)

    def call(self, operation: str, request: Message, who: str = "administrator", **options: Any) -> Any:
        options.setdefault("acr", 2)
        return self.association.call(operation, request, as_=self.subject(who), **options)

    def subject(self, who: str) -> str:
        administrator = self.association.administrator
        return {"administrator": administrator, "doctor": self.doctor, "officer": self.officer}[who]

    def professional(self) -> staff.Professional:
        person = staff.Professional(family_name=SECRET, given_name="Camille", profession=P.PROFESSION_NURSE)
        return self.call(
            "ProfessionalService/CreateProfessional", staff.CreateProfessionalRequest(professional=person)
        ).professional

    def account(self) -> str:
        """A fresh account, with an e-mail address and active."""
        return self.association.person(P.PROFESSION_NURSE, email=f"zwxqvkj{next(NUMBERS)}@example.org")[0]

    def assignment(self) -> staff.Assignment:
        assignment = staff.Assignment(profession=P.PROFESSION_NURSE, facility_id=self.facility.facility_id)
        request = staff.CreateAssignmentRequest(account_id=self.account(), assignment=assignment)
        return self.call("AssignmentService/CreateAssignment", request).assignment

    def glass(self) -> access.BreakGlass:
        request = access.BreakGlassRequest(beneficiary_id=self.person, reason=1, reason_text=SECRET)
        return self.call("BreakGlassService/BreakGlass", request, "doctor").break_glass


def _account(kind: type[Message], **more: Any) -> Callable[[Home], Case]:
    return lambda home: Case(kind(account_id=home.account(), **more))


def _suspended(home: Home) -> Case:
    account = home.account()
    home.call("AccountService/SuspendAccount", staff.SuspendAccountRequest(account_id=account, reason="essai"))
    return Case(staff.ReactivateAccountRequest(account_id=account, reason="retour"))


def _end_assignment(home: Home) -> Case:
    made = home.assignment()
    return Case(staff.EndAssignmentRequest(account_id=made.account_id, assignment_id=made.assignment_id))


def _update_professional(home: Home) -> Case:
    made = home.professional()
    change = staff.Professional(qualification="autre")
    request = staff.UpdateProfessionalRequest(
        professional_id=made.professional_id, professional=change, update_mask=FieldMask(paths=["qualification"])
    )
    return Case(request, if_match=made.etag)


CASES: dict[str, Callable[[Home], Case]] = {
    "AssociationService/CreateAssociation": lambda _home: Case(
        organisation.CreateAssociationRequest(
            association=organisation.Association(slug=f"nouvelle-{next(NUMBERS)}", name="Nouvelle"),
            administrator=organisation.FirstAdministrator(
                family_name="A", given_name="B", login=f"nouveau-{next(NUMBERS)}"
            ),
        )
    ),
    "AssociationService/SetAssociationStatus": lambda home: Case(
        organisation.SetAssociationStatusRequest(tenant_id=home.tenant, active=True)
    ),
    "AssociationService/GetAssociation": lambda _home: Case(organisation.GetAssociationRequest()),
    "FacilityService/CreateFacility": lambda home: Case(home.new_facility()),
    "FacilityService/GetFacility": lambda home: Case(
        organisation.GetFacilityRequest(facility_id=home.facility.facility_id)
    ),
    "FacilityService/ListFacilities": lambda _home: Case(organisation.ListFacilitiesRequest()),
    "FacilityService/UpdateFacility": lambda home: Case(
        organisation.UpdateFacilityRequest(
            facility_id=home.facility.facility_id,
            facility=organisation.Facility(town="Ailleurs"),
            update_mask=FieldMask(paths=["town"]),
        ),
        if_match=home.facility.etag,
    ),
    "UnitService/CreateUnit": lambda home: Case(
        organisation.CreateUnitRequest(facility_id=home.facility.facility_id, unit=organisation.Unit(name="Autre"))
    ),
    "UnitService/ListUnits": lambda home: Case(organisation.ListUnitsRequest(facility_id=home.facility.facility_id)),
    "UnitService/UpdateUnit": lambda home: Case(
        organisation.UpdateUnitRequest(
            facility_id=home.facility.facility_id,
            unit_id=home.unit.unit_id,
            unit=organisation.Unit(name="Autre"),
            update_mask=FieldMask(paths=["name"]),
        ),
        if_match=home.unit.etag,
    ),
    "ProfessionalService/CreateProfessional": lambda _home: Case(
        staff.CreateProfessionalRequest(
            professional=staff.Professional(family_name=SECRET, given_name="C", profession=P.PROFESSION_NURSE)
        )
    ),
    "ProfessionalService/GetProfessional": lambda home: Case(
        staff.GetProfessionalRequest(professional_id=home.professional().professional_id)
    ),
    "ProfessionalService/ListProfessionals": lambda _home: Case(staff.ListProfessionalsRequest()),
    "ProfessionalService/UpdateProfessional": _update_professional,
    "AccountService/GetMyAccount": lambda _home: Case(staff.GetMyAccountRequest()),
    "AccountService/CreateAccount": lambda home: Case(
        staff.CreateAccountRequest(
            account=staff.Account(professional_id=home.professional().professional_id, login=f"zwxqvkj-{next(NUMBERS)}")
        )
    ),
    "AccountService/GetAccount": _account(staff.GetAccountRequest),
    "AccountService/ListAccounts": lambda _home: Case(staff.ListAccountsRequest()),
    "AccountService/InviteAccount": _account(staff.InviteAccountRequest),
    "AccountService/SuspendAccount": _account(staff.SuspendAccountRequest, reason="essai"),
    "AccountService/ReactivateAccount": _suspended,
    "AccountService/EndAccount": _account(staff.EndAccountRequest, reason="essai"),
    "AssignmentService/CreateAssignment": _account(
        staff.CreateAssignmentRequest, assignment=staff.Assignment(profession=P.PROFESSION_EDUCATOR)
    ),
    "AssignmentService/ListAssignments": _account(staff.ListAssignmentsRequest),
    "AssignmentService/EndAssignment": _end_assignment,
    "PolicyService/GetPolicy": lambda _home: Case(access.GetPolicyRequest()),
    "PolicyService/SetPolicyOverride": lambda _home: Case(
        access.SetPolicyOverrideRequest(
            profession=P.PROFESSION_NURSE,
            category=Category.CATEGORY_SOCIAL,
            actions=[Action.ACTION_READ, Action.ACTION_WRITE],
        )
    ),
    "PolicyService/ResetPolicyOverride": lambda home: (
        home.call("PolicyService/SetPolicyOverride", CASES["PolicyService/SetPolicyOverride"](home).request),
        Case(access.ResetPolicyOverrideRequest(profession=P.PROFESSION_NURSE, category=Category.CATEGORY_SOCIAL)),
    )[1],
    "BreakGlassService/BreakGlass": lambda home: Case(
        access.BreakGlassRequest(beneficiary_id=home.person, reason=1, reason_text=SECRET), "doctor"
    ),
    "BreakGlassService/ListBreakGlasses": lambda home: (
        home.glass(),
        Case(access.ListBreakGlassesRequest(), "officer"),
    )[1],
    "BreakGlassService/ReviewBreakGlass": lambda home: Case(
        access.ReviewBreakGlassRequest(break_glass_id=home.glass().break_glass_id, verdict=1), "officer"
    ),
    "AccessFactService/ListAccessFacts": lambda home: Case(access.ListAccessFactsRequest(tenant_id=home.tenant)),
    "AccessFactService/ListTenants": lambda _home: Case(access.ListTenantsRequest()),
    "DirectoryService/GetPrescriber": lambda home: Case(
        directory.GetPrescriberRequest(
            tenant_id=home.tenant, account_id=home.doctor_account, facility_id=home.facility.facility_id
        )
    ),
    "JournalService/ListJournalEntries": lambda _home: Case(journal.ListJournalEntriesRequest(), "officer"),
    "JournalService/ListRecordAccesses": lambda home: Case(
        journal.ListRecordAccessesRequest(beneficiary_id=home.person), "officer"
    ),
    "JournalService/VerifyJournal": lambda _home: Case(journal.VerifyJournalRequest(), "officer"),
}


def test_every_rpc_has_a_case() -> None:
    assert sorted(CASES) == OPERATIONS


def _secrets(home: Home) -> set[str]:
    """Every id that A has."""
    found: set[str] = {home.tenant}
    for table, column in (
        ("facility", "facility_id"),
        ("unit", "unit_id"),
        ("professional", "professional_id"),
        ("account", "account_id"),
        ("assignment", "assignment_id"),
        ("break_glass", "break_glass_id"),
        ("access_person", "beneficiary_id"),
    ):
        rows = home.harness.admin(f"SELECT {column}::text FROM {table} WHERE tenant_id = %s", (home.tenant,))  # noqa: S608
        found |= {row for (row,) in rows}
    return found


@pytest.fixture(scope="module")
def rest(harness: Harness) -> Iterator[Rest]:
    with rest_of(harness) as found:
        yield found


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_rpc_gives_another_association_nothing_and_its_own_what_it_asks(
    harness: Harness, rest: Rest, operation: str
) -> None:
    home, stranger = Home(harness), Home(harness)
    case = CASES[operation](home)
    before = rows_of(harness, home.tenant)
    try:
        reply = stranger.call(operation, case.request, case.who, if_match=case.if_match)
    except CallFailed as refusal:
        refused = refusal.reason
    else:
        refused = "NOT_FOUND"
        text = str(reply)
        assert not {secret for secret in _secrets(home) if secret in text}
    assert refused in {"NOT_FOUND", "SERVICE_ONLY", "OVERRIDE_MISSING"}  # the last: B's own policy has none
    assert rows_of(harness, home.tenant) == before

    rule = METHODS[SERVICE + operation].rule
    if rule.perimeter == Perimeter.PERIMETER_SYSTEM:
        told = told_for(harness, rule, case.request, stranger.tenant)
        assert not {secret for secret in _secrets(home) if secret in told}
        assert rows_of(harness, home.tenant) == before
        harness.call(SERVICE + operation, case.request, service=service_of(rule))
        return
    # The same on the way that people take.
    asked = {"rpc": SERVICE + operation, "request": case.request, "if_match": case.if_match}
    foreign = rest.send(**asked, subject=stranger.subject(case.who), tenant_id=stranger.tenant)
    # The last: B has just opened it itself, without REST.
    refusals = {"NOT_FOUND", "OVERRIDE_MISSING", "FINESS_TAKEN"}
    assert foreign.status_code in {200, 201} or foreign.json["reason"] in refusals
    assert not {secret for secret in _secrets(home) if secret in foreign.text}
    assert rows_of(harness, home.tenant) == before
    own = rest.send(**asked, subject=home.subject(case.who), tenant_id=home.tenant)
    assert own.status_code in {200, 201}, own.text


def test_every_table_is_closed_to_another_association(harness: Harness) -> None:
    home, stranger = Home(harness), Home(harness)
    home.assignment()
    home.glass()
    home.call("PolicyService/SetPolicyOverride", CASES["PolicyService/SetPolicyOverride"](home).request)
    # The chain makes the month that an entry of it goes to.
    append_batch(harness.engine, JournalWriter(home.tenant).batch(1, beneficiary_id=home.person))
    fill(harness, home.tenant, {})
    tried = {table for table, (count, _) in rows_of(harness, home.tenant).items() if count}
    reached = [what for table in tried for what in reach_in(harness, table, of=home.tenant, as_tenant=stranger.tenant)]
    assert reached == []
    assert tried == set(tenant_tables(harness))
    assert reach_in(harness, "facility", of=home.tenant, as_tenant=home.tenant)


def test_the_database_is_closed(harness: Harness) -> None:
    assert defects(harness) == []


def test_a_snapshot_of_facts_holds_one_association(harness: Harness) -> None:
    home, stranger = Home(harness), Home(harness)
    reply = harness.call(
        f"{SERVICE}AccessFactService/ListAccessFacts", access.ListAccessFactsRequest(tenant_id=stranger.tenant)
    )
    assert reply.facts
    text = str(reply)
    assert not {secret for secret in _secrets(home) if secret in text}
