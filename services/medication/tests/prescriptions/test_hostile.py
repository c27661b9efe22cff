"""What somebody in a hurry, at fault or with bad intent sends: nothing is broken by it, nothing is had by it."""

from __future__ import annotations

import base64
import itertools
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from dui.access.v1 import facts_pb2
from dui.medication.v1 import posology_pb2, reviews_pb2, treatment_plans_pb2
from dui.medication.v1 import prescriptions_pb2 as pb
from dui_kit.ids import new_id
from dui_kit.testing import CallFailed
from dui_kit.times import to_timestamp
from dui_kit.wire.status import status_of
from dui_medication.testing import KnownPeople, World, order, today
from google.protobuf.field_mask_pb2 import FieldMask

PARACETAMOL, RAMIPRIL, WARFARIN, MICONAZOLE, MORPHINE = "99000001", "99000010", "99000021", "99000022", "99000005"
FIRST, LAST = "0001-01-01", "9999-12-31"


def of(ward: World, found: Any, *, person: str = "") -> dict[str, str]:
    """The ids of a prescription, as requests name them."""
    return {"beneficiary_id": person or ward.person, "prescription_id": found.prescription_id}


def get(ward: World, found: Any, **options: Any) -> Any:
    request = pb.GetPrescriptionRequest(**of(ward, found))
    return ward.call("PrescriptionService/GetPrescription", request, **options).prescription


def update(ward: World, draft: Any, change: pb.Prescription, *paths: str, **options: Any) -> Any:
    request = pb.UpdatePrescriptionRequest(**of(ward, draft), prescription=change, update_mask=FieldMask(paths=paths))
    return ward.call(
        "PrescriptionService/UpdatePrescription", request, **({"if_match": draft.etag} | options)
    ).prescription


def delete(ward: World, draft: Any, **options: Any) -> None:
    ward.call("PrescriptionService/DeletePrescription", pb.DeletePrescriptionRequest(**of(ward, draft)), **options)


def check(ward: World, *orders: pb.LineOrder, **more: Any) -> pb.CheckPrescriptionResponse:
    content = pb.Prescription(facility_id=more.pop("facility_id", ward.home), orders=orders, **more)
    request = pb.CheckPrescriptionRequest(beneficiary_id=ward.person, prescription=content)
    answer: pb.CheckPrescriptionResponse = ward.call("PrescriptionService/CheckPrescription", request)
    return answer


def line_of(ward: World, line_id: str, *, person: str = "") -> pb.PrescriptionLine:
    request = pb.GetPrescriptionLineRequest(beneficiary_id=person or ward.person, prescription_line_id=line_id)
    found: pb.PrescriptionLine = ward.call("PrescriptionService/GetPrescriptionLine", request).prescription_line
    return found


def lined(ward: World, *orders: pb.LineOrder, **more: Any) -> pb.PrescriptionLine:
    """A line that was just signed."""
    return line_of(ward, ward.prescribe(*orders or (order(PARACETAMOL),), **more).line_ids[0])


def change(ward: World, verb: str, line: pb.PrescriptionLine, **more: Any) -> pb.PrescriptionLine:
    """Stops, suspends or resumes."""
    options = {name: more.pop(name) for name in ("as_", "if_match", "idempotency_key") if name in more}
    if verb != "Resume":
        more.setdefault("reason", pb.STOP_REASON_ABSENCE)
    request = getattr(pb, f"{verb}PrescriptionLineRequest")(
        **{"beneficiary_id": ward.person, "prescription_line_id": line.prescription_line_id} | more
    )
    done: pb.PrescriptionLine = ward.call(
        f"PrescriptionService/{verb}PrescriptionLine", request, **({"acr": 2, "if_match": line.etag} | options)
    ).prescription_line
    return done


def plan(ward: World) -> treatment_plans_pb2.TreatmentPlan:
    request = treatment_plans_pb2.GetTreatmentPlanRequest(beneficiary_id=ward.person)
    found: treatment_plans_pb2.TreatmentPlan = ward.call(
        "TreatmentPlanService/GetTreatmentPlan", request
    ).treatment_plan
    return found


def doses(ward: World, from_on: str | None = None, to_on: str | None = None, size: int = 200) -> list[Any]:
    """Every dose of some days, page after page."""
    request = treatment_plans_pb2.ListDueDosesRequest(
        beneficiary_id=ward.person, from_on=from_on, to_on=to_on, page_size=size
    )
    found: list[Any] = []
    while True:
        reply = ward.call("TreatmentPlanService/ListDueDoses", request)
        found += reply.due_doses
        request.page_token = reply.next_page_token
        if not request.page_token:
            return found


def verify(ward: World, prescription_id: str) -> pb.VerifyPrescriptionResponse:
    request = pb.VerifyPrescriptionRequest(beneficiary_id=ward.person, prescription_id=prescription_id)
    answer: pb.VerifyPrescriptionResponse = ward.call("PrescriptionService/VerifyPrescription", request)
    return answer


def refused(ask: Callable[[], Any]) -> CallFailed:
    with pytest.raises(CallFailed) as found:
        ask()
    return found.value


def where(failed: CallFailed) -> str:
    """The field of a fault, in the prescription that the gateway takes as the body."""
    return failed.field.removeprefix("prescription.")


# ------------------------------------------------------------------------------------------------------------ whose it is


def test_nobody_else_changes_deletes_or_signs_a_draft(ward: World) -> None:
    draft = ward.draft(order(PARACETAMOL))
    for who in ("colleague", "stranger"):
        for ask in (
            lambda who=who: get(ward, draft, as_=who),
            lambda who=who: update(ward, draft, pb.Prescription(weight_kg="1"), "weight_kg", as_=who),
            lambda who=who: delete(ward, draft, as_=who),
            lambda who=who: ward.sign(draft, as_=who),
        ):
            assert refused(ask).reason in {"NOT_FOUND", "OUT_OF_PERIMETER"}
    assert get(ward, draft) == draft


def test_a_draft_of_one_person_is_none_of_another(ward: World) -> None:
    draft = ward.draft(order(PARACETAMOL))
    request = pb.SignPrescriptionRequest(**of(ward, draft, person=ward.second))
    sign = lambda: ward.call("PrescriptionService/SignPrescription", request, acr=2, if_match=draft.etag)  # noqa: E731
    assert refused(sign).reason == "NOT_FOUND"
    assert plan(ward).lines == []


