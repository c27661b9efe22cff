"""What is taken beside what is planned: each medicine once, in an order that the lists do not decide."""

from __future__ import annotations

from collections import Counter
from random import Random
from time import process_time

import pytest
from dui_medication.reconciliations.comparing import Item, ItemKind, Planned, Source, Taken, compare, same_text
from hypothesis import given
from hypothesis import strategies as st


def taken(reference: str, cis: str | None, posology: str, *substances: str, label: str = "") -> Taken:
    return Taken(reference, label or f"med {cis}", cis, substances, posology, frozenset({Source.PERSON}))


def planned(line_id: str, cis: str | None, posology: str, *substances: str, label: str = "") -> Planned:
    return Planned(line_id, label or f"med {cis}", cis, substances, posology)


def only(items: tuple[Item, ...]) -> Item:
    (item,) = items
    return item


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("1 comprimé matin et soir", "1  Comprimé  MATIN et soir.", True),
        ("2,5 mg le matin", "2.5mg le matin", True),
        ("1 - 0 - 1", "1-0-1", True),
        ("½ comprimé", "1/2 comprimé", True),
        ("1½ comprimé", "1 1/2 comprimé", True),
        ("à jeun", "a jeun", True),
        # Signs make doses.
        ("1/2 comprimé", "1-2 comprimé", False),
        ("1/2 comprimé", "1 2 comprimé", False),
        ("1½ comprimé", "11/2 comprimé", False),
        ("10 mg", "1 mg", False),
        ("1,0 mg", "10 mg", False),
        ("5 mg le matin", "5 mg le soir", False),
    ],
)
def test_posologies_are_the_same_when_only_their_writing_differs(one: str, other: str, same: bool) -> None:
    assert (same_text(one) == same_text(other)) is same


def test_long_lists_of_long_texts_keep_nobody_waiting() -> None:
    """As long as the contract lets them be: most of it spaces, dashes and fractions, nothing alike."""
    spaced, dashed = " " * 498, "½ - " * 50
    many = [taken(f"{number:04}", None, spaced + "x", label=f"{dashed}{number}") for number in range(60)]
    plan = [planned(f"{number:04}", None, dashed * 2, label=f"{dashed}p{number}") for number in range(200)]
    before = process_time()
    assert len(compare(many, plan)) == 260
    assert process_time() - before < 1  # some hundredths; a search that grows with the square of it takes several


def test_each_kind_of_item() -> None:
    assert only(compare([taken("t", "1", "1 le matin")], [planned("p", "1", "1 LE MATIN")])).kind is ItemKind.SAME
    other_dose = compare([taken("t", "1", "1 le matin", "A")], [planned("p", "1", "2 le matin", "A")])
    assert only(other_dose).kind is ItemKind.DIFFERENT_POSOLOGY
    swapped = compare([taken("t", "1", "1 le matin", "A", "B")], [planned("p", "2", "1 le matin", "B", "A")])
    assert only(swapped).kind is ItemKind.SUBSTITUTED
    apart = compare([taken("t", "1", "1", "A")], [planned("p", "2", "1", "B")])
    assert {item.kind for item in apart} == {ItemKind.OMITTED, ItemKind.ADDED}
    assert compare([], []) == ()


def test_a_posology_that_nobody_wrote_is_never_the_same() -> None:
    assert only(compare([taken("t", "1", "")], [planned("p", "1", " . ")])).kind is ItemKind.DIFFERENT_POSOLOGY


def test_without_a_code_nothing_is_compared_and_what_is_like_it_is_named() -> None:
    items = compare(
        [taken("t1", None, "1", label="Tisane du soir"), taken("t2", None, "1", "A", label="un cachet blanc")],
        [planned("p1", None, "1", label="tisane du SOIR"), planned("p2", "7", "1", "A")],
    )
    found = {(item.taken or item.planned): (item.kind, item.related) for item in items}
    by_name = {(one.reference if isinstance(one, Taken) else one.line_id): said for one, said in found.items() if one}
    assert by_name == {
        "t1": (ItemKind.UNKNOWN, ("p1",)),
        "t2": (ItemKind.UNKNOWN, ("p2",)),
        "p1": (ItemKind.UNKNOWN, ("t1",)),
        "p2": (ItemKind.ADDED, ("t2",)),
    }


