"""Merges and their undoing, as a machine: whatever the order, pointers are flat and undoing restores exactly."""

from __future__ import annotations

import pytest
from dui_kit.errors import Refusal
from dui_records.merging import rules
from dui_records.merging.rules import Record
from hypothesis import given, settings
from hypothesis import strategies as st

IDS = ["a", "b", "c", "d", "e"]
Records = dict[str, Record]


def fresh(*fictitious: str) -> Records:
    return {name: Record(name, fictitious=name in fictitious) for name in IDS}


def merged(records: Records, surviving: str, other: str) -> Records:
    return records | {record.beneficiary_id: record for record in rules.merge(records, surviving, other)}


def taken_out(records: Records, surviving: str, other: str) -> Records:
    return records | {record.beneficiary_id: record for record in rules.unmerge(records, surviving, other)}


def refusal_of(act: object, *arguments: object) -> tuple[str, str]:
    with pytest.raises(Refusal) as refusal:
        act(*arguments)  # type: ignore[operator]
    return refusal.value.reason.name, refusal.value.violations[0].field


def test_a_survivor_that_is_merged_brings_its_records_along() -> None:
    records = merged(merged(fresh(), "b", "a"), "c", "b")
    assert [records[name].surviving_id for name in "abc"] == ["c", "c", None]
    assert [records[name].merged_into_id for name in "abc"] == ["b", "c", None]


def test_taking_out_a_record_restores_the_group_that_it_had() -> None:
    before = merged(fresh(), "b", "a")
    assert taken_out(merged(before, "c", "b"), "c", "b") == before


def test_a_record_may_be_taken_out_of_a_group_that_was_merged_further() -> None:
    records = taken_out(merged(merged(fresh(), "b", "a"), "c", "b"), "c", "a")
    assert [records[name].surviving_id for name in "abc"] == [None, "c", None]


def test_what_makes_no_sense_is_refused() -> None:
    records = merged(fresh("e"), "b", "a")
    assert refusal_of(rules.merge, records, "c", "c") == ("MERGE_WITH_ITSELF", "merged_beneficiary_id")
    assert refusal_of(rules.merge, records, "a", "c") == ("ALREADY_MERGED", "beneficiary_id")
    assert refusal_of(rules.merge, records, "c", "a") == ("ALREADY_MERGED", "merged_beneficiary_id")
    assert refusal_of(rules.merge, records, "a", "b") == ("ALREADY_MERGED", "beneficiary_id")
    assert refusal_of(rules.merge, records, "b", "e") == ("MERGE_OF_FICTITIOUS", "merged_beneficiary_id")
    assert refusal_of(rules.unmerge, records, "b", "c") == ("NOT_MERGED_HERE", "merged_beneficiary_id")
    assert refusal_of(rules.unmerge, records, "c", "a") == ("NOT_MERGED_HERE", "merged_beneficiary_id")


def test_a_group_that_changed_meanwhile_is_refused() -> None:
    rules.check_group(None, ["a"], ["a"])
    assert refusal_of(rules.check_group, "b", ["a"], ["a"])[0] == "MERGED_MEANWHILE"
    assert refusal_of(rules.check_group, None, ["a"], ["a", "b"])[0] == "MERGED_MEANWHILE"


@settings(max_examples=300)
@given(st.lists(st.tuples(st.booleans(), st.sampled_from(IDS), st.sampled_from(IDS)), max_size=14))
def test_no_order_of_merges_makes_a_chain_or_a_cycle(steps: list[tuple[bool, str, str]]) -> None:
    records = fresh()
    for joins, one, other in steps:
        before = records
        try:
            records = merged(records, one, other) if joins else taken_out(records, one, other)
        except Refusal:
            continue
        if joins:
            assert taken_out(records, one, other) == before
        for record in records.values():
            # Who answers stands by itself, and is where following the parents ends.
            end, steps_taken = record, 0
            while end.merged_into_id is not None:
                end, steps_taken = records[end.merged_into_id], steps_taken + 1
                assert steps_taken <= len(IDS)
            assert record.surviving_id == (None if end is record else end.beneficiary_id)
