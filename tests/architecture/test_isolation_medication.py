"""Association B gets nothing of association A out of medication: every RPC, every table. The same calls by A succeed. What is
reference data is the same for both, and neither can change it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from dui.access.v1 import facts_pb2 as facts
from dui.medication.v1 import catalogue_pb2 as catalogue
from dui.medication.v1 import interactions_pb2 as interactions
from dui.medication.v1 import prescriptions_pb2 as prescriptions
from dui.medication.v1 import reconciliations_pb2 as reconciliations
from dui.medication.v1 import reviews_pb2 as reviews
from dui.medication.v1 import treatment_plans_pb2 as plans
from dui.medication.v1 import treatment_snapshots_pb2 as snapshots
from dui_kit.testing import CallFailed, Harness, create_database, postgres_server
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from isolation import defects, fill, reach_in, rows_of, service_of, tenant_tables, told_for
from rest import Rest, rest_of

os.environ.setdefault("DUI_SEALING_KEY", "11" * 32)

from dui_medication.app import build
from dui_medication.people.remote import RemotePeople
from dui_medication.testing import KnownPeople, World, inform, load, order, today

SERVICE = "dui.medication.v1."
REFERENCE = ("catalogue_edition", "specialty", "specialty_word", "presentation")
SECRET = "Zwxqvkj"  # a text that no other holds
PARACETAMOL = "99000001"


class Keeping(KnownPeople):
    """Keeps what the record said, as the way to records does."""

    keep = RemotePeople.keep  # type: ignore[assignment] # it asks nothing of its own object


@pytest.fixture(scope="module")
def signing_key(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The key that seals prescriptions."""
    file = tmp_path_factory.mktemp("secrets") / "prescription-signing.pem"
    key = Ed25519PrivateKey.generate()
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DUI_PRESCRIPTION_SIGNING_KEY_FILE", str(file))
        yield file


@pytest.fixture(scope="module")
def harness(signing_key: Path) -> Iterator[Harness]:
    del signing_key
    with postgres_server() as url:
        found = Harness(build(Keeping()), create_database(url, "medication"))
        load(found)
        inform(found, datetime.now(UTC).date() - timedelta(days=30))
        yield found
        found.close()


@pytest.fixture(scope="module")
def rest(harness: Harness) -> Iterator[Rest]:
    with rest_of(harness) as found:
        yield found


def home(harness: Harness) -> World:
    return World(harness, now=datetime.now(UTC) - timedelta(minutes=5))


#: Reference data: both associations read the same, and a page of one is no page of the other.
OF_ALL: dict[str, Message] = {
    "CatalogueService/SearchSpecialties": catalogue.SearchSpecialtiesRequest(text="fictif", page_size=5),
    "CatalogueService/GetSpecialty": catalogue.GetSpecialtyRequest(cis="99000001"),
    "CatalogueService/GetPresentation": catalogue.GetPresentationRequest(cip13="3400990000108"),
    "CatalogueService/ListCatalogueEditions": catalogue.ListCatalogueEditionsRequest(),
    "InteractionService/CheckInteractions": interactions.CheckInteractionsRequest(
        lines=[
            interactions.CheckedLine(reference="a", cis="99000001", origin=interactions.LINE_ORIGIN_EXISTING),
            interactions.CheckedLine(reference="b", cis="99000002", origin=interactions.LINE_ORIGIN_NEW),
        ]
    ),
    "InteractionService/GetInteractionKnowledge": interactions.GetInteractionKnowledgeRequest(),
    "CatalogueService/ListCatalogueChanges": catalogue.ListCatalogueChangesRequest(edition=1, page_size=5),
}


@dataclass(frozen=True)
class Case:
    """A request with ids of A, and what is needed to send it."""

    request: Message
    as_: str = "doctor"
    if_match: str = ""


