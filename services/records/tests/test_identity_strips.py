"""The identity strip, by which a medicine is given to the right person: who, where, and every allergy of every record."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from dui.options.v1 import options_pb2
from dui.records.v1 import allergies_pb2, stays_pb2
from dui.records.v1 import beneficiaries_pb2 as people
from dui.records.v1 import identity_strips_pb2 as pb
from dui_kit.ids import new_id
from dui_kit.testing import CallFailed, Harness
from dui_kit.times import from_timestamp, to_timestamp
from dui_kit.wire.contract import descriptor_of
from dui_records.app import build
from dui_records.beneficiaries.rules import NationalIdentifier, StrictTraits
from dui_records.insi.rules import InsiAnswer, InsiCode
from dui_records.testing import World, mask
from google.protobuf.descriptor import Descriptor

OPERATION = "dui.records.v1.IdentityStripService/GetIdentityStrip"
# 2951099126111 → 93: the vector of the functional reference of the NIR.
INS = people.NationalIdentifier(value="295109912611193", oid="1.2.250.1.213.1.4.10")


def strip_of(world: World, beneficiary_id: str, *, service: str = "medication") -> pb.IdentityStrip:
    request = pb.GetIdentityStripRequest(tenant_id=world.tenant, beneficiary_id=beneficiary_id)
    return world.harness.call(OPERATION, request, service=service).strip  # type: ignore[no-any-return]


def allergic(world: World, beneficiary_id: str, substance: str, **changes: Any) -> allergies_pb2.Allergy:
    allergy = allergies_pb2.Allergy(kind=allergies_pb2.ALLERGY_KIND_MEDICATION, substance=substance, **changes)
    request = allergies_pb2.CreateAllergyRequest(beneficiary_id=beneficiary_id, allergy=allergy)
    return world.call("AllergyService/CreateAllergy", request).allergy  # type: ignore[no-any-return]


def correct(world: World, allergy: allergies_pb2.Allergy, **changes: Any) -> allergies_pb2.Allergy:
    request = allergies_pb2.UpdateAllergyRequest(
        beneficiary_id=allergy.beneficiary_id,
        allergy_id=allergy.allergy_id,
        allergy=allergies_pb2.Allergy(**changes, reason="bilan allergologique"),
        update_mask=mask(*changes, "reason"),
    )
    return world.call("AllergyService/UpdateAllergy", request, if_match=allergy.etag).allergy  # type: ignore[no-any-return]


def change(world: World, beneficiary_id: str, *paths: str, **values: Any) -> None:
    person = world.read(beneficiary_id)
    request = people.UpdateBeneficiaryRequest(
        beneficiary_id=beneficiary_id,
        beneficiary=people.Beneficiary(**values),
        update_mask=mask(*(paths or tuple(values))),
    )
    world.call("BeneficiaryService/UpdateBeneficiary", request, if_match=person.etag)


def merge(world: World, surviving: str, merged: str) -> None:
    request = people.MergeBeneficiaryRequest(beneficiary_id=surviving, merged_beneficiary_id=merged, reason="Doublon")
    world.call("BeneficiaryService/MergeBeneficiary", request)


def not_found() -> pytest.RaisesExc[CallFailed]:
    return pytest.RaisesExc(
        CallFailed, check=lambda failure: (failure.reason, failure.field) == ("NOT_FOUND", "beneficiary_id")
    )


# ------------------------------------------------------------------------------------------------------------- identity


def test_the_strip_says_who_the_person_is_where_they_are_and_what_they_must_not_be_given(world: World) -> None:
    person = world.open(
        birth_name="Le Goff",
        birth_given_names=["Anne-Marie", "Jeanne"],
        birth_date="1948-02-29",
        birth_place_code="29019",
        used_name="Martin",
        used_given_name="Annie",
    ).beneficiary_id
    stay = world.admit(person, unit_id=world.unit)
    request = stays_pb2.UpdateStayRequest(
        beneficiary_id=person, stay_id=stay.stay_id, stay=stays_pb2.Stay(room="12 bis"), update_mask=mask("room")
    )
    world.call("StayService/UpdateStay", request, if_match=stay.etag)
    allergy = allergic(world, person, "Pénicilline", severity=allergies_pb2.ALLERGY_SEVERITY_SEVERE)
    strip = strip_of(world, person)
    strip.ClearField("read_at")
    assert strip == pb.IdentityStrip(
        beneficiary_id=person,
        surviving_id=person,
        birth_name="Le Goff",
        birth_given_names=["Anne-Marie", "Jeanne"],
        used_name="Martin",
        used_given_name="Annie",
        birth_date="1948-02-29",
        sex=people.SEX_FEMALE,
        birth_place_code="29019",
        identity_status=people.IDENTITY_STATUS_PROVISOIRE,
        identity_version=1,
        stays=[
            pb.StripStay(
                stay_id=stay.stay_id,
                facility_id=world.home,
                unit_id=world.unit,
                room="12 bis",
                modality=stays_pb2.STAY_MODALITY_RESIDENTIAL,
            )
        ],
        allergies=[
            pb.StripAllergy(
                allergy_id=allergy.allergy_id,
                kind=allergies_pb2.ALLERGY_KIND_MEDICATION,
                substance="Pénicilline",
                severity=allergies_pb2.ALLERGY_SEVERITY_SEVERE,
                status=allergies_pb2.ALLERGY_STATUS_REPORTED,
                version=1,
            )
        ],
    )


def test_the_strip_says_when_it_was_read(world: World) -> None:
    person = world.open().beneficiary_id
    before = datetime.now(UTC)
    read_at = from_timestamp(strip_of(world, person).read_at)
    assert before - timedelta(milliseconds=1) <= read_at <= datetime.now(UTC)


def test_what_makes_one_take_care_is_on_the_strip(world: World) -> None:
    one = world.open(birth_name="Durand", birth_given_names=["Camille"]).beneficiary_id
    assert not strip_of(world, one).homonym
    world.open(birth_name="Durand", birth_given_names=["Camila"])
    change(world, one, doubtful=True)
    strip = strip_of(world, one)
    assert (strip.homonym, strip.doubtful, strip.fictitious, strip.identity_version) == (True, True, False, 2)
    assert strip_of(world, world.open(birth_name="Exemple", fictitious=True).beneficiary_id).fictitious


def test_a_death_is_on_the_strip(world: World) -> None:
    person = world.open().beneficiary_id
    assert not strip_of(world, person).HasField("died_on")
    yesterday = (world.today - timedelta(days=1)).isoformat()
    change(world, person, died_on=yesterday)
    assert strip_of(world, person).died_on == yesterday


class FoundByInsi:
    """Stands for the national service, which the platform is not connected to: it always finds one identity."""

    def retrieve(self, traits: StrictTraits) -> InsiAnswer:
        return InsiAnswer(InsiCode.ONE, "ref", traits, NationalIdentifier(INS.value, INS.oid))


@pytest.fixture
def connected(harness: Harness) -> Iterator[Harness]:
    """The same database behind a service that is connected to INSi."""
    found = Harness(build(FoundByInsi()), harness.database)
    yield found
    found.close()


def test_the_national_identifier_is_given_of_a_qualified_identity_only(world: World, connected: Harness) -> None:
    """RNIV: once the identity was retrieved from INSi and checked on a document, and no longer when it is doubted."""
    person = world.open(national_identifier=INS).beneficiary_id
    ids = {"beneficiary_id": person}

    def seen() -> tuple[int, str]:
        strip = strip_of(world, person)
        return strip.identity_status, strip.national_identifier.value if strip.HasField("national_identifier") else ""

    def validate() -> None:
        request = people.ValidateIdentityRequest(
            **ids, document=people.IDENTITY_DOCUMENT_PASSPORT, checked_at=to_timestamp(datetime.now(UTC))
        )
        world.call("BeneficiaryService/ValidateIdentity", request, if_match=world.read(person).etag)

    assert seen() == (people.IDENTITY_STATUS_PROVISOIRE, "")
    validate()
    assert seen() == (people.IDENTITY_STATUS_VALIDEE, "")
    change(world, person, doubtful=True)
    change(world, person, "doubtful")
    asked = {"as_": "director", "tenant": world.tenant, "acr": 2}
    connected.call("dui.records.v1.BeneficiaryService/RetrieveIns", people.RetrieveInsRequest(**ids), **asked)
    assert seen() == (people.IDENTITY_STATUS_RECUPEREE, "")
    validate()
    assert seen() == (people.IDENTITY_STATUS_QUALIFIEE, INS.value)
    assert strip_of(world, person).national_identifier == INS
    change(world, person, doubtful=True)
    assert seen() == (people.IDENTITY_STATUS_PROVISOIRE, "")
    assert world.read(person).national_identifier == INS


# --------------------------------------------------------------------------------------------------------------- merges


def test_a_merged_record_answers_with_the_survivor_and_everything_of_both(world: World) -> None:
    """And a record merged into a merged one: the allergy that somebody once noted in a duplicate must be seen."""
    kept, double, triple = (world.open(birth_name=name).beneficiary_id for name in ("Reste", "Double", "Triple"))
    workshop = {"facility_id": world.workshop, "modality": stays_pb2.STAY_MODALITY_WORK}
    home, work = world.admit(kept), world.admit(double, **workshop)
    day = world.admit(triple, modality=stays_pb2.STAY_MODALITY_DAY)
    persons = ((kept, "Latex"), (double, "Aspirine"), (triple, "Iode"))
    noted = [allergic(world, person, substance) for person, substance in persons]
    merge(world, double, triple)
    merge(world, kept, double)
    for asked in (kept, double, triple):
        strip = strip_of(world, asked)
        assert (strip.beneficiary_id, strip.surviving_id, strip.birth_name) == (asked, kept, "Reste")
        assert list(strip.merged_beneficiary_ids) == sorted([double, triple])
        assert [each.allergy_id for each in strip.allergies] == [each.allergy_id for each in reversed(noted)]
        assert [each.stay_id for each in strip.stays] == [home.stay_id, day.stay_id, work.stay_id]
    request = people.UnmergeBeneficiaryRequest(
        beneficiary_id=kept, merged_beneficiary_id=double, reason="Deux personnes"
    )
    world.call("BeneficiaryService/UnmergeBeneficiary", request)
    assert [each.substance for each in strip_of(world, kept).allergies] == ["Latex"]
    strip = strip_of(world, triple)
    assert (strip.surviving_id, strip.birth_name) == (double, "Double")
    assert [each.substance for each in strip.allergies] == ["Iode", "Aspirine"]


def test_nothing_of_somebody_else_is_on_the_strip(world: World) -> None:
    one, other = world.open().beneficiary_id, world.open().beneficiary_id
    world.admit(other)
    allergic(world, other, "Aspirine")
    strip = strip_of(world, one)
    assert (list(strip.allergies), list(strip.stays), list(strip.merged_beneficiary_ids)) == ([], [], [])


# ------------------------------------------------------------------------------------------------------------ allergies


def test_a_corrected_allergy_is_there_once_as_it_stands_and_one_ruled_out_stays(world: World) -> None:
    person = world.open().beneficiary_id
    world.admit(person)
    allergy = allergic(world, person, "Amoxicilline")
    refuted = correct(world, allergy, status=allergies_pb2.ALLERGY_STATUS_REFUTED)
    [found] = strip_of(world, person).allergies
    assert (found.allergy_id, found.status, found.version) == (
        refuted.allergy_id,
        allergies_pb2.ALLERGY_STATUS_REFUTED,
        2,
    )


def test_no_page_leaves_an_allergy_out(world: World) -> None:
    person = world.open().beneficiary_id
    world.admit(person)
    first = allergic(world, person, "Pénicilline")
    world.harness.admin(
        "INSERT INTO allergy (tenant_id, allergy_id, beneficiary_id, version, recorded_at, created_at, kind, substance,"
        " severity, status) SELECT %s, uuidv7(), %s, 1, now(), now(), 2, 'x' || n, 0, 1 FROM generate_series(1, 450) n",
        (world.tenant, person),
    )
    strip = strip_of(world, person)
    assert len(strip.allergies) == 451
    assert strip.allergies[-1].allergy_id == first.allergy_id


# ---------------------------------------------------------------------------------------------------------------- stays


def test_who_lives_in_one_place_and_works_in_another_is_in_both_home_first(world: World) -> None:
    person = world.open().beneficiary_id
    asked = world.ask(person, facility_id=world.workshop, modality=stays_pb2.STAY_MODALITY_WORK)
    work = world.enter(person, asked.admission_id, started_on=world.today)
    home = world.admit(person)
    assert [(each.stay_id, each.facility_id) for each in strip_of(world, person).stays] == [
        (home.stay_id, world.home),
        (work.stay_id, world.workshop),
    ]


@pytest.mark.parametrize("reason", [stays_pb2.EXIT_REASON_RETURN_HOME, stays_pb2.EXIT_REASON_ENTERED_BY_MISTAKE])
def test_a_stay_that_is_over_or_never_was_is_not_there(world: World, reason: int) -> None:
    person = world.open().beneficiary_id
    began = world.today - timedelta(days=10)
    admission = world.ask(person, requested_on=began).admission_id
    stay = world.enter(person, admission, started_on=began)
    assert [each.stay_id for each in strip_of(world, person).stays] == [stay.stay_id]
    world.end(person, stay.stay_id, reason, ended_on=world.today - timedelta(days=3))
    assert list(strip_of(world, person).stays) == []


def test_a_stay_to_come_is_not_there_yet(world: World) -> None:
    person = world.open().beneficiary_id
    world.admit(person, started_on=world.today + timedelta(days=5))
    assert list(strip_of(world, person).stays) == []


def test_today_is_that_of_the_calendar_of_the_facility(world: World) -> None:
    """Wallis and Tahiti are 22 hours apart: whatever the hour, one of them is not on the day of Paris or the other's."""
    for zone in ("Pacific/Wallis", "Pacific/Tahiti", "Europe/Paris"):
        facility = new_id()
        world.place(facility, time_zone=zone)
        today = datetime.now(ZoneInfo(zone)).date()
        for first, there in ((today + timedelta(days=1), False), (today, True), (today - timedelta(days=1), True)):
            person = world.open(as_="director", facility_id=facility).beneficiary_id
            asked = world.ask(person, facility_id=facility, requested_on=today - timedelta(days=2))
            world.enter(person, asked.admission_id, started_on=first)
            assert bool(strip_of(world, person).stays) is there, (zone, first)
        last = world.open(as_="director", facility_id=facility).beneficiary_id
        asked = world.ask(last, facility_id=facility, requested_on=today - timedelta(days=2))
        stay = world.enter(last, asked.admission_id, started_on=today - timedelta(days=2))
        world.end(last, stay.stay_id, stays_pb2.EXIT_REASON_TRANSFER, ended_on=today - timedelta(days=1))
        assert not strip_of(world, last).stays, zone


