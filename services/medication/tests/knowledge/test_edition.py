"""Making a thesaurus out of an edition, and repairing what the extraction lost."""

from __future__ import annotations

from datetime import date

import pytest
from dui_medication.knowledge.edition import Entry, IndexLine, build, conducts_of, listed_members, read_levels, tidied
from dui_medication.knowledge.thesaurus import LEVEL_LABELS, Level, Side, SideKind, Thesaurus

DAY = date(2025, 3, 1)


def thesaurus(entries: list[Entry], *index: tuple[str, *tuple[str, ...]]) -> Thesaurus:
    return build(DAY, entries, [IndexLine(name, tuple(classes)) for name, *classes in index], {})


def entry(
    main: str, other: str, *levels: tuple[str, str], about: str = "", text: str = "", mechanism: str = "M."
) -> Entry:
    return Entry(main, other, levels or (("CONTRE-INDICATION", ""),), mechanism, about, text)


@pytest.mark.parametrize(
    ("wording", "levels"),
    [
        ("CONTRE-INDICATION", (Level.CI,)),
        ("Association DECONSEILLEE", (Level.AD,)),
        ("Précaution d'emploi", (Level.PE,)),
        ("Précaution d’emploi", (Level.PE,)),
        ("A prendre en compte", (Level.APEC,)),
        ("Il convient de prendre en compte", (Level.APEC,)),
        ("CI - ASDEC", (Level.CI, Level.AD)),
        ("CI - ASDEC - APEC", (Level.CI, Level.AD, Level.APEC)),
        ("ASDEC -PE", (Level.AD, Level.PE)),
        ("PE", (Level.PE,)),
        ("à surveiller", ()),
        ("", ()),
    ],
)
def test_a_wording_is_read_as_every_level_that_it_names(wording: str, levels: tuple[Level, ...]) -> None:
    assert read_levels(wording) == levels


def test_an_entry_with_a_combined_level_counts_at_its_worst_and_keeps_them_all() -> None:
    conducts = conducts_of(entry("A", "B", ("CI - PE", "selon la dose")))
    assert [(one.level, one.text, one.wording) for one in conducts] == [
        (Level.CI, "selon la dose", "CI - PE"),
        (Level.PE, "selon la dose", "CI - PE"),
    ]


def test_a_level_worded_beyond_understanding_counts_as_a_contraindication() -> None:
    (conduct,) = conducts_of(entry("A", "B", ("À discuter", "en réunion")))
    assert (conduct.level, conduct.text, conduct.wording) == (Level.CI, "en réunion", "À discuter")


def test_levels_that_only_the_printed_text_names_are_added_with_that_text() -> None:
    text = "CI - APEC\nContre-indication :\n- en cas d'administration simultanée\nA prendre en compte :\n- successive"
    conducts = conducts_of(entry("A", "AUTRES A", ("A prendre en compte", "successive"), text=text))
    assert [one.level for one in conducts] == [Level.CI, Level.APEC]
    assert conducts[0].wording == ""
    assert "en cas d'administration simultanée" in conducts[0].text
    assert conducts[1].text == "successive"


def test_a_heading_glued_to_the_next_word_is_still_read() -> None:
    assert read_levels("CI - ASDEC - APECL'association est délicate. Elle est") == (Level.CI, Level.AD, Level.APEC)


def test_an_advice_to_take_something_into_account_is_no_level() -> None:
    text = "Association DECONSEILLEE\nPrendre en compte la longue demi-vie."
    assert [one.level for one in conducts_of(entry("A", "B", ("Association DECONSEILLEE", ""), text=text))] == [
        Level.AD
    ]


def test_the_lines_of_a_page_are_joined_and_lists_stay_lists() -> None:
    assert (
        tidied(" avec :\n- des doses \nfortes\n - le  reste\n\nSurveiller.")
        == "avec :\n- des doses fortes\n- le reste Surveiller."
    )


