"""An edition is imported whole or not at all, and the ones before stay readable."""

from __future__ import annotations

import threading
from datetime import UTC, date, datetime
from pathlib import Path

import psycopg
import pytest
from dui.access.v1.facts_pb2 import TenantChanged
from dui.medication.v1 import catalogue_pb2 as pb
from dui.medication.v1.events_pb2 import CatalogueEditionChanged
from dui_kit.testing import CallFailed, Harness
from dui_medication.catalogue import importing
from dui_medication.catalogue.importing import current, write
from dui_medication.catalogue.rules import EditionRefused, Source
from dui_medication.catalogue.source import FICTIVE_EDITION, FORMULARY, Catalogue, read
from dui_medication.testing import TODAY, World, announced, load

#: The real edition, where somebody has it: it may not be given on, so the repository has none.
BDPM = Path(__file__).parents[4].parent / "shared" / "data" / "bdpm"
NEXT = date(2026, 2, 15)


def next_edition() -> Catalogue:
    """The formulary a month later: one medicine added, one withdrawn, one changed."""
    found = read(FORMULARY, FICTIVE_EDITION)
    found.published_on = NEXT
    del found.specialties["99000001"]
    found.specialties["99000003"].marketed = False
    added = pb.Specialty(cis="99000099", name="NOUVEAU FICTIF 1 mg, comprimé", marketed=True, fictive=True)
    added.presentations.add(cip13="3400990000993", label="boîte fictive de 28", marketed=True)
    found.specialties["99000099"] = added
    return found


def rows(harness: Harness) -> dict[str, list[tuple[object, ...]]]:
    """Everything in the catalogue."""
    return {
        table: harness.admin(f"SELECT md5(t::text) FROM reference.{table} t ORDER BY 1")  # noqa: S608
        for table in ("catalogue_edition", "specialty", "specialty_word", "presentation")
    }


def told(harness: Harness, *worlds: World) -> list[list[tuple[str, int, str]]]:
    """Of which editions each association was told."""
    found = [announced(harness, world.tenant, CatalogueEditionChanged) for world in worlds]
    return [[(each.source, each.version, each.published_on) for each in events] for events in found]


def test_each_association_is_told_once_of_each_edition(empty: Harness) -> None:
    one, other = (World(empty, now=datetime.now(UTC)) for _ in range(2))
    load(empty)
    load(empty, next_edition())
    both = [("FICTIVE", 1, "2026-01-28"), ("FICTIVE", 2, "2026-02-15")]
    assert told(empty, one, other) == [both, both]
    ordered_by = empty.admin("SELECT DISTINCT aggregate_id, aggregate_version FROM outbox ORDER BY 2")
    assert ordered_by == [("FICTIVE", 1), ("FICTIVE", 2)]
    later = World(empty, now=datetime.now(UTC))
    official = next_edition()
    official.source = Source.BDPM
    load(empty, official)
    third = ("BDPM", 3, "2026-02-15")
    assert told(empty, one, other, later) == [[*both, third], [*both, third], [third]]


def test_an_association_that_is_suspended_is_told_too(empty: Harness) -> None:
    """It may come back, and what its services keep of the catalogue with it."""
    world = World(empty, now=datetime.now(UTC))
    empty.facts(world.tenant, [TenantChanged(tenant_id=world.tenant, version=2, active=False)])
    load(empty)
    assert told(empty, world) == [[("FICTIVE", 1, "2026-01-28")]]


def test_nobody_is_told_of_what_changes_nothing(empty: Harness) -> None:
    """The same edition again, a trial, and editions that are refused."""
    world = World(empty, now=datetime.now(UTC))
    load(empty)
    load(empty)
    assert load(empty, next_edition(), trial=True).changed
    future, older = next_edition(), next_edition()
    future.published_on, older.published_on = date(2026, 6, 2), date(2025, 12, 1)
    for refused in (future, older):
        with pytest.raises(EditionRefused):
            load(empty, refused)
    assert told(empty, world) == [[("FICTIVE", 1, "2026-01-28")]]


