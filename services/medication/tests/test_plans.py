"""Every query of a treatment uses an index, as the app role, in an association of 20,000 persons and 200,000 lines, most of them
ended; and reads about as many rows as it shows."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from dui.medication.v1 import prescriptions_pb2 as pb
from dui.medication.v1 import reviews_pb2, treatment_plans_pb2
from dui.records.v1 import allergies_pb2, identity_strips_pb2
from dui_kit.calls.call import Call
from dui_kit.db import statements
from dui_kit.db.database import begin, raw
from dui_kit.db.statements import Statement, Step
from dui_kit.ids import new_id
from dui_kit.testing import Harness, create_database
from dui_kit.testing_plans import check_plans, plan_of, watched
from dui_kit.worker.parts import transaction
from dui_medication.app import build
from dui_medication.people.remote import RemotePeople, Strip
from dui_medication.prescriptions.queries import BATCH, delete_expired
from dui_medication.testing import KnownPeople, World, inform, load, order, today
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from sqlalchemy import event
from sqlalchemy.orm import Session

PARACETAMOL, WARFARIN = "99000001", "99000021"
#: Of the persons one in twenty lives in the first facility: 10,000 lines in force end soon, and wait for its pharmacist or, half of
#: them, for its prescribers.
PERSONS, LINES_OF_EACH = 20_000, 10
#: Lines and prescriptions of one person over the years, and the lines of them in force.
LONG, IN_FORCE = 600, 12
#: Rows of a page, unless another number is asked for.
PAGE = 50
#: Specialties of one name that are looked at (`allergies.queries`).
MOST_OF_A_NAME = 60
#: Specialties beside those of the formulary: the public database has as many.
SPECIALTIES = 15_000
UNIT = new_id()
#: An association has tens of facilities; the platform has some editions of what it knows.
SMALL = ("access_facility_pkey", "thesaurus_edition_pkey", "catalogue_edition_pkey")

_PEOPLE = """
INSERT INTO access_person (tenant_id, beneficiary_id, version)
SELECT %(tenant)s, uuidv7(), 1 FROM generate_series(1, %(persons)s)
"""
#: One of twenty lives in the first facility, half of these in a unit; the others have left.
_PERIMETER = """
INSERT INTO access_perimeter (tenant_id, fact_id, beneficiary_id, facility_id, unit_id, admission_only, valid_from, valid_to,
  version)
SELECT tenant_id, uuidv7(), beneficiary_id, CASE WHEN n %% 2 = 0 THEN %(home)s ELSE %(other)s END::uuid,
  CASE WHEN n %% 40 = 0 THEN %(unit)s::uuid END, false,
  now() - interval '300 days', CASE WHEN n %% 20 = 0 THEN NULL ELSE now() - interval '70 days' END, 1
FROM (SELECT *, row_number() OVER () AS n FROM access_person WHERE tenant_id = %(tenant)s) p
"""
_PRESCRIPTIONS = """
INSERT INTO prescription (tenant_id, prescription_id, beneficiary_id, version, recorded_at, facility_id, content)
SELECT tenant_id, uuidv7(), beneficiary_id, 2, now(), %(home)s, ''
FROM access_person, generate_series(1, 3) WHERE tenant_id = %(tenant)s
"""
#: The first line of each person expired while it waited: it stays among those that wait, and is not read. The second is in force.
_LINES = """
INSERT INTO prescription_line (tenant_id, prescription_line_id, beneficiary_id, version, recorded_at, created_at,
  prescription_id, facility_id, status, last_on, work, content)
SELECT p.tenant_id, uuidv7(), p.beneficiary_id, 1, now(), now(), p.prescription_id, %(home)s, CASE WHEN k <= 2 THEN 1 ELSE 3 END,
  CASE WHEN k = 2 THEN date '9999-12-31' ELSE current_date - 20 - (k * 37) END,
  CASE WHEN k = 1 THEN 1 + abs(hashtext(p.beneficiary_id::text)) %% 2 END, %(content)s
FROM (SELECT DISTINCT ON (beneficiary_id) * FROM prescription WHERE tenant_id = %(tenant)s ORDER BY beneficiary_id) p,
  generate_series(1, %(each)s) k
