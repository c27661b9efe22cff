"""The label of a medicine that is prescribed by its international name: the figure is the one on the box."""

from __future__ import annotations

from decimal import Decimal

import pytest
from dui_medication.catalogue.inn import Part, amounts, inn_label
from hypothesis import given
from hypothesis import strategies as st

#: Compositions of the public database, edition of 28 January 2026.
METFORMIN = Part("CHLORHYDRATE DE METFORMINE", "500 mg", [("METFORMINE BASE", "390 mg")], "un comprimé")
AMLODIPINE = Part("BÉSILATE D'AMLODIPINE", "", [("AMLODIPINE", "5 mg")], "une gélule")
FLUCONAZOLE = Part("FLUCONAZOLE", "10 mg", (), "1 ml de suspension reconstituée")
CETIRIZINE = Part("DICHLORHYDRATE DE CÉTIRIZINE", "1,000 g", (), "100 ml")


@pytest.mark.parametrize(
    ("name", "part", "form", "label"),
    [
        ("METFORMINE ARROW 500 mg, comprimé", METFORMIN, "comprimé", "CHLORHYDRATE DE METFORMINE 500 mg, comprimé"),
        ("AMLODIPINE TEVA 5 mg, gélule", AMLODIPINE, "gélule", "AMLODIPINE 5 mg, gélule"),
        (
            "FLUCONAZOLE PFIZER 10 mg/mL, poudre pour suspension buvable",
            FLUCONAZOLE,
            "poudre pour suspension buvable",
            "FLUCONAZOLE 10 mg pour 1 ml de suspension reconstituée, poudre pour suspension buvable",
        ),
        (
            "PRIMPERAN 5 mg/ml, solution injectable",
            Part("MÉTOCLOPRAMIDE", "5 mg", (), "1 ml de solution injectable"),
            "solution injectable",
            "MÉTOCLOPRAMIDE 5 mg pour 1 ml, solution injectable",
        ),
        (
            "LAROSCORBINE 1 g, comprimé effervescent",
            Part("ACIDE ASCORBIQUE", "1000,00 mg", (), "un comprimé"),
            "comprimé effervescent",
            "ACIDE ASCORBIQUE 1000 mg, comprimé effervescent",
        ),
        # The strength of 100 ml is not the one on the box: the name of the specialty is what everybody reads.
        (
            "ZYRTEC 10 mg/ml, solution buvable en gouttes",
            CETIRIZINE,
            "solution buvable en gouttes",
            "ZYRTEC 10 mg/ml, solution buvable en gouttes",
        ),
        # 50 µg of the ampoule, or of each millilitre?
        (
            "SUFENTANIL RENAUDIN 50 microgrammes/mL, solution injectable",
            Part("SUFENTANIL", "50 microgrammes", (), "une ampoule"),
            "solution injectable",
            "SUFENTANIL RENAUDIN 50 microgrammes/mL, solution injectable",
        ),
        ("PRIMALAN, sirop", Part("MÉQUITAZINE", "0,5 mg", (), "5 ml"), "sirop", "PRIMALAN, sirop"),
    ],
)
def test_the_label_has_the_figure_that_stands_on_the_box(name: str, part: Part, form: str, label: str) -> None:
    assert inn_label(name, [part], form) == label


def test_a_medicine_of_unknown_composition_is_called_by_its_name() -> None:
    assert inn_label("MYSTÈRE, comprimé", [], "comprimé") == "MYSTÈRE, comprimé"


def test_grams_and_milligrams_are_one_amount() -> None:
    assert amounts("1 g") == amounts("1000 mg") == amounts("1 000 mg") == [(Decimal(1_000_000), "µg")]
    assert amounts("2,5 mg") == amounts("2.5 mg")


@given(st.integers(1, 2000), st.integers(1, 2000))
def test_no_label_shows_a_strength_that_is_not_in_the_name(on_the_box: int, of_the_salt: int) -> None:
    part = Part("SEL DE X", f"{of_the_salt} mg", [("X", f"{on_the_box} mg")], "un comprimé")
    assert inn_label(f"XAL {on_the_box} mg, comprimé", [part], "comprimé").startswith(f"X {on_the_box} mg")
    other = inn_label(f"XAL {on_the_box + of_the_salt} mg, comprimé", [part], "comprimé")
    assert other == f"XAL {on_the_box + of_the_salt} mg, comprimé"
