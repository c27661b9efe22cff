"""How the catalogue's words are read."""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from datetime import date

import pytest
from dui_kit.errors import Refusal
from dui_medication.catalogue.rules import (
    MAX_WORDS,
    Conditions,
    Edition,
    EditionRefused,
    Place,
    PoisonList,
    Source,
    check_follows,
    conditions_of,
    search_keys,
    searched_words,
    words_of,
)
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("Doliprane 500mg", ("DOLIPRANE", "500", "MG")),
        ("DOLIPRANE 500 mg", ("DOLIPRANE", "500", "MG")),
        ("bisoprolol 2.5", ("BISOPROLOL", "2,5")),
        ("œstradiol", ("OESTRADIOL",)),
        ("lévothyroxine", ("LEVOTHYROXINE",)),
        ("d'amlodipine", ("D", "AMLODIPINE")),
        ("L’oxyde", ("L", "OXYDE")),
        ("KARDEGIC 75 mg/5 %", ("KARDEGIC", "75", "MG", "5")),
        ("  ", ()),
    ],
)
def test_what_is_typed_meets_what_is_printed(typed: str, words: tuple[str, ...]) -> None:
    assert words_of(typed) == words


@given(st.text(max_size=60))
def test_case_and_accents_make_no_difference(text: str) -> None:
    bare = "".join(letter for letter in unicodedata.normalize("NFD", text) if not unicodedata.combining(letter))
    assert words_of(text.upper()) == words_of(text) or any(letter.upper().lower() != letter.lower() for letter in text)
    assert words_of(bare) == words_of(text)


@given(st.text(max_size=60))
def test_the_words_of_words_are_the_same(text: str) -> None:
    assert words_of(" ".join(words_of(text))) == words_of(text)


def test_a_search_needs_two_letters_and_looks_at_eight_words() -> None:
    for short in ("a", " é ", "", "%"):
        with pytest.raises(Refusal, match="SEARCH_TOO_SHORT"):
            searched_words(short)
    assert searched_words("a 5") == ("A", "5")
    assert len(searched_words("un deux " * 20)) == MAX_WORDS


def test_a_medicine_is_found_by_its_name_first_then_by_what_acts_in_it() -> None:
    keys = search_keys("CONTRAMAL 50 mg, gélule", ["CHLORHYDRATE DE TRAMADOL"], homeopathic=False)
    assert keys.name == "CONTRAMAL 50 MG"
    assert keys.words == {
        "CONTRAMAL": Place.NAME,
        "50": Place.ELSEWHERE,
        "MG": Place.ELSEWHERE,
        "TRAMADOL": Place.SUBSTANCE,
    }


def test_a_medicine_is_not_found_by_its_form_nor_by_its_salt() -> None:
    keys = search_keys("ABILIFY 7,5 mg/ml, solution injectable", ["ARIPIPRAZOLE MONOHYDRATÉ"], homeopathic=False)
    assert set(keys.words) == {"ABILIFY", "7,5", "MG", "ML", "ARIPIPRAZOLE"}


def test_a_dilution_comes_after_every_medicine_that_has_the_word() -> None:
    keys = search_keys("DOLICHOS PRURIENS BOIRON", ["DOLICHOS PRURIENS"], homeopathic=True)
    assert set(keys.words.values()) == {Place.HOMEOPATHIC}


@pytest.mark.parametrize(
    ("texts", "meant"),
    [
        # The conditions of prescription and delivery in the words of the BDPM of 2026-01-28.
        ([], Conditions(PoisonList.UNSPECIFIED, "", secured=False)),
        (["liste I"], Conditions(PoisonList.I, "", secured=False)),
        (["liste II"], Conditions(PoisonList.II, "", secured=False)),
        (["liste I", "liste II"], Conditions(PoisonList.I, "", secured=False)),
        (
            [
                "stupéfiants",
                "prescription en toutes lettres sur ordonnance sécurisée",
                "prescription limitée à 4 semaines",
            ],
            Conditions(PoisonList.NARCOTIC, "P4W", secured=True),
        ),
        (["liste I", "prescription sur ordonnance sécurisée"], Conditions(PoisonList.I, "", secured=True)),
        (["prescription limitée à 12 semaines", "liste I"], Conditions(PoisonList.I, "P12W", secured=False)),
        (["prescription limitée à 6 mois"], Conditions(PoisonList.UNSPECIFIED, "P6M", secured=False)),
        (["prescription limitée à 7 jours ou 28 jours"], Conditions(PoisonList.UNSPECIFIED, "P28D", secured=False)),
        (["prescription limitée à 2 jours"], Conditions(PoisonList.UNSPECIFIED, "P2D", secured=False)),
        (["délivrance fractionnée de 14 jours"], Conditions(PoisonList.UNSPECIFIED, "", secured=False)),
        (["liste I", "stupéfiants"], Conditions(PoisonList.NARCOTIC, "", secured=False)),
    ],
)
def test_a_condition_of_prescription_is_read_for_what_it_limits(texts: list[str], meant: Conditions) -> None:
    assert conditions_of(texts) == meant


NOW = Edition(Source.BDPM, date(2026, 1, 28), b"a")
TODAY = date(2026, 2, 1)


def test_the_same_edition_again_changes_nothing() -> None:
    assert check_follows(None, NOW, TODAY) is True
    assert check_follows(NOW, NOW, TODAY) is False


def test_an_edition_corrected_on_the_same_day_is_taken() -> None:
    assert check_follows(NOW, replace(NOW, digest=b"b"), TODAY) is True


@pytest.mark.parametrize(
    ("current", "new", "why"),
    [
        (NOW, replace(NOW, published_on=date(2026, 1, 14), digest=b"b"), "older"),
        (None, replace(NOW, published_on=date(2026, 2, 2)), "future"),
        (NOW, Edition(Source.FICTIVE, date(2026, 1, 30), b"b"), "fictive"),
    ],
)
def test_an_edition_that_may_not_follow_is_refused(current: Edition | None, new: Edition, why: str) -> None:
    with pytest.raises(EditionRefused, match=why):
        check_follows(current, new, TODAY)


def test_the_official_catalogue_replaces_the_fictive_one_whatever_its_day() -> None:
    fictive = Edition(Source.FICTIVE, date(2026, 1, 30), b"f")
    assert check_follows(fictive, NOW, TODAY) is True
