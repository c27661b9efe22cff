"""From a name on a prescription to the names of the thesaurus."""

from __future__ import annotations

import pytest
from dui_medication.knowledge.resolution import (
    REASON_LABELS,
    Homeopathic,
    How,
    Reason,
    Resolved,
    Substance,
    Unresolved,
    resolve,
    resolve_name,
    substances_of,
)
from dui_medication.knowledge.thesaurus import Thesaurus


@pytest.mark.parametrize(
    ("name", "found", "how"),
    [
        ("Zolanum", ("ZOLANUM",), How.EXACT),
        ("MORPHÉOL (CHLORHYDRATE DE)", ("MORPHEOL",), How.SALT_REMOVED),
        ("MORPHEOL SODIQUE ANHYDRE", ("MORPHEOL",), How.SALT_REMOVED),
        ("FICTATE DE SODIUM", ("ACIDE FICTIQUE",), How.SALT_REMOVED),
        ("FICTIQUE (ACIDE)", ("ACIDE FICTIQUE",), How.EXACT),
        ("ZOLANE", ("ZOLANUM",), How.SYNONYM),
        ("CHLORHYDRATE DE ZOLANE DIHYDRATÉ", ("ZOLANUM",), How.SYNONYM),
        ("LURIBRILE", ("BRILINE", "LURIDEX"), How.SYNONYM),
    ],
)
def test_a_name_says_what_it_leads_to_and_how(fictive: Thesaurus, name: str, found: tuple[str, ...], how: How) -> None:
    assert resolve_name(name, fictive) == Resolved(name, found, how)


@pytest.mark.parametrize("name", ["Perdanol", "PERDANOL TERT-BUTYLAMINE", "PERDANOL ARGININE", "TOSILATE DE PERDANOL"])
def test_a_substance_that_the_index_split_over_two_names_is_both(fictive: Thesaurus, name: str) -> None:
    resolved = resolve_name(name, fictive)
    assert isinstance(resolved, Resolved)
    assert resolved.found == ("PERDANOL", "PERDANOL TERT BUTYLAMINE")


def test_the_salt_of_a_mineral_is_the_mineral_too_but_not_its_other_salts(fictive: Thesaurus) -> None:
    citrate, chloride = resolve_name("CITRATE DE POTASSIUM", fictive), resolve_name("POTASSIUM (CHLORURE DE)", fictive)
    assert isinstance(citrate, Resolved)
    assert isinstance(chloride, Resolved)
    assert citrate.found == ("CITRATE DE POTASSIUM", "POTASSIUM")
    assert chloride.found == ("POTASSIUM",)


@pytest.mark.parametrize(
    "name", ["ZOLANUMAB", "ZOLANU", "ZOLANUM ET MORPHEOL", "ISOZOLANUM", "INCONNUMAB", "IODURE DE POTASSIUM"]
)
def test_a_name_that_only_resembles_is_unknown(fictive: Thesaurus, name: str) -> None:
    assert resolve_name(name, fictive) == Unresolved(name, Reason.UNKNOWN)


def test_a_synonym_of_what_this_edition_does_not_have_is_unknown(fictive: Thesaurus) -> None:
    assert resolve_name("VÉTUSTINE", fictive) == Unresolved("VÉTUSTINE", Reason.UNKNOWN)


@pytest.mark.parametrize("name", ["", "???", "ζόλανουμ", "ZOLANUM (CHLORHYDRATE DE"])
def test_a_name_that_cannot_be_read_is_told_from_one_that_is_unknown(fictive: Thesaurus, name: str) -> None:
    assert resolve_name(name, fictive) == Unresolved(name, Reason.UNREADABLE)


def test_a_homeopathic_stock_is_not_the_substance_that_it_is_named_after(fictive: Thesaurus) -> None:
    name = "ZOLANUM POUR PRÉPARATIONS HOMÉOPATHIQUES"
    assert resolve_name(name, fictive) == Homeopathic(name)
    assert resolve(Substance((name,)), fictive) == Homeopathic(name)


def test_a_substance_resolves_by_any_of_its_names_and_counts_as_all_that_do(fictive: Thesaurus) -> None:
    assert resolve(Substance(("XYLATE DE ZOLANUM", "ZOLANUM")), fictive) == Resolved(
        "XYLATE DE ZOLANUM", ("ZOLANUM",), How.EXACT
    )
    both = resolve(Substance(("CHLORHYDRATE DE LURIDEX", "BRILINE")), fictive)
    assert isinstance(both, Resolved)
    assert both.found == ("BRILINE", "LURIDEX")


def test_a_substance_without_a_name_that_resolves_is_unknown_or_unreadable(fictive: Thesaurus) -> None:
    assert resolve(Substance(("INCONNUMAB", "")), fictive) == Unresolved("INCONNUMAB", Reason.UNKNOWN)
    assert resolve(Substance(("", "?")), fictive) == Unresolved("", Reason.UNREADABLE)
    assert resolve(Substance(()), fictive) == Unresolved("", Reason.UNREADABLE)


def test_every_reason_has_a_label_in_french_and_english() -> None:
    assert set(REASON_LABELS) == set(Reason)
    assert all(french and english for french, english in REASON_LABELS.values())


# ------------------------------------------------------------------------------------------------------------- folding


def test_a_substance_and_its_moiety_are_one_under_both_names() -> None:
    composition = [("CHLORHYDRATE DE METFORMINE", ["METFORMINE"]), ("VILDAGLIPTINE", [])]
    assert substances_of(composition) == (
        Substance(("CHLORHYDRATE DE METFORMINE", "METFORMINE")),
        Substance(("VILDAGLIPTINE",)),
    )


def test_a_compound_of_two_moieties_is_each_of_them_and_itself() -> None:
    composition = [("COMPLEXE SODIQUE SACUBITRIL VALSARTAN", ["VALSARTAN", "SACUBITRIL"])]
    assert substances_of(composition) == (
        Substance(("COMPLEXE SODIQUE SACUBITRIL VALSARTAN",)),
        Substance(("VALSARTAN",)),
        Substance(("SACUBITRIL",)),
    )


def test_one_substance_in_several_parts_is_there_once() -> None:
    assert substances_of([("GESTODÈNE", []), ("GESTODÈNE", [])]) == (Substance(("GESTODÈNE",)),)
