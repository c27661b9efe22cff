"""Comparing what a person takes with what is planned: each medicine of either list in exactly one item.

Nothing is guessed. A medicine without a code of the catalogue is compared with nothing: a person decides, with hints.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum


class Source(IntEnum):
    """Where it is known from that a person takes a medicine."""

    UNSPECIFIED = 0
    PRESCRIPTION = 1
    DISCHARGE_LETTER = 2
    PHARMACY = 3
    PERSON = 4
    RELATIVE = 5
    #: The boxes and blisters that the person brings.
    BOXES = 6
    #: DMP, Mon espace santé.
    SHARED_RECORD = 7
    OTHER = 8


class ItemKind(IntEnum):
    """What the comparison says of a medicine."""

    UNSPECIFIED = 0
    #: Taken as planned: no divergence.
    SAME = 1
    #: The same specialty, and another posology, or one that is not known.
    DIFFERENT_POSOLOGY = 2
    #: The same substances in another specialty.
    SUBSTITUTED = 3
    #: Taken, and not in the plan: stopped, or forgotten.
    OMITTED = 4
    #: In the plan, and not taken so far.
    ADDED = 5
    #: Without a code of the catalogue: nothing can be compared.
    UNKNOWN = 6


@dataclass(frozen=True, slots=True)
class Taken:
    """A medicine that the person takes."""

    reference: str
    label: str
    #: None: a free label.
    cis: str | None
    #: Canonical names.
    substances: tuple[str, ...]
    posology_text: str
    sources: frozenset[Source]


@dataclass(frozen=True, slots=True)
class Planned:
    """A line of the plan."""

    line_id: str
    label: str
    cis: str | None
    substances: tuple[str, ...]
    posology_text: str


@dataclass(frozen=True, slots=True)
class Item:
    """A medicine of the comparison: taken, planned or both."""

    kind: ItemKind
    taken: Taken | None
    planned: Planned | None
    #: Medicines of the other side, by reference or line, that stand alone as well and share a substance or the label.
    related: tuple[str, ...] = ()

    @property
    def diverges(self) -> bool:
        """Whether there is something to decide."""
        return self.kind is not ItemKind.SAME


_DASHES = str.maketrans(
    {"–": "-", "—": "-", "−": "-", "×": "x", "⁄": "/", "½": " 1/2", "¼": " 1/4", "¾": " 3/4", "μ": "µ"}
)


def same_text(text: str) -> str:
    """A posology or a label as it is compared: without capitals, accents and needless spaces, `2,5` as `2.5`.

    Signs are kept: `1/2 comprimé` and `1-2 comprimés` are not the same dose.
    """
    # One space at most in a row from here on: the search for those around a sign would take the square of their number.
    decomposed = unicodedata.normalize("NFD", " ".join(text.translate(_DASHES).lower().split()))
    bare = "".join(letter for letter in decomposed if not unicodedata.combining(letter))
    bare = re.sub(r"(?<=\d),(?=\d)", ".", bare)
    bare = re.sub(r"(?<=\d)(?=[^\W\d_])", " ", bare)
    bare = re.sub(r"\s*([-/])\s*", r"\1", bare)
    return " ".join(bare.split()).rstrip(" .")


def compare(taken: Sequence[Taken], planned: Sequence[Planned]) -> tuple[Item, ...]:
    """Compares the two lists: each medicine of either is in exactly one item, whatever the order they came in.

    First what is the same in specialty and posology, then what is in specialty, then what is in substances. A blank posology is
    not known, and so never the same as another.

    Raises ValueError when two medicines of a side have one reference.
    """
    for side, references in (
        ("taken", [one.reference for one in taken]),
        ("planned", [one.line_id for one in planned]),
    ):
        if doubled := sorted(reference for reference, count in Counter(references).items() if count > 1):
            message = f"{side} medicines that share a reference: {', '.join(doubled)}"
            raise ValueError(message)
    left = sorted((one for one in taken if one.cis), key=_order_taken)
    right = sorted((one for one in planned if one.cis), key=_order_planned)
    items: list[Item] = []
    for kind, key_of in _STAGES:
        pairs, left, right = _paired(left, right, key_of)
        items += [Item(kind, one, other) for one, other in pairs]
    alone = [
        *(Item(ItemKind.OMITTED, one, None) for one in left),
        *(Item(ItemKind.ADDED, None, other) for other in right),
        *(Item(ItemKind.UNKNOWN, one, None) for one in taken if not one.cis),
        *(Item(ItemKind.UNKNOWN, None, other) for other in planned if not other.cis),
    ]
    return tuple(sorted((*items, *_related(alone)), key=_order))


def _specialty_and_posology(one: Taken | Planned) -> tuple[str, ...] | None:
    text = same_text(one.posology_text)
    return (one.cis, text) if one.cis and text else None


def _specialty(one: Taken | Planned) -> tuple[str, ...] | None:
    return (one.cis,) if one.cis else None


def _substances_and_posology(one: Taken | Planned) -> tuple[str, ...] | None:
    text = same_text(one.posology_text)
    return (*sorted(set(one.substances)), text) if one.substances and text else None


def _substances(one: Taken | Planned) -> tuple[str, ...] | None:
    return tuple(sorted(set(one.substances))) or None


_Key = Callable[[Taken | Planned], "tuple[str, ...] | None"]
_STAGES: tuple[tuple[ItemKind, _Key], ...] = (
    (ItemKind.SAME, _specialty_and_posology),
    (ItemKind.DIFFERENT_POSOLOGY, _specialty),
    # What has the same posology first: of two boxes of a substance, the one that was swapped for the other.
    (ItemKind.SUBSTITUTED, _substances_and_posology),
    (ItemKind.SUBSTITUTED, _substances),
)


def _paired(
    left: list[Taken], right: list[Planned], key_of: _Key
) -> tuple[list[tuple[Taken, Planned]], list[Taken], list[Planned]]:
    """Pairs what has one key, each once, in the order of the lists; and what is left of both."""
    waiting: defaultdict[tuple[str, ...], list[Planned]] = defaultdict(list)
    for other in right:
        if (key := key_of(other)) is not None:
            waiting[key].append(other)
    pairs, unpaired = [], []
    for one in left:
        key = key_of(one)
        if key is not None and waiting.get(key):
            pairs.append((one, waiting[key].pop(0)))
        else:
            unpaired.append(one)
    gone = {other.line_id for _, other in pairs}
    return pairs, unpaired, [other for other in right if other.line_id not in gone]


def _related(alone: Iterable[Item]) -> Iterator[Item]:
    """Each medicine that stands alone, with those of the other side that share a substance or the label."""
    taken = [(item, item.taken, same_text(item.taken.label)) for item in alone if item.taken]
    planned = [(item, item.planned, same_text(item.planned.label)) for item in alone if item.planned]
    found: defaultdict[str, list[str]] = defaultdict(list)
    for _, one, name in taken:
        for _, other, other_name in planned:
            if not set(one.substances).isdisjoint(other.substances) or (name and name == other_name):
                found[f"taken {one.reference}"].append(other.line_id)
                found[f"planned {other.line_id}"].append(one.reference)
    for item, one, _ in taken:
        yield replace(item, related=tuple(sorted(found[f"taken {one.reference}"])))
    for item, other, _ in planned:
        yield replace(item, related=tuple(sorted(found[f"planned {other.line_id}"])))


def _order_taken(one: Taken) -> tuple[str, str]:
    return same_text(one.posology_text), one.reference


def _order_planned(one: Planned) -> tuple[str, str]:
    return same_text(one.posology_text), one.line_id


def _order(item: Item) -> tuple[bool, str, str, str]:
    """What diverges first, then by label."""
    named = item.taken or item.planned
    label = same_text(named.label) if named else ""
    return (
        item.kind is ItemKind.SAME,
        label,
        item.taken.reference if item.taken else "",
        item.planned.line_id if item.planned else "",
    )