def test_a_combination_that_the_plan_takes_apart_is_named_beside_its_parts() -> None:
    items = compare(
        [taken("t", "1", "1", "TRAMADOL", "PARACETAMOL")],
        [planned("p1", "2", "1", "TRAMADOL"), planned("p2", "3", "1", "PARACETAMOL")],
    )
    omitted = next(item for item in items if item.kind is ItemKind.OMITTED)
    assert omitted.related == ("p1", "p2")
    assert [item.kind for item in items].count(ItemKind.ADDED) == 2


def test_two_boxes_of_a_substance_are_paired_with_the_posology_that_is_theirs() -> None:
    items = compare(
        [taken("t1", "1", "1 le matin", "A"), taken("t2", "2", "1 le soir", "A")],
        [planned("p1", "3", "1 le soir", "A"), planned("p2", "4", "1 le matin", "A")],
    )
    pairs = {(item.taken.reference, item.planned.line_id) for item in items if item.taken and item.planned}
    assert pairs == {("t1", "p2"), ("t2", "p1")}


def test_medicines_that_share_a_reference_are_an_error() -> None:
    with pytest.raises(ValueError, match="taken medicines"):
        compare([taken("t", "1", "1"), taken("t", "2", "1")], [])
    with pytest.raises(ValueError, match="planned medicines"):
        compare([], [planned("p", "1", "1"), planned("p", "2", "1")])


_MEDICINES = st.lists(
    st.tuples(
        st.sampled_from([None, "1", "2", "3", "4"]),
        st.sampled_from(["", "1 matin", "1 Matin", "2 soir"]),
        st.lists(st.sampled_from(["A", "B"]), max_size=2),
    ),
    max_size=7,
)


def _lists(
    left: list[tuple[str | None, str, list[str]]], right: list[tuple[str | None, str, list[str]]]
) -> tuple[list[Taken], list[Planned]]:
    return (
        [taken(f"t{i}", cis, text, *substances) for i, (cis, text, substances) in enumerate(left)],
        [planned(f"p{i}", cis, text, *substances) for i, (cis, text, substances) in enumerate(right)],
    )


@given(_MEDICINES, _MEDICINES)
def test_each_medicine_of_either_list_is_in_exactly_one_item(
    left: list[tuple[str | None, str, list[str]]], right: list[tuple[str | None, str, list[str]]]
) -> None:
    mine, theirs = _lists(left, right)
    items = compare(mine, theirs)
    assert Counter(item.taken.reference for item in items if item.taken) == Counter(one.reference for one in mine)
    assert Counter(item.planned.line_id for item in items if item.planned) == Counter(one.line_id for one in theirs)
    both = {ItemKind.SAME, ItemKind.DIFFERENT_POSOLOGY, ItemKind.SUBSTITUTED}
    for item in items:
        assert (item.taken is not None and item.planned is not None) is (item.kind in both)
        assert item.taken or item.planned


@given(_MEDICINES, _MEDICINES, st.randoms(use_true_random=False))
def test_the_order_of_the_lists_does_not_matter(
    left: list[tuple[str | None, str, list[str]]],
    right: list[tuple[str | None, str, list[str]]],
    chance: Random,
) -> None:
    mine, theirs = _lists(left, right)
    expected = compare(mine, theirs)
    chance.shuffle(mine)
    chance.shuffle(theirs)
    assert compare(mine, theirs) == expected


@given(_MEDICINES, _MEDICINES, st.sampled_from(["1", "2", "9"]), st.sampled_from(["1 matin", "2 soir", "3 midi"]))
def test_an_identical_pair_more_is_one_same_more_and_nothing_else(
    left: list[tuple[str | None, str, list[str]]],
    right: list[tuple[str | None, str, list[str]]],
    cis: str,
    posology: str,
) -> None:
    mine, theirs = _lists(left, right)
    before = Counter(item.kind for item in compare(mine, theirs))
    items = compare([*mine, taken("new", cis, posology, "A")], [*theirs, planned("new", cis, posology, "A")])
    after = Counter(item.kind for item in items)
    # One specialty has one composition in fact. These lists may say otherwise; then which of two boxes is left for a
    # substitution depends on their order, so that the last three kinds are not compared.
    for kind in (ItemKind.SAME, ItemKind.DIFFERENT_POSOLOGY, ItemKind.UNKNOWN):
        assert after[kind] == before[kind] + (kind is ItemKind.SAME)
