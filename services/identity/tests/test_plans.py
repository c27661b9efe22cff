"""Every query of a list, a read or a check uses an index, as the app role, in an association of 3,000 staff."""

from __future__ import annotations

import re
from typing import Any

import pytest
from dui.identity.v1 import access_pb2, directory_pb2, journal_pb2, organisation_pb2, professions_pb2, staff_pb2
from dui_identity.provisioning.worker import _first_due
from dui_identity.testing import Association, open_association
from dui_kit.testing import Harness
from dui_kit.testing_plans import check_plans, plan_of, watched
from dui_kit.worker.parts import transaction
from google.protobuf.message import Message

STAFF = 3_000
_OFFICER = professions_pb2.PROFESSION_DATA_PROTECTION_OFFICER
#: An association has tens of facilities and professions.
SMALL = ("association_pkey", "facility_finess_et_key", "policy_publication_pkey", "policy_override_cell_idx")
PERSONS = 20_000

_STAFF = """
WITH p AS (
  INSERT INTO professional (tenant_id, professional_id, family_name, given_name, name_key, profession, version)
  SELECT %(tenant)s, uuidv7(), 'X', 'Y', 'NOM' || n, 5, 1 FROM generate_series(1, %(staff)s) n
  RETURNING tenant_id, professional_id, name_key
), a AS (
  INSERT INTO account (tenant_id, account_id, professional_id, login, status, subject, problem, version)
  SELECT tenant_id, uuidv7(), professional_id, name_key, 2, uuidv7()::text, 0, 1 FROM p
  RETURNING tenant_id, account_id, subject
), s AS (
  INSERT INTO assignment (tenant_id, assignment_id, account_id, profession, valid_from, version)
  SELECT tenant_id, uuidv7(), account_id, 5, now(), 1 FROM a
  RETURNING tenant_id, assignment_id, account_id
), f AS (
  INSERT INTO access_account (tenant_id, account_id, subject, active, version)
  SELECT tenant_id, account_id, subject, true, 1 FROM a
)
INSERT INTO access_assignment (tenant_id, assignment_id, account_id, profession, valid_from, version)
SELECT tenant_id, assignment_id, account_id, 5, now(), 1 FROM s
"""
_GLASSES = """
INSERT INTO break_glass (tenant_id, break_glass_id, account_id, beneficiary_id, reason, reason_text, valid_from, valid_to)
SELECT tenant_id, uuidv7(), account_id, uuidv7(), 1, 'x', now(), now() + interval '4 hours'
FROM account WHERE tenant_id = %(tenant)s
"""
_PERSONS = """
INSERT INTO access_person (tenant_id, beneficiary_id, version)
SELECT %(tenant)s, uuidv7(), 1 FROM generate_series(1, %(persons)s)
"""
_PLACES = """
INSERT INTO facility (tenant_id, facility_id, name, name_key, finess_et, category_code, time_zone, version)
SELECT %(tenant)s, uuidv7(), 'x', 'NOM' || n, n::text, '500', 'Europe/Paris', 1 FROM generate_series(1, 200) n
"""
#: The journal of other associations, in every month that has a partition: a plan chosen for empty ones says nothing.
_JOURNAL = """
WITH tenant AS (SELECT gen_random_uuid() AS tenant_id FROM generate_series(1, 10)),
month AS (SELECT date_trunc('month', now()) + make_interval(months => n, days => 1) AS first FROM generate_series(0, 2) n),
e AS (
  INSERT INTO journal_entry
  SELECT tenant_id, first + make_interval(secs => n), n, 'records', n, gen_random_uuid(), false, false, '', ''
  FROM tenant, month, generate_series(1, 500) n
  RETURNING tenant_id, appended_at, chain_index
)
INSERT INTO journal_subject (tenant_id, beneficiary_id, appended_at, chain_index)
SELECT tenant_id, gen_random_uuid(), appended_at, chain_index FROM e
"""


#: The queue to the identity provider: the answers to an onboarding of each association, a few of them due, and some new accounts.
_TASKS = """
WITH theirs AS (SELECT gen_random_uuid() AS tenant_id FROM generate_series(1, 20))
INSERT INTO provisioning_task (tenant_id, account_id, kind, attempts, problem, due_at, created_at)
SELECT tenant_id, account_id, CASE WHEN random() < 0.1 THEN 2 ELSE 5 END, 6, 7,
  now() + make_interval(secs => 3600 * random() - 60), now()
FROM (SELECT tenant_id, account_id FROM account WHERE tenant_id = %(tenant)s
      UNION ALL SELECT tenant_id, NULL FROM theirs, generate_series(1, 1000)) waiting
ORDER BY random()
"""


