"""The check of a treatment: what interacts, what is there twice, and what could not be checked.

It fails closed. A substance is either checked against every other line or named as one that was not, with the reason;
knowledge that is missing or out of date is part of the answer. "No interaction" may be said when `Checked.clear`, and
then with the edition.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import IntEnum
from itertools import combinations, product

from dui_kit import errors

from dui_medication.knowledge.names import canonical, is_homeopathic
from dui_medication.knowledge.resolution import (
    Homeopathic,
    Reason,
    Resolved,
    Substance,
    Unresolved,
    resolve,
)
from dui_medication.knowledge.thesaurus import Interaction, Level, Thesaurus, order_of

SPECIALTY_UNKNOWN = errors.Reason(
    "SPECIALTY_UNKNOWN",
    errors.Code.INVALID_ARGUMENT,
    fr="Aucune édition du catalogue ne connaît ce code CIS : choisissez le médicament dans le catalogue.",
    en="No edition of the catalogue knows this CIS code: choose the medicine in the catalogue.",
)
REFERENCE_TWICE = errors.Reason(
    "REFERENCE_TWICE",
    errors.Code.INVALID_ARGUMENT,
    fr="Deux lignes ont la même référence : donnez à chaque ligne la sienne.",
    en="Two lines have the same reference: give each line its own.",
)


class Origin(IntEnum):
    """Why a line is in the check."""

    EXISTING = 1
    NEW = 2
    #: Given only if needed (« si besoin »).
    CONDITIONAL = 3


class Freshness(IntEnum):
    """What the knowledge is worth on a day."""

    CURRENT = 1
    STALE = 2
    #: The edition is later than the day: one of the two dates is wrong, so its age is not known.
    MISDATED = 3
    ABSENT = 4


@dataclass(frozen=True, slots=True)
class KnowledgeState:
    """Which knowledge a check rests on; to be told with every answer."""

    freshness: Freshness
    #: None when there is none.
    edition_on: date | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """A line of treatment with its substances, with their active moieties (`resolution.substances_of`)."""

    id: str
    substances: tuple[Substance, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """An interaction between two lines; the line whose id is lower comes first, its substance too."""

    lines: tuple[str, str]
    #: As the lines name them.
    substances: tuple[str, str]
    interaction: Interaction
    #: One of the two lines is new: the others were there before.
    new: bool
    #: One of the two lines is given only if needed.
    conditional: bool

    @property
    def level(self) -> Level:
        """The most serious level of the interaction."""
        return self.interaction.level


@dataclass(frozen=True, slots=True)
class Duplicate:
    """One substance on several lines."""

    #: The name in the thesaurus, or the canonical name of a substance that it does not know.
    substance: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reminder:
    """An interaction of a line with what no prescription shows: food, drink, whatever is taken by mouth."""

    line: str
    substance: str
    interaction: Interaction


@dataclass(frozen=True, slots=True)
class Unchecked:
    """A substance of a line that was not checked."""

    line: str
    substance: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class Stock:
    """A homeopathic stock of a line: not checked, and not held to be missing."""

    line: str
    substance: str


@dataclass(frozen=True, slots=True)
class Checked:
    """The answer; every part in an order that depends on the lines alone, not on the order they came in."""

    knowledge: KnowledgeState
    #: Worst level first.
    findings: tuple[Finding, ...]
    duplicates: tuple[Duplicate, ...]
    reminders: tuple[Reminder, ...]
    unavailable: tuple[Unchecked, ...]
    homeopathic: tuple[Stock, ...]

    @property
    def clear(self) -> bool:
        """Whether "no known interaction" may be said: all was checked with current knowledge and nothing was found."""
        checked = self.knowledge.freshness is Freshness.CURRENT and not self.unavailable and not self.homeopathic
        return checked and not self.findings


def freshness_on(today: date, edition_on: date, valid_for: timedelta) -> Freshness:
    """What an edition is worth on a day, when it is held to be current for `valid_for` after its date."""
    age = today - edition_on
    if age < timedelta(0):
        return Freshness.MISDATED
    return Freshness.CURRENT if age <= valid_for else Freshness.STALE


def knowledge_state(thesaurus: Thesaurus | None, today: date, valid_for: timedelta) -> KnowledgeState:
    """What a thesaurus is worth on a day, when an edition is held to be current for `valid_for` after its date."""
    if thesaurus is None:
        return KnowledgeState(Freshness.ABSENT)
    return KnowledgeState(freshness_on(today, thesaurus.edition_on, valid_for), thesaurus.edition_on)


def check(
    existing: Sequence[Line],
    new: Sequence[Line],
    conditional: Sequence[Line],
    thesaurus: Thesaurus | None,
    *,
    today: date,
    valid_for: timedelta,
) -> Checked:
    """Checks all lines against each other, whatever their origin; findings say whether a new or conditional line is in.

    Nothing is found within a line: the substances of one medicine were authorised together. Stale knowledge is used all
    the same, since what it knows is still so more often than not, and the state says what it is.

    Raises ValueError when two lines have one id: a finding would not say which it is about.
    """
    origins = _origins(existing, new, conditional)
    lines = sorted((*existing, *new, *conditional), key=lambda line: line.id)
    parts = {line.id: tuple(_resolved(line, thesaurus)) for line in lines}
    checked = {id_: [part for part in of_line if isinstance(part, Resolved)] for id_, of_line in parts.items()}
    return Checked(
        knowledge=knowledge_state(thesaurus, today, valid_for),
        findings=tuple(sorted(set(_findings(checked, origins, thesaurus)), key=_order)) if thesaurus else (),
        duplicates=_duplicates(parts),
        reminders=tuple(_reminders(checked, thesaurus)) if thesaurus else (),
        unavailable=tuple(
            Unchecked(id_, part.label, part.reason)
            for id_, of_line in parts.items()
            for part in of_line
            if isinstance(part, Unresolved)
        ),
        homeopathic=tuple(
            Stock(id_, part.label)
            for id_, of_line in parts.items()
            for part in of_line
            if isinstance(part, Homeopathic)
        ),
    )


def _origins(existing: Iterable[Line], new: Iterable[Line], conditional: Iterable[Line]) -> dict[str, Origin]:
    groups = ((existing, Origin.EXISTING), (new, Origin.NEW), (conditional, Origin.CONDITIONAL))
    pairs = [(line.id, origin) for lines, origin in groups for line in lines]
    if doubled := sorted(id_ for id_, count in Counter(id_ for id_, _ in pairs).items() if count > 1):
        message = f"lines that share an id: {', '.join(doubled)}"
        raise ValueError(message)
    return dict(pairs)


def _resolved(line: Line, thesaurus: Thesaurus | None) -> Iterator[Resolved | Homeopathic | Unresolved]:
    """What each substance of a line is, sorted by name; a line without any says so."""
    if not line.substances:
        yield Unresolved("", Reason.NO_SUBSTANCE)
    for substance in sorted(set(line.substances), key=lambda one: one.names):
        if thesaurus is not None:
            yield resolve(substance, thesaurus)
        elif any(is_homeopathic(name) for name in substance.names):
            yield Homeopathic(substance.label)
        else:
            yield Unresolved(substance.label, Reason.NO_KNOWLEDGE)


def _findings(
    checked: dict[str, list[Resolved]], origins: dict[str, Origin], thesaurus: Thesaurus
) -> Iterator[Finding]:
    for (one, ones), (other, others) in combinations(checked.items(), 2):
        involved = {origins[one], origins[other]}
        for left, right in product(ones, others):
            # Two names that both lines hold are one matter under its names, there twice: a duplicate. One that a line
            # holds alone may interact with what it shares (the vitamin C of ferrous ascorbate, and iron).
            shared = set(left.found) & set(right.found)
            pairs = (pair for pair in product(left.found, right.found) if not shared.issuperset(pair))
            for interaction in {entry for pair in pairs for entry in thesaurus.between(*pair)}:
                yield Finding(
                    (one, other),
                    (left.label, right.label),
                    interaction,
                    new=Origin.NEW in involved,
                    conditional=Origin.CONDITIONAL in involved,
                )


def _order(finding: Finding) -> tuple[tuple[int, str, str], tuple[str, str], tuple[str, str]]:
    return order_of(finding.interaction), finding.lines, finding.substances


def _duplicates(parts: dict[str, tuple[Resolved | Homeopathic | Unresolved, ...]]) -> tuple[Duplicate, ...]:
    """The substances on more than one line; one that the thesaurus does not know is told by its canonical name."""
    held: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
    for id_, of_line in parts.items():
        for part in of_line:
            match part:
                case Resolved():
                    names = part.found
                case Unresolved():
                    names = (canonical(part.label),)
                case Homeopathic():
                    names = ()
            for name in filter(None, names):
                held[name].add((id_, part.label))
    # Two names of the thesaurus that the same substances stand under are one duplicate, told by the first of them.
    told = {frozenset(held[name]): name for name in sorted(held, reverse=True)}
    doubled = ((name, sorted({id_ for id_, _ in substances})) for substances, name in told.items())
    return tuple(
        sorted((Duplicate(name, tuple(ids)) for name, ids in doubled if len(ids) > 1), key=lambda one: one.substance)
    )


def _reminders(checked: dict[str, list[Resolved]], thesaurus: Thesaurus) -> Iterator[Reminder]:
    for id_, of_line in checked.items():
        for part in of_line:
            entries = {entry for name in part.found for entry in thesaurus.beyond(name)}
            for interaction in sorted(entries, key=order_of):
                yield Reminder(id_, part.label, interaction)
