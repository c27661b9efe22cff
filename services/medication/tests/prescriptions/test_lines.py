"""What is ordered about a line after it was signed, and whether what is shown is what was signed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from dui.access.v1 import facts_pb2
from dui.medication.v1 import events_pb2, treatment_plans_pb2
from dui.medication.v1 import prescriptions_pb2 as pb
from dui_kit.ids import new_id
from dui_kit.testing import CallFailed
from dui_kit.times import to_timestamp
from dui_medication.testing import World, announced, order, today

PARACETAMOL, RAMIPRIL, WARFARIN, MICONAZOLE = "99000001", "99000010", "99000021", "99000022"
STOP, SUSPEND, RESUME = (f"PrescriptionService/{verb}PrescriptionLine" for verb in ("Stop", "Suspend", "Resume"))


def line_of(ward: World, line_id: str) -> pb.PrescriptionLine:
    request = pb.GetPrescriptionLineRequest(beneficiary_id=ward.person, prescription_line_id=line_id)
    found: pb.PrescriptionLine = ward.call("PrescriptionService/GetPrescriptionLine", request).prescription_line
    return found


def stop(ward: World, line: pb.PrescriptionLine, **options: Any) -> pb.PrescriptionLine:
    request = pb.StopPrescriptionLineRequest(
        beneficiary_id=line.beneficiary_id,
        prescription_line_id=line.prescription_line_id,
        reason=pb.STOP_REASON_ADVERSE_EFFECT,
    )
    options = {"acr": 2, "if_match": line.etag} | options
    done: pb.PrescriptionLine = ward.call(STOP, request, **options).prescription_line
    return done


def suspend(ward: World, line: pb.PrescriptionLine, until: datetime | None = None, **more: Any) -> pb.PrescriptionLine:
    request = pb.SuspendPrescriptionLineRequest(
        beneficiary_id=line.beneficiary_id,
        prescription_line_id=line.prescription_line_id,
        until=to_timestamp(until) if until else None,
        **({"reason": pb.STOP_REASON_ABSENCE} | more),
    )
    done: pb.PrescriptionLine = ward.call(SUSPEND, request, acr=2, if_match=line.etag).prescription_line
    return done


def signed_line(ward: World, **more: Any) -> pb.PrescriptionLine:
    [line_id] = ward.prescribe(order(PARACETAMOL, "08:00", "20:00", **more)).line_ids
    return line_of(ward, line_id)


def verify(ward: World, prescription_id: str) -> pb.VerifyPrescriptionResponse:
    request = pb.VerifyPrescriptionRequest(beneficiary_id=ward.person, prescription_id=prescription_id)
    answer: pb.VerifyPrescriptionResponse = ward.call("PrescriptionService/VerifyPrescription", request, as_="nurse")
    return answer


def doses(ward: World, first: int = 0, last: int = 0) -> list[treatment_plans_pb2.DueDose]:
    request = treatment_plans_pb2.ListDueDosesRequest(
        beneficiary_id=ward.person, from_on=today(first).isoformat(), to_on=today(last).isoformat(), page_size=200
    )
    return list(ward.call("TreatmentPlanService/ListDueDoses", request, as_="nurse").due_doses)


def test_a_stopped_line_has_no_dose_from_that_moment_and_stays_readable(ward: World) -> None:
    line = signed_line(ward)
    assert len(doses(ward, 1, 2)) == 4
    done = stop(ward, line)
    assert done.status == pb.LINE_STATUS_STOPPED
    assert doses(ward, 1, 2) == []
    assert line_of(ward, line.prescription_line_id) == done
    with pytest.raises(CallFailed) as refused:
        stop(ward, done)
    assert refused.value.reason == "LINE_ENDED"
    changes = [each.change for each in announced(ward.harness, ward.tenant, events_pb2.PrescriptionLineChanged)]
    assert changes == [events_pb2.LINE_CHANGE_SIGNED, events_pb2.LINE_CHANGE_STOPPED]


def test_only_a_prescriber_with_a_second_factor_who_read_the_line_as_it_is_stops_it(ward: World) -> None:
    line = signed_line(ward)
    for options, reason in (
        ({"as_": "nurse"}, "RIGHT_MISSING"),
        ({"as_": "pharmacist"}, "RIGHT_MISSING"),
        ({"as_": "stranger"}, "OUT_OF_PERIMETER"),
        ({"acr": 1}, "STEP_UP_REQUIRED"),
        ({"if_match": "of-yesterday"}, "ETAG_STALE"),
        ({"if_match": ""}, "PRECONDITION_REQUIRED"),
    ):
        with pytest.raises(CallFailed) as refused:
            stop(ward, line, **options)
        assert refused.value.reason == reason
    assert line_of(ward, line.prescription_line_id).status == pb.LINE_STATUS_ACTIVE


def test_a_suspended_line_has_no_dose_until_it_is_resumed_or_its_suspension_ends(ward: World) -> None:
    line = signed_line(ward)
    suspended = suspend(ward, line, until=datetime.now(UTC) + timedelta(days=3))
    assert suspended.status == pb.LINE_STATUS_SUSPENDED
    assert doses(ward, 1, 2) == []
    assert len(doses(ward, 4, 5)) == 4
    with pytest.raises(CallFailed) as twice:
        suspend(ward, suspended)
    assert twice.value.reason == "LINE_SUSPENDED"
    request = pb.ResumePrescriptionLineRequest(
        beneficiary_id=ward.person, prescription_line_id=line.prescription_line_id
    )
    resumed = ward.call(RESUME, request, acr=2, if_match=suspended.etag).prescription_line
    assert resumed.status == pb.LINE_STATUS_ACTIVE
    assert len(doses(ward, 1, 2)) == 4
    with pytest.raises(CallFailed) as again:
        ward.call(RESUME, request, acr=2, if_match=resumed.etag)
    assert again.value.reason == "LINE_NOT_SUSPENDED"


def test_another_reason_has_to_be_said_and_a_suspension_ends_after_now(ward: World) -> None:
    line = signed_line(ward)
    with pytest.raises(CallFailed) as refused:
        suspend(ward, line, reason=pb.STOP_REASON_OTHER)
    assert (refused.value.reason, refused.value.field) == ("STOP_REASON_TEXT", "text")
    with pytest.raises(CallFailed) as past:
        suspend(ward, line, until=datetime.now(UTC) - timedelta(minutes=1))
    assert (past.value.reason, past.value.field) == ("SUSPENSION_OVER", "until")


def test_a_line_is_replaced_by_one_that_is_signed_in_its_place(ward: World) -> None:
    line = signed_line(ward)
    more = order(PARACETAMOL, "08:00", "14:00", "20:00", replaces_line_id=line.prescription_line_id)
    [new_id_] = ward.prescribe(more).line_ids
    old = line_of(ward, line.prescription_line_id)
    assert (old.status, old.replaced_by_line_id) == (pb.LINE_STATUS_REPLACED, new_id_)
    assert {dose.prescription_line_id for dose in doses(ward, 1, 1)} == {new_id_}
    with pytest.raises(CallFailed) as again:
        ward.prescribe(more)
    assert (again.value.reason, again.value.field) == ("LINE_ENDED", "orders[0].replaces_line_id")


def test_a_replaced_line_does_not_count_in_the_check_of_what_replaces_it(ward: World) -> None:
    [warfarin] = ward.prescribe(order(WARFARIN, ends_on=today(89).isoformat())).line_ids
    instead = order(
        MICONAZOLE, unit="{applic}", route="buccale", ends_on=today(7).isoformat(), replaces_line_id=warfarin
    )
    assert ward.prescribe(instead).status == pb.PRESCRIPTION_STATUS_SIGNED


def test_two_who_sign_at_once_for_one_person_are_checked_one_after_the_other(ward: World) -> None:
    """Each prescription alone is right; together they are contraindicated: the second one has to see the first."""
    gel = order(MICONAZOLE, unit="{applic}", route="buccale", ends_on=today(7).isoformat())
    drafts = [
        (ward.draft(order(WARFARIN, ends_on=today(89).isoformat())), "doctor"),
        (ward.draft(gel, as_="colleague"), "colleague"),
    ]

    def sign(asked: tuple[Any, str]) -> str:
        draft, who = asked
        try:
            ward.sign(draft, as_=who)
        except CallFailed as failed:
            return failed.reason
        return "signed"

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(sign, drafts)) == ["ALERT_NOT_OVERRIDDEN", "signed"]


def test_a_repeated_signature_with_its_key_signs_once(ward: World) -> None:
    draft = ward.draft(order(PARACETAMOL))
    first = ward.sign(draft, idempotency_key="sign-1")
    assert ward.sign(draft, idempotency_key="sign-1") == first
    with pytest.raises(CallFailed) as other:
        ward.sign(draft, idempotency_key="sign-2")
    assert other.value.reason == "PRESCRIPTION_SIGNED"


def test_what_was_signed_is_verified_by_anybody_with_the_public_key(ward: World) -> None:
    signed = ward.prescribe(order(PARACETAMOL, indication="Douleurs"))
    stop(ward, line_of(ward, signed.line_ids[0]))
    answer = verify(ward, signed.prescription_id)
    assert answer.valid
    assert [act.act for act in answer.acts] == [pb.SIGNED_ACT_KIND_PRESCRIPTION, pb.SIGNED_ACT_KIND_STOP]
    [key] = answer.keys
    public = load_pem_public_key(key.pem.encode())
    for act in answer.acts:
        told = jwt.decode(act.jws, public, algorithms=["EdDSA"], options={"verify_signature": True})  # type: ignore[arg-type]
        assert told["prescription_id"] == signed.prescription_id
        assert told["signer"]["account_id"] == ward.accounts["doctor"]
        assert jwt.get_unverified_header(act.jws)["kid"] == key.key_id


@pytest.mark.parametrize(
    ("table", "column", "where"),
    [
        ("prescription", "content", "prescription_id"),
        ("prescription_line", "content", "prescription_id"),
        ("signed_act", "jws", "prescription_id"),
    ],
)
def test_who_changes_a_row_behind_the_service_is_found_out(ward: World, table: str, column: str, where: str) -> None:
    signed = ward.prescribe(order(PARACETAMOL, "08:00"))
    assert verify(ward, signed.prescription_id).valid
    harness = ward.harness
    if column == "content":
        [(content,)] = harness.admin(f"SELECT content FROM {table} WHERE {where} = %s", (signed.prescription_id,))  # noqa: S608
        forged = bytes(content).replace(b"08:00", b"09:00")
        assert forged != content
        harness.admin(f"UPDATE {table} SET content = %s WHERE {where} = %s", (forged, signed.prescription_id))  # noqa: S608
    else:
        harness.admin(
            "UPDATE signed_act SET jws = overlay(jws placing 'AAAA' from 200) WHERE prescription_id = %s",
            (signed.prescription_id,),
        )
    answer = verify(ward, signed.prescription_id)
    assert not answer.valid
    assert [act.defect for act in answer.acts if not act.valid] != []


def test_a_line_that_was_stopped_behind_the_service_is_found_out(ward: World) -> None:
    signed = ward.prescribe(order(PARACETAMOL))
    ward.harness.admin("UPDATE prescription_line SET status = 3 WHERE prescription_id = %s", (signed.prescription_id,))
    answer = verify(ward, signed.prescription_id)
    assert not answer.valid


def test_the_service_itself_can_neither_change_nor_delete_what_was_signed(ward: World) -> None:
    app = ward.harness.database.app_url.split("//")[1].split(":")[0]
    for table in ("prescription", "signed_act", "plan_confirmation", "entry_version"):
        [(update, delete)] = ward.harness.admin(
            "SELECT has_table_privilege(%s, %s, 'UPDATE'), has_table_privilege(%s, %s, 'DELETE')",
            (app, table, app, table),
        )
        assert (update, delete) == (False, False), table


def test_a_merge_puts_the_plan_under_review_and_its_doses_stay_due(ward: World) -> None:
    [mine] = ward.prescribe(order(PARACETAMOL, "08:00")).line_ids
    [other] = ward.prescribe(order(RAMIPRIL, "09:00", ends_on=today(89).isoformat()), person=ward.second).line_ids
    merged = facts_pb2.PersonChanged(beneficiary_id=ward.second, version=2, surviving_id=ward.person)
    ward.harness.facts(ward.tenant, [merged])
    request = treatment_plans_pb2.GetTreatmentPlanRequest(beneficiary_id=ward.person)
    plan = ward.call("TreatmentPlanService/GetTreatmentPlan", request, as_="nurse").treatment_plan
    assert plan.status == treatment_plans_pb2.TREATMENT_PLAN_STATUS_TO_REVIEW
    assert {line.prescription_line_id for line in plan.lines} == {mine, other}
    assert len(doses(ward, 1, 1)) == 2
    with pytest.raises(CallFailed) as refused:
        ward.prescribe(order("99000028", unit="{sachet}"))
    assert refused.value.reason == "PLAN_TO_REVIEW"
    confirm = treatment_plans_pb2.ConfirmTreatmentPlanRequest(beneficiary_id=ward.person, line_ids=[mine])
    with pytest.raises(CallFailed) as partly:
        ward.call("TreatmentPlanService/ConfirmTreatmentPlan", confirm, acr=2)
    assert (partly.value.reason, partly.value.field) == ("PLAN_CHANGED", "line_ids")
    confirm.line_ids.append(other)
    with pytest.raises(CallFailed) as nurse:
        ward.call("TreatmentPlanService/ConfirmTreatmentPlan", confirm, acr=2, as_="nurse")
    assert nurse.value.reason == "RIGHT_MISSING"
    answer = ward.call("TreatmentPlanService/ConfirmTreatmentPlan", confirm, acr=2).treatment_plan
    assert answer.status == treatment_plans_pb2.TREATMENT_PLAN_STATUS_IN_FORCE
    assert ward.prescribe(order("99000028", unit="{sachet}")).line_ids


def test_each_dose_names_the_facility_that_gives_it(ward: World) -> None:
    ward.harness.facts(ward.tenant, [ward.stay(ward.person, ward.other_home, datetime.now(UTC) - timedelta(hours=1))])
    ward.prescribe(order(PARACETAMOL, "08:00"), order(RAMIPRIL, "12:00", facility_id=ward.other_home))
    found = {dose.facility_id for dose in doses(ward, 1, 1)}
    assert found == {ward.home, ward.other_home}


def test_a_facility_where_the_person_has_no_stay_gives_nothing(ward: World) -> None:
    with pytest.raises(CallFailed) as refused:
        ward.prescribe(order(PARACETAMOL, facility_id=ward.other_home))
    assert (refused.value.reason, refused.value.field) == (
        "FACILITY_NOT_FOLLOWING",
        "orders[0].facility_id",
    )


def test_a_dead_person_is_prescribed_nothing(ward: World, people: Any) -> None:
    people.died_on = today(-1).isoformat()
    with pytest.raises(CallFailed) as refused:
        ward.prescribe(order(PARACETAMOL))
    assert refused.value.reason == "PERSON_DEAD"


def test_somebody_without_an_rpps_number_signs_nothing(ward: World, people: Any) -> None:
    people.rpps = ""
    with pytest.raises(CallFailed) as refused:
        ward.prescribe(order(PARACETAMOL))
    assert refused.value.reason == "PRESCRIBER_WITHOUT_RPPS"


def test_a_child_needs_a_dated_weight_and_is_shown_the_dose_for_each_kilogram(ward: World, people: Any) -> None:
    people.birth_date = today(-365 * 10).isoformat()
    with pytest.raises(CallFailed) as refused:
        ward.prescribe(order(PARACETAMOL))
    assert (refused.value.reason, refused.value.field) == ("WEIGHT_MISSING", "weight_kg")
    signed = ward.prescribe(order(PARACETAMOL), weight_kg="25", weighed_on=today(-10).isoformat())
    assert line_of(ward, signed.line_ids[0]).view.dose_mg_per_kg == "20"


def test_an_unknown_prescription_and_line_are_not_found(ward: World) -> None:
    with pytest.raises(CallFailed) as refused:
        verify(ward, new_id())
    assert refused.value.reason == "NOT_FOUND"
    with pytest.raises(CallFailed) as line:
        line_of(ward, new_id())
    assert line.value.reason == "NOT_FOUND"


def test_the_document_is_a_pdf_with_the_medicine_in_it(ward: World) -> None:
    signed = ward.prescribe(order(PARACETAMOL))
    request = pb.GetPrescriptionDocumentRequest(beneficiary_id=ward.person, prescription_id=signed.prescription_id)
    document = ward.call("PrescriptionService/GetPrescriptionDocument", request, as_="pharmacist").document
    assert document.content_type == "application/pdf"
    assert document.data.startswith(b"%PDF-")
