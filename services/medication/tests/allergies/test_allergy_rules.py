"""The check of allergies: vectors from the sources of the table, and what holds for any allergy and any treatment."""

from __future__ import annotations

from random import Random

import pytest
from dui_medication.allergies.groups import LIKELIHOOD_LABELS, REASON_LABELS, Likelihood, Reason
from dui_medication.allergies.loading import packaged_table
from dui_medication.allergies.reading import candidates
from dui_medication.allergies.rules import Allergy, Answer, Gap, Kind, Severity, Status, Verdict, check_allergies
from dui_medication.knowledge.resolution import Substance
from dui_medication.knowledge.rules import Line
from dui_medication.knowledge.thesaurus import Thesaurus
from hypothesis import given
from hypothesis import strategies as st

TABLE = packaged_table()
AUGMENTIN = (
    Substance(("AMOXICILLINE TRIHYDRATÉE", "AMOXICILLINE")),
    Substance(("CLAVULANATE DE POTASSIUM", "ACIDE CLAVULANIQUE")),
)
NAMES = {"AUGMENTIN": AUGMENTIN, "DOLIPRANE": (Substance(("PARACÉTAMOL",)),), "DIFFU K": (Substance(("POTASSIUM",)),)}


def line(id_: str, *names: str) -> Line:
    return Line(id_, tuple(Substance((name,)) for name in names))


def answer(text: str, thesaurus: Thesaurus | None, *lines: Line, kind: Kind = Kind.MEDICATION) -> Answer:
    (one,) = check_allergies([Allergy("a", kind, text)], lines, TABLE, thesaurus, NAMES)
    return one


EXPECTED, POSSIBLE = Likelihood.EXPECTED, Likelihood.POSSIBLE

# ---------------------------------------------------------------------------------------------- vectors from the sources