def test_an_interaction_printed_under_both_of_its_sides_is_one() -> None:
    edition = thesaurus([entry("A", "B"), entry("B", "A")], ("a",), ("b",))
    assert len(edition.interactions) == 1
    assert len(edition.between("A", "B")) == 1


def test_what_two_printings_of_an_interaction_say_is_put_together() -> None:
    edition = thesaurus(
        [
            entry("A", "B", ("A prendre en compte", ""), mechanism="Un."),
            entry("B", "A", ("CONTRE-INDICATION", "toujours"), mechanism="Deux."),
            entry("A", "B", ("A prendre en compte", ""), mechanism="Un."),
        ],
        ("a",),
        ("b",),
    )
    (interaction,) = edition.between("A", "B")
    assert [one.level for one in interaction.conducts] == [Level.CI, Level.APEC]
    assert interaction.mechanism == "Un.\nDeux."


def test_two_lines_of_the_index_with_one_name_are_one_substance_with_the_classes_of_both() -> None:
    edition = thesaurus([entry("X", "A"), entry("Y", "A")], ("everol", "x"), ("évérol", "y"), ("a",))
    assert len(edition.between("EVEROL", "A")) == 2
    assert edition.substances == {"EVEROL", "A"}


def test_a_class_whose_name_the_page_broke_is_the_same_class() -> None:
    edition = thesaurus([entry("BÊTA-FREINS", "A")], ("lentol", "bêta- freins"), ("vitol", "bêta-freins"), ("a",))
    assert edition.between("LENTOL", "A") == edition.between("VITOL", "A") != ()


def test_a_member_that_only_the_text_about_a_class_lists_is_a_member() -> None:
    about = "Ces anticorps sont nombreux.\n\n(vieuximab, nouvimab (c 7e3), autrimab)"
    edition = thesaurus([entry("ANTICORPS", "A", about=about)], ("vieuximab", "anticorps"), ("a",))
    assert len(edition.between("AUTRIMAB", "A")) == len(edition.between("NOUVIMAB C 7E3", "A")) == 1
    assert "AUTRIMAB" in edition.substances


@pytest.mark.parametrize(
    ("about", "members"),
    [
        ("(un, deux (trois), quatre)", ("un", "deux (trois)", "quatre")),
        ("Texte (entre parenthèses) sans liste.", ()),
        ("Une parenthèse jamais ouverte)", ()),
        ("", ()),
    ],
)
def test_the_members_are_those_in_the_parentheses_at_the_end(about: str, members: tuple[str, ...]) -> None:
    assert listed_members(about) == members


def test_parentheses_that_name_no_known_member_are_no_list() -> None:
    edition = thesaurus([entry("FREINS", "A", about='(voir aussi "bradycardisants")')], ("lentol", "freins"), ("a",))
    assert set(edition.substances) == {"LENTOL", "A"}


@pytest.mark.parametrize("others", ["AUTRES FREINS", "FREINS (AUTRES)"])
def test_the_others_of_a_class_are_its_members_where_the_index_does_not_say(others: str) -> None:
    edition = thesaurus([entry("FREINS", others)], ("lentol", "freins"), ("vitol", "freins"))
    assert len(edition.between("LENTOL", "VITOL")) == 1


def test_a_side_is_a_substance_a_class_or_nothing_that_the_index_knows() -> None:
    edition = thesaurus([entry("FREINS", "A"), entry("A", "PAMPLEMOUSSE (JUS ET FRUIT)")], ("lentol", "freins"), ("a",))
    sides = {side for interaction in edition.interactions.values() for side in (interaction.first, interaction.second)}
    assert sides == {
        Side("freins", SideKind.CLASS),
        Side("a", SideKind.SUBSTANCE),
        Side("PAMPLEMOUSSE (JUS ET FRUIT)", SideKind.OUTSIDE),
    }


def test_every_level_has_a_label_in_french_and_english() -> None:
    assert set(LEVEL_LABELS) == set(Level)
    assert all(french and english for french, english in LEVEL_LABELS.values())
    assert sorted(Level) == [Level.APEC, Level.PE, Level.AD, Level.CI]
