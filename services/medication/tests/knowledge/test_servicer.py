"""Checking medicines of the catalogue against a thesaurus, as a prescriber does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest
from dui.medication.v1 import interactions_pb2 as pb
from dui.medication.v1.events_pb2 import KnowledgeEditionChanged
from dui_kit.testing import CallFailed, Harness, create_database
from dui_kit.testing_plans import check_plans, watched
from dui_medication.app import build
from dui_medication.knowledge.importing import Files, count_coverage, current, write
from dui_medication.knowledge.loading import KnowledgeRefused
from dui_medication.testing import World, announced, load

TODAY = datetime.now(UTC).date()
NEW, EXISTING, CONDITIONAL = pb.LINE_ORIGIN_NEW, pb.LINE_ORIGIN_EXISTING, pb.LINE_ORIGIN_CONDITIONAL
#: Specialties of the fictive formulary.
WARFARIN, MICONAZOLE, PARACETAMOL = "99000021", "99000022", "99000001"
GENERIC, OXYCODONE, MACROGOL = "99000002", "99000006", "99000028"


def _pair(one: str, other: str, level: str, info: str = "") -> list[dict[str, Any]]:
    return [
        {
            "main_drug": left,
            "between_main_and_plus_drug": "+",
            "plus_drug": right,
            "severity_levels": [{"level": level, "info": info}],
            "interaction_mechanism": "Mécanisme d'essai.",
            "description": "",
        }
        for left, right in ((one, other), (other, one))
    ]


def files(edition_on: date, *more: dict[str, Any]) -> Files:
    """A thesaurus in the layout of the files; its sentences are invented."""
    entries = [
        *_pair("WARFARINE", "MICONAZOLE", "CONTRE-INDICATION", "Ne pas associer."),
        *_pair("PARACETAMOL", "WARFARINE", "Précaution d'emploi", "Contrôler l'INR."),
        *_pair("MORPHINIQUES D'ESSAI", "WARFARINE", "A prendre en compte"),
        *more,
    ]
    index = [
        {"substance": "warfarine", "drug_classes": ["antivitamines d'essai"]},
        {"substance": "miconazole", "drug_classes": []},
        {"substance": "paracetamol", "drug_classes": []},
        {"substance": "oxycodone", "drug_classes": ["morphiniques d'essai"]},
    ]
    return Files(edition_on, json.dumps(entries).encode(), json.dumps(index).encode())


def give(harness: Harness, found: Files, **options: Any) -> tuple[bool, int]:
    with psycopg.connect(harness.database.owner_url, autocommit=True) as connection:
        return write(connection, found, today=TODAY, **options)


@pytest.fixture(scope="module")
def informed(postgres: str) -> Iterator[Harness]:
    """Medication with the formulary and a current thesaurus."""
    harness = Harness(build(), create_database(postgres, "medication"))
    load(harness)
    give(harness, files(TODAY - timedelta(days=30)))
    with psycopg.connect(harness.database.owner_url, autocommit=True) as connection:
        assert count_coverage(connection) is not None
    yield harness
    harness.close()


@pytest.fixture
def ward(informed: Harness) -> World:
    return World(informed, now=datetime.now(UTC) - timedelta(minutes=5))


def check(world: World, *lines: tuple[str, str, int]) -> pb.CheckInteractionsResponse:
    asked = [pb.CheckedLine(reference=reference, cis=cis, origin=origin) for reference, cis, origin in lines]  # type: ignore[arg-type]
    return world.call("InteractionService/CheckInteractions", pb.CheckInteractionsRequest(lines=asked))  # type: ignore[no-any-return]


def test_a_contraindication_is_told_first_with_its_conduct_and_edition(ward: World) -> None:
    found = check(ward, ("a", WARFARIN, EXISTING), ("b", PARACETAMOL, EXISTING), ("c", MICONAZOLE, NEW))
    assert [(each.entry.level, list(each.references)) for each in found.findings] == [
        (pb.INTERACTION_LEVEL_CI, ["a", "c"]),
        (pb.INTERACTION_LEVEL_PE, ["a", "b"]),
    ]
    worst = found.findings[0]
    assert worst.involves_new
    assert not worst.involves_conditional
    assert [each.text for each in worst.entry.conducts] == ["Ne pas associer."]
    assert worst.entry.mechanism == "Mécanisme d'essai."
    assert list(worst.substances) == ["WARFARINE SODIQUE", "MICONAZOLE"]
    assert found.knowledge.freshness == pb.KNOWLEDGE_FRESHNESS_CURRENT
    assert found.knowledge.edition_on == (TODAY - timedelta(days=30)).isoformat()
    assert not found.clear


def test_a_class_counts_for_its_members_and_a_line_if_needed_is_told_as_such(ward: World) -> None:
    found = check(ward, ("a", OXYCODONE, CONDITIONAL), ("b", WARFARIN, EXISTING))
    [finding] = found.findings
    assert finding.entry.level == pb.INTERACTION_LEVEL_APEC
    assert finding.involves_conditional


def test_the_same_substance_on_two_lines_is_a_duplicate(ward: World) -> None:
    [duplicate] = check(ward, ("a", PARACETAMOL, EXISTING), ("b", GENERIC, NEW)).duplicates
    assert list(duplicate.references) == ["a", "b"]


def test_what_the_thesaurus_does_not_know_is_told_and_never_clear(ward: World) -> None:
    found = check(ward, ("a", PARACETAMOL, EXISTING), ("b", MACROGOL, NEW))
    assert [(each.reference, each.reason) for each in found.unavailable] == [("b", pb.UNCHECKED_REASON_UNKNOWN)]
    assert not found.findings
    assert not found.clear


def test_only_what_was_all_checked_and_interacts_with_nothing_is_clear(ward: World) -> None:
    found = check(ward, ("a", PARACETAMOL, EXISTING), ("b", MICONAZOLE, NEW))
    assert found.clear


def test_old_knowledge_is_used_and_told_to_be_old(postgres: str) -> None:
    harness = Harness(build(), create_database(postgres, "medication"))
    load(harness)
    give(harness, files(TODAY - timedelta(days=2000)))
    found = check(World(harness, now=datetime.now(UTC)), ("a", WARFARIN, EXISTING), ("b", MICONAZOLE, NEW))
    quiet = check(World(harness, now=datetime.now(UTC)), ("a", PARACETAMOL, EXISTING), ("b", MICONAZOLE, NEW))
    harness.close()
    assert found.knowledge.freshness == pb.KNOWLEDGE_FRESHNESS_STALE
    assert found.findings[0].entry.level == pb.INTERACTION_LEVEL_CI
    assert not quiet.findings
    assert not quiet.clear


def test_without_knowledge_every_substance_is_told_as_not_checked(harness: Harness) -> None:
    found = check(World(harness, now=datetime.now(UTC)), ("a", WARFARIN, EXISTING), ("b", MICONAZOLE, NEW))
    assert found.knowledge.freshness == pb.KNOWLEDGE_FRESHNESS_ABSENT
    assert [each.reason for each in found.unavailable] == [pb.UNCHECKED_REASON_NO_KNOWLEDGE] * 2
    assert not found.clear


def test_a_new_edition_is_used_by_the_processes_that_run(postgres: str) -> None:
    harness = Harness(build(), create_database(postgres, "medication"))
    load(harness)
    world = World(harness, now=datetime.now(UTC))
    lines = (("a", PARACETAMOL, EXISTING), ("b", MICONAZOLE, NEW))
    give(harness, files(TODAY - timedelta(days=40)))
    assert not check(world, *lines).findings
    give(harness, files(TODAY - timedelta(days=1), *_pair("PARACETAMOL", "MICONAZOLE", "Association DECONSEILLEE")))
    [finding] = check(world, *lines).findings
    harness.close()
    assert finding.entry.level == pb.INTERACTION_LEVEL_AD


@pytest.mark.parametrize(
    ("lines", "refused"),
    [
        ([("a", "60000000", NEW)], r"SPECIALTY_UNKNOWN.*lines\[0\]\.cis"),
        ([("a", WARFARIN, NEW), ("a", MICONAZOLE, NEW)], r"REFERENCE_TWICE.*lines\[1\]\.reference"),
        ([("a", WARFARIN, 0)], r"FIELD_REQUIRED.*lines\[0\]\.origin"),
        ([("a", WARFARIN, 9)], r"ENUM_UNKNOWN.*lines\[0\]\.origin"),
        ([(" ", WARFARIN, NEW)], r"FIELD_REQUIRED.*lines\[0\]\.reference"),
        ([("a", "6000", NEW)], r"FORMAT_INVALID.*lines\[0\]\.cis"),
        ([], r"FIELD_REQUIRED.*lines"),
        ([(str(n), WARFARIN, NEW) for n in range(61)], r"LIST_TOO_LONG.*lines"),
    ],
)
def test_a_line_that_the_answer_could_not_speak_of_is_refused(
    ward: World, lines: list[tuple[str, str, int]], refused: str
) -> None:
    with pytest.raises(CallFailed, match=refused):
        check(ward, *lines)


def test_the_knowledge_tells_what_it_can_speak_about(ward: World) -> None:
    reply = ward.call("InteractionService/GetInteractionKnowledge", pb.GetInteractionKnowledgeRequest())
    told = reply.interaction_knowledge
    assert told.entries == 3
    assert told.state.freshness == pb.KNOWLEDGE_FRESHNESS_CURRENT
    assert told.specialties.whole == 46
    # Warfarine, miconazole, oxycodone and three boxes of paracetamol.
    assert told.specialties.part == 6
    assert told.names_met.part == told.names_met.whole == 4
    assert len(told.unresolved) == 20


def test_an_edition_is_imported_once_and_an_older_one_never(postgres: str) -> None:
    harness = Harness(build(), create_database(postgres, "medication"))
    edition = files(TODAY - timedelta(days=10))
    assert give(harness, edition, trial=True) == (False, 3)
    assert give(harness, edition) == (True, 3)
    assert give(harness, edition) == (False, 3)
    with pytest.raises(KnowledgeRefused, match="older"):
        give(harness, files(TODAY - timedelta(days=11)))
    with pytest.raises(KnowledgeRefused, match="future"):
        give(harness, files(TODAY + timedelta(days=1)))
    [(count,)] = harness.admin("SELECT count(*) FROM reference.thesaurus_edition")
    harness.close()
    assert count == 1


def told(harness: Harness, *worlds: World) -> list[list[tuple[str, int, str]]]:
    """Of which editions each association was told."""
    found = [announced(harness, world.tenant, KnowledgeEditionChanged) for world in worlds]
    return [[(each.source, each.version, each.edition_on) for each in events] for events in found]


def test_each_association_is_told_once_of_each_edition_and_of_no_other_import(empty: Harness) -> None:
    one, other = (World(empty, now=datetime.now(UTC)) for _ in range(2))
    first, second = TODAY - timedelta(days=40), TODAY - timedelta(days=10)
    give(empty, files(first), trial=True)
    give(empty, files(first))
    give(empty, files(first))
    expected = [("ANSM", 1, first.isoformat())]
    assert told(empty, one, other) == [expected, expected]
    for refused in (files(first - timedelta(days=1)), files(TODAY + timedelta(days=1)), Files(second, b"[{]", b"[]")):
        with pytest.raises(KnowledgeRefused):
            give(empty, refused)
    assert told(empty, one, other) == [expected, expected]
    later = World(empty, now=datetime.now(UTC))
    give(empty, files(second))
    newest = ("ANSM", 2, second.isoformat())
    assert told(empty, one, other, later) == [[*expected, newest], [*expected, newest], [newest]]


@pytest.mark.parametrize("table", ["reference.thesaurus_edition", "outbox"])
def test_an_edition_that_could_not_be_written_or_told_is_neither_there_nor_told(empty: Harness, table: str) -> None:
    one, other = sorted((World(empty, now=datetime.now(UTC)) for _ in range(2)), key=lambda world: world.tenant)
    broken = "false" if table.startswith("reference") else f"tenant_id <> '{other.tenant}'"
    empty.admin(f"ALTER TABLE {table} ADD CONSTRAINT refused CHECK ({broken}) NOT VALID")
    with pytest.raises(psycopg.errors.CheckViolation):
        give(empty, files(TODAY))
    with psycopg.connect(empty.database.owner_url) as connection:
        assert current(connection) is None
    assert told(empty, one, other) == [[], []]


@pytest.mark.parametrize(
    ("operation", "request_", "most"),
    [
        (
            "CheckInteractions",
            pb.CheckInteractionsRequest(lines=[pb.CheckedLine(reference="a", cis=WARFARIN, origin=NEW)]),
            2,
        ),
        ("GetInteractionKnowledge", pb.GetInteractionKnowledgeRequest(), 2),
    ],
    ids=["check", "knowledge"],
)
def test_every_question_is_served_by_an_index(ward: World, operation: str, request_: Any, most: int) -> None:
    ward.call(f"InteractionService/{operation}", request_)  # the first one reads the thesaurus
    with watched(ward.harness) as trips:
        ward.call(f"InteractionService/{operation}", request_)
    small = ["thesaurus_edition_pkey", "catalogue_edition_pkey"]
    check_plans(ward.harness, ward.tenant, trips, most=most, small=small)