@pytest.mark.parametrize(
    ("text", "substance", "likelihood"),
    [
        # Romano 2020: penicillins together; side chains decide between penicillins and cephalosporins.
        ("pénicilline", "AMOXICILLINE SODIQUE", EXPECTED),
        ("Amoxicilline", "CLOXACILLINE SODIQUE", EXPECTED),
        ("amoxicilline", "CÉFALEXINE MONOHYDRATÉE", EXPECTED),
        ("amoxicilline", "CEFTRIAXONE SODIQUE", POSSIBLE),
        ("CEFTRIAXONE", "CÉFOTAXIME SODIQUE", EXPECTED),
        ("céfazoline", "CEFTRIAXONE SODIQUE", POSSIBLE),
        ("aztreonam", "CEFTAZIDIME PENTAHYDRATÉE", EXPECTED),
        ("aztreonam", "AMOXICILLINE", None),
        ("aztreonam", "CEFTRIAXONE", None),
        ("beta lactamines", "TAZOBACTAM SODIQUE", EXPECTED),
        ("β-lactamines", "MÉROPÉNEM TRIHYDRATÉ", EXPECTED),
        ("amoxicilline", "TAZOBACTAM SODIQUE", None),
        # Kowalski 2013: chemically unrelated NSAIDs together; coxibs are most often tolerated, paracetamol is in no group.
        ("AINS", "KÉTOPROFÈNE", EXPECTED),
        ("aspirine", "DICLOFÉNAC SODIQUE", EXPECTED),
        ("Anti-inflammatoires non stéroïdiens", "ACÉTYLSALICYLATE DE DL-LYSINE", EXPECTED),
        ("AINS", "CÉLÉCOXIB", POSSIBLE),
        ("AINS", "PARACÉTAMOL", None),
        # RCP of mesalazine: salicylates, not the other NSAIDs.
        ("salicylés", "MÉSALAZINE", EXPECTED),
        ("aspirine", "MÉSALAZINE", POSSIBLE),
        ("ibuprofène", "MÉSALAZINE", None),
        # Zawodniak 2010: sulfasalazine with sulfamethoxazole. Strom 2003: hardly any with other sulfonamides.
        ("allergie aux sulfamides", "SULFAMÉTHOXAZOLE", EXPECTED),
        ("cotrimoxazole", "SULFASALAZINE", EXPECTED),
        ("sulfamides", "FUROSÉMIDE", POSSIBLE),
        ("furosémide", "GLICLAZIDE", None),
        ("sulfamides hypoglycémiants", "GLIMÉPIRIDE", EXPECTED),
        # CIRTACI: neither povidone iodine nor amiodarone has to do with contrast media; RCP: « iode » and amiodarone do.
        ("produits de contraste iodés", "IOHEXOL", EXPECTED),
        ("iohexol", "IODIXANOL", EXPECTED),
        ("produit de contraste iodé", "POVIDONE IODÉE", None),
        ("produit de contraste iodé", "CHLORHYDRATE D'AMIODARONE", None),
        ("amiodarone", "IOHEXOL", None),
        ("allergie à l'iode", "CHLORHYDRATE D'AMIODARONE", POSSIBLE),
        ("produits de contraste iodés", "GADOBUTROL", None),
        # Sfar and SFA 2011: neuromuscular blockers together; amides and esters apart.
        ("rocuronium", "CHLORURE DE SUXAMÉTHONIUM", EXPECTED),
        ("procaïne", "CHLORHYDRATE DE LIDOCAÏNE MONOHYDRATÉ", None),
        ("procaïne", "CHLORHYDRATE DE TÉTRACAÏNE", EXPECTED),
        ("lidocaïne", "CHLORHYDRATE DE MÉPIVACAÏNE", POSSIBLE),
        # Hirsch 2008: carbamazepine with phenytoin, less with lamotrigine, not with valproate.
        ("carbamazépine", "PHÉNYTOÏNE", EXPECTED),
        ("carbamazépine", "LAMOTRIGINE", POSSIBLE),
        ("carbamazépine", "VALPROATE DE SODIUM", None),
        # Weberschock 2011: heparins together, fondaparinux least.
        ("énoxaparine", "HÉPARINE CALCIQUE", EXPECTED),
        ("énoxaparine", "FONDAPARINUX SODIQUE", POSSIBLE),
        # Dooms-Goossens 1995; RCP of metronidazole.
        ("miconazole", "NITRATE D'ÉCONAZOLE", POSSIBLE),
        ("miconazole", "MÉTRONIDAZOLE", None),
        ("métronidazole", "SECNIDAZOLE", EXPECTED),
        # WAO 2013.
        ("imidazolés", "MÉTRONIDAZOLE", POSSIBLE),
        ("produits de contraste", "GADOBUTROL", EXPECTED),
        ("gentamicine", "TOBRAMYCINE", EXPECTED),
        ("ciprofloxacine", "LÉVOFLOXACINE HÉMIHYDRATÉE", EXPECTED),
        ("clarithromycine", "AZITHROMYCINE DIHYDRATÉE", POSSIBLE),
        ("clarithromycine", "CLINDAMYCINE", None),
        # RCP of the conversion enzyme inhibitors and of sacubitril.
        ("ramipril", "PÉRINDOPRIL ARGININE", EXPECTED),
        ("IEC", "SACUBITRIL", EXPECTED),
    ],
)
def test_a_class_is_hit_as_its_source_says(
    small: Thesaurus, text: str, substance: str, likelihood: Likelihood | None
) -> None:
    found = answer(text, small, line("1", substance))
    assert [(hit.likelihood, hit.group is not None) for hit in found.hits] == (
        [] if likelihood is None else [(likelihood, True)]
    )
    assert found.gaps == ()
    assert found.verdict is (Verdict.CHECKED if likelihood is None else Verdict.CLASS)
    assert likelihood is None or found.groups


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Amoxicilline", ("AMOXICILLINE TRIHYDRATÉE",)),
        ("AMOXICILLINES", ("AMOXICILLINE SODIQUE",)),
        ("Pénicilline V", ("PHÉNOXYMÉTHYLPÉNICILLINE", "PÉNICILLINE V")),
        ("aspirine", ("ACÉTYLSALICYLATE DE DL-LYSINE",)),
        ("acide clavulanique", ("CLAVULANATE DE POTASSIUM",)),
        ("Valproate de sodium", ("VALPROÏQUE (ACIDE)",)),
        ("chlorhydrate de metformine", ("METFORMINE",)),
        ("Furadoïne depuis 1998", ("NITROFURANTOÏNE",)),
        ("réaction sous Augmentin", ("AMOXICILLINE TRIHYDRATÉE",)),
        ("Doliprane", ("PARACÉTAMOL",)),
        ("Inconnumab", ("INCONNUMAB",)),
    ],
)
def test_the_substance_itself_is_hit_however_it_is_written(small: Thesaurus, text: str, names: tuple[str, ...]) -> None:
    found = answer(text, small, Line("1", (Substance(names),)), line("2", "METFORMINE D'AUTRE CHOSE"))
    assert found.verdict is Verdict.SUBSTANCE
    assert [(hit.line, hit.substance, hit.group) for hit in found.hits] == [("1", names[0], None)]
    assert Reason.NOT_UNDERSTOOD not in {gap.reason for gap in found.gaps}