def test_a_draft_that_expired_is_gone_before_it_is_deleted(ward: World) -> None:
    draft = ward.draft(order(PARACETAMOL))
    ward.harness.admin(
        "UPDATE prescription_draft SET expires_at = now() WHERE prescription_id = %s", (draft.prescription_id,)
    )
    for ask in (
        lambda: get(ward, draft),
        lambda: update(ward, draft, pb.Prescription(), "orders"),
        lambda: delete(ward, draft),
        lambda: ward.sign(draft),
    ):
        assert refused(ask).reason == "NOT_FOUND"
    listed = pb.ListPrescriptionsRequest(beneficiary_id=ward.person)
    assert not ward.call("PrescriptionService/ListPrescriptions", listed).prescriptions


def test_changing_a_draft_does_not_make_it_last(ward: World) -> None:
    draft = ward.draft(order(PARACETAMOL))
    until = "SELECT expires_at FROM prescription_draft WHERE prescription_id = %s"
    before = ward.harness.admin(until, (draft.prescription_id,))
    update(ward, draft, pb.Prescription(weight_kg="70", weighed_on=today().isoformat()), "weight_kg", "weighed_on")
    assert ward.harness.admin(until, (draft.prescription_id,)) == before


def test_what_was_signed_is_neither_changed_nor_deleted_nor_signed_again(ward: World) -> None:
    signed = ward.prescribe(order(PARACETAMOL))
    for ask in (
        lambda: update(ward, signed, pb.Prescription(orders=[order(RAMIPRIL)]), "orders"),
        lambda: delete(ward, signed),
        lambda: ward.sign(signed),
    ):
        assert refused(ask).reason == "PRESCRIPTION_SIGNED"
    assert get(ward, signed) == signed
    assert verify(ward, signed.prescription_id).valid


@pytest.mark.parametrize(
    "given",
    [
        {"status": pb.PRESCRIPTION_STATUS_SIGNED},
        {"prescription_id": "0197a000-0000-7000-8000-000000000001"},
        {"beneficiary_id": "0197a000-0000-7000-8000-000000000001"},
        {"line_ids": ["0197a000-0000-7000-8000-000000000001"]},
        {"prescriber": pb.Prescriber(rpps="10003000048")},
        {"version": {"version": 1}},
        {"report": pb.SafetyReport(signable=True)},
        {"signed_at": to_timestamp(datetime(2026, 1, 1, tzinfo=UTC))},
        {"signing_key_id": "x"},
    ],
    ids=lambda given: next(iter(given)),
)
def test_what_the_platform_says_of_a_prescription_is_not_taken_from_a_caller(
    ward: World, given: dict[str, Any]
) -> None:
    assert refused(lambda: ward.draft(order(PARACETAMOL), **given)).reason == "FIELD_READ_ONLY"
    draft = ward.draft(order(PARACETAMOL))
    [name] = given
    assert refused(lambda: update(ward, draft, pb.Prescription(**given), name)).reason == "FIELD_READ_ONLY"
    assert refused(lambda: check(ward, order(PARACETAMOL), **given)).reason == "FIELD_READ_ONLY"


def test_a_line_of_another_person_is_neither_replaced_nor_stopped_nor_reviewed(ward: World) -> None:
    theirs = line_of(ward, ward.prescribe(order(PARACETAMOL), person=ward.second).line_ids[0], person=ward.second)
    instead = order(RAMIPRIL, ends_on=today(30).isoformat(), replaces_line_id=theirs.prescription_line_id)
    failed = refused(lambda: ward.prescribe(instead))
    assert (failed.reason, failed.field) == ("LINE_ENDED", "orders[0].replaces_line_id")
    for verb in ("Stop", "Suspend", "Resume"):
        assert refused(lambda verb=verb: change(ward, verb, theirs)).reason == "NOT_FOUND"
    review = reviews_pb2.ReviewPrescriptionLineRequest(
        beneficiary_id=ward.person,
        prescription_line_id=theirs.prescription_line_id,
        review=pb.LineReview(outcome=pb.REVIEW_OUTCOME_ACCEPTED),
    )
    asked = lambda: ward.call("ReviewService/ReviewPrescriptionLine", review, as_="pharmacist", if_match=theirs.etag)  # noqa: E731
    assert refused(asked).reason == "NOT_FOUND"
    assert line_of(ward, theirs.prescription_line_id, person=ward.second) == theirs


def test_a_facility_where_the_doctor_does_not_work_is_refused_however_it_comes_into_the_draft(ward: World) -> None:
    assert refused(lambda: ward.draft(order(PARACETAMOL), facility_id=ward.other_home)).reason == "PRESCRIBER_UNKNOWN"
    draft = ward.draft(order(PARACETAMOL))
    moved = pb.Prescription(facility_id=ward.other_home)
    assert refused(lambda: update(ward, draft, moved, "facility_id")).reason == "PRESCRIBER_UNKNOWN"
    unknown = pb.Prescription(facility_id="0197a000-0000-7000-8000-000000000001")
    assert refused(lambda: update(ward, draft, unknown, "facility_id")).reason == "PLACE_UNKNOWN"
    assert refused(lambda: update(ward, draft, pb.Prescription(), "facility_id")).reason == "FIELD_REQUIRED"


def test_who_no_longer_works_there_signs_nothing_that_they_began(ward: World) -> None:
    draft = ward.draft(order(PARACETAMOL))
    ward.harness.admin(
        "UPDATE access_assignment SET valid_to = now() WHERE account_id = %s", (ward.accounts["doctor"],)
    )
    assert refused(lambda: ward.sign(draft)).code == "PERMISSION_DENIED"


def test_an_etag_is_of_one_thing_in_one_version(ward: World) -> None:
    first, second = ward.draft(order(PARACETAMOL)), ward.draft(order(RAMIPRIL))
    assert refused(lambda: ward.sign(first, if_match=second.etag)).reason == "ETAG_STALE"
    assert refused(lambda: ward.sign(first, if_match="*")).reason == "ETAG_STALE"
    changed = update(ward, first, pb.Prescription(orders=[order(RAMIPRIL)]), "orders")
    assert refused(lambda: ward.sign(first)).reason == "ETAG_STALE"
    assert refused(lambda: update(ward, first, pb.Prescription(), "orders")).reason == "ETAG_STALE"
    assert [each.cis for each in get(ward, changed).orders] == [RAMIPRIL]


