"""What a nurse typed as an allergy, read word by word: what was understood, and what was not.

Nothing is likened (« amoxiciline » is not understood) and nothing unknown is skipped: a word that is neither a name nor one
of a few that change nothing (« allergie », « aux », « depuis 2012 ») is told. Words that deny are never skipped: of « pas
d'allergie à l'amoxicilline » amoxicillin is read and « pas » is told, so that somebody looks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from dui_medication.allergies.groups import CrossTable, Reason, singular
from dui_medication.knowledge.identity import forms_of, forms_of_name, is_known, telling
from dui_medication.knowledge.names import canonical, is_readable
from dui_medication.knowledge.resolution import Substance
from dui_medication.knowledge.thesaurus import Thesaurus

#: Words that change nothing about what somebody is allergic to. None of them denies, and none widens (« tout », « famille »).
_FILLERS: Final = """
    A ALLERGIE ALLERGIQUE ANAPHYLACTIQUE ANAPHYLAXIE APRES AU AUX AVEC CAUSE CHOC CONFIRMEE CONNUE CONTACT CUTANEE D DE DECLAREE
    DEPUIS DES DU ECZEMA EN ENFANCE ERUPTION EST ET GRAVE HYPERSENSIBILITE INTOLERANCE INTOLERANT INTOLERANTE L LA LE LES OEDEME
    OU PAR PATIENT PATIENTE POSSIBLE PROBABLE PRURIT QUINCKE RASH REACTION SEVERE SOUS SUITE SUSPECTEE SUSPICION TYPE URTICAIRE
"""
_SKIPPED: Final = frozenset(map(singular, _FILLERS.split()))
#: Words that are never part of a name, though a specialty might begin with one: they turn what stands beside them round.
_TURNING: Final = frozenset(
    ("AUCUN", "AUCUNE", "AUTRE", "AUTRES", "HORS", "JAMAIS", "NI", "NON", "PAS", "SANS", "SAUF", "TOLERE", "TOLEREE")
)
#: « D3 » or « 500 » alone would be the beginning of anything.
_BEGINS_A_BRAND: Final = re.compile(r"[A-Z]{3}")
_YEAR: Final = re.compile(r"(?:19|20)\d\d")
#: The longest name that is looked for.
_MOST_WORDS: Final = 8
#: The longest name of a specialty that a caller is asked to look up: « EFFERALGAN VITAMINE C ».
_MOST_WORDS_OF_BRAND: Final = 4


@dataclass(frozen=True, slots=True)
class Term:
    """One thing that a text names."""

    #: The words of the text that name it, canonical.
    words: str
    #: The canonical names of the substances that it is; empty for a class.
    forms: frozenset[str] = frozenset()
    #: The groups that the words name.
    groups: tuple[str, ...] = ()
    #: Why it cannot be checked, or not wholly.
    reason: Reason | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """What a text was understood to say."""

    terms: tuple[Term, ...]
    #: What was not understood, in the order of the text.
    unread: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """All the names that a text may have."""

    table: CrossTable
    thesaurus: Thesaurus | None
    #: The canonical names of the substances of the treatment.
    of_lines: frozenset[str]
    #: The substances of specialties by the words of their names, canonical (`candidates`).
    names: Mapping[str, tuple[Substance, ...]]


def candidates(texts: Iterable[str]) -> frozenset[str]:
    """The words of texts that may be the name of a specialty: up to four in a row, canonical.

    For the caller to look up in the catalogue, and to give back those that are the beginning of names there, each with the
    substances of all the specialties whose names begin so, homeopathic ones aside. One of unknown composition makes the
    name unknown: left out, it is told as not understood.
    """
    found: set[str] = set()
    for text in texts:
        words = canonical(text).split()
        for start, word in enumerate(words):
            if not _is_filler(word) and word not in _TURNING and _BEGINS_A_BRAND.match(word):
                ends = range(start + 1, min(start + _MOST_WORDS_OF_BRAND, len(words)) + 1)
                found.update(" ".join(words[start:end]) for end in ends)
    return frozenset(found)


def read(text: str, vocabulary: Vocabulary) -> Reading:
    """Reads a text from its first word to its last, at each place the longest name that is known."""
    words = canonical(text).split()
    terms: list[Term] = []
    # Letters of another alphabet are dropped by `canonical`, and a cut text lacks its end: what is read is not the whole.
    unread = [] if is_readable(text) else [text]
    place = 0
    while place < len(words):
        if _is_filler(words[place]):
            place += 1
            continue
        found = None if words[place] in _TURNING else next(_terms_at(words, place, vocabulary), None)
        if found is None:
            unread.append(words[place])
            place += 1
        else:
            terms.append(found)
            place += len(found.words.split())
    if not terms and not unread:
        # « Allergie grave » names nothing.
        return Reading((), (text,))
    return Reading(tuple(dict.fromkeys(terms)), tuple(unread))


def _is_filler(word: str) -> bool:
    return singular(word) in _SKIPPED or _YEAR.fullmatch(word) is not None


def _terms_at(words: list[str], place: int, vocabulary: Vocabulary) -> Iterator[Term]:
    """The names that begin at a place, longest first; those that are known as they are before those known without a salt, or by
    their acid.

    « Amoxicilline acide clavulanique » are two names, though « acide » may be a grade of the first.
    """
    longest = min(_MOST_WORDS, len(words) - place)
    grams = [" ".join(words[place : place + length]) for length in range(longest, 0, -1)]
    for known in (_as_it_is, _without_salt):
        for gram in grams:
            if (term := known(gram, vocabulary)) is not None:
                yield term


def _as_it_is(gram: str, vocabulary: Vocabulary) -> Term | None:
    table, thesaurus = vocabulary.table, vocabulary.thesaurus
    if (word := table.words.get(singular(gram))) is not None:
        forms = frozenset(form for name in word.means for form in telling(forms_of_name(name, thesaurus)))
        return Term(gram, forms, word.groups, word.reason)
    for form in dict.fromkeys((gram, singular(gram))):
        if _names_substance(form, vocabulary):
            return Term(gram, telling(forms_of_name(form, thesaurus)))
        if form in vocabulary.names:
            # Of each substance by itself: a mineral beside another substance is one of two, not its salt.
            each = (telling(forms_of((one,), thesaurus)) for one in vocabulary.names[form])
            return Term(gram, frozenset[str]().union(*each))
        if thesaurus is not None and form in thesaurus.spellings:
            # Not a substance, so a class of interactions: no allergy class, and no more than a name here.
            return Term(gram, reason=Reason.CLASS_WITHOUT_TABLE)
    return None


def _without_salt(gram: str, vocabulary: Vocabulary) -> Term | None:
    forms = forms_of_name(gram, vocabulary.thesaurus)
    return Term(gram, telling(forms)) if any(_names_substance(form, vocabulary) for form in forms) else None


def _names_substance(form: str, vocabulary: Vocabulary) -> bool:
    if form in vocabulary.table.groups_of or form in vocabulary.of_lines:
        return True
    return vocabulary.thesaurus is not None and is_known(form, vocabulary.thesaurus)
