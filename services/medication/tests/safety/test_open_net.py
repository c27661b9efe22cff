"""The open safety net behind the port, with an invented thesaurus of real names."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from random import Random

import pytest
from dui_medication.allergies.loading import packaged_table
from dui_medication.allergies.rules import Allergy, Severity, Status
from dui_medication.allergies.rules import Kind as AllergyKind
from dui_medication.knowledge.edition import Entry, IndexLine, build
from dui_medication.knowledge.resolution import Substance
from dui_medication.knowledge.rules import Freshness
from dui_medication.knowledge.thesaurus import Thesaurus
from dui_medication.safety.open_net import NOT_REVIEWED, TABLE_NAME, THESAURUS_NAME, OpenSafetyNet
from dui_medication.safety.port import (
    WHY_LABELS,
    Alert,
    AlertLevel,
    Kind,
    Person,
    SafetyAnswer,
    SafetyNet,
    Situation,
    TreatmentLine,
    Unavailable,
    Why,
    alert_key,
    blocking,
)
from hypothesis import given
from hypothesis import strategies as st

TODAY = date(2026, 12, 1)
AMOXICILLIN = Allergy("a1", AllergyKind.MEDICATION, "Amoxicilline", Status.CONFIRMED, Severity.SEVERE)


def entry(one: str, other: str, *levels: tuple[str, str]) -> Entry:
    return Entry(one, other, levels, "Mécanisme.", "", "")


@pytest.fixture(scope="session")
def thesaurus() -> Thesaurus:
    index = [IndexLine(name, ()) for name in ("clarithromycine", "simvastatine", "atorvastatine", "paracétamol")]
    index += [IndexLine(name, ("pénicillines",)) for name in ("amoxicilline", "cloxacilline")]
    index += [IndexLine("méthotrexate", ()), IndexLine("metformine", ())]
    entries = [
        entry("CLARITHROMYCINE", "SIMVASTATINE", ("CONTRE-INDICATION", "")),
        entry("CLARITHROMYCINE", "ATORVASTATINE", ("Précaution d'emploi", "Doses plus faibles.")),
        entry(
            "MÉTHOTREXATE", "PÉNICILLINES", ("Association DECONSEILLEE", ""), ("A prendre en compte", "à faible dose")
        ),
        entry("METFORMINE", "ALCOOL", ("Association DECONSEILLEE", "")),
    ]
    return build(date(2026, 10, 1), entries, index, {})


@pytest.fixture(scope="session")
def net(thesaurus: Thesaurus) -> OpenSafetyNet:
    names = {"AUGMENTIN": (Substance(("AMOXICILLINE",)), Substance(("ACIDE CLAVULANIQUE",)))}
    return OpenSafetyNet(thesaurus, packaged_table(), names, timedelta(days=365))


def line(reference: str, name: str, *, new: bool = False, conditional: bool = False) -> TreatmentLine:
    known = {
        "CLARITHROMYCINE": "J01FA09",
        "SIMVASTATINE": "C10AA01",
        "ATORVASTATINE": "C10AA05",
        "AMOXICILLINE": "J01CA04",
    }
    cis = f"{sum(name.encode()):08d}"
    return TreatmentLine(reference, (Substance((name,)),), cis, known.get(name), new, conditional)


def check(net: SafetyNet, *lines: TreatmentLine, allergies: tuple[Allergy, ...] | None = ()) -> SafetyAnswer:
    return net.check(Situation(lines, allergies, TODAY, Person(age_months=900)))


def test_an_interaction_has_its_level_and_says_what_holds_in_any_case(net: OpenSafetyNet) -> None:
    (alert,) = check(net, line("1", "AMOXICILLINE"), line("2", "MÉTHOTREXATE", new=True)).alerts
    assert (alert.kind, alert.level, alert.lines, alert.new) == (
        Kind.INTERACTION,
        AlertLevel.ADVISED_AGAINST,
        ("1", "2"),
        True,
    )
    assert alert.title.startswith("Association déconseillée (dans tous les cas : à prendre en compte) : ")
    assert "à faible dose" in alert.text


def test_an_allergy_by_substance_and_one_by_class_name_their_way(net: OpenSafetyNet) -> None:
    answer = check(
        net, line("1", "AMOXICILLINE"), line("2", "CLOXACILLINE"), line("3", "CEFTRIAXONE"), allergies=(AMOXICILLIN,)
    )
    assert [(one.lines, one.level, one.allergy) for one in answer.alerts if one.kind is Kind.ALLERGY] == [
        (("1",), AlertLevel.CONTRAINDICATED, "a1"),
        (("2",), AlertLevel.CONTRAINDICATED, "a1"),
        (("3",), AlertLevel.ADVISED_AGAINST, "a1"),
    ]
    by_class = next(one for one in answer.alerts if one.lines == ("3",))
    assert "Réaction croisée possible" in by_class.text
    assert "Romano" in by_class.text


def test_duplicates_by_substance_and_by_group_are_told(net: OpenSafetyNet) -> None:
    answer = check(net, line("1", "SIMVASTATINE"), line("2", "SIMVASTATINE"), line("3", "ATORVASTATINE"))
    assert [(one.level, one.lines) for one in answer.alerts] == [
        (AlertLevel.CAUTION, ("1", "2")),
        (AlertLevel.INFORMATION, ("1", "2", "3")),
    ]


def test_what_no_prescription_shows_is_a_reminder_and_never_blocks(net: OpenSafetyNet) -> None:
    answer = check(net, line("1", "METFORMINE", new=True))
    assert [(one.lines, one.level) for one in answer.reminders] == [(("1",), AlertLevel.ADVISED_AGAINST)]
    assert (answer.alerts, blocking(answer.alerts)) == ((), ())


def test_doses_have_no_source_which_is_told_once(net: OpenSafetyNet) -> None:
    for lines in ((), (line("1", "PARACÉTAMOL"), line("2", "AMOXICILLINE"))):
        gaps = [one for one in check(net, *lines).unavailable if one.kind is Kind.DOSE]
        assert gaps == [Unavailable(Kind.DOSE, Why.NO_SOURCE)]


def test_what_was_not_checked_is_told_with_its_line_or_its_allergy(net: OpenSafetyNet) -> None:
    allergies = (
        Allergy("a", AllergyKind.MEDICATION, "zorglub"),
        Allergy("b", AllergyKind.FOOD, "kiwi"),
        Allergy("c", AllergyKind.MEDICATION, "statines"),
    )
    stock = line("3", "BELLADONNA POUR PRÉPARATIONS HOMÉOPATHIQUES")
    answer = check(net, line("1", "INCONNUMAB"), TreatmentLine("2", ()), stock, allergies=allergies)
    assert {(one.kind, one.reason, one.lines, one.allergy) for one in answer.unavailable} == {
        (Kind.INTERACTION, Why.UNKNOWN_SUBSTANCE, ("1",), ""),
        (Kind.INTERACTION, Why.LINE_UNKNOWN, ("2",), ""),
        (Kind.INTERACTION, Why.HOMEOPATHIC, ("3",), ""),
        (Kind.ALLERGY, Why.NOT_UNDERSTOOD, (), "a"),
        (Kind.ALLERGY, Why.EXCIPIENT, (), "b"),
        (Kind.ALLERGY, Why.CLASS_WITHOUT_TABLE, (), "c"),
        # The same for all three allergies: once.
        (Kind.ALLERGY, Why.LINE_UNKNOWN, ("2",), ""),
        (Kind.ALLERGY, Why.HOMEOPATHIC, ("3",), ""),
        (Kind.DUPLICATE, Why.NO_ATC, ("1", "2", "3"), ""),
        (Kind.DOSE, Why.NO_SOURCE, (), ""),
    }


def test_allergies_that_could_not_be_had_are_not_none(net: OpenSafetyNet) -> None:
    assert Unavailable(Kind.ALLERGY, Why.ALLERGIES_UNKNOWN) in check(net, allergies=None).unavailable
    assert Unavailable(Kind.ALLERGY, Why.ALLERGIES_UNKNOWN) not in check(net, allergies=()).unavailable


def test_the_answer_names_its_knowledge_and_that_nobody_reviewed_the_table(net: OpenSafetyNet) -> None:
    assert [(one.name, one.edition_on, one.freshness) for one in check(net).knowledge] == [
        (THESAURUS_NAME, date(2026, 10, 1), Freshness.CURRENT),
        (TABLE_NAME + NOT_REVIEWED, packaged_table().compiled_on, Freshness.CURRENT),
    ]
    later = net.check(Situation((), (), date(2029, 1, 1)))
    assert [one.freshness for one in later.knowledge] == [Freshness.STALE, Freshness.STALE]


def test_without_a_thesaurus_allergies_and_duplicates_are_still_looked_for(net: OpenSafetyNet) -> None:
    blind = replace(net, thesaurus=None)
    answer = check(blind, line("1", "AMOXICILLINE", new=True), line("2", "AMOXICILLINE"), allergies=(AMOXICILLIN,))
    assert {one.kind for one in answer.alerts} == {Kind.ALLERGY, Kind.DUPLICATE}
    assert answer.knowledge[0].freshness is Freshness.ABSENT
    assert Unavailable(Kind.ALLERGY, Why.NO_KNOWLEDGE) in answer.unavailable


def test_two_lines_with_one_reference_are_refused(net: OpenSafetyNet) -> None:
    with pytest.raises(ValueError, match="one reference"):
        check(net, line("1", "AMOXICILLINE"), line("1", "PARACÉTAMOL"))


# ------------------------------------------------------------------------------------------------ what needs an override


@pytest.mark.parametrize(
    ("kind", "level", "new", "blocks"),
    [
        (Kind.INTERACTION, AlertLevel.CONTRAINDICATED, True, True),
        (Kind.INTERACTION, AlertLevel.ADVISED_AGAINST, True, True),
        (Kind.INTERACTION, AlertLevel.CAUTION, True, False),
        (Kind.INTERACTION, AlertLevel.CONTRAINDICATED, False, False),
        (Kind.ALLERGY, AlertLevel.ADVISED_AGAINST, True, True),
        (Kind.ALLERGY, AlertLevel.INFORMATION, True, True),
        (Kind.ALLERGY, AlertLevel.CONTRAINDICATED, False, False),
        (Kind.DUPLICATE, AlertLevel.CAUTION, True, False),
        (Kind.DOSE, AlertLevel.CONTRAINDICATED, True, False),
    ],
)
def test_new_serious_interactions_and_every_new_allergy_need_an_override(
    kind: Kind, level: AlertLevel, new: bool, blocks: bool
) -> None:
    alert = Alert(kind, level, ("1",), "", "", "k", new)
    assert blocking([alert]) == ((alert,) if blocks else ())


def test_a_new_line_given_only_if_needed_blocks_as_any_new_line(net: OpenSafetyNet) -> None:
    old = line("1", "SIMVASTATINE")
    for conditional in (False, True):
        (alert,) = check(net, old, line("2", "CLARITHROMYCINE", new=True, conditional=conditional)).alerts
        assert blocking([alert]) == (alert,)
    (alert,) = check(net, old, line("2", "CLARITHROMYCINE", conditional=True)).alerts
    assert blocking([alert]) == ()


# ----------------------------------------------------------------------------------------------------------------- keys


def keys(answer: SafetyAnswer) -> set[str]:
    return {alert.key for alert in answer.alerts}


def test_a_key_stays_when_references_and_ids_change_and_the_draft_becomes_a_prescription(net: OpenSafetyNet) -> None:
    draft = check(net, line("1", "AMOXICILLINE"), line("2", "MÉTHOTREXATE", new=True), allergies=(AMOXICILLIN,))
    again = replace(AMOXICILLIN, id="z9", substance="AMOXICILLINE")
    later = check(net, line("y", "AMOXICILLINE"), line("x", "MÉTHOTREXATE"), allergies=(again,))
    assert keys(draft) == keys(later)
    assert len(keys(draft)) == 2


def test_a_key_changes_with_the_medicine_the_finding_and_how_serious_it_is(net: OpenSafetyNet) -> None:
    clarithromycin, simvastatin = line("1", "CLARITHROMYCINE"), line("2", "SIMVASTATINE")
    base = keys(check(net, clarithromycin, simvastatin))
    assert base != keys(check(net, clarithromycin, replace(simvastatin, cis="11111111")))
    assert base != keys(check(net, clarithromycin, line("2", "ATORVASTATINE")))
    mild = replace(AMOXICILLIN, severity=Severity.MILD)
    other = replace(AMOXICILLIN, substance="pénicilline")
    found = [keys(check(net, line("1", "AMOXICILLINE"), allergies=(one,))) for one in (AMOXICILLIN, mild, other)]
    assert len({tuple(one) for one in found}) == 3


def test_a_medicine_without_a_code_is_known_by_its_substances() -> None:
    one = TreatmentLine("1", (Substance(("B",)), Substance(("a",))))
    other = TreatmentLine("2", (Substance(("A",)), Substance(("B",))))
    assert one.medicine == other.medicine == "A + B"
    assert replace(one, cis="12345678").medicine == "12345678"


def test_the_parts_of_a_key_do_not_run_into_each_other() -> None:
    made = [
        alert_key(Kind.ALLERGY, ["1", "2"], ["x"]),
        alert_key(Kind.ALLERGY, ["1"], ["2", "x"]),
        alert_key(Kind.ALLERGY, ["12"], ["x"]),
        alert_key(Kind.DUPLICATE, ["1", "2"], ["x"]),
    ]
    assert len(set(made)) == 4
    assert alert_key(Kind.ALLERGY, ["2", "1"], ["x"]) == made[0]
    assert all(len(key) == 32 for key in made)


def test_every_reason_has_a_wording() -> None:
    assert set(WHY_LABELS) == set(Why)


# ----------------------------------------------------------------------------------------------------------------- laws

LINES = st.lists(
    st.builds(
        line,
        st.sampled_from("123456"),
        st.sampled_from(
            [
                "AMOXICILLINE",
                "CLOXACILLINE",
                "CLARITHROMYCINE",
                "SIMVASTATINE",
                "ATORVASTATINE",
                "MÉTHOTREXATE",
                "METFORMINE",
                "?",
            ]
        ),
        new=st.booleans(),
        conditional=st.booleans(),
    ),
    max_size=5,
    unique_by=lambda one: one.reference,
)
ALLERGIES = st.lists(
    st.builds(
        Allergy,
        st.sampled_from("abcd"),
        st.sampled_from(AllergyKind),
        st.sampled_from(["Augmentin", "pénicilline", "macrolides et zorglub", "latex", "statines", "metformine"]),
        st.sampled_from(Status),
    ),
    max_size=3,
    unique_by=lambda one: one.id,
)


@given(LINES, ALLERGIES, st.randoms(use_true_random=False))
def test_the_order_of_the_situation_changes_nothing(
    net: OpenSafetyNet, lines: list[TreatmentLine], allergies: list[Allergy], random: Random
) -> None:
    shuffled = random.sample(lines, len(lines)), random.sample(allergies, len(allergies))
    assert check(net, *lines, allergies=tuple(allergies)) == check(net, *shuffled[0], allergies=tuple(shuffled[1]))


@given(LINES, ALLERGIES)
def test_a_refuted_allergy_raises_nothing_and_what_blocks_has_a_new_line(
    net: OpenSafetyNet, lines: list[TreatmentLine], allergies: list[Allergy]
) -> None:
    answer = check(net, *lines, allergies=tuple(allergies))
    refuted = {one.id for one in allergies if one.status is Status.REFUTED}
    assert not refuted & {one.allergy for one in (*answer.alerts, *answer.unavailable)}
    new = {one.reference for one in lines if one.new}
    assert all(alert.new == bool(new & set(alert.lines)) for alert in answer.alerts)
    assert all(new & set(alert.lines) for alert in blocking(answer.alerts))


@given(LINES, ALLERGIES)
def test_whether_lines_are_new_changes_no_finding(
    net: OpenSafetyNet, lines: list[TreatmentLine], allergies: list[Allergy]
) -> None:
    told = tuple(allergies)
    plain = [replace(one, new=False, conditional=False) for one in lines]
    assert [one.key for one in check(net, *lines, allergies=told).alerts] == [
        one.key for one in check(net, *plain, allergies=told).alerts
    ]