class Ward(World):
    """An association with one person who has a treatment."""

    def __init__(self, harness: Harness) -> None:
        super().__init__(harness, now=datetime.now(UTC) - timedelta(minutes=5))
        self.ids = {self.person, self.second, self.home, self.other_home, *self.accounts.values()}

    def order(self, **more: Any) -> prescriptions.LineOrder:
        return order(PARACETAMOL, "08:00", indication=SECRET, **more)

    def begun(self) -> Any:
        draft = self.draft(self.order())
        self.ids.add(draft.prescription_id)
        return draft

    def signed(self) -> Any:
        signed = self.prescribe(self.order())
        self.ids |= {signed.prescription_id, *signed.line_ids}
        return signed

    def line(self) -> Any:
        request = prescriptions.GetPrescriptionLineRequest(
            beneficiary_id=self.person, prescription_line_id=self.signed().line_ids[0]
        )
        return self.call("PrescriptionService/GetPrescriptionLine", request).prescription_line

    def suspended(self) -> Any:
        line = self.line()
        request = prescriptions.SuspendPrescriptionLineRequest(
            beneficiary_id=self.person, prescription_line_id=line.prescription_line_id, reason=7
        )
        options = {"acr": 2, "if_match": line.etag}
        return self.call("PrescriptionService/SuspendPrescriptionLine", request, **options).prescription_line

    def proposed(self) -> Any:
        """A line that a pharmacist would change."""
        line = self.line()
        said = prescriptions.LineReview(outcome=2, problem=4, intervention=7, text=SECRET)
        request = reviews.ReviewPrescriptionLineRequest(
            beneficiary_id=self.person, prescription_line_id=line.prescription_line_id, review=said
        )
        options = {"as_": "pharmacist", "if_match": line.etag}
        return self.call("ReviewService/ReviewPrescriptionLine", request, **options).prescription_line

    def reconciled(self) -> Any:
        """A reconciliation with one divergence."""
        content = reconciliations.Reconciliation(
            facility_id=self.home,
            transition=reconciliations.TRANSITION_ENTRY,
            sources=[reconciliations.TAKEN_SOURCE_PERSON],
            taken=[reconciliations.TakenMedicine(label=SECRET)],
        )
        request = reconciliations.CreateReconciliationRequest(beneficiary_id=self.person, reconciliation=content)
        made = self.call("ReconciliationService/CreateReconciliation", request).reconciliation
        self.ids.add(made.reconciliation_id)
        return made

    def decided(self) -> Any:
        """One of which every divergence is decided."""
        case = _decide(self)
        return _send(self, "ReconciliationService/DecideReconciliationItem", case).reconciliation

    def merged(self) -> list[str]:
        """The lines of two records that became one."""
        other = self.prescribe(order("99000010"), person=self.second).line_ids
        own = self.signed().line_ids
        fact = facts.PersonChanged(beneficiary_id=self.second, version=2, surviving_id=self.person)
        self.harness.facts(self.tenant, [fact])
        return [*other, *own]


def _content(ward: Ward) -> prescriptions.Prescription:
    return prescriptions.Prescription(facility_id=ward.home, orders=[ward.order()])


def _person(kind: type[Message], **more: Any) -> Callable[[Ward], Case]:
    """What is asked of a person who has a treatment."""
    return lambda ward: (ward.signed(), Case(kind(beneficiary_id=ward.person, **more)))[1]


def _of_signed(kind: type[Message]) -> Callable[[Ward], Case]:
    return lambda ward: Case(kind(beneficiary_id=ward.person, prescription_id=ward.signed().prescription_id))


def _of_draft(kind: type[Message], **more: Any) -> Callable[[Ward], Case]:
    def case(ward: Ward) -> Case:
        draft = ward.begun()
        request = kind(beneficiary_id=ward.person, prescription_id=draft.prescription_id, **more)
        return Case(request, if_match=draft.etag)

    return case


def _of_line(
    kind: type[Message], *, as_: str = "doctor", suspended: bool = False, **more: Any
) -> Callable[[Ward], Case]:
    def case(ward: Ward) -> Case:
        line = ward.suspended() if suspended else ward.line()
        request = kind(beneficiary_id=ward.person, prescription_line_id=line.prescription_line_id, **more)
        return Case(request, as_, line.etag)

    return case


def _of_reconciliation(kind: type[Message], made: Any, **more: Any) -> Case:
    request = kind(beneficiary_id=made.beneficiary_id, reconciliation_id=made.reconciliation_id, **more)
    return Case(request, if_match=made.etag)


def _decide(ward: Ward) -> Case:
    made = ward.reconciled()
    return _of_reconciliation(
        reconciliations.DecideReconciliationItemRequest,
        made,
        item_key=made.items[0].item_key,
        decision=reconciliations.RECONCILIATION_DECISION_STOP,
        divergence=reconciliations.DIVERGENCE_INTENTIONAL_DOCUMENTED,
        text=SECRET,
    )


