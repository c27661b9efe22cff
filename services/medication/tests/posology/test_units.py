"""The units of doses, and which of them go with the forms of the public database."""

from __future__ import annotations

import gzip
from collections import Counter
from pathlib import Path

import pytest
from dui_kit.errors import Refusal
from dui_medication.catalogue.source import FICTIVE_EDITION, FORMULARY, read
from dui_medication.posology.units import UNITS, Fit, Kind, check_unit, fitting_units, units_for

BDPM = Path(__file__).parents[4].parent / "shared" / "data" / "bdpm" / "CIS_bdpm.txt.gz"


def refused(unit: str, form: str) -> str | None:
    """The reason, if the unit is refused."""
    try:
        check_unit(unit, form, "line.dosage.unit")
    except Refusal as refusal:
        [violation] = refusal.violations
        assert violation.field == "line.dosage.unit"
        assert "comprimé" in violation.text("fr") or violation.reason.name == "DOSE_UNIT_UNFIT"
        return violation.reason.name
    return None


@pytest.mark.parametrize(
    ("form", "units"),
    [
        ("comprimé pelliculé sécable", "{tbl} mg g ug [iU]"),
        ("comprimé effervescent(e)", "{tbl} mL"),
        ("comprimé orodispersible", "{tbl}"),
        ("lyophilisat", "{lyophilisate} {tbl}"),
        ("gélule gastro-résistant(e)", "{caps}"),
        ("capsule molle", "{softcaps} {caps}"),
        ("solution buvable en gouttes", "[drp] mL"),
        ("sirop", "mL {measure}"),
        ("poudre pour solution buvable en sachet-dose", "{sachet} g"),
        ("granulés pour suspension buvable", "{sachet} mL"),
        ("collyre en solution", "[drp] {unidose}"),
        ("crème", "{applic} g"),
        ("gel", "{applic} {actuation}"),
        ("suppositoire", "{supp}"),
        ("ovule", "{ovule}"),
        ("dispositif", "{patch} {device}"),
        ("emplâtre médicamenteux(se)", "{patch}"),
        ("suspension pour inhalation", "{puff}"),
        ("poudre pour inhalation en gélule", "{caps} {inhalation}"),
        ("solution pour inhalation par nébuliseur", "{unidose} mL {amp}"),
        ("suspension pour pulvérisation", "{spray}"),
        ("solution injectable", "mL {amp} {syringe} {pen} [iU] mg"),
        ("poudre et  solvant pour solution injectable", "{vial} mL"),
        ("solution pour perfusion", "{bag} mL L mmol"),
        ("solution injectable et buvable", "[drp] {amp}"),
        ("pastille", "{lozenge}"),
        ("gomme à mâcher médicamenteux(se)", "{gum}"),
        ("implant", "{implant}"),
        ("granules", "{granule} {dose}"),
        ("comprimé et solution(s) et granules et poudre et pommade", "{tbl} [drp] {granule} {measure} {applic} {dose}"),
    ],
)
def test_the_units_that_people_use_go_with_their_form(form: str, units: str) -> None:
    for unit in units.split():
        assert check_unit(unit, form, "line.dosage.unit") is Fit.FITS


@pytest.mark.parametrize(
    ("form", "units"),
    [
        ("comprimé pelliculé sécable", "[drp] mL {caps} {supp} {puff} {patch} {amp}"),
        ("gélule", "{tbl} mL [drp]"),
        ("solution buvable", "{tbl} {caps} {patch} {supp} {puff} {syringe}"),
        ("collyre en solution", "{tbl} {measure} {syringe} {puff}"),
        ("suppositoire", "{tbl} mL {ovule}"),
        ("dispositif", "{tbl} mL {puff}"),
        ("solution injectable", "{tbl} [drp] {sachet} {puff} {measure}"),
        ("poudre et  solvant pour solution injectable", "{sachet} {measure} {applic}"),
        ("suspension pour inhalation", "{tbl} {measure} {syringe}"),
        ("crème", "{tbl} {puff} {syringe}"),
    ],
)
def test_a_unit_that_cannot_be_of_the_form_is_refused(form: str, units: str) -> None:
    for unit in units.split():
        assert refused(unit, form) == "DOSE_UNIT_UNFIT"


@pytest.mark.parametrize("unit", ["", "comprimé", "MG", "ml", "U", "UI", "µg", "cc", "{tablet}", "mg ", "kg"])
def test_a_unit_that_is_not_listed_is_refused_as_it_is_written(unit: str) -> None:
    assert refused(unit, "comprimé") == "DOSE_UNIT_UNKNOWN"


@pytest.mark.parametrize("form", ["", "xylotrope", "comprimé et xylotrope"])
def test_a_form_that_nothing_is_known_of_takes_every_unit_and_says_so(form: str) -> None:
    assert {check_unit(unit, form, "unit") for unit in UNITS} == {Fit.FORM_UNKNOWN}


def test_the_case_and_the_spaces_of_a_form_do_not_matter() -> None:
    assert fitting_units("  Comprimé   pelliculé ") == fitting_units("comprimé pelliculé")


def test_every_form_of_the_formulary_is_known_and_has_a_unit_to_count_it_by() -> None:
    forms = {each.form for each in read(FORMULARY, FICTIVE_EDITION).specialties.values()}
    assert len(forms) > 10
    assert {form for form in forms if not fitting_units(form)} == set()


def test_every_count_and_volume_goes_with_a_form() -> None:
    """A unit that no form takes could never be prescribed."""
    forms = (
        "comprimé|gélule|lyophilisat|film orodispersible|granules|granulés|pastille|gomme|suppositoire|ovule|dispositif"
        "|implant|solution buvable|solution injectable|suspension pour inhalation|collyre|gel"
    )
    taken = frozenset[str]().union(*(fitting_units(form) or () for form in forms.split("|")))
    assert taken == {code for code, unit in UNITS.items() if unit.kind in {Kind.COUNT, Kind.VOLUME}}


@pytest.mark.skipif(not BDPM.exists(), reason="the files of the public database are not beside this checkout")
def test_the_table_knows_the_forms_of_the_official_catalogue() -> None:
    rows = gzip.decompress(BDPM.read_bytes()).decode("utf-8").splitlines()
    forms = Counter(row.split("\t")[2] for row in rows if row.strip())
    unknown = sum(count for form, count in forms.items() if fitting_units(form) is None)
    assert unknown / forms.total() < 0.03


def test_the_units_of_a_form_begin_with_what_is_counted_of_it_and_each_is_accepted() -> None:
    for form, first in (("comprimé pelliculé", "{tbl}"), ("gélule", "{caps}"), ("solution buvable", "mL")):
        codes = [unit.code for unit in units_for(form)]
        assert first in codes[:4]
        assert "mg" in codes
        for code in codes:
            check_unit(code, form, "unit")
    assert len(units_for("forme inconnue des tables")) == len(UNITS)
