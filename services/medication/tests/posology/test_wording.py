"""The French of a posology, sentence by sentence, and amounts in full letters."""

from __future__ import annotations

from datetime import date, time
from decimal import Decimal

import pytest
from dui_medication.posology.rules import AsNeeded, Course, Infusion, IntervalDose, Posology, Step, TimedDose
from dui_medication.posology.units import UNITS
from dui_medication.posology.wording import NO_BREAK, amount, amount_in_words, posology_text

START = date(2026, 3, 3)
OPEN = Course(START, None, None)


def at(hour: int, quantity: str = "1", minute: int = 0) -> TimedDose:
    return TimedDose(time(hour, minute), Decimal(quantity))


def line(*steps: Step, unit: str = "{tbl}") -> Posology:
    return Posology(unit, steps, None)


def read(posology: Posology, course: Course = OPEN, *, in_words: bool = False) -> str:
    """The text with plain spaces."""
    return posology_text(posology, course, in_words=in_words).replace(NO_BREAK, " ")


@pytest.mark.parametrize(
    ("posology", "course", "expected"),
    [
        (
            line(Step(7, (at(8), at(20))), Step(7, (at(8, "0.5"),))),
            OPEN,
            "1 comprimé à 8 h et 20 h, pendant 7 jours, puis 0,5 comprimé à 8 h, pendant 7 jours",
        ),
        (
            line(Step(None, (at(20, "1"), at(8, "2"), at(12, "2", 30)))),
            OPEN,
            "2 comprimés à 8 h et 12 h 30, 1 comprimé à 20 h, sans date de fin",
        ),
        (
            line(Step(1, (at(8),))),
            OPEN,
            "1 comprimé en une prise unique le 3 mars 2026 à 8 h",
        ),
        (
            line(Step(None, (at(0, "1.5", 5),))),
            Course(date(2026, 8, 1), None, date(2026, 8, 1)),
            "1,5 comprimé en une prise unique le 1er août 2026 à 0 h 05",
        ),
        (
            line(Step(None, (at(8), at(20)))),
            Course(START, time(14), date(2026, 4, 1)),
            "1 comprimé à 8 h et 20 h, jusqu'au 1er avril 2026 inclus, à partir du 3 mars 2026 à 14 h",
        ),
        (
            line(Step(1, (at(8),)), Step(None, (at(8, "2"),))),
            OPEN,
            "1 comprimé à 8 h, pendant 1 jour, puis 2 comprimés à 8 h, sans date de fin",
        ),
        (
            line(Step(None, interval=IntervalDose(6, Decimal(1), time(8))), unit="{caps}"),
            OPEN,
            "1 gélule toutes les 6 h (8 h, 14 h, 20 h et 2 h), sans date de fin",
        ),
        (
            line(Step(None, interval=IntervalDose(72, Decimal(1), time(9))), unit="{patch}"),
            OPEN,
            "1 patch toutes les 72 h à partir de 9 h, sans date de fin",
        ),
        (
            line(Step(2, interval=IntervalDose(1, Decimal("2.5"), time(0))), unit="mL"),
            OPEN,
            "2,5 mL toutes les heures à partir de 0 h, pendant 2 jours",
        ),
        (
            line(Step(None, infusion=Infusion(time(22), 10, Decimal(50))), unit="mL"),
            OPEN,
            "50 mL par heure en perfusion de 10 h à 22 h, sans date de fin",
        ),
        (
            line(Step(3, infusion=Infusion(time(8), 24, Decimal("0.5"))), unit="mg"),
            OPEN,
            "0,5 mg par heure en perfusion continue à partir de 8 h, pendant 3 jours",
        ),
        (
            line(Step(None, (at(8),), weekdays=frozenset({5, 1, 3}))),
            OPEN,
            "1 comprimé à 8 h, le lundi, le mercredi et le vendredi, sans date de fin",
        ),
        (
            line(Step(None, (at(8),), weekdays=frozenset(range(1, 8)))),
            OPEN,
            "1 comprimé à 8 h, sans date de fin",
        ),
        (line(Step(None, (at(8),), every_days=2)), OPEN, "1 comprimé à 8 h, un jour sur deux, sans date de fin"),
        (line(Step(None, (at(8),), every_days=3)), OPEN, "1 comprimé à 8 h, tous les 3 jours, sans date de fin"),
        (
            Posology("{tbl}", (), AsNeeded(Decimal(1), " douleur ", Decimal(4), 360)),
            OPEN,
            "si besoin (douleur), 1 comprimé, 4 comprimés au plus par 24 h, 6 h au moins entre deux prises",
        ),
        (
            Posology("[drp]", (), AsNeeded(Decimal(10), "agitation", Decimal(30), 90)),
            Course(START, time(14), date(2026, 3, 9)),
            (
                "si besoin (agitation), 10 gouttes, 30 gouttes au plus par 24 h, 1 h 30 au moins entre deux prises,"
                " à partir du 3 mars 2026 à 14 h, jusqu'au 9 mars 2026 inclus"
            ),
        ),
        (
            Posology("{puff}", (), AsNeeded(Decimal(2), "gêne", Decimal(8), 20)),
            OPEN,
            "si besoin (gêne), 2 bouffées, 8 bouffées au plus par 24 h, 20 min au moins entre deux prises",
        ),
        (
            Posology("{puff}", (), AsNeeded(Decimal(1), "gêne", Decimal(1), 0)),
            OPEN,
            "si besoin (gêne), 1 bouffée, 1 bouffée au plus par 24 h",
        ),
    ],
)
def test_a_posology_is_told_as_a_prescriber_writes_it(posology: Posology, course: Course, expected: str) -> None:
    assert read(posology, course) == expected