def _answer(ward: Ward) -> Case:
    line = ward.proposed()
    request = reviews.AnswerLineReviewRequest(
        beneficiary_id=ward.person, prescription_line_id=line.prescription_line_id, text=SECRET
    )
    return Case(request, if_match=line.etag)


def _list(facility_id: str, work: int) -> Case:
    return Case(reviews.ListFacilityLinesRequest(facility_id=facility_id, work=work), as_="pharmacist")


#: What services ask about a person.
OF_A_SERVICE: dict[str, Callable[[Ward], Message]] = {
    "TreatmentSnapshotService/GetTreatmentSnapshot": lambda ward: snapshots.GetTreatmentSnapshotRequest(
        tenant_id=ward.tenant, beneficiary_id=ward.person
    ),
}
#: What is somebody's treatment.
OF_ONE: dict[str, Callable[[Ward], Case]] = {
    "PrescriptionService/CheckPrescription": lambda ward: Case(
        prescriptions.CheckPrescriptionRequest(beneficiary_id=ward.person, prescription=_content(ward))
    ),
    "PrescriptionService/CreatePrescription": lambda ward: Case(
        prescriptions.CreatePrescriptionRequest(beneficiary_id=ward.person, prescription=_content(ward))
    ),
    "PrescriptionService/GetPrescription": _of_signed(prescriptions.GetPrescriptionRequest),
    "PrescriptionService/ListPrescriptions": _person(prescriptions.ListPrescriptionsRequest),
    "PrescriptionService/UpdatePrescription": _of_draft(
        prescriptions.UpdatePrescriptionRequest,
        prescription=prescriptions.Prescription(weight_kg="60", weighed_on="2026-01-02"),
        update_mask=FieldMask(paths=["weight_kg", "weighed_on"]),
    ),
    "PrescriptionService/DeletePrescription": _of_draft(prescriptions.DeletePrescriptionRequest),
    "PrescriptionService/SignPrescription": _of_draft(prescriptions.SignPrescriptionRequest),
    "PrescriptionService/VerifyPrescription": _of_signed(prescriptions.VerifyPrescriptionRequest),
    "PrescriptionService/GetPrescriptionDocument": _of_signed(prescriptions.GetPrescriptionDocumentRequest),
    "PrescriptionService/GetPrescriptionLine": _of_line(prescriptions.GetPrescriptionLineRequest),
    "PrescriptionService/ListPrescriptionLines": _person(prescriptions.ListPrescriptionLinesRequest),
    "PrescriptionService/ListPrescriptionLineVersions": _of_line(prescriptions.ListPrescriptionLineVersionsRequest),
    "PrescriptionService/StopPrescriptionLine": _of_line(prescriptions.StopPrescriptionLineRequest, reason=1),
    "PrescriptionService/SuspendPrescriptionLine": _of_line(prescriptions.SuspendPrescriptionLineRequest, reason=7),
    "PrescriptionService/ResumePrescriptionLine": _of_line(prescriptions.ResumePrescriptionLineRequest, suspended=True),
    "TreatmentPlanService/GetTreatmentPlan": _person(plans.GetTreatmentPlanRequest),
    "TreatmentPlanService/ConfirmTreatmentPlan": lambda ward: Case(
        plans.ConfirmTreatmentPlanRequest(beneficiary_id=ward.person, line_ids=ward.merged())
    ),
    # Of days to come: at noon, nothing at eight is due any more of what was signed just now.
    "TreatmentPlanService/ListDueDoses": _person(plans.ListDueDosesRequest, to_on=today(2).isoformat()),
    "ReviewService/ReviewPrescriptionLine": _of_line(
        reviews.ReviewPrescriptionLineRequest, as_="pharmacist", review=prescriptions.LineReview(outcome=1)
    ),
    "ReviewService/AnswerLineReview": lambda ward: _answer(ward),
    "ReviewService/ListFacilityLines": lambda ward: (ward.signed(), _list(ward.home, reviews.LINE_WORK_TO_REVIEW))[1],
    "ReconciliationService/CreateReconciliation": lambda ward: Case(
        reconciliations.CreateReconciliationRequest(
            beneficiary_id=ward.person,
            reconciliation=reconciliations.Reconciliation(
                facility_id=ward.home, transition=reconciliations.TRANSITION_EXIT
            ),
        )
    ),
    "ReconciliationService/GetReconciliation": lambda ward: _of_reconciliation(
        reconciliations.GetReconciliationRequest, ward.reconciled()
    ),
    "ReconciliationService/ListReconciliations": lambda ward: Case(
        reconciliations.ListReconciliationsRequest(beneficiary_id=ward.reconciled().beneficiary_id)
    ),
    "ReconciliationService/UpdateReconciliation": lambda ward: _of_reconciliation(
        reconciliations.UpdateReconciliationRequest,
        ward.reconciled(),
        reconciliation=reconciliations.Reconciliation(comment="autre"),
        update_mask=FieldMask(paths=["comment"]),
    ),
    "ReconciliationService/DecideReconciliationItem": _decide,
    "ReconciliationService/CloseReconciliation": lambda ward: _of_reconciliation(
        reconciliations.CloseReconciliationRequest, ward.decided()
    ),
    "ReconciliationService/ListReconciliationVersions": lambda ward: _of_reconciliation(
        reconciliations.ListReconciliationVersionsRequest, ward.reconciled()
    ),
}
#: Of which B, about a person of its own, is told nothing of A, for nothing else in them names anything of A.
ABOUT_THE_PERSON_ALONE = {
    "PrescriptionService/ListPrescriptions",
    "PrescriptionService/ListPrescriptionLines",
    "TreatmentPlanService/GetTreatmentPlan",
    "TreatmentPlanService/ListDueDoses",
    "ReconciliationService/ListReconciliations",
}
#: What they answer with names nothing.
WITHOUT_IDS = {
    "PrescriptionService/CheckPrescription",
    "PrescriptionService/DeletePrescription",
    "PrescriptionService/GetPrescriptionDocument",
}


