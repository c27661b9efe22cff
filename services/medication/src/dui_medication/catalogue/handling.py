"""What the form of a medicine says about crushing and opening it, and what its substances and conditions say is to be watched.

Crushing goes by the wording of the form in the BDPM (and of the name, which has `LP` where the form forgets it): a form made to
release slowly, or past the stomach, is destroyed by crushing, whatever is in it. The rules by form are those that the regional
observatories of medicines publish (OMEDIT Centre-Val de Loire, « Formes à ne pas écraser / qu'il ne faut pas ouvrir »; OMEDIT
Haute-Normandie). They say nothing about the substance: a plain tablet may be toxic to whoever crushes it, or bitter, or unstable.
So the absence of a note means that nothing is known, never that crushing is right; see the leaflet and ask the pharmacist.

Monitoring is a short table, with the source of each line. It names what is watched and no intervals: those depend on the person.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from dui_medication.catalogue.conditions import ConditionKind, kind_of
from dui_medication.catalogue.rules import words_of


class Crushing(IntEnum):
    """What may be done to a dose before it is taken."""

    #: Nothing is known by the form: ask before crushing or opening.
    UNKNOWN = 0
    #: Neither crush nor chew; a hard capsule is opened only when the pharmacist says so.
    DO_NOT_CRUSH = 1
    #: A soft capsule: neither cut, pierce nor crush.
    DO_NOT_OPEN = 2
    #: Melts under the tongue, in the cheek or by sucking: neither crushed nor swallowed.
    LET_MELT = 3
    #: Made to come apart in the mouth or in water: crushing is not needed.
    DISPERSES = 4
    #: What looks like a capsule is inhaled: never swallowed.
    INHALE = 5


@dataclass(frozen=True, slots=True)
class Handling:
    """What the form says, and why, for people to read; without a reason nothing is known."""

    crushing: Crushing
    fr: str
    en: str


_ASK_FR = " Demandez au pharmacien une autre forme si la personne ne peut pas avaler."
_ASK_EN = " Ask the pharmacist for another form if the person cannot swallow."
#: Some capsules hold grains that may be taken out whole: which ones is the pharmacist's to say.
_OPEN_FR = " Ne pas ouvrir une gélule sans l'avis du pharmacien." + _ASK_FR
_OPEN_EN = " Do not open a capsule unless the pharmacist agrees." + _ASK_EN
NOTHING_KNOWN = Handling(
    Crushing.UNKNOWN,
    fr="La forme ne dit rien de l'écrasement : voir la notice ou demander au pharmacien avant d'écraser ou d'ouvrir.",
    en="The form says nothing about crushing: see the leaflet or ask the pharmacist before crushing or opening.",
)
_INHALED = Handling(
    Crushing.INHALE,
    fr="À inhaler avec son dispositif : ne pas avaler.",
    en="Inhaled with its device: not to be swallowed.",
)
_MODIFIED = Handling(
    Crushing.DO_NOT_CRUSH,
    fr="Libération prolongée ou modifiée : ne pas écraser ni croquer, la dose serait libérée d'un coup." + _OPEN_FR,
    en="Prolonged or modified release: do not crush or chew, the dose would be released at once." + _OPEN_EN,
)
_RESISTANT = Handling(
    Crushing.DO_NOT_CRUSH,
    fr="Gastro-résistant : ne pas écraser ni croquer, l'estomac détruirait la dose ou en souffrirait." + _OPEN_FR,
    en="Gastro-resistant: do not crush or chew, the stomach would destroy the dose or suffer from it." + _OPEN_EN,
)
_MELTS = Handling(
    Crushing.LET_MELT,
    fr="À laisser fondre dans la bouche : ne pas écraser, ne pas avaler.",
    en="Left to melt in the mouth: do not crush, do not swallow.",
)
_SOFT = Handling(
    Crushing.DO_NOT_OPEN,
    fr="Capsule : ne pas couper, percer ni écraser, la dose serait perdue en partie." + _ASK_FR,
    en="Capsule: do not cut, pierce or crush, a part of the dose would be lost." + _ASK_EN,
)
_DISPERSES = Handling(
    Crushing.DISPERSES,
    fr="Se délite dans la bouche ou dans l'eau, comme la notice le dit : inutile de l'écraser.",
    en="Comes apart in the mouth or in water, as the leaflet says: no need to crush it.",
)

#: The first that matches decides, the most dangerous mistake first. Compared without capitals and accents.
_FORMS: tuple[tuple[re.Pattern[str], Handling], ...] = tuple(
    (re.compile(pattern), handling)
    for pattern, handling in (
        (r"\b(poudre|capsule|gelule)\b.*\binhalation\b", _INHALED),
        (r"\bliberation (prolongee|modifiee|retardee)|\bosmotique\b|\bl\.?p\b|\bretard\b|\bchrono\b", _MODIFIED),
        (r"\bgastro-?resistant", _RESISTANT),
        (r"\bsublingua|\bbuccogingiva|\bgingiva|\bmuco-?adhesi|\ba sucer\b|\bpastille|\bgomme\b", _MELTS),
        (r"\bcapsule\b", _SOFT),
        (
            r"\borodispersible|\bdispersible|\beffervescent|\blyophilisat oral|\bpour (solution|suspension) buvable",
            _DISPERSES,
        ),
    )
)
#: What is swallowed, or could be taken for it. `(granulés)` are; drops, syrups and what is injected are not.
_DRY = re.compile(
    r"\b(comprimes?|gelules?|capsules?|granules?|microgranules?|pastilles?|gommes?|lyophilisats?|films?)\b"
)
_PARENTERAL = re.compile(r"\b(injectable|parenteral|perfusion|preparation injectable|collyre)\b")
_BY_MOUTH = re.compile(r"\b(orale|sublinguale|buccale|buccogingivale|gingivale|gastro|inhalee|bucco|oropharyngee)")


def _plain(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text.replace("œ", "oe"))
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter)).lower()


def handling_of(form: str, name: str, routes: Iterable[str] = ()) -> Handling:
    """What the form and the name of a specialty say about crushing and opening.

    Args:
        form: form as the BDPM words it (`comprimé pelliculé à libération prolongée`).
        name: name of the specialty, with its form or without.
        routes: routes as the BDPM words them; when there are some and none is by mouth or inhaled, there is nothing to crush.
    """
    ways = [_plain(route) for route in routes]
    if ways and not any(_BY_MOUTH.search(way) for way in ways):
        return NOTHING_KNOWN
    wording = _plain(form)
    if not _DRY.search(wording) or _PARENTERAL.search(wording):
        return NOTHING_KNOWN
    # A tablet that is only let melt has no word for it in its form (`comprimé`), but in its route.
    whole = f"{wording} {_plain(name)} {ways[0] if len(ways) == 1 else ''}"
    return next((handling for pattern, handling in _FORMS if pattern.search(whole)), NOTHING_KNOWN)


# ------------------------------------------------------------------------------------------------------------- monitoring


@dataclass(frozen=True, slots=True)
class Monitoring:
    """Something to watch during a treatment, and who says so."""

    fr: str
    en: str
    source: str


_LEAFLET = "RCP, rubriques 4.2 et 4.4"
_HAS_AVK = "HAS et GEHT, avril 2008 (AVK)"
_HAS_IONS = "HAS, IPC AMI n° 8, octobre 2012"
#: By the words that name the substance. HAS and the conditions of the BDPM were read; the other lines stand on the summaries of
#: product characteristics of the substances, where a pharmacist should read them again before the platform goes live.
_WATCHED: tuple[tuple[frozenset[str], Monitoring], ...] = tuple(
    (frozenset(words.split()), Monitoring(fr, en, source))
    for words, fr, en, source in (
        ("WARFARINE ACENOCOUMAROL FLUINDIONE", "INR", "INR", _HAS_AVK),
        (
            (
                "FUROSEMIDE BUMETANIDE HYDROCHLOROTHIAZIDE INDAPAMIDE SPIRONOLACTONE EPLERENONE AMILORIDE CAPTOPRIL ENALAPRIL"
                " LISINOPRIL PERINDOPRIL RAMIPRIL TRANDOLAPRIL QUINAPRIL FOSINOPRIL CANDESARTAN IRBESARTAN LOSARTAN OLMESARTAN"
                " TELMISARTAN VALSARTAN"
            ),
            "natrémie, kaliémie, créatinine",
            "sodium, potassium, creatinine",
            _HAS_IONS,
        ),
        ("LITHIUM", "lithiémie, créatinine, TSH, calcémie", "lithium level, creatinine, TSH, calcium", _LEAFLET),
        ("CLOZAPINE", "numération des neutrophiles", "neutrophil count", "BDPM, conditions de prescription"),
        (
            "METHOTREXATE",
            "numération, transaminases, créatinine",
            "blood count, transaminases, creatinine",
            _LEAFLET,
        ),
        ("AZATHIOPRINE LEFLUNOMIDE", "numération, transaminases", "blood count, transaminases", _LEAFLET),
        (
            "CICLOSPORINE TACROLIMUS",
            "concentration sanguine, créatinine, kaliémie",
            "blood level, creatinine, potassium",
            _LEAFLET,
        ),
        ("DIGOXINE", "kaliémie, créatinine", "potassium, creatinine", _LEAFLET),
        ("AMIODARONE", "TSH, transaminases", "TSH, transaminases", _LEAFLET),
        ("LEVOTHYROXINE LIOTHYRONINE", "TSH", "TSH", _LEAFLET),
        ("THIAMAZOLE CARBIMAZOLE", "numération, TSH", "blood count, TSH", _LEAFLET),
        ("HEPARINE", "plaquettes", "platelets", _LEAFLET),
        (
            "ENOXAPARINE TINZAPARINE DALTEPARINE NADROPARINE",
            "plaquettes, créatinine",
            "platelets, creatinine",
            _LEAFLET,
        ),
        ("APIXABAN DABIGATRAN RIVAROXABAN EDOXABAN", "créatinine, hémoglobine", "creatinine, haemoglobin", _LEAFLET),
        ("CARBAMAZEPINE", "natrémie, numération, transaminases", "sodium, blood count, transaminases", _LEAFLET),
        ("OXCARBAZEPINE", "natrémie", "sodium", _LEAFLET),
        (
            "VALPROATE DIVALPROATE VALPROIQUE VALPROMIDE",
            "transaminases, numération et plaquettes",
            "transaminases, blood count and platelets",
            _LEAFLET,
        ),
        ("INSULINE GLICLAZIDE GLIMEPIRIDE GLIBENCLAMIDE REPAGLINIDE", "glycémie", "blood glucose", _LEAFLET),
        ("METFORMINE", "créatinine", "creatinine", _LEAFLET),
    )
)
_SAID_SO = Monitoring(
    "surveillance particulière pendant le traitement : voir le RCP",
    "particular monitoring during the treatment: see the summary of product characteristics",
    "BDPM, conditions de prescription",
)
#: Too little of it reaches the blood: drops in the eye, creams.
_LOCAL = ("cutanee", "ophtalmique", "auriculaire", "nasale")


def monitoring_of(
    substances: Iterable[str], conditions: Iterable[str], routes: Iterable[str] = ()
) -> tuple[Monitoring, ...]:
    """What is to be watched with these substances, each thing once, in the order of the table; what the conditions say is last.

    An empty answer means that the table has nothing, not that nothing is to be watched.

    Args:
        substances: names as the BDPM writes them, salts and all; homeopathic stocks are passed over.
        conditions: conditions of prescription, in the words of the BDPM.
        routes: routes as the BDPM words them; what is only put on skin, eye, ear or nose is not watched by its substance.
    """
    ways = [_plain(route) for route in routes]
    found: dict[Monitoring, None] = {}
    if not ways or any(not way.startswith(_LOCAL) for way in ways):
        named = {word for name in substances if "HOM" not in _roots(name) for word in words_of(name)}
        found.update((watched, None) for words, watched in _WATCHED if words & named)
    if any(kind_of(text) is ConditionKind.MONITORING for text in conditions):
        found[_SAID_SO] = None
    return tuple(found)


def _roots(name: str) -> frozenset[str]:
    """`HOM` of `POUR PRÉPARATIONS HOMÉOPATHIQUES`, which the BDPM spells in several ways."""
    return frozenset(word[:3] for word in words_of(name) if word.endswith(("PATHIQUES", "PATHIQUE", "PAHTIQUES")))
