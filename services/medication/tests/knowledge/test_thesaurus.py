"""What an edition says about two substances."""

from __future__ import annotations

import pytest
from dui_medication.knowledge.thesaurus import Level, Thesaurus
from hypothesis import given
from hypothesis import strategies as st

NAMES = (
    "ZOLANUM MORPHEOL SOMNIDRINE BRILINE LURIDEX CLARISOL PERDANOL POTASSIUM REGULOL|PERDANOL TERT BUTYLAMINE"
    "|ACIDE FICTIQUE|CITRATE DE POTASSIUM"
)
ANY_NAME = st.sampled_from([*NAMES.split("|")[0].split(), *NAMES.split("|")[1:]])


def said(thesaurus: Thesaurus, one: str, other: str) -> list[tuple[str, str, Level]]:
    return [(found.first.name, found.second.name, found.level) for found in thesaurus.between(one, other)]


def test_two_substances_interact(fictive: Thesaurus) -> None:
    assert said(fictive, "ZOLANUM", "BRILINE") == [("zolanum", "briline", Level.CI)]


def test_a_substance_interacts_with_the_members_of_a_class_and_with_its_own_class_the_worst_first(
    fictive: Thesaurus,
) -> None:
    assert said(fictive, "LURIDEX", "MORPHEOL") == [
        ("luridex", "rêveurs", Level.AD),
        ("rêveurs", "éclaircissants (sauf briline)", Level.PE),
    ]


def test_all_levels_of_an_interaction_are_told_with_their_conditions(fictive: Thesaurus) -> None:
    interaction = fictive.between("LURIDEX", "ZOLANUM")[0]
    assert [(one.level, one.text) for one in interaction.conducts] == [
        (Level.AD, "à forte dose"),
        (Level.PE, "à faible dose"),
    ]
    assert (interaction.level, interaction.least) == (Level.AD, Level.PE)


def test_two_classes_interact_through_their_members(fictive: Thesaurus) -> None:
    assert said(fictive, "CLARISOL", "SOMNIDRINE") == [("rêveurs", "éclaircissants (sauf briline)", Level.PE)]


def test_who_is_left_out_of_a_class_is_no_member_of_it(fictive: Thesaurus) -> None:
    assert said(fictive, "BRILINE", "MORPHEOL") == []


def test_two_members_of_a_class_that_interacts_with_itself_interact_once(fictive: Thesaurus) -> None:
    assert said(fictive, "ZOLANUM", "MORPHEOL") == [("rêveurs", "autres rêveurs", Level.APEC)]


def test_a_substance_does_not_interact_with_itself(fictive: Thesaurus) -> None:
    assert said(fictive, "ZOLANUM", "ZOLANUM") == []


def test_a_name_that_was_not_resolved_is_refused_not_answered(fictive: Thesaurus) -> None:
    with pytest.raises(ValueError, match="INCONNUMAB"):
        fictive.between("ZOLANUM", "INCONNUMAB")
    with pytest.raises(ValueError, match="zolanum"):
        fictive.between("zolanum", "zolanum")
    with pytest.raises(ValueError, match="INCONNUMAB"):
        fictive.beyond("INCONNUMAB")


@given(ANY_NAME, ANY_NAME)
def test_the_order_of_two_substances_does_not_matter(fictive: Thesaurus, one: str, other: str) -> None:
    assert fictive.between(one, other) == fictive.between(other, one)


@given(ANY_NAME, ANY_NAME)
def test_an_interaction_is_found_once_and_the_worst_first(fictive: Thesaurus, one: str, other: str) -> None:
    found = fictive.between(one, other)
    assert len(set(found)) == len(found)
    assert [-entry.level for entry in found] == sorted(-entry.level for entry in found)
    assert all(list(entry.conducts) == sorted(entry.conducts, key=lambda one: -one.level) for entry in found)


def test_what_no_prescription_shows_is_told_for_a_substance_and_for_its_classes(fictive: Thesaurus) -> None:
    assert [(found.second.name, found.level) for found in fictive.beyond("ZOLANUM")] == [
        ("ALCOOL (BOISSON OU EXCIPIENT)", Level.AD),
        ("MÉDICAMENTS ADMINISTRÉS PAR VOIE ORALE", Level.PE),
    ]
    assert fictive.beyond("BRILINE") == ()


def test_an_edition_cannot_be_changed(fictive: Thesaurus) -> None:
    with pytest.raises(TypeError):
        fictive.sides["ZOLANUM"] = ()  # type: ignore[index]
    with pytest.raises(AttributeError):
        fictive.edition_on = fictive.edition_on  # type: ignore[misc]