def test_every_rpc_has_a_case() -> None:
    cases = OF_ALL.keys() | OF_ONE.keys() | OF_A_SERVICE.keys()
    assert {name.removeprefix(SERVICE) for name in build().methods()} == cases


@pytest.mark.parametrize("operation", OF_A_SERVICE)
def test_what_a_service_asks_about_a_person_is_of_their_association_alone(harness: Harness, operation: str) -> None:
    ward, stranger = Ward(harness), Ward(harness)
    line = ward.line()
    request, rule = OF_A_SERVICE[operation](ward), build().methods()[SERVICE + operation].rule
    before = rows_of(harness, ward.tenant)
    told = told_for(harness, rule, request, stranger.tenant)
    assert not {found for found in ward.ids | {SECRET} if found in told}
    assert rows_of(harness, ward.tenant) == before
    assert line.prescription_line_id in str(harness.call(SERVICE + operation, request, service=service_of(rule)))


def _send(world: World, operation: str, case: Case) -> Any:
    return world.call(operation, case.request, as_=case.as_, if_match=case.if_match, acr=2)


@pytest.mark.parametrize("operation", sorted(OF_ONE))
def test_an_rpc_gives_another_association_nothing_and_its_own_what_it_asks(
    harness: Harness, rest: Rest, operation: str
) -> None:
    ward, stranger = Ward(harness), Ward(harness)
    case = OF_ONE[operation](ward)
    before = rows_of(harness, ward.tenant)
    with pytest.raises(CallFailed) as refused:
        _send(stranger, operation, case)
    assert refused.value.reason in {"NOT_FOUND", "NOT_ASSIGNED"}
    assert rows_of(harness, ward.tenant) == before
    # The same on the way that people take.
    asked = {"rpc": SERVICE + operation, "request": case.request, "subject": case.as_, "if_match": case.if_match}
    foreign = rest.send(**asked, tenant_id=stranger.tenant)
    assert foreign.status_code in {403, 404}
    assert not {found for found in ward.ids | {SECRET} if found in foreign.text}
    assert rows_of(harness, ward.tenant) == before
    own = rest.send(**asked, tenant_id=ward.tenant)
    assert own.status_code in {200, 201}, own.text
    # What was kept from B is there to be told.
    assert operation in WITHOUT_IDS or {found for found in ward.ids if found in own.text}


