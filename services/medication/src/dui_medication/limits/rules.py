"""What French law limits of a prescription: duration, renewal, overlap of narcotics, who may prescribe, and a child's weight.

Read for this (code de la santé publique, as in force in 2024; the arrêté as consolidated in 2020):

- R5132-29: narcotics, and what is under their rules, with doses, number of doses and strength in words;
- R5132-30: 28 days at most, fewer where the agency decides so (7, 14: the catalogue says it);
- R5132-33, last paragraph: no new prescription by the same practitioners during the period that one covers, unless the prescriber
  says otherwise by express mention. Here whoever prescribed counts: the record knows all of them, and doubling is the danger;
- R5132-21 and R5132-22: lists I and II for twelve months at most; renewed when the prescriber says so (I) or does not forbid it
  (II). Here the number of renewals is always stated, which is the express mention, and 0 on list II has to be printed as a ban;
- R5121-88 and R5121-91: initial hospital prescription, specialists, and who may renew (`catalogue.conditions`);
- arrêté of 7 October 1991: hypnotics 4 weeks, anxiolytics 12 weeks. The catalogue carries both as `max_duration`.

That a narcotic is not renewed follows from R5132-30 and R5132-33 together; it was not found as a sentence. The secured sheet
is R5132-5. What is asked for children is ours, see `weights`. An end before the start or a dose below zero are another check's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import IntEnum

from dui_kit.errors import Reason, Violation

from dui_medication.catalogue.conditions import (
    ConditionKind,
    Restriction,
    RestrictionBasis,
    kind_of,
    restriction_of,
    sheet_in_words,
)
from dui_medication.catalogue.rules import PoisonList, conditions_of
from dui_medication.limits.durations import Longest
from dui_medication.limits.refusals import (
    AGE_UNKNOWN,
    CONDITION_TO_MEET,
    CONDITION_UNKNOWN,
    HOSPITAL_USE_ONLY,
    INITIAL_PERIOD,
    NARCOTIC_NOT_RENEWABLE,
    NARCOTIC_OVERLAP,
    NARCOTIC_OVERLAPS,
    OPEN_ENDED,
    PRESCRIPTION_DAYS_EXCEEDED,
    PRESCRIPTION_END_MISSING,
    PRESCRIPTION_MONTHS_EXCEEDED,
    RENEWAL_UNCLEAR,
    RENEWAL_WITHOUT_END,
    RESTRICTION_BASIS_INSUFFICIENT,
    RESTRICTION_BASIS_MISSING,
    RESTRICTION_TEXT_MISSING,
    SAME_NARCOTIC_OVERLAP,
    SHORTER_LIMIT,
    WEIGHT_IN_FUTURE,
    WEIGHT_MISSING,
    WEIGHT_OUTDATED,
    Notice,
)
from dui_medication.limits.weights import fresh_for

#: R5132-30 and R5132-21.
NARCOTIC_LONGEST = Longest(days=28)
LISTED_LONGEST = Longest(months=12)


class LimitKind(IntEnum):
    """What a limit is about."""

    DURATION = 1
    RENEWAL = 2
    OVERLAP = 3
    RESTRICTION = 4
    CONDITION = 5
    AGE = 6
    WEIGHT = 7


@dataclass(frozen=True, slots=True)
class Limit:
    """One thing that the law limits, refusing (a `Reason`) or warning (a `Notice`)."""

    kind: LimitKind
    #: Of the line; empty when it is about the person.
    reference: str
    reason: Reason | Notice
    #: Path from the line, or from the person; empty for warnings.
    field: str = ""
    params: tuple[tuple[str, str | int], ...] = ()
    #: The last day that the law leaves to the treatment, renewals included, when it is about a duration.
    last_day: date | None = None
    #: References of the lines that overlap this one.
    overlapped: tuple[str, ...] = ()

    @property
    def blocking(self) -> bool:
        """Whether the prescription is refused."""
        return isinstance(self.reason, Reason)

    def text(self, language: str) -> str:
        """The message in `fr` or `en`."""
        return (self.reason.en if language == "en" else self.reason.fr).format(**dict(self.params))


@dataclass(frozen=True, slots=True)
class Covered:
    """A current line with a narcotic, or a medicine under the rules of narcotics, of another prescription of the same person."""

    reference: str
    #: Canonical names, as those of the line that it is compared to.
    substances: frozenset[str]
    #: Last day; None: no end is known, it covers all that follows.
    covered_until: date | None
    #: First day; None: it runs already.
    covered_from: date | None = None


@dataclass(frozen=True, slots=True)
class LimitedLine:
    """A line of a prescription, as far as the law limits it."""

    reference: str
    poison_list: PoisonList
    #: ISO 8601 of the catalogue (`P28D`, `P4W`, `P6M`), or empty.
    max_duration: str
    secured: bool
    #: In the words of the BDPM.
    conditions: tuple[str, ...]
    starts_on: date
    #: Last day of the period that `renewals` repeat.
    ends_on: date | None
    #: How many times the period is renewed; 0: not at all.
    renewals: int = 0
    #: Canonical names.
    substances: frozenset[str] = frozenset()
    #: The prescriber states expressly that it overlaps another prescription.
    overlap_stated: bool = False
    restriction_basis: RestrictionBasis = RestrictionBasis.UNSPECIFIED
    restriction_text: str = ""

    @property
    def narcotic(self) -> bool:
        """Whether it is on the list of narcotics."""
        return self.poison_list is PoisonList.NARCOTIC

    @property
    def under_overlap_rule(self) -> bool:
        """Whether R5132-33 holds for it: narcotics, and what a condition of the BDPM puts beside them (zolpidem)."""
        return self.narcotic or any(kind_of(text) is ConditionKind.OVERLAP for text in self.conditions)

    @property
    def longest(self) -> Longest | None:
        """How long it may be prescribed in all; None when no law limits it."""
        said = Longest.parse(self.max_duration)
        if self.narcotic:
            return NARCOTIC_LONGEST.shorter(said)
        if self.poison_list in {PoisonList.I, PoisonList.II}:
            return LISTED_LONGEST.shorter(said)
        return said


@dataclass(frozen=True, slots=True)
class Person:
    """Of the person, what a prescription for a child depends on."""

    birth_date: date | None
    #: Kilograms.
    weight: Decimal | None
    weighed_on: date | None


@dataclass(frozen=True, slots=True)
class Sheet:
    """What the sheet of a line has to be or to say by law."""

    #: On a secured sheet (R5132-5).
    secured: bool
    #: Doses, number of doses and strength in words (R5132-29).
    in_words: bool
    #: List II and no renewal: without a ban printed, the pharmacist may renew (R5132-22).
    forbids_renewal: bool
    #: The overlap is stated (R5132-33).
    states_overlap: bool


def sheet_of(line: LimitedLine) -> Sheet:
    """What the sheet of a line has to be or to say."""
    return Sheet(
        secured=line.secured or line.narcotic,
        in_words=line.narcotic or sheet_in_words(line.conditions),
        forbids_renewal=line.poison_list is PoisonList.II and line.renewals == 0,
        states_overlap=line.under_overlap_rule and line.overlap_stated,
    )


def limits_of(
    lines: Sequence[LimitedLine], person: Person, in_force: Sequence[Covered], today: date
) -> tuple[Limit, ...]:
    """Everything that the law limits of a prescription: what concerns the person first, then line by line.

    Args:
        lines: lines of one prescription; they do not overlap each other in the sense of the law.
        person: whom it is for.
        in_force: lines of other prescriptions that are under the rules of narcotics, current or to come.
        today: day at the facility, for the weighing.
    """
    if not lines:
        return ()
    # A child on the day of any line: the youngest is asked.
    found = list(_of_person(person, min(line.starts_on for line in lines), today))
    for line in lines:
        found += [*_duration(line), *_overlap(line, in_force), *_restriction(line), *_conditions(line)]
    return tuple(found)


def violations(limits: Iterable[Limit], path_of: Callable[[Limit], str]) -> tuple[Violation, ...]:
    """All that blocks. `path_of`: path of the field of a limit, in the request."""
    return tuple(
        Violation(limit.reason, path_of(limit), limit.params) for limit in limits if isinstance(limit.reason, Reason)
    )


# ----------------------------------------------------------------------------------------------------------------- person


def _of_person(person: Person, starts_on: date, today: date) -> Iterator[Limit]:
    if person.birth_date is None:
        yield Limit(LimitKind.AGE, "", AGE_UNKNOWN)
        return
    days = fresh_for(person.birth_date, starts_on)
    if days is None:
        return
    if person.weight is None or person.weighed_on is None:
        yield Limit(LimitKind.WEIGHT, "", WEIGHT_MISSING, "weight")
    elif person.weighed_on > today:
        yield Limit(LimitKind.WEIGHT, "", WEIGHT_IN_FUTURE, "weighed_on")
    elif (today - person.weighed_on).days > days:
        yield Limit(LimitKind.WEIGHT, "", WEIGHT_OUTDATED, "weighed_on", (("days", days),))


# ------------------------------------------------------------------------------------------------------------------ lines


def _duration(line: LimitedLine) -> Iterator[Limit]:
    longest = line.longest
    if line.narcotic and line.renewals > 0:
        yield Limit(LimitKind.RENEWAL, line.reference, NARCOTIC_NOT_RENEWABLE, "renewals")
    if line.ends_on is None:
        if longest is not None:
            last = longest.last_day(line.starts_on)
            if line.narcotic or line.max_duration:
                yield Limit(LimitKind.DURATION, line.reference, PRESCRIPTION_END_MISSING, "ends_on", last_day=last)
            else:
                yield Limit(LimitKind.DURATION, line.reference, OPEN_ENDED, last_day=last)
        if line.renewals > 0:
            yield Limit(LimitKind.RENEWAL, line.reference, RENEWAL_WITHOUT_END, "ends_on")
        return
    # A renewal of a narcotic is refused by itself: its period is measured alone, so that each refusal has its own remedy.
    renewals = 0 if line.narcotic else line.renewals
    if longest is not None and not longest.allows(line.starts_on, line.ends_on, renewals):
        yield _exceeded(line, longest, line.ends_on)
        return
    for text in line.conditions:
        shorter = _shortest_in(text)
        if shorter is not None and not shorter.allows(line.starts_on, line.ends_on, renewals):
            yield Limit(LimitKind.DURATION, line.reference, SHORTER_LIMIT, params=(("condition", text),))


def _exceeded(line: LimitedLine, longest: Longest, ends_on: date) -> Limit:
    last = longest.last_day(line.starts_on)
    reason, most = (
        (PRESCRIPTION_MONTHS_EXCEEDED, ("months", longest.months))
        if longest.months
        else (PRESCRIPTION_DAYS_EXCEEDED, ("days", longest.days))
    )
    # One period is within the limit: it is the renewals that go beyond.
    field = "renewals" if ends_on <= last else "ends_on"
    return Limit(LimitKind.DURATION, line.reference, reason, field, (most,), last_day=last)


def _shortest_in(condition: str) -> Longest | None:
    """The shorter of two limits that one condition names (`7 jours ou 28 jours`); the catalogue keeps the longer."""
    if kind_of(condition) is not ConditionKind.DURATION:
        return None
    head, *others = condition.split(" ou ")
    texts = (head, *(f"prescription limitée à {other}" for other in others)) if others else ()
    said = [limit for text in texts if (limit := Longest.parse(conditions_of([text]).max_duration)) is not None]
    return min(said, key=Longest.about_days, default=None)


def _overlap(line: LimitedLine, in_force: Sequence[Covered]) -> Iterator[Limit]:
    if not line.under_overlap_rule:
        return
    last = line.ends_on or date.max
    overlapping = [
        other
        for other in in_force
        if other.reference != line.reference
        and (other.covered_until is None or other.covered_until >= line.starts_on)
        and (other.covered_from is None or other.covered_from <= last)
    ]
    if not overlapping:
        return
    references = tuple(sorted(other.reference for other in overlapping))
    same = any(other.substances & line.substances for other in overlapping)
    if not line.overlap_stated:
        yield Limit(LimitKind.OVERLAP, line.reference, NARCOTIC_OVERLAPS, "overlap_stated", overlapped=references)
    yield Limit(
        LimitKind.OVERLAP,
        line.reference,
        SAME_NARCOTIC_OVERLAP if same else NARCOTIC_OVERLAP,
        overlapped=references,
    )


def _restriction(line: LimitedLine) -> Iterator[Limit]:
    restriction = restriction_of(line.conditions)
    if restriction is None:
        return
    if (reason := _basis_refused(line, restriction)) is not None:
        field = "restriction_text" if reason is RESTRICTION_TEXT_MISSING else "restriction_basis"
        yield Limit(LimitKind.RESTRICTION, line.reference, reason, field)
    if restriction.hospital_use:
        yield Limit(LimitKind.RESTRICTION, line.reference, HOSPITAL_USE_ONLY)
    if line.restriction_basis is RestrictionBasis.RENEWAL:
        if restriction.renewal_unclear:
            yield Limit(LimitKind.RESTRICTION, line.reference, RENEWAL_UNCLEAR)
        if restriction.initial_months is not None:
            months = (("months", restriction.initial_months),)
            yield Limit(LimitKind.RESTRICTION, line.reference, INITIAL_PERIOD, params=months)


def _basis_refused(line: LimitedLine, restriction: Restriction) -> Reason | None:
    if line.restriction_basis is RestrictionBasis.UNSPECIFIED:
        return RESTRICTION_BASIS_MISSING
    if line.restriction_basis not in restriction.accepted:
        return RESTRICTION_BASIS_INSUFFICIENT
    return None if line.restriction_text.strip() else RESTRICTION_TEXT_MISSING


_TO_MEET = frozenset(
    {ConditionKind.FORMALITY, ConditionKind.ADMINISTRATION, ConditionKind.CONTEXT, ConditionKind.RESTRICTED_UNSAID}
)


def _conditions(line: LimitedLine) -> Iterator[Limit]:
    """What is to be read, in the order of the conditions: `pour tous les patients :` stands before what it is about."""
    for text in line.conditions:
        kind = kind_of(text)
        if kind is ConditionKind.UNKNOWN and text.strip():
            yield Limit(LimitKind.CONDITION, line.reference, CONDITION_UNKNOWN, params=(("condition", text),))
        elif kind in _TO_MEET:
            yield Limit(LimitKind.CONDITION, line.reference, CONDITION_TO_MEET, params=(("condition", text),))
