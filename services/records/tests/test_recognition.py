"""Search, homonyms, duplicates and the list of a facility, through the service."""

from __future__ import annotations

from datetime import timedelta

import pytest
from dui.records.v1 import beneficiaries_pb2 as pb
from dui.records.v1 import stays_pb2
from dui_kit.testing import CallFailed
from dui_records.testing import NURSE, World


def search(world: World, birth_date: str, prefix: str = "", **options: object) -> pb.SearchBeneficiariesResponse:
    request = pb.SearchBeneficiariesRequest(birth_date=birth_date, name_prefix=prefix, **options)  # type: ignore[arg-type]
    return world.call("BeneficiaryService/SearchBeneficiaries", request, as_="secretary")  # type: ignore[no-any-return]


def names(reply: pb.SearchBeneficiariesResponse) -> list[str]:
    return [match.birth_name for match in reply.matches]


def candidates(world: World, beneficiary_id: str) -> list[str]:
    request = pb.ListDuplicateCandidatesRequest(beneficiary_id=beneficiary_id)
    reply = world.call("BeneficiaryService/ListDuplicateCandidates", request, as_="secretary")
    return [match.beneficiary_id for match in reply.matches]


def merge(world: World, surviving: str, merged: str) -> None:
    request = pb.MergeBeneficiaryRequest(beneficiary_id=surviving, merged_beneficiary_id=merged, reason="Doublon")
    world.call("BeneficiaryService/MergeBeneficiary", request)


# --------------------------------------------------------------------------------------------------------------- search


def test_the_search_asks_for_the_date_and_at_most_three_letters(world: World) -> None:
    for name, born in (
        ("Durand", "1950-03-14"),
        ("D'Urville", "1950-03-14"),
        ("Martin", "1950-03-14"),
        ("Durand", "1951-03-14"),
    ):
        world.open(birth_name=name, birth_date=born)
    assert names(search(world, "1950-03-14")) == ["D'Urville", "Durand", "Martin"]
    assert names(search(world, "1950-03-14", "dUr")) == ["Durand"]
    assert names(search(world, "1950-03-14", "D'u")) == ["D'Urville"]
    assert names(search(world, "1950-03")) == []
    for prefix in ("Du%", "D1", "_"):
        with pytest.raises(CallFailed) as refusal:
            search(world, "1950-03-14", prefix)
        assert (refusal.value.reason, refusal.value.field) == ("SEARCH_PREFIX_INVALID", "name_prefix")
    with pytest.raises(CallFailed) as refusal:
        search(world, "1950-03-14", "Dura")
    assert refusal.value.field == "name_prefix"


@pytest.mark.parametrize(
    ("born", "reason"), [("2130-03-14", "BIRTH_DATE_IN_THE_FUTURE"), ("1850-03-14", "BIRTH_DATE_TOO_OLD")]
)
def test_a_mistyped_year_is_told_and_not_answered_with_nobody(world: World, born: str, reason: str) -> None:
    """Who reads that nobody is known opens a second record."""
    with pytest.raises(CallFailed) as refusal:
        search(world, born, "Dur")
    assert (refusal.value.reason, refusal.value.field) == (reason, "birth_date")


def test_a_search_goes_on_where_it_stopped_and_its_token_opens_nothing_else(world: World, elsewhere: World) -> None:
    for name in ("Durand", "Duras", "Duval", "Dupont"):
        world.open(birth_name=name)
    first = search(world, "1950-03-14", "Du", page_size=3)
    assert names(first) == ["Dupont", "Durand", "Duras"]
    rest = search(world, "1950-03-14", "Du", page_size=3, page_token=first.next_page_token)
    assert (names(rest), rest.next_page_token) == (["Duval"], "")
    for other, prefix in ((elsewhere, "Du"), (world, "D")):
        with pytest.raises(CallFailed) as refusal:
            search(other, "1950-03-14", prefix, page_token=first.next_page_token)
        assert refusal.value.reason == "PAGE_TOKEN_INVALID"


def test_a_merged_record_is_found_by_its_own_traits_and_answers_with_the_surviving_one(world: World) -> None:
    kept = world.open(birth_name="Le Goff", birth_date="1950-03-14")
    for born in ("1950-04-13", "1950-03-14"):
        merge(world, kept.beneficiary_id, world.open(birth_name="Legoff", birth_date=born).beneficiary_id)
    by_old_date = search(world, "1950-04-13", "LEG")
    assert [(m.beneficiary_id, m.birth_name) for m in by_old_date.matches] == [(kept.beneficiary_id, "Le Goff")]
    # Both records were born on that date: the person is told once.
    assert [m.beneficiary_id for m in search(world, "1950-03-14").matches] == [kept.beneficiary_id]


