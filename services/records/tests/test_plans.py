"""Every query of a list, a search or a read uses an index, as the app role, in an association of 20,000 persons."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from dui.options.v1.options_pb2 import Category
from dui.records.v1 import (
    allergies_pb2,
    drafts_pb2,
    facts_pb2,
    handover_notes_pb2,
    identity_strips_pb2,
    medical_events_pb2,
    relations_pb2,
    stays_pb2,
    treatment_summaries_pb2,
)
from dui.records.v1 import beneficiaries_pb2 as people
from dui_kit.calls.seals import Seals
from dui_kit.testing import Harness
from dui_kit.testing_plans import check_plans, plan_of, watched
from dui_kit.worker import transaction
from dui_records.testing import World
from dui_records.testing_treatments import treatment
from dui_records.treatment_summaries import queries
from dui_records.treatment_summaries.remote import apart
from google.protobuf.message import Message

PERSONS = 20_000
#: An association has tens of facilities.
SMALL = ("access_facility_pkey",)

_FILL = """
INSERT INTO beneficiary (tenant_id, beneficiary_id, version, recorded_at, birth_name, birth_given_names, birth_date, sex,
  national_identifier, national_identifier_oid, identity_status, doubtful, fictitious, birth_name_key, birth_given_key,
  birth_name_sound, family_key, given_key, family_sound, homonym_key, person_version, opened_facility_id, opened_at)
SELECT %(tenant)s, uuidv7(), 1, now(), name, ARRAY[given], born, 1, lpad(n::text, 15, '1'), '1.2.250.1.213.1.4.10', 1,
  false, false, name, given, sound, name, given, sound, name || '|' || left(given, 3), 1, %(home)s, now()
FROM (SELECT n, 'NOM' || chr(65 + n %% 26) || chr(65 + n / 26 %% 26) AS name, 'PRENOM' || chr(65 + n %% 17) AS given,
        (date '1930-01-01' + n %% 25000)::text AS born, 'N' || (n %% 700)::text AS sound
      FROM generate_series(1, %(persons)s) n) p
"""
_STAYS = """
INSERT INTO admission (tenant_id, admission_id, beneficiary_id, version, recorded_at, facility_id, modality, requested_on,
  status, created_at)
SELECT tenant_id, beneficiary_id, beneficiary_id, 1, now(), (ARRAY[%(home)s, %(workshop)s]::uuid[])[1 + n %% 2], 1,
  current_date - 400, CASE WHEN n %% 101 = 0 THEN 1 ELSE 5 END, now()
FROM (SELECT *, row_number() OVER () AS n FROM beneficiary WHERE tenant_id = %(tenant)s) b;
"""
_MORE = """
INSERT INTO stay (tenant_id, stay_id, beneficiary_id, version, recorded_at, admission_id, facility_id, modality, started_on,
  ended_on, exit_reason, created_at)
SELECT tenant_id, admission_id, beneficiary_id, 1, now(), admission_id, facility_id, 1, current_date - 300,
  CASE WHEN n %% 101 = 1 THEN NULL ELSE current_date - 100 END, CASE WHEN n %% 101 = 1 THEN 0 ELSE 1 END, now()
FROM (SELECT *, row_number() OVER () AS n FROM admission WHERE tenant_id = %(tenant)s) a
"""
_FACTS = """
INSERT INTO access_person (tenant_id, beneficiary_id, version)
SELECT tenant_id, beneficiary_id, 1 FROM beneficiary WHERE tenant_id = %(tenant)s;
"""
_PERIMETER = """
INSERT INTO access_perimeter (tenant_id, fact_id, beneficiary_id, facility_id, admission_only, valid_from, valid_to, version)
SELECT tenant_id, stay_id, beneficiary_id, facility_id, false, now() - interval '300 days',
  CASE WHEN ended_on IS NULL THEN NULL ELSE now() - interval '70 days' END, 1 FROM stay WHERE tenant_id = %(tenant)s
"""
_NOTES = """
INSERT INTO handover_note (tenant_id, handover_note_id, beneficiary_id, version, recorded_at, created_at, category, subject,
  data, priority, observed_at)
