"""Recognising a person by name: keys, the RNIV search, homonyms, likeness of two records.

Sound keys are Soundex (American Soundex as published by the US National Archives), computed by jellyfish on normalised
names: DUPONT and DUPOND, LEFEVRE and LEFEBVRE sound alike. Soundex knows the letters A to Z: a name without any sounds like
itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import jellyfish
from dui_kit.errors import Code, Reason, Refusal
from dui_kit.identifiers import normalise_name, parse_partial_date

SEARCH_PREFIX_INVALID = Reason(
    "SEARCH_PREFIX_INVALID",
    Code.INVALID_ARGUMENT,
    fr="Saisissez au plus les trois premières lettres du nom de naissance, sans chiffre ni caractère de remplacement.",
    en="Type at most the first three letters of the birth name, without digits or wildcards.",
)
#: Letters of the given name that two homonyms share.
HOMONYM_LETTERS = 3
#: Similarity (Jaro-Winkler) from which two names may be one, mistyped.
NEARLY_THE_SAME = 0.92
#: Score from which two records may be about one person.
ALIKE = 55


@dataclass(frozen=True, slots=True)
class NameKeys:
    """What a record is sorted, searched and compared by."""

    birth_name_key: str
    birth_given_key: str
    birth_name_sound: str
    #: Of the name in use, else the birth name: what is read on a list and called aloud.
    family_key: str
    given_key: str
    family_sound: str
    #: Same family name in use and given names that begin alike. Narrow on purpose: it is compared with the whole
    #: association, and a warning that everybody has warns of nobody.
    homonym_key: str


def sound(key: str) -> str:
    """The Soundex code of a normalised name; of its letters alone, so that LE GALL and LEGALL sound alike.

    The name itself when it has no Latin letter: with one code for all of them, 李 would sound like ШЕВЧЕНКО.
    """
    return jellyfish.soundex("".join(letter for letter in key if letter.isascii() and letter.isalpha())) or key


def name_keys(birth_name: str, birth_given_name: str, used_name: str | None, used_given_name: str | None) -> NameKeys:
    """The keys of a person's names; `birth_given_name` is the first one."""
    birth, birth_given = normalise_name(birth_name), normalise_name(birth_given_name)
    family, given = normalise_name(used_name or birth_name), normalise_name(used_given_name or birth_given_name)
    return NameKeys(
        birth_name_key=birth,
        birth_given_key=birth_given,
        birth_name_sound=sound(birth),
        family_key=family,
        given_key=given,
        family_sound=sound(family),
        homonym_key=f"{family}|{given[:HOMONYM_LETTERS]}",
    )


def search_bounds(prefix: str) -> tuple[str, str] | None:
    """The range of normalised birth names that begin with a prefix (the upper bound excluded); None: no prefix.

    The RNIV search rule allows 3 letters at most: more would let one browse by name.
    """
    if not prefix:
        return None
    if len(prefix) > 3 or not all(letter.isalpha() or letter in " -'’" for letter in prefix):
        raise Refusal(SEARCH_PREFIX_INVALID, field="name_prefix")
    key = normalise_name(prefix)
    if not key:
        raise Refusal(SEARCH_PREFIX_INVALID, field="name_prefix")
    return key, key[:-1] + chr(ord(key[-1]) + 1)


@dataclass(frozen=True, slots=True)
class Likeness:
    """What two records are compared by."""

    birth_name_key: str
    birth_given_key: str
    family_key: str
    birth_date: str
    sex: int
    national_identifier: str | None


def swapped_date(birth_date: str) -> str | None:
    """The date with its day and month exchanged, when that is another date (a frequent typing error)."""
    parts = parse_partial_date(birth_date)
    if parts.day is None or parts.day == parts.month or parts.day > 12:
        return None
    return f"{parts.year:04d}-{parts.day:02d}-{parts.month:02d}"


def _same(left: str, right: str) -> bool:
    """Equal, and told: nothing is like a name that is not there."""
    return left == right != ""


def _nearly(left: str, right: str) -> bool:
    return (
        _same(left, right)
        or _same(sound(left), sound(right))
        or jellyfish.jaro_winkler_similarity(left, right) >= NEARLY_THE_SAME
    )


def likeness(one: Likeness, other: Likeness) -> int:
    """How likely two records are about one person: 0 not at all, 100 the same identifier. Symmetric.

    A warning for a person to look at, never a decision: twins share a birth date and a family name.
    """
    if one.national_identifier and one.national_identifier == other.national_identifier:
        return 100
    same_names = _nearly(one.birth_name_key, other.birth_name_key)
    # Married names: one record may hold as birth name what the other holds as name in use.
    same_family = (
        same_names or _same(one.birth_name_key, other.family_key) or _same(one.family_key, other.birth_name_key)
    )
    exchanged = _same(one.birth_name_key, other.birth_given_key) and _same(one.birth_given_key, other.birth_name_key)
    if not (same_family or exchanged):
        return 0
    same_given = _nearly(one.birth_given_key, other.birth_given_key)
    if one.birth_date == other.birth_date:
        dates = 45
    elif swapped_date(one.birth_date) == other.birth_date:
        dates = 35
    elif one.birth_date[:4] == other.birth_date[:4] or one.birth_date[4:] == other.birth_date[4:] != "":
        dates = 15
    else:
        dates = 0
    family = 25 if same_names else 15 if same_family else 0
    names = 45 if exchanged else family + (20 if same_given else 0)
    return dates + names + (5 if one.sex == other.sex else 0)
