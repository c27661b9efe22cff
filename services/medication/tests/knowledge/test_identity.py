"""When two names are one substance."""

from __future__ import annotations

import pytest
from dui_medication.knowledge.identity import forms_of, forms_of_name, is_known, telling
from dui_medication.knowledge.names import acid_of_mineral_salt
from dui_medication.knowledge.resolution import Substance
from dui_medication.knowledge.thesaurus import Thesaurus


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("AMOXICILLINE TRIHYDRATÉE", "Amoxicilline sodique", True),
        ("ACIDE CLAVULANIQUE", "CLAVULANATE DE POTASSIUM", True),
        ("FOLINATE DE CALCIUM", "ACIDE FOLINIQUE", True),
        ("ACÉTYLSALICYLATE DE DL-LYSINE", "acide acétylsalicylique", True),
        ("ZOLANE", "CHLORHYDRATE DE ZOLANUM", True),
        ("MALÉATE D'ÉNALAPRIL", "MALÉATE DE TIMOLOL", False),
        ("CARBONATE DE CALCIUM", "CARBONATE DE MAGNÉSIUM", False),
        ("ZOLANUM (", "ZOLANUM", False),
    ],
)
def test_two_names_are_one_substance_when_they_share_a_form(
    fictive: Thesaurus, one: str, other: str, same: bool
) -> None:
    assert bool(forms_of_name(one, fictive) & forms_of_name(other, fictive)) is same


def test_synonyms_need_a_thesaurus_and_classes_are_no_forms(fictive: Thesaurus) -> None:
    assert "ZOLANUM" not in forms_of_name("ZOLANE", None)
    assert forms_of_name("rêveurs", fictive) == {"REVEURS"}
    assert is_known("ZOLANE", fictive)
    assert not is_known("REVEURS", fictive)


def test_a_substance_has_the_forms_of_all_its_names(fictive: Thesaurus) -> None:
    both = Substance(("LURIBRILE", "AUTRE"))
    assert {"LURIDEX", "BRILINE", "AUTRE"} <= forms_of((both,), fictive)


def test_a_mineral_tells_when_there_is_nothing_else() -> None:
    assert telling(frozenset({"CHLORURE DE POTASSIUM", "POTASSIUM"})) == {"CHLORURE DE POTASSIUM"}
    assert telling(frozenset({"POTASSIUM"})) == {"POTASSIUM"}


def test_a_plain_anion_is_the_acid_of_nothing() -> None:
    assert acid_of_mineral_salt("CITRATE DE POTASSIUM") is None
    assert acid_of_mineral_salt("VALPROATE DE CHOSE") is None
    assert acid_of_mineral_salt("VALPROATE DE MAGNESIUM") == "ACIDE VALPROIQUE"
