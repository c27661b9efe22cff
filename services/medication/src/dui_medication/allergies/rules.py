"""The check of allergies: for each that is not refuted, which lines hold what it is to, and what could not be compared.

It fails closed. An allergy is "checked without a hit" when every word of it was understood and every line could be compared;
otherwise the answer says what was missing, beside the hits that were found all the same. Substances are compared by name
(`knowledge.identity`), classes by the groups of `cross_allergies.toml` alone: the classes of the thesaurus are about
interactions, and say nothing about allergies.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from dui_medication.allergies.groups import CrossTable, Group, Likelihood, Reason
from dui_medication.allergies.reading import Reading, Term, Vocabulary, read
from dui_medication.knowledge.identity import forms_of, telling
from dui_medication.knowledge.names import is_homeopathic, is_readable
from dui_medication.knowledge.resolution import Substance
from dui_medication.knowledge.rules import Line
from dui_medication.knowledge.thesaurus import Thesaurus


class Kind(IntEnum):
    """To what kind of thing; the values of `dui.records.v1.AllergyKind`."""

    UNSPECIFIED = 0
    MEDICATION = 1
    FOOD = 2
    ENVIRONMENT = 3
    OTHER = 4


class Status(IntEnum):
    """How sure an allergy is; the values of `dui.records.v1.AllergyStatus`. What is not said counts as reported."""

    UNSPECIFIED = 0
    REPORTED = 1
    CONFIRMED = 2
    REFUTED = 3


class Severity(IntEnum):
    """How bad the worst reaction was; the values of `dui.records.v1.AllergySeverity`."""

    UNSPECIFIED = 0
    MILD = 1
    MODERATE = 2
    SEVERE = 3


@dataclass(frozen=True, slots=True)
class Allergy:
    """An allergy as the record has it."""

    id: str
    kind: Kind
    #: As it was typed.
    substance: str
    status: Status = Status.REPORTED
    severity: Severity = Severity.UNSPECIFIED


class Verdict(IntEnum):
    """What is said of an allergy first."""

    SUBSTANCE = 1
    CLASS = 2
    UNAVAILABLE = 3
    CHECKED = 4


@dataclass(frozen=True, slots=True)
class Hit:
    """A substance of a line that an allergy is to."""

    line: str
    #: As the line names it.
    substance: str
    #: The words of the allergy that it is about, canonical.
    term: str
    #: The group that leads there and how likely it is; None: the substance itself.
    group: Group | None = None
    likelihood: Likelihood | None = None
    #: What the table says about this way; may be empty.
    note: str = ""


@dataclass(frozen=True, slots=True)
class Gap:
    """What could not be compared: words of the allergy, or a line."""

    reason: Reason
    #: The words of the allergy, or the substance of the line; may be empty.
    text: str = ""
    line: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What is known of one allergy."""

    allergy: Allergy
    #: By line; of each substance of a line the strongest.
    hits: tuple[Hit, ...]
    gaps: tuple[Gap, ...]
    #: Names of the groups that were compared; without any, the comparison was by substance only.
    groups: tuple[str, ...]

    @property
    def verdict(self) -> Verdict:
        """The first thing to say. Hits do not take gaps back: what was not understood may be worse."""
        if self.hits:
            return Verdict.SUBSTANCE if any(hit.group is None for hit in self.hits) else Verdict.CLASS
        return Verdict.UNAVAILABLE if self.gaps else Verdict.CHECKED


@dataclass(frozen=True, slots=True)
class _Part:
    """A substance of a line with its canonical names."""

    line: str
    label: str
    forms: frozenset[str]


def check_allergies(
    allergies: Iterable[Allergy],
    lines: Sequence[Line],
    table: CrossTable,
    thesaurus: Thesaurus | None,
    names: Mapping[str, tuple[Substance, ...]],
) -> tuple[Answer, ...]:
    """Checks each allergy that is not refuted against all lines; answers in the order of their ids.

    `names`: the substances of specialties by the words of their names, for the words of `reading.candidates`.

    Raises ValueError when two allergies or two lines have one id: an answer would not say which it is about.
    """
    allergies = sorted(allergies, key=lambda one: one.id)
    for ids in ([one.id for one in allergies], [one.id for one in lines]):
        if doubled := sorted(id_ for id_, count in Counter(ids).items() if count > 1):
            message = f"allergies or lines that share an id: {', '.join(doubled)}"
            raise ValueError(message)
    parts = sorted(
        {
            _Part(line.id, one.label, forms_of((one,), thesaurus))
            for line in lines
            for one in line.substances
            if not any(is_homeopathic(name) for name in one.names)
        },
        key=lambda part: (part.line, part.label, sorted(part.forms)),
    )
    gaps = tuple(set(_line_gaps(lines, thesaurus)))
    of_lines = frozenset[str]().union(*(part.forms for part in parts))
    vocabulary = Vocabulary(table, thesaurus, of_lines, names)
    return tuple(_answer(one, parts, gaps, vocabulary) for one in allergies if one.status is not Status.REFUTED)


