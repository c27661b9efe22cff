"""Reconciling, as a nurse begins it and a doctor ends it: at entry, back from hospital, and what may not be done."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from dui.access.v1 import facts_pb2
from dui.medication.v1 import prescriptions_pb2
from dui.medication.v1 import reconciliations_pb2 as pb
from dui.medication.v1.events_pb2 import ReconciliationChanged
from dui_kit.ids import new_id
from dui_kit.testing import CallFailed
from dui_kit.testing_plans import check_plans, watched
from dui_medication.testing import World, announced, order, today
from google.protobuf.field_mask_pb2 import FieldMask

SERVICE = "ReconciliationService"
#: Of the fictive formulary.
PARACETAMOL, RAMIPRIL, RAMIPRIL_GENERIC, ATORVASTATIN = "99000001", "99000010", "99000011", "99000016"
TRAMADOL, WARFARIN = "99000004", "99000021"
#: `order(cis)` and `order(cis, "08:00", "20:00")` in the words of somebody who copies the plan.
ONCE, TWICE = "1 comprimé à 8 h, sans date de fin", "1 Comprimé à 8 h et 20 h,  sans date de fin."
LETTER, PHARMACY, BOXES = pb.TAKEN_SOURCE_DISCHARGE_LETTER, pb.TAKEN_SOURCE_PHARMACY, pb.TAKEN_SOURCE_BOXES
KEPT, CONTINUED = pb.RECONCILIATION_DECISION_KEEP_AS_PLANNED, pb.RECONCILIATION_DECISION_CONTINUE
SAME, DIFFERENT = pb.RECONCILIATION_ITEM_KIND_SAME, pb.RECONCILIATION_ITEM_KIND_DIFFERENT_POSOLOGY
SUBSTITUTED, OMITTED = pb.RECONCILIATION_ITEM_KIND_SUBSTITUTED, pb.RECONCILIATION_ITEM_KIND_OMITTED
ADDED, UNKNOWN = pb.RECONCILIATION_ITEM_KIND_ADDED, pb.RECONCILIATION_ITEM_KIND_UNKNOWN


def taken(label: str, cis: str = "", posology: str = "", *sources: pb.TakenSource.ValueType) -> pb.TakenMedicine:
    return pb.TakenMedicine(label=label, cis=cis or None, posology_text=posology or None, sources=sources)


def begin(ward: World, *medicines: pb.TakenMedicine, person: str = "", **more: Any) -> pb.Reconciliation:
    """By the nurse, at the return of the person, from a letter and the pharmacy, unless told."""
    as_ = more.pop("as_", "nurse")
    more = {
        "facility_id": ward.home,
        "transition": pb.TRANSITION_RETURN,
        "sources": [LETTER, PHARMACY],
        "taken": medicines,
    } | more
    request = pb.CreateReconciliationRequest(
        beneficiary_id=person or ward.person, reconciliation=pb.Reconciliation(**more)
    )
    made: pb.Reconciliation = ward.call(f"{SERVICE}/CreateReconciliation", request, as_=as_).reconciliation
    return made


def read(ward: World, made: pb.Reconciliation, *, person: str = "", **options: Any) -> pb.Reconciliation:
    request = pb.GetReconciliationRequest(
        beneficiary_id=person or made.beneficiary_id, reconciliation_id=made.reconciliation_id
    )
    found: pb.Reconciliation = ward.call(f"{SERVICE}/GetReconciliation", request, **options).reconciliation
    return found


def change(ward: World, made: pb.Reconciliation, **more: Any) -> pb.Reconciliation:
    """Changes the fields named."""
    options = {"as_": more.pop("as_", "nurse"), "if_match": more.pop("if_match", made.etag)}
    request = pb.UpdateReconciliationRequest(
        beneficiary_id=made.beneficiary_id,
        reconciliation_id=made.reconciliation_id,
        reconciliation=pb.Reconciliation(**more),
        update_mask=FieldMask(paths=list(more)),
    )
    found: pb.Reconciliation = ward.call(f"{SERVICE}/UpdateReconciliation", request, **options).reconciliation
    return found


def decide(
    ward: World,
    made: pb.Reconciliation,
    item: pb.ReconciliationItem | str,
    decision: pb.ReconciliationDecision.ValueType,
    divergence: pb.Divergence.ValueType = pb.DIVERGENCE_INTENTIONAL_DOCUMENTED,
    text: str = "lettre de liaison du service de cardiologie",
    **options: Any,
) -> pb.Reconciliation:
    request = pb.DecideReconciliationItemRequest(
        beneficiary_id=options.pop("person", made.beneficiary_id),
        reconciliation_id=made.reconciliation_id,
        item_key=item if isinstance(item, str) else item.item_key,
        decision=decision,
        divergence=divergence,
        text=text,
    )
    options = {"if_match": made.etag} | options
    found: pb.Reconciliation = ward.call(f"{SERVICE}/DecideReconciliationItem", request, **options).reconciliation
    return found


def close(ward: World, made: pb.Reconciliation, **options: Any) -> pb.Reconciliation:
    request = pb.CloseReconciliationRequest(
        beneficiary_id=made.beneficiary_id, reconciliation_id=made.reconciliation_id
    )
    options = {"if_match": made.etag} | options
    found: pb.Reconciliation = ward.call(f"{SERVICE}/CloseReconciliation", request, **options).reconciliation
    return found


def by_label(found: pb.Reconciliation) -> dict[str, pb.ReconciliationItem]:
    return {item.taken.label or item.planned_label: item for item in found.items}


def kinds(found: pb.Reconciliation) -> list[tuple[str, int]]:
    return sorted((item.taken.label or "plan", int(item.kind)) for item in found.items)


def refused(call: Any, *arguments: Any, **options: Any) -> CallFailed:
    with pytest.raises(CallFailed) as failure:
        call(*arguments, **options)
    return failure.value


# ------------------------------------------------------------------------------------------------------------ journeys


def test_at_entry_what_three_sources_tell_is_compared_and_closed(ward: World) -> None:
    signed = ward.prescribe(order(PARACETAMOL, "08:00", "20:00"))
    begun = begin(
        ward,
        taken("DOLIPRANE", PARACETAMOL, TWICE, BOXES, PHARMACY),
        transition=pb.TRANSITION_ENTRY,
        sources=[pb.TAKEN_SOURCE_PERSON],
    )
    assert (begun.status, begun.transition, begun.few_sources) == (
        pb.RECONCILIATION_STATUS_OPEN,
        pb.TRANSITION_ENTRY,
        False,
    )
    [item] = begun.items
    assert item.kind == SAME
    assert item.prescription_line_id == signed.line_ids[0]
    assert item.planned_label.startswith("PARACÉTAMOL 500 mg")
    assert item.planned_posology_text == "1\u00a0comprimé à 8\u00a0h et 20\u00a0h, sans date de fin"
    assert item.planned_starts_on == today().isoformat()
    assert item.planned_status == prescriptions_pb2.LINE_STATUS_ACTIVE
    assert item.taken_specialty_name == "PARACÉTAMOL FICTIF 500 mg, comprimé"
    assert not item.accepted_decisions
    assert begun.undecided == 0
    closed = close(ward, begun)
    assert closed.status == pb.RECONCILIATION_STATUS_CLOSED
    assert closed.HasField("closed_at")
    assert read(ward, begun, as_="nurse") == closed


def test_back_from_hospital_each_divergence_is_decided_and_what_the_plan_lacks_is_told(ward: World) -> None:
    ward.prescribe(order(PARACETAMOL, "08:00", "20:00"), order(RAMIPRIL))
    begun = begin(
        ward,
        taken("PARACETAMOL", PARACETAMOL, TWICE),
        taken("RAMIPRIL", RAMIPRIL, "2 comprimés à 8 h"),
        taken("ATORVASTATINE", ATORVASTATIN, "1 le soir", LETTER),
        taken("gouttes pour les yeux"),
    )
    assert kinds(begun) == [
        ("ATORVASTATINE", OMITTED),
        ("PARACETAMOL", SAME),
        ("RAMIPRIL", DIFFERENT),
        ("gouttes pour les yeux", UNKNOWN),
    ]
    assert begun.items[-1].kind == SAME  # what diverges comes first
    assert begun.undecided == 3
    early = refused(close, ward, begun)
    assert set(early.reasons) == {"RECONCILIATION_UNDECIDED"}
    assert early.fields == ["items[0].decision", "items[1].decision", "items[2].decision"]

    found = by_label(begun)
    one = decide(ward, begun, found["ATORVASTATINE"], CONTINUED, pb.DIVERGENCE_UNINTENTIONAL, " oubli à l'admission ")
    done = by_label(one)["ATORVASTATINE"]
    assert (done.decision, done.divergence, done.decision_text) == (
        CONTINUED,
        pb.DIVERGENCE_UNINTENTIONAL,
        "oubli à l'admission",
    )
    assert done.decided_by_account_id == ward.accounts["doctor"]
    assert (done.changes_plan, one.undecided) == (True, 2)
    places = [number for number, item in enumerate(one.items) if item.kind != SAME and not item.decision]
    assert refused(close, ward, one).fields == [f"items[{number}].decision" for number in places]
    # Somebody else thinks again: a decision of an open reconciliation can be another one.
    two = decide(ward, one, found["ATORVASTATINE"], pb.RECONCILIATION_DECISION_NOT_RESUMED, as_="colleague")
    assert by_label(two)["ATORVASTATINE"].decided_by_account_id == ward.accounts["colleague"]
    assert not by_label(two)["ATORVASTATINE"].changes_plan
    three = decide(ward, two, found["ATORVASTATINE"], CONTINUED, pb.DIVERGENCE_UNINTENTIONAL, "oubli à l'admission")
    four = decide(ward, three, found["RAMIPRIL"], KEPT, pb.DIVERGENCE_INTENTIONAL_UNDOCUMENTED)
    five = decide(ward, four, found["gouttes pour les yeux"], pb.RECONCILIATION_DECISION_STOP)
    closed = close(ward, five)
    assert {label: item.changes_plan for label, item in by_label(closed).items()} == {
        "ATORVASTATINE": True,
        "RAMIPRIL": False,
        "gouttes pour les yeux": False,
        "PARACETAMOL": False,
    }
    told = announced(ward.harness, ward.tenant, ReconciliationChanged)
    assert [(each.version, each.status, each.divergences, each.unintentional) for each in told] == [
        (1, 1, 3, 0),
        (2, 1, 3, 1),
        (3, 1, 3, 0),
        (4, 1, 3, 1),
        (5, 1, 3, 1),
        (6, 1, 3, 1),
        (7, 2, 3, 1),
    ]
    assert {(each.facility_id, each.transition, each.beneficiary_id) for each in told} == {(ward.home, 3, ward.person)}
    assert "oubli" not in str(told)
    assert "ATORVA" not in str(told)


def test_every_version_is_kept_and_the_list_begins_with_the_newest(ward: World) -> None:
    first, second, third = (begin(ward, transition=each) for each in (1, 2, 3))
    begin(ward, person=ward.second)
    changed = change(ward, second, comment=" appel de la pharmacie ")
    assert changed.comment == "appel de la pharmacie"
    request = pb.ListReconciliationsRequest(beneficiary_id=ward.person, page_size=2)
    one = ward.call(f"{SERVICE}/ListReconciliations", request, as_="pharmacist")
    assert list(one.reconciliations) == [third, changed]
    request.page_token = one.next_page_token
    two = ward.call(f"{SERVICE}/ListReconciliations", request, as_="pharmacist")
    assert list(two.reconciliations) == [first]
    assert not two.next_page_token
    asked = pb.ListReconciliationVersionsRequest(beneficiary_id=ward.person, reconciliation_id=second.reconciliation_id)
    versions = ward.call(f"{SERVICE}/ListReconciliationVersions", asked).versions
    assert [(each.version.version, each.comment) for each in versions] == [(2, "appel de la pharmacie"), (1, "")]
    assert {each.version.author_account_id for each in versions} == {ward.accounts["nurse"]}


# ----------------------------------------------------------------------------------------------------------- comparing


def test_a_generic_is_the_same_substance_in_another_box_and_the_plan_may_add(ward: World) -> None:
    ward.prescribe(order(RAMIPRIL), order(WARFARIN, ends_on=today(30).isoformat()))
    found = begin(ward, taken("RAMIPRIL GÉNÉRIQUE", RAMIPRIL_GENERIC, ONCE))
    assert kinds(found) == [("RAMIPRIL GÉNÉRIQUE", SUBSTITUTED), ("plan", ADDED)]
    added = next(item for item in found.items if item.kind == ADDED)
    assert list(added.accepted_decisions) == [
        pb.RECONCILIATION_DECISION_CHANGE,
        pb.RECONCILIATION_DECISION_STOP,
        pb.RECONCILIATION_DECISION_START,
    ]
    unfit = refused(decide, ward, found, added, CONTINUED)
    assert (unfit.reason, unfit.field) == ("DECISION_UNFIT", "decision")


def test_what_has_no_code_is_named_beside_the_line_that_it_may_be(ward: World) -> None:
    preparation = order("", preparation="Magistrale Dupont", unit="mL")
    preparation.ClearField("cis")
    ward.prescribe(preparation)
    found = begin(ward, taken("magistrale  DUPONT", "", ONCE))
    mine, plan = sorted(found.items, key=lambda item: bool(item.prescription_line_id))
    assert (mine.kind, plan.kind) == (UNKNOWN, UNKNOWN)
    assert list(mine.related_item_keys) == [plan.item_key]
    assert list(plan.related_item_keys) == [mine.item_key]


def test_a_line_that_nobody_gives_is_never_taken_alike(ward: World) -> None:
    signed = ward.prescribe(
        order(PARACETAMOL, "08:00", "20:00"),
        order(RAMIPRIL, starts_on=today(30).isoformat()),
        order(ATORVASTATIN, starts_on=today(1).isoformat()),
    )
    line = ward.call(
        "PrescriptionService/GetPrescriptionLine",
        prescriptions_pb2.GetPrescriptionLineRequest(
            beneficiary_id=ward.person, prescription_line_id=signed.line_ids[0]
        ),
    ).prescription_line
    pause = prescriptions_pb2.SuspendPrescriptionLineRequest(
        beneficiary_id=ward.person,
        prescription_line_id=line.prescription_line_id,
        reason=prescriptions_pb2.STOP_REASON_OTHER,
        text="hospitalisation",
    )
    suspended = ward.call(
        "PrescriptionService/SuspendPrescriptionLine", pause, if_match=line.etag, acr=2
    ).prescription_line
    medicines = (
        taken("DOLIPRANE", PARACETAMOL, TWICE),
        taken("RAMIPRIL", RAMIPRIL, ONCE),
        taken("ATORVASTATINE", ATORVASTATIN, ONCE),
    )
    found = begin(ward, *medicines)
    assert kinds(found) == [("ATORVASTATINE", SAME), ("DOLIPRANE", DIFFERENT), ("RAMIPRIL", DIFFERENT)]
    paused = by_label(found)["DOLIPRANE"]
    assert paused.planned_status == prescriptions_pb2.LINE_STATUS_SUSPENDED
    assert paused.planned_posology_text.startswith("1\u00a0comprimé à 8\u00a0h et 20\u00a0h")
    assert by_label(found)["RAMIPRIL"].planned_starts_on == today(30).isoformat()
    # What was decided about the suspended line is not what was decided about the one that is given again.
    decided = decide(ward, found, paused, KEPT, text="reste suspendu jusqu'à la consultation")
    assert by_label(change(ward, decided, taken=medicines, as_="doctor"))["DOLIPRANE"].decision == KEPT
    resume = prescriptions_pb2.ResumePrescriptionLineRequest(
        beneficiary_id=ward.person, prescription_line_id=line.prescription_line_id
    )
    ward.call("PrescriptionService/ResumePrescriptionLine", resume, if_match=suspended.etag, acr=2)
    again = by_label(change(ward, read(ward, found), taken=medicines))["DOLIPRANE"]
    assert again.item_key == paused.item_key
    assert (again.kind, again.decision, again.decision_text) == (SAME, 0, "")


def test_two_entries_alike_are_two_items(ward: World) -> None:
    found = begin(ward, *(taken("TRAMADOL", TRAMADOL, "1 si douleur") for _ in range(3)))
    assert len({item.item_key for item in found.items}) == 3
    decided = decide(ward, found, found.items[1], pb.RECONCILIATION_DECISION_STOP, text="écrit deux fois")
    assert [bool(item.decision) for item in decided.items] == [False, True, False]
    # Letters of one text in the other: no two medicines have one key.
    sly = begin(ward, taken('a", "b'), taken("a", "", 'b", "'), taken('a"', "", '"b'))
    assert len({item.item_key for item in sly.items}) == 3


def test_a_change_keeps_the_decisions_about_what_is_as_it_was(ward: World) -> None:
    ward.prescribe(order(RAMIPRIL))
    old, sleep = taken("RAMIPRIL", RAMIPRIL, "2 le matin"), taken("tisane du soir")
    begun = begin(ward, old, sleep)
    done = decide(ward, begun, by_label(begun)["RAMIPRIL"], KEPT)
    done = decide(ward, done, by_label(begun)["tisane du soir"], CONTINUED)
    before = by_label(done)
    # The same medicine from one more source, the other one with a dose: the first decision stands.
    told = [taken("RAMIPRIL", RAMIPRIL, "2 le matin", BOXES), taken("tisane du soir", "", "2 tasses")]
    after = change(ward, done, taken=told, sources=[LETTER])
    ramipril, tea = by_label(after)["RAMIPRIL"], by_label(after)["tisane du soir"]
    assert ramipril.item_key == before["RAMIPRIL"].item_key
    assert (ramipril.decision, ramipril.decision_text, ramipril.decided_at, ramipril.decided_by_account_id) == (
        KEPT,
        before["RAMIPRIL"].decision_text,
        before["RAMIPRIL"].decided_at,
        ward.accounts["doctor"],
    )
    assert list(ramipril.taken.sources) == [BOXES]
    assert (tea.decision, tea.changes_plan) == (0, False)
    assert tea.item_key != before["tisane du soir"].item_key
    assert (after.undecided, after.few_sources) == (1, False)
    # Replaced in the plan, it is another divergence; `compared_at` moves with the plan.
    line_id = ramipril.prescription_line_id
    ward.prescribe(order(RAMIPRIL, quantity="2", replaces_line_id=line_id))
    anew = change(ward, after, taken=told)
    assert by_label(anew)["RAMIPRIL"].prescription_line_id != line_id
    assert by_label(anew)["RAMIPRIL"].decision == 0
    assert anew.compared_at.ToDatetime() > after.compared_at.ToDatetime()


def test_records_that_were_merged_are_reconciled_together(ward: World) -> None:
    ward.prescribe(order(RAMIPRIL))
    ward.prescribe(order(PARACETAMOL), person=ward.second)
    of_second = begin(ward, taken("DOLIPRANE", PARACETAMOL, ONCE), person=ward.second)
    other = refused(read, ward, of_second, person=ward.person)
    assert (other.code, other.reason) == ("NOT_FOUND", "NOT_FOUND")
    ward.harness.facts(
        ward.tenant, [facts_pb2.PersonChanged(beneficiary_id=ward.second, version=2, surviving_id=ward.person)]
    )
    assert read(ward, of_second, person=ward.person) == of_second
    found = begin(ward, taken("DOLIPRANE", PARACETAMOL, ONCE), taken("RAMIPRIL", RAMIPRIL, ONCE))
    assert kinds(found) == [("DOLIPRANE", SAME), ("RAMIPRIL", SAME)]
    request = pb.ListReconciliationsRequest(beneficiary_id=ward.person)
    assert list(ward.call(f"{SERVICE}/ListReconciliations", request).reconciliations) == [found, of_second]


# -------------------------------------------------------------------------------------------------------- who, and when


def test_a_nurse_begins_and_changes_and_only_who_prescribes_decides_and_closes(ward: World) -> None:
    begun = begin(ward, taken("tisane"))
    changed = change(ward, begun, comment="vu avec la fille")
    for who in ("nurse", "pharmacist"):
        assert refused(decide, ward, changed, changed.items[0], CONTINUED, as_=who).reason == "RIGHT_MISSING"
        assert refused(close, ward, changed, as_=who).reason == "RIGHT_MISSING"
    assert refused(begin, ward, as_="secretary").reason == "RIGHT_MISSING"
    assert refused(read, ward, begun, as_="secretary").reason == "RIGHT_MISSING"
    assert read(ward, begun) == changed


def test_who_is_of_another_facility_or_association_gets_nothing(ward: World) -> None:
    begun = begin(ward, taken("tisane"))
    for act in (
        lambda: read(ward, begun, as_="stranger"),
        lambda: begin(ward, as_="stranger"),
        lambda: change(ward, begun, comment="x", as_="stranger"),
        lambda: decide(ward, begun, begun.items[0], CONTINUED, as_="stranger"),
        lambda: close(ward, begun, as_="stranger"),
    ):
        assert refused(act).reason == "OUT_OF_PERIMETER"
    foreign = World(ward.harness, now=datetime.now(UTC) - timedelta(minutes=5))
    for own in ("", foreign.person):  # by the person of the other association, and by one's own
        assert refused(read, foreign, begun, person=own).reason == "NOT_FOUND"
    decided = refused(decide, foreign, begun, begun.items[0], CONTINUED, person=foreign.person)
    assert decided.reason == "NOT_FOUND"
    assert read(ward, begun) == begun


def test_it_is_made_where_the_person_is_accompanied(ward: World) -> None:
    elsewhere = refused(begin, ward, facility_id=ward.other_home)
    assert (elsewhere.reason, elsewhere.field) == ("FACILITY_NOT_FOLLOWING", "reconciliation.facility_id")
    nowhere = refused(begin, ward, facility_id=new_id())
    assert (nowhere.reason, nowhere.field) == ("PLACE_UNKNOWN", "reconciliation.facility_id")
    begun = begin(ward)
    assert refused(change, ward, begun, facility_id=ward.other_home).reason == "FACILITY_NOT_FOLLOWING"
    ward.harness.facts(ward.tenant, [World.stay(ward.person, ward.other_home, datetime.now(UTC) - timedelta(hours=1))])
    assert change(ward, begun, facility_id=ward.other_home).facility_id == ward.other_home
    assert read(ward, begun, as_="stranger").facility_id == ward.other_home


def test_what_is_closed_changes_no_more(ward: World) -> None:
    closed = close(ward, begin(ward))
    for act in (
        lambda: change(ward, closed, comment="x"),
        lambda: decide(ward, closed, "0011223344556677", CONTINUED),
        lambda: close(ward, closed),
    ):
        assert refused(act).reason == "RECONCILIATION_CLOSED"
    assert read(ward, closed) == closed


def test_nobody_changes_what_they_have_not_read_as_it_is(ward: World) -> None:
    begun = begin(ward, taken("tisane"))
    changed = change(ward, begun, comment="vu")
    for act in (
        lambda: change(ward, begun, comment="x"),
        lambda: decide(ward, begun, begun.items[0], CONTINUED),
        lambda: close(ward, begun),
    ):
        assert (refused(act).reason, refused(act).field) == ("ETAG_STALE", "If-Match")
    assert refused(close, ward, begun, if_match="").reason == "PRECONDITION_REQUIRED"
    assert read(ward, begun) == changed


def test_nothing_closes_before_it_is_said_where_the_list_comes_from(ward: World) -> None:
    bare = begin(ward, sources=[])
    assert bare.few_sources
    without = refused(close, ward, bare)
    assert (without.reason, without.field) == ("RECONCILIATION_WITHOUT_SOURCE", "sources")
    asked = change(ward, bare, sources=[pb.TAKEN_SOURCE_PERSON, pb.TAKEN_SOURCE_PERSON, 0])
    assert list(asked.sources) == [pb.TAKEN_SOURCE_PERSON]
    assert asked.few_sources  # one kind of source, and told so
    assert close(ward, asked).status == pb.RECONCILIATION_STATUS_CLOSED


# ---------------------------------------------------------------------------------------------------------- what is sent


def test_a_code_that_the_catalogue_does_not_have_is_refused_by_its_field(ward: World) -> None:
    lines = [taken("DOLIPRANE", PARACETAMOL, ONCE), taken("X", "98765432"), taken("Y"), taken("Z", "98765433")]
    unknown = refused(begin, ward, *lines)
    assert unknown.reasons == ["SPECIALTY_UNKNOWN", "SPECIALTY_UNKNOWN"]
    assert unknown.fields == ["reconciliation.taken[1].cis", "reconciliation.taken[3].cis"]
    begun = begin(ward, lines[0])
    assert refused(change, ward, begun, taken=lines).fields == unknown.fields
    # No refusal is longer than what gRPC carries.
    many = refused(begin, ward, *(taken(f"X{n}", f"987650{n:02}") for n in range(60)))
    assert len(many.fields) == 20


def test_a_decision_is_about_something_and_says_why(ward: World) -> None:
    ward.prescribe(order(PARACETAMOL))
    begun = begin(ward, taken("DOLIPRANE", PARACETAMOL, ONCE), taken("tisane"))
    absent = refused(decide, ward, begun, "0011223344556677", CONTINUED)
    assert (absent.reason, absent.field) == ("NOT_FOUND", "item_key")
    found = by_label(begun)
    assert refused(decide, ward, begun, found["DOLIPRANE"], KEPT).reason == "DECISION_NOT_NEEDED"
    blank = refused(decide, ward, begun, found["tisane"], CONTINUED, text=" \n ")
    assert (blank.reason, blank.field) == ("FIELD_REQUIRED", "text")
    vague = refused(decide, ward, begun, found["tisane"], 0, 0)
    assert set(vague.fields) == {"decision", "divergence"}


HOSTILE = [
    "'; DROP TABLE reconciliation; --",
    "<script>alert(1)</script>",
    "\u202egm 01\u202c comprimé",
    "é" * 100 + "\U0001f48a" * 100,
    "{label}%s{0}\\",
    "½" * 200,
    " - " * 60 + "x",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_what_is_typed_comes_back_as_it_was_and_does_nothing_else(ward: World, text: str) -> None:
    ward.prescribe(order(PARACETAMOL))
    begun = begin(ward, taken(text, "", text), taken(text, PARACETAMOL, text), comment=text)
    decided = begun
    for item in begun.items:
        decided = decide(ward, decided, item, CONTINUED, text=text)
    closed = close(ward, decided)
    assert closed.comment == text.strip()
    assert [(each.label, each.posology_text) for each in closed.taken] == [(text.strip(), text.strip())] * 2
    assert {item.decision_text for item in closed.items} == {text.strip()}


@pytest.mark.parametrize(
    ("label", "reason"), [("a\x00b", "TEXT_CONTROL_CHARACTER"), ("x" * 201, "FIELD_TOO_LONG"), ("  ", "FIELD_REQUIRED")]
)
def test_what_no_text_may_be_is_refused_by_its_field(ward: World, label: str, reason: str) -> None:
    found = refused(begin, ward, taken("tisane"), taken(label))
    assert (found.reason, found.field) == (reason, "reconciliation.taken[1].label")


def test_what_the_platform_tells_cannot_be_sent(ward: World) -> None:
    item = pb.ReconciliationItem(item_key="x")
    for name, value in {"status": pb.RECONCILIATION_STATUS_CLOSED, "items": [item], "undecided": 1}.items():
        assert refused(begin, ward, **{name: value}).reason == "FIELD_READ_ONLY"
        if name != "undecided":
            assert refused(change, ward, begin(ward), **{name: value}).reason == "FIELD_READ_ONLY"


# ---------------------------------------------------------------------------------------------------------------- plans


def test_every_question_is_served_by_an_index(ward: World) -> None:
    ward.prescribe(order(RAMIPRIL))
    begun = begin(ward, taken("RAMIPRIL", RAMIPRIL, "2 le matin"))
    person = {"beneficiary_id": ward.person}
    one = {**person, "reconciliation_id": begun.reconciliation_id}
    asked: dict[str, tuple[Any, int]] = {
        "GetReconciliation": (pb.GetReconciliationRequest(**one), 1),
        "ListReconciliations": (pb.ListReconciliationsRequest(**person), 1),
        "ListReconciliationVersions": (pb.ListReconciliationVersionsRequest(**one), 2),
        "CreateReconciliation": (
            # Facility, stays, lines, specialties.
            pb.CreateReconciliationRequest(
                **person,
                reconciliation=pb.Reconciliation(
                    facility_id=ward.home, transition=pb.TRANSITION_EXIT, taken=begun.taken
                ),
            ),
            4,
        ),
    }
    for operation, (request, most) in asked.items():
        with watched(ward.harness) as trips:
            ward.call(f"{SERVICE}/{operation}", request)
        check_plans(ward.harness, ward.tenant, trips, most=most, small=["access_facility_pkey"])
