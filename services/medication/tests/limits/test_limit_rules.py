"""What the law limits of a prescription: CSP R5132-21, -22, -29, -30, -33, R5121-88 and -91, arrêté of 7 October 1991."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest
from dui_kit.errors import Reason
from dui_medication.catalogue.conditions import RestrictionBasis
from dui_medication.catalogue.rules import PoisonList
from dui_medication.limits.rules import (
    Covered,
    Limit,
    LimitedLine,
    LimitKind,
    Person,
    limits_of,
    sheet_of,
    violations,
)
from hypothesis import given
from hypothesis import strategies as st

TODAY = date(2026, 3, 1)
ADULT = Person(date(1950, 1, 1), None, None)
WORDS = "prescription en toutes lettres sur ordonnance sécurisée"
OVERLAP = "chevauchement interdit sauf mention expresse du prescripteur portée sur l'ordonnance"

PLAIN = LimitedLine(
    reference="a",
    poison_list=PoisonList.UNSPECIFIED,
    max_duration="",
    secured=False,
    conditions=(),
    starts_on=TODAY,
    ends_on=None,
)
MORPHINE = replace(
    PLAIN,
    poison_list=PoisonList.NARCOTIC,
    max_duration="P4W",
    secured=True,
    conditions=("stupéfiants", WORDS, "prescription limitée à 4 semaines"),
    ends_on=TODAY + timedelta(days=27),
    substances=frozenset({"MORPHINE"}),
)
ZOLPIDEM = replace(
    PLAIN,
    poison_list=PoisonList.I,
    max_duration="P4W",
    secured=True,
    conditions=("liste I", WORDS, "prescription limitée à 4 semaines", OVERLAP),
    ends_on=TODAY + timedelta(days=27),
    substances=frozenset({"ZOLPIDEM"}),
)
RAMIPRIL = replace(PLAIN, poison_list=PoisonList.I, conditions=("liste I",), ends_on=date(2026, 3, 31))


def limits(line: LimitedLine, *in_force: Covered, person: Person = ADULT) -> tuple[Limit, ...]:
    return limits_of([line], person, in_force, TODAY)


def names(found: tuple[Limit, ...], *, blocking: bool | None = None) -> list[str]:
    return [limit.reason.name for limit in found if blocking in {None, limit.blocking}]


def lasting(line: LimitedLine, days: int) -> LimitedLine:
    return replace(line, ends_on=line.starts_on + timedelta(days=days - 1))


# --------------------------------------------------------------------------------------------------------------- narcotics


@pytest.mark.parametrize(
    ("max_duration", "days"),
    [("", 28), ("P28D", 28), ("P4W", 28), ("P6M", 28), ("P14D", 14), ("P2W", 14), ("P7D", 7), ("P3D", 3)],
)
def test_a_narcotic_ends_after_28_days_or_sooner_where_the_catalogue_says_so(max_duration: str, days: int) -> None:
    line = replace(MORPHINE, max_duration=max_duration, conditions=("stupéfiants", WORDS))
    assert limits(lasting(line, days)) == ()
    (limit,) = limits(lasting(line, days + 1))
    assert limit.reason.name == "PRESCRIPTION_DAYS_EXCEEDED"
    assert limit.blocking
    assert limit.field == "ends_on"
    assert f"{days} jours" in limit.text("fr")
    assert f"{days} days" in limit.text("en")
    assert limit.last_day == TODAY + timedelta(days=days - 1)


def test_a_narcotic_needs_an_end_and_has_no_renewal() -> None:
    found = limits(replace(MORPHINE, ends_on=None))
    assert names(found) == ["PRESCRIPTION_END_MISSING"]
    assert found[0].last_day == date(2026, 3, 28)
    (limit,) = limits(replace(lasting(MORPHINE, 7), renewals=1))
    assert (limit.reason.name, limit.field, limit.kind) == ("NARCOTIC_NOT_RENEWABLE", "renewals", LimitKind.RENEWAL)


def test_a_limit_that_is_shorter_by_route_is_told() -> None:
    """Injectable morphine: seven days, twenty-eight by pump; the catalogue has the longer one."""
    text = "prescription limitée à 7 jours ou 28 jours"
    line = replace(MORPHINE, max_duration="P28D", conditions=("stupéfiants", WORDS, text))
    assert limits(lasting(line, 7)) == ()
    (limit,) = limits(lasting(line, 8))
    assert not limit.blocking
    assert text in limit.text("fr")
    assert names(limits(lasting(line, 29))) == ["PRESCRIPTION_DAYS_EXCEEDED"]


@pytest.mark.parametrize(
    ("until", "overlaps"),
    [(TODAY - timedelta(days=1), False), (TODAY, True), (TODAY + timedelta(days=40), True), (None, True)],
)
def test_a_narcotic_overlaps_what_covers_its_first_day(until: date | None, overlaps: bool) -> None:
    other = Covered("b", frozenset({"FENTANYL"}), until)
    found = limits(MORPHINE, other)
    assert names(found) == (["NARCOTIC_OVERLAPS", "NARCOTIC_OVERLAP"] if overlaps else [])
    if overlaps:
        assert found[0].field == "overlap_stated"
        assert found[0].overlapped == ("b",)
        stated = limits(replace(MORPHINE, overlap_stated=True), other)
        assert names(stated) == ["NARCOTIC_OVERLAP"]
        assert not stated[0].blocking


def test_what_begins_after_the_last_day_does_not_overlap() -> None:
    last = date(2026, 3, 28)
    later = Covered("b", frozenset(), None, covered_from=last + timedelta(days=1))
    assert limits(MORPHINE, later) == ()
    assert limits(MORPHINE, replace(later, covered_from=last)) != ()


def test_the_same_substance_twice_is_told_as_such_and_a_line_does_not_overlap_itself() -> None:
    found = limits(MORPHINE, Covered("c", frozenset({"MORPHINE"}), None), Covered("b", frozenset({"FENTANYL"}), None))
    assert names(found, blocking=False) == ["SAME_NARCOTIC_OVERLAP"]
    assert found[0].overlapped == ("b", "c")
    assert limits(MORPHINE, Covered("a", frozenset({"MORPHINE"}), None)) == ()


def test_the_overlap_rule_holds_for_what_a_condition_puts_under_it_and_for_nothing_else() -> None:
    other = Covered("b", frozenset({"ZOLPIDEM"}), None)
    assert names(limits(ZOLPIDEM, other)) == ["NARCOTIC_OVERLAPS", "SAME_NARCOTIC_OVERLAP"]
    assert limits(replace(ZOLPIDEM, conditions=("liste I",)), other) == ()


def test_lines_of_one_prescription_do_not_overlap_each_other() -> None:
    """Slow morphine, and quick morphine for breakthrough pain."""
    assert limits_of([MORPHINE, replace(MORPHINE, reference="b")], ADULT, [], TODAY) == ()


# ----------------------------------------------------------------------------------------------------- lists, hypnotics


@pytest.mark.parametrize("poison_list", [PoisonList.I, PoisonList.II])
def test_listed_medicines_last_twelve_months_with_their_renewals(poison_list: PoisonList) -> None:
    line = replace(RAMIPRIL, poison_list=poison_list)
    assert limits(replace(line, renewals=11)) == ()
    (limit,) = limits(replace(line, renewals=12))
    assert (limit.reason.name, limit.field) == ("PRESCRIPTION_MONTHS_EXCEEDED", "renewals")
    assert limit.last_day == date(2027, 2, 28)
    assert limits(replace(line, ends_on=date(2027, 2, 28))) == ()
    (limit,) = limits(replace(line, ends_on=date(2027, 3, 1)))
    assert (limit.reason.name, limit.field) == ("PRESCRIPTION_MONTHS_EXCEEDED", "ends_on")


def test_a_leap_year_has_a_day_more() -> None:
    line = replace(RAMIPRIL, starts_on=date(2027, 3, 1), ends_on=date(2028, 2, 29))
    assert limits(line) == ()
    assert names(limits(replace(line, ends_on=date(2028, 3, 1)))) == ["PRESCRIPTION_MONTHS_EXCEEDED"]


def test_a_listed_medicine_without_end_is_told_when_it_ends_by_law() -> None:
    (limit,) = limits(replace(RAMIPRIL, ends_on=None))
    assert (limit.reason.name, limit.blocking, limit.last_day) == ("OPEN_ENDED", False, date(2027, 2, 28))
    assert limits(PLAIN) == ()


def test_a_renewal_needs_an_end_whatever_the_medicine() -> None:
    (limit,) = limits(replace(PLAIN, renewals=1))
    assert (limit.reason.name, limit.field) == ("RENEWAL_WITHOUT_END", "ends_on")


@pytest.mark.parametrize(
    ("max_duration", "days", "renewals", "allowed"),
    [
        ("P4W", 28, 0, True),
        ("P4W", 29, 0, False),
        ("P4W", 14, 1, True),
        ("P4W", 28, 1, False),
        ("P12W", 84, 0, True),
        ("P12W", 85, 0, False),
        ("P12W", 28, 2, True),
        ("P12W", 28, 3, False),
    ],
)
def test_hypnotics_have_four_weeks_and_anxiolytics_twelve_renewals_included(
    max_duration: str, days: int, renewals: int, allowed: bool
) -> None:
    line = replace(lasting(ZOLPIDEM, days), max_duration=max_duration, renewals=renewals)
    assert names(limits(line)) == ([] if allowed else ["PRESCRIPTION_DAYS_EXCEEDED"])


def test_what_the_catalogue_limits_needs_an_end_and_no_limit_goes_beyond_the_law() -> None:
    assert names(limits(replace(ZOLPIDEM, ends_on=None))) == ["PRESCRIPTION_END_MISSING"]
    assert names(limits(replace(RAMIPRIL, max_duration="P2Y", renewals=12))) == ["PRESCRIPTION_MONTHS_EXCEEDED"]


# -------------------------------------------------------------------------------------------------- reserved prescription


def reserved(*conditions: str, basis: RestrictionBasis, text: str = "Dr Untel, CHU, 2026-01-05") -> LimitedLine:
    return replace(RAMIPRIL, conditions=("liste I", *conditions), restriction_basis=basis, restriction_text=text)


NEUROLOGY = "prescription réservée aux spécialistes et services NEUROLOGIE"


def test_a_reserved_medicine_needs_a_ground_that_its_conditions_allow_with_a_text() -> None:
    (limit,) = limits(reserved(NEUROLOGY, basis=RestrictionBasis.UNSPECIFIED))
    assert (limit.reason.name, limit.field) == ("RESTRICTION_BASIS_MISSING", "restriction_basis")
    (limit,) = limits(reserved(NEUROLOGY, basis=RestrictionBasis.RENEWAL))
    assert (limit.reason.name, limit.field) == ("RESTRICTION_BASIS_INSUFFICIENT", "restriction_basis")
    (limit,) = limits(reserved(NEUROLOGY, basis=RestrictionBasis.SPECIALIST, text="  "))
    assert (limit.reason.name, limit.field) == ("RESTRICTION_TEXT_MISSING", "restriction_text")
    assert limits(reserved(NEUROLOGY, basis=RestrictionBasis.SPECIALIST)) == ()


def test_what_only_begins_in_hospital_is_renewed_with_its_date_in_view() -> None:
    found = limits(reserved("prescription initiale hospitalière annuelle", basis=RestrictionBasis.RENEWAL))
    assert names(found) == ["INITIAL_PERIOD"]
    assert "12 mois" in found[0].text("fr")
    both = reserved("prescription initiale hospitalière", NEUROLOGY, basis=RestrictionBasis.RENEWAL)
    assert names(limits(both)) == ["RENEWAL_UNCLEAR"]


def test_hospital_use_is_told_even_with_its_ground() -> None:
    found = limits(reserved("réservé à l'usage HOSPITALIER", basis=RestrictionBasis.HOSPITAL))
    assert names(found) == ["HOSPITAL_USE_ONLY"]
    assert not found[0].blocking


def test_conditions_to_meet_are_told_and_unknown_ones_are_not_dropped() -> None:
    texts = (
        "pour tous les patients :",
        "prescription nécessitant la remise d'un carnet patient",
        "la première administration doit être effectuée en milieu hospitalier",
        "médicament soumis à prescription médicale restreinte",
        "à prendre les nuits de pleine lune",
        "médicament nécessitant une surveillance particulière pendant le traitement",
        "délivrance fractionnée de 7 jours",
        "",
    )
    found = limits(replace(RAMIPRIL, conditions=texts))
    assert names(found) == ["CONDITION_TO_MEET"] * 4 + ["CONDITION_UNKNOWN"]
    assert not any(limit.blocking for limit in found)
    assert [dict(limit.params)["condition"] for limit in found] == list(texts[:5])


# ------------------------------------------------------------------------------------------------------------------ person


def child(weight: Decimal | None, weighed_on: date | None, birth_date: date = date(2016, 1, 1)) -> Person:
    return Person(birth_date, weight, weighed_on)


def test_a_child_needs_a_dated_weight_that_is_fresh() -> None:
    weight = Decimal("31.5")
    assert names(limits(PLAIN, person=child(None, None))) == ["WEIGHT_MISSING"]
    assert names(limits(PLAIN, person=child(weight, None))) == ["WEIGHT_MISSING"]
    assert names(limits(PLAIN, person=child(weight, TODAY + timedelta(days=1)))) == ["WEIGHT_IN_FUTURE"]
    assert names(limits(PLAIN, person=child(weight, TODAY))) == []
    assert names(limits(PLAIN, person=child(weight, TODAY - timedelta(days=183)))) == []
    (limit,) = limits(PLAIN, person=child(weight, TODAY - timedelta(days=184)))
    assert (limit.reason.name, limit.blocking, limit.params) == ("WEIGHT_OUTDATED", True, (("days", 183),))


def test_the_birthday_makes_an_adult() -> None:
    assert names(limits(PLAIN, person=child(None, None, date(2008, 3, 2)))) == ["WEIGHT_MISSING"]
    assert names(limits(PLAIN, person=child(None, None, date(2008, 3, 1)))) == []
    # Of two lines, the one that begins while the person is a child decides.
    later = replace(PLAIN, reference="b", starts_on=date(2026, 3, 5))
    assert names(limits_of([later, PLAIN], child(None, None, date(2008, 3, 2)), [], TODAY)) == ["WEIGHT_MISSING"]
    assert names(limits_of([later], child(None, None, date(2008, 3, 2)), [], TODAY)) == []


def test_an_unknown_age_is_told_once_and_refuses_nothing() -> None:
    found = limits_of([PLAIN, replace(PLAIN, reference="b")], Person(None, None, None), [], TODAY)
    assert names(found) == ["AGE_UNKNOWN"]
    assert not found[0].blocking
    assert limits_of([], Person(None, None, None), [], TODAY) == ()


# ------------------------------------------------------------------------------------------------------- sheet, refusal


def test_the_sheet_of_a_narcotic_is_secured_and_in_words_whatever_its_conditions_say() -> None:
    bare = sheet_of(replace(MORPHINE, secured=False, conditions=("stupéfiants",)))
    assert (bare.secured, bare.in_words) == (True, True)
    pregabalin = replace(RAMIPRIL, secured=True, conditions=("liste I", "prescription sur ordonnance sécurisée"))
    assert (sheet_of(pregabalin).secured, sheet_of(pregabalin).in_words) == (True, False)
    assert sheet_of(ZOLPIDEM).in_words
    assert sheet_of(replace(ZOLPIDEM, overlap_stated=True)).states_overlap
    assert not sheet_of(replace(RAMIPRIL, overlap_stated=True)).states_overlap


def test_list_ii_without_renewal_has_to_forbid_it_in_print() -> None:
    listed = replace(RAMIPRIL, poison_list=PoisonList.II)
    assert sheet_of(listed).forbids_renewal
    assert not sheet_of(replace(listed, renewals=1)).forbids_renewal
    assert not sheet_of(RAMIPRIL).forbids_renewal


def test_all_that_blocks_is_told_at_once_under_the_path_of_its_line() -> None:
    lines = [replace(PLAIN, reference="x"), replace(lasting(MORPHINE, 29), reference="y")]
    found = limits_of(lines, child(None, None), [Covered("z", frozenset(), None)], TODAY)
    paths = {"": "beneficiary.", "x": "lines[0].", "y": "lines[1]."}
    refused = violations(found, lambda limit: paths[limit.reference] + limit.field)
    assert [(each.reason.name, each.field) for each in refused] == [
        ("WEIGHT_MISSING", "beneficiary.weight"),
        ("PRESCRIPTION_DAYS_EXCEEDED", "lines[1].ends_on"),
        ("NARCOTIC_OVERLAPS", "lines[1].overlap_stated"),
    ]
    assert "28" in refused[1].text("fr")
    assert violations([limit for limit in found if not limit.blocking], lambda _: "") == ()


@given(
    st.sampled_from([PLAIN, MORPHINE, ZOLPIDEM, RAMIPRIL]),
    st.one_of(st.none(), st.integers(1, 800)),
    st.integers(0, 30),
    st.lists(st.sampled_from([WORDS, OVERLAP, NEUROLOGY, "réservé à l'usage HOSPITALIER", "autre"]), max_size=4),
    st.sampled_from(RestrictionBasis),
)
def test_every_limit_has_its_texts_and_only_a_refusal_has_a_field(
    line: LimitedLine, days: int | None, renewals: int, conditions: list[str], basis: RestrictionBasis
) -> None:
    ends_on = None if days is None else line.starts_on + timedelta(days=days - 1)
    line = replace(line, ends_on=ends_on, renewals=renewals, conditions=tuple(conditions), restriction_basis=basis)
    for limit in limits(line, Covered("b", frozenset(), None), person=Person(None, None, None)):
        assert limit.blocking is isinstance(limit.reason, Reason) is bool(limit.field)
        for language in ("fr", "en"):
            assert "{" not in limit.text(language)
            assert limit.text(language).endswith(".")
