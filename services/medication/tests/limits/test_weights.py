"""A child's weight, and the dose per kilogram."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from dui_medication.limits.weights import Strength, age_on, dose_per_kg, fresh_for, strength_of

D = Decimal


@pytest.mark.parametrize(
    ("birth_date", "starts_on", "days"),
    [
        (date(2024, 3, 2), date(2026, 3, 1), 31),
        (date(2024, 3, 1), date(2026, 3, 1), 92),
        (date(2020, 3, 2), date(2026, 3, 1), 92),
        (date(2020, 3, 1), date(2026, 3, 1), 183),
        (date(2008, 3, 2), date(2026, 3, 1), 183),
        (date(2008, 3, 1), date(2026, 3, 1), None),
        # Born on 29 February: of age on 1 March.
        (date(2008, 2, 29), date(2026, 2, 28), 183),
        (date(2008, 2, 29), date(2026, 3, 1), None),
    ],
)
def test_the_younger_the_child_the_fresher_the_weight(birth_date: date, starts_on: date, days: int | None) -> None:
    assert fresh_for(birth_date, starts_on) == days


def test_age_is_in_whole_years() -> None:
    assert age_on(date(2000, 5, 10), date(2026, 5, 9)) == 25
    assert age_on(date(2000, 5, 10), date(2026, 5, 10)) == 26


@pytest.mark.parametrize(
    ("strength", "per", "read"),
    [
        ("500 mg", "un comprimé", Strength(D(500), D(1), "comprimé")),
        ("1,00 mg", "un comprimé", Strength(D(1), D(1), "comprimé")),
        ("1 g", "une gélule", Strength(D(1000), D(1), "gélule")),
        ("1 000 mg", "un sachet-dose", Strength(D(1000), D(1), "sachet")),
        ("2,4 g", "100 ml de solution buvable", Strength(D(2400), D(100), "ml")),
        ("100 microgrammes", "1 mL de solution", Strength(D("0.1"), D(1), "ml")),
        ("40 µg", "0,5 ml", Strength(D("0.04"), D("0.5"), "ml")),
        ("1 g", "1000 ml d'émulsion après mélange", Strength(D(1000), D(1000), "ml")),
        # No plain mass: units, ranges, traces, equivalents, dilutions.
        ("200 000 UI", "un comprimé", None),
        ("5 - 10 mg", "un comprimé", None),
        ("qsp 10 mg", "un comprimé", None),
        ("5 mg équivalent à 6 mg", "un comprimé", None),
        ("2CH à 30CH et 4DH à 60DH", "un comprimé", None),
        # One and a half to some, fifteen hundred to others.
        ("1.500 mg", "un comprimé", None),
        ("0 mg", "un comprimé", None),
        ("500 mg", "", None),
        ("", "un comprimé", None),
    ],
)
def test_a_strength_of_the_catalogue_is_read_or_left(strength: str, per: str, read: Strength | None) -> None:
    assert strength_of(strength, per) == read


PARACETAMOL = strength_of("2,4 g", "100 ml de solution buvable")
TABLET = strength_of("500 mg", "un comprimé")
CREAM = strength_of("1 g", "100 g de crème")


@pytest.mark.parametrize(
    ("quantity", "unit", "weight", "strength", "dose"),
    [
        (D(150), "mg", D(10), None, D(15)),
        (D("0.15"), "g", D(10), None, D(15)),
        (D(150_000), "microgrammes", D(10), None, D(15)),
        (D(2), "comprimés", D(40), TABLET, D(25)),
        (D("0.5"), "Comprimé", D(20), TABLET, D("12.5")),
        # 6.25 ml of 24 mg/ml are 150 mg.
        (D("6.25"), "ml", D(10), PARACETAMOL, D(15)),
        (D("0.625"), "cl", D(10), PARACETAMOL, D(15)),
        (D(1), "mg", D(3), None, D("0.3333")),
        # Not computable.
        (D(1), "gélule", D(10), TABLET, None),
        (D(1), "comprimé", D(10), None, None),
        (D(5), "ml", D(10), TABLET, None),
        (D(2), "UI", D(10), None, None),
        # Five grams: of the cream, or of what is in it?
        (D(5), "g", D(10), CREAM, None),
        (D(5), "mg", D(0), None, None),
    ],
)
def test_the_dose_per_kilogram_is_computed_or_none(
    quantity: Decimal, unit: str, weight: Decimal, strength: Strength | None, dose: Decimal | None
) -> None:
    assert dose_per_kg(quantity, unit, weight, strength) == dose