def test_a_key_given_again_with_another_content_is_told_and_does_nothing(ward: World) -> None:
    line = lined(ward)
    stopped = change(ward, "Stop", line, idempotency_key="stop-1")
    assert change(ward, "Stop", line, idempotency_key="stop-1") == stopped
    other = refused(lambda: change(ward, "Stop", line, reason=pb.STOP_REASON_REFUSED, idempotency_key="stop-1"))
    assert other.reason.startswith("IDEMPOTENCY")
    [(acts,)] = ward.harness.admin(
        "SELECT count(*) FROM signed_act WHERE prescription_id = %s", (line.prescription_id,)
    )
    assert acts == 2


# ------------------------------------------------------------------------------------------------------------------ input


@pytest.mark.parametrize(
    "quantity",
    ["-1", "1e3", "1,5", "NaN", "Infinity", "١", "05", ".5", "1.", "0.0000001", "1000000000", " 1", "1_0", "0x1"],
)
def test_what_is_no_decimal_is_told_so_at_its_field(ward: World, quantity: str) -> None:
    failed = refused(lambda: ward.draft(order(PARACETAMOL, quantity=quantity)))
    assert failed.reason == "FORMAT_INVALID"
    assert where(failed) == "orders[0].dosage.steps[0].doses[0].quantity"


@pytest.mark.parametrize("quantity", ["0", "0.0", "0.000000", "100000.000001", "999999999.999999"])
def test_a_dose_that_nobody_gives_is_refused(ward: World, quantity: str) -> None:
    found = refused(lambda: ward.prescribe(order(PARACETAMOL, quantity=quantity)))
    assert found.fields == ["orders[0].dosage.steps[0].doses[0].quantity"]
    assert not check(ward, order(PARACETAMOL, quantity=quantity)).report.signable


@pytest.mark.parametrize("weight", ["0", "0.000001", "0.299999", "500.000001", "999999999.999999"])
def test_a_weight_that_nobody_has_is_refused_and_computes_nothing(
    ward: World, people: KnownPeople, weight: str
) -> None:
    people.birth_date = today(-365 * 10).isoformat()
    orders = [order(PARACETAMOL, quantity="100000"), order(MORPHINE, unit="g", quantity="100000")]
    answer = check(ward, *orders, weight_kg=weight, weighed_on=today().isoformat())
    assert "WEIGHT_INVALID" in {each.code for each in answer.report.limits}
    assert not answer.report.signable


DAYS = (FIRST, "1582-10-14", "1970-01-01", "2100-02-28", "9999-01-01", LAST)


@pytest.mark.parametrize(("starts_on", "ends_on"), [*itertools.product(DAYS, (*DAYS, None))])
def test_days_at_the_ends_of_the_calendar_are_refused_like_others(
    ward: World, starts_on: str, ends_on: str | None
) -> None:
    steps = [
        {"days": 3653, "doses": [{"at": "00:00", "quantity": "1"}]},
        {"interval": {"hours": 5, "quantity": "1", "first": "23:59"}},
    ]
    for dosage in (None, {"unit": "{tbl}", "steps": steps}):
        more = {"dosage": dosage} if dosage else {}
        wrong = order(PARACETAMOL, starts_on=starts_on, ends_on=ends_on, **more)
        report = check(ward, wrong, weight_kg="70", weighed_on=starts_on).report
        assert not report.signable
        assert refused(lambda wrong=wrong: ward.prescribe(wrong)).field.startswith("orders[0].")


@pytest.mark.parametrize(("cis", "unit"), [(MORPHINE, "{caps}"), (RAMIPRIL, "{tbl}"), (PARACETAMOL, "{tbl}")])
def test_a_line_without_end_or_far_ahead_meets_its_limits_and_no_more(ward: World, cis: str, unit: str) -> None:
    for starts in (today(), today(366), today(367)):
        for ends in (None, starts, starts + timedelta(days=3652), starts + timedelta(days=3653)):
            found = check(ward, order(cis, unit=unit, starts_on=starts.isoformat(), ends_on=ends and ends.isoformat()))
            assert found.report.limits or found.report.signable


@pytest.mark.parametrize("born", ["0001", "1900-02", "9999-12-31", ""])
def test_a_date_of_birth_that_cannot_be_is_no_age(ward: World, people: KnownPeople, born: str) -> None:
    people.birth_date = born
    report = check(ward, order(PARACETAMOL)).report
    assert report.limits or report.signable


@pytest.mark.parametrize(
    "step",
    [
        {"interval": {"hours": 0, "quantity": "1", "first": "08:00"}},
        {"interval": {"hours": -6, "quantity": "1", "first": "08:00"}},
        {"interval": {"hours": 2**31 - 1, "quantity": "1", "first": "08:00"}},
        {"infusion": {"hours": 0, "rate": "1", "starts": "08:00"}},
        {"infusion": {"hours": 2**31 - 1, "rate": "1", "starts": "08:00"}},
        {"days": 0, "doses": [{"at": "08:00", "quantity": "1"}]},
        {"days": -1, "doses": [{"at": "08:00", "quantity": "1"}]},
        {"days": 2**31 - 1, "doses": [{"at": "08:00", "quantity": "1"}]},
        {"every_days": 0, "doses": [{"at": "08:00", "quantity": "1"}]},
        {"every_days": -(2**31), "doses": [{"at": "08:00", "quantity": "1"}]},
        {"weekdays": [0], "doses": [{"at": "08:00", "quantity": "1"}]},
        {"weekdays": [8], "doses": [{"at": "08:00", "quantity": "1"}]},
        {"doses": [{"at": "24:00", "quantity": "1"}]},
        {"doses": [{"at": "08:00:30", "quantity": "1"}]},
        {"doses": [{"at": "08:00", "quantity": "1"}] * 2},
        {},
    ],
    ids=str,
)
def test_a_step_that_cannot_be_given_is_refused(ward: World, step: dict[str, Any]) -> None:
    wrong = order(PARACETAMOL, dosage={"unit": "{tbl}", "steps": [step]})
    assert where(refused(lambda: ward.prescribe(wrong))).startswith("orders[0].dosage")


@pytest.mark.parametrize(
    "needed",
    [
        {"quantity": "2", "max_per_24h": "1", "min_gap_minutes": 60},
        {"quantity": "1", "max_per_24h": "4", "min_gap_minutes": -1},
        {"quantity": "1", "max_per_24h": "4", "min_gap_minutes": 2**31 - 1},
        {"quantity": "0", "max_per_24h": "4", "min_gap_minutes": 60},
    ],
    ids=str,
)
def test_what_is_given_if_needed_has_sound_limits(ward: World, needed: dict[str, Any]) -> None:
    wrong = order(PARACETAMOL, dosage={"unit": "{tbl}", "as_needed": needed | {"reason": "douleur"}})
    assert where(refused(lambda: ward.prescribe(wrong))).startswith("orders[0].dosage")