def _answer(allergy: Allergy, parts: Sequence[_Part], of_lines: tuple[Gap, ...], vocabulary: Vocabulary) -> Answer:
    reading = read(allergy.substance, vocabulary)
    hits: dict[tuple[str, str], Hit] = {}
    shared: set[Gap] = set()
    for term in reading.terms:
        for part in parts:
            place, ways = (part.line, part.label), tuple(_hits(term, part, vocabulary.table))
            for hit in ways:
                hits[place] = max(hits.get(place, hit), hit, key=_strength)
            if not ways and _shares_a_name(term, part, vocabulary.table):
                shared.add(Gap(Reason.NAME_SHARED, part.label, part.line))
    groups = {key for term in reading.terms for key in _groups(term, vocabulary.table)}
    return Answer(
        allergy,
        hits=tuple(sorted(hits.values(), key=lambda hit: (hit.line, hit.substance))),
        gaps=(*dict.fromkeys(_text_gaps(allergy, reading)), *sorted((*of_lines, *shared), key=_gap_order)),
        groups=tuple(sorted(vocabulary.table.groups[key].name for key in groups)),
    )


def _hits(term: Term, part: _Part, table: CrossTable) -> Iterator[Hit]:
    """All the ways from what an allergy names to a substance of a line."""
    if not term.forms.isdisjoint(part.forms):
        yield Hit(part.line, part.label, term.words)
    for key in _groups(term, table):
        group = table.groups[key]
        likelihood = group.when_named if key in term.groups else group.between
        if likelihood is not None and not group.forms.isdisjoint(part.forms):
            yield Hit(part.line, part.label, term.words, group, likelihood, group.note)
        for cross in group.crosses:
            other = table.groups[cross.group]
            if not other.forms.isdisjoint(part.forms):
                yield Hit(part.line, part.label, term.words, group, cross.likelihood, cross.note)


def _shares_a_name(term: Term, part: _Part, table: CrossTable) -> bool:
    """Whether a name of the part has that of the term, or of a member of its groups, among its words; or the term the part's.

    « Insuline » and INSULINE GLARGINE; a grade or a salt that no rule takes off yet.
    """
    names = telling(part.forms)
    meant = set(term.forms)
    for key in _groups(term, table):
        if key in term.groups or table.groups[key].between is not None:
            meant |= table.groups[key].forms
    return any(_within(form, name) for form in meant for name in names) or any(
        _within(name, form) for form in term.forms for name in names
    )


def _within(name: str, other: str) -> bool:
    return f" {name} " in f" {other} "


def _groups(term: Term, table: CrossTable) -> tuple[str, ...]:
    """The groups that a term names, and those that its substances are members of."""
    of_members = {key for form in term.forms for key in table.groups_of.get(form, ())}
    implied = {key for key in of_members if not table.groups[key].only_by_name}
    return tuple(sorted(implied | set(term.groups)))


def _strength(hit: Hit) -> tuple[int, str, str, str]:
    """Sorts the substance itself last, then the likelier; the rest only makes the choice the same each time."""
    likelihood = max(Likelihood) + 1 if hit.likelihood is None else hit.likelihood
    return likelihood, hit.term, hit.group.key if hit.group else "", hit.note


def _text_gaps(allergy: Allergy, reading: Reading) -> Iterator[Gap]:
    if allergy.kind in {Kind.FOOD, Kind.ENVIRONMENT}:
        # Whatever the words: that no medicine holds it as an excipient cannot be told.
        yield Gap(Reason.EXCIPIENT, allergy.substance)
    elif reading.unread:
        yield Gap(Reason.NOT_UNDERSTOOD, " ".join(reading.unread))
    for term in reading.terms:
        if term.reason is not None:
            yield Gap(term.reason, term.words)


def _line_gaps(lines: Iterable[Line], thesaurus: Thesaurus | None) -> Iterator[Gap]:
    if thesaurus is None:
        yield Gap(Reason.NO_KNOWLEDGE)
    for line in lines:
        if not line.substances:
            yield Gap(Reason.LINE_UNKNOWN, line=line.id)
        for one in line.substances:
            if any(is_homeopathic(name) for name in one.names):
                yield Gap(Reason.HOMEOPATHIC, one.label, line.id)
            elif not any(is_readable(name) for name in one.names):
                yield Gap(Reason.LINE_UNKNOWN, one.label, line.id)


def _gap_order(gap: Gap) -> tuple[str, int, str]:
    return gap.line, gap.reason, gap.text
