"""Drafts through the service: typed, their author's alone, gone after a week or when finished, all found for an access
request."""

from __future__ import annotations

from dataclasses import replace as replace_rule
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from dui.access.v1 import facts_pb2
from dui.options.v1.options_pb2 import Action, Category
from dui.records.v1 import allergies_pb2, handover_notes_pb2
from dui.records.v1 import drafts_pb2 as pb
from dui_kit.testing import CallFailed
from dui_kit.worker import WorkerContext
from dui_records.drafts import servicer
from dui_records.drafts.jobs import DELETE_EXPIRED_DRAFTS
from dui_records.testing import DIRECTOR, World

NOTE = pb.Draft(handover_note=pb.HandoverNoteDraft(category=Category.CATEGORY_NURSING, subject="Sommeil"))
ALLERGY = pb.Draft(allergy=pb.AllergyDraft(substance="Latex"))
EVENT = pb.Draft(medical_event=pb.MedicalEventDraft(label="Fracture"))


@pytest.fixture
def person(world: World) -> str:
    """Somebody who is present."""
    beneficiary_id = world.open().beneficiary_id
    world.admit(beneficiary_id)
    return beneficiary_id


def keep(world: World, person: str, draft: pb.Draft = NOTE, as_: str = "nurse") -> pb.Draft:
    request = pb.CreateDraftRequest(beneficiary_id=person, draft=draft)
    return world.call("DraftService/CreateDraft", request, as_=as_).draft  # type: ignore[no-any-return]


def listed(world: World, person: str, as_: str = "nurse", **options: Any) -> Any:
    return world.call("DraftService/ListDrafts", pb.ListDraftsRequest(beneficiary_id=person, **options), as_=as_)


def read(world: World, person: str, draft_id: str, as_: str = "nurse") -> pb.Draft:
    request = pb.GetDraftRequest(beneficiary_id=person, draft_id=draft_id)
    return world.call("DraftService/GetDraft", request, as_=as_).draft


def replace(world: World, person: str, draft: pb.Draft, content: pb.Draft, as_: str = "nurse") -> pb.Draft:
    request = pb.ReplaceDraftRequest(beneficiary_id=person, draft_id=draft.draft_id, draft=content)
    return world.call("DraftService/ReplaceDraft", request, as_=as_, if_match=draft.etag).draft  # type: ignore[no-any-return]


def delete(world: World, person: str, draft_id: str, as_: str = "nurse") -> None:
    world.call("DraftService/DeleteDraft", pb.DeleteDraftRequest(beneficiary_id=person, draft_id=draft_id), as_=as_)


def finish(world: World, person: str, draft_id: str, as_: str = "nurse") -> Any:
    note = handover_notes_pb2.HandoverNote(category=Category.CATEGORY_NURSING, subject="Sommeil", data="Nuit calme")
    request = handover_notes_pb2.CreateHandoverNoteRequest(beneficiary_id=person, handover_note=note, draft_id=draft_id)
    return world.call("HandoverNoteService/CreateHandoverNote", request, as_=as_).handover_note


def expire(world: World, draft: pb.Draft) -> None:
    world.harness.admin("UPDATE draft SET expires_at = now() - interval '1 s' WHERE draft_id = %s", (draft.draft_id,))


def count(world: World) -> int:
    [(number,)] = world.harness.admin("SELECT count(*) FROM draft WHERE tenant_id = %s", (world.tenant,))
    return int(number)


@pytest.mark.parametrize("draft", [NOTE, ALLERGY, EVENT], ids=["note", "allergy", "event"])
def test_an_unfinished_entry_is_kept_for_a_week(world: World, person: str, draft: pb.Draft) -> None:
    kept = keep(world, person, draft)
    assert kept.WhichOneof("entry") == draft.WhichOneof("entry")
    left = kept.expires_at.ToDatetime(UTC) - datetime.now(UTC)
    assert timedelta(days=6, hours=23) < left <= timedelta(days=7)
    assert list(listed(world, person).drafts) == [kept]


def test_drafts_are_listed_newest_first(world: World, person: str) -> None:
    kept = [keep(world, person) for _ in range(3)]
    first = listed(world, person, page_size=2)
    rest = listed(world, person, page_size=2, page_token=first.next_page_token)
    assert [*first.drafts, *rest.drafts] == kept[::-1]


