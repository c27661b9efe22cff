"""Association B gets nothing of association A out of records: every RPC, every table. The same calls by A succeed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from dui.options.v1.options_pb2 import Category
from dui.records.v1 import allergies_pb2 as allergies
from dui.records.v1 import beneficiaries_pb2 as people
from dui.records.v1 import drafts_pb2 as drafts
from dui.records.v1 import facts_pb2 as facts
from dui.records.v1 import handover_notes_pb2 as notes
from dui.records.v1 import identity_strips_pb2 as strips
from dui.records.v1 import medical_events_pb2 as history
from dui.records.v1 import relations_pb2 as relations
from dui.records.v1 import stays_pb2 as stays
from dui.records.v1 import treatment_summaries_pb2 as treatments
from dui_kit.calls.call import etag_of
from dui_kit.testing import CallFailed, Harness, create_database, postgres_server
from dui_kit.times import to_timestamp
from dui_kit.wire.contract import Perimeter
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from isolation import defects, fill, reach_in, rows_of, service_of, tenant_tables, told_for
from rest import Rest, rest_of

os.environ.setdefault("DUI_SEALING_KEY", "11" * 32)

from dui_records.app import build
from dui_records.testing import World
from dui_records.testing_treatments import KnownTreatments

SERVICE = "dui.records.v1."
SECRET = "Zwxqvkj"  # a name that no other text holds
NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def harness() -> Iterator[Harness]:
    with postgres_server() as url:
        found = Harness(build(treatments=KnownTreatments(SECRET)), create_database(url, "records"))
        yield found
        found.close()


@dataclass
class Case:
    """A request with ids of A, and what is needed to send it."""

    request: Message
    if_match: str = ""
    acr: int = 2


class Home(World):
    """An association with one person who has everything that a record can have."""

    def __init__(self, harness: Harness) -> None:
        super().__init__(harness, now=NOW - timedelta(minutes=5))
        self.person_id = self.open(as_="director", birth_name=SECRET).beneficiary_id
        self.stay = self.admit(self.person_id, started_on=NOW.date() - timedelta(days=3))

    def entry(self, kind: str) -> Any:
        person = {"beneficiary_id": self.person_id}
        match kind:
            case "allergy":
                request = allergies.CreateAllergyRequest(**person, allergy=allergies.Allergy(kind=1, substance=SECRET))
                return self.call("AllergyService/CreateAllergy", request).allergy
            case "relation":
                request = relations.CreateRelationRequest(
                    **person, relation=relations.Relation(kind=1, family_name=SECRET)
                )
                return self.call("RelationService/CreateRelation", request).relation
            case "medical_event":
                request = history.CreateMedicalEventRequest(
                    **person, medical_event=history.MedicalEvent(kind=1, label=SECRET)
                )
                return self.call("MedicalEventService/CreateMedicalEvent", request).medical_event
            case "handover_note":
                note = notes.HandoverNote(category=Category.CATEGORY_NURSING, subject=SECRET, data=SECRET)
                request = notes.CreateHandoverNoteRequest(**person, handover_note=note)
                return self.call("HandoverNoteService/CreateHandoverNote", request).handover_note
            case "draft":
                request = drafts.CreateDraftRequest(
                    **person, draft=drafts.Draft(allergy=drafts.AllergyDraft(substance=SECRET))
                )
                return self.call("DraftService/CreateDraft", request).draft
        raise ValueError(kind)

    def another(self) -> str:
        """A second record that looks like the first."""
        return self.open(as_="director", birth_name=SECRET).beneficiary_id

    def asked(self) -> stays.Admission:
        return self.ask(self.person_id, facility_id=self.workshop, modality=stays.STAY_MODALITY_WORK, accepted=False)


def _entries(
    module: Any, name: str, plural: str, create: Message, change: dict[str, Any], path: str
) -> dict[str, Callable[[Home], Case]]:
    """The five methods of a versioned entry; they have the same shape for each kind."""
    title = "".join(word.capitalize() for word in name.split("_"))

    def of(method: str, **fields: Any) -> Message:
        return getattr(module, f"{method}Request")(**fields)  # type: ignore[no-any-return]

    def update(home: Home) -> Case:
        entry = home.entry(name)
        changed = type(create)(**change, reason="correction")
        request = of(
            f"Update{title}",
            beneficiary_id=home.person_id,
            **{f"{name}_id": getattr(entry, f"{name}_id"), name: changed},
            update_mask=FieldMask(paths=[*change, "reason"]),
        )
        return Case(request, if_match=entry.etag)

    def one(method: str) -> Callable[[Home], Case]:
        return lambda home: Case(
            of(method, beneficiary_id=home.person_id, **{f"{name}_id": getattr(home.entry(name), f"{name}_id")})
        )

    return {
        f"{title}Service/Create{title}": lambda home: Case(
            of(f"Create{title}", beneficiary_id=home.person_id, **{name: create})
        ),
        f"{title}Service/Get{title}": one(f"Get{title}"),
        f"{title}Service/List{plural}": lambda home: (
            home.entry(name),
            Case(of(f"List{plural}", beneficiary_id=home.person_id)),
        )[1],
        f"{title}Service/Update{title}": update,
        f"{title}Service/List{title}Versions": one(f"List{title}Versions"),
    }


def _admission(method: str, **more: Any) -> Callable[[Home], Case]:
    kind = getattr(stays, f"{method}Request")
    return lambda home: Case(kind(beneficiary_id=home.person_id, admission_id=home.asked().admission_id, **more))


def _person(kind: type[Message], **more: Any) -> Callable[[Home], Case]:
    return lambda home: Case(kind(beneficiary_id=home.person_id, **more))


def _unmerge(home: Home) -> Case:
    merged = home.another()
    home.call(
        "BeneficiaryService/MergeBeneficiary",
        people.MergeBeneficiaryRequest(beneficiary_id=home.person_id, merged_beneficiary_id=merged, reason="x"),
    )
    return Case(
        people.UnmergeBeneficiaryRequest(beneficiary_id=home.person_id, merged_beneficiary_id=merged, reason="x")
    )


def _update_person(home: Home) -> Case:
    request = people.UpdateBeneficiaryRequest(
        beneficiary_id=home.person_id,
        beneficiary=people.Beneficiary(used_given_name=SECRET),
        update_mask=FieldMask(paths=["used_given_name"]),
    )
    return Case(request, if_match=home.read(home.person_id).etag)


def _create_stay(home: Home) -> Case:
    asked = home.ask(home.person_id, facility_id=home.workshop, modality=stays.STAY_MODALITY_WORK)
    stay = stays.Stay(admission_id=asked.admission_id, started_on=NOW.date().isoformat())
    return Case(stays.CreateStayRequest(beneficiary_id=home.person_id, stay=stay))


def _update_stay(home: Home) -> Case:
    stay = home.call(
        "StayService/GetStay", stays.GetStayRequest(beneficiary_id=home.person_id, stay_id=home.stay.stay_id)
    ).stay
    request = stays.UpdateStayRequest(
        beneficiary_id=home.person_id,
        stay_id=stay.stay_id,
        stay=stays.Stay(room="7"),
        update_mask=FieldMask(paths=["room"]),
    )
    return Case(request, if_match=stay.etag)


def _replace_draft(home: Home) -> Case:
    draft = home.entry("draft")
    content = drafts.Draft(allergy=drafts.AllergyDraft(substance="autre"))
    return Case(
        drafts.ReplaceDraftRequest(beneficiary_id=home.person_id, draft_id=draft.draft_id, draft=content),
        if_match=draft.etag,
    )


CASES: dict[str, Callable[[Home], Case]] = {
    "BeneficiaryService/CreateBeneficiary": lambda home: Case(
        people.CreateBeneficiaryRequest(facility_id=home.home, beneficiary=home.person(birth_name=SECRET))
    ),
    "BeneficiaryService/GetBeneficiary": _person(people.GetBeneficiaryRequest),
    "BeneficiaryService/UpdateBeneficiary": _update_person,
    "BeneficiaryService/ListBeneficiaryVersions": _person(people.ListBeneficiaryVersionsRequest),
    "BeneficiaryService/SearchBeneficiaries": lambda _home: Case(
        people.SearchBeneficiariesRequest(birth_date="1950-03-14", name_prefix=SECRET[:3])
    ),
    "BeneficiaryService/ListFacilityBeneficiaries": lambda home: Case(
        people.ListFacilityBeneficiariesRequest(facility_id=home.home)
    ),
    "BeneficiaryService/ValidateIdentity": lambda home: Case(
        people.ValidateIdentityRequest(
            beneficiary_id=home.person_id,
            document=people.IDENTITY_DOCUMENT_PASSPORT,
            checked_at=to_timestamp(NOW - timedelta(hours=1)),
        ),
        if_match=home.read(home.person_id).etag,
    ),
    "BeneficiaryService/RetrieveIns": _person(people.RetrieveInsRequest),
    "BeneficiaryService/ListDuplicateCandidates": lambda home: (
        home.another(),
        Case(people.ListDuplicateCandidatesRequest(beneficiary_id=home.person_id)),
    )[1],
    "BeneficiaryService/MergeBeneficiary": lambda home: Case(
        people.MergeBeneficiaryRequest(beneficiary_id=home.person_id, merged_beneficiary_id=home.another(), reason="x")
    ),
    "BeneficiaryService/UnmergeBeneficiary": _unmerge,
    "AdmissionService/CreateAdmission": lambda home: Case(
        stays.CreateAdmissionRequest(
            beneficiary_id=home.person_id,
            admission=stays.Admission(facility_id=home.workshop, modality=4, requested_on=NOW.date().isoformat()),
        )
    ),
    "AdmissionService/GetAdmission": _admission("GetAdmission"),
    "AdmissionService/ListAdmissionVersions": _admission("ListAdmissionVersions"),
    "AdmissionService/ListAdmissions": _person(stays.ListAdmissionsRequest),
    "AdmissionService/ListFacilityAdmissions": lambda home: (
        home.asked(),
        Case(stays.ListFacilityAdmissionsRequest(facility_id=home.workshop)),
    )[1],
    "AdmissionService/AcceptAdmission": _admission("AcceptAdmission"),
    "AdmissionService/RefuseAdmission": _admission("RefuseAdmission", decision_reason=SECRET),
    "AdmissionService/WithdrawAdmission": _admission("WithdrawAdmission"),
    "StayService/CreateStay": _create_stay,
    "StayService/GetStay": lambda home: Case(
        stays.GetStayRequest(beneficiary_id=home.person_id, stay_id=home.stay.stay_id)
    ),
    "StayService/ListStayVersions": lambda home: Case(
        stays.ListStayVersionsRequest(beneficiary_id=home.person_id, stay_id=home.stay.stay_id)
    ),
    "StayService/ListStays": _person(stays.ListStaysRequest),
    "StayService/UpdateStay": _update_stay,
    "StayService/EndStay": lambda home: Case(
        stays.EndStayRequest(
            beneficiary_id=home.person_id, stay_id=home.stay.stay_id, ended_on=NOW.date().isoformat(), exit_reason=1
        )
    ),
    "HandoverNoteService/ListFacilityHandoverNotes": lambda home: (
        home.entry("handover_note"),
        Case(notes.ListFacilityHandoverNotesRequest(facility_id=home.home)),
    )[1],
    "DraftService/CreateDraft": lambda home: Case(
        drafts.CreateDraftRequest(
            beneficiary_id=home.person_id, draft=drafts.Draft(allergy=drafts.AllergyDraft(substance=SECRET))
        )
    ),
    "DraftService/ListDrafts": lambda home: (
        home.entry("draft"),
        Case(drafts.ListDraftsRequest(beneficiary_id=home.person_id)),
    )[1],
    "DraftService/ExportDrafts": lambda home: (
        home.entry("draft"),
        Case(drafts.ExportDraftsRequest(beneficiary_id=home.person_id)),
    )[1],
    "DraftService/GetDraft": lambda home: Case(
        drafts.GetDraftRequest(beneficiary_id=home.person_id, draft_id=home.entry("draft").draft_id)
    ),
    "DraftService/ReplaceDraft": _replace_draft,
    "DraftService/DeleteDraft": lambda home: Case(
        drafts.DeleteDraftRequest(beneficiary_id=home.person_id, draft_id=home.entry("draft").draft_id)
    ),
    "IdentityStripService/GetIdentityStrip": lambda home: (
        home.entry("allergy"),
        Case(strips.GetIdentityStripRequest(tenant_id=home.tenant, beneficiary_id=home.person_id)),
    )[1],
    "TreatmentSummaryService/GetTreatmentSummary": _person(treatments.GetTreatmentSummaryRequest),
    "PerimeterFactService/ListPerimeterFacts": lambda home: Case(
        facts.ListPerimeterFactsRequest(tenant_id=home.tenant, beneficiary_id=home.person_id)
    ),
    **_entries(
        allergies,
        "allergy",
        "Allergies",
        allergies.Allergy(kind=1, substance=SECRET),
        {"substance": "autre"},
        "allergies",
    ),
    **_entries(
        relations,
        "relation",
        "Relations",
        relations.Relation(kind=1, family_name=SECRET),
        {"family_name": "autre"},
        "relations",
    ),
    **_entries(
        history,
        "medical_event",
        "MedicalEvents",
        history.MedicalEvent(kind=1, label=SECRET),
        {"label": "autre"},
        "medical_events",
    ),
    **_entries(
        notes,
        "handover_note",
        "HandoverNotes",
        notes.HandoverNote(category=Category.CATEGORY_NURSING, subject=SECRET, data=SECRET),
        {"data": "autre"},
        "handover_notes",
    ),
}
#: Refused to everybody for now, and with which reason: the platform is not connected to INSi.
REFUSED_TO_ALL = {"BeneficiaryService/RetrieveIns": "INSI_NOT_CONNECTED"}
METHODS = build().methods()
OPERATIONS = sorted(operation.removeprefix(SERVICE) for operation in METHODS)


def test_every_rpc_has_a_case() -> None:
    assert sorted(CASES) == OPERATIONS


def _send(world: World, operation: str, case: Case) -> Any:
    return world.call(operation, case.request, as_="director", if_match=case.if_match, acr=case.acr)


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
        reply = _send(stranger, operation, case)
    except CallFailed as refusal:
        refused = refusal.reason
    else:
        refused = "NOT_FOUND"
        # A list or a search of B's own: nothing of A is in it.
        text = str(reply)
        assert not {found for found in _ids(home) if found in text}
    assert refused in {"NOT_FOUND", "PLACE_UNKNOWN", "SERVICE_ONLY"}
    assert rows_of(harness, home.tenant) == before

    rule = METHODS[SERVICE + operation].rule
    if rule.perimeter == Perimeter.PERIMETER_SYSTEM:
        told = told_for(harness, rule, case.request, stranger.tenant)
        assert not {found for found in _ids(home) | {SECRET} if found in told}
        assert rows_of(harness, home.tenant) == before
        harness.call(SERVICE + operation, case.request, service=service_of(rule))
        return
    # The same on the way that people take.
    asked = {"rpc": SERVICE + operation, "request": case.request, "subject": "director", "if_match": case.if_match}
    foreign = rest.send(**asked, tenant_id=stranger.tenant)
    assert foreign.status_code == 200 or foreign.json["reason"] in {"NOT_FOUND", "PLACE_UNKNOWN"}
    assert not {found for found in _ids(home) if found in foreign.text}
    assert rows_of(harness, home.tenant) == before
    own = rest.send(**asked, tenant_id=home.tenant)
    assert own.status_code in {200, 201} or own.json["reason"] == REFUSED_TO_ALL.get(operation), own.text


def _ids(home: Home) -> set[str]:
    """What would tell B that an answer holds something of A."""
    query = "SELECT beneficiary_id::text FROM access_person WHERE tenant_id = %s"
    return {home.stay.stay_id} | {row for (row,) in home.harness.admin(query, (home.tenant,))}


def test_every_table_is_closed_to_another_association(harness: Harness) -> None:
    home, stranger = Home(harness), Home(harness)
    for kind in ("allergy", "relation", "medical_event", "handover_note", "draft"):
        home.entry(kind)
    _unmerge(home)
    _send(home, "BeneficiaryService/ValidateIdentity", CASES["BeneficiaryService/ValidateIdentity"](home))
    # What these calls do not fill is filled by other parts: the worker, break-glass, INSi, keys.
    fill(harness, home.tenant, {"insi_answer": {"code": "01"}})
    tried = {table for table, (count, _) in rows_of(harness, home.tenant).items() if count}
    reached = [what for table in tried for what in reach_in(harness, table, of=home.tenant, as_tenant=stranger.tenant)]
    assert reached == []
    assert tried == set(tenant_tables(harness))
    # The same attempts succeed for the association itself: the check can fail.
    assert reach_in(harness, "allergy", of=home.tenant, as_tenant=home.tenant)


def test_the_database_is_closed_and_opening_one_table_shows(harness: Harness) -> None:
    assert defects(harness) == []


@pytest.mark.parametrize(
    ("sabotage", "reported"),
    [
        ("DROP POLICY allergy_tenant ON allergy", "allergy: no policy"),
        ("ALTER TABLE stay NO FORCE ROW LEVEL SECURITY", "stay: row-level security is not forced"),
        ("ALTER TABLE draft DISABLE ROW LEVEL SECURITY", "draft: no row-level security"),
        ("CREATE POLICY open ON relation USING (true)", "relation: no policy"),
        ("CREATE TABLE forgotten (id int)", "forgotten: no tenant_id"),
        ("CREATE UNIQUE INDEX leak ON relation (family_name)", "leak: a key that leaves tenant_id out"),
    ],
)
def test_one_opening_is_reported(sabotage: str, reported: str) -> None:
    with postgres_server() as url:
        throwaway = Harness(build(), create_database(url, "records"))
        throwaway.admin(sabotage)
        found = defects(throwaway)
        throwaway.close()
    assert any(defect.startswith(reported) for defect in found), found


def test_without_its_policy_a_table_lets_another_association_in() -> None:
    """The proof that the proof works: with one policy replaced by an open one, B reads A's allergy."""
    with postgres_server() as url:
        throwaway = Harness(build(), create_database(url, "records"))
        home, stranger = Home(throwaway), Home(throwaway)
        home.entry("allergy")
        assert reach_in(throwaway, "allergy", of=home.tenant, as_tenant=stranger.tenant) == []
        throwaway.admin("DROP POLICY allergy_tenant ON allergy")
        throwaway.admin("CREATE POLICY open ON allergy USING (true)")
        reached = reach_in(throwaway, "allergy", of=home.tenant, as_tenant=stranger.tenant)
        throwaway.close()
    assert "reads allergy" in reached


