"""Reading an edition and the table of synonyms."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from dui_medication.knowledge import loading
from dui_medication.knowledge.loading import Empty, KnowledgeRefused, Malformed, Mismatched, Unreadable, read_edition
from dui_medication.knowledge.names import canonical
from dui_medication.knowledge.thesaurus import Level, Thesaurus

DAY = date(2025, 3, 1)
Rows = list[dict[str, Any]]


def entry(main: str, other: str) -> dict[str, Any]:
    return {
        "main_drug": main,
        "between_main_and_plus_drug": "",
        "plus_drug": other,
        "severity_levels": [{"level": "Précaution d'emploi", "info": "Surveiller."}],
        "interaction_mechanism": "Addition.",
        "description": "Précaution d'emploi\nSurveiller.\n\nAddition.",
    }


def edition() -> tuple[Rows, Rows]:
    index = [{"substance": "zolanum", "drug_classes": ["rêveurs"]}, {"substance": "briline", "drug_classes": []}]
    return [entry("RÊVEURS", "BRILINE"), entry("BRILINE", "RÊVEURS")], index


def as_bytes(rows: object) -> bytes:
    return json.dumps(rows, ensure_ascii=False).encode()


def read(interactions: object, index: object) -> Thesaurus:
    return read_edition(as_bytes(interactions), as_bytes(index), edition_on=DAY, synonyms={})


def refused(kind: type[KnowledgeRefused], where: str) -> pytest.RaisesExc[KnowledgeRefused]:
    return pytest.RaisesExc(kind, check=lambda e: e.where == where and bool(e.what and e.remedy) and where in str(e))


def test_an_edition_is_read_with_the_date_that_the_operator_gives() -> None:
    read_in = read(*edition())
    (interaction,) = read_in.between("ZOLANUM", "BRILINE")
    assert read_in.edition_on == DAY
    assert (interaction.level, interaction.conducts[0].text, interaction.mechanism) == (
        Level.PE,
        "Surveiller.",
        "Addition.",
    )


def test_a_byte_order_mark_and_fields_of_a_newer_layout_do_no_harm() -> None:
    interactions, index = edition()
    interactions[0]["since"] = 2031
    content = b"\xef\xbb\xbf" + as_bytes(interactions)
    assert read_edition(content, as_bytes(index), edition_on=DAY, synonyms={}).between("ZOLANUM", "BRILINE")


def test_a_file_that_was_cut_off_is_refused_with_the_place() -> None:
    interactions, index = edition()
    with refused(Unreadable, "interactions") as caught:
        read_edition(as_bytes(interactions)[:-40], as_bytes(index), edition_on=DAY, synonyms={})
    assert "line 1, column" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"   ", b"<html>", b"[{]", '["é"]'.encode("latin-1")])
def test_what_is_no_json_is_refused_for_each_of_the_two_files(content: bytes) -> None:
    interactions, index = map(as_bytes, edition())
    with refused(Unreadable, "interactions"):
        read_edition(content, index, edition_on=DAY, synonyms={})
    with refused(Unreadable, "index"):
        read_edition(interactions, content, edition_on=DAY, synonyms={})


def test_an_edition_without_interactions_or_without_classes_is_refused() -> None:
    interactions, index = edition()
    with refused(Empty, "interactions"):
        read([], index)
    with refused(Empty, "index"):
        read(interactions, [])
    with refused(Empty, "index"):
        read(interactions, [{"substance": "zolanum", "drug_classes": []}])


def broken(change: Callable[[Rows, Rows], object]) -> tuple[Rows, Rows]:
    interactions, index = edition()
    change(interactions, index)
    return interactions, index


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda i, _: i[1].pop("plus_drug"), "interactions[1].plus_drug"),
        (lambda i, _: i[1].update(main_drug=7), "interactions[1].main_drug"),
        (lambda i, _: i[0].update(main_drug=" - "), "interactions[0].main_drug"),
        (lambda i, _: i[0].update(interaction_mechanism=None), "interactions[0].interaction_mechanism"),
        (lambda i, _: i[0].update(severity_levels=[]), "interactions[0].severity_levels"),
        (lambda i, _: i[0].update(severity_levels="CI"), "interactions[0].severity_levels"),
        (lambda i, _: i[0]["severity_levels"].append("CI"), "interactions[0].severity_levels[1]"),
        (lambda i, _: i[0]["severity_levels"][0].pop("info"), "interactions[0].severity_levels[0].info"),
        (lambda i, _: i.append("zolanum"), "interactions[2]"),
        (lambda _, x: x[1].pop("substance"), "index[1].substance"),
        (lambda _, x: x[0].update(drug_classes="rêveurs"), "index[0].drug_classes"),
        (lambda _, x: x[0].update(drug_classes=["rêveurs", ""]), "index[0].drug_classes"),
        (lambda _, x: x[0].update(drug_classes=[None]), "index[0].drug_classes"),
        (lambda _, x: x.append(None), "index[2]"),
    ],
)
def test_a_field_that_is_missing_or_of_another_kind_is_refused_with_its_place(
    change: Callable[[Rows, Rows], object], where: str
) -> None:
    with refused(Malformed, where):
        read(*broken(change))


def test_a_json_that_is_no_list_is_refused() -> None:
    with refused(Malformed, "interactions"):
        read({}, edition()[1])


def test_an_index_of_another_edition_is_refused() -> None:
    interactions, index = edition()
    interactions += [entry(f"CLASSE {number}", "BRILINE") for number in range(loading.MOST_OUTSIDE + 1)]
    with refused(Mismatched, "index"):
        read(interactions, index)


def test_an_edition_as_large_as_the_real_ones_takes_little_memory() -> None:
    # Edition 2020: 3,139 entries, 1,084 substances, 195 classes, 3.3 MB.
    classes = [f"classe numero {number}" for number in range(195)]
    index = [
        {
            "substance": f"substance numero {number}",
            "drug_classes": [classes[(number * step) % 195] for step in (1, 2, 3, 5)],
        }
        for number in range(1084)
    ]
    interactions = [
        entry(f"CLASSE NUMERO {number % 195}", f"SUBSTANCE NUMERO {number % 1084}") for number in range(3139)
    ]
    for number, row in enumerate(interactions):
        row["description"] += f" {number}" + " texte" * 100
        row["interaction_mechanism"] += f" {number}"
    contents = as_bytes(interactions), as_bytes(index)
    tracemalloc.start()
    try:
        read_in = read_edition(*contents, edition_on=DAY, synonyms={})
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(read_in.interactions) == 3139
    assert kept < 10 * 2**20
    assert peak < 20 * 2**20


# ------------------------------------------------------------------------------------------------------------- synonyms


def test_the_table_of_the_package_is_read_and_every_line_of_it_has_a_reason() -> None:
    table = loading.packaged_synonyms()
    assert table[canonical("Cholestyramine")] == (canonical("colestyramine"),)
    assert table[canonical("Poudre d'opium")] == ("MORPHINE",)
    assert len(table) > 100


def test_the_table_takes_one_molecule_for_no_other() -> None:
    table = loading.packaged_synonyms()
    for name in ("ESKETAMINE", "TRASTUZUMAB DERUXTECAN", "BUTYLBROMURE DE SCOPOLAMINE", "ACIDE LEVOFOLINIQUE"):
        assert name not in table


def test_an_antigen_or_an_inactivated_virus_is_not_taken_for_the_live_vaccine() -> None:
    table = loading.packaged_synonyms()
    assert not any("INACTIVE" in name or "ANTIGENE" in name for name in table)


@pytest.mark.parametrize(
    ("content", "where"),
    [
        (b"[[synonym]]\nname = 'Zolane'\nmeans = ['zolanum']\nwhy = ' '", "synonyms[0]"),
        (b"[[synonym]]\nname = ' '\nmeans = ['zolanum']\nwhy = 'x'", "synonyms[0]"),
        (b"[[synonym]]\nname = 'Zolane'\nmeans = []\nwhy = 'x'", "synonyms[0]"),
        (b"[[synonym]]\nname = 'Zolane'\nwhy = 'x'", "synonyms[0].means"),
        (b"[[synonym]]\nname = 'Zolane'\nmeans = ['ZOLANE']\nwhy = 'x'", "synonyms[0]"),
        (
            b"[[synonym]]\nname = 'A'\nmeans = ['b']\nwhy = 'x'\n[[synonym]]\nname = '\xc3\xa0'\nmeans = ['c']\nwhy = 'x'",
            "synonyms[1]",
        ),
        (b"synonym = ['Zolane']", "synonyms[0]"),
        (b"other = 1", "synonyms"),
    ],
)
def test_a_line_of_the_table_without_a_reason_doubled_or_empty_is_refused(content: bytes, where: str) -> None:
    with refused(Malformed, where):
        loading.read_synonyms(content)


@pytest.mark.parametrize("content", [b"[[synonym", b"\xff"])
def test_a_table_that_is_no_toml_is_refused(content: bytes) -> None:
    with refused(Unreadable, "synonyms"):
        loading.read_synonyms(content)
