"""Versioned entries through the service: every kind adds, reads, lists, corrects and shows its history alike; handover
notes are read by category."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from dui.journal.v1 import journal_pb2
from dui.options.v1.options_pb2 import Category
from dui.records.v1 import (
    allergies_pb2,
    beneficiaries_pb2,
    events_pb2,
    handover_notes_pb2,
    medical_events_pb2,
    relations_pb2,
    stays_pb2,
)
from dui_kit.testing import CallFailed
from dui_kit.times import to_timestamp
from dui_records.medical_events import servicer
from dui_records.medical_events.tables import medical_event as medical_event_table
from dui_records.testing import DIRECTOR, EDUCATOR, NURSE, World, mask


@dataclass(frozen=True)
class Kind:
    """One kind of entry, as a client sees it."""

    service: str
    plural: str
    name: str
    listed: str
    contract: Any
    entry: Callable[..., Any]
    #: A field, and another value of it.
    change: tuple[str, str]

    def request(self, verb: str, **fields: Any) -> Any:
        what = self.plural if verb == "List" else self.service
        if verb == "Versions":
            return getattr(self.contract, f"List{self.service}VersionsRequest")(**fields)
        return getattr(self.contract, f"{verb}{what}Request")(**fields)

    def call(self, world: World, verb: str, *, options: dict[str, Any] | None = None, **fields: Any) -> Any:
        method = {"List": f"List{self.plural}", "Versions": f"List{self.service}Versions"}.get(
            verb, verb + self.service
        )
        return world.call(f"{self.service}Service/{method}", self.request(verb, **fields), **(options or {}))

    def add(self, world: World, beneficiary_id: str, **changes: Any) -> Any:
        reply = self.call(world, "Create", beneficiary_id=beneficiary_id, **{self.name: self.entry(**changes)})
        return getattr(reply, self.name)

    def id_of(self, entry: Any) -> str:
        return str(getattr(entry, f"{self.name}_id"))


def relation(**changes: Any) -> relations_pb2.Relation:
    return relations_pb2.Relation(**({"family_name": "Petit", "kind": relations_pb2.RELATION_KIND_CHILD} | changes))


def allergy(**changes: Any) -> allergies_pb2.Allergy:
    return allergies_pb2.Allergy(
        **({"kind": allergies_pb2.ALLERGY_KIND_MEDICATION, "substance": "Pénicilline"} | changes)
    )


def medical_event(**changes: Any) -> medical_events_pb2.MedicalEvent:
    values = {"kind": medical_events_pb2.MEDICAL_EVENT_KIND_SURGICAL, "label": "Appendicectomie"} | changes
    return medical_events_pb2.MedicalEvent(**values)


def note(**changes: Any) -> handover_notes_pb2.HandoverNote:
    values = {"category": Category.CATEGORY_NURSING, "subject": "Sommeil", "data": "Nuit calme"} | changes
    return handover_notes_pb2.HandoverNote(**values)


RELATION = Kind("Relation", "Relations", "relation", "relations", relations_pb2, relation, ("family_name", "Grand"))
ALLERGY = Kind("Allergy", "Allergies", "allergy", "allergies", allergies_pb2, allergy, ("substance", "Amoxicilline"))
EVENT = Kind(
    "MedicalEvent",
    "MedicalEvents",
    "medical_event",
    "medical_events",
    medical_events_pb2,
    medical_event,
    ("label", "Hernie"),
)
NOTE = Kind(
    "HandoverNote", "HandoverNotes", "handover_note", "handover_notes", handover_notes_pb2, note, ("data", "Agitée")
)
every_kind = pytest.mark.parametrize("kind", [RELATION, ALLERGY, EVENT, NOTE], ids=lambda kind: kind.name)


@pytest.fixture
def person(world: World) -> str:
    """Somebody who is present."""
    beneficiary_id = world.open().beneficiary_id
    world.admit(beneficiary_id)
    return beneficiary_id


def correct(
    world: World, kind: Kind, beneficiary_id: str, entry: Any, /, *, as_: str = "director", **changes: Any
) -> Any:
    request = {
        "beneficiary_id": beneficiary_id,
        f"{kind.name}_id": kind.id_of(entry),
        kind.name: type(entry)(**changes),
        "update_mask": mask(*changes),
    }
    reply = kind.call(world, "Update", options={"as_": as_, "if_match": entry.etag}, **request)
    return getattr(reply, kind.name)


def get(world: World, kind: Kind, beneficiary_id: str, entry: Any, **options: Any) -> Any:
    reply = kind.call(
        world, "Get", options=options, beneficiary_id=beneficiary_id, **{f"{kind.name}_id": kind.id_of(entry)}
    )
    return getattr(reply, kind.name)


# ----------------------------------------------------------------------------------------------------------- every kind


@every_kind
def test_an_entry_is_added_read_and_listed_newest_first(world: World, person: str, kind: Kind) -> None:
    entries = [kind.add(world, person) for _ in range(3)]
    assert entries[0].version.version == 1
    assert entries[0].version.author_account_id == world.accounts["director"]
    assert get(world, kind, person, entries[0]) == entries[0]
    first = kind.call(world, "List", beneficiary_id=person, page_size=2)
    rest = kind.call(world, "List", beneficiary_id=person, page_size=2, page_token=first.next_page_token)
    assert [*getattr(first, kind.listed), *getattr(rest, kind.listed)] == entries[::-1]
    assert rest.next_page_token == ""


@every_kind
def test_a_correction_is_a_new_version_with_its_author_and_reason(world: World, person: str, kind: Kind) -> None:
    entry = kind.add(world, person)
    field, value = kind.change
    with pytest.raises(CallFailed) as refusal:
        correct(world, kind, person, entry, **{field: value})
    assert (refusal.value.reason, refusal.value.field) == ("REASON_REQUIRED", "reason")
    corrected = correct(world, kind, person, entry, **{field: value}, reason="Erreur de saisie")
    assert getattr(corrected, field) == value
    assert get(world, kind, person, entry) == corrected
    again = correct(world, kind, person, corrected, **{field: value}, reason="Encore")
    request = {"beneficiary_id": person, f"{kind.name}_id": kind.id_of(entry)}
    versions = kind.call(world, "Versions", **request).versions
    assert [(v.version.version, v.reason) for v in versions] == [(3, "Encore"), (2, "Erreur de saisie"), (1, "")]
    assert getattr(versions[2], field) == getattr(entry, field) != value
    assert again.version.version == 3


@every_kind
def test_a_correction_needs_the_version_that_was_read(world: World, person: str, kind: Kind) -> None:
    entry = kind.add(world, person)
    field, value = kind.change
    correct(world, kind, person, entry, **{field: value}, reason="Erreur")
    with pytest.raises(CallFailed) as refusal:
        correct(world, kind, person, entry, **{field: value}, reason="Erreur")
    assert refusal.value.reason == "ETAG_STALE"


@every_kind
def test_a_correction_without_its_reason_in_the_mask_does_not_reuse_the_last_one(
    world: World, person: str, kind: Kind
) -> None:
    entry = kind.add(world, person)
    field, value = kind.change
    corrected = correct(world, kind, person, entry, **{field: value}, reason="Erreur")
    with pytest.raises(CallFailed) as refusal:
        correct(world, kind, person, corrected, **{field: value})
    assert refusal.value.reason == "REASON_REQUIRED"


@every_kind
def test_an_entry_of_somebody_else_is_not_found(world: World, elsewhere: World, person: str, kind: Kind) -> None:
    entry = kind.add(world, person)
    other = world.open(birth_name="Autre").beneficiary_id
    world.admit(other)
    stranger = elsewhere.open().beneficiary_id
    elsewhere.admit(stranger)
    for where, whose in ((world, other), (elsewhere, stranger)):
        for act in (
            lambda where=where, whose=whose: get(where, kind, whose, entry),
            lambda where=where, whose=whose: correct(where, kind, whose, entry, reason="x"),
            lambda where=where, whose=whose: kind.call(
                where, "Versions", beneficiary_id=whose, **{f"{kind.name}_id": kind.id_of(entry)}
            ),
        ):
            with pytest.raises(CallFailed) as refusal:
                act()
            assert (refusal.value.code, refusal.value.field) == ("NOT_FOUND", f"{kind.name}_id")
    with pytest.raises(CallFailed) as refusal:
        elsewhere.call(f"{kind.service}Service/List{kind.plural}", kind.request("List", beneficiary_id=person))
    assert refusal.value.code == "NOT_FOUND"
    assert get(world, kind, person, entry) == entry


# -------------------------------------------------------------------------------------------------- relations, allergies


def test_there_is_one_trusted_person_at_a_time(world: World, person: str) -> None:
    first = RELATION.add(world, person, trusted_person=True)
    with pytest.raises(CallFailed) as refusal:
        RELATION.add(world, person, trusted_person=True)
    assert (refusal.value.code, refusal.value.field) == ("ALREADY_EXISTS", "relation.trusted_person")
    correct(
        world, RELATION, person, first, ended_on=world.today.isoformat(), reason="Décès de la personne de confiance"
    )
    assert RELATION.add(world, person, trusted_person=True).trusted_person


def merge(world: World, surviving: str, merged: str) -> None:
    request = beneficiaries_pb2.MergeBeneficiaryRequest(
        beneficiary_id=surviving, merged_beneficiary_id=merged, reason="Doublon"
    )
    world.call("BeneficiaryService/MergeBeneficiary", request)


@pytest.fixture
def double(world: World) -> str:
    """A second record of the person, not merged yet."""
    beneficiary_id = world.open().beneficiary_id
    world.ask(beneficiary_id)
    return beneficiary_id


def trusted(world: World, beneficiary_id: str) -> list[str]:
    """The trusted persons in force, by name."""
    listed = RELATION.call(world, "List", beneficiary_id=beneficiary_id).relations
    return sorted(found.family_name for found in listed if found.trusted_person and not found.ended_on)


def outcome(act: Callable[[], object]) -> str:
    """OK, or the reason of the refusal."""
    try:
        act()
    except CallFailed as failure:
        return failure.reason
    return "OK"


def test_there_is_one_trusted_person_at_a_time_across_merged_records(world: World, person: str, double: str) -> None:
    designated = RELATION.add(world, double, family_name="Un", trusted_person=True)
    friend = RELATION.add(world, person, family_name="Deux")
    ended = RELATION.add(world, person, family_name="Trois", trusted_person=True, ended_on=world.today.isoformat())
    merge(world, person, double)
    for designate in (
        lambda: RELATION.add(world, person, family_name="Quatre", trusted_person=True),
        lambda: RELATION.add(world, double, family_name="Quatre", trusted_person=True),
        lambda: correct(world, RELATION, person, friend, trusted_person=True, reason="Désignée ce matin"),
        lambda: correct(world, RELATION, person, ended, ended_on=None, reason="Fin saisie par erreur"),
    ):
        with pytest.raises(CallFailed) as refusal:
            designate()
        assert (refusal.value.reason, refusal.value.field) == ("TRUSTED_PERSON_EXISTS", "relation.trusted_person")
    assert trusted(world, person) == ["Un"]
    correct(world, RELATION, person, designated, ended_on=world.today.isoformat(), reason="Nouvelle désignation")
    correct(world, RELATION, person, friend, trusted_person=True, reason="Désignée ce matin")
    assert trusted(world, double) == ["Deux"]


def test_a_merge_keeps_the_trusted_person_of_each_record_and_takes_no_third(
    world: World, person: str, double: str
) -> None:
    """Each was designated, and nobody but the person can say who it is now: both are told until one is ended."""
    one = RELATION.add(world, person, family_name="Un", trusted_person=True)
    RELATION.add(world, double, family_name="Deux", trusted_person=True)
    merge(world, person, double)
    assert trusted(world, person) == ["Deux", "Un"]
    third = outcome(lambda: RELATION.add(world, person, family_name="Trois", trusted_person=True))
    assert third == "TRUSTED_PERSON_EXISTS"
    # A telephone number can be corrected meanwhile: nobody is designated by it.
    one = correct(world, RELATION, person, one, phone="0612345678", reason="Nouveau numéro")
    correct(world, RELATION, person, one, ended_on=world.today.isoformat(), reason="L'autre est la bonne")
    assert trusted(world, person) == ["Deux"]


@pytest.mark.parametrize("attempt", range(4))
def test_of_two_trusted_persons_designated_in_merged_records_at_once_one_is_refused(
    world: World, person: str, double: str, attempt: int
) -> None:
    merge(world, person, double)

    def designate(beneficiary_id: str) -> str:
        return outcome(lambda: RELATION.add(world, beneficiary_id, trusted_person=True))

    with ThreadPoolExecutor(2) as pool:
        outcomes = sorted(pool.map(designate, (person, double)))
    assert outcomes == ["OK", "TRUSTED_PERSON_EXISTS"]
    assert len(trusted(world, person)) == 1


@pytest.mark.parametrize("attempt", range(4))
def test_of_two_relations_of_merged_records_made_trusted_at_once_one_is_refused(
    world: World, person: str, double: str, attempt: int
) -> None:
    """Each stays in its own record, where the database sees one only."""
    relations = [RELATION.add(world, beneficiary_id) for beneficiary_id in (person, double)]
    merge(world, person, double)

    def designate(entry: Any) -> str:
        return outcome(lambda: correct(world, RELATION, person, entry, trusted_person=True, reason="Désignée"))

    with ThreadPoolExecutor(2) as pool:
        outcomes = sorted(pool.map(designate, relations))
    assert outcomes == ["OK", "TRUSTED_PERSON_EXISTS"]
    assert len(trusted(world, person)) == 1


def test_everything_told_of_a_relation_is_kept(world: World, person: str) -> None:
    told = relation(
        given_name="Lou",
        legal_role=relations_pb2.LEGAL_ROLE_TUTELLE,
        phone="0612345678",
        email="lou@example.org",
        address="1 rue des Lilas\n35000 Rennes",
        call_order=1,
    )
    reply = RELATION.call(world, "Create", beneficiary_id=person, relation=told).relation
    for field in ("given_name", "legal_role", "phone", "email", "address", "call_order"):
        assert getattr(reply, field) == getattr(told, field)
    with pytest.raises(CallFailed) as refusal:
        RELATION.add(world, person, call_order=2)
    assert (refusal.value.reason, refusal.value.field) == ("CALL_WITHOUT_PHONE", "relation.phone")


def test_an_allergy_is_announced_without_its_substance(world: World, person: str) -> None:
    entry = ALLERGY.add(world, person, noticed_on="2019")
    assert entry.status == allergies_pb2.ALLERGY_STATUS_REPORTED
    correct(world, ALLERGY, person, entry, status=allergies_pb2.ALLERGY_STATUS_REFUTED, reason="Test négatif")
    events = world.events(entry.allergy_id, "AllergyChanged")
    assert [version for version, _ in events] == [1, 2]
    assert all(b"nicilline" not in payload for _, payload in events)


def test_a_bad_code_or_date_of_the_history_is_refused(world: World, person: str) -> None:
    for changes, field in (
        ({"icd10_code": "diabète"}, "icd10_code"),
        ({"started_on": "2150"}, "started_on"),
        ({"started_on": "2019", "ended_on": "2018"}, "ended_on"),
    ):
        with pytest.raises(CallFailed) as refusal:
            EVENT.add(world, person, **changes)
        assert (refusal.value.code, refusal.value.field) == ("INVALID_ARGUMENT", f"medical_event.{field}")


def test_a_kind_with_a_category_is_closed_by_it_without_a_line_of_its_own(
    world: World, person: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if the kind of a medical event were its category: 4, medical, and 5, nursing, are open to nurses, 3, social, is not.
    medical, nursing, social = Category.CATEGORY_MEDICAL, Category.CATEGORY_NURSING, Category.CATEGORY_SOCIAL
    by_kind = replace(servicer.MEDICAL_EVENT, category=medical_event_table.c.kind)
    monkeypatch.setattr(servicer, "MEDICAL_EVENT", by_kind)
    told = medical_event(kind=social)
    with pytest.raises(CallFailed) as refusal:
        EVENT.call(world, "Create", options={"as_": "nurse"}, beneficiary_id=person, medical_event=told)
    assert refusal.value.reason == "RIGHT_MISSING"
    entry = EVENT.add(world, person, kind=medical)
    assert world.last_entry().category == medical
    with pytest.raises(CallFailed) as refusal:
        correct(world, EVENT, person, entry, as_="nurse", kind=social, reason="Précision")
    assert refusal.value.reason == "RIGHT_MISSING"
    closed = correct(world, EVENT, person, entry, kind=social, reason="Précision")
    for act in (
        lambda: get(world, EVENT, person, closed, as_="nurse"),
        lambda: correct(world, EVENT, person, closed, as_="nurse", kind=medical, reason="Précision"),
    ):
        with pytest.raises(CallFailed) as refusal:
            act()
        assert refusal.value.code == "NOT_FOUND"
    correct(world, EVENT, person, closed, kind=nursing, reason="Précision")
    seen = EVENT.call(
        world, "Versions", options={"as_": "nurse"}, beneficiary_id=person, medical_event_id=entry.medical_event_id
    )
    assert [version.kind for version in seen.versions] == [nursing, medical]


# ------------------------------------------------------------------------------------------------------- handover notes


def write(world: World, person: str, category: int, as_: str, **changes: Any) -> Any:
    entry = note(category=category, **changes)
    return NOTE.call(world, "Create", options={"as_": as_}, beneficiary_id=person, handover_note=entry).handover_note


def test_the_category_of_a_note_decides_who_reads_it(world: World, person: str) -> None:
    nursing = write(world, person, Category.CATEGORY_NURSING, "nurse")
    educational = write(world, person, Category.CATEGORY_EDUCATIONAL, "educator")
    medical = write(world, person, Category.CATEGORY_MEDICAL, "nurse")

    def read(as_: str) -> list[str]:
        reply = NOTE.call(world, "List", options={"as_": as_}, beneficiary_id=person)
        return [found.handover_note_id for found in reply.handover_notes]

    assert read("nurse") == [medical.handover_note_id, nursing.handover_note_id]
    assert read("educator") == [educational.handover_note_id]
    assert read("director") == [entry.handover_note_id for entry in (medical, educational, nursing)]
    assert read("secretary") == []
    with pytest.raises(CallFailed) as refusal:
        get(world, NOTE, person, medical, as_="educator")
    assert refusal.value.code == "NOT_FOUND"
    with pytest.raises(CallFailed) as refusal:
        write(world, person, Category.CATEGORY_MEDICAL, "educator")
    assert refusal.value.reason == "RIGHT_MISSING"
    with pytest.raises(CallFailed) as refusal:
        write(world, person, Category.CATEGORY_JOURNAL, "director")
    assert (refusal.value.reason, refusal.value.field) == ("ENUM_UNKNOWN", "handover_note.category")
    with pytest.raises(CallFailed) as refusal:
        correct(world, NOTE, person, medical, category=Category.CATEGORY_JOURNAL, reason="Précision")
    assert (refusal.value.reason, refusal.value.field) == ("ENUM_UNKNOWN", "handover_note.category")


def test_who_asks_for_a_note_of_a_closed_category_is_told_nothing_and_the_journal_keeps_why(
    world: World, person: str
) -> None:
    entry = write(world, person, Category.CATEGORY_MEDICAL, "nurse")
    named = {"beneficiary_id": person, "handover_note_id": entry.handover_note_id}
    for act in (
        lambda: get(world, NOTE, person, entry, as_="educator"),
        lambda: NOTE.call(world, "Versions", options={"as_": "educator"}, **named),
        lambda: correct(world, NOTE, person, entry, as_="educator", data="Autre", reason="Précision"),
    ):
        with pytest.raises(CallFailed) as refusal:
            act()
        assert (refusal.value.code, refusal.value.reason) == ("NOT_FOUND", "NOT_FOUND")
        kept = world.last_entry()
        assert (kept.outcome, kept.reason, kept.resource_id) == (
            journal_pb2.JOURNAL_OUTCOME_DENIED,
            "RIGHT_MISSING",
            entry.handover_note_id,
        )


def test_a_note_is_of_now_unless_it_says_when(world: World, person: str) -> None:
    before = datetime.now(UTC)
    assert write(world, person, Category.CATEGORY_NURSING, "nurse").observed_at.ToDatetime(UTC) >= before - timedelta(
        seconds=1
    )
    soon = to_timestamp(datetime.now(UTC) + timedelta(minutes=4))
    assert write(world, person, Category.CATEGORY_NURSING, "nurse", observed_at=soon).observed_at == soon
    with pytest.raises(CallFailed) as refusal:
        write(
            world,
            person,
            Category.CATEGORY_NURSING,
            "nurse",
            observed_at=to_timestamp(datetime.now(UTC) + timedelta(minutes=6)),
        )
    assert (refusal.value.reason, refusal.value.field) == ("OBSERVED_IN_THE_FUTURE", "handover_note.observed_at")


def test_only_its_author_corrects_a_note(world: World, person: str) -> None:
    entry = write(world, person, Category.CATEGORY_NURSING, "nurse")
    with pytest.raises(CallFailed) as refusal:
        correct(world, NOTE, person, entry, as_="nurse2", data="Autre", reason="Précision")
    assert (refusal.value.code, refusal.value.reason) == ("PERMISSION_DENIED", "NOT_THE_AUTHOR")
    assert correct(world, NOTE, person, entry, as_="nurse", data="Autre", reason="Précision").data == "Autre"


def test_a_note_moved_to_another_category_hides_its_versions_from_who_may_not_read_them(
    world: World, person: str
) -> None:
    entry = write(world, person, Category.CATEGORY_EDUCATIONAL, "director")
    with pytest.raises(CallFailed) as refusal:
        correct(world, NOTE, person, write(world, person, 9, "educator"), as_="educator", category=4, reason="x")
    assert refusal.value.reason == "RIGHT_MISSING"
    moved = correct(world, NOTE, person, entry, category=Category.CATEGORY_MEDICAL, reason="Secret médical")
    with pytest.raises(CallFailed) as refusal:
        get(world, NOTE, person, entry, as_="educator")
    assert refusal.value.code == "NOT_FOUND"
    request = {"beneficiary_id": person, "handover_note_id": moved.handover_note_id}
    seen = NOTE.call(world, "Versions", options={"as_": "nurse"}, **request).versions
    assert [found.version.version for found in seen] == [2]
    seen = NOTE.call(world, "Versions", options={"as_": "director"}, **request).versions
    assert [found.version.version for found in seen] == [2, 1]


def test_the_event_of_a_note_tells_its_category_and_priority_only(world: World, person: str) -> None:
    urgent = handover_notes_pb2.HANDOVER_PRIORITY_URGENT
    entry = write(world, person, Category.CATEGORY_NURSING, "nurse", priority=urgent, data="Chute dans la nuit")
    [(_, payload)] = world.events(entry.handover_note_id, "HandoverNoteChanged")
    event = events_pb2.HandoverNoteChanged.FromString(payload)
    assert (event.category, event.priority, event.beneficiary_id) == (Category.CATEGORY_NURSING, urgent, person)
    assert b"Chute" not in payload


# ------------------------------------------------------------------------------------------------- notes of a facility


def handover(world: World, as_: str = "nurse", **options: Any) -> Any:
    request = handover_notes_pb2.ListFacilityHandoverNotesRequest(facility_id=world.home, **options)
    return world.call("HandoverNoteService/ListFacilityHandoverNotes", request, as_=as_)


def ids(notes: Any) -> list[str]:
    return [found.handover_note_id for found in notes]


def test_the_handover_of_a_facility_reads_the_notes_of_the_persons_present(world: World, person: str) -> None:
    other = world.open(birth_name="Autre").beneficiary_id
    stay = world.admit(other, unit_id=world.unit, started_on=world.today - timedelta(days=9))
    candidate = world.open(birth_name="Candidat").beneficiary_id
    world.ask(candidate)
    write(world, candidate, Category.CATEGORY_NURSING, "nurse")
    notes = [write(world, who, Category.CATEGORY_NURSING, "nurse") for who in (person, other, person)]
    write(world, person, Category.CATEGORY_EDUCATIONAL, "educator")
    first = handover(world, page_size=2)
    rest = handover(world, page_size=2, page_token=first.next_page_token)
    assert ids([*first.handover_notes, *rest.handover_notes]) == ids(notes[::-1])
    assert ids(handover(world, unit_id=world.unit).handover_notes) == [notes[1].handover_note_id]
    world.end(other, stay.stay_id, stays_pb2.EXIT_REASON_RETURN_HOME, ended_on=world.today - timedelta(days=3))
    assert ids(handover(world).handover_notes) == [notes[2].handover_note_id, notes[0].handover_note_id]


def test_the_handover_shows_a_note_only_where_its_category_is_open_for_that_person(world: World, person: str) -> None:
    here, there = (world.open(birth_name=name).beneficiary_id for name in ("Ici", "Voisin"))
    world.admit(here, unit_id=world.unit)
    world.admit(there, unit_id=world.other_unit)
    nursing, educational = (
        {who: write(world, who, category, as_).handover_note_id for who in (here, there)}
        for category, as_ in ((Category.CATEGORY_NURSING, "nurse"), (Category.CATEGORY_EDUCATIONAL, "educator"))
    )
    # A nurse in one unit who is an educator in the other reads in each what their work there opens.
    world.hire("both", NURSE, facility_id=world.home, unit_id=world.unit)
    world.hire("both", EDUCATOR, facility_id=world.home, unit_id=world.other_unit)
    assert set(ids(handover(world, as_="both").handover_notes)) == {nursing[here], educational[there]}
    # A second request opens the person to the whole facility, for what an admission needs: no care with it.
    world.hire("ward nurse", NURSE, facility_id=world.home, unit_id=world.unit)
    world.ask(there, modality=stays_pb2.STAY_MODALITY_DAY, accepted=False)
    assert ids(handover(world, as_="ward nurse").handover_notes) == [nursing[here]]


def test_the_handover_includes_what_was_written_in_a_merged_record(world: World, person: str) -> None:
    old = world.open(birth_name="Doublon").beneficiary_id
    world.ask(old)
    entry = write(world, old, Category.CATEGORY_NURSING, "nurse")
    request = beneficiaries_pb2.MergeBeneficiaryRequest(
        beneficiary_id=person, merged_beneficiary_id=old, reason="Doublon"
    )
    world.call("BeneficiaryService/MergeBeneficiary", request)
    assert ids(handover(world).handover_notes) == [entry.handover_note_id]


def test_the_handover_shows_a_note_once_when_both_merged_records_are_present(world: World, person: str) -> None:
    twin = world.open(birth_name="Doublon").beneficiary_id
    world.admit(twin, modality=stays_pb2.STAY_MODALITY_DAY)
    notes = [write(world, who, Category.CATEGORY_NURSING, "nurse") for who in (person, twin)]
    request = beneficiaries_pb2.MergeBeneficiaryRequest(
        beneficiary_id=person, merged_beneficiary_id=twin, reason="Doublon"
    )
    world.call("BeneficiaryService/MergeBeneficiary", request)
    assert ids(handover(world).handover_notes) == ids(notes[::-1])


def test_the_handover_reads_a_day_by_default_and_a_month_at_most(world: World, person: str) -> None:
    write(world, person, Category.CATEGORY_NURSING, "nurse")
    assert handover(world, since=to_timestamp(datetime.now(UTC) + timedelta(minutes=1))).handover_notes == []
    assert len(handover(world, since=to_timestamp(datetime.now(UTC) - timedelta(days=30))).handover_notes) == 1
    with pytest.raises(CallFailed) as refusal:
        handover(world, since=to_timestamp(datetime.now(UTC) - timedelta(days=32)))
    assert (refusal.value.reason, refusal.value.field) == ("PERIOD_TOO_LONG", "since")


def test_the_handover_of_another_facility_is_refused(world: World, person: str) -> None:
    world.hire("other head", DIRECTOR, facility_id=world.workshop)
    with pytest.raises(CallFailed) as refusal:
        handover(world, "other head")
    assert refusal.value.code == "PERMISSION_DENIED"
