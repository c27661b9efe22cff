"""Reading the table of cross-allergies from its file."""

from __future__ import annotations

import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import date
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Final

from dui_medication.allergies.groups import Cross, CrossTable, Group, Likelihood, Reason, Word, singular
from dui_medication.knowledge.identity import forms_of_name
from dui_medication.knowledge.names import canonical

_LIKELIHOODS: Final = {"possible": Likelihood.POSSIBLE, "expected": Likelihood.EXPECTED, "none": None}
_FIELDS: Final = frozenset(
    (
        "key",
        "name",
        "spellings",
        "members",
        "includes",
        "between",
        "only_by_name",
        "excipient",
        "source",
        "note",
        "crosses",
    )
)


class TableRefused(ValueError):
    """A table that is not taken in: the text says what is wrong and where. Nothing of it was used."""


@cache
def packaged_table() -> CrossTable:
    """The table of this package."""
    return read_table(resources.files(__package__).joinpath("cross_allergies.toml").read_bytes())


def read_table(content: bytes) -> CrossTable:
    """Reads a table; TableRefused when a group has no source, names a group that is not there, or two share a spelling."""
    try:
        table = tomllib.loads(content.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise TableRefused(f"not TOML in UTF-8 ({error})") from error
    compiled_on, reviewed = table.get("compiled_on"), table.get("reviewed_by_pharmacist")
    if not isinstance(compiled_on, date) or not isinstance(reviewed, bool):
        raise TableRefused("compiled_on (a date) or reviewed_by_pharmacist (true or false) is missing")
    rows = _rows(table, "group")
    named = {_text(row, "key", "a group"): row for row in rows}
    if not rows or len(named) < len(rows):
        raise TableRefused("there are no groups, or two with one key")
    groups = {key: _group(key, row, named) for key, row in named.items()}
    if dangling := {cross.group for group in groups.values() for cross in group.crosses} - groups.keys():
        raise TableRefused(f"groups that are not there: {', '.join(sorted(dangling))}")

    words: dict[str, Word] = {}
    for spelling, word in _words(groups, table):
        form = singular(canonical(spelling))
        if not form or form in words:
            raise TableRefused(f"the spelling « {spelling} » is empty or there twice")
        words[form] = word
    groups_of: defaultdict[str, list[str]] = defaultdict(list)
    for key in sorted(groups):
        for form in groups[key].forms:
            groups_of[form].append(key)
    return CrossTable(
        compiled_on,
        reviewed,
        MappingProxyType(groups),
        MappingProxyType(words),
        MappingProxyType({form: tuple(keys) for form, keys in groups_of.items()}),
    )


def _words(groups: Mapping[str, Group], table: Mapping[str, object]) -> Iterator[tuple[str, Word]]:
    for key, group in groups.items():
        word = Word(groups=(key,), reason=Reason.EXCIPIENT if group.excipient else None)
        yield from ((spelling, word) for spelling in group.spellings)
    for row in _rows(table, "alias"):
        where = _text(row, "name", "an alias")
        yield where, Word(means=_texts(row, "means", where))
    for field, reason in (
        ("excipients", Reason.EXCIPIENT),
        ("classes_without_table", Reason.CLASS_WITHOUT_TABLE),
    ):
        for name in _texts(table, field, "the table"):
            yield name, Word(means=(name,) if reason is Reason.EXCIPIENT else (), reason=reason)


def _group(key: str, row: Mapping[str, object], named: Mapping[str, Mapping[str, object]]) -> Group:
    if unknown := row.keys() - _FIELDS:
        raise TableRefused(f"{key}: unknown field {', '.join(sorted(unknown))}")
    parts = (key, *_texts(row, "includes", key))
    if missing := set(parts) - named.keys():
        raise TableRefused(f"{key}: groups that are not there: {', '.join(sorted(missing))}")
    members = tuple(dict.fromkeys(name for part in parts for name in _texts(named[part], "members", part)))
    between = _text(row, "between", key)
    if not members or between not in _LIKELIHOODS:
        raise TableRefused(f"{key}: no members, or « between » is none of {', '.join(_LIKELIHOODS)}")
    crosses = [cross for part in parts for cross in _crosses(named[part], part) if cross.group not in parts]
    spellings = _texts(row, "spellings", key)
    return Group(
        key=key,
        name=_text(row, "name", key),
        spellings=spellings,
        members=members,
        forms=frozenset(form for name in members for form in forms_of_name(name, None)),
        between=_LIKELIHOODS[between],
        only_by_name=row.get("only_by_name", False) is True,
        excipient=row.get("excipient", False) is True,
        crosses=tuple(dict.fromkeys(crosses)),
        source=_text(row, "source", key),
        note=_text(row, "note", key) if "note" in row else "",
    )


def _crosses(row: Mapping[str, object], key: str) -> Iterator[Cross]:
    for cross in _rows(row, "crosses"):
        likelihood = _LIKELIHOODS.get(_text(cross, "likelihood", key))
        if likelihood is None:
            raise TableRefused(f"{key}: a cross-reaction is possible or expected")
        yield Cross(_text(cross, "with", key), likelihood, _text(cross, "note", key) if "note" in cross else "")


def _rows(table: Mapping[str, object], field: str) -> list[Mapping[str, object]]:
    rows = table.get(field, [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise TableRefused(f"« {field} » is no list of tables")
    return rows


def _text(row: Mapping[str, object], field: str, where: str) -> str:
    value = row.get(field)
    if not isinstance(value, str) or not value.strip():
        raise TableRefused(f"{where}: « {field} » is missing or empty")
    return value


def _texts(row: Mapping[str, object], field: str, where: str) -> tuple[str, ...]:
    values = row.get(field, [])
    if not isinstance(values, list) or not all(isinstance(value, str) and canonical(value) for value in values):
        raise TableRefused(f"{where}: « {field} » is no list of names")
    return tuple(values)
