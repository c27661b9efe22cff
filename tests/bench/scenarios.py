"""The requests of each scenario, with varied ids."""

from __future__ import annotations

import json
import random
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from .data import World
from .load import Request


@dataclass(frozen=True, slots=True)
class Scenario:
    """One operation: who sends it, and the CPU seconds per 1,000 that its request path may take (None: no target)."""

    name: str
    role: str
    build: Callable[[World, int, dict[str, str]], list[Request]]
    target: float | None


def _read(world: World, count: int, headers: dict[str, str]) -> list[Request]:
    return [
        Request("GET", f"/v1/beneficiaries/{person}", None, headers, 200)
        for person in random.choices(world.persons, k=count)
    ]


def _search(world: World, count: int, headers: dict[str, str]) -> list[Request]:
    return [
        Request(
            "POST",
            "/v1/beneficiaries:search",
            json.dumps({"birth_date": world.birth_date(n), "name_prefix": world.name_prefix(n)}).encode(),
            headers,
            200,
        )
        for n in random.choices(range(20_000), k=count)
    ]


def _key(headers: dict[str, str]) -> dict[str, str]:
    return headers | {"Idempotency-Key": secrets.token_hex(16)}


def _create(world: World, count: int, headers: dict[str, str]) -> list[Request]:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return [
        Request(
            "POST",
            f"/v1/facilities/{world.facility_id}/beneficiaries",
            json.dumps(
                {
                    "birth_name": "Neuf" + "".join(random.choices(letters, k=6)).lower(),
                    "birth_given_names": ["Claude" + random.choice(letters).lower()],
                    "birth_date": world.birth_date(n),
                    "sex": "SEX_FEMALE",
                    "fictitious": True,
                }
            ).encode(),
            _key(headers),
            201,
        )
        for n in random.choices(range(20_000), k=count)
    ]


def _add_note(world: World, count: int, headers: dict[str, str]) -> list[Request]:
    body = json.dumps(
        {
            "category": "CATEGORY_NURSING",
            "subject": "Pansement du talon",
            "data": "Plaie propre, deux centimètres, pas d'écoulement. La personne ne se plaint pas.",
            "action": "Pansement refait.",
        }
    ).encode()
    return [
        Request("POST", f"/v1/beneficiaries/{person}/handover_notes", body, _key(headers), 201)
        for person in random.choices(world.persons, k=count)
    ]


def _list_notes(world: World, count: int, headers: dict[str, str]) -> list[Request]:
    return [
        Request("GET", f"/v1/beneficiaries/{person}/handover_notes?page_size=50", None, headers, 200)
        for person in random.choices(world.noted, k=count)
    ]


def _search_catalogue(world: World, count: int, headers: dict[str, str]) -> list[Request]:
    return [
        Request("POST", "/v1/specialties:search", json.dumps({"text": typed, "page_size": 20}).encode(), headers, 200)
        for typed in random.choices(world.typed, k=count)
    ]


def _check_interactions(world: World, count: int, headers: dict[str, str]) -> list[Request]:
    """Eleven medicines that are taken, and a new one, of nobody."""

    def lines() -> list[dict[str, str]]:
        return [
            {"reference": str(n), "cis": cis, "origin": f"LINE_ORIGIN_{'EXISTING' if n else 'NEW'}"}
            for n, cis in enumerate(random.sample(world.medicines, 12))
        ]

    return [
        Request("POST", "/v1/interactions:check", json.dumps({"lines": lines()}).encode(), headers, 200)
        for _ in range(count)
    ]


def _check_prescription(world: World, count: int, headers: dict[str, str]) -> list[Request]:
    """A new line for somebody who takes eleven medicines: record, limits, interactions, allergies."""
    body = json.dumps({"prescription": {"facility_id": world.facility_id, "orders": [world.order]}}).encode()
    return [
        Request("POST", f"/v1/beneficiaries/{person}/prescriptions:check", body, headers, 200)
        for person in random.choices(world.treated, k=count)
    ]


def _treatment_plan(world: World, count: int, headers: dict[str, str]) -> list[Request]:
    return [
        Request("GET", f"/v1/beneficiaries/{person}/treatment_plan", None, headers, 200)
        for person in random.choices(world.treated, k=count)
    ]


#: In the order in which they run: what fills the tables comes last.
SCENARIOS = (
    Scenario("floor_read", "", _read, None),
    Scenario("read_beneficiary", "nurse", _read, 2.6),
    Scenario("search_beneficiaries", "secretary", _search, 3.5),
    Scenario("search_catalogue", "nurse", _search_catalogue, 4.0),
    Scenario("check_interactions_12", "nurse", _check_interactions, 10.0),
    Scenario("check_prescription_12", "nurse", _check_prescription, 10.0),
    Scenario("treatment_plan", "nurse", _treatment_plan, 4.0),
    Scenario("list_handover_notes", "nurse", _list_notes, 4.2),
    Scenario("add_handover_note", "nurse", _add_note, 3.2),
    Scenario("create_beneficiary", "secretary", _create, 3.5),
)