"""
#: Those who live there now have a treatment that ends soon, which nobody has reviewed, or whose review nobody has answered.
_WAITING = """
UPDATE prescription_line l SET work = 1 + abs(hashtext(l.prescription_line_id::text)) %% 2, status = 1,
  last_on = current_date + 1 + abs(hashtext(l.prescription_line_id::text)) %% 6 FROM access_perimeter q
WHERE l.tenant_id = %(tenant)s AND q.tenant_id = l.tenant_id AND q.beneficiary_id = l.beneficiary_id AND q.facility_id = %(home)s
  AND q.valid_to IS NULL
"""
_UNIT = """
INSERT INTO access_unit (tenant_id, unit_id, facility_id, version) VALUES (%(tenant)s, %(unit)s, %(home)s, 1)
"""
_LONG = """
INSERT INTO prescription (tenant_id, prescription_id, beneficiary_id, version, recorded_at, facility_id, content)
SELECT %(tenant)s, uuidv7(), %(person)s, 2, now(), %(home)s, '' FROM generate_series(1, %(long)s);
INSERT INTO prescription_line (tenant_id, prescription_line_id, beneficiary_id, version, recorded_at, created_at,
  prescription_id, facility_id, status, last_on, content)
SELECT tenant_id, uuidv7(), %(person)s, 1, now(), now(), prescription_id, facility_id,
  CASE WHEN k <= %(in_force)s THEN 1 ELSE 3 END,
  CASE WHEN k <= %(in_force)s THEN date '9999-12-31' ELSE current_date - 20 - k END, %(content)s
FROM (SELECT * FROM prescription WHERE tenant_id = %(tenant)s LIMIT 1) p, generate_series(1, %(long)s) k
"""
_SIGNED = """
INSERT INTO signed_act (tenant_id, signed_act_id, beneficiary_id, prescription_id, act, signer_account_id, signed_at, jws)
SELECT tenant_id, uuidv7(), beneficiary_id, prescription_id, 1, uuidv7(), now(), 'x' FROM prescription
WHERE tenant_id = %(tenant)s
"""
_DRAFTS = """
INSERT INTO prescription_draft (tenant_id, prescription_id, beneficiary_id, version, author_account_id, recorded_at, expires_at,
  content)
SELECT tenant_id, uuidv7(), beneficiary_id, 1, %(doctor)s, now(), now() + ((n %% 7 + 1) || ' days')::interval, ''
FROM (SELECT *, row_number() OVER () AS n FROM access_person WHERE tenant_id = %(tenant)s) p
"""
_VERSIONS = """
INSERT INTO entry_version (tenant_id, entry_id, version, entry_type, beneficiary_id, recorded_at, content)
SELECT tenant_id, prescription_line_id, 1, 'dui.medication.v1.PrescriptionLine', beneficiary_id, now(), ''
FROM prescription_line WHERE tenant_id = %(tenant)s
"""
_STRIPS = """
INSERT INTO identity_strip (tenant_id, beneficiary_id, read_at, sealed)
SELECT tenant_id, beneficiary_id, now(), '' FROM access_person WHERE tenant_id = %(tenant)s
"""
_CONFIRMED = """
INSERT INTO plan_confirmation (tenant_id, plan_confirmation_id, beneficiary_id, beneficiary_ids, person_versions, line_ids,
  author_account_id, recorded_at)
