"""Names of substances made comparable."""

from __future__ import annotations

import pytest
from dui_medication.knowledge.names import acid_of, barer, barest, canonical, is_homeopathic, is_mineral, is_readable
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("written", "form"),
    [
        ("Paracétamol", "PARACETAMOL"),
        ("METFORMINE (CHLORHYDRATE DE)", "CHLORHYDRATE DE METFORMINE"),
        ("AMLODIPINE (BÉSILATE D')", "BESILATE DE AMLODIPINE"),
        ("BÉSILATE D’AMLODIPINE", "BESILATE DE AMLODIPINE"),
        ("VALPROÏQUE (ACIDE)", "ACIDE VALPROIQUE"),
        ("botulique (toxine)", "TOXINE BOTULIQUE"),
        ("sodium (oxybate de)", "OXYBATE DE SODIUM"),
        ("SÉNÉ (FEUILLE DE) (EXTRAIT SEC DE)", "EXTRAIT SEC DE FEUILLE DE SENE"),
        ("CALCIUM (CHLORURE DE) DIHYDRATÉ", "CHLORURE DE CALCIUM DIHYDRATE"),
        ("séné de l'Inde", "SENE DE INDE"),
        ("dimethyle ( fumarate de)", "FUMARATE DE DIMETHYLE"),
        ("angio-œdème", "ANGIO OEDEME"),
        ("médicaments mixtes adrénergiques- sérotoninergiques", "MEDICAMENTS MIXTES ADRENERGIQUES SEROTONINERGIQUES"),
        ("  vitamine   D ", "VITAMINE D"),
        ("β-estradiol", "BETA ESTRADIOL"),
        ("", ""),
        ("…", ""),
    ],
)
def test_one_substance_written_in_several_ways_has_one_form(written: str, form: str) -> None:
    assert canonical(written) == form