SELECT tenant_id, uuidv7(), beneficiary_id, 1, now(), now(), 5, 'x', 'y', 0, now()
FROM stay, generate_series(1, 100) WHERE tenant_id = %(tenant)s AND ended_on IS NULL
"""
_VERSIONS = """
INSERT INTO entry_version (tenant_id, entry_id, version, entry_type, beneficiary_id, recorded_at, content)
SELECT tenant_id, beneficiary_id, 1, 'dui.records.v1.Beneficiary', beneficiary_id, now(), ''
FROM beneficiary WHERE tenant_id = %(tenant)s
"""
_TREATMENTS = """
INSERT INTO treatment_summary (tenant_id, beneficiary_id, read_at, sealed)
SELECT tenant_id, beneficiary_id, now(), '' FROM beneficiary WHERE tenant_id = %(tenant)s
"""
_STAFF = """
INSERT INTO access_account (tenant_id, account_id, subject, active, version)
SELECT %(tenant)s, uuidv7(), uuidv7()::text, true, 1 FROM generate_series(1, 2000)
"""
_ASSIGNMENTS = """
INSERT INTO access_assignment (tenant_id, assignment_id, account_id, facility_id, profession, valid_from, version)
SELECT tenant_id, uuidv7(), account_id, %(home)s, 5, now(), 1 FROM access_account WHERE tenant_id = %(tenant)s
"""
_ENTRIES = {
    "relation": "family_name, kind, legal_role, trusted_person) SELECT %s, 'x', 1, 0, false",
    "allergy": "kind, substance, severity, status) SELECT %s, 1, 'x', 1, 1",
    "medical_event": "kind, label) SELECT %s, 1, 'x'",
}


@pytest.fixture(scope="module")
def crowd(harness: Harness) -> World:
    """An association of 20,000 persons: 200 of them present in two facilities, with a past."""
    world = World(harness, now=datetime.now(UTC))
    values = {"tenant": world.tenant, "home": world.home, "workshop": world.workshop, "persons": PERSONS}
    for statement in (_FILL, _STAYS, _MORE, _FACTS, _PERIMETER, _NOTES, _VERSIONS, _TREATMENTS, _STAFF, _ASSIGNMENTS):
        harness.admin(statement, values)  # type: ignore[arg-type]
    for table, rest in _ENTRIES.items():
        common = f"tenant_id, {table}_id, beneficiary_id, version, recorded_at, created_at"
        columns, content = rest.split(") SELECT %s, ")
        harness.admin(
            f"INSERT INTO {table} ({common}, {columns}) SELECT tenant_id, uuidv7(), beneficiary_id, 1, now(), now(), {content}"  # noqa: S608
            " FROM beneficiary WHERE tenant_id = %(tenant)s",
            values,  # type: ignore[arg-type]
        )
    harness.admin("ANALYZE")
    return world


def somebody(world: World) -> str:
    [(beneficiary_id,)] = world.harness.admin(
        "SELECT beneficiary_id::text FROM stay WHERE tenant_id = %s AND facility_id = %s AND ended_on IS NULL LIMIT 1",
        (world.tenant, world.home),
    )
    return str(beneficiary_id)


def note() -> handover_notes_pb2.HandoverNote:
    return handover_notes_pb2.HandoverNote(category=Category.CATEGORY_NURSING, subject="s", data="d")


#: Operation → request, and the round trips that it may take between the one that opens the call and the one that ends it.
READS: dict[str, tuple[type[Message], dict[str, Any], int]] = {
    "BeneficiaryService/GetBeneficiary": (people.GetBeneficiaryRequest, {"person": True}, 1),
    "BeneficiaryService/SearchBeneficiaries": (
        people.SearchBeneficiariesRequest,
        {"birth_date": "1930-01-02", "name_prefix": "Nom"},
        1,
    ),
    "BeneficiaryService/ListFacilityBeneficiaries": (people.ListFacilityBeneficiariesRequest, {"facility": True}, 2),
    "BeneficiaryService/ListDuplicateCandidates": (people.ListDuplicateCandidatesRequest, {"person": True}, 2),
    "BeneficiaryService/ListBeneficiaryVersions": (people.ListBeneficiaryVersionsRequest, {"person": True}, 1),
    "AdmissionService/ListAdmissions": (stays_pb2.ListAdmissionsRequest, {"person": True}, 1),
    "AdmissionService/ListFacilityAdmissions": (stays_pb2.ListFacilityAdmissionsRequest, {"facility": True}, 1),
    "StayService/ListStays": (stays_pb2.ListStaysRequest, {"person": True}, 1),
    "RelationService/ListRelations": (relations_pb2.ListRelationsRequest, {"person": True}, 1),
    "AllergyService/ListAllergies": (allergies_pb2.ListAllergiesRequest, {"person": True}, 1),
    "MedicalEventService/ListMedicalEvents": (medical_events_pb2.ListMedicalEventsRequest, {"person": True}, 1),
    "HandoverNoteService/ListHandoverNotes": (handover_notes_pb2.ListHandoverNotesRequest, {"person": True}, 1),
    "HandoverNoteService/ListFacilityHandoverNotes": (
        handover_notes_pb2.ListFacilityHandoverNotesRequest,
        {"facility": True},
        2,
    ),
    "DraftService/ListDrafts": (drafts_pb2.ListDraftsRequest, {"person": True}, 1),
    "DraftService/ExportDrafts": (drafts_pb2.ExportDraftsRequest, {"person": True}, 1),
    "PerimeterFactService/ListPerimeterFacts": (
        facts_pb2.ListPerimeterFactsRequest,
        {"person": True, "tenant": True},
        4,
    ),
    "IdentityStripService/GetIdentityStrip": (
        identity_strips_pb2.GetIdentityStripRequest,
        {"person": True, "tenant": True, "service": "medication"},
        1,
    ),
    "BeneficiaryService/CreateBeneficiary": (
        people.CreateBeneficiaryRequest,
        {
            "facility": True,
            "beneficiary": people.Beneficiary(
                birth_name="Noma", birth_given_names=["Prenoma"], birth_date="1950-03-04", sex=people.SEX_MALE
            ),
        },
        1,
    ),
    "RelationService/CreateRelation": (
        relations_pb2.CreateRelationRequest,
        {
            "person": True,
            "relation": relations_pb2.Relation(
                family_name="x", kind=relations_pb2.RELATION_KIND_FRIEND, trusted_person=True
            ),
        },
        2,
    ),
    "HandoverNoteService/CreateHandoverNote": (
        handover_notes_pb2.CreateHandoverNoteRequest,
        {"person": True, "handover_note": note()},
        0,
    ),
}


@pytest.mark.parametrize("operation", sorted(READS))
def test_every_query_uses_an_index(crowd: World, operation: str) -> None:
    kind, options, most = READS[operation]
    told = {"person", "facility", "tenant", "service"}
    fields = {name: value for name, value in options.items() if name not in told}
    if "person" in options:
        fields["beneficiary_id"] = somebody(crowd)
    if "facility" in options:
        fields["facility_id"] = crowd.home
    with watched(crowd.harness) as trips:
        if "tenant" in options:
            service = options.get("service", "identity")
            request = kind(tenant_id=crowd.tenant, **fields)
            crowd.harness.call(f"dui.records.v1.{operation}", request, service=service)
        else:
            crowd.call(operation, kind(**fields))
    check_plans(crowd.harness, crowd.tenant, trips, most, small=SMALL)


def test_what_is_kept_of_a_treatment_is_read_and_written_by_its_records(crowd: World) -> None:
    """Medication cannot be asked here: what was kept answers. The calendars of the facilities are the second question."""
    person = somebody(crowd)
    with watched(crowd.harness) as trips, transaction(crowd.harness.engine, "records", crowd.tenant) as call:
        assert queries.persons(call, {person}) == [(person,)]
        queries.keep(call, Seals("11" * 32), apart(treatment(person, Paracétamol=person)))
    asked = [
        statement
        for trip in trips
        for statement in trip
        if statement.startswith(("SELECT bene", "SELECT CASE", "INSERT"))
    ]
    assert len(asked) == 3
    for statement in asked:
        plan = plan_of(crowd.harness, crowd.tenant, statement)
        assert "Seq Scan" not in plan, plan
        assert "INSERT" in statement or re.search(r"Index Cond: .*tenant_id.* AND ", plan), plan
    request = treatment_summaries_pb2.GetTreatmentSummaryRequest(beneficiary_id=person)
    with watched(crowd.harness) as trips:
        summary = crowd.call("TreatmentSummaryService/GetTreatmentSummary", request).treatment_summary
    assert (len(summary.lines), summary.current) == (1, False)
    check_plans(crowd.harness, crowd.tenant, trips, 2, small=SMALL)