def test_the_persons_found_are_in_the_journal(world: World) -> None:
    person = world.open()
    search(world, "1950-03-14")
    entries = world.harness.admin(
        "SELECT payload FROM journal_outbox WHERE tenant_id = %s ORDER BY entry_id DESC LIMIT 1", (world.tenant,)
    )
    assert person.beneficiary_id.encode() in entries[0][0]
    assert b"1950" not in entries[0][0]


def test_searching_is_a_right_of_its_own(world: World) -> None:
    with pytest.raises(CallFailed) as refusal:
        world.call(
            "BeneficiaryService/SearchBeneficiaries", pb.SearchBeneficiariesRequest(birth_date="1950"), as_="nurse"
        )
    assert refusal.value.reason == "RIGHT_MISSING"


# ------------------------------------------------------------------------------------------------- homonyms, duplicates


def test_two_persons_of_nearly_the_same_name_warn_of_each_other(world: World) -> None:
    one = world.open(birth_name="Durand", birth_given_names=["Camille"], birth_date="1931")
    assert not one.homonym
    two = world.open(birth_name="DURAND", birth_given_names=["Camilla"], birth_date="1972-07-07")
    assert two.homonym
    assert world.read(one.beneficiary_id).homonym
    married = world.open(birth_name="Petit", used_name="Durand", birth_given_names=["Camélia"], birth_date="1980")
    assert married.homonym
    assert not world.open(birth_name="Durand", birth_given_names=["Zoé"], birth_date="1990").homonym


def test_opening_a_record_tells_the_look_alikes(world: World) -> None:
    first = world.open(birth_name="Le Goff", birth_given_names=["Anne"], birth_date="1950-03-04")
    request = pb.CreateBeneficiaryRequest(
        facility_id=world.home,
        beneficiary=world.person(birth_name="Legoff", birth_given_names=["Anne"], birth_date="1950-04-03"),
    )
    reply = world.call("BeneficiaryService/CreateBeneficiary", request, as_="secretary")
    assert [match.beneficiary_id for match in reply.duplicate_candidates] == [first.beneficiary_id]


def test_duplicates_are_found_by_frequent_errors_the_likeliest_first(world: World) -> None:
    ins = pb.NationalIdentifier(value="295109912611193", oid="1.2.250.1.213.1.4.10")
    one = world.open(
        birth_name="Durand", birth_given_names=["Camille"], birth_date="1950-03-04", national_identifier=ins
    )
    alike = {
        "identifier": {
            "birth_name": "Moreau",
            "birth_given_names": ["Paul"],
            "birth_date": "1931",
            "national_identifier": ins,
        },
        "same": {},
        "sound": {"birth_name": "Durant"},
        "exchanged": {"birth_name": "Camille", "birth_given_names": ["Durand"]},
        "swapped": {"birth_date": "1950-04-03"},
        "year": {"birth_date": "1951-03-04"},
        "married": {"birth_name": "Petit", "used_name": "Durand"},
    }
    for unlike in (
        {"birth_name": "Moreau"},
        {"birth_date": "1962-12-31"},
        {"birth_given_names": ["Zoé"], "birth_date": "1950"},
    ):
        world.open(**({"birth_date": "1950-03-04"} | unlike))
    ids = {
        label: world.open(**({"birth_date": "1950-03-04"} | traits)).beneficiary_id for label, traits in alike.items()
    }
    found = candidates(world, one.beneficiary_id)
    assert set(found) == set(ids.values())
    assert found[:2] == [ids["identifier"], ids["same"]]


def test_names_without_a_latin_letter_are_not_all_alike(world: World) -> None:
    taras = {"birth_name": "Шевченко", "birth_given_names": ["Тарас"]}
    one, again = world.open(**taras).beneficiary_id, world.open(**taras).beneficiary_id
    for unlike in (("李", "明"), ("حسن", "عمر"), ("Коваленко", "Олена")):
        world.open(birth_name=unlike[0], birth_given_names=[unlike[1]])
    assert candidates(world, one) == [again]


def test_a_merged_record_is_no_candidate_and_asks_for_its_surviving_one(world: World) -> None:
    one, two, three = (world.open().beneficiary_id for _ in range(3))
    merge(world, one, two)
    assert candidates(world, one) == candidates(world, two) == [three]


