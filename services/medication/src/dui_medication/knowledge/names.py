"""Names of substances, made comparable without guessing.

The public database of medicines (BDPM) and the thesaurus of interactions (ANSM) write one substance in several ways:
`METFORMINE (CHLORHYDRATE DE)`, `CHLORHYDRATE DE METFORMINE`, `metformine`. Here a name is only rewritten by rules that
hold for every name of its kind: letters, word order, the salt or the water that goes with an active moiety. Nothing is
likened: CHLORPROMAZINE and CHLORPROPAMIDE share most of their letters and none of their effects.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final

_LIGATURES: Final = str.maketrans(
    {"Œ": "OE", "œ": "oe", "Æ": "AE", "æ": "ae", "ß": "ss"}
    | {"α": "alpha", "β": "bêta", "γ": "gamma", "δ": "delta", "ω": "oméga", "’": "'", "‘": "'", "ʼ": "'", "´": "'"}
)
_ACCENTS: Final = re.compile("[\u0300-\u036f]+")
#: The forms of the word that the BDPM holds, its misspellings too: a homeopathic stock taken for the substance that it
#: is named after would be checked as if it were that substance.
_HOMEOPATHIC: Final = re.compile(r"\bHOM(?:EO|E|OE|O)P(?:ATH|AH|AT)I")
#: `SODIUM (VALPROATE DE)`, `AMLODIPINE (BÉSILATE D')`, with what may follow.
_INVERTED: Final = re.compile(r"^([^()]*[^()\s,])[\s,]*\(\s*([^()]+?)\s+(?:DE L'|DE LA|DES|DU|DE|D')\s*\)(.*)$")
#: `VALPROÏQUE (ACIDE)`, `BOTULIQUE (TOXINE)`.
_NOUN_BEHIND: Final = re.compile(r"^([^()]*[^()\s,])[\s,]*\(\s*(ACIDE|TOXINE|COMPLEXE)\s*\)(.*)$")

_WATER: Final = (
    r"(?:MONO|DI|TRI|TETRA|PENTA|HEXA|HEPTA|OCTA|NONA|DECA|DODECA|HEMI|SESQUI|HEMIPENTA|HEMIHEPTA)?HYDRATEE?"
)
_METAL: Final = r"(?:MONO|DI|TRI|TETRA|PENTA)?(?:SODIQUE|POTASSIQUE|CALCIQUE)|MAGNESIQUE|ZINCIQUE|ARGENTIQUE"
#: What may end a name and leaves the active moiety what it is: water, a metal, a counter-ion in apposition, a grade.
_ENDING: Final = re.compile(
    rf"^(.+?) (?:{_WATER}|ANHYDRE|{_METAL}|BASE|ACIDE|SEL|ELEMENT|LEGERE?|LOURD|DESSECHE|DILUE|CRISTALLISE|LIQUIDE"
    r"|LIPOSOMALE|MICRONISEE?|BETADEX|CLATHRATE|POLACRILEX|MEGLUMINE|TROMETAMOL|ERBUMINE|TERT BUTYLAMINE|ARGININE|OLAMINE"
    r"|PHOSPHATE|SUCCINATE|DE DIETHYLAMINE|DE LYSINE|POUR PREPARATIONS INJECTABLES|POUR SOLUTION INJECTABLE)$"
)
#: `FÉNOPROFÈNE CALCIUM`, `ÉSOMÉPRAZOLE MAGNÉSIUM`; never the metal of `CARBONATE DE CALCIUM`, which is the substance.
_METAL_ENDING: Final = re.compile(r"^(.+)(?<! DE)(?<! ET) (?:CALCIUM|MAGNESIUM|SODIUM|POTASSIUM)$")

_MINERAL_SALT: Final = re.compile(
    "ACETATE|ASPARTATE|BICARBONATE|CARBONATE|CHLORURE|CITRATE|FLUORURE|GLUCOHEPTONATE|GLUCONATE|GLUCONOLACTATE"
    "|GLYCEROPHOSPHATE|HYDROXYDE|LACTATE|OXYDE|PHOSPHATE|PIDOLATE|STEARATE|SULFATE|TARTRATE|TRISILICATE"
)
#: Acids and other partners of a salt, an ester or a solvate that are no medicine themselves. An anion that is one is
#: not here (valproate, folinate, iodide of potassium…): the metal beside it says nothing of what it does.
_SALT: Final = re.compile(
    "ACEPONATE|ACETATE|ACETONIDE|ADIPATE|ASPARTATE|BENZOATE|BESILATE|BESYLATE|BITARTRATE|BROMHYDRATE|BROMURE"
    "|BUTYRATE|CAMPHOSULFONATE|CAMSYLATE|CAPROATE|CARBONATE|CHLORHYDRATE|CHLORURE|CITRATE|DECANOATE|DIASPARTATE"
    "|DICHLORHYDRATE|DIGLUCONATE|DIHYDROGENOPHOSPHATE|DIISETHIONATE|DIISETIONATE|DIMALEATE|DIMESILATE|DIPHOSPHATE"
    "|DIPROPIONATE|DITARTRATE|DITOSILATE|EMBONATE|ENANTATE|EPOLAMINE|ERBUMINE|ESILATE|ETHANOLATE|ETHYLSUCCINATE"
    "|ETILSULFATE|FUMARATE|FUROATE|GLUCONATE|HEMIFUMARATE|HEMISUCCINATE|HEMITARTRATE|HEXACETONIDE|HYCLATE"
    "|HYDROGENOFUMARATE|HYDROGENOMALATE|HYDROGENOSUCCINATE|HYDROGENOSULFATE|HYDROGENOTARTRATE|HYDROXYDE"
    "|ISETIONATE|LACTATE|LACTOBIONATE|LAURILSULFATE|LYSINATE|MALATE|MALEATE|MESILATE|MESYLATE|METASULFOBENZOATE"
    "|METHANESULFONATE|METHYLSULFATE|METILSULFATE|MONOCHLORHYDRATE|NITRATE|OXALATE|PALMITATE|PAMOATE|PHOSPHATE"
    "|PIVALATE|PROPIONATE|RESINATE|SOLUTION|SOLVATE|SUCCINATE|SULFATE|TARTRATE|TERT BUTYLAMINE|TETRACHLORHYDRATE"
    "|TETRAPHOSPHATE|TOSILATE|TOSYLATE|TRIFENATATE|TRIFLUOROACETATE|UNDECANOATE|VALERATE|XINAFOATE"
)
#: Where the other half of the salt matters as much: potassium citrate is a citrate too, magnesium sulfate no antacid.
_MINERAL: Final = re.compile(
    "ALUMINIUM|AMMONIUM|ARGENT|BARYUM|BISMUTH|CALCIUM|CHROME|COBALT|CUIVRE|FER|LANTHANE|LITHIUM|MAGNESIUM"
    "|MANGANESE|POTASSIUM|SODIUM|STRONTIUM|ZINC"
)
#: `CHLORHYDRATE DE…`, `MALÉATE ACIDE DE…`, `PHOSPHATE DISODIQUE DE…`, `L-TARTRATE DE…`, `TERT-BUTYLAMINE DE…`.
_OPENING: Final = re.compile(
    rf"^(?:(?:D|L|DL|D L|R|S) )?(TERT BUTYLAMINE|[A-Z]+)(?: (?:ACIDE|ANHYDRE|CONCENTREE|{_WATER}|{_METAL}))* (?:DE|DU|DES) (.+)$"
)
#: `FUMARATE DE DIMÉTHYLE`: an ester of a plain alcohol, where the acid is the medicine.
_RADICAL: Final = re.compile(r"^(?:DI|TRI)?(?:METHYLE|ETHYLE|BUTYLE|BENZYLE|GLYCERYLE|ISOAMYLE)$")
#: An anion and a partner that does nothing by itself; calcium, potassium and the like do, and are left to the table.
_ANION: Final = re.compile(r"^([A-Z]+)ATE(?: DE (?:SODIUM|MEGLUMINE|DIMEGLUMINE|LYSINE|DL LYSINE))?$")

_SALT_OF: Final = re.compile(r"^([A-Z]+ATE) DE ([A-Z]+)$")


def capitals(name: str) -> str:
    """The name in capitals without accents or ligatures, with one kind of apostrophe and of space."""
    decomposed = unicodedata.normalize("NFKD", name.translate(_LIGATURES))
    return " ".join(_ACCENTS.sub("", decomposed).upper().split())


#: Names of substances come back with every check; reading one again costs ten times as much as finding it.
MOST_KEPT: Final = 8192


@lru_cache(MOST_KEPT)
def is_homeopathic(name: str) -> bool:
    """Whether the name says that it is a homeopathic stock (`… POUR PRÉPARATIONS HOMÉOPATHIQUES`)."""
    return _HOMEOPATHIC.search(capitals(name)) is not None


@lru_cache(MOST_KEPT)
def is_readable(name: str) -> bool:
    """Whether the name can be compared at all: Latin letters, and brackets that close (an open one is a cut name)."""
    text = capitals(name)
    letters = [letter for letter in text if letter.isalpha()]
    closed = text.count("(") == text.count(")") and text.count("[") == text.count("]")
    return closed and bool(letters) and all(letter.isascii() for letter in letters)


@lru_cache(MOST_KEPT)
def canonical(name: str) -> str:
    """The name in the form that names are compared in; empty when it has no Latin letter or digit.

    Capitals, no accents, no punctuation, the words in the order in which they are spoken: `SODIUM (VALPROATE DE)` and
    `Valproate de sodium` are both VALPROATE DE SODIUM.
    """
    text = capitals(name)
    while (inverted := _INVERTED.match(text)) is not None:
        head, inner, tail = inverted.groups()
        text = f"{inner} DE {head}{tail}"
    if (behind := _NOUN_BEHIND.match(text)) is not None:
        head, noun, tail = behind.groups()
        text = f"{noun} {head}{tail}"
    text = re.sub(r"\bD'\s*", "DE ", text)
    text = re.sub(r"\bL'\s*", "", text)
    return " ".join(re.findall(r"[A-Z0-9]+", text))


def is_mineral(form: str) -> bool:
    """Whether a canonical form is a mineral, whose salts are not one and the same to the thesaurus."""
    return _MINERAL.fullmatch(form) is not None


def barer(form: str) -> tuple[str, ...]:
    """A canonical form without its salt, water or grade, one step at a time, the barest last; empty if it has none.

    Waters and grades go first, since they hide the salt: CHLORHYDRATE DE LIDOCAINE MONOHYDRATE, CHLORHYDRATE DE
    LIDOCAINE, LIDOCAINE.
    """
    steps: list[str] = []
    while (shorter := _one_step(steps[-1] if steps else form)) is not None:
        steps.append(shorter)
    return tuple(steps)


def barest(form: str) -> str:
    """The last of `barer`, or the form itself when nothing can go."""
    return (form, *barer(form))[-1]


def acid_of(form: str) -> str | None:
    """The acid of a canonical anion: VALPROATE DE SODIUM gives ACIDE VALPROIQUE (French nomenclature: -ate, -ique)."""
    anion = _ANION.match(form)
    return f"ACIDE {anion.group(1)}IQUE" if anion is not None else None


def acid_of_mineral_salt(form: str) -> str | None:
    """The acid of a canonical salt with a mineral: CLAVULANATE DE POTASSIUM gives ACIDE CLAVULANIQUE.

    Where the mineral matters as much (interactions), the two are not the same; where the acid does (allergies), they are.
    None for an anion that is no medicine itself (carbonate, citrate…).
    """
    salt = _SALT_OF.match(form)
    if salt is None or not is_mineral(salt.group(2)):
        return None
    anion = salt.group(1)
    plain = _SALT.fullmatch(anion) is not None or _MINERAL_SALT.fullmatch(anion) is not None
    return None if plain else f"ACIDE {anion.removesuffix('ATE')}IQUE"


def _one_step(form: str) -> str | None:
    for ending in (_ENDING, _METAL_ENDING):
        if (ended := ending.match(form)) is not None and _stands_alone(ended.group(1)):
            return ended.group(1)
    if (opened := _OPENING.match(form)) is not None:
        salt, rest = opened.groups()
        salts = _MINERAL_SALT if is_mineral(rest.split()[0]) else _SALT
        if salts.fullmatch(salt) and not _RADICAL.match(rest):
            return rest
    return None


def _stands_alone(form: str) -> bool:
    """Whether what is left can be a name: not `SULFATE DE`, not the salt alone (`ACÉTATE DE LYSINE`), no lone letter."""
    cut = len(form) == 1 or form.split()[-1] in {"DE", "DU", "DES", "ET"}
    return not cut and _SALT.fullmatch(form) is None and _MINERAL_SALT.fullmatch(form) is None