def _any_order(chance: random.Random) -> pb.LineOrder:
    """An order of values that the contract lets through: most of them right, some hostile."""

    def pick(right: list[Any], *hostile: Any) -> Any:
        return chance.choice(right if chance.random() < 0.96 else list(hostile))

    def quantity() -> str:
        return str(pick(["0.000001", "1", "2.5", "99"], "0", "100000", "999999999.999999"))

    def at() -> str:
        return str(chance.choice(["00:00", "02:30", "03:30", "08:00", "23:59"]))

    def hours() -> int:
        return int(pick([1, 5, 6, 24], 72, -1, 2**31 - 1))

    def step(*, last: bool) -> posology_pb2.DosageStep:
        made = posology_pb2.DosageStep(
            days=pick([None] if last else [1, 2, 7], 0, -1, 3653, 2**31 - 1),
            every_days=pick([None, None, 2], 0, 366, -(2**31)),
        )
        kind = chance.choice(["doses", "doses", "interval", "infusion", pick(["doses"], "none", "all")])
        if kind in {"doses", "all"}:
            for time_of_day in chance.sample(["00:00", "02:30", "03:30", "08:00"], chance.choice([1, 1, 3])):
                made.doses.add(at=time_of_day, quantity=quantity())
            made.weekdays.extend([] if made.HasField("every_days") else pick([[], [], [1, 3]], [7, 7]))
        if kind in {"interval", "all"}:
            made.interval.CopyFrom(posology_pb2.IntervalDose(hours=hours(), quantity=quantity(), first=at()))
            made.ClearField("every_days")
        if kind in {"infusion", "all"}:
            made.infusion.CopyFrom(posology_pb2.Infusion(hours=hours(), rate=quantity(), starts=at()))
        return made

    count = pick([1, 1, 2, 3], 0, 20)
    dosage = posology_pb2.Dosage(unit=pick(["mg", "{tbl}"], "mL", "L", "g", "cc", "{caps}"))
    dosage.steps.extend(step(last=number == count - 1) for number in range(count))
    if not count or chance.random() < 0.02:
        needed = {"quantity": quantity(), "max_per_24h": quantity(), "min_gap_minutes": pick([60], -1, 2**31 - 1)}
        dosage.as_needed.CopyFrom(posology_pb2.AsNeeded(reason="x", **needed))
    starts = pick([today(), max(today(), _spring() - timedelta(days=2))], FIRST, LAST, today(366))
    ends = pick([None, _spring() + timedelta(days=40)], FIRST, LAST, today(366))
    return pb.LineOrder(
        cis=pick([PARACETAMOL, RAMIPRIL], None, MORPHINE, WARFARIN, "99999999"),
        preparation=pick([None], " ", "Pommade"),
        naming=chance.choice([0, 1, 2]),
        no_substitution=pick([0], 1, 2, 3),
        route=pick(["orale", "ORALE "], "rectale"),
        dosage=dosage,
        starts_on=str(starts),
        first_at=chance.choice([None, None, at()]),
        ends_on=ends and str(ends),
        renewals=pick([0], 1, -1, 13, 2**31 - 1),
        nursing_act_required=chance.choice([True, False]),
        restriction_basis=pick([0], 1, 2, 3, 4),
        overlap_stated=chance.choice([True, False]),
    )


@pytest.mark.parametrize("seed", range(8))
def test_whatever_the_contract_lets_through_is_answered(ward: World, people: KnownPeople, seed: int) -> None:
    """Signed where nothing stands against it, refused with a field otherwise; and what was signed can be read."""
    chance = random.Random(seed)
    ward.prescribe(order(WARFARIN, ends_on=today(30).isoformat()))
    people.birth_date = chance.choice(["1938-05-04", "2020", today().isoformat()])
    signatures = 0
    for _ in range(40):
        orders = [_any_order(chance) for _ in range(chance.choice([1, 1, 3]))]
        weight = chance.choice(["20"] * 9 + ["0.3", "0.000001", "999999999"])
        weighed = {"weight_kg": weight, "weighed_on": today().isoformat()}
        report = check(ward, *orders, **weighed).report
        draft = ward.draft(*orders, **weighed)
        if not report.signable:
            assert refused(lambda draft=draft: ward.sign(draft)).field
            continue
        assert verify(ward, ward.sign(draft).prescription_id).valid
        signatures += 1
        plan(ward)
        doses(ward, (_spring() - timedelta(days=3)).isoformat(), (_spring() + timedelta(days=4)).isoformat())
    assert signatures > 5


# ----------------------------------------------------------------------------------------------------------- how much


def test_forty_medicines_are_signed_and_one_more_is_not(ward: World) -> None:
    orders = [order(PARACETAMOL, f"{hour:02}:{minute:02}") for hour in range(20) for minute in (0, 30)]
    assert len(ward.prescribe(*orders).line_ids) == 40
    assert len(plan(ward).lines) == 40
    assert refused(lambda: ward.draft(*orders, order(RAMIPRIL))).reason == "LIST_TOO_LONG"


def test_what_is_wrong_with_forty_medicines_still_travels(ward: World) -> None:
    """A refusal goes in the metadata of gRPC, of which clients take 8 kB; the check tells all of it."""
    wrong = [order(PARACETAMOL, unit="cc", quantity="0", starts_on=FIRST, route="rectale") for _ in range(40)]
    failed = refused(lambda: ward.prescribe(*wrong))
    assert len(failed.fields) == 160
    assert len(check(ward, *wrong).report.limits) >= 160
    for language in ("fr", "en"):
        assert len(base64.b64encode(status_of(failed.__context__, language).SerializeToString())) < 8_000


def _long(steps: int) -> pb.LineOrder:
    """An order of so many days, each with 48 doses that differ."""
    times = [f"{hour:02}:{minute:02}" for hour in range(24) for minute in (0, 30)]
    days = [
        {"days": 1, "doses": [{"at": at, "quantity": f"1.{step:02}{n:02}"} for n, at in enumerate(times)]}
        for step in range(steps)
    ]
    return order(PARACETAMOL, dosage={"unit": "mg", "steps": days}, instructions="é" * 1000)