SELECT tenant_id, uuidv7(), beneficiary_id, '{}', '{}', '{}', uuidv7(), now() FROM access_person WHERE tenant_id = %(tenant)s
"""
_STAFF = """
INSERT INTO access_account (tenant_id, account_id, subject, active, version)
SELECT %(tenant)s, uuidv7(), uuidv7()::text, true, 1 FROM generate_series(1, 2000)
"""
_ASSIGNMENTS = """
INSERT INTO access_assignment (tenant_id, assignment_id, account_id, facility_id, profession, valid_from, version)
SELECT tenant_id, uuidv7(), account_id, %(home)s, 5, now(), 1 FROM access_account WHERE tenant_id = %(tenant)s
"""
_CATALOGUE = """
INSERT INTO reference.specialty (cis, first_edition, digest, marketed, match, content)
SELECT (60000000 + n)::text, 1, '', true, '', '' FROM generate_series(1, %(specialties)s) n;
"""
#: Names of four words, two of them those of every specialty; and one range of three hundred.
_WORDS = """
INSERT INTO reference.specialty_word (cis, word, place, marketed, name_key)
SELECT (60000000 + n)::text, word, place, true, 'MARQUE' || n || ' ' || n %% 900 || ' MG COMPRIME'
FROM generate_series(1, %(specialties)s) n,
  LATERAL (VALUES ('MARQUE' || n, 0), ((n %% 900)::text, 0), ('MG', 0), ('COMPRIME', 0), ('SUBSTANCE' || n %% 50, 1))
    w (word, place);