def test_the_substance_itself_counts_more_than_its_class_and_the_likelier_class_more_than_the_other(
    small: Thesaurus,
) -> None:
    found = answer("amoxicilline", small, line("1", "AMOXICILLINE", "CÉFALEXINE"), line("2", "CEFTRIAXONE"))
    assert [(hit.substance, hit.likelihood) for hit in found.hits] == [
        ("AMOXICILLINE", None),
        ("CÉFALEXINE", EXPECTED),
        ("CEFTRIAXONE", POSSIBLE),
    ]


def test_a_mineral_that_two_salts_share_is_no_allergy(small: Thesaurus) -> None:
    salt = Line("1", (Substance(("CHLORURE DE POTASSIUM", "POTASSIUM")),))
    assert answer("clavulanate de potassium", small, salt).verdict is Verdict.CHECKED
    assert answer("potassium", small, salt).verdict is Verdict.SUBSTANCE
    assert answer("Diffu-K", small, salt).verdict is Verdict.SUBSTANCE


# ------------------------------------------------------------------------------------------------ what was not understood


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("amoxiciline", "AMOXICILINE"),
        ("amoxicilline et apparentés", "APPARENTES"),
        ("pas d'allergie à l'amoxicilline", "PAS"),
        ("AINS sauf clindamycine", "SAUF"),
        ("Bactrim", "BACTRIM"),
        ("amoxicilline (", "amoxicilline ("),
        ("амоксициллин", "амоксициллин"),
        ("allergie grave", "allergie grave"),
        ("", ""),
        ("?", "?"),
    ],
)
def test_what_was_not_understood_is_told_and_nothing_is_said_to_be_checked(
    small: Thesaurus, text: str, left: str
) -> None:
    found = answer(text, small, line("1", "METFORMINE"))
    assert Gap(Reason.NOT_UNDERSTOOD, left) in found.gaps
    assert found.verdict is Verdict.UNAVAILABLE


def test_half_understood_is_unavailable_and_a_hit(small: Thesaurus) -> None:
    found = answer("amoxicilline et un autre antibiotique", small, line("1", "AMOXICILLINE"))
    assert found.verdict is Verdict.SUBSTANCE
    assert found.gaps == (
        Gap(Reason.NOT_UNDERSTOOD, "UN AUTRE"),
        Gap(Reason.CLASS_WITHOUT_TABLE, "ANTIBIOTIQUE"),
    )


