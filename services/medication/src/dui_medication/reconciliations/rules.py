"""Reconciling what a person takes with what is planned (« conciliation des traitements médicamenteux »).

After the guide of HAS (« Mettre en œuvre la conciliation des traitements médicamenteux en établissement de santé », February 2018)
and the memo of SFPC (December 2015): list what is taken from several sources, compare it to the plan at each transition, qualify
each divergence (intentional and documented, intentional and not documented, unintentional), decide, and keep the outcome.

What is ours: fewer than two kinds of source are told as few, three as good (no law has a number, and the guide, which says of
itself that it binds nobody, could not be read again for it); each divergence is decided by itself, with a text; nothing closes
before; what is closed stays as it is. The guide is written for hospitals, the memo for social and medico-social care too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum

from dui_kit.errors import Code, Reason, Refusal, Violation

from dui_medication.reconciliations.comparing import Item, Source, Taken

#: Different kinds of source below which a list of what is taken is weak, and from which it is good.
FEW_SOURCES = 2
GOOD_SOURCES = 3
MAX_TEXT = 2000
#: A refusal travels in the metadata of gRPC, which takes 8 kB: it names no more at once.
MOST_NAMED = 20

RECONCILIATION_CLOSED = Reason(
    "RECONCILIATION_CLOSED",
    Code.FAILED_PRECONDITION,
    fr="Cette conciliation est close et ne change plus : commencez-en une autre.",
    en="This reconciliation is closed and changes no more: begin another one.",
)
RECONCILIATION_UNDECIDED = Reason(
    "RECONCILIATION_UNDECIDED",
    Code.FAILED_PRECONDITION,
    fr="Cette divergence attend une décision : décidez-la avant de clore la conciliation.",
    en="This divergence awaits a decision: decide it before closing the reconciliation.",
)
RECONCILIATION_WITHOUT_SOURCE = Reason(
    "RECONCILIATION_WITHOUT_SOURCE",
    Code.FAILED_PRECONDITION,
    fr="Aucune source n'est indiquée : dites d'où vient la liste de ce que la personne prend, même si elle ne prend rien.",
    en="No source is given: say where the list of what the person takes comes from, even when that is nothing.",
)
DECISION_NOT_NEEDED = Reason(
    "DECISION_NOT_NEEDED",
    Code.FAILED_PRECONDITION,
    fr="Ce médicament est pris comme il est prévu : il n'y a rien à décider.",
    en="This medicine is taken as it is planned: there is nothing to decide.",
)
DECISION_MISSING = Reason(
    "DECISION_MISSING",
    Code.INVALID_ARGUMENT,
    fr="Indiquez la décision prise pour cette divergence.",
    en="Say what is decided about this divergence.",
)
DECISION_UNFIT = Reason(
    "DECISION_UNFIT",
    Code.INVALID_ARGUMENT,
    fr="Cette décision ne convient pas à cette divergence : choisissez-en une de la liste qu'elle propose.",
    en="This decision does not fit this divergence: choose one of those that it offers.",
)
DIVERGENCE_UNQUALIFIED = Reason(
    "DIVERGENCE_UNQUALIFIED",
    Code.INVALID_ARGUMENT,
    fr="Qualifiez la divergence : intentionnelle documentée, intentionnelle non documentée ou non intentionnelle.",
    en="Qualify the divergence: intentional and documented, intentional and not documented, or unintentional.",
)
DECISION_TEXT_MISSING = Reason(
    "DECISION_TEXT_MISSING",
    Code.INVALID_ARGUMENT,
    fr="Écrivez le motif de la décision, ou l'endroit où il est documenté.",
    en="Write the reason of the decision, or where it is documented.",
)
DECISION_TEXT_TOO_LONG = Reason(
    "DECISION_TEXT_TOO_LONG",
    Code.INVALID_ARGUMENT,
    fr="Le motif a {most} caractères au plus : abrégez-le.",
    en="The reason has {most} characters at most: shorten it.",
)


class Transition(IntEnum):
    """When a reconciliation is made."""

    UNSPECIFIED = 0
    ENTRY = 1
    TRANSFER = 2
    #: Back from a stay in hospital.
    RETURN = 3
    EXIT = 4


class Decision(IntEnum):
    """What is decided about a divergence."""

    UNSPECIFIED = 0
    #: As it was taken.
    CONTINUE = 1
    #: Neither as taken nor as planned.
    CHANGE = 2
    #: It ends.
    STOP = 3
    #: What the plan adds is begun.
    START = 4
    #: Not taken for the time being.
    NOT_RESUMED = 5
    #: As the plan has it.
    KEEP_AS_PLANNED = 6


class Divergence(IntEnum):
    """Whether a divergence was meant, in the words of HAS and SFPC."""

    UNSPECIFIED = 0
    #: « Intentionnelle documentée ».
    INTENTIONAL_DOCUMENTED = 1
    #: « Intentionnelle non documentée »: meant, and the record did not say so.
    INTENTIONAL_UNDOCUMENTED = 2
    #: « Non intentionnelle »: an error of medication.
    UNINTENTIONAL = 3


# ----------------------------------------------------------------------------------------------------------------- sources


@dataclass(frozen=True, slots=True)
class Sources:
    """How well it is known what the person takes."""

    #: Kinds of source consulted, those of single medicines included.
    consulted: frozenset[Source]
    #: Fewer than two: the list is weak, and it has to be said.
    few: bool
    #: Three or more.
    good: bool
    #: References of medicines that one source alone knows of, or none.
    single: tuple[str, ...]


def sources_of(taken: Iterable[Taken], consulted: Iterable[Source] = ()) -> Sources:
    """What the list rests on. `consulted`: sources that were asked, even when they knew of no medicine."""
    medicines = list(taken)
    known = {source for one in medicines for source in one.sources} | set(consulted)
    known.discard(Source.UNSPECIFIED)
    return Sources(
        consulted=frozenset(known),
        few=len(known) < FEW_SOURCES,
        good=len(known) >= GOOD_SOURCES,
        single=tuple(
            sorted(one.reference for one in medicines if len(one.sources - {Source.UNSPECIFIED}) < FEW_SOURCES)
        ),
    )


# ---------------------------------------------------------------------------------------------------------------- deciding

_BOTH = frozenset({Decision.CONTINUE, Decision.CHANGE, Decision.STOP, Decision.KEEP_AS_PLANNED})
_TAKEN_ALONE = frozenset({Decision.CONTINUE, Decision.CHANGE, Decision.STOP, Decision.NOT_RESUMED})
_PLANNED_ALONE = frozenset({Decision.START, Decision.CHANGE, Decision.STOP})


@dataclass(frozen=True, slots=True)
class Decided:
    """The decision about a divergence."""

    decision: Decision
    divergence: Divergence
    text: str


@dataclass(frozen=True, slots=True)
class Reviewed:
    """An item with its decision, None before there is one."""

    item: Item
    decided: Decided | None


def decisions_for(item: Item) -> frozenset[Decision]:
    """The decisions that fit an item; none when there is nothing to decide."""
    if not item.diverges:
        return frozenset()
    if item.taken and item.planned:
        return _BOTH
    return _TAKEN_ALONE if item.taken else _PLANNED_ALONE


def changes_plan(item: Item, decision: Decision) -> bool:
    """Whether the plan has to be changed for the decision to hold: it is not done by deciding."""
    match decision:
        case Decision.KEEP_AS_PLANNED | Decision.START | Decision.NOT_RESUMED | Decision.UNSPECIFIED:
            return False
        case Decision.STOP:
            return item.planned is not None
        case Decision.CONTINUE | Decision.CHANGE:
            return item.diverges


def check_open(*, closed: bool) -> None:
    """Refuses any change of a closed reconciliation."""
    if closed:
        raise Refusal(RECONCILIATION_CLOSED)


def check_decision(item: Item, decided: Decided, *, closed: bool) -> None:
    """Whether the decision may be recorded about the item.

    A text is always asked: it documents what was not, tells what happened when nobody meant it, or says where it is documented.
    """
    check_open(closed=closed)
    if not item.diverges:
        raise Refusal(DECISION_NOT_NEEDED, field="decision")
    violations = []
    if decided.decision is Decision.UNSPECIFIED:
        violations.append(Violation(DECISION_MISSING, "decision"))
    elif decided.decision not in decisions_for(item):
        violations.append(Violation(DECISION_UNFIT, "decision"))
    if decided.divergence is Divergence.UNSPECIFIED:
        violations.append(Violation(DIVERGENCE_UNQUALIFIED, "divergence"))
    if not decided.text.strip():
        violations.append(Violation(DECISION_TEXT_MISSING, "text"))
    elif len(decided.text) > MAX_TEXT:
        violations.append(Violation(DECISION_TEXT_TOO_LONG, "text", (("most", MAX_TEXT),)))
    if violations:
        raise Refusal.of(tuple(violations))


def check_close(reviewed: Sequence[Reviewed], sources: Sources, *, closed: bool) -> None:
    """Whether a reconciliation may be closed; Refusal with the undecided items by their places (`items[3].decision`), the first of
    them when there are many."""
    check_open(closed=closed)
    violations = [
        Violation(RECONCILIATION_UNDECIDED, f"items[{place}].decision")
        for place, one in enumerate(reviewed)
        if one.item.diverges and one.decided is None
    ]
    if not sources.consulted:
        violations.insert(0, Violation(RECONCILIATION_WITHOUT_SOURCE, "sources"))
    if violations:
        raise Refusal.of(tuple(violations[:MOST_NAMED]))
