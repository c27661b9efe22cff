"""What forms say about crushing, by real specialties, and what is to be watched."""

from __future__ import annotations

import pytest
from dui_medication.catalogue.handling import NOTHING_KNOWN, Crushing, handling_of, monitoring_of

WATCH = "médicament nécessitant une surveillance particulière pendant le traitement"


@pytest.mark.parametrize(
    ("form", "name", "routes", "crushing"),
    [
        ("comprimé pelliculé à libération prolongée", "OXYCONTIN LP 10 mg", ["orale"], Crushing.DO_NOT_CRUSH),
        ("gélule à libération prolongée", "GALANTAMINE ARROW LP 8 mg", ["orale"], Crushing.DO_NOT_CRUSH),
        ("gélule gastro-résistant(e)", "OMEPRAZOLE BIOGARAN 20 mg", ["orale"], Crushing.DO_NOT_CRUSH),
        # Scored, and yet not to be crushed.
        ("comprimé sécable à libération modifiée", "X", ["orale"], Crushing.DO_NOT_CRUSH),
        # The form forgets it, the name has it.
        ("gélule", "LASILIX RETARD 60 mg, gélule", ["orale"], Crushing.DO_NOT_CRUSH),
        ("comprimé osmotique", "ALPRESS L.P. 5 mg", ["orale"], Crushing.DO_NOT_CRUSH),
        ("capsule molle", "ISOTRETINOINE ACNETRAIT 20 mg", ["orale"], Crushing.DO_NOT_OPEN),
        ("comprimé", "TEMGESIC 0,2 mg, comprimé sublingual", ["sublinguale"], Crushing.LET_MELT),
        ("comprimé", "X", ["sublinguale"], Crushing.LET_MELT),
        ("pastille", "BENZYDAMINE ACRAF 3 mg, pastille", ["oropharyngée"], Crushing.LET_MELT),
        ("comprimé orodispersible", "ACTISKENAN 5 mg", ["orale"], Crushing.DISPERSES),
        ("comprimé effervescent(e) sécable", "EFFERALGAN", ["orale"], Crushing.DISPERSES),
        ("poudre pour inhalation en gélule", "TOBI PODHALER 28 mg", ["inhalée"], Crushing.INHALE),
        ("comprimé", "DOLIPRANE 500 mg, comprimé", ["orale"], Crushing.UNKNOWN),
        ("comprimé pelliculé", "ALPRAZOLAM 0,25 mg", ["orale"], Crushing.UNKNOWN),
        # Not swallowed, so that there is nothing to crush.
        ("suspension injectable à libération prolongée", "TREVICTA 350 mg", ["intramusculaire"], Crushing.UNKNOWN),
        ("ovule à libération prolongée", "X", ["vaginale"], Crushing.UNKNOWN),
        ("capsule molle", "LOMEXIN 600 mg, capsule molle vaginale", ["vaginale"], Crushing.UNKNOWN),
        ("sirop", "X", ["orale"], Crushing.UNKNOWN),
        ("lyophilisat et  solution pour usage parentéral", "TRANXENE 20 mg/2 ml", [], Crushing.UNKNOWN),
    ],
)
def test_the_form_says_what_crushing_would_destroy(form: str, name: str, routes: list[str], crushing: Crushing) -> None:
    said = handling_of(form, name, routes)
    assert said.crushing is crushing
    assert said.fr.endswith(".")
    assert said.en.endswith(".")


def test_slow_release_that_passes_the_stomach_is_not_crushed_whatever_else_it_is() -> None:
    for form in (
        "comprimé gastro-résistant(e) à libération prolongée",
        "comprimé orodispersible à libération prolongée",
    ):
        assert handling_of(form, "X").crushing is Crushing.DO_NOT_CRUSH


def test_a_plain_tablet_is_never_said_to_be_fit_for_crushing() -> None:
    assert handling_of("comprimé", "METHOTREXATE 10 mg", ["orale"]) is NOTHING_KNOWN
    assert "demander au pharmacien" in NOTHING_KNOWN.fr


@pytest.mark.parametrize(
    ("substance", "watched"),
    [
        ("WARFARINE SODIQUE", "INR"),
        ("FLUINDIONE", "INR"),
        ("Énalapril (maléate d')", "kaliémie"),
        ("LITHIUM (CARBONATE DE)", "lithiémie"),
        ("VALPROATE DE SODIUM", "transaminases"),
        ("LÉVOTHYROXINE SODIQUE ANHYDRE", "TSH"),
        ("INSULINE GLARGINE", "glycémie"),
    ],
)
def test_what_is_watched_is_found_by_the_name_of_the_substance_with_its_salt(substance: str, watched: str) -> None:
    (one,) = monitoring_of([substance], [])
    assert watched in one.fr
    assert one.source


def test_dilutions_drops_and_other_substances_are_not_watched_by_their_name() -> None:
    assert monitoring_of(["LITHIUM CARBONICUM POUR PRÉPARATIONS HOMÉOPATHIQUES"], []) == ()
    assert monitoring_of(["CICLOSPORINE"], [], ["ophtalmique"]) == ()
    assert monitoring_of(["CICLOSPORINE"], [], ["orale", "ophtalmique"]) != ()
    assert monitoring_of(["DIÉTHYLCARBAMAZINE (CITRATE DE)"], []) == ()
    assert monitoring_of(["PARACÉTAMOL"], ["liste I"]) == ()


def test_a_condition_that_asks_for_monitoring_is_told_even_when_no_substance_is_known() -> None:
    (said,) = monitoring_of(["RÉCENTAMAB"], ["liste I", WATCH, WATCH])
    assert said.source == "BDPM, conditions de prescription"
    assert [one.fr for one in monitoring_of(["FUROSÉMIDE", "RAMIPRIL"], [])] == ["natrémie, kaliémie, créatinine"]
