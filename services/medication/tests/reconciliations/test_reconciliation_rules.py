"""Deciding divergences, and closing."""

from __future__ import annotations

import pytest
from dui_kit.errors import Refusal
from dui_medication.reconciliations.comparing import Item, ItemKind, Planned, Source, Taken
from dui_medication.reconciliations.rules import (
    MAX_TEXT,
    Decided,
    Decision,
    Divergence,
    Reviewed,
    changes_plan,
    check_close,
    check_decision,
    decisions_for,
    sources_of,
)

TAKEN = Taken("t", "RAMIPRIL", "1", ("RAMIPRIL",), "1 le matin", frozenset({Source.PERSON, Source.PHARMACY}))
PLANNED = Planned("p", "RAMIPRIL", "1", ("RAMIPRIL",), "2 le matin")
SAME = Item(ItemKind.SAME, TAKEN, PLANNED)
DIFFERENT = Item(ItemKind.DIFFERENT_POSOLOGY, TAKEN, PLANNED)
OMITTED = Item(ItemKind.OMITTED, TAKEN, None)
ADDED = Item(ItemKind.ADDED, None, PLANNED)
FREE = Item(ItemKind.UNKNOWN, TAKEN, None)
KEPT = Decided(Decision.KEEP_AS_PLANNED, Divergence.INTENTIONAL_UNDOCUMENTED, "dose doublée le 3 par le cardiologue")
ASKED = sources_of([TAKEN])


def refusals(item: Item, decided: Decided, *, closed: bool = False) -> list[tuple[str, str]]:
    try:
        check_decision(item, decided, closed=closed)
    except Refusal as refused:
        return [(each.reason.name, each.field) for each in refused.violations]
    return []


@pytest.mark.parametrize(
    ("item", "fitting"),
    [
        (SAME, set()),
        (DIFFERENT, {Decision.CONTINUE, Decision.CHANGE, Decision.STOP, Decision.KEEP_AS_PLANNED}),
        (OMITTED, {Decision.CONTINUE, Decision.CHANGE, Decision.STOP, Decision.NOT_RESUMED}),
        (ADDED, {Decision.START, Decision.CHANGE, Decision.STOP}),
        (FREE, {Decision.CONTINUE, Decision.CHANGE, Decision.STOP, Decision.NOT_RESUMED}),
    ],
)
def test_each_divergence_has_the_decisions_that_make_sense_for_it(item: Item, fitting: set[Decision]) -> None:
    assert decisions_for(item) == fitting
    for decision in set(Decision) - {Decision.UNSPECIFIED}:
        found = refusals(item, Decided(decision, Divergence.UNINTENTIONAL, "oubli à l'admission"))
        if item is SAME:
            assert found == [("DECISION_NOT_NEEDED", "decision")]
        else:
            assert found == ([] if decision in fitting else [("DECISION_UNFIT", "decision")])


def test_a_decision_is_whole_and_all_that_lacks_is_told_at_once() -> None:
    assert refusals(DIFFERENT, KEPT) == []
    assert refusals(DIFFERENT, Decided(Decision.UNSPECIFIED, Divergence.UNSPECIFIED, " \n")) == [
        ("DECISION_MISSING", "decision"),
        ("DIVERGENCE_UNQUALIFIED", "divergence"),
        ("DECISION_TEXT_MISSING", "text"),
    ]
    longest = Decided(Decision.STOP, Divergence.INTENTIONAL_DOCUMENTED, "x" * MAX_TEXT)
    assert refusals(DIFFERENT, longest) == []
    longer = Decided(Decision.STOP, Divergence.INTENTIONAL_DOCUMENTED, "x" * (MAX_TEXT + 1))
    assert refusals(DIFFERENT, longer) == [("DECISION_TEXT_TOO_LONG", "text")]


def test_closing_names_each_divergence_without_a_decision() -> None:
    reviewed = [Reviewed(OMITTED, None), Reviewed(DIFFERENT, KEPT), Reviewed(SAME, None), Reviewed(FREE, None)]
    with pytest.raises(Refusal) as refused:
        check_close(reviewed, ASKED, closed=False)
    assert [(each.reason.name, each.field) for each in refused.value.violations] == [
        ("RECONCILIATION_UNDECIDED", "items[0].decision"),
        ("RECONCILIATION_UNDECIDED", "items[3].decision"),
    ]
    check_close([Reviewed(DIFFERENT, KEPT), Reviewed(SAME, None)], ASKED, closed=False)


def test_closing_names_no_more_divergences_than_a_refusal_carries() -> None:
    with pytest.raises(Refusal) as refused:
        check_close([Reviewed(OMITTED, None)] * 260, sources_of([]), closed=False)
    assert len(refused.value.violations) == 20
    assert refused.value.violations[0].field == "sources"


def test_nothing_closes_without_a_source_and_somebody_who_takes_nothing_may_say_so() -> None:
    with pytest.raises(Refusal, match="RECONCILIATION_WITHOUT_SOURCE"):
        check_close([], sources_of([]), closed=False)
    check_close([], sources_of([], [Source.PERSON]), closed=False)


def test_what_is_closed_changes_no_more() -> None:
    assert refusals(DIFFERENT, KEPT, closed=True) == [("RECONCILIATION_CLOSED", "")]
    with pytest.raises(Refusal, match="RECONCILIATION_CLOSED"):
        check_close([], ASKED, closed=True)


@pytest.mark.parametrize(
    ("consulted", "few", "good"),
    [
        ([], True, False),
        ([Source.UNSPECIFIED, Source.PERSON], True, False),
        ([Source.PERSON, Source.PERSON], True, False),
        ([Source.PERSON, Source.PHARMACY], False, False),
        ([Source.PERSON, Source.PHARMACY, Source.BOXES], False, True),
    ],
)
def test_sources_are_counted_by_kind(consulted: list[Source], few: bool, good: bool) -> None:
    found = sources_of([], consulted)
    assert (found.few, found.good) == (few, good)


def test_a_medicine_that_one_source_knows_is_named() -> None:
    alone = Taken("u", "X", None, (), "", frozenset({Source.BOXES, Source.UNSPECIFIED}))
    found = sources_of([TAKEN, alone])
    assert found.single == ("u",)
    assert found.consulted == {Source.PERSON, Source.PHARMACY, Source.BOXES}


@pytest.mark.parametrize(
    ("item", "decision", "changes"),
    [
        (DIFFERENT, Decision.CONTINUE, True),
        (DIFFERENT, Decision.CHANGE, True),
        (DIFFERENT, Decision.STOP, True),
        (DIFFERENT, Decision.KEEP_AS_PLANNED, False),
        (OMITTED, Decision.CONTINUE, True),
        (OMITTED, Decision.STOP, False),
        (OMITTED, Decision.NOT_RESUMED, False),
        (ADDED, Decision.START, False),
        (ADDED, Decision.STOP, True),
    ],
)
def test_a_decision_says_whether_the_plan_has_to_change(item: Item, decision: Decision, changes: bool) -> None:
    assert changes_plan(item, decision) is changes