@pytest.mark.parametrize(
    ("text", "kind", "reason"),
    [
        ("latex", Kind.MEDICATION, Reason.EXCIPIENT),
        ("Arachides", Kind.OTHER, Reason.EXCIPIENT),
        ("kiwis", Kind.FOOD, Reason.EXCIPIENT),
        ("amoxicilline", Kind.FOOD, Reason.EXCIPIENT),
        ("pollens de bouleau", Kind.ENVIRONMENT, Reason.EXCIPIENT),
        ("polyéthylène glycol", Kind.MEDICATION, Reason.EXCIPIENT),
        ("antibiotiques", Kind.MEDICATION, Reason.CLASS_WITHOUT_TABLE),
        # A class of the thesaurus is about interactions: known, and no allergy class.
        ("hypokaliémiants", Kind.MEDICATION, Reason.CLASS_WITHOUT_TABLE),
    ],
)
def test_what_the_catalogue_or_the_table_cannot_tell_is_unavailable(
    small: Thesaurus, text: str, kind: Kind, reason: Reason
) -> None:
    found = answer(text, small, line("1", "CLINDAMYCINE"), kind=kind)
    assert found.verdict is Verdict.UNAVAILABLE
    assert {gap.reason for gap in found.gaps} == {reason}


def test_a_food_that_is_an_active_substance_is_hit_and_still_unavailable_as_an_excipient(small: Thesaurus) -> None:
    found = answer("allergie à l'arachide", small, line("1", "HUILE DE SOJA RAFFINÉE"), kind=Kind.FOOD)
    assert found.verdict is Verdict.CLASS
    assert [gap.reason for gap in found.gaps] == [Reason.EXCIPIENT, Reason.EXCIPIENT]


def test_a_line_that_cannot_be_compared_is_told_with_every_allergy(small: Thesaurus) -> None:
    stock = "AMOXICILLINE POUR PRÉPARATIONS HOMÉOPATHIQUES"
    found = answer("amoxicilline", small, Line("1", ()), line("2", "AMOX ("), line("3", stock))
    assert found.hits == ()
    assert found.gaps == (
        Gap(Reason.LINE_UNKNOWN, "", "1"),
        Gap(Reason.LINE_UNKNOWN, "AMOX (", "2"),
        Gap(Reason.HOMEOPATHIC, stock, "3"),
    )


@pytest.mark.parametrize(
    ("text", "substance"),
    [
        ("clindamycine", "CLINDAMYCINE DE SYNTHÈSE"),
        ("macrogol", "MACROGOL 4000"),
        ("pénicilline", "AMOXICILLINE COMPACTÉE"),
        ("iode", "IODE [123 I]"),
    ],
)
def test_a_name_among_other_words_is_neither_a_hit_nor_checked(small: Thesaurus, text: str, substance: str) -> None:
    found = answer(text, small, line("1", substance))
    assert found.verdict is Verdict.UNAVAILABLE
    assert Gap(Reason.NAME_SHARED, substance, "1") in found.gaps


def test_without_a_thesaurus_hits_are_told_and_nothing_is_checked() -> None:
    assert answer("metformine", None, line("1", "METFORMINE")).verdict is Verdict.SUBSTANCE
    found = answer("pénicilline", None, line("1", "METFORMINE"))
    assert (found.verdict, found.gaps) == (Verdict.UNAVAILABLE, (Gap(Reason.NO_KNOWLEDGE),))


def test_two_allergies_or_two_lines_with_one_id_are_refused(small: Thesaurus) -> None:
    twice = [Allergy("a", Kind.MEDICATION, "AINS")] * 2
    with pytest.raises(ValueError, match="share an id: a"):
        check_allergies(twice, [], TABLE, small, {})
    with pytest.raises(ValueError, match="share an id: 1"):
        check_allergies([], [line("1", "X"), line("1", "Y")], TABLE, small, {})


def test_the_words_that_a_caller_has_to_look_up_are_those_that_a_brand_may_begin_with() -> None:
    assert candidates(["Allergie à l'Efferalgan codéiné, pas au D3 500"]) == {
        "EFFERALGAN",
        "EFFERALGAN CODEINE",
        "EFFERALGAN CODEINE PAS",
        "EFFERALGAN CODEINE PAS AU",
        "CODEINE",
        "CODEINE PAS",
        "CODEINE PAS AU",
        "CODEINE PAS AU D3",
    }