def test_an_edition_tells_what_it_added_withdrew_and_changed(empty: Harness) -> None:
    first = load(empty)
    assert (first.edition, first.added, first.withdrawn, first.changed) == (1, 46, 0, 0)
    second = load(empty, next_edition())
    assert (second.written, second.edition) == (True, 2)
    assert (second.added, second.withdrawn, second.changed) == (1, 1, 1)
    world = World(empty, now=datetime.now(UTC))
    reply = world.call("CatalogueService/ListCatalogueChanges", pb.ListCatalogueChangesRequest(edition=2))
    assert [(each.cis, each.kind, each.name) for each in reply.changes] == [
        ("99000001", pb.CATALOGUE_CHANGE_KIND_WITHDRAWN, "PARACÉTAMOL FICTIF 500 mg, comprimé"),
        ("99000003", pb.CATALOGUE_CHANGE_KIND_CHANGED, "PARACÉTAMOL FICTIF 1 g, comprimé"),
        ("99000099", pb.CATALOGUE_CHANGE_KIND_ADDED, "NOUVEAU FICTIF 1 mg, comprimé"),
    ]
    editions = world.call("CatalogueService/ListCatalogueEditions", pb.ListCatalogueEditionsRequest()).editions
    assert [(each.edition, each.published_on, each.added) for each in editions] == [
        (2, "2026-02-15", 1),
        (1, "2026-01-28", 46),
    ]


def test_what_was_prescribed_from_an_earlier_edition_stays_readable(empty: Harness) -> None:
    load(empty)
    load(empty, next_edition())
    world = World(empty, now=datetime.now(UTC))

    def get(cis: str, edition: int | None = None) -> pb.Specialty:
        request = pb.GetSpecialtyRequest(cis=cis, edition=edition)
        return world.call("CatalogueService/GetSpecialty", request).specialty  # type: ignore[no-any-return]

    assert get("99000003", 1).marketed
    assert not get("99000003").marketed
    assert (get("99000001").current, get("99000001").edition) == (False, 1)
    assert (get("99000002", 2).current, get("99000002", 2).edition) == (True, 1)
    for cis, edition in (("99000001", 2), ("99000099", 1)):
        with pytest.raises(CallFailed, match="NOT_FOUND"):
            get(cis, edition)


def test_a_box_that_is_no_longer_sold_is_still_known_on_the_shelf(empty: Harness) -> None:
    load(empty)
    load(empty, next_edition())
    world = World(empty, now=datetime.now(UTC))
    reply = world.call("CatalogueService/GetPresentation", pb.GetPresentationRequest(cip13="3400990000108"))
    assert not reply.presentation.marketed
    assert reply.specialty.cis == "99000001"


def test_a_withdrawn_medicine_is_no_longer_found(empty: Harness) -> None:
    load(empty)
    load(empty, next_edition())
    world = World(empty, now=datetime.now(UTC))
    request = pb.SearchSpecialtiesRequest(text="fictif", include_unmarketed=True, page_size=200)
    found = {match.cis for match in world.call("CatalogueService/SearchSpecialties", request).matches}
    assert "99000001" not in found
    assert {"99000003", "99000099"} <= found
    assert len(found) == 46


def test_the_same_edition_again_changes_nothing(empty: Harness) -> None:
    load(empty)
    before = rows(empty)
    again = load(empty)
    assert (again.written, again.edition) == (False, 1)
    assert rows(empty) == before


def test_a_trial_counts_and_changes_nothing(empty: Harness) -> None:
    load(empty)
    before = rows(empty)
    trial = load(empty, next_edition(), trial=True)
    assert (trial.written, trial.added, trial.withdrawn, trial.changed) == (False, 1, 1, 1)
    assert rows(empty) == before


