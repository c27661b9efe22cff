"""Search, homonyms and likeness. Soundex: the examples of the US National Archives."""

from __future__ import annotations

from dataclasses import replace

import pytest
from dui_kit.errors import Refusal
from dui_kit.identifiers import normalise_name
from dui_records.recognition import rules
from dui_records.recognition.rules import ALIKE, Likeness, likeness
from hypothesis import example, given
from hypothesis import strategies as st

CAMILLE = Likeness("DURAND", "CAMILLE", "DURAND", "1950-03-04", 1, None)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("WASHINGTON", "W252"),
        ("LEE", "L000"),
        ("GUTIERREZ", "G362"),
        ("PFISTER", "P236"),
        ("TYMCZAK", "T522"),
        ("LE E", "L000"),
    ],
)
def test_sounds_are_soundex(name: str, code: str) -> None:
    assert rules.sound(name) == code


def test_names_that_one_confuses_aloud_sound_alike() -> None:
    for one, other in (("DUPONT", "DUPOND"), ("LEFEVRE", "LEFEBVRE"), ("LE GALL", "LEGALL"), ("MARTIN", "MARTEN")):
        assert rules.sound(one) == rules.sound(other)
    assert rules.sound("DURAND") != rules.sound("MOREAU")


#: Names as is_name takes them, without a letter that Soundex knows.
foreign = (
    (
        st.text(alphabet="абвгдежзийклмнопрстуфхцчшщъыьэюяєіїґ李明王张偉伟كتبعمرحسن", min_size=1, max_size=12)
        | st.text(st.characters(categories=["Lu", "Ll", "Lo"]), min_size=1, max_size=12)
    )
    .map(normalise_name)
    .filter(lambda key: key and not any("A" <= letter <= "Z" for letter in key))
)


@given(foreign, foreign)
@example("ШЕВЧЕНКО", "李")
def test_names_without_a_latin_letter_sound_alike_only_when_they_are_the_same(one: str, other: str) -> None:
    assert (rules.sound(one) == rules.sound(other)) == (one == other)


@given(foreign, st.sampled_from(["DURAND", "LI", "SHEVCHENKO", "LE GALL"]))
def test_a_name_of_another_script_sounds_like_no_latin_one(one: str, latin: str) -> None:
    assert rules.sound(one) != rules.sound(latin)


def test_keys_are_those_of_the_name_in_use_where_people_are_called() -> None:
    keys = rules.name_keys("Le Goff", "Anne-Marie", "Œuvrard", "Annie")
    assert (keys.birth_name_key, keys.birth_given_key) == ("LE GOFF", "ANNE MARIE")
    assert (keys.family_key, keys.given_key, keys.homonym_key) == ("OEUVRARD", "ANNIE", "OEUVRARD|ANN")
    bare = rules.name_keys("Le Goff", "Anne-Marie", None, None)
    assert (bare.family_key, bare.given_key, bare.family_sound) == ("LE GOFF", "ANNE MARIE", bare.birth_name_sound)


# --------------------------------------------------------------------------------------------------------------- search


@pytest.mark.parametrize("prefix", ["D%", "D_", "D*", "D?", "D1", "12", "-", "' ", "DURA", "%", ".", "D\\"])
def test_wildcards_digits_and_long_prefixes_are_refused(prefix: str) -> None:
    with pytest.raises(Refusal) as refusal:
        rules.search_bounds(prefix)
    assert refusal.value.reason is rules.SEARCH_PREFIX_INVALID
    assert refusal.value.violations[0].field == "name_prefix"


def test_no_prefix_searches_by_the_date_alone() -> None:
    assert rules.search_bounds("") is None


@pytest.mark.parametrize(
    ("prefix", "name"),
    [("dur", "Durand"), ("Le ", "Le Goff"), ("D'A", "D’Almeida"), ("Œu", "Oeuvrard"), ("éT", "Étienne")],
)
def test_a_prefix_finds_the_name_as_it_may_be_typed(prefix: str, name: str) -> None:
    bounds = rules.search_bounds(prefix)
    assert bounds is not None
    assert bounds[0] <= normalise_name(name) < bounds[1]