INSERT INTO reference.specialty_word (cis, word, place, marketed, name_key)
SELECT (60000000 + n)::text, 'GAMME', 0, true, 'GAMME ' || n || ' MG' FROM generate_series(1, 300) n
"""
_FILL = (
    *(
        _PEOPLE,
        _PERIMETER,
        _PRESCRIPTIONS,
        _LINES,
        _UNIT,
        _WAITING,
        _LONG,
        _SIGNED,
        _DRAFTS,
        _VERSIONS,
        _STRIPS,
        _CONFIRMED,
    ),
    *(_STAFF, _ASSIGNMENTS, _CATALOGUE, _WORDS),
)


class Remembered(KnownPeople):
    """Keeps what the record said, and tells it while the record is away, as the way to records does."""

    keep = RemotePeople.keep  # type: ignore[assignment] # it asks nothing of its own object

    def strip(self, call: Call) -> Strip | None:
        return RemotePeople._kept(self, call) if self.away else super().strip(call)  # type: ignore[arg-type]


def allergy(substance: str) -> identity_strips_pb2.StripAllergy:
    return identity_strips_pb2.StripAllergy(
        allergy_id="0197a000-0000-7000-8000-000000000001",
        kind=allergies_pb2.ALLERGY_KIND_MEDICATION,
        substance=substance,
        severity=allergies_pb2.ALLERGY_SEVERITY_SEVERE,
        status=allergies_pb2.ALLERGY_STATUS_CONFIRMED,
        version=1,
    )


@pytest.fixture(scope="module")
def people() -> Remembered:
    return Remembered()


@pytest.fixture(scope="module")
def crowd(postgres: str, signing_key: Path, people: Remembered) -> Iterator[World]:
    """An association of 20,000 persons with a past. One of them has had 600 lines."""
    del signing_key
    harness = Harness(build(people), create_database(postgres, "medication"))
    load(harness)
    inform(harness, datetime.now(UTC).date() - timedelta(days=30))
    world = World(harness, now=datetime.now(UTC))
    values: dict[str, Any] = {
        "tenant": world.tenant,
        "person": world.person,
        "home": world.home,
        "other": world.other_home,
        "unit": UNIT,
        "doctor": world.accounts["doctor"],
        "persons": PERSONS,
        "each": LINES_OF_EACH,
        "long": LONG,
        "in_force": IN_FORCE,
        "specialties": SPECIALTIES,
        "content": pb.PrescriptionLine(order=order(WARFARIN, ends_on=today(89).isoformat())).SerializeToString(),
    }
    for statement in _FILL:
        for one in statement.split(";\n"):
            harness.admin(one, values)  # type: ignore[arg-type]
    harness.admin("ANALYZE")
    yield world
    harness.close()


# -------------------------------------------------------------------------------------------------------------- measuring


@contextmanager
def recorded(harness: Harness) -> Iterator[list[tuple[str, Any]]]:
    """What the service reads, with its values: each statement as it is sent, and its parameters."""
    found: list[tuple[str, Any]] = []
    run = statements._run

    def kit(connection: statements.Connection, steps: list[Step]) -> Any:
        found.extend((step.statement.sql.decode(), step.parameters) for step in steps)
        return run(connection, steps)

    def session(_c: Any, _cursor: Any, statement: str, parameters: Any, _x: Any, _m: bool) -> None:
        found.append((statement, parameters))

    event.listen(harness.engine, "before_cursor_execute", session)
    try:
        with patch.object(statements, "_run", kit):
            yield found
    finally:
        event.remove(harness.engine, "before_cursor_execute", session)


def gone_through(world: World, asked: list[tuple[str, Any]]) -> Counter[str]:
    """By table, the rows that the SELECTs of a call go through with its values, also those that a filter drops; and those that
    one `Sort` has at most."""
    found: Counter[str] = Counter()
    for statement, parameters in asked:
        if statement.lstrip().startswith(("SELECT", "WITH")) and "FROM" in statement:
            _count(_analysed(world, statement, parameters), found)
    return found


def _analysed(world: World, statement: str, parameters: Any) -> dict[str, Any]:
    explain = "EXPLAIN (ANALYZE, FORMAT JSON) " + statement
    with Session(world.harness.engine) as session:
        begin(session, world.tenant, durable=False, statement_ms=20_000)
        if isinstance(parameters, dict):
            told = session.connection().exec_driver_sql(explain, parameters).scalar_one()
        else:
            [result] = statements.run(raw(session), Step(Statement(explain), parameters))
            told = json.loads(result.get_value(0, 0) or b"")
        session.rollback()
    plan: dict[str, Any] = told[0]["Plan"]
    return plan


def _count(node: dict[str, Any], found: Counter[str]) -> None:
    through = sum(
        node.get(name, 0) for name in ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Index Recheck")
    )
    if "Relation Name" in node:
        found[node["Relation Name"]] += round(through * node["Actual Loops"])
    below = node.get("Plans", ())
    if node["Node Type"] in {"Sort", "Incremental Sort"}:
        found["Sort"] = max(found["Sort"], round(sum(each["Actual Rows"] for each in below)))
    for each in below:
        _count(each, found)


# ---------------------------------------------------------------------------------------------------------------- queries


class Asked:
    """Calls, each with what it may cost."""

    def __init__(self, crowd: World) -> None:
        self.crowd = crowd

    def __call__(
        self, operation: str, request: Message, *, trips: int, lines: int = 0, facts: int = 3 * PAGE, **options: Any
    ) -> Any:
        """The reply, when every plan looks its rows up, there are at most so many round trips between the one that opens the call
        and the one that ends it, and at most so many lines of treatment, and facts of a kind, are gone through."""
        with watched(self.crowd.harness) as asked, recorded(self.crowd.harness) as sent:
            reply = self.crowd.call(operation, request, **options)
        check_plans(self.crowd.harness, self.crowd.tenant, asked, trips, small=SMALL)
        found = gone_through(self.crowd, sent)
        assert found.pop("prescription_line", 0) <= lines, found
        # Of a page one row more is read, which tells that there is another. A few facts decide of each row shown.
        assert found.pop("Sort") <= PAGE + 5, found
        assert all(count <= (facts if table.startswith("access_") else PAGE + 1) for table, count in found.items()), (
            found
        )
        return reply


@pytest.fixture
def ask(crowd: World, people: Remembered) -> Asked:
    people.__init__()  # type: ignore[misc] # what a test sets, the next one does not see
    return Asked(crowd)


def test_the_treatment_and_its_doses_cost_what_is_in_force_however_long_the_past(crowd: World, ask: Asked) -> None:
    plan = treatment_plans_pb2.GetTreatmentPlanRequest(beneficiary_id=crowd.person)
    found = ask("TreatmentPlanService/GetTreatmentPlan", plan, trips=1, lines=PAGE).treatment_plan
    assert len(found.lines) >= IN_FORCE
    doses = treatment_plans_pb2.ListDueDosesRequest(beneficiary_id=crowd.person)
    assert ask("TreatmentPlanService/ListDueDoses", doses, trips=1, lines=PAGE).due_doses


@pytest.mark.parametrize(
    ("operation", "kind"), [("Lines", pb.ListPrescriptionLinesRequest), ("s", pb.ListPrescriptionsRequest)]
)
def test_a_page_of_the_past_costs_what_it_shows_wherever_it_is(
    crowd: World, ask: Asked, operation: str, kind: type[Message]
) -> None:
    page = kind(beneficiary_id=crowd.person)
    for _ in range(3):
        reply = ask(f"PrescriptionService/ListPrescription{operation}", page, trips=1, lines=PAGE + 1)
        shown = reply.prescription_lines if operation == "Lines" else reply.prescriptions
        assert len(shown) == PAGE
        page = kind(beneficiary_id=crowd.person, page_token=reply.next_page_token)


def test_one_prescription_and_one_line_cost_one_row(crowd: World, ask: Asked) -> None:
    signed = crowd.prescribe(order(PARACETAMOL))
    of = {"beneficiary_id": crowd.person, "prescription_id": signed.prescription_id}
    line = {"beneficiary_id": crowd.person, "prescription_line_id": signed.line_ids[0]}
    ask("PrescriptionService/GetPrescription", pb.GetPrescriptionRequest(**of), trips=1)
    ask("PrescriptionService/VerifyPrescription", pb.VerifyPrescriptionRequest(**of), trips=3, lines=1)
    ask("PrescriptionService/GetPrescriptionDocument", pb.GetPrescriptionDocumentRequest(**of), trips=3, lines=1)
    ask("PrescriptionService/GetPrescriptionLine", pb.GetPrescriptionLineRequest(**line), trips=1, lines=1)
    versions = pb.ListPrescriptionLineVersionsRequest(**line)
    ask("PrescriptionService/ListPrescriptionLineVersions", versions, trips=2, lines=1)


@pytest.mark.parametrize(
    ("work", "waiting"),
    [
        (reviews_pb2.LINE_WORK_TO_REVIEW, "work = 1 AND last_on >= current_date"),
        (reviews_pb2.LINE_WORK_TO_ANSWER, "work = 2 AND last_on >= current_date"),
        (reviews_pb2.LINE_WORK_ENDING, "status = 1 AND last_on BETWEEN current_date AND current_date + 7"),
    ],
)
def test_the_lines_that_wait_for_somebody_are_read_in_their_order_until_the_page_is_full(
    crowd: World, ask: Asked, work: int, waiting: str
) -> None:
    [(count,)] = crowd.harness.admin(f"SELECT count(*) FROM prescription_line WHERE {waiting}")  # noqa: S608 (of this test)
    assert count >= 4_500
    page = reviews_pb2.ListFacilityLinesRequest(facility_id=crowd.home, work=work)
    for _ in range(2):
        reply = ask("ReviewService/ListFacilityLines", page, trips=2, lines=PAGE + 1, as_="pharmacist")
        assert len(reply.prescription_lines) == PAGE
        page.page_token = reply.next_page_token


def test_the_lines_of_a_unit_cost_those_of_its_facility_until_the_page_is_full(crowd: World, ask: Asked) -> None:
    page = reviews_pb2.ListFacilityLinesRequest(
        facility_id=crowd.home, work=reviews_pb2.LINE_WORK_TO_REVIEW, unit_id=UNIT
    )
    # One line in two is of the unit, and those of a person stand together.
    reply = ask("ReviewService/ListFacilityLines", page, trips=2, lines=3 * PAGE, facts=5 * PAGE, as_="pharmacist")
    assert len(reply.prescription_lines) == PAGE


def test_checking_and_signing_cost_the_treatment_and_the_names_of_the_allergies(
    crowd: World, ask: Asked, people: Remembered
) -> None:
    people.allergies[crowd.person] = [allergy("Marque12 300 MG, substance49 comprime rose")]
    content = pb.Prescription(facility_id=crowd.home, orders=[order(PARACETAMOL)])
    request = pb.CheckPrescriptionRequest(beneficiary_id=crowd.person, prescription=content)
    crowd.call("PrescriptionService/CheckPrescription", request)  # the first one reads the thesaurus
    ask("PrescriptionService/CheckPrescription", request, trips=8, lines=PAGE)
    [line_id] = crowd.prescribe(order(PARACETAMOL)).line_ids
    draft = crowd.draft(order(PARACETAMOL, replaces_line_id=line_id))
    of = {"beneficiary_id": crowd.person, "prescription_id": draft.prescription_id}
    change = pb.UpdatePrescriptionRequest(
        **of, prescription=pb.Prescription(orders=draft.orders), update_mask=FieldMask(paths=["orders"])
    )
    draft = ask("PrescriptionService/UpdatePrescription", change, trips=3, if_match=draft.etag).prescription
    signing = pb.SignPrescriptionRequest(**of)
    ask("PrescriptionService/SignPrescription", signing, trips=12, lines=PAGE + 1, acr=2, if_match=draft.etag)
    people.away = True
    assert not ask("PrescriptionService/CheckPrescription", request, trips=9, lines=PAGE).report.record.current


def test_a_name_that_begins_many_specialties_is_looked_up_within_its_bound(
    crowd: World, ask: Asked, people: Remembered
) -> None:
    people.allergies[crowd.person] = [allergy("Gamme comprime mg")]
    content = pb.Prescription(facility_id=crowd.home, orders=[order(PARACETAMOL)])
    request = pb.CheckPrescriptionRequest(beneficiary_id=crowd.person, prescription=content)
    crowd.call("PrescriptionService/CheckPrescription", request)
    with recorded(crowd.harness) as sent:
        crowd.call("PrescriptionService/CheckPrescription", request)
    [asked] = [one for one in sent if "specialty_word" in one[0]]
    assert gone_through(crowd, [asked])["specialty_word"] == MOST_OF_A_NAME
    assert "Seq Scan" not in json.dumps(_analysed(crowd, *asked))


def test_what_a_line_does_next_costs_one_row(crowd: World, ask: Asked) -> None:
    [line_id] = crowd.prescribe(order(PARACETAMOL)).line_ids
    of = {"beneficiary_id": crowd.person, "prescription_line_id": line_id}
    line = crowd.call("PrescriptionService/GetPrescriptionLine", pb.GetPrescriptionLineRequest(**of)).prescription_line
    review = reviews_pb2.ReviewPrescriptionLineRequest(**of, review=pb.LineReview(outcome=1))
    options: dict[str, Any] = {"trips": 1, "lines": 1, "acr": 2}
    line = ask(
        "ReviewService/ReviewPrescriptionLine", review, as_="pharmacist", if_match=line.etag, **options
    ).prescription_line
    proposed = pb.LineReview(outcome=2, problem=4, intervention=7, text="Trop")
    line = ask(
        "ReviewService/ReviewPrescriptionLine",
        reviews_pb2.ReviewPrescriptionLineRequest(**of, review=proposed),
        as_="pharmacist",
        if_match=line.etag,
        **options,
    ).prescription_line
    answer = reviews_pb2.AnswerLineReviewRequest(**of, text="Toléré")
    line = ask("ReviewService/AnswerLineReview", answer, if_match=line.etag, **options).prescription_line
    for verb, request in (
        ("Suspend", pb.SuspendPrescriptionLineRequest(**of, reason=7)),
        ("Resume", pb.ResumePrescriptionLineRequest(**of)),
        ("Stop", pb.StopPrescriptionLineRequest(**of, reason=1)),
    ):
        operation = f"PrescriptionService/{verb}PrescriptionLine"
        # Who gives a line again has it checked against the treatment, as a new one.
        cost = options | ({"trips": 5, "lines": PAGE} if verb == "Resume" else {})
        line = ask(operation, request, if_match=line.etag, **cost).prescription_line


def test_drafts_that_expired_are_deleted_batch_after_batch_by_an_index(crowd: World) -> None:
    crowd.harness.admin(
        "UPDATE prescription_draft SET expires_at = now() - interval '1 hour' WHERE version = 1 AND random() < 0.1"
    )
    with watched(crowd.harness) as trips, transaction(crowd.harness.engine, "medication", crowd.tenant) as call:
        assert delete_expired(call) == BATCH
    [statement] = [one for trip in trips for one in trip if "prescription_draft" in one]
    plan = plan_of(crowd.harness, crowd.tenant, statement)
    conditions = re.findall(r"Index Cond: (.*)", plan)
    assert len(conditions) == 2, plan
    assert all("expires_at <= " in one or "prescription_id = ANY" in one for one in conditions), plan
    assert "Seq Scan" not in plan, plan
