"""The guard, on a real PostgreSQL: who is let in, who is refused and why, and what is left behind."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import pytest
from dui.access.v1 import facts_pb2 as facts
from dui.identity.v1 import access_pb2, organisation_pb2, professions_pb2
from dui.journal.v1 import journal_pb2
from dui.options.v1 import options_pb2
from dui.records.v1 import allergies_pb2, handover_notes_pb2, medical_events_pb2
from dui_kit.calls.call import Call
from dui_kit.db.database import raw
from dui_kit.errors import Code, Reason, Refusal, not_found
from dui_kit.ids import new_id
from dui_kit.service import Service
from dui_kit.settings import ServiceSettings
from dui_kit.testing import CallFailed, Harness, create_database
from dui_kit.times import to_timestamp
from dui_kit.wire import texts
from dui_kit.wire.tokens import Claims, TokenRefused
from google.protobuf.descriptor import ServiceDescriptor
from sqlalchemy import text

C, A, P = options_pb2.Category, options_pb2.Action, professions_pb2.Profession
NURSE, EDUCATOR, DOCTOR, ADMINISTRATOR = (
    P.PROFESSION_NURSE,
    P.PROFESSION_EDUCATOR,
    P.PROFESSION_DOCTOR,
    P.PROFESSION_ADMINISTRATOR,
)
TAKEN = Reason("NOTE_TAKEN", Code.ALREADY_EXISTS, fr="Ce texte existe déjà.", en="This text exists.")
SUBJECTS = {NURSE: "nurse", EDUCATOR: "educator", DOCTOR: "doctor", ADMINISTRATOR: "administrator"}


class Allergies:
    """A sample: `CreateAllergy` writes a note, the others answer who was let in."""

    CONTRACT = allergies_pb2.DESCRIPTOR.services_by_name["AllergyService"]

    def __init__(self) -> None:
        self.before_commit = lambda: None

    def CreateAllergy(
        self, request: allergies_pb2.CreateAllergyRequest, call: Call
    ) -> allergies_pb2.CreateAllergyResponse:
        allergy = allergies_pb2.Allergy(allergy_id=call.new_id(), beneficiary_id=call.beneficiary_id)
        call.session.execute(
            text("INSERT INTO note VALUES (:tenant, :note, :text)"),
            {"tenant": call.tenant_id, "note": allergy.allergy_id, "text": request.allergy.substance},
        )
        self.before_commit()
        return allergies_pb2.CreateAllergyResponse(allergy=allergy)

    def GetAllergy(self, request: allergies_pb2.GetAllergyRequest, call: Call) -> allergies_pb2.GetAllergyResponse:
        return allergies_pb2.GetAllergyResponse(
            allergy=allergies_pb2.Allergy(allergy_id=request.allergy_id, beneficiary_id=call.beneficiary_id)
        )

    def ListAllergies(
        self, request: allergies_pb2.ListAllergiesRequest, call: Call
    ) -> allergies_pb2.ListAllergiesResponse:
        page = call.page(request)
        query = "SELECT note_id::text FROM note WHERE note_id::text > :after ORDER BY note_id LIMIT :size"
        found = call.session.execute(text(query), {"after": (page.after or ("",))[0], "size": page.size + 1}).all()
        rows, token = page.cut(found, key=lambda row: (row[0],))
        return allergies_pb2.ListAllergiesResponse(
            allergies=[allergies_pb2.Allergy(allergy_id=row[0]) for row in rows], next_page_token=token
        )

    def UpdateAllergy(
        self, request: allergies_pb2.UpdateAllergyRequest, call: Call
    ) -> allergies_pb2.UpdateAllergyResponse:
        call.check_etag(request.allergy_id, 1)
        current = allergies_pb2.Allergy(kind=allergies_pb2.ALLERGY_KIND_FOOD, substance="arachide")
        changed = call.apply_mask(current, request.allergy, request.update_mask, prefix="allergy")
        return allergies_pb2.UpdateAllergyResponse(allergy=changed)

    def ListAllergyVersions(
        self, request: allergies_pb2.ListAllergyVersionsRequest, call: Call
    ) -> allergies_pb2.ListAllergyVersionsResponse:
        return allergies_pb2.ListAllergyVersionsResponse()


class Glasses:
    """A sample of a method that looks a person up in the projections."""

    CONTRACT = access_pb2.DESCRIPTOR.services_by_name["BreakGlassService"]

    def BreakGlass(self, request: access_pb2.BreakGlassRequest, call: Call) -> access_pb2.BreakGlassResponse:
        query = text("SELECT 1 FROM access_person WHERE beneficiary_id = :person")
        if call.session.execute(query, {"person": request.beneficiary_id}).first() is None:
            raise not_found("beneficiary_id")
        return access_pb2.BreakGlassResponse()

    def ListBreakGlasses(self, _request: object, _call: Call) -> access_pb2.ListBreakGlassesResponse:
        return access_pb2.ListBreakGlassesResponse()

    def ReviewBreakGlass(self, _request: object, _call: Call) -> access_pb2.ReviewBreakGlassResponse:
        return access_pb2.ReviewBreakGlassResponse()


class Unused:
    """Answers every RPC of a service with nothing."""

    def __init__(self, contract: ServiceDescriptor) -> None:
        self.CONTRACT = contract

    def __getattr__(self, name: str) -> object:
        if not name[0].isupper():
            raise AttributeError(name)
        for module in (handover_notes_pb2, medical_events_pb2, organisation_pb2):
            reply = getattr(module, f"{name}Response", None)
            if reply is not None:
                return lambda _request, _call: reply()
        raise AttributeError(name)


@pytest.fixture(scope="module")
def house(postgres: str) -> Iterator[House]:
    allergies = Allergies()
    service = Service(
        name="sample",
        settings=ServiceSettings(sealing_key="22" * 32),
        servicers=[
            allergies,
            Unused(handover_notes_pb2.DESCRIPTOR.services_by_name["HandoverNoteService"]),
            Unused(medical_events_pb2.DESCRIPTOR.services_by_name["MedicalEventService"]),
            Unused(organisation_pb2.DESCRIPTOR.services_by_name["AssociationService"]),
            Unused(organisation_pb2.DESCRIPTOR.services_by_name["FacilityService"]),
            Glasses(),
        ],
        migrations="sample_migrations",
        constraints={"note_text_key": Refusal(TAKEN, field="allergy.substance")},
    )
    harness = Harness(service, create_database(postgres, "sample"))
    yield House(harness, allergies)
    harness.close()


class House:
    """One association: a facility with a nurse, an educator and a person; a doctor elsewhere."""

    def __init__(self, harness: Harness, allergies: Allergies) -> None:
        self.harness = harness
        self.allergies = allergies
        self.tenant, self.facility, self.elsewhere, self.person = (new_id() for _ in range(4))
        self.accounts = {profession: new_id() for profession in SUBJECTS}
        self.harness.facts(self.tenant, self.everything(self.tenant))

    def everything(self, tenant: str) -> list[object]:
        long_ago = to_timestamp(datetime.now(UTC) - timedelta(days=1))
        rights = {
            NURSE: {C.CATEGORY_ALERT: [A.ACTION_READ, A.ACTION_WRITE], C.CATEGORY_NURSING: [A.ACTION_READ]},
            EDUCATOR: {C.CATEGORY_ALERT: [A.ACTION_READ], C.CATEGORY_EDUCATIONAL: [A.ACTION_READ, A.ACTION_WRITE]},
            DOCTOR: {
                C.CATEGORY_ALERT: [A.ACTION_READ, A.ACTION_WRITE],
                C.CATEGORY_MEDICAL: [A.ACTION_READ, A.ACTION_BREAK_GLASS],
            },
            ADMINISTRATOR: {C.CATEGORY_ORGANISATION: [A.ACTION_READ, A.ACTION_ADMINISTER]},
        }
        found: list[object] = [facts.TenantChanged(tenant_id=tenant, version=1, active=True)]
        for profession, categories in rights.items():
            account = self.accounts[profession]
            found.append(facts.AccountChanged(account_id=account, version=1, subject=SUBJECTS[profession], active=True))
            facility = self.elsewhere if profession == DOCTOR else self.facility
            found.append(
                facts.AssignmentChanged(
                    assignment_id=new_id(),
                    version=1,
                    account_id=account,
                    facility_id=None if profession == ADMINISTRATOR else facility,
                    profession=profession,
                    valid_from=long_ago,
                )
            )
            found.append(
                facts.PolicyChanged(
                    policy_id=f"profession-{profession}",
                    version=1,
                    profession=profession,
                    rights=[facts.Right(category=key, actions=actions) for key, actions in categories.items()],
                )
            )
        found.append(facts.PersonChanged(beneficiary_id=self.person, version=1))
        found.append(
            facts.PerimeterChanged(
                fact_id=new_id(), version=1, beneficiary_id=self.person, facility_id=self.facility, valid_from=long_ago
            )
        )
        return found

    def read(self, as_: str, *, person: str | None = None, **more: object) -> allergies_pb2.GetAllergyResponse:
        request = allergies_pb2.GetAllergyRequest(beneficiary_id=person or self.person, allergy_id=new_id())
        arguments = {"as_": as_, "tenant": self.tenant, **more}
        return self.harness.call("dui.records.v1.AllergyService/GetAllergy", request, **arguments)

    def write(self, as_: str, substance: str, **more: object) -> allergies_pb2.CreateAllergyResponse:
        allergy = allergies_pb2.Allergy(kind=allergies_pb2.ALLERGY_KIND_FOOD, substance=substance)
        request = allergies_pb2.CreateAllergyRequest(beneficiary_id=self.person, allergy=allergy)
        arguments = {"as_": as_, "tenant": self.tenant, **more}
        return self.harness.call("dui.records.v1.AllergyService/CreateAllergy", request, **arguments)

    def journal(self, tenant: str | None = None) -> list[journal_pb2.JournalEntry]:
        rows = self.harness.admin(
            "SELECT payload FROM journal_outbox WHERE tenant_id = %s ORDER BY entry_id", (tenant or self.tenant,)
        )
        return [journal_pb2.JournalEntry.FromString(row[0]) for row in rows]

    def notes(self, substance: str) -> int:
        return self.harness.admin("SELECT count(*) FROM note WHERE text = %s", (substance,))[0][0]


def refused(reason: str) -> pytest.RaisesExc[CallFailed]:
    return pytest.RaisesExc(CallFailed, match=f"^{reason} ", check=lambda failure: failure.reason == reason)


def test_the_team_of_the_facility_reads_and_the_journal_keeps_it(house: House) -> None:
    assert house.read("educator").allergy.beneficiary_id == house.person
    entry = house.journal()[-1]
    assert (entry.subject, entry.beneficiary_id, entry.outcome) == (
        "educator",
        house.person,
        journal_pb2.JOURNAL_OUTCOME_ALLOWED,
    )
    assert entry.category == C.CATEGORY_ALERT


def test_a_profession_without_the_right_is_refused_and_the_journal_keeps_the_refusal(house: House) -> None:
    with refused("RIGHT_MISSING"):
        house.write("educator", "pollen")
    assert house.notes("pollen") == 0
    entry = house.journal()[-1]
    assert (entry.outcome, entry.reason) == (journal_pb2.JOURNAL_OUTCOME_DENIED, "RIGHT_MISSING")


def test_a_doctor_of_another_facility_is_out_of_perimeter_until_the_glass_is_broken(house: House) -> None:
    with refused("OUT_OF_PERIMETER"):
        house.read("doctor")
    now = datetime.now(UTC)
    glass = facts.BreakGlassChanged(
        break_glass_id=new_id(),
        version=1,
        account_id=house.accounts[DOCTOR],
        beneficiary_id=house.person,
        valid_from=to_timestamp(now - timedelta(seconds=1)),
        valid_to=to_timestamp(now + timedelta(hours=4)),
    )
    house.harness.facts(house.tenant, [glass])
    house.read("doctor")
    assert house.journal()[-1].break_glass
    glass.version = 2
    glass.valid_to.CopyFrom(to_timestamp(now))
    house.harness.facts(house.tenant, [glass])
    with refused("OUT_OF_PERIMETER"):
        house.read("doctor")


def test_an_unknown_person_and_another_associations_person_are_not_found(house: House) -> None:
    other = House(house.harness, house.allergies)
    with refused("NOT_FOUND"):
        house.read("nurse", person=new_id())
    with refused("NOT_FOUND"):
        house.read("nurse", person=other.person)
    other.read("nurse")


def test_an_unknown_account_and_an_unknown_association_are_refused(house: House) -> None:
    with refused("ACCOUNT_INACTIVE"):
        house.read("stranger")
    with refused("ACCOUNT_INACTIVE"):
        house.read("nurse", tenant=new_id())


def test_a_merged_record_answers_with_the_surviving_one(house: House) -> None:
    merged = new_id()
    house.harness.facts(
        house.tenant, [facts.PersonChanged(beneficiary_id=merged, version=2, surviving_id=house.person)]
    )
    assert house.read("nurse", person=merged).allergy.beneficiary_id == house.person


def test_an_older_version_of_a_fact_never_replaces_a_newer_one(house: House) -> None:
    other = House(house.harness, house.allergies)
    account = other.accounts[NURSE]
    suspended = facts.AccountChanged(account_id=account, version=5, subject="nurse", active=False)
    older = facts.AccountChanged(account_id=account, version=4, subject="nurse", active=True)
    other.harness.facts(other.tenant, [suspended, older])
    with refused("ACCOUNT_INACTIVE"):
        other.read("nurse")
    entry = other.journal()[-1]
    assert (entry.account_id, entry.reason) == (account, "ACCOUNT_INACTIVE")


def test_a_session_entered_before_the_sessions_were_revoked_is_refused(house: House) -> None:
    other = House(house.harness, house.allergies)
    revoked = datetime.now(UTC)
    fact = facts.AccountChanged(
        account_id=other.accounts[NURSE],
        version=2,
        subject="nurse",
        active=True,
        sessions_revoked_at=to_timestamp(revoked),
    )
    other.harness.facts(other.tenant, [fact])
    # Whenever the token was issued: a session that is refreshed gets new ones.
    with refused("SESSION_REVOKED"):
        other.read("nurse", entered_at=revoked.timestamp() - 1)
    entry = other.journal()[-1]
    assert (entry.account_id, entry.reason) == (other.accounts[NURSE], "SESSION_REVOKED")
    other.read("nurse", entered_at=revoked.timestamp() + 1)


def test_a_suspended_association_is_refused(house: House) -> None:
    other = House(house.harness, house.allergies)
    other.harness.facts(other.tenant, [facts.TenantChanged(tenant_id=other.tenant, version=2, active=False)])
    with refused("ASSOCIATION_INACTIVE"):
        other.read("nurse")


def test_an_ended_assignment_gives_nothing(house: House) -> None:
    other = House(house.harness, house.allergies)
    now = datetime.now(UTC)
    rows = other.harness.admin(
        "SELECT assignment_id::text FROM access_assignment WHERE tenant_id = %s AND account_id = %s",
        (other.tenant, other.accounts[NURSE]),
    )
    ended = facts.AssignmentChanged(
        assignment_id=rows[0][0],
        version=2,
        account_id=other.accounts[NURSE],
        facility_id=other.facility,
        profession=NURSE,
        valid_from=to_timestamp(now - timedelta(days=2)),
        valid_to=to_timestamp(now),
    )
    other.harness.facts(other.tenant, [ended])
    with refused("NOT_ASSIGNED"):
        other.read("nurse")


def test_an_admission_opens_only_what_preparing_it_needs(house: House) -> None:
    other = House(house.harness, house.allergies)
    person = new_id()
    other.harness.facts(
        other.tenant,
        [
            facts.PersonChanged(beneficiary_id=person, version=1),
            facts.PerimeterChanged(
                fact_id=new_id(),
                version=1,
                beneficiary_id=person,
                facility_id=other.facility,
                admission_only=True,
                valid_from=to_timestamp(datetime.now(UTC) - timedelta(minutes=1)),
            ),
        ],
    )
    with refused("RIGHT_MISSING"):
        other.read("nurse", person=person)


def test_the_same_key_gives_the_same_answer_once(house: House) -> None:
    key = new_id()
    first = house.write("nurse", "lait", idempotency_key=key)
    assert house.write("nurse", "lait", idempotency_key=key) == first
    assert house.notes("lait") == 1
    with refused("IDEMPOTENCY_KEY_REUSED"):
        house.write("nurse", "soja", idempotency_key=key)
    one, again = house.journal()[-2:]
    assert (one.repeated_call, again.repeated_call) == (False, True)
    assert one.resource_id == again.resource_id == first.allergy.allergy_id
    assert (one.category, one.beneficiary_id) == (again.category, again.beneficiary_id)
    assert one.entry_id != again.entry_id


def test_twenty_concurrent_calls_with_one_key_write_once_and_all_get_the_answer(house: House) -> None:
    key, answers = new_id(), []

    def call() -> None:
        answers.append(house.write("nurse", "noix", idempotency_key=key).allergy.allergy_id)

    threads = [threading.Thread(target=call) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 20
    assert len(set(answers)) == 1
    assert house.notes("noix") == 1


def test_a_constraint_of_the_database_becomes_its_refusal(house: House) -> None:
    house.write("nurse", "latex")
    with refused("NOTE_TAKEN"):
        house.write("nurse", "latex")


def test_nothing_is_written_when_the_deadline_passed_before_the_commit(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = 30.0
    guard = house.harness._guard
    run = guard.run
    monkeypatch.setattr(guard, "run", lambda method, request, meta, _left: run(method, request, meta, lambda: left))

    def pass_the_deadline() -> None:
        nonlocal left
        left = 0.0

    house.allergies.before_commit = pass_the_deadline
    try:
        with refused("DEADLINE_PASSED"):
            house.write("nurse", "fraise")
    finally:
        house.allergies.before_commit = lambda: None
    assert house.notes("fraise") == 0


def test_a_change_needs_the_etag_of_what_was_read(house: House) -> None:
    allergy_id = new_id()
    request = allergies_pb2.UpdateAllergyRequest(beneficiary_id=house.person, allergy_id=allergy_id)
    request.allergy.substance = "gluten"
    request.update_mask.paths.append("substance")

    def update(if_match: str) -> allergies_pb2.UpdateAllergyResponse:
        operation = "dui.records.v1.AllergyService/UpdateAllergy"
        return house.harness.call(operation, request, as_="nurse", tenant=house.tenant, if_match=if_match)

    with refused("PRECONDITION_REQUIRED"):
        update("")
    with refused("ETAG_STALE"):
        update(Call.etag(allergy_id, 2))
    with refused("ETAG_STALE"):
        update(Call.etag(new_id(), 1))
    assert update(f'"{Call.etag(allergy_id, 1)}"').allergy.substance == "gluten"


def test_a_page_token_opens_only_its_own_list(house: House) -> None:
    other = House(house.harness, house.allergies)
    for n in range(3):
        other.write("nurse", f"page {n}")

    def page(token: str = "", *, who: House = other, as_: str = "nurse") -> allergies_pb2.ListAllergiesResponse:
        request = allergies_pb2.ListAllergiesRequest(beneficiary_id=who.person, page_size=2, page_token=token)
        return who.harness.call("dui.records.v1.AllergyService/ListAllergies", request, as_=as_, tenant=who.tenant)

    first = page()
    second = page(first.next_page_token)
    assert len(first.allergies) == 2
    assert len(second.allergies) == 1
    assert second.next_page_token == ""
    altered = first.next_page_token[:-2] + ("AA" if first.next_page_token[-2:] != "AA" else "BB")
    for attempt in (
        lambda: page(altered),
        lambda: page(first.next_page_token, who=house),
        lambda: page(first.next_page_token, as_="educator"),
    ):
        with refused("PAGE_TOKEN_INVALID"):
            attempt()


@pytest.mark.parametrize(
    ("allergy", "field", "reason"),
    [
        ({"kind": 1}, "allergy.substance", "FIELD_REQUIRED"),
        ({"kind": 1, "substance": " "}, "allergy.substance", "FIELD_REQUIRED"),
        ({"substance": "x"}, "allergy.kind", "FIELD_REQUIRED"),
        ({"kind": 99, "substance": "x"}, "allergy.kind", "ENUM_UNKNOWN"),
        ({"kind": 1, "substance": "x\x00y"}, "allergy.substance", "TEXT_CONTROL_CHARACTER"),
        ({"kind": 1, "substance": "x" * 201}, "allergy.substance", "FIELD_TOO_LONG"),
        ({"kind": 1, "substance": "x", "noticed_on": "2026-13"}, "allergy.noticed_on", "FORMAT_INVALID"),
        ({"kind": 1, "substance": "x", "allergy_id": new_id()}, "allergy.allergy_id", "FIELD_READ_ONLY"),
    ],
)
def test_a_request_that_its_contract_refuses_names_the_field(
    house: House, allergy: dict[str, object], field: str, reason: str
) -> None:
    request = allergies_pb2.CreateAllergyRequest(beneficiary_id=house.person, allergy=allergies_pb2.Allergy(**allergy))
    with pytest.raises(CallFailed) as failure:
        house.harness.call("dui.records.v1.AllergyService/CreateAllergy", request, as_="nurse", tenant=house.tenant)
    assert (failure.value.field, failure.value.reason) == (field, reason)


@pytest.mark.parametrize("reason", [texts.TOKEN_EXPIRED, texts.TENANT_AMBIGUOUS, texts.KEYS_UNAVAILABLE])
def test_a_token_that_is_refused_is_told_why(house: House, monkeypatch: pytest.MonkeyPatch, reason: Reason) -> None:
    def verify(_raw: str) -> Claims:
        raise TokenRefused(reason)

    monkeypatch.setattr(house.harness.toolbox.verifier, "verify", verify)
    with pytest.raises(CallFailed) as told:
        house.read("nurse")
    assert (told.value.reason, told.value.code) == (reason.name, reason.code.value)


def test_a_service_token_opens_nothing_that_is_for_persons(house: House) -> None:
    with refused("SERVICE_ONLY"):
        house.read("", tenant=None)


SUSPEND = "dui.identity.v1.AssociationService/SetAssociationStatus"


def test_a_person_who_calls_what_is_for_services_is_refused_and_the_journal_keeps_it(house: House) -> None:
    other = House(house.harness, house.allergies)
    request = organisation_pb2.SetAssociationStatusRequest(tenant_id=other.tenant)
    with refused("SERVICE_ONLY"):
        house.harness.call(SUSPEND, request, as_="administrator", tenant=other.tenant)
    (entry,) = other.journal()
    assert (entry.subject, entry.operation, entry.reason) == ("administrator", SUSPEND, "SERVICE_ONLY")
    assert not entry.HasField("calling_service")


def test_a_system_call_is_for_the_services_that_the_contract_names_and_the_journal_names_the_service(
    house: House,
) -> None:
    other = House(house.harness, house.allergies)
    request = organisation_pb2.SetAssociationStatusRequest(tenant_id=other.tenant)
    with refused("SERVICE_ONLY"):
        house.harness.call(SUSPEND, request, service="records")
    house.harness.call(SUSPEND, request, service="identity")
    denied, done = other.journal()
    assert (denied.calling_service, denied.outcome) == ("records", journal_pb2.JOURNAL_OUTCOME_DENIED)
    assert (done.calling_service, done.outcome) == ("identity", journal_pb2.JOURNAL_OUTCOME_ALLOWED)


def test_nobody_types_a_code_for_a_right_that_they_lack(house: House) -> None:
    request = access_pb2.BreakGlassRequest(beneficiary_id=house.person, reason=1, reason_text="astreinte")

    def ask(as_: str) -> None:
        house.harness.call("dui.identity.v1.BreakGlassService/BreakGlass", request, as_=as_, tenant=house.tenant)

    with refused("RIGHT_MISSING"):
        ask("nurse")
    with refused("STEP_UP_REQUIRED"):
        ask("doctor")


def test_a_code_of_before_the_revocation_does_not_count_with_a_password_given_since(house: House) -> None:
    """The thief of a phone, who learns the new password within half an hour."""
    other = House(house.harness, house.allergies)
    now = datetime.now(UTC)
    revoked = facts.AccountChanged(
        account_id=other.accounts[DOCTOR],
        version=2,
        subject="doctor",
        active=True,
        sessions_revoked_at=to_timestamp(now - timedelta(minutes=5)),
    )
    other.harness.facts(other.tenant, [revoked])
    request = access_pb2.BreakGlassRequest(beneficiary_id=other.person, reason=1, reason_text="astreinte")

    def ask(code_given: datetime) -> None:
        house.harness.call(
            "dui.identity.v1.BreakGlassService/BreakGlass",
            request,
            as_="doctor",
            tenant=other.tenant,
            acr=2,
            entered_at=now.timestamp(),
            proved_at=code_given.timestamp(),
        )

    with refused("STEP_UP_REQUIRED"):
        ask(now - timedelta(minutes=6))
    ask(now - timedelta(minutes=4))


def administrator_at(house: House, *, facility: str | None = None, unit: str | None = None) -> str:
    """The subject of a new administrator of a facility, or of one of its units."""
    account, subject = new_id(), new_id()
    assignment = facts.AssignmentChanged(
        assignment_id=new_id(),
        version=1,
        account_id=account,
        facility_id=facility,
        unit_id=unit,
        profession=ADMINISTRATOR,
        valid_from=to_timestamp(datetime.now(UTC) - timedelta(seconds=5)),
    )
    made = facts.AccountChanged(account_id=account, version=1, subject=subject, active=True)
    house.harness.facts(house.tenant, [made, assignment])
    return subject


def test_what_is_for_the_whole_association_is_not_for_one_of_its_facilities(house: House) -> None:
    facility = organisation_pb2.Facility(
        name="Les Tilleuls", finess_et="010000024", category_code="500", time_zone="Europe/Paris"
    )
    request = organisation_pb2.CreateFacilityRequest(facility=facility)

    def create(subject: str) -> None:
        house.harness.call("dui.identity.v1.FacilityService/CreateFacility", request, as_=subject, tenant=house.tenant)

    with refused("NOT_ASSIGNED"):
        create(administrator_at(house, facility=house.facility))
    create("administrator")


def test_who_works_in_one_unit_does_not_administer_the_facility(house: House) -> None:
    request = organisation_pb2.UpdateFacilityRequest(facility_id=house.facility)
    request.facility.name = "Les Tilleuls"
    request.update_mask.paths.append("name")

    def update(subject: str) -> None:
        operation = "dui.identity.v1.FacilityService/UpdateFacility"
        house.harness.call(operation, request, as_=subject, tenant=house.tenant)

    with refused("NOT_ASSIGNED"):
        update(administrator_at(house, facility=house.facility, unit=new_id()))
    with refused("NOT_ASSIGNED"):
        update(administrator_at(house, facility=house.elsewhere))
    for subject in (administrator_at(house, facility=house.facility), "administrator"):
        with refused("PRECONDITION_REQUIRED"):
            update(subject)


def test_a_method_that_forgets_to_compare_the_version_answers_nothing(house: House) -> None:
    request = organisation_pb2.UpdateFacilityRequest(facility_id=house.facility)
    request.facility.name = "Les Tilleuls"
    request.update_mask.paths.append("name")
    with pytest.raises(AssertionError, match="FacilityService/UpdateFacility does not compare the version"):
        house.harness.call(
            "dui.identity.v1.FacilityService/UpdateFacility",
            request,
            as_="administrator",
            tenant=house.tenant,
            if_match='"any"',
        )


def test_a_local_denial_asks_the_owner_once(house: House) -> None:
    other = House(house.harness, house.allergies)
    person = new_id()
    asked = []

    class Owner:
        def refresh(self, *, tenant_id: str, subject: str, beneficiary_id: str, facility_id: str) -> None:
            asked.append((tenant_id, subject, beneficiary_id, facility_id))
            since = to_timestamp(datetime.now(UTC) - timedelta(seconds=5))
            perimeter = facts.PerimeterChanged(
                fact_id=new_id(), version=1, beneficiary_id=person, facility_id=other.facility, valid_from=since
            )
            house.harness.facts(tenant_id, [facts.PersonChanged(beneficiary_id=person, version=1), perimeter])

    house.harness.with_refresher(Owner())
    try:
        other.read("nurse", person=person)
        other.read("nurse", person=person)
    finally:
        house.harness.with_refresher(None)  # type: ignore[arg-type]
    assert asked == [(other.tenant, "nurse", person, "")]


def test_a_method_that_does_not_know_the_person_yet_asks_the_owner_once(house: House) -> None:
    """Breaking the glass for somebody admitted a second ago, at another site."""
    other = House(house.harness, house.allergies)
    person, asked = new_id(), []

    class Owner:
        def refresh(self, *, tenant_id: str, subject: str, beneficiary_id: str, facility_id: str) -> None:
            asked.append(beneficiary_id)
            house.harness.facts(tenant_id, [facts.PersonChanged(beneficiary_id=person, version=1)])

    def ask(whom: str) -> None:
        request = access_pb2.BreakGlassRequest(beneficiary_id=whom, reason=1, reason_text="astreinte")
        operation = "dui.identity.v1.BreakGlassService/BreakGlass"
        house.harness.call(operation, request, as_="doctor", tenant=other.tenant, acr=2)

    house.harness.with_refresher(Owner())
    try:
        ask(person)
        unknown = new_id()
        with refused("NOT_FOUND"):
            ask(unknown)
    finally:
        house.harness.with_refresher(None)  # type: ignore[arg-type]
    assert asked == [person, unknown]


def test_row_level_security_hides_everything_without_a_tenant(house: House) -> None:
    house.write("nurse", "sésame")
    with house.harness.engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM note")).scalar_one() == 0
        assert connection.execute(text("SELECT count(*) FROM access_account")).scalar_one() == 0


def test_raw_gives_the_connection_under_the_session(house: House) -> None:
    from sqlalchemy.orm import Session

    with Session(house.harness.engine) as session:
        assert raw(session).execute("SELECT 1").fetchone() == (1,)


def test_the_first_call_after_a_restart_of_the_database_is_answered(house: House) -> None:
    """However many connections the pool held."""
    with ExitStack() as held:
        for _ in range(4):
            held.enter_context(house.harness.engine.connect()).execute(text("SELECT 1"))
    house.harness.admin(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE datname = current_database() AND usename LIKE '%%_app'"
    )
    house.write("nurse", f"noix {new_id()}")
