"""What a pharmacist says of the lines of treatment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from dui.access.v1 import facts_pb2
from dui.journal.v1 import journal_pb2
from dui.medication.v1 import events_pb2, reviews_pb2, treatment_plans_pb2
from dui.medication.v1 import prescriptions_pb2 as pb
from dui_kit.ids import new_id
from dui_kit.testing import CallFailed
from dui_medication.testing import KnownPeople, World, announced, order, today

PARACETAMOL, RAMIPRIL = "99000001", "99000010"
KEPT = "Clairance contrôlée ce matin à 52 mL/min"


def line_of(world: World, line_id: str, person: str = "") -> pb.PrescriptionLine:
    request = pb.GetPrescriptionLineRequest(beneficiary_id=person or world.person, prescription_line_id=line_id)
    found: pb.PrescriptionLine = world.call("PrescriptionService/GetPrescriptionLine", request).prescription_line
    return found


def review(world: World, line: pb.PrescriptionLine, said: pb.LineReview, **options: Any) -> pb.PrescriptionLine:
    request = reviews_pb2.ReviewPrescriptionLineRequest(
        beneficiary_id=world.person, prescription_line_id=line.prescription_line_id, review=said
    )
    options = {"as_": "pharmacist", "if_match": line.etag} | options
    done: pb.PrescriptionLine = world.call("ReviewService/ReviewPrescriptionLine", request, **options).prescription_line
    return done


def answer(world: World, line: pb.PrescriptionLine, text: str = KEPT, **options: Any) -> pb.PrescriptionLine:
    request = reviews_pb2.AnswerLineReviewRequest(
        beneficiary_id=world.person, prescription_line_id=line.prescription_line_id, text=text
    )
    done: pb.PrescriptionLine = world.call(
        "ReviewService/AnswerLineReview", request, **({"if_match": line.etag} | options)
    ).prescription_line
    return done


def stop(world: World, line: pb.PrescriptionLine) -> pb.PrescriptionLine:
    request = pb.StopPrescriptionLineRequest(
        beneficiary_id=world.person, prescription_line_id=line.prescription_line_id, reason=pb.STOP_REASON_MISTAKE
    )
    done: pb.PrescriptionLine = world.call(
        "PrescriptionService/StopPrescriptionLine", request, acr=2, if_match=line.etag
    ).prescription_line
    return done


def waiting(world: World, work: int = reviews_pb2.LINE_WORK_TO_REVIEW, **options: Any) -> list[str]:
    options = {"as_": "pharmacist"} | options
    request = reviews_pb2.ListFacilityLinesRequest(
        facility_id=world.home, work=work, unit_id=options.pop("unit_id", None), page_size=options.pop("page_size", 0)
    )
    found: list[str] = []
    while not found or request.page_token:
        page = world.call("ReviewService/ListFacilityLines", request, **options)
        found += [line.prescription_line_id for line in page.prescription_lines]
        request.page_token = page.next_page_token
        if not found:
            break
    return found


def to_answer(world: World) -> list[str]:
    """The doctor's list; the plan of the first person tells the same number."""
    found = waiting(world, reviews_pb2.LINE_WORK_TO_ANSWER, as_="doctor")
    request = treatment_plans_pb2.GetTreatmentPlanRequest(beneficiary_id=world.person)
    assert world.call("TreatmentPlanService/GetTreatmentPlan", request).treatment_plan.to_answer == len(found)
    return found


ACCEPTED = pb.LineReview(outcome=pb.REVIEW_OUTCOME_ACCEPTED)
PROPOSED = pb.LineReview(
    outcome=pb.REVIEW_OUTCOME_CHANGE_PROPOSED,
    problem=pb.PHARMACY_PROBLEM_OVERDOSE,
    intervention=pb.PHARMACY_INTERVENTION_DOSE,
    text="Clairance à 35 mL/min : 2,5 mg suffisent",
)


