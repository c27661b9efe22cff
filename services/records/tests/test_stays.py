"""Admission, stay and exit through the service: who may decide, what overlaps, and the access that each step gives."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from dui.access.v1 import facts_pb2
from dui.records.v1 import allergies_pb2, events_pb2
from dui.records.v1 import beneficiaries_pb2 as people
from dui.records.v1 import stays_pb2 as pb
from dui_kit.ids import new_id
from dui_kit.testing import CallFailed
from dui_kit.times import to_timestamp
from dui_records.testing import NURSE, SECRETARY, World, mask

WORK, RESIDENTIAL, DAY = pb.STAY_MODALITY_WORK, pb.STAY_MODALITY_RESIDENTIAL, pb.STAY_MODALITY_DAY


def refusal_of(act: object, *arguments: object, **options: object) -> CallFailed:
    with pytest.raises(CallFailed) as failed:
        act(*arguments, **options)  # type: ignore[operator]
    return failed.value


def nurse_reads_care(world: World, beneficiary_id: str, as_: str = "nurse") -> str:
    """What a nurse who opens the allergies of a person gets."""
    try:
        world.call(
            "AllergyService/ListAllergies", allergies_pb2.ListAllergiesRequest(beneficiary_id=beneficiary_id), as_=as_
        )
    except CallFailed as failed:
        return failed.reason
    return "OK"


# ------------------------------------------------------------------------------------------------------------ admission


def test_each_step_of_an_admission_opens_what_it_should(world: World) -> None:
    person = world.open().beneficiary_id
    admission = world.ask(person, accepted=False, as_="secretary")
    assert world.perimeter(admission.admission_id)[0] is True
    assert nurse_reads_care(world, person) == "RIGHT_MISSING"
    request = pb.AcceptAdmissionRequest(beneficiary_id=person, admission_id=admission.admission_id)
    accepted = world.call("AdmissionService/AcceptAdmission", request, as_="secretary").admission
    assert (accepted.status, accepted.HasField("decided_at")) == (pb.ADMISSION_STATUS_ACCEPTED, True)
    assert nurse_reads_care(world, person) == "OK"
    stay = world.enter(person, admission.admission_id, as_="secretary")
    assert nurse_reads_care(world, person) == "OK"
    admission_only, _, ended, _, version = world.perimeter(admission.admission_id)
    assert (admission_only, version) == (True, 3)
    assert ended <= datetime.now(UTC)
    assert world.perimeter(person)[2] <= datetime.now(UTC)  # the opening of the record
    admission_only, begins, ends, _, version = world.perimeter(stay.stay_id)
    assert (admission_only, ends, version) == (False, None, 1)
    assert begins <= datetime.now(UTC)


@pytest.mark.parametrize("decision", ["Refuse", "Withdraw"])
def test_a_request_that_comes_to_nothing_closes_care_at_once_and_the_rest_in_30_days(
    world: World, decision: str
) -> None:
    person = world.open().beneficiary_id
    admission = world.ask(person)
    kind = {"Refuse": pb.RefuseAdmissionRequest, "Withdraw": pb.WithdrawAdmissionRequest}[decision]
    request = kind(beneficiary_id=person, admission_id=admission.admission_id, decision_reason="Pas de place")
    closed = world.call(f"AdmissionService/{decision}Admission", request, as_="secretary").admission
    assert closed.decision_reason == "Pas de place"
    assert nurse_reads_care(world, person) == "RIGHT_MISSING"
    admission_only, _, ends, _, _ = world.perimeter(admission.admission_id)
    assert admission_only is True
    assert timedelta(days=29, hours=23) < ends - datetime.now(UTC) < timedelta(days=30, minutes=1)
    again = refusal_of(world.call, f"AdmissionService/{decision}Admission", request)
    assert again.reason == "ADMISSION_CLOSED"
    assert refusal_of(world.enter, person, admission.admission_id).reason == "ADMISSION_NOT_ACCEPTED"


def test_a_decision_belongs_to_the_facility_asked(world: World) -> None:
    person = world.open().beneficiary_id
    world.admit(person)
    admission = world.ask(person, facility_id=world.workshop, modality=WORK, accepted=False, as_="secretary")
    request = pb.AcceptAdmissionRequest(beneficiary_id=person, admission_id=admission.admission_id)
    refusal = refusal_of(world.call, "AdmissionService/AcceptAdmission", request, as_="secretary")
    assert (refusal.code, refusal.reason) == ("PERMISSION_DENIED", "NOT_OF_THIS_FACILITY")
    accepted = world.call("AdmissionService/AcceptAdmission", request, as_="elsewhere").admission
    assert accepted.status == pb.ADMISSION_STATUS_ACCEPTED
    assert refusal_of(world.enter, person, admission.admission_id, as_="secretary").reason == "NOT_OF_THIS_FACILITY"


def test_a_right_to_decide_at_one_place_is_none_at_another(world: World) -> None:
    """Somebody who only reads at the workshop, though they write at home, decides nothing there."""
    person = world.open().beneficiary_id
    world.admit(person)
    world.hire("secretary", NURSE, facility_id=world.workshop)
    admission = world.ask(person, facility_id=world.workshop, modality=WORK, accepted=False, as_="secretary")
    request = pb.AcceptAdmissionRequest(beneficiary_id=person, admission_id=admission.admission_id)
    refusal = refusal_of(world.call, "AdmissionService/AcceptAdmission", request, as_="secretary")
    assert refusal.reason == "NOT_OF_THIS_FACILITY"


def test_who_is_assigned_to_a_unit_moves_nobody_out_of_it_or_into_another(world: World) -> None:
    world.hire("of_unit", SECRETARY, facility_id=world.home, unit_id=world.unit)
    person = world.open().beneficiary_id
    admission = world.ask(person)
    refusal = refusal_of(world.enter, person, admission.admission_id, unit_id=world.other_unit, as_="of_unit")
    assert refusal.reason == "NOT_OF_THIS_FACILITY"
    stay = world.enter(person, admission.admission_id, unit_id=world.unit, as_="of_unit")
    move = pb.UpdateStayRequest(
        beneficiary_id=person,
        stay_id=stay.stay_id,
        stay=pb.Stay(unit_id=world.other_unit),
        update_mask=mask("unit_id"),
    )
    refusal = refusal_of(world.call, "StayService/UpdateStay", move, as_="of_unit", if_match=stay.etag)
    assert refusal.reason == "NOT_OF_THIS_FACILITY"
    moved = world.call("StayService/UpdateStay", move, as_="secretary", if_match=stay.etag).stay
    assert moved.unit_id == world.other_unit


def test_broken_glass_opens_the_record_and_no_admission(world: World) -> None:
    person = world.open().beneficiary_id
    glass = facts_pb2.BreakGlassChanged(
        break_glass_id=new_id(),
        version=1,
        account_id=world.accounts["elsewhere"],
        beneficiary_id=person,
        valid_from=to_timestamp(world.now - timedelta(minutes=1)),
        valid_to=to_timestamp(world.now + timedelta(hours=4)),
    )
    world.harness.facts(world.tenant, [glass])
    assert world.read(person, as_="elsewhere").beneficiary_id == person
    refusal = refusal_of(world.ask, person, facility_id=world.workshop, modality=WORK, as_="elsewhere")
    assert refusal.reason == "OUT_OF_PERIMETER"


def test_the_same_request_is_not_open_twice(world: World) -> None:
    person = world.open().beneficiary_id
    world.ask(person)
    refusal = refusal_of(world.ask, person, accepted=False)
    assert (refusal.code, refusal.reason) == ("ALREADY_EXISTS", "ADMISSION_ALREADY_OPEN")
    world.ask(person, modality=DAY, accepted=False)


def test_the_waiting_list_is_oldest_first_and_holds_only_open_requests(world: World) -> None:
    waiting = []
    for days_ago in (3, 9, 6):
        person = world.open().beneficiary_id
        asked_on = world.today - timedelta(days=days_ago)
        admission = world.ask(person, accepted=days_ago == 9, requested_on=asked_on)
        waiting.append((days_ago, admission.admission_id))
    entered = world.open().beneficiary_id
    world.admit(entered)
    world.ask(entered, facility_id=world.workshop, modality=WORK)
    found: list[str] = []
    request = pb.ListFacilityAdmissionsRequest(facility_id=world.home, page_size=2)
    while True:
        page = world.call("AdmissionService/ListFacilityAdmissions", request, as_="secretary")
        found += [admission.admission_id for admission in page.admissions]
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert found == [admission_id for _, admission_id in sorted(waiting, reverse=True)]


def test_a_request_of_somebody_else_is_not_found(world: World) -> None:
    one, other = world.open().beneficiary_id, world.open().beneficiary_id
    admission = world.ask(one)
    for operation, request in (
        (
            "AdmissionService/GetAdmission",
            pb.GetAdmissionRequest(beneficiary_id=other, admission_id=admission.admission_id),
        ),
        (
            "AdmissionService/AcceptAdmission",
            pb.AcceptAdmissionRequest(beneficiary_id=other, admission_id=admission.admission_id),
        ),
        (
            "AdmissionService/ListAdmissionVersions",
            pb.ListAdmissionVersionsRequest(beneficiary_id=other, admission_id=admission.admission_id),
        ),
    ):
        refusal = refusal_of(world.call, operation, request)
        assert (refusal.code, refusal.field) == ("NOT_FOUND", "admission_id")
    refusal = refusal_of(world.enter, other, admission.admission_id)
    assert (refusal.code, refusal.field) == ("NOT_FOUND", "stay.admission_id")
    got = world.call(
        "AdmissionService/GetAdmission", pb.GetAdmissionRequest(beneficiary_id=one, admission_id=admission.admission_id)
    )
    assert got.admission == admission


# ---------------------------------------------------------------------------------------------------------------- stays


def test_an_esat_a_foyer_and_a_savs_at_once_are_normal(world: World) -> None:
    person = world.open().beneficiary_id
    world.admit(person)
    world.admit(person, facility_id=world.workshop, modality=WORK)
    world.place(savs := new_id(), category="446")
    world.admit(person, facility_id=savs, modality=pb.STAY_MODALITY_HOME)
    stays = world.call("StayService/ListStays", pb.ListStaysRequest(beneficiary_id=person, page_size=2))
    rest = world.call(
        "StayService/ListStays",
        pb.ListStaysRequest(beneficiary_id=person, page_size=2, page_token=stays.next_page_token),
    )
    assert {stay.modality for stay in (*stays.stays, *rest.stays)} == {RESIDENTIAL, WORK, pb.STAY_MODALITY_HOME}


def test_overlapping_stays_are_refused_and_name_the_field(world: World) -> None:
    person = world.open().beneficiary_id
    stay = world.admit(person, started_on=world.today - timedelta(days=30))
    refusal = refusal_of(world.admit, person, modality=DAY)
    assert (refusal.code, refusal.reason, refusal.field) == (
        "ALREADY_EXISTS",
        "STAY_OVERLAPS_FACILITY",
        "stay.started_on",
    )
    refusal = refusal_of(world.admit, person, facility_id=world.workshop)
    assert refusal.reason == "STAY_OVERLAPS_RESIDENTIAL"
    world.end(person, stay.stay_id, pb.EXIT_REASON_TRANSFER, ended_on=world.today - timedelta(days=1))
    request = pb.ListAdmissionsRequest(beneficiary_id=person)
    waiting = [
        a
        for a in world.call("AdmissionService/ListAdmissions", request).admissions
        if a.status == pb.ADMISSION_STATUS_ACCEPTED
    ]
    assert [world.enter(person, admission.admission_id).modality for admission in waiting] == [RESIDENTIAL, DAY]


def test_the_database_refuses_an_overlap_that_no_rule_saw(world: World) -> None:
    person = world.open().beneficiary_id
    stay = world.admit(person)
    columns = (
        "tenant_id, beneficiary_id, version, recorded_at, admission_id, modality, started_on, exit_reason, created_at"
    )
    for facility, constraint in (
        (stay.facility_id, "stay_facility_overlap"),
        (world.workshop, "stay_residential_overlap"),
    ):
        with pytest.raises(Exception, match=constraint):
            world.harness.admin(
                f"INSERT INTO stay (stay_id, facility_id, {columns})"  # noqa: S608 (constants of this test)
                f" SELECT gen_random_uuid(), %s, {columns} FROM stay WHERE stay_id = %s",
                (facility, stay.stay_id),
            )


def test_an_overlap_is_refused_across_merged_records(world: World) -> None:
    one, other = world.open().beneficiary_id, world.open().beneficiary_id
    world.admit(other)
    request = people.MergeBeneficiaryRequest(beneficiary_id=one, merged_beneficiary_id=other, reason="Doublon")
    world.call("BeneficiaryService/MergeBeneficiary", request)
    assert refusal_of(world.admit, one).reason == "STAY_OVERLAPS_FACILITY"
    assert refusal_of(world.admit, one, facility_id=world.workshop).reason == "STAY_OVERLAPS_RESIDENTIAL"


def test_a_stay_reaches_its_unit_alone_and_follows_a_change_of_unit(world: World) -> None:
    world.hire("ward nurse", NURSE, facility_id=world.home, unit_id=world.unit)
    person = world.open().beneficiary_id
    stay = world.admit(person, unit_id=world.other_unit)
    assert nurse_reads_care(world, person, "ward nurse") == "OUT_OF_PERIMETER"
    request = pb.UpdateStayRequest(
        beneficiary_id=person,
        stay_id=stay.stay_id,
        stay=pb.Stay(unit_id=world.unit, room="12"),
        update_mask=mask("unit_id", "room"),
    )
    moved = world.call("StayService/UpdateStay", request, as_="secretary", if_match=stay.etag).stay
    assert (moved.unit_id, moved.room) == (world.unit, "12")
    assert nurse_reads_care(world, person, "ward nurse") == "OK"
    assert refusal_of(world.call, "StayService/UpdateStay", request, if_match=stay.etag).reason == "ETAG_STALE"
    request.update_mask.CopyFrom(mask("started_on"))
    request.stay.started_on = "2020-01-01"
    assert refusal_of(world.call, "StayService/UpdateStay", request, if_match=moved.etag).reason == "FIELD_IMMUTABLE"


def test_the_team_keeps_access_30_days_after_an_exit(world: World) -> None:
    person = world.open().beneficiary_id
    stay = world.admit(person, started_on=world.today - timedelta(days=60))
    ended = world.end(person, stay.stay_id, pb.EXIT_REASON_RETURN_HOME, ended_on=world.today - timedelta(days=29))
    assert (ended.exit_reason, ended.ended_on) == (
        pb.EXIT_REASON_RETURN_HOME,
        (world.today - timedelta(days=29)).isoformat(),
    )
    assert nurse_reads_care(world, person) == "OK"
    late = world.open(birth_name="Autre").beneficiary_id
    stay = world.admit(late, started_on=world.today - timedelta(days=90))
    world.end(late, stay.stay_id, pb.EXIT_REASON_RETURN_HOME, ended_on=world.today - timedelta(days=33))
    assert nurse_reads_care(world, late) == "OUT_OF_PERIMETER"


def test_every_version_of_a_stay_and_of_its_request_is_read_with_its_author(world: World) -> None:
    person = world.open().beneficiary_id
    admission = world.ask(person, as_="secretary")
    stay = world.enter(person, admission.admission_id, as_="secretary")
    world.end(person, stay.stay_id, pb.EXIT_REASON_RETURN_HOME)
    request = pb.ListStayVersionsRequest(beneficiary_id=person, stay_id=stay.stay_id)
    ended, entered = world.call("StayService/ListStayVersions", request).versions
    assert (entered.version, entered.exit_reason) == (stay.version, pb.EXIT_REASON_UNSPECIFIED)
    assert (ended.version.version, ended.exit_reason) == (2, pb.EXIT_REASON_RETURN_HOME)
    assert entered.version.author_account_id == world.accounts["secretary"] != ended.version.author_account_id
    page = pb.ListAdmissionVersionsRequest(beneficiary_id=person, admission_id=admission.admission_id, page_size=2)
    first = world.call("AdmissionService/ListAdmissionVersions", page)
    page.page_token = first.next_page_token
    rest = world.call("AdmissionService/ListAdmissionVersions", page)
    assert [version.status for version in (*first.versions, *rest.versions)] == [
        pb.ADMISSION_STATUS_ENTERED,
        pb.ADMISSION_STATUS_ACCEPTED,
        pb.ADMISSION_STATUS_REQUESTED,
    ]
    for versions in (request, page):
        operation = "Stay" if versions is request else "Admission"
        refusal = refusal_of(world.call, f"{operation}Service/List{operation}Versions", versions, as_="educator")
        assert refusal.reason == "RIGHT_MISSING"


def test_an_ended_stay_does_not_change(world: World) -> None:
    person = world.open().beneficiary_id
    stay = world.admit(person)
    ended = world.end(person, stay.stay_id, pb.EXIT_REASON_OWN_WISH)
    assert refusal_of(world.end, person, stay.stay_id, pb.EXIT_REASON_OWN_WISH).reason == "STAY_ENDED"
    request = pb.UpdateStayRequest(
        beneficiary_id=person, stay_id=stay.stay_id, stay=pb.Stay(room="1"), update_mask=mask("room")
    )
    assert refusal_of(world.call, "StayService/UpdateStay", request, if_match=ended.etag).reason == "STAY_ENDED"


def test_a_death_becomes_known_to_the_identity(world: World) -> None:
    person = world.open().beneficiary_id
    stay = world.admit(person, started_on=world.today - timedelta(days=9))
    yesterday = world.today - timedelta(days=1)
    world.end(person, stay.stay_id, pb.EXIT_REASON_DEATH, ended_on=yesterday)
    got = world.read(person)
    assert (got.died_on, got.version.version) == (yesterday.isoformat(), 2)
    refusal = refusal_of(world.ask, person)
    assert (refusal.reason, refusal.field) == ("BENEFICIARY_DECEASED", "admission.requested_on")


def test_a_stay_entered_by_mistake_closes_care_at_once_and_gives_its_request_back(world: World) -> None:
    person = world.open().beneficiary_id
    stay = world.admit(person, started_on=world.today - timedelta(days=9))
    world.end(person, stay.stay_id, pb.EXIT_REASON_ENTERED_BY_MISTAKE)
    _, begins, ends, _, _ = world.perimeter(stay.stay_id)
    assert begins == ends
    assert nurse_reads_care(world, person) == "RIGHT_MISSING"
    request = pb.GetAdmissionRequest(beneficiary_id=person, admission_id=stay.admission_id)
    reopened = world.call("AdmissionService/GetAdmission", request, as_="secretary").admission
    assert reopened.status == pb.ADMISSION_STATUS_REQUESTED
    accept = pb.AcceptAdmissionRequest(beneficiary_id=person, admission_id=stay.admission_id)
    world.call("AdmissionService/AcceptAdmission", accept, as_="secretary")
    again = world.enter(person, stay.admission_id, started_on=world.today - timedelta(days=5), as_="secretary")
    assert again.stay_id != stay.stay_id


def test_a_mistake_gives_its_request_back_only_when_no_other_is_open(world: World) -> None:
    person = world.open().beneficiary_id
    stay = world.admit(person)
    other = world.ask(person)
    world.end(person, stay.stay_id, pb.EXIT_REASON_ENTERED_BY_MISTAKE)
    request = pb.ListAdmissionsRequest(beneficiary_id=person)
    statuses = {a.admission_id: a.status for a in world.call("AdmissionService/ListAdmissions", request).admissions}
    assert statuses == {
        stay.admission_id: pb.ADMISSION_STATUS_ENTERED,
        other.admission_id: pb.ADMISSION_STATUS_ACCEPTED,
    }


def test_a_stay_of_somebody_else_is_not_found(world: World) -> None:
    one, other = world.open().beneficiary_id, world.open().beneficiary_id
    stay = world.admit(one)
    world.ask(other)
    request = pb.GetStayRequest(beneficiary_id=other, stay_id=stay.stay_id)
    refusal = refusal_of(world.call, "StayService/GetStay", request)
    assert (refusal.code, refusal.field) == ("NOT_FOUND", "stay_id")
    versions = pb.ListStayVersionsRequest(beneficiary_id=other, stay_id=stay.stay_id)
    assert refusal_of(world.call, "StayService/ListStayVersions", versions).field == "stay_id"
    assert refusal_of(world.end, other, stay.stay_id, pb.EXIT_REASON_OWN_WISH).code == "NOT_FOUND"
    got = world.call("StayService/GetStay", pb.GetStayRequest(beneficiary_id=one, stay_id=stay.stay_id))
    assert got.stay == stay


def test_the_events_of_a_stay_tell_no_room(world: World) -> None:
    person = world.open().beneficiary_id
    stay = world.admit(person, unit_id=world.unit)
    world.end(person, stay.stay_id, pb.EXIT_REASON_TRANSFER)
    events = [events_pb2.StayChanged.FromString(payload) for _, payload in world.events(stay.stay_id, "StayChanged")]
    assert [(event.version, event.exit_reason, event.ended_on) for event in events] == [
        (1, 0, ""),
        (2, pb.EXIT_REASON_TRANSFER, world.today.isoformat()),
    ]
    changes = [
        events_pb2.AdmissionChanged.FromString(p).status for _, p in world.events(stay.admission_id, "AdmissionChanged")
    ]
    assert changes == [pb.ADMISSION_STATUS_REQUESTED, pb.ADMISSION_STATUS_ACCEPTED, pb.ADMISSION_STATUS_ENTERED]


# ---------------------------------------------------------------------------------------------------------------- races


@pytest.mark.parametrize("attempt", range(4))
def test_of_two_overlapping_stays_opened_at_once_one_is_refused(world: World, attempt: int) -> None:
    one, other = world.open().beneficiary_id, world.open().beneficiary_id
    requests = [(one, world.ask(one)), (other, world.ask(other, facility_id=world.workshop))]
    merge = people.MergeBeneficiaryRequest(beneficiary_id=one, merged_beneficiary_id=other, reason="Doublon")
    world.call("BeneficiaryService/MergeBeneficiary", merge)

    def enter(request: tuple[str, pb.Admission]) -> str:
        try:
            world.enter(request[0], request[1].admission_id)
        except CallFailed as failed:
            return failed.reason
        return "OK"

    with ThreadPoolExecutor(2) as pool:
        outcomes = sorted(pool.map(enter, requests))
    assert outcomes == ["OK", "STAY_OVERLAPS_RESIDENTIAL"]


@pytest.mark.parametrize("attempt", range(4))
def test_of_two_entries_from_one_request_at_once_one_is_refused(world: World, attempt: int) -> None:
    person = world.open().beneficiary_id
    admission = world.ask(person)

    def enter(_: int) -> str:
        try:
            world.enter(person, admission.admission_id)
        except CallFailed as failed:
            return failed.reason
        return "OK"

    with ThreadPoolExecutor(3) as pool:
        outcomes = sorted(pool.map(enter, range(3)))
    assert outcomes.count("OK") == 1
    assert set(outcomes) <= {"OK", "STAY_OVERLAPS_FACILITY", "ADMISSION_NOT_ACCEPTED"}
    [(stays,)] = world.harness.admin("SELECT count(*) FROM stay WHERE beneficiary_id = %s", (person,))
    assert stays == 1