@pytest.fixture(scope="module")
def crowd(harness: Harness) -> Association:
    """An association of 3,000 staff and 20,000 persons."""
    association = open_association(harness)
    values: dict[str, Any] = {"tenant": association.tenant_id, "staff": STAFF, "persons": PERSONS}
    for statement in (_STAFF, _GLASSES, _PERSONS, _PLACES, _TASKS):
        harness.admin(statement, values)  # type: ignore[arg-type]
    harness.admin(_JOURNAL)
    harness.admin("ANALYZE")
    return association


#: Operation → request, and the round trips that it may take between the one that opens the call and the one that ends it.
READS: dict[str, tuple[type[Message], dict[str, Any], int]] = {
    "AccountService/GetMyAccount": (staff_pb2.GetMyAccountRequest, {}, 6),
    "AccountService/ListAccounts": (staff_pb2.ListAccountsRequest, {}, 2),
    "ProfessionalService/ListProfessionals": (staff_pb2.ListProfessionalsRequest, {}, 1),
    "AssignmentService/ListAssignments": (staff_pb2.ListAssignmentsRequest, {"account_id": True}, 2),
    "FacilityService/ListFacilities": (organisation_pb2.ListFacilitiesRequest, {}, 1),
    "BreakGlassService/ListBreakGlasses": (access_pb2.ListBreakGlassesRequest, {"as": _OFFICER}, 1),
    "BreakGlassService/BreakGlass": (
        access_pb2.BreakGlassRequest,
        {
            "as": professions_pb2.PROFESSION_DOCTOR,
            "beneficiary_id": True,
            "reason": 1,
            "reason_text": "Chute en cours de nuit",
        },
        2,
    ),
    "JournalService/ListJournalEntries": (journal_pb2.ListJournalEntriesRequest, {"as": _OFFICER}, 1),
    "JournalService/ListRecordAccesses": (
        journal_pb2.ListRecordAccessesRequest,
        {"as": _OFFICER, "beneficiary_id": True},
        2,
    ),
    "AccessFactService/ListAccessFacts": (access_pb2.ListAccessFactsRequest, {"tenant_id": True, "subject": "x"}, 6),
    "DirectoryService/GetPrescriber": (
        directory_pb2.GetPrescriberRequest,
        {"tenant_id": True, "service": "medication", "account_id": True, "facility_id": True},
        1,
    ),
}


@pytest.mark.parametrize("operation", sorted(READS))
def test_every_query_uses_an_index(crowd: Association, operation: str) -> None:
    kind, options, most = READS[operation]
    fields = {name: value for name, value in options.items() if value is not True and name not in {"as", "service"}}
    as_ = crowd.person(options["as"])[1] if "as" in options else ""
    for name, table in (("account_id", "account"), ("beneficiary_id", "access_person"), ("facility_id", "facility")):
        if name in options:
            [(found,)] = crowd.harness.admin(
                f"SELECT {name}::text FROM {table} WHERE tenant_id = %s LIMIT 1",  # noqa: S608 (constants)
                (crowd.tenant_id,),
            )
            fields[name] = found
    with watched(crowd.harness) as trips:
        if "tenant_id" in options:
            service = options.get("service", "records")
            request = kind(tenant_id=crowd.tenant_id, **fields)
            crowd.harness.call(f"dui.identity.v1.{operation}", request, service=service)
        else:
            crowd.call(operation, kind(**fields), as_=as_, acr=2)
    check_plans(crowd.harness, crowd.tenant_id, trips, most, small=SMALL)


@pytest.mark.parametrize("answer", [False, True])
def test_the_next_task_of_an_association_is_found_by_indexes(crowd: Association, answer: bool) -> None:
    engine = crowd.harness.engine
    with watched(crowd.harness) as trips, transaction(engine, "identity", crowd.tenant_id) as call:
        call.session.scalars(_first_due(call, answer=answer)).all()
    (statement,) = [one for trip in trips for one in trip if "provisioning_task" in one]
    plan = plan_of(crowd.harness, crowd.tenant_id, statement)
    # Of what is urgent the statistics decide: by what is due, or by the association, whose tasks are few and are sorted.
    assert "Seq Scan" not in plan, plan
    conditions = re.findall(r"Index Cond: (.*)", plan)
    assert all("tenant_id = " in one or "due_at <= " in one for one in conditions), plan
    if answer:
        # The one that has waited longest is read first, however many wait.
        assert re.search(r"provisioning_task_due_at_idx on provisioning_task\n\s+Index Cond: \(due_at <= ", plan), plan
        assert "Sort" not in plan, plan


def test_the_associations_whose_turn_it_is_are_found_by_an_index(crowd: Association) -> None:
    [(body,)] = crowd.harness.admin("SELECT prosrc FROM pg_proc WHERE proname = 'due_work'")
    plan = "\n".join(line for (line,) in crowd.harness.admin(f"EXPLAIN {body.replace('<= at', '<= now()')}"))
    assert "provisioning_task_due_at_idx" in plan, plan
