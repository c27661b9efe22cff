"""What the conditions of the BDPM ask, by its own sentences (edition of 2026-01-28)."""

from __future__ import annotations

import pytest
from dui_medication.catalogue.conditions import (
    ConditionKind,
    RestrictionBasis,
    kind_of,
    restriction_of,
    sheet_in_words,
)

SPECIALIST, RENEWAL, HOSPITAL, EMERGENCY = (
    RestrictionBasis.SPECIALIST,
    RestrictionBasis.RENEWAL,
    RestrictionBasis.HOSPITAL,
    RestrictionBasis.EMERGENCY,
)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("liste I", ConditionKind.LIST),
        ("liste II", ConditionKind.LIST),
        ("stupéfiants", ConditionKind.LIST),
        ("prescription en toutes lettres sur ordonnance sécurisée", ConditionKind.SHEET),
        ("prescription sur ordonnance sécurisée", ConditionKind.SHEET),
        ("prescription limitée à 7 jours ou 28 jours", ConditionKind.DURATION),
        (
            "chevauchement interdit sauf mention expresse du prescripteur portée sur l'ordonnance",
            ConditionKind.OVERLAP,
        ),
        ("réservé à l'usage HOSPITALIER", ConditionKind.HOSPITAL_USE),
        ("prescription hospitalière", ConditionKind.HOSPITAL_PRESCRIPTION),
        (
            "prescription par un médecin exerçant dans un établissement de transfusion sanguine",
            ConditionKind.HOSPITAL_PRESCRIPTION,
        ),
        ("prescription initiale hospitalière annuelle", ConditionKind.INITIAL_HOSPITAL),
        (
            "prescription initiale par un médecin exerçant dans un service de dialyse à domicile",
            ConditionKind.INITIAL_HOSPITAL,
        ),
        ("prescription réservée aux spécialistes et services NEUROLOGIE", ConditionKind.SPECIALIST),
        ("prescription réservée aux médecins compétents en CANCEROLOGIE", ConditionKind.SPECIALIST),
        ("prescription initiale semestrielle réservée à certains spécialistes", ConditionKind.INITIAL_SPECIALIST),
        (
            "renouvellement de la prescription réservé aux spécialistes en HEMATOLOGIE",
            ConditionKind.RENEWAL_SPECIALIST,
        ),
        ("renouvellement non restreint", ConditionKind.RENEWAL_FREE),
        ("réservé à l'usage professionnel DENTAIRE", ConditionKind.PROFESSIONAL_USE),
        (
            "réservé à l'usage en situation d'urgence selon l'article R5121-96 du code de la santé publique",
            ConditionKind.EMERGENCY,
        ),
        (
            "médicament nécessitant une surveillance particulière pendant le traitement",
            ConditionKind.MONITORING,
        ),
        # The edition has U+0092 where Windows-1252 had its apostrophe.
        (
            "prescription nécessitant préalablement le recueil de l\x92accord de soins du patient",
            ConditionKind.FORMALITY,
        ),
        ("la première administration doit être effectuée en milieu hospitalier", ConditionKind.ADMINISTRATION),
        ("délivrance fractionnée de 7 jours", ConditionKind.DISPENSING),
        ("pour tous les patients :", ConditionKind.CONTEXT),
        ("médicament soumis à prescription médicale", ConditionKind.PRESCRIPTION_ONLY),
        ("médicament soumis à prescription médicale restreinte", ConditionKind.RESTRICTED_UNSAID),
        ("à ne prendre que sur instructions des autorités compétentes", ConditionKind.UNKNOWN),
        ("prescription sous serment", ConditionKind.UNKNOWN),
        ("", ConditionKind.UNKNOWN),
    ],
)
def test_each_sentence_has_its_kind_and_a_new_one_is_unknown(text: str, kind: ConditionKind) -> None:
    assert kind_of(text) is kind
    assert kind_of(f"  {text.upper()} ") is kind


@pytest.mark.parametrize(
    ("medicine", "conditions", "accepted"),
    [
        ("LEVOCARNIL", ["prescription hospitalière"], {HOSPITAL}),
        ("TRACRIUM", ["réservé à l'usage HOSPITALIER"], {HOSPITAL}),
        ("INOVELON", ["prescription réservée aux spécialistes et services NEUROLOGIE"], {SPECIALIST, HOSPITAL}),
        ("SUSTIVA", ["prescription initiale hospitalière annuelle"], {RENEWAL, HOSPITAL}),
        (
            "CONCERTA",
            [
                "prescription initiale annuelle réservée à certains spécialistes",
                "prescription réservée aux spécialistes et services PSYCHIATRIE",
                "renouvellement non restreint",
            ],
            {SPECIALIST, RENEWAL, HOSPITAL},
        ),
        (
            "NILOTINIB",
            [
                "prescription initiale hospitalière semestrielle",
                "renouvellement de la prescription réservé aux spécialistes en HEMATOLOGIE",
            ],
            {SPECIALIST, HOSPITAL},
        ),
        (
            "a hospital prescription by specialists stays one",
            ["prescription hospitalière", "prescription réservée aux spécialistes et services NEUROLOGIE"],
            {HOSPITAL},
        ),
        (
            "SOLUMEDROL",
            ["prescription hospitalière", "réservé à l'usage en situation d'urgence selon l'article R5121-96"],
            {HOSPITAL, EMERGENCY},
        ),
    ],
)
def test_who_may_prescribe_is_what_the_conditions_leave(
    medicine: str, conditions: list[str], accepted: set[RestrictionBasis]
) -> None:
    for texts in (conditions, conditions[::-1]):
        restriction = restriction_of(texts)
        assert restriction is not None
        assert restriction.accepted == accepted
        assert set(restriction.texts) == set(conditions)


def test_what_is_listed_watched_or_only_prescribed_is_reserved_to_nobody() -> None:
    assert restriction_of([]) is None
    assert (
        restriction_of(
            [
                "liste I",
                "médicament nécessitant une surveillance particulière pendant le traitement",
                "médicament soumis à prescription médicale restreinte",
                "délivrance fractionnée de 7 jours",
                "prescription limitée à 4 semaines",
            ]
        )
        is None
    )


@pytest.mark.parametrize(("word", "months"), [("annuelle", 12), ("semestrielle", 6), ("trimestrielle", 3)])
def test_the_first_prescription_says_how_long_it_may_be_renewed(word: str, months: int) -> None:
    restriction = restriction_of([f"prescription initiale hospitalière {word}", "renouvellement non restreint"])
    assert restriction is not None
    assert restriction.initial_months == months
    assert not restriction.renewal_unclear


def test_specialists_beside_a_hospital_and_no_word_about_renewing_have_to_be_read() -> None:
    """GILENYA, and 67 others."""
    restriction = restriction_of(
        ["prescription initiale hospitalière", "prescription réservée aux spécialistes et services NEUROLOGIE"]
    )
    assert restriction is not None
    assert restriction.renewal_unclear
    assert restriction.initial_months is None


def test_words_are_asked_by_the_sentence_that_asks_them() -> None:
    assert sheet_in_words(["liste I", "prescription en toutes lettres sur ordonnance sécurisée"])
    assert not sheet_in_words(["liste I", "prescription sur ordonnance sécurisée"])