# ---------------------------------------------------------------------------------------------------------------- who asks


def test_an_unknown_person_and_another_associations_person_are_not_found(world: World, elsewhere: World) -> None:
    foreign = elsewhere.open().beneficiary_id
    for person in (new_id(), foreign):
        with not_found():
            strip_of(world, person)


@pytest.mark.parametrize("service", ["identity", "records", "gateway"])
def test_no_other_service_is_told(world: World, service: str) -> None:
    person = world.open().beneficiary_id
    with pytest.raises(CallFailed, match="SERVICE_ONLY"):
        strip_of(world, person, service=service)


def test_no_person_is_told(world: World) -> None:
    request = pb.GetIdentityStripRequest(tenant_id=world.tenant, beneficiary_id=world.open().beneficiary_id)
    with pytest.raises(CallFailed, match="SERVICE_ONLY"):
        world.call("IdentityStripService/GetIdentityStrip", request)


def test_the_journal_keeps_which_service_read_whose_strip(world: World) -> None:
    person = world.open().beneficiary_id
    strip_of(world, person)
    entry = world.last_entry()
    assert (entry.calling_service, entry.beneficiary_id) == ("medication", person)
    assert entry.category == options_pb2.CATEGORY_IDENTITY


def test_what_is_personal_of_a_strip_is_marked() -> None:
    def marked(descriptor: Descriptor) -> set[str]:
        return {field.name for field in descriptor.fields if field.GetOptions().Extensions[options_pb2.sensitive]}

    assert marked(descriptor_of(pb.IdentityStrip())) == {
        "birth_name",
        "birth_given_names",
        "used_name",
        "used_given_name",
        "birth_date",
        "birth_place_code",
        "died_on",
    }
    assert marked(descriptor_of(people.NationalIdentifier())) == {"value"}
    assert marked(descriptor_of(pb.StripStay())) == {"room"}
    assert marked(descriptor_of(pb.StripAllergy())) == {"substance"}