def test_an_older_edition_and_a_fictive_one_over_the_official_are_refused(empty: Harness) -> None:
    official = next_edition()
    official.source = Source.BDPM
    load(empty, official)
    before = rows(empty)
    older = read(FORMULARY, FICTIVE_EDITION)
    older.source = Source.BDPM
    for refused in (older, read(FORMULARY, FICTIVE_EDITION)):
        with pytest.raises(EditionRefused):
            load(empty, refused)
    assert rows(empty) == before


@pytest.mark.parametrize("stage", ["_CLOSE", "_OPEN", "_WORDS", "_BOXES", "_EDITION"])
def test_an_import_that_breaks_off_leaves_the_edition_before(
    empty: Harness, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    world = World(empty, now=datetime.now(UTC))
    load(empty)
    before = rows(empty)
    monkeypatch.setattr(importing, stage, "SELECT 1/0")
    with pytest.raises(psycopg.Error):
        load(empty, next_edition())
    assert rows(empty) == before
    assert told(empty, world) == [[("FICTIVE", 1, "2026-01-28")]]


def test_an_import_that_fails_after_it_told_somebody_told_nobody_and_wrote_nothing(empty: Harness) -> None:
    """The second association cannot be told: neither is the first, and the edition is not there."""
    one, other = sorted((World(empty, now=datetime.now(UTC)) for _ in range(2)), key=lambda world: world.tenant)
    load(empty)
    before = rows(empty)
    empty.admin(f"ALTER TABLE outbox ADD CONSTRAINT refused CHECK (tenant_id <> '{other.tenant}') NOT VALID")
    with pytest.raises(psycopg.errors.CheckViolation):
        load(empty, next_edition())
    assert rows(empty) == before
    assert told(empty, one, other) == [[("FICTIVE", 1, "2026-01-28")]] * 2


def test_two_imports_at_once_follow_each_other(empty: Harness) -> None:
    world = World(empty, now=datetime.now(UTC))
    load(empty)
    done: list[importing.Report] = []

    def one() -> None:
        with psycopg.connect(empty.database.owner_url, autocommit=True) as connection:
            done.append(write(connection, next_edition(), today=TODAY))

    threads = [threading.Thread(target=one) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(report.written for report in done) == [False, False, True]
    with psycopg.connect(empty.database.owner_url, autocommit=True) as connection:
        found = current(connection)
    assert found is not None
    assert (found.number, found.published_on) == (2, NEXT)
    assert told(empty, world) == [[("FICTIVE", 1, "2026-01-28"), ("FICTIVE", 2, "2026-02-15")]]


@pytest.mark.skipif(not BDPM.is_dir(), reason="the official files are not here: they are fetched, never given on")
def test_the_official_edition_is_read_and_imported_whole(empty: Harness) -> None:
    """Counts of the edition of 2026-01-28, by `zcat FILE | cut -f1 | sort -u | wc -l`."""
    catalogue = read(BDPM, date(2026, 1, 28))
    assert len(catalogue.specialties) == 15_799
    assert catalogue.presentations == 20_875 - catalogue.unknown["CIS_CIP_bdpm"]
    components = sum(
        1 + len(component.moieties) for each in catalogue.specialties.values() for component in each.components
    )
    # Two substances that share one link share its moieties, which are then shown with each.
    assert 32_449 <= components < 32_449 + 30
    assert load(empty, catalogue).added == 15_799
    world = World(empty, now=datetime.now(UTC))
    found = world.call("CatalogueService/SearchSpecialties", pb.SearchSpecialtiesRequest(text="doliprane 500"))
    assert all(match.name.startswith("DOLIPRANE") for match in found.matches)
    assert "DOLIPRANE 500 mg, comprimé" in [match.name for match in found.matches]
    box = world.call("CatalogueService/GetPresentation", pb.GetPresentationRequest(cip13="3400949497294"))
    assert "ANASTROZOLE" in box.specialty.name.upper()