@pytest.mark.parametrize("operation", sorted(name for name in OF_ONE if not name.endswith("ListFacilityLines")))
def test_a_person_of_ones_own_opens_nothing_of_another_association(harness: Harness, operation: str) -> None:
    """B names its own person, whom it may reach, and beside them ids of A: a prescription, a line, a facility."""
    ward, stranger = Ward(harness), Ward(harness)
    if operation.endswith("ConfirmTreatmentPlan"):
        stranger.merged()
    case = OF_ONE[operation](ward)
    case.request.beneficiary_id = stranger.person  # type: ignore[attr-defined] # of these requests it is
    before, own = rows_of(harness, ward.tenant), rows_of(harness, stranger.tenant)
    if operation in ABOUT_THE_PERSON_ALONE:
        told = str(_send(stranger, operation, case))
        assert not {found for found in ward.ids | {SECRET} if found in told}
    else:
        with pytest.raises(CallFailed) as refused:
            _send(stranger, operation, case)
        assert refused.value.reason in {"NOT_FOUND", "PLACE_UNKNOWN", "PLAN_CHANGED"}
        left = {table for table, rows in rows_of(harness, stranger.tenant).items() if rows != own[table]}
        assert left <= {"journal_outbox"}
    assert rows_of(harness, ward.tenant) == before


@pytest.mark.parametrize("work", [value for name, value in reviews.LineWork.items() if value])
def test_each_list_of_a_facility_is_of_its_association_alone(harness: Harness, work: int) -> None:
    ward, stranger = Ward(harness), Ward(harness)
    for each in (ward, stranger):
        each.prescribe(each.order(ends_on=today(2).isoformat()))
        each.proposed()
    own = _send(stranger, "ReviewService/ListFacilityLines", _list(stranger.home, work)).prescription_lines
    assert {line.beneficiary_id for line in own} == {stranger.person}
    with pytest.raises(CallFailed):
        _send(stranger, "ReviewService/ListFacilityLines", _list(ward.home, work))


def test_an_order_names_nothing_of_another_association(harness: Harness) -> None:
    """The facility that gives a medicine, and the line that it replaces, stand inside of a draft."""
    ward, stranger = Ward(harness), Ward(harness)
    line = ward.line()
    before = rows_of(harness, ward.tenant)
    for foreign in ({"facility_id": ward.home}, {"replaces_line_id": line.prescription_line_id}):
        with pytest.raises(CallFailed) as refused:
            stranger.prescribe(order(PARACETAMOL, **foreign))
        assert refused.value.reason in {"FACILITY_NOT_FOLLOWING", "LINE_ENDED"}
        assert SECRET not in refused.value.message
    assert rows_of(harness, ward.tenant) == before


def test_a_page_of_a_treatment_is_no_page_of_another_association(harness: Harness) -> None:
    ward, stranger = Ward(harness), Ward(harness)
    for each in (ward, ward, stranger, stranger):
        each.signed()
    request = prescriptions.ListPrescriptionLinesRequest(beneficiary_id=ward.person, page_size=1)
    token = ward.call("PrescriptionService/ListPrescriptionLines", request).next_page_token
    foreign = prescriptions.ListPrescriptionLinesRequest(beneficiary_id=stranger.person, page_size=1, page_token=token)
    with pytest.raises(CallFailed, match="PAGE_TOKEN_INVALID"):
        stranger.call("PrescriptionService/ListPrescriptionLines", foreign)


def test_an_identity_strip_opens_for_its_association_and_person_alone(harness: Harness) -> None:
    """Were a row to end up in another association, it would stay sealed."""
    ward, stranger = Ward(harness), Ward(harness)
    ward.signed()
    [(sealed,)] = harness.admin("SELECT sealed FROM identity_strip WHERE tenant_id = %s", (ward.tenant,))
    assert b"Garnier" not in bytes(sealed)
    seals = harness.toolbox.seals
    assert b"Garnier" in seals.open(bytes(sealed), f"identity_strip|{ward.tenant}|{ward.person}".encode())
    for tenant, person in ((stranger.tenant, ward.person), (ward.tenant, ward.second)):
        with pytest.raises(InvalidTag):
            seals.open(bytes(sealed), f"identity_strip|{tenant}|{person}".encode())


def _without_token(reply: Message) -> Message:
    if "next_page_token" in reply.DESCRIPTOR.fields_by_name:
        reply.ClearField("next_page_token")
    return reply


@pytest.mark.parametrize("operation", sorted(OF_ALL))
def test_both_associations_read_the_same_and_change_nothing(harness: Harness, operation: str) -> None:
    one, other = home(harness), home(harness)
    before = rows_of(harness, other.tenant)
    replies = [_without_token(each.call(operation, OF_ALL[operation])) for each in (one, other)]
    assert replies[0] == replies[1]
    assert replies[0].ByteSize() > 0
    assert rows_of(harness, other.tenant) == before


