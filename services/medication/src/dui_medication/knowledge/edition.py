"""Making a thesaurus out of the entries and the index of one edition, and repairing what the extraction lost.

The files that exist were read out of the PDF of the ANSM by a program (see `loading`). Compared with their own text they
lose levels and members now and then, always to the side of silence. What the text says is added here, nothing is taken
away: an alert too many is read, one too few is not.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from sys import intern
from types import MappingProxyType
from typing import Final

from dui_medication.knowledge.names import barest, canonical, capitals, is_mineral
from dui_medication.knowledge.thesaurus import Conduct, Interaction, Level, Side, SideKind, Thesaurus, order_of


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry as the file has it. Most pairs are there twice, once under each of their sides."""

    main: str
    other: str
    #: Level as worded, text of the level.
    levels: tuple[tuple[str, str], ...]
    mechanism: str
    #: What stands between the heading and its entries; of a class, it ends with the members in parentheses.
    about: str
    #: The whole entry as it was printed.
    text: str


@dataclass(frozen=True, slots=True)
class IndexLine:
    """A substance of the index with its classes."""

    substance: str
    classes: tuple[str, ...]


_WORDS: Final = (
    ("CONTRE INDI", Level.CI),
    ("DECONSEILLE", Level.AD),
    ("PRECAUTION D'EMPLOI", Level.PE),
    # « Prendre en compte la longue demi-vie de l'amiodarone » is an advice within another level.
    ("A PRENDRE EN COMPTE", Level.APEC),
    ("IL CONVIENT DE PRENDRE EN COMPTE", Level.APEC),
)
_CODES: Final = {"CI": Level.CI, "ASDEC": Level.AD, "AD": Level.AD, "PE": Level.PE, "APEC": Level.APEC}
#: The line of codes above an entry with several levels: « CI - ASDEC - APEC », sometimes glued to the next word.
_HEADING: Final = re.compile(r"^(?:CI|ASDEC|APEC|PE)(?:\s*-\s*(?:CI|ASDEC|APEC|PE))+")
#: « AUTRES AMINOSIDES », « FIBRATES (AUTRES) ».
_THE_OTHERS: Final = re.compile(r"^AUTRES | AUTRES$")


def read_levels(wording: str) -> tuple[Level, ...]:
    """The levels that a wording names, most serious first; empty when it names none."""
    text = capitals(wording)
    heading = _HEADING.match(text)
    codes = re.findall("[A-Z]+", heading.group() if heading else text)
    found = {_CODES[code] for code in codes} if all(code in _CODES for code in codes) else set()
    found |= {level for words, level in _WORDS if words in text.replace("-", " ")}
    return tuple(sorted(found, reverse=True))


def conducts_of(entry: Entry) -> tuple[Conduct, ...]:
    """The levels of an entry with their text, most serious first.

    A wording that names several levels counts as each of them; one that names none counts as a contraindication, since
    what it means cannot be told. Levels that only the printed text names are added: in edition 2020, aminosides together
    are « CI - APEC » in print and APEC in the file, crizotinib and torsadogenic substances CI in print and ASDEC in the
    file.
    """
    told = [
        Conduct(level, tidied(text), wording)
        for wording, text in entry.levels
        for level in read_levels(wording) or (Level.CI,)
    ]
    lost = set(read_levels(entry.text)) - {conduct.level for conduct in told}
    told += [Conduct(level, tidied(entry.text), "") for level in lost]
    return tuple(sorted(told, key=lambda conduct: -conduct.level))


def tidied(text: str) -> str:
    """A text without the line breaks of the page; those before a dash are a list, and stay."""
    joined = re.sub(r"\s*\n\s*(?!\s|-)", " ", text.strip())
    return re.sub(r"[ \t]+", " ", re.sub(r"\s*\n\s*-", "\n-", joined))


def listed_members(about: str) -> tuple[str, ...]:
    """The names in the parentheses that end the text about a class; empty if it does not end so."""
    text = about.strip()
    if not text.endswith(")"):
        return ()
    depth = 0
    for position in range(len(text) - 1, -1, -1):
        depth += {")": 1, "(": -1}.get(text[position], 0)
        if depth == 0:
            return tuple(name.strip() for name in re.split(r",(?![^()]*\))", text[position + 1 : -1]) if name.strip())
    return ()