@pytest.mark.parametrize(
    ("posology", "expected"),
    [
        (
            line(Step(7, (at(8), at(20))), unit="{caps}"),
            "une gélule à 8 h et 20 h, soit deux prises par jour, pendant sept jours",
        ),
        (
            line(Step(28, interval=IntervalDose(12, Decimal("2.5"), time(8))), unit="mg"),
            "deux virgule cinq milligrammes toutes les 12 h (8 h et 20 h), soit deux prises par jour, pendant vingt-huit jours",
        ),
        (
            line(Step(3, (at(8),), weekdays=frozenset({2}))),
            "un comprimé à 8 h, soit une prise par jour de prise, le mardi, pendant trois jours",
        ),
        (
            line(Step(None, interval=IntervalDose(72, Decimal(1), time(8))), unit="{patch}"),
            "un patch toutes les 72 h à partir de 8 h, sans date de fin",
        ),
        (
            Posology("{tbl}", (), AsNeeded(Decimal(1), "douleur", Decimal(6), 240)),
            "si besoin (douleur), un comprimé, six comprimés au plus par 24 h, 4 h au moins entre deux prises",
        ),
        (line(Step(1, (at(8),)), unit="{amp}"), "une ampoule en une prise unique le 3 mars 2026 à 8 h"),
    ],
)
def test_a_controlled_drug_has_its_amounts_and_its_intakes_in_full_letters(posology: Posology, expected: str) -> None:
    """CSP, article R5132-29."""
    assert read(posology, in_words=True) == expected


@pytest.mark.parametrize(
    ("quantity", "unit", "expected"),
    [
        ("1", "{tbl}", "un comprimé"),
        ("1", "{caps}", "une gélule"),
        ("2.5", "{tbl}", "deux comprimés et demi"),
        ("1.50", "{amp}", "une ampoule et demie"),
        ("0.5", "{tbl}", "un demi-comprimé"),
        ("0.5", "{caps}", "une demi-gélule"),
        ("0.25", "{tbl}", "un quart de comprimé"),
        ("0.75", "{amp}", "trois quarts d'ampoule"),
        ("1.25", "{tbl}", "un comprimé et un quart"),
        ("3.75", "{tbl}", "trois comprimés et trois quarts"),
        ("0.3", "{tbl}", "zéro virgule trois comprimé"),
        ("0.5", "mg", "zéro virgule cinq milligramme"),
        ("0.05", "mg", "zéro virgule zéro cinq milligramme"),
        ("2.005", "mg", "deux virgule zéro zéro cinq milligrammes"),
        ("12.25", "mg", "douze virgule vingt-cinq milligrammes"),
        ("0.000001", "g", "zéro virgule zéro zéro zéro zéro zéro un gramme"),
        ("21", "[drp]", "vingt et une gouttes"),
        ("21", "{tbl}", "vingt et un comprimés"),
        ("11", "[drp]", "onze gouttes"),
        ("71", "[drp]", "soixante et onze gouttes"),
        ("81", "[drp]", "quatre-vingt-une gouttes"),
        ("80", "mg", "quatre-vingts milligrammes"),
        ("80.5", "mg", "quatre-vingts virgule cinq milligrammes"),
        ("200", "mg", "deux cents milligrammes"),
        ("280", "mg", "deux cent quatre-vingts milligrammes"),
        ("1000", "mg", "mille milligrammes"),
        ("80000", "[iU]", "quatre-vingt mille unités internationales"),
        ("100000", "[iU]", "cent mille unités internationales"),
        ("1E+3", "mL", "mille millilitres"),
        ("100", "k[iU]", "cent milliers d'unités"),
    ],
)
def test_an_amount_in_full_letters_is_exact(quantity: str, unit: str, expected: str) -> None:
    """By the rules of French spelling; quatre-vingts and cents take their s where nothing follows."""
    assert amount_in_words(Decimal(quantity), unit) == expected


@pytest.mark.parametrize(
    ("quantity", "unit", "expected"),
    [
        ("1.0", "{tbl}", "1 comprimé"),
        ("1.99", "{tbl}", "1,99 comprimé"),
        ("2", "{tbl}", "2 comprimés"),
        ("0.000001", "g", "0,000001 g"),
        ("1E+3", "mg", "1000 mg"),
        ("10000", "[iU]", "10 000 unités"),
        ("100000.5", "[iU]", "100 000,5 unités"),
        ("25", "ug", "25 microgrammes"),
        ("0.5", "M[iU]", "0,5 million d'unités"),
        ("3", "{syringe}", "3 seringues préremplies"),
    ],
)
def test_an_amount_in_figures_has_a_comma_and_no_idle_zero(quantity: str, unit: str, expected: str) -> None:
    assert amount(Decimal(quantity), unit).replace(NO_BREAK, " ") == expected


def test_no_line_ends_within_an_amount_or_a_time() -> None:
    text = posology_text(line(Step(7, (at(8, "20000", 30),)), unit="[iU]"), OPEN)
    assert text.split(" ") == [
        f"20{NO_BREAK}000{NO_BREAK}unités",
        "à",
        f"8{NO_BREAK}h{NO_BREAK}30,",
        "pendant",
        f"7{NO_BREAK}jours",
    ]


@pytest.mark.parametrize("unit", sorted(UNITS))
def test_every_unit_has_its_words_in_the_singular_and_the_plural(unit: str) -> None:
    assert amount_in_words(Decimal(2), unit) == f"deux {UNITS[unit].words}"
    assert amount_in_words(Decimal(1), unit) in {f"un {UNITS[unit].word}", f"une {UNITS[unit].word}"}
    assert UNITS[unit].words != UNITS[unit].word
    assert "microg" in UNITS["ug"].one