def test_a_line_waits_for_the_pharmacist_until_it_is_reviewed(world: World) -> None:
    first, second = world.prescribe(order(PARACETAMOL), order(RAMIPRIL, ends_on=today(89).isoformat())).line_ids
    assert waiting(world) == [first, second]
    reviewed = review(world, line_of(world, second), PROPOSED)
    assert reviewed.review.text == PROPOSED.text
    assert reviewed.review.reviewer_account_id == world.accounts["pharmacist"]
    assert reviewed.review.reviewer_name == "Claire LEMAIRE"
    assert reviewed.status == pb.LINE_STATUS_ACTIVE  # the prescriber decides
    assert waiting(world) == [first]
    [told] = [
        each
        for each in announced(world.harness, world.tenant, events_pb2.PrescriptionLineChanged)
        if each.change == events_pb2.LINE_CHANGE_REVIEWED
    ]
    assert (told.prescription_line_id, told.review_outcome) == (second, pb.REVIEW_OUTCOME_CHANGE_PROPOSED)
    assert "Clairance" not in str(told)


def test_a_later_review_stands_in_the_place_of_the_first_which_stays_in_the_history(world: World) -> None:
    [line_id] = world.prescribe(order(PARACETAMOL)).line_ids
    reviewed = review(world, line_of(world, line_id), PROPOSED)
    again = review(world, reviewed, ACCEPTED)
    assert again.review.outcome == pb.REVIEW_OUTCOME_ACCEPTED
    request = pb.ListPrescriptionLineVersionsRequest(beneficiary_id=world.person, prescription_line_id=line_id)
    versions = world.call("PrescriptionService/ListPrescriptionLineVersions", request).versions
    assert [version.review.outcome for version in versions] == [
        pb.REVIEW_OUTCOME_ACCEPTED,
        pb.REVIEW_OUTCOME_CHANGE_PROPOSED,
        pb.REVIEW_OUTCOME_UNSPECIFIED,
    ]


def test_only_a_pharmacist_who_read_the_line_as_it_is_reviews_it(world: World) -> None:
    [line_id] = world.prescribe(order(PARACETAMOL)).line_ids
    line = line_of(world, line_id)
    for options, reason in (
        ({"as_": "doctor"}, "RIGHT_MISSING"),
        ({"as_": "nurse"}, "RIGHT_MISSING"),
        ({"if_match": "old"}, "ETAG_STALE"),
    ):
        with pytest.raises(CallFailed) as refused:
            review(world, line, ACCEPTED, **options)
        assert refused.value.reason == reason


@pytest.mark.parametrize(
    ("said", "field"),
    [
        (pb.LineReview(outcome=pb.REVIEW_OUTCOME_REFUSED), "review.problem"),
        (
            pb.LineReview(outcome=pb.REVIEW_OUTCOME_REFUSED, problem=pb.PHARMACY_PROBLEM_INTERACTION),
            "review.text",
        ),
        (
            pb.LineReview(outcome=pb.REVIEW_OUTCOME_CHANGE_PROPOSED, problem=pb.PHARMACY_PROBLEM_OVERDOSE, text="Trop"),
            "review.intervention",
        ),
        (
            pb.LineReview(outcome=pb.REVIEW_OUTCOME_ACCEPTED, problem=pb.PHARMACY_PROBLEM_OVERDOSE),
            "review.outcome",
        ),
        (pb.LineReview(problem=pb.PHARMACY_PROBLEM_OVERDOSE), "review.outcome"),
    ],
)
def test_a_review_says_what_a_prescriber_can_act_on(world: World, said: pb.LineReview, field: str) -> None:
    [line_id] = world.prescribe(order(PARACETAMOL)).line_ids
    with pytest.raises(CallFailed) as refused:
        review(world, line_of(world, line_id), said)
    assert refused.value.field == field


def test_what_is_stopped_or_over_waits_for_nobody(world: World) -> None:
    [line_id] = world.prescribe(order(PARACETAMOL)).line_ids
    line = line_of(world, line_id)
    stopped = stop(world, line)
    assert waiting(world) == []
    with pytest.raises(CallFailed) as refused:
        review(world, stopped, ACCEPTED)
    assert refused.value.reason == "LINE_ENDED"


