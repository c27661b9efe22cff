"""Facilities and units are those that identity has told of, and their days are those of their own calendar."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from dui.access.v1 import facts_pb2
from dui.records.v1 import beneficiaries_pb2 as people
from dui.records.v1 import handover_notes_pb2
from dui.records.v1 import stays_pb2 as pb
from dui_kit.ids import new_id
from dui_kit.testing import CallFailed
from dui_kit.times import to_timestamp
from dui_records.testing import World, mask


def unknown(field: str) -> pytest.RaisesExc[CallFailed]:
    return pytest.RaisesExc(
        CallFailed, check=lambda failure: (failure.reason, failure.field) == ("PLACE_UNKNOWN", field)
    )


def test_a_record_is_not_opened_in_a_facility_that_does_not_exist(world: World) -> None:
    """Whoever works for the whole association could: nobody would find the record again."""
    with unknown("facility_id"):
        world.open(as_="director", facility_id=new_id())
    assert world.harness.admin("SELECT 1 FROM beneficiary WHERE tenant_id = %s", (world.tenant,)) == []


def test_an_admission_is_asked_of_a_facility_of_the_association(world: World, elsewhere: World) -> None:
    person = world.open().beneficiary_id
    for facility in (new_id(), elsewhere.home):
        with unknown("admission.facility_id"):
            world.ask(person, facility_id=facility)
    world.ask(person, facility_id=world.workshop)
    entry = world.last_entry()
    world.ask(person, accepted=False)
    assert entry.operation.endswith("/AcceptAdmission")
    entry = world.last_entry()
    assert (entry.operation.rsplit("/", 1)[1], entry.facility_id) == ("CreateAdmission", world.home)


def test_a_stay_is_in_a_unit_of_its_facility(world: World) -> None:
    ward = new_id()
    world.place(world.workshop, ward, version=2)
    person = world.open().beneficiary_id
    admission = world.ask(person).admission_id
    for unit in (new_id(), ward):
        with unknown("stay.unit_id"):
            world.enter(person, admission, unit_id=unit)
    stay = world.enter(person, admission, unit_id=world.unit)
    with unknown("stay.unit_id"):
        _move(world, stay, ward)
    assert _move(world, stay, world.other_unit).unit_id == world.other_unit


def _move(world: World, stay: pb.Stay, unit_id: str) -> pb.Stay:
    request = pb.UpdateStayRequest(
        beneficiary_id=stay.beneficiary_id,
        stay_id=stay.stay_id,
        stay=pb.Stay(unit_id=unit_id),
        update_mask=mask("unit_id"),
    )
    return world.call("StayService/UpdateStay", request, if_match=stay.etag).stay  # type: ignore[no-any-return]


def test_the_list_of_a_unit_that_does_not_exist_is_not_an_empty_list(world: World) -> None:
    present = people.ListFacilityBeneficiariesRequest(facility_id=world.home, unit_id=new_id())
    with unknown("unit_id"):
        world.call("BeneficiaryService/ListFacilityBeneficiaries", present)
    notes = handover_notes_pb2.ListFacilityHandoverNotesRequest(facility_id=world.home, unit_id=new_id())
    with unknown("unit_id"):
        world.call("HandoverNoteService/ListFacilityHandoverNotes", notes)
    with unknown("facility_id"):
        request = people.ListFacilityBeneficiariesRequest(facility_id=new_id())
        world.call("BeneficiaryService/ListFacilityBeneficiaries", request)


# ----------------------------------------------------------------------------------------------------------------- days


def test_who_is_present_goes_by_the_calendar_of_the_facility(world: World) -> None:
    """Wallis and Tahiti are 22 hours apart: whatever the hour, one of them is not on the day of Paris or the other's."""
    zones = {new_id(): "Pacific/Wallis", new_id(): "Pacific/Tahiti", new_id(): "Indian/Reunion"}
    for facility, zone in zones.items():
        world.place(facility, time_zone=zone)
        today = datetime.now(ZoneInfo(zone)).date()
        names = {"Demain": today + timedelta(days=1), "Aujourdhui": today, "Hier": today - timedelta(days=1)}
        for name, first in names.items():
            person = world.open(as_="director", facility_id=facility, birth_name=name).beneficiary_id
            asked = today - timedelta(days=2)
            admission = world.ask(person, facility_id=facility, requested_on=asked).admission_id
            world.enter(person, admission, started_on=first)
        request = people.ListFacilityBeneficiariesRequest(facility_id=facility)
        listed = world.call("BeneficiaryService/ListFacilityBeneficiaries", request).beneficiaries
        assert [each.family_name for each in listed] == ["Aujourdhui", "Hier"], zone


def test_a_request_cannot_be_of_a_day_that_has_not_begun_there(world: World) -> None:
    """Wallis is ahead of every other place: its today is fine there, and a day later nowhere."""
    tahiti = new_id()
    world.place(tahiti, time_zone="Pacific/Tahiti")
    person = world.open().beneficiary_id
    tomorrow_there = datetime.now(ZoneInfo("Pacific/Tahiti")).date() + timedelta(days=1)
    with pytest.raises(CallFailed) as failed:
        world.ask(person, facility_id=tahiti, requested_on=tomorrow_there)
    assert failed.value.field == "admission.requested_on"


# ---------------------------------------------------------------------------------------------------------------- EHPAD


def validate(world: World, beneficiary_id: str) -> int:
    request = people.ValidateIdentityRequest(
        beneficiary_id=beneficiary_id,
        document=people.IDENTITY_DOCUMENT_BIRTH_CERTIFICATE,
        checked_at=to_timestamp(datetime.now(UTC) - timedelta(minutes=1)),
    )
    etag = world.read(beneficiary_id).etag
    reply = world.call("BeneficiaryService/ValidateIdentity", request, if_match=etag)
    return int(reply.beneficiary.identity_status)


def test_a_birth_certificate_is_enough_for_a_resident_of_an_ehpad(world: World) -> None:
    """RNIV, special cases: while they live there, and nowhere else."""
    ehpad = new_id()
    world.place(ehpad, category="500")
    resident, leaver, other = (world.open(birth_name=name).beneficiary_id for name in ("Un", "Deux", "Trois"))
    world.admit(resident, facility_id=ehpad)
    stay = world.admit(leaver, facility_id=ehpad, started_on=world.today - timedelta(days=30))
    world.end(leaver, stay.stay_id, pb.EXIT_REASON_RETURN_HOME, ended_on=world.today - timedelta(days=3))
    world.admit(other)
    assert validate(world, resident) == people.IDENTITY_STATUS_VALIDEE
    for person in (leaver, other):
        with pytest.raises(CallFailed) as failed:
            validate(world, person)
        assert failed.value.reason == "DOCUMENT_NOT_ENOUGH"


# ---------------------------------------------------------------------------------------------------------------- facts


def test_a_place_of_a_moment_ago_is_asked_for_once(world: World) -> None:
    person, ward, asked = world.open().beneficiary_id, new_id(), []

    class Owner:
        def refresh(self, *, tenant_id: str, facility_id: str, **_: str) -> None:
            asked.append(facility_id)
            unit = facts_pb2.UnitChanged(unit_id=ward, version=1, facility_id=world.home)
            world.harness.facts(tenant_id, [unit])

    admission = world.ask(person).admission_id
    world.harness.with_refresher(Owner())
    try:
        stay = world.enter(person, admission, unit_id=ward)
        with unknown("stay.unit_id"):
            _move(world, stay, new_id())
    finally:
        world.harness.with_refresher(None)  # type: ignore[arg-type]
    assert stay.unit_id == ward
    assert asked == [world.home, world.home]
