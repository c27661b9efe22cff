"""The files of the public database: what they may look like, and what is refused."""

from __future__ import annotations

import gzip
import shutil
from datetime import date
from pathlib import Path

import pytest
from dui.medication.v1 import catalogue_pb2 as pb
from dui_medication.catalogue import source
from dui_medication.catalogue.source import FICTIVE_EDITION, FILES, FORMULARY, SourceError, read


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the formulary, to be damaged."""
    return Path(shutil.copytree(FORMULARY, tmp_path / "formulary"))


def rewrite(folder: Path, name: str, change: object) -> None:
    path = folder / f"{name}.txt"
    path.write_bytes(change(path.read_bytes()))  # type: ignore[operator]


def test_every_medicine_of_the_formulary_is_marked_as_invented() -> None:
    found = read(FORMULARY, FICTIVE_EDITION).specialties.values()
    assert len(found) >= 40
    assert all(each.fictive and "FICTIF" in each.name and each.cis.startswith("99") for each in found)
    assert all(box.cip13.startswith("34009900") for each in found for box in each.presentations)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("packed", [False, True])
def test_an_edition_reads_the_same_however_it_was_saved(folder: Path, encoding: str, ending: str, packed: bool) -> None:
    for name in FILES:
        path = folder / f"{name}.txt"
        text = path.read_text(encoding="utf-8").replace("\n", f"\t\t{ending}") + ending
        data = text.encode(encoding)
        path.unlink()
        (folder / f"{name}.txt.gz" if packed else path).write_bytes(gzip.compress(data) if packed else data)
    assert read(folder, FICTIVE_EDITION).digest == read(FORMULARY, FICTIVE_EDITION).digest


def test_the_active_moiety_is_folded_into_the_substance_that_carries_it() -> None:
    [component] = read(FORMULARY, FICTIVE_EDITION).specialties["99000006"].components
    assert component.substance == "CHLORHYDRATE D'OXYCODONE"
    assert [(moiety.substance, moiety.strength) for moiety in component.moieties] == [("OXYCODONE", "5 mg")]


def test_what_the_source_says_of_a_controlled_drug_is_there() -> None:
    found = read(FORMULARY, FICTIVE_EDITION).specialties["99000006"]
    assert found.poison_list == pb.POISON_LIST_NARCOTIC
    assert found.secured_prescription
    assert found.max_duration == "P4W"
    assert found.atc_code == "N02AA05"
    assert found.shortages[0].kind == pb.SHORTAGE_KIND_TENSION
    assert found.shortages[0].started_on == "2026-01-05"


def test_rows_about_medicines_that_the_edition_has_not_are_counted(folder: Path) -> None:
    rewrite(folder, "CIS_GENER_bdpm", lambda data: data + b"9\tUN GROUPE\t60000001\t1\t1\n")
    found = read(folder, FICTIVE_EDITION)
    assert found.unknown["CIS_GENER_bdpm"] == 1
    assert "60000001" not in found.specialties


@pytest.mark.parametrize(
    ("name", "change", "told"),
    [
        ("CIS_bdpm", lambda _: b"", "CIS_bdpm.txt is empty"),
        ("CIS_bdpm", lambda data: data[: len(data) - 60], "CIS_bdpm, line 46: .* columns where at least 11"),
        (
            "CIS_bdpm",
            lambda data: data + data.split(b"\n")[0],
            "CIS_bdpm, line 47: the specialty 99000001 stands twice",
        ),
        ("CIS_bdpm", lambda _: b"<html><body>503</body></html>", "CIS_bdpm, line 1: 1 columns"),
        ("CIS_bdpm", lambda data: b"\0" + data, "CIS_bdpm.txt is no text"),
        ("CIS_bdpm", lambda data: b"\x81" + data, "neither UTF-8 nor Windows-1252"),
        ("CIS_bdpm", lambda data: data.replace(b"99000001", b"9900000", 1), "'9900000' is no CIS code"),
        ("CIS_bdpm", lambda data: gzip.compress(data)[:-20], "CIS_bdpm.txt is damaged or truncated"),
        (
            "CIS_COMPO_bdpm",
            lambda data: data.replace(b"\tSA\t", b"\tXX\t", 1),
            "CIS_COMPO_bdpm, line 1: 'XX' is neither",
        ),
        ("CIS_CIP_bdpm", lambda data: data.replace(b"3400990000108", b"3400990000109"), "'3400990000109' is no CIP13"),
        ("CIS_CIP_bdpm", lambda data: data.replace(b"99", b"98"), "CIS_CIP_bdpm speaks of none of the specialties"),
        ("CIS_GENER_bdpm", lambda data: data.replace(b"\t0\t1", b"\t7\t1", 1), "'7' is no kind of generic"),
        ("CIS_CIP_Dispo_Spec", lambda data: data.replace(b"\t2\t", b"\t9\t"), "'9' is no kind of shortage"),
        ("CIS_CIP_Dispo_Spec", lambda data: data.replace(b"20/01/2026", b"32/01/2026"), "'32/01/2026' is no date"),
        ("CIS_CIP_Dispo_Spec", lambda data: data.replace(b"20/01/2026", b"20/02/2026"), "not that of 2026-01-28"),
    ],
)
def test_a_damaged_file_is_named_with_the_line_and_the_remedy(
    folder: Path, name: str, change: object, told: str
) -> None:
    rewrite(folder, name, change)
    with pytest.raises(SourceError, match=told):
        read(folder, FICTIVE_EDITION)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / f"{name}.txt").unlink()
    with pytest.raises(SourceError, match=f"{name}.txt"):
        read(folder, FICTIVE_EDITION)


def test_a_truncated_official_edition_is_not_taken_for_a_small_one(folder: Path) -> None:
    (folder / source.FICTIVE_MARK).unlink()
    with pytest.raises(SourceError, match=r"CIS_bdpm has 46 specialties .* truncated"):
        read(folder, date(2026, 1, 28))