letters = st.text(alphabet="ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=1, max_size=3)


@given(letters, st.text(alphabet="ABCXYZ ", max_size=8))
def test_the_range_of_a_prefix_is_exactly_what_begins_with_it(prefix: str, name: str) -> None:
    bounds = rules.search_bounds(prefix)
    assert bounds is not None
    # The order of COLLATE "C" on these is that of code points, as Python's.
    assert (bounds[0] <= name < bounds[1]) == name.startswith(prefix)


# ------------------------------------------------------------------------------------------------------------- likeness


@pytest.mark.parametrize(
    ("birth_date", "swapped"),
    [("1950-03-04", "1950-04-03"), ("1950-03-03", None), ("1950-03-13", None), ("1950-03", None), ("1950", None)],
)
def test_day_and_month_are_exchanged_when_both_are_months(birth_date: str, swapped: str | None) -> None:
    assert rules.swapped_date(birth_date) == swapped


@pytest.mark.parametrize(
    "other",
    [
        CAMILLE,
        replace(CAMILLE, birth_given_key="CAMILE"),
        replace(CAMILLE, birth_name_key="DURANT", family_key="DURANT"),
        replace(CAMILLE, birth_date="1950-04-03"),
        replace(CAMILLE, birth_date="1951-03-04"),
        replace(CAMILLE, birth_date="1950-03-05"),
        replace(CAMILLE, birth_date="1950"),
        replace(CAMILLE, birth_name_key="CAMILLE", birth_given_key="DURAND"),
        replace(CAMILLE, birth_name_key="MOREAU", family_key="DURAND"),
        replace(CAMILLE, birth_given_key="DOMINIQUE"),  # twins: a person has to look
    ],
    ids=["same", "given", "name", "swapped", "year", "day", "partial", "exchanged", "married", "twin"],
)
def test_frequent_errors_make_candidates(other: Likeness) -> None:
    assert likeness(CAMILLE, other) >= ALIKE


TARAS = Likeness("ШЕВЧЕНКО", "ТАРАС", "ШЕВЧЕНКО", "1950-03-04", 1, None)


def test_names_of_other_scripts_are_alike_when_they_are_the_same_or_nearly() -> None:
    assert likeness(TARAS, TARAS) >= ALIKE
    assert likeness(TARAS, replace(TARAS, birth_name_key="ШЕВЧЕНКА", family_key="ШЕВЧЕНКА")) >= ALIKE
    assert likeness(TARAS, replace(TARAS, birth_name_key="李", birth_given_key="明", family_key="李")) == 0


def test_a_key_that_is_empty_is_like_nothing() -> None:
    nameless = Likeness("", "", "", "1950-03-04", 1, None)
    assert likeness(nameless, nameless) == 0
    assert likeness(nameless, TARAS) == likeness(nameless, CAMILLE) == 0


@pytest.mark.parametrize(
    "other",
    [
        replace(CAMILLE, birth_name_key="MOREAU", family_key="MOREAU"),
        replace(CAMILLE, birth_date="1962-11-25"),
        replace(CAMILLE, birth_date="1950-11-25", birth_given_key="ROBERT"),
    ],
    ids=["same day and given name", "namesake", "same family and year"],
)
def test_what_is_common_makes_no_candidate(other: Likeness) -> None:
    assert likeness(CAMILLE, other) < ALIKE


def test_the_same_identifier_is_the_likeliest_of_all() -> None:
    one = replace(CAMILLE, national_identifier="295109912611193")
    other = Likeness("MOREAU", "ROBERT", "MOREAU", "1931-01-01", 2, "295109912611193")
    assert likeness(one, other) == 100
    assert likeness(CAMILLE, replace(other, national_identifier=None)) == 0


keys = st.sampled_from(["DURAND", "DURANT", "CAMILLE", "MOREAU", "ROBERT"])
anybody = st.builds(
    Likeness,
    keys,
    keys,
    keys,
    st.sampled_from(["1950-03-04", "1950-04-03", "1950", "1951-03-04", "1931-01-01"]),
    st.sampled_from([1, 2]),
    st.sampled_from([None, "295109912611193"]),
)


@given(anybody, anybody)
def test_likeness_is_symmetric_and_bounded(one: Likeness, other: Likeness) -> None:
    assert likeness(one, other) == likeness(other, one)
    assert 0 <= likeness(one, other) <= 100
    assert likeness(one, one) >= likeness(one, other) or likeness(one, other) == 100