def test_a_page_of_one_association_is_no_page_of_another(harness: Harness) -> None:
    one, other = home(harness), home(harness)
    request = catalogue.SearchSpecialtiesRequest(text="fictif", page_size=5)
    request.page_token = one.call("CatalogueService/SearchSpecialties", request).next_page_token
    assert one.call("CatalogueService/SearchSpecialties", request).matches
    with pytest.raises(Exception, match="PAGE_TOKEN_INVALID"):
        other.call("CatalogueService/SearchSpecialties", request)


def test_every_table_is_closed_to_another_association(harness: Harness) -> None:
    ward, stranger = Ward(harness), Ward(harness)
    _send(ward, "TreatmentPlanService/ConfirmTreatmentPlan", OF_ONE["TreatmentPlanService/ConfirmTreatmentPlan"](ward))
    ward.begun()
    own = {table for table, (count, _) in rows_of(harness, ward.tenant).items() if count}
    assert own >= {
        "prescription_draft",
        "prescription",
        "prescription_line",
        "signed_act",
        "plan_confirmation",
        "identity_strip",
    }
    # What these calls do not fill is filled by other parts: the worker, break-glass, keys.
    fill(harness, ward.tenant, {})
    tried = {table for table, (count, _) in rows_of(harness, ward.tenant).items() if count}
    reached = [what for table in tried for what in reach_in(harness, table, of=ward.tenant, as_tenant=stranger.tenant)]
    assert reached == []
    assert tried == set(tenant_tables(harness))
    # The same attempts succeed for the association itself: the check can fail.
    assert reach_in(harness, "prescription_line", of=ward.tenant, as_tenant=ward.tenant)


@pytest.mark.parametrize("table", ["prescription", "signed_act", "plan_confirmation"])
def test_an_association_itself_can_neither_change_nor_delete_what_was_signed(harness: Harness, table: str) -> None:
    ward = Ward(harness)
    _send(ward, "TreatmentPlanService/ConfirmTreatmentPlan", OF_ONE["TreatmentPlanService/ConfirmTreatmentPlan"](ward))
    done = reach_in(harness, table, of=ward.tenant, as_tenant=ward.tenant)
    assert set(done) == {f"reads {table}", f"writes {table}"}


@pytest.mark.parametrize("table", REFERENCE)
def test_the_service_cannot_write_what_every_association_reads(harness: Harness, table: str) -> None:
    with psycopg.connect(harness.database.app_url) as connection:
        [(there,)] = connection.execute(f"SELECT count(*) FROM reference.{table}").fetchall()  # noqa: S608
        assert there > 0
        for statement in (f"DELETE FROM reference.{table}", f"INSERT INTO reference.{table} DEFAULT VALUES"):  # noqa: S608
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)
            connection.rollback()


@pytest.mark.parametrize(
    ("sabotage", "reported"),
    [
        ("GRANT UPDATE ON reference.specialty TO {app}", "reference.specialty: somebody may write"),
        ("GRANT SELECT ON reference.specialty TO PUBLIC", "reference.specialty: somebody may write"),
        ("ALTER TABLE reference.presentation ADD COLUMN tenant_id uuid", "reference.presentation: reference data"),
        ("DROP POLICY prescription_tenant ON prescription", "prescription: no policy"),
        (
            "ALTER TABLE prescription_line NO FORCE ROW LEVEL SECURITY",
            "prescription_line: row-level security is not forced",
        ),
        ("ALTER TABLE identity_strip DISABLE ROW LEVEL SECURITY", "identity_strip: no row-level security"),
        ("CREATE POLICY open ON signed_act USING (true)", "signed_act: no policy"),
        ("CREATE UNIQUE INDEX leak ON prescription_line (replaces_line_id)", "leak: a key that leaves tenant_id out"),
    ],
)
def test_the_database_is_closed_and_opening_one_table_shows(sabotage: str, reported: str) -> None:
    with postgres_server() as url:
        throwaway = Harness(build(), create_database(url, "medication"))
        assert defects(throwaway) == []
        app = throwaway.database.app_url.split("//")[1].split(":")[0]
        throwaway.admin(sabotage.format(app=app))
        found = defects(throwaway)
        throwaway.close()
    assert any(defect.startswith(reported) for defect in found), found
