"""What each condition of prescription and delivery asks, in the words of the BDPM, and who may prescribe what is restricted.

The database has a stock of sentences (164 in the edition of 2026-01-28, of which all but one are known here); each is put
into one kind. What no rule knows is `UNKNOWN`: it is shown as something to be read, never dropped. The law behind the kinds
of restricted prescription is CSP R5121-77 and following: reserved to hospital use, hospital prescription, initial hospital
prescription (R5121-88), prescription reserved to certain specialists (R5121-91), particular monitoring.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache


class ConditionKind(IntEnum):
    """What a condition is about."""

    #: No rule here knows the sentence: show it, and let a person judge.
    UNKNOWN = 0
    #: On which list the medicine is.
    LIST = 1
    #: The sheet: secured, amounts in words.
    SHEET = 2
    #: For how long it may be prescribed.
    DURATION = 3
    #: No new prescription during a period that one covers.
    OVERLAP = 4
    #: It is given in hospital only.
    HOSPITAL_USE = 5
    #: Each prescription comes from a hospital.
    HOSPITAL_PRESCRIPTION = 6
    #: The first prescription comes from a hospital.
    INITIAL_HOSPITAL = 7
    #: Reserved to certain specialists, centres or qualifications.
    SPECIALIST = 8
    #: The first prescription is.
    INITIAL_SPECIALIST = 9
    #: Renewing is reserved to specialists.
    RENEWAL_SPECIALIST = 10
    #: Any prescriber may renew.
    RENEWAL_FREE = 11
    #: Used by professionals themselves, in their practice or their centre.
    PROFESSIONAL_USE = 12
    #: An exception for emergencies and mobile assistance (CSP R5121-96).
    EMERGENCY = 13
    #: Something is watched during the treatment.
    MONITORING = 14
    #: A document, a result, an agreement or a mention that the prescription needs.
    FORMALITY = 15
    #: Where or by whom it is given.
    ADMINISTRATION = 16
    #: What the pharmacist does.
    DISPENSING = 17
    #: For whom the sentence beside it holds (`pour tous les patients :`).
    CONTEXT = 18
    #: It needs a prescription, and nothing more is said.
    PRESCRIPTION_ONLY = 19
    #: "Restricted", without to whom: European authorisations say so of narcotics and of what specialists prescribe alike.
    RESTRICTED_UNSAID = 20


#: The first that matches says the kind; the sentences are compared without capitals, accents and typographic apostrophes.
_KINDS: tuple[tuple[ConditionKind, re.Pattern[str]], ...] = tuple(
    (kind, re.compile(pattern))
    for kind, pattern in (
        (ConditionKind.LIST, r"(liste ii?|stupefiants?)$"),
        (ConditionKind.MONITORING, r".*\bsurveillance particuliere\b"),
        (ConditionKind.OVERLAP, r"chevauchement\b"),
        (ConditionKind.SHEET, r"prescription (en toutes lettres )?sur ordonnance securisee"),
        (ConditionKind.DURATION, r"prescription limitee a "),
        (
            ConditionKind.DISPENSING,
            r"(la )?(premiere )?delivrance\b|conservation d'une copie|dispositions particulieres de delivrance",
        ),
        (
            ConditionKind.FORMALITY,
            (
                r".*\b(accord de soins|attestation|carnet|fiche de renseignements|programme de prevention|numeration)\b"
                r"|prescription et delivrance subordonnees|dosage |la prescription necessite la mention"
                r"|a l'initiation du traitement et une fois par an"
            ),
        ),
        (ConditionKind.EMERGENCY, r".*(situation d'urgence|assistance medicale mobile|rapatriement sanitaire)"),
        (ConditionKind.ADMINISTRATION, r".*\badministrations?\b"),
        (ConditionKind.HOSPITAL_USE, r"reserve a l'usage hospitalier"),
        (ConditionKind.PROFESSIONAL_USE, r"reserve a l'usage (professionnel|militaire)|.*\bcentres de vaccination\b"),
        (
            ConditionKind.INITIAL_HOSPITAL,
            r"prescription initiale (hospitaliere|par un medecin exercant dans un service de dialyse)",
        ),
        (
            ConditionKind.HOSPITAL_PRESCRIPTION,
            r"prescription (hospitaliere|par un medecin exercant dans un etablissement de transfusion)",
        ),
        (ConditionKind.INITIAL_SPECIALIST, r"prescription initiale .*\breservee\b"),
        (ConditionKind.RENEWAL_FREE, r"renouvellement non restreint"),
        (ConditionKind.RENEWAL_SPECIALIST, r"renouvellement de la prescription reserve\b"),
        (ConditionKind.SPECIALIST, r"(hors etablissement de sante : )?prescription reservee\b"),
        (ConditionKind.RESTRICTED_UNSAID, r"medicament soumis a prescription medicale restreinte"),
        (ConditionKind.PRESCRIPTION_ONLY, r"medicament soumis a prescription medicale"),
        (ConditionKind.CONTEXT, r"pour .*:$"),
    )
)
_MONTHS = {"annuelle": 12, "semestrielle": 6, "trimestrielle": 3}


def _plain(text: str) -> str:
    """Without capitals and accents, with one kind of space and of apostrophe; the edition of 2026 has U+0092 for some."""
    decomposed = unicodedata.normalize("NFKD", text.replace("\x92", "'").replace("’", "'"))
    bare = "".join(letter for letter in decomposed if not unicodedata.combining(letter))
    return " ".join(bare.lower().split())


@lru_cache(1024)
def kind_of(text: str) -> ConditionKind:
    """The kind of one condition; `UNKNOWN` when no rule knows it."""
    wording = _plain(text)
    return next((kind for kind, pattern in _KINDS if pattern.match(wording)), ConditionKind.UNKNOWN)


def sheet_in_words(conditions: Iterable[str]) -> bool:
    """Whether a condition asks for amounts in words; a narcotic needs them whatever its conditions say (CSP R5132-29)."""
    return any("toutes lettres" in _plain(text) for text in conditions)


# ------------------------------------------------------------------------------------------------- restricted prescription


class RestrictionBasis(IntEnum):
    """On what ground somebody prescribes a restricted medicine; stated by the prescriber, with a text that names it."""

    UNSPECIFIED = 0
    #: The prescriber is one of the specialists whom the conditions name.
    SPECIALIST = 1
    #: A prescription of somebody who may is renewed.
    RENEWAL = 2
    #: Prescribed by or under a hospital, or a centre that the conditions put beside it (addiction, transfusion, dialysis).
    HOSPITAL = 3
    #: An emergency that the conditions allow for (CSP R5121-96).
    EMERGENCY = 4


@dataclass(frozen=True, slots=True)
class Restriction:
    """Who may prescribe a medicine, as far as its conditions say."""

    #: The conditions that restrict, in the words of the BDPM.
    texts: tuple[str, ...]
    #: The grounds that the conditions leave; never empty: a hospital may prescribe all of it.
    accepted: frozenset[RestrictionBasis]
    #: How long the first prescription allows to renew, in months; None: the conditions do not say.
    initial_months: int | None
    #: An initial hospital prescription beside specialists, and nothing about who renews: it has to be read.
    renewal_unclear: bool
    #: Reserved to hospital use: beyond a stay in hospital, or hospital care at home, it may not be given.
    hospital_use: bool


_WHOLLY = frozenset({ConditionKind.HOSPITAL_USE, ConditionKind.HOSPITAL_PRESCRIPTION})
_AT_FIRST = frozenset({ConditionKind.INITIAL_HOSPITAL, ConditionKind.INITIAL_SPECIALIST})
_BY_SPECIALISTS = frozenset(
    {
        ConditionKind.SPECIALIST,
        ConditionKind.INITIAL_SPECIALIST,
        ConditionKind.RENEWAL_SPECIALIST,
        ConditionKind.PROFESSIONAL_USE,
    }
)
_RESTRICTING = _WHOLLY | _AT_FIRST | _BY_SPECIALISTS
#: Shown with the restriction: they say what it leaves.
_BESIDE = frozenset({ConditionKind.RENEWAL_FREE, ConditionKind.EMERGENCY})


def restriction_of(conditions: Iterable[str]) -> Restriction | None:
    """Who may prescribe under these conditions; None when anybody who prescribes may.

    "Reserved to specialists" beside "initial prescription reserved to certain specialists" names those of the first
    prescription: R5121-91, 2° lets any prescriber renew it then, unless a condition reserves renewing.
    """
    kinds: dict[str, ConditionKind] = {text: kind_of(text) for text in conditions}
    found = frozenset(kinds.values())
    if not found & _RESTRICTING:
        return None
    accepted = {RestrictionBasis.HOSPITAL}
    if ConditionKind.EMERGENCY in found:
        accepted.add(RestrictionBasis.EMERGENCY)
    if not found & _WHOLLY:
        if found & _BY_SPECIALISTS:
            accepted.add(RestrictionBasis.SPECIALIST)
        if found & _AT_FIRST and ConditionKind.RENEWAL_SPECIALIST not in found:
            accepted.add(RestrictionBasis.RENEWAL)
    months = [
        _MONTHS[word]
        for text, kind in kinds.items()
        if kind in _AT_FIRST
        for word in _plain(text).split()
        if word in _MONTHS
    ]
    return Restriction(
        texts=tuple(text for text, kind in kinds.items() if kind in _RESTRICTING | _BESIDE),
        accepted=frozenset(accepted),
        initial_months=min(months, default=None),
        renewal_unclear=RestrictionBasis.RENEWAL in accepted
        and ConditionKind.SPECIALIST in found
        and not found & {ConditionKind.INITIAL_SPECIALIST, ConditionKind.RENEWAL_FREE},
        hospital_use=ConditionKind.HOSPITAL_USE in found,
    )
