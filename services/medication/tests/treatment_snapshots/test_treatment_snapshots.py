"""What records is told of a person's treatment: every line in force, of every record of the person, and of nobody else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from dui.access.v1 import facts_pb2
from dui.medication.v1 import catalogue_pb2, reviews_pb2, treatment_plans_pb2
from dui.medication.v1 import prescriptions_pb2 as prescriptions
from dui.medication.v1 import treatment_snapshots_pb2 as pb
from dui.options.v1 import options_pb2
from dui_kit.ids import new_id
from dui_kit.testing import CallFailed, Harness
from dui_kit.times import from_timestamp, to_timestamp
from dui_kit.wire.contract import descriptor_of
from dui_medication.prescriptions.lines import MOST
from dui_medication.testing import World, order, today

OPERATION = "dui.medication.v1.TreatmentSnapshotService/GetTreatmentSnapshot"
PARACETAMOL, WARFARIN, MORPHINE = "99000001", "99000021", "99000005"


@pytest.fixture
def ward(harness: Harness, world: World) -> World:
    """An association; nothing of its treatments depends on a thesaurus."""
    del harness
    return world


def snapshot(world: World, beneficiary_id: str, *, service: str = "records") -> pb.TreatmentSnapshot:
    request = pb.GetTreatmentSnapshotRequest(tenant_id=world.tenant, beneficiary_id=beneficiary_id)
    found: pb.TreatmentSnapshot = world.harness.call(OPERATION, request, service=service).snapshot
    return found


def merge(world: World, surviving: str, merged: str, *, version: int = 2, apart: bool = False) -> None:
    fact = facts_pb2.PersonChanged(beneficiary_id=merged, version=version, surviving_id=None if apart else surviving)
    world.harness.facts(world.tenant, [fact])


def line(world: World, line_id: str) -> Any:
    request = prescriptions.GetPrescriptionLineRequest(beneficiary_id=world.person, prescription_line_id=line_id)
    return world.call("PrescriptionService/GetPrescriptionLine", request).prescription_line


def suspend(world: World, line_id: str, until: datetime | None) -> None:
    request = prescriptions.SuspendPrescriptionLineRequest(
        beneficiary_id=world.person,
        prescription_line_id=line_id,
        reason=prescriptions.STOP_REASON_OTHER,
        text="à jeun",
        until=None if until is None else to_timestamp(until),
    )
    etag = line(world, line_id).etag
    world.call("PrescriptionService/SuspendPrescriptionLine", request, if_match=etag, acr=2)


def stop(world: World, line_id: str) -> None:
    request = prescriptions.StopPrescriptionLineRequest(
        beneficiary_id=world.person,
        prescription_line_id=line_id,
        reason=prescriptions.STOP_REASON_OTHER,
        text="guérie",
    )
    etag = line(world, line_id).etag
    world.call("PrescriptionService/StopPrescriptionLine", request, if_match=etag, acr=2)


# -------------------------------------------------------------------------------------------------------------- content


def test_a_line_is_told_in_a_few_words(ward: World) -> None:
    ends_on = today(6).isoformat()
    signed = ward.prescribe(
        order(MORPHINE, "08:00", unit="{caps}", ends_on=ends_on, nursing_act_required=True),
    )
    before = datetime.now(UTC) - timedelta(seconds=5)
    found = snapshot(ward, ward.person)
    assert before <= from_timestamp(found.read_at) <= datetime.now(UTC)
    assert (found.beneficiary_id, list(found.merged_beneficiary_ids)) == (ward.person, [])
    assert (found.status, found.complete) == (treatment_plans_pb2.TREATMENT_PLAN_STATUS_IN_FORCE, True)
    [told] = found.lines
    assert "8\u00a0h" in told.dosage_text
    assert told.label == line(ward, signed.line_ids[0]).view.label
    told.ClearField("dosage_text")
    told.ClearField("label")
    assert told == pb.TreatmentSnapshotLine(
        prescription_line_id=signed.line_ids[0],
        beneficiary_id=ward.person,
        facility_id=ward.home,
        status=prescriptions.LINE_STATUS_ACTIVE,
        starts_on=today().isoformat(),
        ends_on=ends_on,
        nursing_act_required=True,
        poison_list=catalogue_pb2.POISON_LIST_NARCOTIC,
        fictive=True,
        prescriber_account_id=ward.accounts["doctor"],
    )


def test_what_is_given_only_if_needed_and_has_no_end_is_told_as_such(ward: World) -> None:
    dosage = {
        "unit": "{tbl}",
        "as_needed": {"quantity": "1", "reason": "douleur", "max_per_24h": "4", "min_gap_minutes": 360},
    }
    ward.prescribe(order(PARACETAMOL, dosage=dosage))
    [told] = snapshot(ward, ward.person).lines
    assert told.as_needed
    assert not told.nursing_act_required
    assert not told.HasField("ends_on")


def test_a_review_and_a_suspension_are_told_and_a_stopped_line_is_not(ward: World) -> None:
    kept, stopped = ward.prescribe(order(PARACETAMOL), order(WARFARIN, ends_on=today(30).isoformat())).line_ids
    review = prescriptions.LineReview(outcome=prescriptions.REVIEW_OUTCOME_ACCEPTED)
    request = reviews_pb2.ReviewPrescriptionLineRequest(
        beneficiary_id=ward.person, prescription_line_id=kept, review=review
    )
    ward.call("ReviewService/ReviewPrescriptionLine", request, as_="pharmacist", if_match=line(ward, kept).etag)
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=2)
    suspend(ward, kept, until)
    stop(ward, stopped)
    [told] = snapshot(ward, ward.person).lines
    assert told.prescription_line_id == kept
    assert told.status == prescriptions.LINE_STATUS_SUSPENDED
    assert from_timestamp(told.suspended_until) == until
    assert told.review_outcome == prescriptions.REVIEW_OUTCOME_ACCEPTED


def test_a_person_without_a_treatment_has_none_and_that_is_known(ward: World) -> None:
    found = snapshot(ward, ward.person)
    assert (list(found.lines), found.complete) == ([], True)
    assert found.HasField("read_at")


def test_more_lines_than_can_be_told_are_never_taken_for_all_of_them(ward: World) -> None:
    [line_id] = ward.prescribe(order(PARACETAMOL)).line_ids
    ward.harness.admin(
        "INSERT INTO prescription_line (tenant_id, prescription_line_id, beneficiary_id, version, author_account_id,"
        " recorded_at, created_at, prescription_id, facility_id, status, last_on, work, content)"
        " SELECT tenant_id, uuidv7(), beneficiary_id, version, author_account_id, recorded_at, created_at, prescription_id,"
        " facility_id, status, last_on, work, content FROM prescription_line, generate_series(1, %s)"
        " WHERE tenant_id = %s AND prescription_line_id = %s",
        (MOST, ward.tenant, line_id),
    )
    found = snapshot(ward, ward.person)
    assert (len(found.lines), found.complete) == (MOST, False)


# --------------------------------------------------------------------------------------------------------------- merges


def test_a_merged_record_answers_for_the_whole_person_and_the_plan_is_to_be_reviewed(ward: World) -> None:
    [own] = ward.prescribe(order(PARACETAMOL)).line_ids
    [other] = ward.prescribe(order(WARFARIN, ends_on=today(30).isoformat()), person=ward.second).line_ids
    merge(ward, ward.person, ward.second)
    for asked in (ward.person, ward.second):
        found = snapshot(ward, asked)
        assert (found.beneficiary_id, list(found.merged_beneficiary_ids)) == (ward.person, [ward.second])
        assert [(each.prescription_line_id, each.beneficiary_id) for each in found.lines] == [
            (own, ward.person),
            (other, ward.second),
        ]
        assert found.status == treatment_plans_pb2.TREATMENT_PLAN_STATUS_TO_REVIEW
    request = treatment_plans_pb2.ConfirmTreatmentPlanRequest(beneficiary_id=ward.person, line_ids=[own, other])
    ward.call("TreatmentPlanService/ConfirmTreatmentPlan", request, acr=2)
    assert snapshot(ward, ward.second).status == treatment_plans_pb2.TREATMENT_PLAN_STATUS_IN_FORCE
    merge(ward, ward.person, ward.second, version=3, apart=True)
    found = snapshot(ward, ward.second)
    assert (found.beneficiary_id, [each.prescription_line_id for each in found.lines]) == (ward.second, [other])


# ------------------------------------------------------------------------------------------------------------- who asks


def test_a_person_whom_medication_has_not_heard_of_is_not_one_without_a_treatment(ward: World) -> None:
    with pytest.raises(CallFailed) as refused:
        snapshot(ward, new_id())
    assert (refused.value.reason, refused.value.field) == ("NOT_FOUND", "beneficiary_id")


def test_another_associations_person_is_not_found(ward: World) -> None:
    elsewhere = World(ward.harness, now=datetime.now(UTC) - timedelta(minutes=5))
    with pytest.raises(CallFailed, match="NOT_FOUND"):
        snapshot(ward, elsewhere.person)


@pytest.mark.parametrize("service", ["identity", "medication", "gateway"])
def test_no_other_service_is_told(ward: World, service: str) -> None:
    with pytest.raises(CallFailed, match="SERVICE_ONLY"):
        snapshot(ward, ward.person, service=service)


def test_no_person_is_told(ward: World) -> None:
    request = pb.GetTreatmentSnapshotRequest(tenant_id=ward.tenant, beneficiary_id=ward.person)
    with pytest.raises(CallFailed, match="SERVICE_ONLY"):
        ward.call("TreatmentSnapshotService/GetTreatmentSnapshot", request)


def test_what_is_personal_of_a_line_is_marked() -> None:
    fields = descriptor_of(pb.TreatmentSnapshotLine()).fields
    marked = {field.name for field in fields if field.GetOptions().Extensions[options_pb2.sensitive]}
    assert marked == {"label", "dosage_text"}