@given(st.text(max_size=60))
def test_a_form_is_its_own_form_in_capitals_and_figures(name: str) -> None:
    form = canonical(name)
    assert canonical(form) == form
    assert all(letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 " for letter in form)


@given(st.text(alphabet="abcdéèàçœ '-()", max_size=60))
def test_case_and_accents_change_nothing(name: str) -> None:
    assert canonical(name.upper()) == canonical(name) == canonical(name.replace("é", "e"))


@pytest.mark.parametrize(
    ("written", "steps"),
    [
        ("CHLORHYDRATE DE LIDOCAÏNE MONOHYDRATÉ", ("CHLORHYDRATE DE LIDOCAINE", "LIDOCAINE")),
        ("AMOXICILLINE TRIHYDRATÉE", ("AMOXICILLINE",)),
        ("ÉSOMÉPRAZOLE MAGNÉSIQUE DIHYDRATÉ", ("ESOMEPRAZOLE MAGNESIQUE", "ESOMEPRAZOLE")),
        ("MALÉATE ACIDE DE LÉVOMÉPROMAZINE", ("LEVOMEPROMAZINE",)),
        ("PHOSPHATE DISODIQUE DE DEXAMÉTHASONE", ("DEXAMETHASONE",)),
        ("TOLTÉRODINE (L- TARTRATE DE)", ("TOLTERODINE",)),
        ("MÉTHYLPREDNISOLONE SODIQUE (SUCCINATE DE)", ("SUCCINATE DE METHYLPREDNISOLONE", "METHYLPREDNISOLONE")),
        ("TERT-BUTYLAMINE DE PÉRINDOPRIL", ("PERINDOPRIL",)),
        ("CHLORHYDRATE DE TRIHEXYPHÉNIDYLE", ("TRIHEXYPHENIDYLE",)),
        ("FÉNOPROFÈNE CALCIUM", ("FENOPROFENE",)),
        ("CARBONATE DE CALCIUM", ("CALCIUM",)),
        ("PARACÉTAMOL", ()),
    ],
)
def test_salt_and_water_go_one_by_one_and_the_moiety_stays(written: str, steps: tuple[str, ...]) -> None:
    assert barer(canonical(written)) == steps
    assert barest(canonical(written)) == (steps[-1] if steps else canonical(written))


@pytest.mark.parametrize(
    "written",
    [
        # The anion is the medicine, or as much of one as the metal.
        "VALPROATE DE SODIUM",
        "FOLINATE DE CALCIUM",
        "CLAVULANATE DE POTASSIUM",
        "IODURE DE POTASSIUM",
        "CANRÉNOATE DE POTASSIUM",
        "DICHROMATE DE POTASSIUM",
        # The ester of a plain alcohol.
        "FUMARATE DE DIMÉTHYLE",
        "SALICYLATE DE MÉTHYLE",
        # Other molecules that only sound like a salt.
        "ESKÉTAMINE",
        "TÉNOFOVIR DISOPROXIL",
        "BRENTUXIMAB VÉDOTINE",
        "L-ARGININE",
    ],
)
def test_what_is_a_medicine_itself_is_not_taken_away(written: str) -> None:
    assert barer(canonical(written)) == ()


def test_nothing_is_left_of_a_salt_without_a_moiety() -> None:
    assert barer("ACETATE DE LYSINE") == ("LYSINE",)
    assert barer("SULFATE DE ARGININE") == ("ARGININE",)
    assert barer("PHOSPHATE ACIDE") == ()


@pytest.mark.parametrize(
    ("form", "acid"),
    [
        ("VALPROATE DE SODIUM", "ACIDE VALPROIQUE"),
        ("RISEDRONATE", "ACIDE RISEDRONIQUE"),
        ("ACETYLSALICYLATE DE DL LYSINE", "ACIDE ACETYLSALICYLIQUE"),
        ("IOXITALAMATE DE MEGLUMINE", "ACIDE IOXITALAMIQUE"),
        ("ASCORBATE DE CALCIUM", None),
        ("CHLORAMBUCIL", None),
    ],
)
def test_an_anion_names_its_acid_unless_its_partner_acts_too(form: str, acid: str | None) -> None:
    assert acid_of(form) == acid


@pytest.mark.parametrize(
    "written",
    [
        "ACTAEA RACEMOSA POUR PRÉPARATIONS HOMÉOPATHIQUES",
        "SENNA POUR PREPARATIONS HOMEOPATHIQUES",
        "APIUM DULCE POUR PRÉPARATIONS HOMÉOPAHIQUES",
        "AQUA MARINA POUR PRÉPARATIONS HOMÉPATHIQUES",
        "ZINCUM OXYDATUM POUR PRÉPARATIONS HOMÉOPATIQUES",
        "BETULA ALBA (HOMÉOPATHIE)",
    ],
)
def test_a_homeopathic_stock_is_known_by_the_word_however_it_is_spelled(written: str) -> None:
    assert is_homeopathic(written)


@pytest.mark.parametrize("written", ["HOMATROPINE", "OMÉPRAZOLE", "HÉMOPATHIE", "SÉNÉ"])
def test_other_names_are_not_homeopathic(written: str) -> None:
    assert not is_homeopathic(written)


@pytest.mark.parametrize("written", ["", "  ", "12 %", "ζυμη", "парацетамол", "MÉTHADONE (CHLORHYDRATE", "[18F"])
def test_a_name_that_is_empty_cut_or_in_other_letters_cannot_be_read(written: str) -> None:
    assert not is_readable(written)


@pytest.mark.parametrize(
    "written", ["Paracétamol", "CITRATE DE GALLIUM [67GA]", "β-estradiol", "MORPHINE (SULFATE DE)"]
)
def test_other_names_can_be_read(written: str) -> None:
    assert is_readable(written)


def test_minerals_are_told_from_other_substances() -> None:
    assert is_mineral("POTASSIUM")
    assert not is_mineral("LOSARTAN")