def test_a_draft_is_its_authors_alone(world: World, person: str) -> None:
    draft = keep(world, person)
    assert read(world, person, draft.draft_id) == draft
    assert list(listed(world, person, "nurse2").drafts) == []
    for act in (
        lambda: read(world, person, draft.draft_id, "nurse2"),
        lambda: replace(world, person, draft, NOTE, "nurse2"),
        lambda: delete(world, person, draft.draft_id, "nurse2"),
        lambda: finish(world, person, draft.draft_id, "nurse2"),
    ):
        with pytest.raises(CallFailed) as refusal:
            act()
        assert (refusal.value.code, refusal.value.field) == ("NOT_FOUND", "draft_id")
    assert list(listed(world, person).drafts) == [draft]


def test_reading_drafts_is_journalled_as_reading(world: World, person: str) -> None:
    draft = keep(world, person)
    assert world.last_entry().action == Action.ACTION_WRITE
    listed(world, person)
    assert world.last_entry().action == Action.ACTION_READ
    read(world, person, draft.draft_id)
    entry = world.last_entry()
    assert (entry.action, entry.category) == (Action.ACTION_READ, Category.CATEGORY_NURSING)


def test_a_draft_is_in_no_list_of_the_record_and_in_no_event(world: World, person: str) -> None:
    draft = keep(world, person)
    request = handover_notes_pb2.ListHandoverNotesRequest(beneficiary_id=person)
    assert world.call("HandoverNoteService/ListHandoverNotes", request, as_="nurse").handover_notes == []
    assert world.events(draft.draft_id, "") == []


def test_replacing_a_draft_keeps_its_end_and_its_kind(world: World, person: str) -> None:
    draft = keep(world, person)
    longer = pb.Draft(handover_note=pb.HandoverNoteDraft(subject="Sommeil", data="Nuit"))
    replaced = replace(world, person, draft, longer)
    assert (replaced.handover_note.data, replaced.expires_at) == ("Nuit", draft.expires_at)
    with pytest.raises(CallFailed) as refusal:
        replace(world, person, draft, longer)
    assert refusal.value.reason == "ETAG_STALE"
    with pytest.raises(CallFailed) as refusal:
        replace(world, person, replaced, ALLERGY)
    assert refusal.value.reason == "DRAFT_KIND_FIXED"
    with pytest.raises(CallFailed) as refusal:
        keep(world, person, pb.Draft())
    assert refusal.value.code == "INVALID_ARGUMENT"


def test_nobody_drafts_what_they_could_not_write(world: World, person: str) -> None:
    medical = pb.Draft(handover_note=pb.HandoverNoteDraft(category=Category.CATEGORY_MEDICAL))
    for draft in (ALLERGY, EVENT, medical):
        with pytest.raises(CallFailed) as refusal:
            keep(world, person, draft, "educator")
        assert refusal.value.reason == "RIGHT_MISSING"
    with pytest.raises(CallFailed) as refusal:
        keep(
            world, person, pb.Draft(handover_note=pb.HandoverNoteDraft(category=Category.CATEGORY_JOURNAL)), "director"
        )
    assert refusal.value.field == "draft.handover_note.category"
    assert keep(world, person, pb.Draft(handover_note=pb.HandoverNoteDraft(subject="à voir")), "educator").draft_id