def test_the_list_holds_the_lines_of_the_persons_whom_the_caller_follows_merged_records_included(world: World) -> None:
    [mine] = world.prescribe(order(PARACETAMOL)).line_ids
    [other] = world.prescribe(order(PARACETAMOL), person=world.second).line_ids
    assert waiting(world) == [mine, other]
    # The second record is merged into the first, and only the first has a stay from then on.
    world.harness.facts(
        world.tenant,
        [
            facts_pb2.PersonChanged(beneficiary_id=world.second, version=2, surviving_id=world.person),
        ],
    )
    world.harness.admin(
        "UPDATE access_perimeter SET valid_to = %s WHERE tenant_id = %s AND beneficiary_id = %s",
        (datetime.now(UTC) - timedelta(hours=1), world.tenant, world.second),
    )
    assert waiting(world) == [mine, other]
    with pytest.raises(CallFailed) as refused:
        waiting(world, as_="stranger")
    assert refused.value.reason == "NOT_ASSIGNED"


# ---------------------------------------------------------------------------------------------------------------- answers

REFUSED = pb.LineReview(
    outcome=pb.REVIEW_OUTCOME_REFUSED, problem=pb.PHARMACY_PROBLEM_NON_CONFORMITY, text="Contre-indiqué"
)


@pytest.mark.parametrize("said", [PROPOSED, REFUSED])
def test_what_a_pharmacist_does_not_accept_waits_for_a_prescriber_who_says_why_the_line_is_kept(
    world: World, said: pb.LineReview
) -> None:
    first, second = world.prescribe(order(PARACETAMOL), order(RAMIPRIL, ends_on=today(89).isoformat())).line_ids
    assert to_answer(world) == []
    review(world, line_of(world, first), ACCEPTED)
    reviewed = review(world, line_of(world, second), said)
    assert to_answer(world) == [second]
    answered = answer(world, reviewed, f"  {KEPT} ", as_="colleague")
    assert to_answer(world) == waiting(world) == []
    assert (answered.review.outcome, answered.review.text) == (said.outcome, said.text)
    assert answered.review.answer_text == KEPT
    assert answered.review.answered_by_account_id == world.accounts["colleague"]
    assert answered.review.answered_by_name == "Claire LEMAIRE"
    assert answered.review.answered_at.ToDatetime(UTC) > answered.review.reviewed_at.ToDatetime(UTC)
    assert answered.status == pb.LINE_STATUS_ACTIVE
    assert answered == line_of(world, second)
    changes = [
        (each.prescription_line_id, each.version, each.review_outcome)
        for each in announced(world.harness, world.tenant, events_pb2.PrescriptionLineChanged)
        if each.change == events_pb2.LINE_CHANGE_REVIEW_ANSWERED
    ]
    assert changes == [(second, 3, said.outcome)]
    assert "Clairance" not in str(announced(world.harness, world.tenant, events_pb2.PrescriptionLineChanged))


def test_a_later_review_waits_for_an_answer_again_and_the_first_answer_stays_in_the_history(world: World) -> None:
    [line_id] = world.prescribe(order(PARACETAMOL)).line_ids
    answered = answer(world, review(world, line_of(world, line_id), PROPOSED))
    again = review(world, answered, REFUSED)
    assert not again.review.HasField("answer_text")
    assert to_answer(world) == [line_id]
    answer(world, again, "Maintenu après avis du cardiologue")
    assert to_answer(world) == []
    request = pb.ListPrescriptionLineVersionsRequest(beneficiary_id=world.person, prescription_line_id=line_id)
    versions = world.call("PrescriptionService/ListPrescriptionLineVersions", request).versions
    told = [version.review.answer_text for version in versions]
    assert told == ["Maintenu après avis du cardiologue", "", KEPT, "", ""]


def test_accepting_a_line_after_all_takes_it_from_the_list(world: World) -> None:
    [line_id] = world.prescribe(order(PARACETAMOL)).line_ids
    review(world, review(world, line_of(world, line_id), PROPOSED), ACCEPTED)
    assert to_answer(world) == []