def build(
    edition_on: date, entries: Iterable[Entry], index: Iterable[IndexLine], synonyms: Mapping[str, tuple[str, ...]]
) -> Thesaurus:
    """The thesaurus of one edition. `synonyms`: by canonical name, as `loading.packaged_synonyms` reads them."""
    entries = tuple(entries)
    spellings: dict[str, str] = {}
    members: defaultdict[str, set[str]] = defaultdict(set)
    substances: set[str] = set()
    for line in index:
        # Two lines with one name are one substance with the classes of both: EVEROLIMUS and ÉVÉROLIMUS share theirs out.
        substance = _named(line.substance, spellings)
        substances.add(substance)
        for name in line.classes:
            members[_named(name, spellings)].add(substance)
    for entry in entries:
        _named(entry.main, spellings)
        _named(entry.other, spellings)
    substances |= _add_listed_members(entries, members, spellings)
    _add_the_others(entries, members)

    side_of = {key: Side(spelling, _kind(key, members, substances)) for key, spelling in spellings.items()}
    interactions = _interactions(entries, side_of)
    outside: defaultdict[str, list[Interaction]] = defaultdict(list)
    standing: defaultdict[str, set[str]] = defaultdict(set)
    for (left, right), interaction in interactions.items():
        for key, facing in ((left, right), (right, left)):
            if side_of[facing].kind is SideKind.OUTSIDE:
                outside[key].append(interaction)
            standing[key].add(key)
            for substance in members.get(key, ()):
                standing[substance].add(key)
    return Thesaurus(
        edition_on=edition_on,
        spellings=MappingProxyType(spellings),
        substances=frozenset(substances),
        sides=MappingProxyType({name: tuple(sorted(keys)) for name, keys in standing.items()}),
        interactions=MappingProxyType(interactions),
        outside=MappingProxyType({key: tuple(sorted(found, key=order_of)) for key, found in outside.items()}),
        families=MappingProxyType(_families(substances)),
        synonyms=MappingProxyType(dict(synonyms)),
    )


def _named(name: str, spellings: dict[str, str]) -> str:
    """The canonical form of a name, with the first spelling that was met kept; one string for each, however often used."""
    form = intern(canonical(name))
    spellings.setdefault(form, intern(" ".join(name.split())))
    return form


def _kind(key: str, members: Mapping[str, set[str]], substances: set[str]) -> SideKind:
    if members.get(key):
        return SideKind.CLASS
    return SideKind.SUBSTANCE if key in substances else SideKind.OUTSIDE


def _add_listed_members(
    entries: Iterable[Entry], members: defaultdict[str, set[str]], spellings: dict[str, str]
) -> set[str]:
    """Adds the members that the text about a class lists and the index forgot; gives the names that are new.

    In edition 2020 atezolizumab is an « anticorps monoclonal » in the text alone. A list is believed when it names a
    member that the index knows: other parentheses end a text now and then (« voir aussi… »).
    """
    added: set[str] = set()
    for key, about in {canonical(entry.main): entry.about for entry in entries}.items():
        known = members.get(key)
        listed = listed_members(about) if known else ()
        if known and not known.isdisjoint(canonical(name) for name in listed):
            forms = {_named(name, spellings) for name in listed}
            added |= forms - known
            known |= forms
    return added


def _add_the_others(entries: Iterable[Entry], members: defaultdict[str, set[str]]) -> None:
    """Gives « AUTRES X » the members of X where the index does not list it.

    All five editions known list it, with exactly the members of X (« autres » is said of the second medicine, whichever
    the first); a newer one that does not is read the same way.
    """
    for entry in entries:
        key, rest = canonical(entry.main), canonical(entry.other)
        if _THE_OTHERS.search(rest) and members.get(key) and not members.get(rest):
            members[rest] |= members[key]


def _interactions(entries: Iterable[Entry], side_of: Mapping[str, Side]) -> dict[tuple[str, str], Interaction]:
    """The entries by their pair of sides in order, what both directions say put together."""
    found: dict[tuple[str, str], Interaction] = {}
    for entry in entries:
        left, right = intern(canonical(entry.main)), intern(canonical(entry.other))
        pair = (left, right) if left <= right else (right, left)
        conducts, mechanism = conducts_of(entry), tidied(entry.mechanism)
        before = found.get(pair)
        if before is None:
            found[pair] = Interaction(side_of[left], side_of[right], conducts, mechanism)
            continue
        conducts = tuple(conduct for conduct in conducts if conduct not in before.conducts)
        if conducts:
            together = sorted((*before.conducts, *conducts), key=lambda conduct: -conduct.level)
            found[pair] = before = replace(before, conducts=tuple(together))
        if mechanism not in before.mechanism:
            found[pair] = replace(before, mechanism=f"{before.mechanism}\n{mechanism}")
    return found


def _families(substances: set[str]) -> dict[str, tuple[str, ...]]:
    """The names that share their barest form, where that adds to the name itself."""
    grouped: defaultdict[str, list[str]] = defaultdict(list)
    for name in sorted(substances):
        if not is_mineral(bare := barest(name)):
            grouped[bare].append(name)
    return {bare: tuple(names) for bare, names in grouped.items() if names != [bare]}