# ------------------------------------------------------------------------------------------------------- facility list


def listed(world: World, as_: str = "secretary", **options: object) -> pb.ListFacilityBeneficiariesResponse:
    request = pb.ListFacilityBeneficiariesRequest(facility_id=world.home, **options)  # type: ignore[arg-type]
    return world.call("BeneficiaryService/ListFacilityBeneficiaries", request, as_=as_)  # type: ignore[no-any-return]


def present(world: World, name: str, given: str = "Camille", **options: object) -> stays_pb2.Stay:
    person = world.open(birth_name=name, birth_given_names=[given], birth_date="1950")
    return world.admit(person.beneficiary_id, **options)


def test_ward_staff_open_their_list_by_name_with_a_warning_on_homonyms(world: World) -> None:
    for name in ("Dupont", "Martin", "Dupond", "Bernard"):
        present(world, name)
    rows = [(row.family_name, row.homonym) for row in listed(world, "nurse").beneficiaries]
    assert rows == [("Bernard", False), ("Dupond", True), ("Dupont", True), ("Martin", False)]


def test_names_without_a_latin_letter_are_homonyms_when_they_are_the_same(world: World) -> None:
    for name in ("李", "Шевченко", "王", "Шевченко"):
        present(world, name)
    rows = [(row.family_name, row.homonym) for row in listed(world).beneficiaries]
    warned = [("Шевченко", True), ("Шевченко", True), ("李", False), ("王", False)]
    assert rows == warned
    # As the version before wrote them, which goes on for a while beside this one.
    world.harness.admin("UPDATE beneficiary SET family_sound = '' WHERE tenant_id = %s", (world.tenant,))
    assert [(row.family_name, row.homonym) for row in listed(world).beneficiaries] == warned


def test_only_persons_with_a_stay_in_force_are_listed(world: World) -> None:
    world.open(birth_name="Candidate")
    world.ask(world.open(birth_name="Accepted").beneficiary_id)
    here = present(world, "Here", started_on=world.today - timedelta(days=40))
    for name, reason in (
        ("Left", stays_pb2.EXIT_REASON_RETURN_HOME),
        ("Mistake", stays_pb2.EXIT_REASON_ENTERED_BY_MISTAKE),
    ):
        stay = present(world, name, started_on=world.today - timedelta(days=9))
        world.end(stay.beneficiary_id, stay.stay_id, reason, ended_on=world.today - timedelta(days=3))
    present(world, "Coming", started_on=world.today + timedelta(days=3))
    world.admit(
        world.open(birth_name="Worker").beneficiary_id,
        facility_id=world.workshop,
        modality=stays_pb2.STAY_MODALITY_WORK,
    )
    assert [row.stay_id for row in listed(world).beneficiaries] == [here.stay_id]


def test_the_list_of_a_unit_and_its_pages(world: World) -> None:
    for name in ("Durand", "Duras", "Duval"):
        present(world, name, unit_id=world.unit)
    present(world, "Dupont", unit_id=world.other_unit)
    first = listed(world, unit_id=world.unit, page_size=2)
    rest = listed(world, unit_id=world.unit, page_size=2, page_token=first.next_page_token)
    assert [row.family_name for row in (*first.beneficiaries, *rest.beneficiaries)] == ["Durand", "Duras", "Duval"]
    assert rest.next_page_token == ""


def test_somebody_assigned_to_one_unit_sees_that_unit_only(world: World) -> None:
    present(world, "Durand", unit_id=world.unit)
    present(world, "Dupont", unit_id=world.other_unit)
    world.hire("night nurse", NURSE, facility_id=world.home, unit_id=world.unit)
    assert [row.family_name for row in listed(world, "night nurse").beneficiaries] == ["Durand"]


def test_the_name_in_use_is_listed_and_a_merged_record_shows_its_surviving_one(world: World) -> None:
    stay = present(world, "Legoff")
    kept = world.open(
        birth_name="Le Goff", used_name="Martin", birth_given_names=["Anne", "Marie"], used_given_name="Nana"
    )
    merge(world, kept.beneficiary_id, stay.beneficiary_id)
    [row] = listed(world).beneficiaries
    assert (row.beneficiary_id, row.family_name, row.given_name, row.homonym) == (
        kept.beneficiary_id,
        "Martin",
        "Nana",
        False,
    )


def test_the_list_of_another_facility_is_refused(world: World) -> None:
    with pytest.raises(CallFailed) as refusal:
        listed(world, "elsewhere")
    assert refusal.value.code == "PERMISSION_DENIED"