def test_stopping_and_replacing_are_answers_and_suspending_is_none(world: World) -> None:
    stopped, replaced, suspended = world.prescribe(
        order(PARACETAMOL),
        order(RAMIPRIL, ends_on=today(89).isoformat()),
        order("99000021", ends_on=today(89).isoformat()),
    ).line_ids
    for line_id in (stopped, replaced, suspended):
        review(world, line_of(world, line_id), PROPOSED)
    request = pb.SuspendPrescriptionLineRequest(beneficiary_id=world.person, prescription_line_id=suspended, reason=7)
    etag = line_of(world, suspended).etag
    world.call("PrescriptionService/SuspendPrescriptionLine", request, acr=2, if_match=etag)
    assert to_answer(world) == [stopped, replaced, suspended]
    stop(world, line_of(world, stopped))
    half = order(RAMIPRIL, quantity="0.5", ends_on=today(89).isoformat(), replaces_line_id=replaced)
    [new] = world.prescribe(half).line_ids
    assert to_answer(world) == [suspended]
    assert waiting(world) == [new]


def test_nobody_answers_what_waits_for_no_answer(world: World) -> None:
    [line_id] = world.prescribe(order(PARACETAMOL)).line_ids
    line = line_of(world, line_id)

    def refused(line: pb.PrescriptionLine, **options: Any) -> CallFailed:
        with pytest.raises(CallFailed) as failed:
            answer(world, line, **options)
        assert line_of(world, line_id).etag == line.etag or options
        return failed.value

    assert refused(line).reason == "REVIEW_NOTHING_TO_ANSWER"
    line = review(world, line, ACCEPTED)
    assert refused(line).reason == "REVIEW_NOTHING_TO_ANSWER"
    line = review(world, line, PROPOSED)
    for as_ in ("pharmacist", "nurse"):
        assert refused(line, as_=as_).reason == "RIGHT_MISSING"
    assert refused(line, if_match="old").reason == "ETAG_STALE"
    for text in ("", " \n"):
        failed = refused(line, text=text)
        assert (failed.reason, failed.field) == ("FIELD_REQUIRED", "text")
    line = answer(world, line)
    assert refused(line).reason == "REVIEW_ALREADY_ANSWERED"
    assert refused(stop(world, line)).reason == "LINE_ENDED"


def test_a_pharmacist_does_not_write_the_prescriber_s_answer(world: World) -> None:
    [line_id] = world.prescribe(order(PARACETAMOL)).line_ids
    for name in ("reviewer_name", "answer_text", "answered_by_name"):
        said = pb.LineReview()
        said.CopyFrom(PROPOSED)
        setattr(said, name, "x")
        with pytest.raises(CallFailed) as refused:
            review(world, line_of(world, line_id), said)
        assert (refused.value.reason, refused.value.field) == ("FIELD_READ_ONLY", f"review.{name}")


def test_a_review_and_its_answer_are_kept_without_a_name_while_the_directory_is_away(
    world: World, people: KnownPeople
) -> None:
    [line_id] = world.prescribe(order(PARACETAMOL)).line_ids
    assert line_of(world, line_id).prescriber_name == "Claire LEMAIRE"  # of the prescription, signed with it
    people.directory_away = True
    answered = answer(world, review(world, line_of(world, line_id), PROPOSED))
    assert (answered.review.reviewer_name, answered.review.answered_by_name) == ("", "")
    assert answered.review.reviewer_account_id == world.accounts["pharmacist"]
    assert answered.review.answered_by_account_id == world.accounts["doctor"]


def test_what_was_said_and_answered_of_a_line_leaves_its_signature_valid(world: World) -> None:
    signed = world.prescribe(order(PARACETAMOL))
    answer(world, review(world, line_of(world, signed.line_ids[0]), PROPOSED))
    request = pb.VerifyPrescriptionRequest(beneficiary_id=world.person, prescription_id=signed.prescription_id)
    assert world.call("PrescriptionService/VerifyPrescription", request).valid
    # The prescriber's name is part of what was signed.
    line = pb.PrescriptionLine()
    [(content,)] = world.harness.admin("SELECT content FROM prescription_line WHERE tenant_id = %s", (world.tenant,))
    line.ParseFromString(bytes(content))
    line.prescriber_name = "Paul AUTRE"
    world.harness.admin(
        "UPDATE prescription_line SET content = %s WHERE tenant_id = %s", (line.SerializeToString(), world.tenant)
    )
    assert not world.call("PrescriptionService/VerifyPrescription", request).valid