def test_every_reason_and_likelihood_has_a_wording() -> None:
    assert set(REASON_LABELS) == set(Reason)
    assert set(LIKELIHOOD_LABELS) == set(Likelihood)


# ----------------------------------------------------------------------------------------------------------------- laws

WORDS = (
    "amoxicilline", "pénicillines", "AINS", "aspirine", "latex", "iode", "metformine", "Augmentin", "antibiotiques", "et", "aux",
    "zorglub", "pas", "sulfamides", "(", "2012", "arachide", "valproate de sodium", "д",
)  # fmt: skip
TEXTS = st.one_of(st.lists(st.sampled_from(WORDS), max_size=4).map(" ".join), st.text(max_size=12))
ALLERGIES = st.lists(
    st.builds(
        Allergy,
        st.sampled_from("abcdef"),
        st.sampled_from(Kind),
        TEXTS,
        st.sampled_from(Status),
        st.sampled_from(Severity),
    ),
    max_size=4,
    unique_by=lambda one: one.id,
)
HELD = (
    "AMOXICILLINE TRIHYDRATÉE", "CEFTRIAXONE SODIQUE", "IBUPROFÈNE", "METFORMINE", "FUROSÉMIDE", "IOHEXOL", "INCONNUMAB", "",
    "CLAVULANATE DE POTASSIUM", "HUILE DE SOJA RAFFINÉE", "BELLADONNA POUR PRÉPARATIONS HOMÉOPATHIQUES", "INSULINE GLARGINE",
)  # fmt: skip
LINES = st.lists(
    st.builds(Line, st.sampled_from("123456"), st.lists(st.sampled_from(HELD), max_size=2).map(
        lambda names: tuple(Substance((name,)) for name in names)
    )),
    max_size=4,
    unique_by=lambda one: one.id,
)  # fmt: skip


@given(ALLERGIES, LINES, st.booleans())
def test_each_allergy_that_is_not_refuted_is_answered_once_and_no_other(
    small: Thesaurus, allergies: list[Allergy], lines: list[Line], known: bool
) -> None:
    answers = check_allergies(allergies, lines, TABLE, small if known else None, NAMES)
    asked = sorted(one.id for one in allergies if one.status is not Status.REFUTED)
    assert [one.allergy.id for one in answers] == asked
    for one in answers:
        assert (one.verdict is Verdict.CHECKED) == (not one.hits and not one.gaps)


@given(ALLERGIES, LINES, st.randoms(use_true_random=False))
def test_the_order_of_lines_substances_and_allergies_changes_nothing(
    small: Thesaurus, allergies: list[Allergy], lines: list[Line], random: Random
) -> None:
    others = [Line(one.id, tuple(random.sample(one.substances, len(one.substances)))) for one in lines]
    random.shuffle(others)
    shuffled = random.sample(allergies, len(allergies))
    assert check_allergies(allergies, lines, TABLE, small, NAMES) == check_allergies(
        shuffled, others, TABLE, small, NAMES
    )


@given(st.lists(st.sampled_from(WORDS), max_size=4), st.sampled_from(["zorglub", "амокси", "pas", "(", "autre"]), LINES)
def test_a_text_with_a_word_that_nobody_knows_is_never_checked(
    small: Thesaurus, words: list[str], unknown: str, lines: list[Line]
) -> None:
    for text in (" ".join([*words, unknown]), " ".join([unknown, *words])):
        assert answer(text, small, *lines).verdict is not Verdict.CHECKED
        assert Reason.NOT_UNDERSTOOD in {gap.reason for gap in answer(text, small, *lines).gaps}


@given(TEXTS, LINES, st.data())
def test_a_line_more_takes_no_hit_away(small: Thesaurus, text: str, lines: list[Line], data: st.DataObject) -> None:
    if not lines:
        return
    gone = data.draw(st.sampled_from(lines))
    fewer = answer(text, small, *(one for one in lines if one is not gone))
    assert set(fewer.hits) <= set(answer(text, small, *lines).hits)