def test_what_could_not_be_shown_once_it_is_signed_is_not_kept(ward: World) -> None:
    """Answers have 4 MiB: what cannot be read in one cannot be given at the bedside, nor verified."""
    failed = refused(lambda: ward.draft(order(PARACETAMOL), _long(20)))
    assert (failed.reason, where(failed)) == ("ORDER_TOO_LARGE", "orders[1]")
    draft = ward.draft(order(PARACETAMOL))
    for orders in ([_long(20)], [order(PARACETAMOL), _long(9)]):
        changed = pb.Prescription(orders=orders)
        assert refused(lambda changed=changed: update(ward, draft, changed, "orders")).reason == "ORDER_TOO_LARGE"
    why = [
        pb.AlertOverride(alert_key=f"{n}", reason=pb.OVERRIDE_REASON_OTHER, text="\u20ac" * 1000) for n in range(100)
    ]
    much = refused(lambda: ward.draft(*[_long(6)] * 40, overrides=why))
    assert (much.reason, much.field) == ("PRESCRIPTION_TOO_LARGE", "orders")
    longest = next(_long(steps) for steps in range(20, 0, -1) if _long(steps).ByteSize() <= 8_000)
    signed = [ward.prescribe(*[longest] * 40) for _ in range(5)]
    assert len(plan(ward).lines) == 200
    assert plan(ward).ByteSize() < 4 << 20
    assert verify(ward, signed[0].prescription_id).ByteSize() < 4 << 20


def test_a_page_of_long_prescriptions_is_shorter_and_lacks_none(ward: World) -> None:
    ward.prescribe(order(PARACETAMOL))
    content = pb.Prescription(orders=[order(PARACETAMOL, indication="x" * 100_000)]).SerializeToString()
    ward.harness.admin(
        "INSERT INTO prescription (tenant_id, prescription_id, beneficiary_id, version, recorded_at, facility_id, content)"
        " SELECT %s, uuidv7(), %s, 2, now(), %s, %s FROM generate_series(1, 90)",
        (ward.tenant, ward.person, ward.home, content),
    )
    request, pages = pb.ListPrescriptionsRequest(beneficiary_id=ward.person, page_size=200), []
    while not pages or request.page_token:
        pages.append(ward.call("PrescriptionService/ListPrescriptions", request))
        request.page_token = pages[-1].next_page_token
    assert sum(len(page.prescriptions) for page in pages) == 91
    assert all(page.ByteSize() < 4 << 20 for page in pages)


def test_overrides_of_nothing_are_kept_out_of_what_is_signed(ward: World) -> None:
    why = [pb.AlertOverride(alert_key=f"{n:032x}", reason=pb.OVERRIDE_REASON_OTHER, text="x") for n in range(100)]
    signed = ward.prescribe(order(PARACETAMOL), overrides=why)
    assert not signed.overrides
    assert not line_of(ward, signed.line_ids[0]).overrides
    more = [*why, pb.AlertOverride(alert_key="z", reason=pb.OVERRIDE_REASON_OTHER, text="x")]
    assert refused(lambda: ward.draft(order(PARACETAMOL), overrides=more)).reason == "LIST_TOO_LONG"


def test_one_alert_has_one_reason_and_the_check_says_so_before_the_signature(ward: World) -> None:
    why = pb.AlertOverride(alert_key="x", reason=pb.OVERRIDE_REASON_OTHER, text="x")
    failed = refused(lambda: ward.prescribe(order(PARACETAMOL), overrides=[why, why]))
    assert (failed.reason, failed.field) == ("OVERRIDE_TWICE", "overrides[1].alert_key")
    report = check(ward, order(PARACETAMOL), overrides=[why, why]).report
    assert not report.signable
    assert "OVERRIDE_TWICE" in {each.code for each in report.limits}


@pytest.mark.parametrize("text", ["", "  ", "\t"])
def test_an_override_says_why(ward: World, text: str) -> None:
    why = pb.AlertOverride(alert_key="x", reason=pb.OVERRIDE_REASON_OTHER, text=text)
    assert where(refused(lambda: ward.draft(order(PARACETAMOL), overrides=[why]))) == "overrides[0].text"


def test_an_override_of_one_pair_opens_no_other(ward: World) -> None:
    ward.prescribe(order(WARFARIN, ends_on=today(30).isoformat()))
    gel = order(MICONAZOLE, unit="{applic}", route="buccale", ends_on=today(7).isoformat())
    [alert] = [each for each in check(ward, gel).report.alerts if each.blocking]
    why = pb.AlertOverride(alert_key=alert.key, reason=pb.OVERRIDE_REASON_MONITORED, text="INR")
    other = order("99000042", ends_on=today(7).isoformat())
    assert refused(lambda: ward.prescribe(other, overrides=[why])).reason == "ALERT_NOT_OVERRIDDEN"
    ward.prescribe(gel, overrides=[why])


def _ended(ward: World, count: int) -> None:
    """So many lines that were stopped today, after the first one that the person has."""
    ward.harness.admin(
        "INSERT INTO prescription_line (tenant_id, prescription_line_id, beneficiary_id, version, recorded_at, created_at,"
        " prescription_id, facility_id, status, last_on, content)"
        " SELECT tenant_id, gen_random_uuid(), beneficiary_id, 2, now(), now(), prescription_id, facility_id, 3, %s,"
        " content FROM (SELECT * FROM prescription_line WHERE tenant_id = %s LIMIT 1) l, generate_series(1, %s)",
        (today(), ward.tenant, count),
    )


def test_what_is_in_force_is_in_the_plan_however_much_was_stopped(ward: World) -> None:
    """A palliative treatment that is written anew each day: its newest lines are the ones that count."""
    lined(ward)
    _ended(ward, 1200)
    newest = lined(ward, order(RAMIPRIL, "09:00", ends_on=today(30).isoformat()))
    found = plan(ward)
    assert newest.prescription_line_id in {line.prescription_line_id for line in found.lines}
    assert (len(found.lines), len(found.ended_lines)) == (2, 50)
    assert newest.prescription_line_id in {dose.prescription_line_id for dose in doses(ward, today(1).isoformat())}


def test_doses_of_a_day_of_too_many_lines_are_refused_and_not_told_in_part(ward: World) -> None:
    lined(ward)
    _ended(ward, 1200)
    assert refused(lambda: doses(ward, today().isoformat())).reason == "TOO_MANY_LINES"


