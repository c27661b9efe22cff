"""Finding medicines, as the people who prescribe and give them do."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from dui.medication.v1 import catalogue_pb2 as pb
from dui_kit.testing import CallFailed, Harness
from dui_kit.testing_plans import check_plans, watched
from dui_medication.testing import World


def search(world: World, text: str, **options: Any) -> pb.SearchSpecialtiesResponse:
    request = pb.SearchSpecialtiesRequest(text=text, **options)
    return world.call("CatalogueService/SearchSpecialties", request)  # type: ignore[no-any-return]


def names(reply: pb.SearchSpecialtiesResponse) -> list[str]:
    return [match.name.split(",")[0] for match in reply.matches]


@pytest.mark.parametrize(
    "typed", ["par", "PARACÉTAMOL", "paracetamol 500", "500 par", "parac 500m", "fictif paracetamol"]
)
def test_a_medicine_is_found_as_it_is_typed(world: World, typed: str) -> None:
    found = search(world, typed)
    assert "PARACÉTAMOL FICTIF 500 mg" in names(found)
    assert not found.HasField("read_as")


def test_names_come_before_substances_and_these_before_the_rest(world: World) -> None:
    # Acide acétylsalicylique begins so; amoxicilline acide clavulanique has it as a substance.
    assert names(search(world, "acide"))[0] == "ACIDE ACÉTYLSALICYLIQUE FICTIF 75 mg"
    assert "AMOXICILLINE ACIDE CLAVULANIQUE FICTIF 500 mg/62" in [name[:48] for name in names(search(world, "clavul"))]


def test_a_medicine_is_found_by_what_acts_in_it(world: World) -> None:
    [match] = search(world, "colecalci").matches
    assert match.name.startswith("CALCIUM VITAMINE D3")
    assert list(match.substances) == ["CALCIUM ÉLÉMENT", "COLÉCALCIFÉROL"]


def test_a_word_with_a_slip_is_read_as_the_one_that_looks_like_it_and_that_is_told(world: World) -> None:
    found = search(world, "amiodaronne 200")
    assert names(found) == ["AMIODARONE FICTIF 200 mg"]
    assert found.read_as == "AMIODARONE 200"


def test_nothing_is_made_of_what_looks_like_nothing(world: World) -> None:
    found = search(world, "xylophone")
    assert not found.matches
    assert not found.HasField("read_as")


def test_what_is_typed_is_never_a_pattern(world: World) -> None:
    for typed in ("pa%", "p_r", "par'--", "par\\"):
        assert {name.split()[0] for name in names(search(world, typed))} <= {"PARACÉTAMOL", "PANTOPRAZOLE"}


def test_a_search_goes_on_page_by_page(world: World) -> None:
    whole = [match.cis for match in search(world, "fictif", page_size=200).matches]
    assert len(whole) == 46
    found, token = [], ""
    while True:
        page = search(world, "fictif", page_size=7, page_token=token)
        found += [match.cis for match in page.matches]
        token = page.next_page_token
        if not token:
            break
    assert found == whole


def test_a_page_of_another_search_is_refused(world: World) -> None:
    token = search(world, "fictif", page_size=5).next_page_token
    with pytest.raises(CallFailed, match="PAGE_TOKEN_INVALID"):
        search(world, "paracetamol", page_size=5, page_token=token)


def test_a_controlled_drug_and_a_shortage_show_in_the_list(world: World) -> None:
    [match] = search(world, "oxycodone").matches
    assert match.poison_list == pb.POISON_LIST_NARCOTIC
    assert match.short_of_supply
    assert match.fictive


@pytest.mark.parametrize("text", ["", " ", "a", "é", "%"])
def test_a_search_too_short_is_refused_with_its_remedy(world: World, text: str) -> None:
    with pytest.raises(CallFailed, match=r"(SEARCH_TOO_SHORT|FIELD_REQUIRED).*text"):
        search(world, text)


@pytest.mark.parametrize("cis", ["6000000", "6000000a", "600000001", "abcdefgh"])
def test_what_is_no_cis_is_refused(world: World, cis: str) -> None:
    with pytest.raises(CallFailed, match=r"FORMAT_INVALID.*cis"):
        world.call("CatalogueService/GetSpecialty", pb.GetSpecialtyRequest(cis=cis))


@pytest.mark.parametrize("cip13", ["3400990000109", "340099000010", "5400990000108"])
def test_what_is_no_cip13_is_refused(world: World, cip13: str) -> None:
    with pytest.raises(CallFailed, match=r"FORMAT_INVALID.*cip13"):
        world.call("CatalogueService/GetPresentation", pb.GetPresentationRequest(cip13=cip13))


def test_an_unknown_medicine_box_or_edition_is_told_apart(world: World) -> None:
    with pytest.raises(CallFailed, match=r"NOT_FOUND.*cis"):
        world.call("CatalogueService/GetSpecialty", pb.GetSpecialtyRequest(cis="60000000"))
    with pytest.raises(CallFailed, match=r"NOT_FOUND.*cip13"):
        world.call("CatalogueService/GetPresentation", pb.GetPresentationRequest(cip13="3400949497294"))
    for edition in (0, -1, 2, 2**31 - 1):
        with pytest.raises(CallFailed, match=r"EDITION_UNKNOWN.*edition"):
            world.call("CatalogueService/GetSpecialty", pb.GetSpecialtyRequest(cis="99000001", edition=edition))
    with pytest.raises(CallFailed, match=r"EDITION_UNKNOWN.*edition"):
        world.call("CatalogueService/ListCatalogueChanges", pb.ListCatalogueChangesRequest(edition=2))


def test_without_a_catalogue_nothing_is_called_unknown(empty: Harness) -> None:
    world = World(empty, now=datetime.now(UTC))
    for operation, request in (
        ("SearchSpecialties", pb.SearchSpecialtiesRequest(text="paracetamol")),
        ("GetSpecialty", pb.GetSpecialtyRequest(cis="60000000")),
        ("GetPresentation", pb.GetPresentationRequest(cip13="3400949497294")),
    ):
        with pytest.raises(CallFailed, match="CATALOGUE_MISSING"):
            world.call(f"CatalogueService/{operation}", request)


def test_whoever_has_nothing_to_do_with_medicines_is_refused_and_that_is_journalled(world: World) -> None:
    request = pb.SearchSpecialtiesRequest(text="paracetamol")
    with pytest.raises(CallFailed, match="RIGHT_MISSING"):
        world.call("CatalogueService/SearchSpecialties", request, as_="secretary")
    assert entries(world) == 1


def test_reading_the_catalogue_is_about_nobody_and_leaves_no_entry(world: World) -> None:
    search(world, "paracetamol")
    world.call("CatalogueService/GetSpecialty", pb.GetSpecialtyRequest(cis="99000001"))
    assert entries(world) == 0


def entries(world: World) -> int:
    [(count,)] = world.harness.admin("SELECT count(*) FROM journal_outbox WHERE tenant_id = %s", (world.tenant,))
    return int(count)


@pytest.mark.parametrize(
    ("operation", "request_"),
    [
        ("SearchSpecialties", pb.SearchSpecialtiesRequest(text="par 500")),
        ("GetSpecialty", pb.GetSpecialtyRequest(cis="99000001")),
        ("GetPresentation", pb.GetPresentationRequest(cip13="3400990000108")),
        ("ListCatalogueEditions", pb.ListCatalogueEditionsRequest()),
        ("ListCatalogueChanges", pb.ListCatalogueChangesRequest(edition=1)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_question_is_served_by_an_index(world: World, operation: str, request_: Any) -> None:
    with watched(world.harness) as trips:
        world.call(f"CatalogueService/{operation}", request_)
    check_plans(world.harness, world.tenant, trips, most=2, small=["catalogue_edition_pkey"])