# ------------------------------------------------------------------------------------------------------------------ lists


def test_the_lines_that_end_within_seven_days_are_listed_soonest_first(world: World) -> None:
    ends = {days: today(days).isoformat() for days in (0, 3, 7, 8)}
    in_a_week, beyond, in_three_days, today_, forever = world.prescribe(
        order(PARACETAMOL, ends_on=ends[7]),
        order(PARACETAMOL, ends_on=ends[8]),
        order(PARACETAMOL, "12:00", ends_on=ends[3]),
        order(PARACETAMOL, "20:00", ends_on=ends[0]),
        order(PARACETAMOL),
    ).line_ids
    assert {beyond, forever}.isdisjoint(ending := waiting(world, reviews_pb2.LINE_WORK_ENDING, as_="nurse"))
    assert ending == [today_, in_three_days, in_a_week]
    # Page after page the same.
    assert waiting(world, reviews_pb2.LINE_WORK_ENDING, page_size=1) == ending
    stop(world, line_of(world, today_))
    request = pb.SuspendPrescriptionLineRequest(
        beneficiary_id=world.person, prescription_line_id=in_three_days, reason=7
    )
    etag = line_of(world, in_three_days).etag
    world.call("PrescriptionService/SuspendPrescriptionLine", request, acr=2, if_match=etag)
    assert waiting(world, reviews_pb2.LINE_WORK_ENDING) == [in_three_days, in_a_week]


def test_what_expired_waits_for_nobody(world: World) -> None:
    one, other = world.prescribe(order(PARACETAMOL), order(PARACETAMOL, "20:00")).line_ids
    review(world, line_of(world, other), PROPOSED)
    assert (waiting(world), to_answer(world)) == ([one], [other])
    world.harness.admin("UPDATE prescription_line SET last_on = %s WHERE tenant_id = %s", (today(-1), world.tenant))
    assert [waiting(world, work) for work in (1, 2, 3)] == [[], [], []]


def test_a_list_says_which_work_it_is_of(world: World) -> None:
    with pytest.raises(CallFailed) as refused:
        waiting(world, reviews_pb2.LINE_WORK_UNSPECIFIED)
    assert (refused.value.reason, refused.value.field) == ("FIELD_REQUIRED", "work")


def test_the_list_of_a_unit_holds_the_persons_of_that_unit(world: World) -> None:
    unit, empty = new_id(), new_id()
    facts = [facts_pb2.UnitChanged(unit_id=each, version=1, facility_id=world.home) for each in (unit, empty)]
    world.harness.facts(world.tenant, facts)
    world.harness.admin(
        "UPDATE access_perimeter SET unit_id = %s WHERE tenant_id = %s AND beneficiary_id = %s",
        (unit, world.tenant, world.second),
    )
    soon = today(2).isoformat()
    [mine] = world.prescribe(order(PARACETAMOL, ends_on=soon)).line_ids
    [other] = world.prescribe(order(PARACETAMOL, ends_on=soon), person=world.second).line_ids
    for work in (reviews_pb2.LINE_WORK_TO_REVIEW, reviews_pb2.LINE_WORK_ENDING):
        assert waiting(world, work) == [mine, other]
        assert waiting(world, work, unit_id=unit) == [other]
        assert waiting(world, work, unit_id=empty) == []
    with pytest.raises(CallFailed) as refused:
        waiting(world, unit_id=new_id())
    assert (refused.value.reason, refused.value.field) == ("PLACE_UNKNOWN", "unit_id")


def test_whoever_reads_a_list_is_in_the_journal_with_the_persons_of_it(world: World) -> None:
    world.prescribe(order(PARACETAMOL))
    world.prescribe(order(PARACETAMOL), person=world.second)
    waiting(world)
    rows = world.harness.admin(
        "SELECT payload FROM journal_outbox WHERE tenant_id = %s ORDER BY entry_id", (world.tenant,)
    )
    read = journal_pb2.JournalEntry.FromString(bytes(rows[-1][0]))
    assert set(read.seen_beneficiary_ids) == {world.person, world.second}