def test_a_person_has_so_many_lines_in_force_and_no_more(ward: World) -> None:
    orders = [order(PARACETAMOL, f"{hour:02}:{minute:02}") for hour in range(20) for minute in (0, 30)]
    for _ in range(5):
        ward.prescribe(*orders)
    failed = refused(lambda: ward.prescribe(order(RAMIPRIL, ends_on=today(9).isoformat())))
    assert (failed.reason, failed.field) == ("PLAN_FULL", "orders")
    instead = order(RAMIPRIL, ends_on=today(9).isoformat(), replaces_line_id=plan(ward).lines[0].prescription_line_id)
    ward.prescribe(instead)
    assert len(plan(ward).lines) == 200


# ------------------------------------------------------------------------------------------------------------- when


@pytest.mark.parametrize(
    ("from_on", "to_on"),
    [(FIRST, None), (LAST, None), (FIRST, "0001-01-02"), ("9999-12-30", LAST), (None, FIRST), (None, LAST)],
)
def test_doses_of_days_that_no_calendar_reaches_are_refused(
    ward: World, from_on: str | None, to_on: str | None
) -> None:
    for _ in range(2):
        failed = refused(lambda: doses(ward, from_on, to_on))
        assert (failed.reason, failed.field) == ("PERIOD_INVALID", "to_on")
        lined(ward)


@pytest.mark.parametrize(
    "zone", ["Pacific/Tahiti", "America/Martinique", "Europe/Paris", "Indian/Reunion", "Pacific/Wallis"]
)
def test_today_is_that_of_the_facility_wherever_it_is(ward: World, zone: str) -> None:
    facts = [facts_pb2.FacilityChanged(facility_id=ward.home, version=2, category_code="500", time_zone=zone)]
    ward.harness.facts(ward.tenant, facts)
    there = datetime.now(ZoneInfo(zone)).date()
    yesterday = (there - timedelta(days=1)).isoformat()
    failed = refused(lambda: ward.prescribe(order(PARACETAMOL, starts_on=yesterday)))
    assert (failed.reason, failed.fields) == ("START_IN_THE_PAST", ["orders[0].starts_on"])
    day = {"starts_on": there.isoformat(), "first_at": "00:00", "ends_on": there.isoformat()}
    line = lined(ward, order(PARACETAMOL, "00:00", "23:59", **day))
    assert line.status == pb.LINE_STATUS_ACTIVE
    midnight = datetime.combine(there, datetime.min.time(), ZoneInfo(zone))
    for period in ((), (None, there.isoformat()), (there.isoformat(),), (there.isoformat(), there.isoformat())):
        found = doses(ward, *period)
        assert [dose.due_at.ToDatetime(UTC) for dose in found] == [midnight, midnight + timedelta(hours=23, minutes=59)]
        assert {dose.time_zone for dose in found} == {zone}
    week = doses(ward, None, (there + timedelta(days=7)).isoformat())
    assert len(week) == 2


EVERY_HALF_HOUR = [f"{hour:02}:{minute:02}" for hour in range(24) for minute in (0, 30)]


def test_what_is_signed_has_no_doses_of_the_hours_before_it(ward: World) -> None:
    """And a line that replaces another one gives none of those that the other one gave, nor leaves one out."""
    line = lined(ward, order(PARACETAMOL, *EVERY_HALF_HOUR, starts_on=today().isoformat()))
    signed = line.signed_at.ToDatetime(UTC).astimezone(ZoneInfo("Europe/Paris"))
    later = [at for at in EVERY_HALF_HOUR if at >= signed.strftime("%H:%M:%S.%f")]
    assert [dose.local_time[-5:] for dose in doses(ward)] == later
    assert len(doses(ward, today(1).isoformat())) == 48
    lined(
        ward,
        order(
            PARACETAMOL,
            *EVERY_HALF_HOUR,
            starts_on=today().isoformat(),
            replaces_line_id=line.prescription_line_id,
        ),
    )
    assert [dose.local_time[-5:] for dose in doses(ward)] == later


def test_a_single_dose_stays_due_though_its_hour_has_passed(ward: World) -> None:
    lined(ward, order(PARACETAMOL, "00:00", starts_on=today().isoformat(), ends_on=today().isoformat()))
    assert [dose.local_time[-5:] for dose in doses(ward)] == ["00:00"]


def _spring() -> date:
    """The next day that has no hour from two to three: the last Sunday of March (directive 2000/84/CE)."""
    lasts = (date(today().year + more, 3, 31) for more in (0, 1))
    return next(day for last in lasts if (day := last - timedelta(days=last.isoweekday() % 7)) > today())


def test_two_doses_that_the_clock_brings_together_are_on_two_pages(ward: World) -> None:
    """On the last Sunday of March there is no half past two: it is half past three, when another one is due."""
    day = _spring().isoformat()
    lined(ward, order(PARACETAMOL, "02:30", "03:30", starts_on=day, ends_on=day))
    assert [dose.local_time[-5:] for dose in doses(ward, day, day, size=1)] == ["02:30", "03:30"]


def test_a_suspension_until_the_end_of_time_can_be_read_and_resumed(ward: World) -> None:
    line = lined(ward)
    last = to_timestamp(datetime.max.replace(tzinfo=UTC))
    suspended = change(ward, "Suspend", line, until=last)
    assert suspended.status == pb.LINE_STATUS_SUSPENDED
    assert doses(ward, today(1).isoformat(), today(7).isoformat()) == []
    assert verify(ward, line.prescription_id).valid
    resumed = change(ward, "Resume", suspended)
    assert len(doses(ward, today(1).isoformat(), today(7).isoformat())) == 7
    assert verify(ward, resumed.prescription_id).valid


def test_a_line_whose_steps_are_over_is_over(ward: World) -> None:
    """A tapering says its days in its steps; without an end beside them it would stay in force for ever, with no dose."""
    steps = [{"days": days, "doses": [{"at": "08:00", "quantity": "1"}]} for days in (3, 2)]
    line = lined(ward, order(PARACETAMOL, dosage={"unit": "{tbl}", "steps": steps}))
    [(last_on,)] = ward.harness.admin(
        "SELECT last_on FROM prescription_line WHERE prescription_line_id = %s", (line.prescription_line_id,)
    )
    assert last_on == today(4)


def test_a_second_narcotic_of_one_substance_is_told_as_such(ward: World) -> None:
    ward.prescribe(order(MORPHINE, unit="{caps}", ends_on=today(6).isoformat()))
    again = order(MORPHINE, unit="{caps}", ends_on=today(6).isoformat(), overlap_stated=True)
    assert "SAME_NARCOTIC_OVERLAP" in {each.code for each in check(ward, again).report.limits}


# ---------------------------------------------------------------------------------------------------------- at once