def test_a_draft_asks_for_what_its_entry_asks_for_and_for_nothing_it_is_refused(
    world: World, person: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(world, person, EVENT)
    assert world.last_entry().category == Category.CATEGORY_MEDICAL
    without = replace_rule(servicer._RULES["medical_event"], category=0, any_category=True)
    monkeypatch.setitem(servicer._RULES, "medical_event", without)
    with pytest.raises(CallFailed) as refusal:
        keep(world, person, EVENT, "director")
    assert refusal.value.reason == "RIGHT_MISSING"


def test_finishing_takes_the_draft_away_in_the_same_transaction(world: World, person: str) -> None:
    draft = keep(world, person)
    broken = handover_notes_pb2.CreateHandoverNoteRequest(
        beneficiary_id=person,
        handover_note=handover_notes_pb2.HandoverNote(category=Category.CATEGORY_NURSING, subject="Sommeil"),
        draft_id=draft.draft_id,
    )
    with pytest.raises(CallFailed):
        world.call("HandoverNoteService/CreateHandoverNote", broken, as_="nurse")
    assert list(listed(world, person).drafts) == [draft]
    assert finish(world, person, draft.draft_id).data == "Nuit calme"
    assert count(world) == 0
    with pytest.raises(CallFailed) as refusal:
        finish(world, person, draft.draft_id)
    assert refusal.value.field == "draft_id"


def test_a_draft_finishes_an_entry_of_its_kind_about_its_person(world: World, person: str) -> None:
    draft = keep(world, person)
    other = world.open(birth_name="Autre").beneficiary_id
    world.admit(other)
    allergy = allergies_pb2.Allergy(kind=allergies_pb2.ALLERGY_KIND_FOOD, substance="Arachide")
    request = allergies_pb2.CreateAllergyRequest(beneficiary_id=person, allergy=allergy, draft_id=draft.draft_id)
    with pytest.raises(CallFailed) as refusal:
        world.call("AllergyService/CreateAllergy", request)
    assert refusal.value.field == "draft_id"
    with pytest.raises(CallFailed) as refusal:
        finish(world, other, draft.draft_id)
    assert refusal.value.field == "draft_id"


def test_an_expired_draft_is_gone_for_everybody_before_it_is_deleted(world: World, person: str) -> None:
    draft, kept = keep(world, person), keep(world, person)
    expire(world, draft)
    assert list(listed(world, person).drafts) == [kept]
    for act in (
        lambda: replace(world, person, draft, NOTE),
        lambda: delete(world, person, draft.draft_id),
        lambda: finish(world, person, draft.draft_id),
    ):
        with pytest.raises(CallFailed) as refusal:
            act()
        assert refusal.value.code == "NOT_FOUND"
    delete(world, person, kept.draft_id)
    assert list(listed(world, person).drafts) == []


def test_the_job_deletes_what_expired_and_nothing_else(world: World, elsewhere: World, person: str) -> None:
    gone, kept = keep(world, person), keep(world, person)
    stranger = elsewhere.open().beneficiary_id
    elsewhere.admit(stranger)
    theirs = keep(elsewhere, stranger)
    expire(world, gone)
    expire(elsewhere, theirs)
    harness = world.harness
    DELETE_EXPIRED_DRAFTS.run(
        WorkerContext("records", harness.engine, harness.service.settings, lambda: [world.tenant])
    )
    assert [(count(where)) for where in (world, elsewhere)] == [1, 1]
    assert list(listed(world, person).drafts) == [kept]
    DELETE_EXPIRED_DRAFTS.run(
        WorkerContext("records", harness.engine, harness.service.settings, lambda: [elsewhere.tenant])
    )
    assert count(elsewhere) == 0


def export(world: World, person: str, **options: Any) -> pb.ExportDraftsResponse:
    request = pb.ExportDraftsRequest(beneficiary_id=person, **options.pop("page", {}))
    return world.call("DraftService/ExportDrafts", request, **options)  # type: ignore[no-any-return]


def test_an_answer_to_an_access_request_has_every_draft_about_the_person(world: World, person: str) -> None:
    drafts = [keep(world, person), keep(world, person, ALLERGY, "nurse2")]
    expire(world, keep(world, person))
    other = world.open(birth_name="Autre").beneficiary_id
    world.admit(other)
    keep(world, other)
    told = export(world, person)
    assert [each.draft.draft_id for each in told.drafts] == [draft.draft_id for draft in drafts]
    assert [each.author_account_id for each in told.drafts] == [world.accounts["nurse"], world.accounts["nurse2"]]
    assert told.drafts[1].draft.allergy.substance == "Latex"
    assert told.withheld == 0
    entry = world.last_entry()
    assert (entry.operation, entry.action) == ("dui.records.v1.DraftService/ExportDrafts", Action.ACTION_EXPORT)
    assert entry.beneficiary_id == person


def test_the_answer_goes_on_page_by_page(world: World, person: str) -> None:
    drafts = [keep(world, person).draft_id for _ in range(3)]
    first = export(world, person, page={"page_size": 2})
    rest = export(world, person, page={"page_size": 2, "page_token": first.next_page_token})
    assert [each.draft.draft_id for each in (*first.drafts, *rest.drafts)] == drafts
    assert not rest.next_page_token


def test_what_the_caller_may_not_export_is_counted_and_not_given(world: World, person: str) -> None:
    keep(world, person)
    keep(world, person, ALLERGY, "nurse2")
    rights = [facts_pb2.Right(category=Category.CATEGORY_ALERT, actions=[Action.ACTION_EXPORT])]
    policy = facts_pb2.PolicyChanged(policy_id=f"profession-{DIRECTOR}", version=2, profession=DIRECTOR, rights=rights)
    world.harness.facts(world.tenant, [policy])
    told = export(world, person)
    assert [each.draft.WhichOneof("entry") for each in told.drafts] == ["allergy"]
    assert told.withheld == 1


def test_nobody_exports_drafts_without_the_right_a_second_factor_or_by_an_emergency(world: World, person: str) -> None:
    keep(world, person)
    for options, reason in (({"as_": "nurse"}, "RIGHT_MISSING"), ({"acr": 1}, "STEP_UP_REQUIRED")):
        with pytest.raises(CallFailed) as refusal:
            export(world, person, **options)
        assert refusal.value.reason == reason