def test_an_etag_of_another_association_opens_nothing(harness: Harness) -> None:
    home, stranger = Home(harness), Home(harness)
    foreign = home.read(home.person_id).etag
    request = people.UpdateBeneficiaryRequest(
        beneficiary_id=stranger.person_id,
        beneficiary=people.Beneficiary(used_given_name="x"),
        update_mask=FieldMask(paths=["used_given_name"]),
    )
    with pytest.raises(CallFailed, match="ETAG_STALE"):
        stranger.call("BeneficiaryService/UpdateBeneficiary", request, if_match=foreign)
    assert foreign != etag_of(stranger.person_id, 1)


def test_a_fact_of_one_association_changes_nothing_of_another(harness: Harness) -> None:
    home, stranger = Home(harness), Home(harness)
    before = rows_of(harness, home.tenant)
    from dui.access.v1 import facts_pb2

    harness.facts(
        stranger.tenant,
        [
            facts_pb2.PersonChanged(beneficiary_id=home.person_id, version=99, surviving_id=stranger.person_id),
            facts_pb2.AccountChanged(
                account_id=home.accounts["director"], version=99, subject="director", active=False
            ),
        ],
    )
    assert rows_of(harness, home.tenant) == before
    assert home.read(home.person_id).birth_name == SECRET
