"""What the catalogue's words mean: how names are searched, what a condition of prescription limits, which edition may follow."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import IntEnum

from dui_kit.errors import Code, Reason, Refusal

#: Letters and digits that a search needs: with one, a tenth of the catalogue would answer.
MIN_SEARCHED = 2
#: Words of a search that are looked at; the rest narrows nothing that is left.
MAX_WORDS = 8

SEARCH_TOO_SHORT = Reason(
    "SEARCH_TOO_SHORT",
    Code.INVALID_ARGUMENT,
    fr="Tapez au moins {least} lettres ou chiffres.",
    en="Type at least {least} letters or digits.",
)
EDITION_UNKNOWN = Reason(
    "EDITION_UNKNOWN",
    Code.NOT_FOUND,
    fr="Aucune édition du catalogue ne porte ce numéro : voir GET /v1/catalogue_editions.",
    en="No edition of the catalogue has this number: see GET /v1/catalogue_editions.",
)
CATALOGUE_MISSING = Reason(
    "CATALOGUE_MISSING",
    Code.FAILED_PRECONDITION,
    fr="Aucun catalogue de médicaments n'est chargé : l'exploitant doit en importer un (dui catalogue import).",
    en="No catalogue of medicines is loaded: the operator has to import one (dui catalogue import).",
)


class Source(IntEnum):
    """Where an edition comes from; the values of `dui.medication.v1.CatalogueSource`."""

    UNSPECIFIED = 0
    BDPM = 1
    FICTIVE = 2


class PoisonList(IntEnum):
    """The list that a medicine is on; the values of `dui.medication.v1.PoisonList`."""

    UNSPECIFIED = 0
    I = 1  # noqa: E741 (its name in law)
    II = 2
    NARCOTIC = 3


# ---------------------------------------------------------------------------------------------------------------- search

#: What a salt or a hydrate adds to the name of a substance: nobody looks a medicine up by it, and half of the catalogue has it.
_SALTS = frozenset(
    {
        "ACETATE",
        "ANHYDRE",
        "BROMHYDRATE",
        "BASE",
        "CHLORHYDRATE",
        "CHLORURE",
        "CITRATE",
        "DE",
        "DIHYDRATE",
        "DISODIQUE",
        "DU",
        "D",
        "EN",
        "ET",
        "FUMARATE",
        "HEMIHYDRATE",
        "HYDRATE",
        "L",
        "LA",
        "LE",
        "LES",
        "MALEATE",
        "MESILATE",
        "MICRONISE",
        "MONOHYDRATE",
        "NITRATE",
        "PHOSPHATE",
        "POTASSIQUE",
        "POUR",
        "SESQUIHYDRATE",
        "SODIQUE",
        "SODIUM",
        "SUCCINATE",
        "SULFATE",
        "TARTRATE",
        "TRIHYDRATE",
    }
)
_LIGATURES = str.maketrans({"Œ": "OE", "œ": "OE", "Æ": "AE", "æ": "AE", "ß": "SS", "’": "'"})
#: A number keeps its comma: `2,5` is one word. Otherwise a word is a run of letters and digits.
_WORD = re.compile(r"\d+(?:,\d+)?|[^\W\d_]+")


def words_of(text: str) -> tuple[str, ...]:
    """The words of a name as they are compared: upper case, no accents, `2.5` as `2,5`, numbers apart from letters.

    `Doliprane 500mg` and `DOLIPRANE 500 mg` have the same words.
    """
    decomposed = unicodedata.normalize("NFKD", text.translate(_LIGATURES)).upper()
    plain = "".join(letter for letter in decomposed if not unicodedata.combining(letter))
    return tuple(_WORD.findall(re.sub(r"(?<=\d)[.](?=\d)", ",", plain)))


class Place(IntEnum):
    """How good a specialty is that a search finds by a word: lists go by it, then by the name."""

    NAME = 0
    SUBSTANCE = 1
    ELSEWHERE = 2
    #: Whatever the word: nobody looks for a dilution who does not name it whole.
    HOMEOPATHIC = 3


@dataclass(frozen=True, slots=True)
class SearchKeys:
    """What a specialty is found and sorted by."""

    #: The words of its name without its form: `DOLIPRANE 500 MG`.
    name: str
    #: Every word that finds it, those of the name first.
    words: Mapping[str, Place]


def search_keys(name: str, substances: Iterable[str], *, homeopathic: bool) -> SearchKeys:
    """The keys of a specialty. Its form (`, comprimé`) is no key: half of the catalogue would answer to `com`."""
    named = words_of(re.split(r",(?!\d)", name, maxsplit=1)[0])
    found = dict.fromkeys(named, Place.ELSEWHERE)
    for substance in substances:
        words = [word for word in words_of(substance) if word not in _SALTS]
        for word in words:
            found.setdefault(word, Place.ELSEWHERE)
        if words:
            found[words[0]] = Place.SUBSTANCE
    if named:
        found[named[0]] = Place.NAME
    if homeopathic:
        found = dict.fromkeys(found, Place.HOMEOPATHIC)
    return SearchKeys(" ".join(named), found)


def searched_words(text: str) -> tuple[str, ...]:
    """The words of a search; Refusal when they are too short to find anything by."""
    words = words_of(text)[:MAX_WORDS]
    if sum(len(word) for word in words) < MIN_SEARCHED:
        raise Refusal(SEARCH_TOO_SHORT, field="text", least=MIN_SEARCHED)
    return words


# ------------------------------------------------------------------------------------------------------------ conditions

_LIMIT = re.compile(r"prescription limitée à (.+)", re.IGNORECASE)
_DURATION = re.compile(r"(\d+)\s*(jour|semaine|mois|an)s?", re.IGNORECASE)
_UNITS = {"jour": "D", "semaine": "W", "mois": "M", "an": "Y"}
_ABOUT_DAYS = {"D": 1, "W": 7, "M": 30, "Y": 365}


@dataclass(frozen=True, slots=True)
class Conditions:
    """What the conditions of prescription and delivery of a specialty mean."""

    poison_list: PoisonList
    #: The longest prescription, ISO 8601 (`P28D`, `P4W`, `P6M`); empty: the source limits nothing.
    max_duration: str
    #: A secured prescription with the amounts in words (CSP R5132-29).
    secured: bool


def conditions_of(texts: Iterable[str]) -> Conditions:
    """Reads the conditions of a specialty, in the words of the BDPM.

    A narcotic is one whatever other list is named. Of several limits (`7 jours ou 28 jours`: by route or form) the longest
    counts: only what none of them allows is beyond the limit; the texts are shown whole.
    """
    lists = {PoisonList.UNSPECIFIED}
    secured, limits = False, []
    for text in texts:
        wording = text.strip().lower()
        match wording:
            case "liste i":
                lists.add(PoisonList.I)
            case "liste ii":
                lists.add(PoisonList.II)
            case "stupéfiants" | "stupéfiant":
                lists.add(PoisonList.NARCOTIC)
        secured = secured or "ordonnance sécurisée" in wording
        if limited := _LIMIT.match(wording):
            limits += [(int(number), _UNITS[unit.lower()]) for number, unit in _DURATION.findall(limited[1])]
    longest = max(limits, key=lambda limit: limit[0] * _ABOUT_DAYS[limit[1]], default=None)
    # I is stricter than II, and has the lower number.
    strictest = (
        PoisonList.NARCOTIC if PoisonList.NARCOTIC in lists else min(lists - {PoisonList.UNSPECIFIED}, default=None)
    )
    return Conditions(
        poison_list=PoisonList.UNSPECIFIED if strictest is None else strictest,
        max_duration="" if longest is None else f"P{longest[0]}{longest[1]}",
        secured=secured,
    )


# -------------------------------------------------------------------------------------------------------------- editions


@dataclass(frozen=True, slots=True)
class Edition:
    """An edition as far as the order of editions goes."""

    source: Source
    published_on: date
    #: Digest of everything in it.
    digest: bytes


class EditionRefused(Exception):
    """An edition that may not follow the current one; the text says why and what to do."""


def check_follows(current: Edition | None, new: Edition, today: date) -> bool:
    """Whether `new` has anything that `current` has not. False: it is the current one. EditionRefused when it may not follow."""
    if new.published_on > today:
        raise EditionRefused(f"an edition cannot be of the future ({new.published_on}): check --edition")
    if current is None:
        return True
    if (current.source, current.published_on, current.digest) == (new.source, new.published_on, new.digest):
        return False
    if new.source is Source.FICTIVE and current.source is Source.BDPM:
        raise EditionRefused("a fictive formulary never replaces the official catalogue that this platform has")
    if new.source is current.source and new.published_on < current.published_on:
        raise EditionRefused(
            f"the platform has the edition of {current.published_on} already, and this one is older ({new.published_on}):"
            " import the newest one"
        )
    return True