def at_once(*asked: Callable[[], Any]) -> list[str]:
    """What becomes of calls made at once: `done`, or the reason of the refusal."""

    def run(ask: Callable[[], Any]) -> str:
        try:
            ask()
        except CallFailed as failed:
            return failed.reason
        return "done"

    with ThreadPoolExecutor(len(asked)) as pool:
        return sorted(pool.map(run, asked))


def test_a_draft_is_signed_once_by_two_windows_of_its_author(ward: World) -> None:
    draft = ward.draft(order(PARACETAMOL))
    assert at_once(lambda: ward.sign(draft), lambda: ward.sign(draft)) == ["PRESCRIPTION_SIGNED", "done"]
    assert len(plan(ward).lines) == 1


def test_a_draft_is_signed_or_deleted_not_both(ward: World) -> None:
    draft = ward.draft(order(PARACETAMOL))
    found = at_once(lambda: ward.sign(draft), lambda: delete(ward, draft))
    assert found in (["PRESCRIPTION_SIGNED", "done"], ["NOT_FOUND", "done"])
    assert len(plan(ward).lines) == (found[0] == "PRESCRIPTION_SIGNED")


def test_of_two_changes_of_a_draft_at_once_one_is_told_to_read_again(ward: World) -> None:
    draft = ward.draft(order(PARACETAMOL))
    changes = [pb.Prescription(orders=[order(cis)]) for cis in (RAMIPRIL, WARFARIN)]
    asked = [lambda each=each: update(ward, draft, each, "orders") for each in changes]
    assert at_once(*asked) == ["ETAG_STALE", "done"]


