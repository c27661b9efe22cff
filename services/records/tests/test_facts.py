"""The snapshot of facts rebuilds the projection of another service exactly."""

from __future__ import annotations

from typing import Any

import pytest
from dui.records.v1 import beneficiaries_pb2, facts_pb2, stays_pb2
from dui_kit.facts import unwrap
from dui_kit.testing import CallFailed, Harness
from dui_records.testing import World

OPERATION = "dui.records.v1.PerimeterFactService/ListPerimeterFacts"


def snapshot(world: World, **options: Any) -> list[Any]:
    """Every fact, by pages of 2, as a service asks for them."""
    facts: list[Any] = []
    request = facts_pb2.ListPerimeterFactsRequest(tenant_id=world.tenant, page_size=2, **options)
    while True:
        page = world.harness.call(OPERATION, request)
        facts += [unwrap(fact) for fact in page.facts]
        if not page.next_page_token:
            return facts
        request.page_token = page.next_page_token


def projection(harness: Harness, tenant: str) -> list[tuple[Any, ...]]:
    persons = harness.admin(
        "SELECT beneficiary_id::text, surviving_id::text, version FROM access_person WHERE tenant_id = %s ORDER BY 1",
        (tenant,),
    )
    perimeters = harness.admin(
        "SELECT fact_id::text, beneficiary_id::text, facility_id::text, unit_id::text, admission_only, valid_from, valid_to,"
        " version FROM access_perimeter WHERE tenant_id = %s ORDER BY 1",
        (tenant,),
    )
    return persons + perimeters


@pytest.fixture
def lived(world: World) -> tuple[str, str, str]:
    """Three persons with a past: a stay that ended, a merge, a mere opening."""
    one, two, three = (world.open().beneficiary_id for _ in range(3))
    stay = world.admit(one, unit_id=world.unit)
    world.end(one, stay.stay_id, stays_pb2.EXIT_REASON_RETURN_HOME)
    world.admit(two)
    request = beneficiaries_pb2.MergeBeneficiaryRequest(beneficiary_id=one, merged_beneficiary_id=two, reason="Doublon")
    world.call("BeneficiaryService/MergeBeneficiary", request)
    return one, two, three


def test_the_snapshot_rebuilds_the_projection_from_nothing(world: World, lived: tuple[str, str, str]) -> None:
    before = projection(world.harness, world.tenant)
    facts = snapshot(world)
    assert len(facts) == len(before) == 3 + 3 + 2 + 2
    for table in ("access_person", "access_perimeter"):
        world.harness.admin(f"DELETE FROM {table} WHERE tenant_id = %s", (world.tenant,))  # noqa: S608 (constants)
    world.harness.facts(world.tenant, facts)
    assert projection(world.harness, world.tenant) == before


@pytest.mark.parametrize("asked", [0, 1])
def test_the_facts_of_a_person_include_those_of_the_records_merged_with_theirs(
    world: World, lived: tuple[str, str, str], asked: int
) -> None:
    facts = snapshot(world, beneficiary_id=lived[asked])
    assert {fact.beneficiary_id for fact in facts} == set(lived[:2])
    assert len(facts) == 2 + 2 + 2 + 2


def test_facts_of_an_unknown_person_or_of_another_association_are_none(world: World, elsewhere: World) -> None:
    person = world.open().beneficiary_id
    assert snapshot(elsewhere, beneficiary_id=person) == []
    assert [fact.beneficiary_id for fact in snapshot(world, beneficiary_id=person)] == [person, person]


def test_only_a_service_asks_for_facts(world: World) -> None:
    with pytest.raises(CallFailed) as refusal:
        world.call(
            "PerimeterFactService/ListPerimeterFacts", facts_pb2.ListPerimeterFactsRequest(tenant_id=world.tenant)
        )
    assert refusal.value.reason == "SERVICE_ONLY"
