"""Merging through the service: both ids answer, nothing is lost, undoing restores, two merges at once do not tangle."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import permutations

import psycopg
import pytest
from dui.access.v1 import facts_pb2
from dui.options.v1.options_pb2 import Category
from dui.records.v1 import allergies_pb2, handover_notes_pb2, stays_pb2
from dui.records.v1 import beneficiaries_pb2 as pb
from dui_kit.testing import CallFailed
from dui_kit.worker.testing import eventually
from dui_records.testing import DIRECTOR, World, mask


def merge(world: World, surviving: str, merged: str, **options: object) -> pb.Beneficiary:
    request = pb.MergeBeneficiaryRequest(beneficiary_id=surviving, merged_beneficiary_id=merged, reason="Doublon")
    return world.call("BeneficiaryService/MergeBeneficiary", request, **options).beneficiary  # type: ignore[no-any-return]


def unmerge(world: World, surviving: str, merged: str) -> pb.Beneficiary:
    request = pb.UnmergeBeneficiaryRequest(
        beneficiary_id=surviving, merged_beneficiary_id=merged, reason="Ce sont deux personnes"
    )
    return world.call("BeneficiaryService/UnmergeBeneficiary", request).beneficiary  # type: ignore[no-any-return]


def note(world: World, beneficiary_id: str, subject: str) -> str:
    request = handover_notes_pb2.CreateHandoverNoteRequest(
        beneficiary_id=beneficiary_id,
        handover_note=handover_notes_pb2.HandoverNote(
            category=Category.CATEGORY_NURSING, subject=subject, data="Vu ce matin"
        ),
    )
    return world.call("HandoverNoteService/CreateHandoverNote", request, as_="nurse").handover_note.handover_note_id  # type: ignore[no-any-return]


def subjects(world: World, beneficiary_id: str) -> list[str]:
    request = handover_notes_pb2.ListHandoverNotesRequest(beneficiary_id=beneficiary_id)
    reply = world.call("HandoverNoteService/ListHandoverNotes", request, as_="nurse")
    return [found.subject for found in reply.handover_notes]


def pointers(world: World, *ids: str) -> list[tuple[str | None, str | None]]:
    """What the record and the access projection say of who survives."""
    return [
        world.harness.admin(
            "SELECT b.surviving_id::text, p.surviving_id::text FROM beneficiary b"
            " JOIN access_person p USING (tenant_id, beneficiary_id) WHERE b.beneficiary_id = %s",
            (beneficiary_id,),
        )[0]
        for beneficiary_id in ids
    ]


def test_both_ids_answer_with_the_surviving_identity_and_everything_of_both(world: World) -> None:
    kept, other = world.open(birth_name="Le Goff"), world.open(birth_name="Legoff")
    for person in (kept, other):
        world.ask(person.beneficiary_id)
    note(world, kept.beneficiary_id, "kept")
    note(world, other.beneficiary_id, "other")
    merged = merge(world, kept.beneficiary_id, other.beneficiary_id)
    assert (merged.birth_name, list(merged.merged_beneficiary_ids)) == ("Le Goff", [other.beneficiary_id])
    assert world.read(other.beneficiary_id) == world.read(kept.beneficiary_id) == merged
    for beneficiary_id in (kept.beneficiary_id, other.beneficiary_id):
        assert subjects(world, beneficiary_id) == ["other", "kept"]
        admissions = stays_pb2.ListAdmissionsRequest(beneficiary_id=beneficiary_id)
        assert len(world.call("AdmissionService/ListAdmissions", admissions).admissions) == 2


def test_undoing_restores_what_was_and_leaves_what_came_after_with_the_surviving_record(world: World) -> None:
    kept, other = world.open(), world.open()
    for person in (kept, other):
        world.ask(person.beneficiary_id)
        note(world, person.beneficiary_id, "before")
    before = world.read(other.beneficiary_id)
    merge(world, kept.beneficiary_id, other.beneficiary_id)
    note(world, other.beneficiary_id, "after")
    assert unmerge(world, kept.beneficiary_id, other.beneficiary_id) == before
    assert subjects(world, other.beneficiary_id) == ["before"]
    assert subjects(world, kept.beneficiary_id) == ["after", "before"]
    rows = world.harness.admin(
        "SELECT kind, surviving_id::text, merged_id::text, reason, author_account_id::text FROM beneficiary_merge"
        " WHERE tenant_id = %s ORDER BY merge_id",
        (world.tenant,),
    )
    ids, author = (kept.beneficiary_id, other.beneficiary_id), world.accounts["director"]
    assert rows == [
        ("merge", *ids, "Doublon", author),
        ("unmerge", *ids, "Ce sont deux personnes", author),
    ]


def test_a_group_moves_together_and_comes_back_together(world: World) -> None:
    a, b, c = (world.open().beneficiary_id for _ in range(3))
    merge(world, b, a)
    merge(world, c, b)
    assert pointers(world, a, b, c) == [(c, c), (c, c), (None, None)]
    assert world.read(a).beneficiary_id == c
    restored = unmerge(world, c, b)
    assert (restored.beneficiary_id, list(restored.merged_beneficiary_ids)) == (b, [a])
    assert pointers(world, a, b, c) == [(b, b), (None, None), (None, None)]


def test_each_record_that_moves_is_announced_with_a_growing_version(world: World) -> None:
    a, b, c = (world.open().beneficiary_id for _ in range(3))
    merge(world, b, a)
    merge(world, c, b)
    unmerge(world, c, b)
    told = [facts_pb2.PersonChanged.FromString(payload) for _, payload in world.events(a, "PersonChanged")]
    assert [(fact.version, fact.surviving_id) for fact in told] == [(1, ""), (2, b), (3, c), (4, b)]
    assert [version for version, _ in world.events(c, "PersonChanged")] == [1]


def test_what_makes_no_sense_is_refused(world: World, elsewhere: World) -> None:
    a, b = world.open().beneficiary_id, world.open().beneficiary_id
    fictitious, stranger = world.open(fictitious=True).beneficiary_id, elsewhere.open().beneficiary_id
    for surviving, merged, reason, field in (
        (a, a, "MERGE_WITH_ITSELF", "merged_beneficiary_id"),
        (a, fictitious, "MERGE_OF_FICTITIOUS", "merged_beneficiary_id"),
        (a, stranger, "NOT_FOUND", "merged_beneficiary_id"),
        (stranger, a, "NOT_FOUND", "beneficiary_id"),
    ):
        with pytest.raises(CallFailed) as refusal:
            merge(world, surviving, merged)
        assert (refusal.value.reason, refusal.value.field) == (reason, field)
    merge(world, a, b)
    for surviving, merged in ((b, fictitious), (a, b), (b, a)):
        with pytest.raises(CallFailed) as refusal:
            merge(world, surviving, merged)
        assert refusal.value.reason == "ALREADY_MERGED"
    with pytest.raises(CallFailed) as refusal:
        unmerge(world, b, a)
    assert refusal.value.reason == "NOT_MERGED_HERE"
    with pytest.raises(CallFailed) as refusal:
        merge(world, a, fictitious, as_="secretary")
    assert refusal.value.reason == "RIGHT_MISSING"


def test_a_child_of_a_merged_record_is_reached_and_corrected_through_the_surviving_one(world: World) -> None:
    kept, other = world.open().beneficiary_id, world.open().beneficiary_id
    world.ask(other)
    allergy = world.call(
        "AllergyService/CreateAllergy",
        allergies_pb2.CreateAllergyRequest(
            beneficiary_id=other,
            allergy=allergies_pb2.Allergy(kind=allergies_pb2.ALLERGY_KIND_FOOD, substance="Arachide"),
        ),
    ).allergy
    merge(world, kept, other)
    request = allergies_pb2.GetAllergyRequest(beneficiary_id=kept, allergy_id=allergy.allergy_id)
    assert world.call("AllergyService/GetAllergy", request).allergy == allergy


# ---------------------------------------------------------------------------------------------------------------- races


def at_once(world: World, pairs: list[tuple[str, str]]) -> list[str]:
    """Merges at the same time; the outcome of each."""

    def one(pair: tuple[str, str]) -> str:
        try:
            merge(world, *pair)
        except CallFailed as failure:
            return failure.reason
        return "OK"

    with ThreadPoolExecutor(len(pairs)) as pool:
        return list(pool.map(one, pairs))


@pytest.mark.parametrize("attempt", range(5))
def test_two_records_merged_into_each_other_at_once_end_as_one_group(world: World, attempt: int) -> None:
    a, b = world.open().beneficiary_id, world.open().beneficiary_id
    outcomes = at_once(world, [(a, b), (b, a)])
    assert sorted(outcomes) == ["ALREADY_MERGED", "OK"]
    kept, other = (a, b) if outcomes[0] == "OK" else (b, a)
    assert pointers(world, kept, other) == [(None, None), (kept, kept)]


@pytest.mark.parametrize("attempt", range(3))
def test_merges_of_three_records_in_every_direction_at_once_leave_no_chain(world: World, attempt: int) -> None:
    ids = [world.open().beneficiary_id for _ in range(3)]
    outcomes = at_once(world, list(permutations(ids, 2)))
    assert set(outcomes) <= {"OK", "ALREADY_MERGED", "MERGED_MEANWHILE"}
    assert 1 <= outcomes.count("OK") <= 2
    survivors = dict(zip(ids, (pointer for pointer, _ in pointers(world, *ids)), strict=True))
    assert sum(pointer is not None for pointer in survivors.values()) == outcomes.count("OK")
    for pointer in survivors.values():
        assert pointer is None or survivors[pointer] is None
    assert all(ours == projected for ours, projected in pointers(world, *ids))


def waiting(world: World) -> int:
    """How many transactions wait for a lock of another one."""
    [(count,)] = world.harness.admin(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    return int(count)


@contextmanager
def unmerge_under_way(world: World, surviving: str, merged: str) -> Iterator[None]:
    """Within, an unmerge has changed the records and holds its locks; it commits at the end.

    The table of its last row is locked against writing: this is where it waits.
    """
    with ThreadPoolExecutor(1) as pool:
        with psycopg.connect(world.harness.database.admin_url) as holder:
            holder.execute("LOCK TABLE beneficiary_merge IN SHARE MODE")
            separated = pool.submit(unmerge, world, surviving, merged)
            eventually(lambda: waiting(world) == 1)
            yield
        separated.result()


def during_an_unmerge(world: World, surviving: str, merged: str, act: Callable[[], object]) -> str:
    """The outcome of a call that is allowed while an unmerge is under way, and gets its lock when that one has committed."""

    def one() -> str:
        try:
            act()
        except CallFailed as failure:
            return failure.reason
        return "OK"

    with ThreadPoolExecutor(1) as pool:
        with unmerge_under_way(world, surviving, merged):
            outcome = pool.submit(one)
            eventually(lambda: waiting(world) == 2)
        return outcome.result()


def test_a_death_recorded_while_its_record_is_taken_out_kills_nobody_else(world: World) -> None:
    living, other = world.open().beneficiary_id, world.open().beneficiary_id
    stay = world.admit(other)
    merge(world, living, other)
    death = stays_pb2.EXIT_REASON_DEATH
    outcome = during_an_unmerge(world, living, other, lambda: world.end(living, stay.stay_id, death))
    assert outcome == "MERGED_MEANWHILE"
    assert (world.read(living).died_on, world.read(other).died_on) == ("", "")
    world.end(other, stay.stay_id, death)
    assert (world.read(living).died_on, world.read(other).died_on) == ("", world.today.isoformat())


def test_a_request_for_admission_recorded_while_its_record_is_taken_out_is_nobody_elses(world: World) -> None:
    kept, other = world.open().beneficiary_id, world.open().beneficiary_id
    merge(world, kept, other)
    assert during_an_unmerge(world, kept, other, lambda: world.ask(other)) == "MERGED_MEANWHILE"
    for beneficiary_id in (kept, other):
        asked = stays_pb2.ListAdmissionsRequest(beneficiary_id=beneficiary_id)
        assert not world.call("AdmissionService/ListAdmissions", asked).admissions


def test_an_identity_corrected_while_its_record_is_taken_out_is_nobody_elses(world: World) -> None:
    living, other = world.open().beneficiary_id, world.open().beneficiary_id
    merged = merge(world, living, other)
    death = pb.UpdateBeneficiaryRequest(
        beneficiary_id=other,
        beneficiary=pb.Beneficiary(died_on=world.today.isoformat(), reason="Avis de décès"),
        update_mask=mask("died_on", "reason"),
    )

    def correct() -> object:
        return world.call("BeneficiaryService/UpdateBeneficiary", death, if_match=merged.etag)

    assert during_an_unmerge(world, living, other, correct) == "MERGED_MEANWHILE"
    assert (world.read(living).died_on, world.read(other).died_on) == ("", "")


def test_a_merge_asks_for_both_records_or_for_the_whole_association(world: World) -> None:
    """Otherwise a head of one facility would read everything of another facility's record by merging it into their own."""
    mine, foreign = world.open().beneficiary_id, world.open(as_="elsewhere", facility_id=world.workshop).beneficiary_id
    world.hire("head", DIRECTOR, facility_id=world.home)
    for surviving, merged in ((mine, foreign), (foreign, mine)):
        with pytest.raises(CallFailed) as refused:
            merge(world, surviving, merged, as_="head")
        assert (refused.value.code, refused.value.reason) == ("PERMISSION_DENIED", "MERGE_OUT_OF_REACH")
    merge(world, mine, world.open().beneficiary_id, as_="head")
    world.hire("head", DIRECTOR, facility_id=world.workshop)
    merge(world, mine, foreign, as_="head")


def test_a_merge_asks_for_a_second_factor(world: World) -> None:
    kept, other = world.open().beneficiary_id, world.open().beneficiary_id
    with pytest.raises(CallFailed) as refused:
        merge(world, kept, other, acr=1)
    assert refused.value.reason == "STEP_UP_REQUIRED"