def test_a_line_that_somebody_stops_while_another_replaces_it_stays_stopped(
    ward: World, people: KnownPeople, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was signed in between, after the plan was read and before the line is locked, is not written over."""
    line = lined(ward)
    draft = ward.draft(
        order(PARACETAMOL, "09:00"),
        order(RAMIPRIL, ends_on=today(9).isoformat(), replaces_line_id=line.prescription_line_id),
    )
    tell = people.professional

    def stopping(*asked: Any, **options: Any) -> Any:
        change(ward, "Stop", line, as_="colleague")
        return tell(*asked, **options)

    monkeypatch.setattr(people, "professional", stopping)
    failed = refused(lambda: ward.sign(draft))
    assert (failed.reason, failed.field) == ("LINE_ENDED", "orders[1].replaces_line_id")
    assert line_of(ward, line.prescription_line_id).status == pb.LINE_STATUS_STOPPED
    assert verify(ward, line.prescription_id).valid
    assert plan(ward).lines == []


def test_of_a_stop_and_a_replacement_at_once_one_is_told(ward: World) -> None:
    for _ in range(3):
        line = lined(ward)
        draft = ward.draft(order(PARACETAMOL, "09:00", replaces_line_id=line.prescription_line_id))
        found = at_once(lambda: ward.sign(draft), lambda line=line: change(ward, "Stop", line, as_="colleague"))  # noqa: B023
        assert found in (["ETAG_STALE", "done"], ["LINE_ENDED", "done"])
        assert verify(ward, line.prescription_id).valid
        for each in plan(ward).lines:
            change(ward, "Stop", each)


# ------------------------------------------------------------------------------------------------------- half done


@pytest.mark.parametrize(
    "table", ["prescription", "prescription_line", "signed_act", "entry_version", "outbox", "journal_outbox"]
)
def test_a_signature_that_fails_half_way_leaves_the_draft_and_nothing_else(ward: World, table: str) -> None:
    old = lined(ward)
    draft = ward.draft(order(PARACETAMOL, "09:00", replaces_line_id=old.prescription_line_id))
    counted = (
        "SELECT (SELECT count(*) FROM prescription WHERE tenant_id = %(t)s),"
        " (SELECT count(*) FROM signed_act WHERE tenant_id = %(t)s)"
    )
    before = ward.harness.admin(counted, {"t": ward.tenant})  # type: ignore[arg-type]
    ward.harness.admin(f"ALTER TABLE {table} ADD CONSTRAINT refused CHECK (tenant_id <> '{ward.tenant}') NOT VALID")
    try:
        with pytest.raises(Exception, match=r"refused|INTERNAL"):
            ward.sign(draft)
    finally:
        ward.harness.admin(f"ALTER TABLE {table} DROP CONSTRAINT refused")
    assert ward.harness.admin(counted, {"t": ward.tenant}) == before  # type: ignore[arg-type]
    assert get(ward, draft) == draft
    assert [line.prescription_line_id for line in plan(ward).lines] == [old.prescription_line_id]
    assert ward.sign(draft).status == pb.PRESCRIPTION_STATUS_SIGNED


# ---------------------------------------------------------------------------------------------------- behind the service


def _rewrite(
    ward: World, line: pb.PrescriptionLine, forge: Callable[[pb.PrescriptionLine], None], **columns: Any
) -> None:
    """What somebody with the database does to a line."""
    [(content,)] = ward.harness.admin(
        "SELECT content FROM prescription_line WHERE prescription_line_id = %s", (line.prescription_line_id,)
    )
    message = pb.PrescriptionLine.FromString(bytes(content))
    forge(message)
    named = {"content": message.SerializeToString(), **columns}
    changes = ", ".join(f"{name} = %s" for name in named)
    ward.harness.admin(
        f"UPDATE prescription_line SET {changes} WHERE prescription_line_id = %s",  # noqa: S608
        (*named.values(), line.prescription_line_id),
    )


def _nothing(_: pb.PrescriptionLine) -> None:
    pass


def _resume(line: pb.PrescriptionLine) -> None:
    line.pauses[-1].until.GetCurrentTime()


def _suspend(line: pb.PrescriptionLine) -> None:
    line.pauses.add().CopyFrom(line.pauses[-1])


def _longer(line: pb.PrescriptionLine) -> None:
    line.pauses[-1].until.FromDatetime(datetime(2030, 1, 1, tzinfo=UTC))


def _replace(line: pb.PrescriptionLine) -> None:
    line.replaced_by_line_id = "0197a000-0000-7000-8000-000000000001"


@pytest.mark.parametrize(
    ("forge", "columns"),
    [
        (_nothing, {"last_on": today(-1)}),
        (_nothing, {"facility_id": "0197a000-0000-7000-8000-000000000001"}),
        (_nothing, {"status": 1}),
        (_nothing, {"status": 3}),
        (_replace, {"status": 4}),
        (_resume, {"status": 1}),
        (_suspend, {}),
        (_longer, {}),
    ],
    ids=[
        "earlier end",
        "another facility",
        "as if never suspended",
        "stopped",
        "replaced",
        "resumed",
        "suspended twice",
        "suspended longer",
    ],
)
def test_what_became_of_a_line_behind_the_service_is_found_out(
    ward: World, forge: Callable[[pb.PrescriptionLine], None], columns: dict[str, Any]
) -> None:
    line = change(ward, "Suspend", lined(ward), until=to_timestamp(datetime.now(UTC) + timedelta(days=3)))
    assert verify(ward, line.prescription_id).valid
    _rewrite(ward, line, forge, **columns)
    assert not verify(ward, line.prescription_id).valid


def test_an_order_that_is_signed_counts_once_however_often_its_row_is_copied(ward: World) -> None:
    line = change(ward, "Suspend", lined(ward))
    line = change(ward, "Resume", line)
    ward.harness.admin(
        "INSERT INTO signed_act SELECT tenant_id, gen_random_uuid(), beneficiary_id, prescription_id, prescription_line_id, act,"
        " signer_account_id, signed_at, jws FROM signed_act WHERE prescription_id = %s AND act = 3",
        (line.prescription_id,),
    )
    _rewrite(ward, line, _suspend, status=2)
    assert not verify(ward, line.prescription_id).valid


def test_every_way_that_a_line_goes_holds_when_it_is_verified(ward: World) -> None:
    line = lined(ward)
    line = change(ward, "Suspend", line, until=to_timestamp(datetime.now(UTC) + timedelta(days=3)), text="hôpital")
    line = change(ward, "Resume", line)
    line = change(ward, "Suspend", line, reason=pb.STOP_REASON_OTHER, text=" jeûne ")
    assert verify(ward, line.prescription_id).valid
    line = change(ward, "Stop", line, reason=pb.STOP_REASON_OTHER, text=" fini ")
    found = verify(ward, line.prescription_id)
    assert found.valid
    names = [pb.SignedActKind.Name(act.act).removeprefix("SIGNED_ACT_KIND_") for act in found.acts]
    assert names == ["PRESCRIPTION", "SUSPEND", "RESUME", "SUSPEND", "STOP"]
    other = lined(ward)
    instead = ward.prescribe(order(PARACETAMOL, "09:00", replaces_line_id=other.prescription_line_id))
    assert verify(ward, other.prescription_id).valid
    assert verify(ward, instead.prescription_id).valid


# ------------------------------------------------------------------------------------------------------------ merged


def test_a_draft_that_was_begun_before_a_merge_is_written_anew(ward: World) -> None:
    """It was checked against one record: what it would be signed for is another one, of which the prescriber has seen nothing."""
    draft = ward.draft(order(PARACETAMOL), person=ward.second)
    merge = facts_pb2.PersonChanged(beneficiary_id=ward.second, version=2, surviving_id=ward.person)
    ward.harness.facts(ward.tenant, [merge])
    failed = refused(lambda: ward.sign(draft))
    assert (failed.reason, failed.field) == ("DRAFT_OF_ANOTHER_RECORD", "prescription_id")
    assert not plan(ward).lines
    delete(ward, draft)
    signed = ward.prescribe(order(PARACETAMOL), person=ward.second)
    assert signed.beneficiary_id == ward.person
    ward.harness.facts(ward.tenant, [facts_pb2.PersonChanged(beneficiary_id=ward.second, version=3)])
    assert verify(ward, signed.prescription_id).valid
    assert [line.prescription_id for line in plan(ward).lines] == [signed.prescription_id]


def test_a_confirmed_plan_waits_again_when_a_third_record_comes(ward: World) -> None:
    nothing = treatment_plans_pb2.ConfirmTreatmentPlanRequest(beneficiary_id=ward.person, line_ids=[new_id()])
    assert refused(lambda: _confirm(ward, nothing)).reason == "NOTHING_TO_CONFIRM"
    third = new_id()
    stay = ward.stay(third, ward.home, datetime.now(UTC) - timedelta(days=1))
    ward.harness.facts(ward.tenant, [facts_pb2.PersonChanged(beneficiary_id=third, version=1), stay])
    for person in (ward.person, ward.second, third):
        ward.prescribe(order(PARACETAMOL), person=person)
    for other in (ward.second, third):
        merge = facts_pb2.PersonChanged(beneficiary_id=other, version=2, surviving_id=ward.person)
        ward.harness.facts(ward.tenant, [merge])
        assert plan(ward).status == treatment_plans_pb2.TREATMENT_PLAN_STATUS_TO_REVIEW
        read = [line.prescription_line_id for line in plan(ward).lines]
        confirm = treatment_plans_pb2.ConfirmTreatmentPlanRequest(beneficiary_id=ward.person, line_ids=read)
        assert _confirm(ward, confirm).treatment_plan.status == treatment_plans_pb2.TREATMENT_PLAN_STATUS_IN_FORCE
    assert len(plan(ward).lines) == 3


def _confirm(ward: World, request: treatment_plans_pb2.ConfirmTreatmentPlanRequest) -> Any:
    return ward.call("TreatmentPlanService/ConfirmTreatmentPlan", request, acr=2)


# ------------------------------------------------------------------------------------------------------------- paper


@pytest.mark.parametrize(
    "text",
    [
        '#read("/etc/passwd")',
        '#panic("x")',
        "]]}} #let x = 1",
        "<script>alert(1)</script>",
        "$ \\ ` @ ~ * _",
        "\u202e\u2066x",
    ],
)
def test_what_is_typed_is_printed_and_never_run(ward: World, text: str) -> None:
    signed = ward.prescribe(order(PARACETAMOL, indication=text, instructions=text))
    request = pb.GetPrescriptionDocumentRequest(**of(ward, signed))
    data = ward.call("PrescriptionService/GetPrescriptionDocument", request).document.data
    assert data.startswith(b"%PDF-")
    assert b"root:" not in data
    assert line_of(ward, signed.line_ids[0]).order.indication == text


def test_a_preparation_is_typed_freely_and_says_that_nothing_was_checked(ward: World) -> None:
    paste = order("", preparation="  Pâte à l'eau  ", unit="{applic}", route="cutanée")
    paste.ClearField("cis")
    answer = check(ward, paste)
    assert "NOT_IN_CATALOGUE" in {each.code for each in answer.report.limits}
    assert answer.views[0].label == "Pâte à l'eau"
    both = order(PARACETAMOL, preparation="Pâte")
    assert "MEDICINE_MISSING" in {each.code for each in check(ward, both).report.limits}
