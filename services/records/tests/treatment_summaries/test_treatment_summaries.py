"""What a reader of the record sees of a treatment: now, while medication is away, never known, and around a merge."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import grpc
import httpx
import pytest
from dui.medication.v1 import prescriptions_pb2
from dui.medication.v1 import treatment_plans_pb2 as plans
from dui.medication.v1 import treatment_snapshots_pb2 as medication
from dui.records.v1 import beneficiaries_pb2 as people
from dui.records.v1 import stays_pb2
from dui.records.v1 import treatment_summaries_pb2 as pb
from dui_kit.calls.credentials import ServiceToken
from dui_kit.calls.seals import Seals
from dui_kit.ids import new_id
from dui_kit.testing import CallFailed
from dui_kit.times import from_timestamp, to_timestamp
from dui_kit.worker import transaction
from dui_records.settings import RecordsSettings
from dui_records.testing import World
from dui_records.testing_treatments import FakeMedication, treatment
from dui_records.treatment_summaries import queries
from dui_records.treatment_summaries.remote import PAUSE_SECONDS, Away, RemoteTreatments, apart

#: The key of the harness.
SEALS = Seals("11" * 32)


def read(world: World, beneficiary_id: str, **options: Any) -> pb.TreatmentSummary:
    request = pb.GetTreatmentSummaryRequest(beneficiary_id=beneficiary_id)
    found: pb.TreatmentSummary = world.call(
        "TreatmentSummaryService/GetTreatmentSummary", request, **options
    ).treatment_summary
    return found


def labels(summary: pb.TreatmentSummary) -> list[str]:
    return [line.label for line in summary.lines]


def keep(world: World, snapshot: medication.TreatmentSnapshot, *, seals: Seals = SEALS) -> None:
    """As the worker does once it was told."""
    with transaction(world.harness.engine, "records", world.tenant) as call:
        queries.keep(call, seals, apart(snapshot))


def merge(world: World, surviving: str, merged: str) -> None:
    request = people.MergeBeneficiaryRequest(beneficiary_id=surviving, merged_beneficiary_id=merged, reason="Doublon")
    world.call("BeneficiaryService/MergeBeneficiary", request)


def unmerge(world: World, surviving: str, merged: str) -> None:
    request = people.UnmergeBeneficiaryRequest(
        beneficiary_id=surviving, merged_beneficiary_id=merged, reason="Deux personnes"
    )
    world.call("BeneficiaryService/UnmergeBeneficiary", request)


@pytest.fixture
def person(ward: World) -> str:
    """Somebody who lives in the facility."""
    found = ward.open().beneficiary_id
    ward.admit(found)
    return found


@pytest.fixture
def other(ward: World) -> str:
    """Another record, of somebody who works in the workshop."""
    found = ward.open().beneficiary_id
    ward.admit(found, facility_id=ward.workshop, modality=stays_pb2.STAY_MODALITY_WORK)
    return found


# ------------------------------------------------------------------------------------------------------------------- now


def test_what_medication_says_now_is_shown_as_current(ward: World, fake: FakeMedication, person: str) -> None:
    told = treatment(person, Paracétamol=person, Warfarine=person)
    fake.tell(told)
    summary = read(ward, person)
    assert summary == pb.TreatmentSummary(
        beneficiary_id=person,
        status=plans.TREATMENT_PLAN_STATUS_IN_FORCE,
        lines=told.lines,
        complete=True,
        current=True,
        read_at=told.read_at,
    )
    assert (fake.asked, fake.tenants) == ({person: 1}, {ward.tenant})


def test_nobody_with_a_treatment_is_an_empty_list_that_is_current(
    ward: World, fake: FakeMedication, person: str
) -> None:
    fake.tell(treatment(person))
    summary = read(ward, person)
    assert (labels(summary), summary.current) == ([], True)


def test_lines_that_medication_leaves_out_are_never_hidden(ward: World, fake: FakeMedication, person: str) -> None:
    told = treatment(person, Paracétamol=person)
    told.complete = False
    fake.tell(told)
    assert not read(ward, person).complete


def test_a_reading_writes_nothing(ward: World, fake: FakeMedication, person: str) -> None:
    fake.tell(treatment(person, Paracétamol=person))
    read(ward, person)
    assert ward.harness.admin("SELECT FROM treatment_summary WHERE tenant_id = %s", (ward.tenant,)) == []


def test_only_who_may_read_the_treatment_does(ward: World, fake: FakeMedication, person: str) -> None:
    fake.tell(treatment(person, Paracétamol=person))
    assert read(ward, person, as_="nurse").lines
    fake.asked.clear()
    for who in ("secretary", "educator"):
        with pytest.raises(CallFailed, match="RIGHT_MISSING"):
            read(ward, person, as_=who)
    with pytest.raises(CallFailed, match="NOT_FOUND"):
        read(ward, new_id())
    assert not fake.asked


# ------------------------------------------------------------------------------------------------------------------ away


def test_while_medication_is_away_what_was_kept_is_shown_with_its_age(
    ward: World, fake: FakeMedication, person: str
) -> None:
    told = treatment(person, Paracétamol=person)
    told.read_at.CopyFrom(to_timestamp(datetime.now(UTC) - timedelta(hours=3)))
    keep(ward, told)
    fake.stop()
    summary = read(ward, person)
    assert (labels(summary), summary.current, summary.complete) == (["Paracétamol"], False, True)
    assert from_timestamp(summary.read_at) == from_timestamp(told.read_at)


def test_a_treatment_that_was_never_known_is_a_refusal_that_says_so_not_an_empty_list(
    ward: World, fake: FakeMedication, person: str
) -> None:
    fake.stop()
    with pytest.raises(CallFailed) as refused:
        read(ward, person)
    assert (refused.value.code, refused.value.reason) == ("UNAVAILABLE", "TREATMENT_UNKNOWN")
    assert "ne veut pas dire qu'elle ne prend rien" in refused.value.message


def test_that_nothing_was_in_force_is_known_too(ward: World, fake: FakeMedication, person: str) -> None:
    keep(ward, treatment(person))
    fake.stop()
    summary = read(ward, person)
    assert (labels(summary), summary.current) == ([], False)


def test_a_medication_that_has_not_heard_of_the_person_yet_says_nothing_of_what_they_take(
    ward: World, fake: FakeMedication, person: str
) -> None:
    with pytest.raises(CallFailed, match="TREATMENT_UNKNOWN"):
        read(ward, person)
    keep(ward, treatment(person, Paracétamol=person))
    assert not read(ward, person).current
    assert fake.asked[person] == 2


@pytest.mark.parametrize("failure", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.PERMISSION_DENIED])
def test_a_medication_that_fails_is_one_that_is_away(
    ward: World, fake: FakeMedication, person: str, failure: grpc.StatusCode
) -> None:
    keep(ward, treatment(person, Paracétamol=person))
    fake.fails = failure
    assert not read(ward, person).current


def test_a_medication_that_hangs_holds_up_a_reader_for_half_a_second_and_after_two_nobody(
    ward: World, fake: FakeMedication, person: str
) -> None:
    keep(ward, treatment(person, Paracétamol=person))
    fake.tell(treatment(person, Warfarine=person))
    read(ward, person)  # the channel is open
    fake.slow = 3.0
    for _ in range(2):
        started = time.monotonic()
        assert not read(ward, person).current
        assert 0.4 < time.monotonic() - started < 2.0
    asked = fake.asked[person]
    for _ in range(5):
        assert labels(read(ward, person)) == ["Paracétamol"]
    assert fake.asked[person] == asked


def test_without_a_token_to_ask_with_medication_is_away(
    ward: World, person: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody(_self: ServiceToken, **_: Any) -> str:
        raise httpx.ConnectError("refused")

    monkeypatch.setattr(ServiceToken, "get", nobody)
    keep(ward, treatment(person, Paracétamol=person))
    assert not read(ward, person).current


def test_what_was_kept_is_sealed_and_what_another_key_sealed_is_not_known(
    ward: World, fake: FakeMedication, person: str
) -> None:
    keep(ward, treatment(person, Paracétamol=person), seals=Seals("22" * 32))
    [(sealed,)] = ward.harness.admin("SELECT sealed FROM treatment_summary WHERE beneficiary_id = %s", (person,))
    assert "Paracétamol".encode() not in sealed
    fake.stop()
    with pytest.raises(CallFailed, match="TREATMENT_UNKNOWN"):
        read(ward, person)


def test_what_was_kept_of_one_person_cannot_be_taken_for_anothers(
    ward: World, fake: FakeMedication, person: str, other: str
) -> None:
    keep(ward, treatment(person, Paracétamol=person))
    ward.harness.admin("UPDATE treatment_summary SET beneficiary_id = %s WHERE beneficiary_id = %s", (other, person))
    fake.stop()
    with pytest.raises(CallFailed, match="TREATMENT_UNKNOWN"):
        read(ward, other)


def test_a_line_that_is_over_since_is_shown_as_over_by_the_calendar_of_its_facility(
    ward: World, fake: FakeMedication, person: str
) -> None:
    """In Wallis and in Tahiti, 22 hours apart, it is never the same day for long."""
    told = treatment(person, Over=person, Last=person, Paused=person, Wallis=person, Tahiti=person)
    over, last, paused, *islands = told.lines
    paris = datetime.now(ZoneInfo("Europe/Paris")).date()
    over.ends_on = (paris - timedelta(days=1)).isoformat()
    last.ends_on = paris.isoformat()
    paused.status = prescriptions_pb2.LINE_STATUS_SUSPENDED
    paused.suspended_until.CopyFrom(to_timestamp(datetime.now(UTC) - timedelta(minutes=1)))
    utc = datetime.now(UTC).date()
    expected = []
    for line in islands:
        zone = f"Pacific/{line.label}"
        ward.place(line.facility_id, time_zone=zone)
        line.ends_on = utc.isoformat()
        over_there = datetime.now(ZoneInfo(zone)).date() > utc
        expected.append(prescriptions_pb2.LINE_STATUS_EXPIRED if over_there else prescriptions_pb2.LINE_STATUS_ACTIVE)
    keep(ward, told)
    fake.stop()
    assert [line.status for line in read(ward, person).lines] == [
        prescriptions_pb2.LINE_STATUS_EXPIRED,
        prescriptions_pb2.LINE_STATUS_ACTIVE,
        prescriptions_pb2.LINE_STATUS_ACTIVE,
        *expected,
    ]


def test_something_older_never_replaces_what_is_kept(ward: World, fake: FakeMedication, person: str) -> None:
    before, after = treatment(person, Avant=person), treatment(person, Après=person)
    assert from_timestamp(before.read_at) < from_timestamp(after.read_at)
    keep(ward, after)
    keep(ward, before)
    fake.stop()
    assert labels(read(ward, person)) == ["Après"]


# ---------------------------------------------------------------------------------------------------------------- merges


def test_a_merged_record_shows_the_treatment_of_the_whole_person(
    ward: World, fake: FakeMedication, person: str, other: str
) -> None:
    merge(ward, person, other)
    fake.tell(treatment(person, other, to_review=True, Un=person, Deux=other))
    for asked in (person, other):
        summary = read(ward, asked)
        assert (summary.beneficiary_id, labels(summary), summary.current) == (person, ["Un", "Deux"], True)
        assert summary.status == plans.TREATMENT_PLAN_STATUS_TO_REVIEW
    assert fake.asked == {person: 2}


def test_a_medication_that_has_not_heard_of_the_merge_yet_is_asked_for_each_record(
    ward: World, fake: FakeMedication, person: str, other: str
) -> None:
    fake.tell(treatment(person, Un=person), treatment(other, Deux=other))
    merge(ward, person, other)
    summary = read(ward, person)
    assert (labels(summary), summary.current) == (["Un", "Deux"], True)
    assert summary.status == plans.TREATMENT_PLAN_STATUS_TO_REVIEW


def test_a_medication_that_has_not_heard_yet_that_records_were_taken_apart_tells_nothing_of_the_other(
    ward: World, fake: FakeMedication, person: str, other: str
) -> None:
    merge(ward, person, other)
    fake.tell(treatment(person, other, to_review=True, Un=person, Deux=other))
    unmerge(ward, person, other)
    for asked, label in ((person, "Un"), (other, "Deux")):
        summary = read(ward, asked)
        assert (summary.beneficiary_id, labels(summary)) == (asked, [label])
        assert summary.status == plans.TREATMENT_PLAN_STATUS_IN_FORCE


def test_what_was_kept_of_two_records_before_their_merge_is_the_treatment_of_the_person(
    ward: World, fake: FakeMedication, person: str, other: str
) -> None:
    older = treatment(person, Un=person)
    keep(ward, older)
    keep(ward, treatment(other, Deux=other))
    merge(ward, person, other)
    fake.stop()
    summary = read(ward, other)
    assert (summary.beneficiary_id, labels(summary), summary.current) == (person, ["Un", "Deux"], False)
    assert summary.status == plans.TREATMENT_PLAN_STATUS_TO_REVIEW
    assert from_timestamp(summary.read_at) == from_timestamp(older.read_at)


def test_what_was_kept_of_one_of_two_merged_records_is_not_shown_for_the_whole(
    ward: World, fake: FakeMedication, person: str, other: str
) -> None:
    keep(ward, treatment(other, Deux=other))
    merge(ward, person, other)
    fake.stop()
    for asked in (person, other):
        with pytest.raises(CallFailed) as refused:
            read(ward, asked)
        assert (refused.value.code, refused.value.reason) == ("UNAVAILABLE", "TREATMENT_KNOWN_IN_PART")


def test_what_was_kept_of_a_merged_person_is_each_records_own_once_they_are_taken_apart(
    ward: World, fake: FakeMedication, person: str, other: str
) -> None:
    merge(ward, person, other)
    keep(ward, treatment(person, other, to_review=True, Un=person, Deux=other))
    unmerge(ward, person, other)
    fake.stop()
    for asked, label in ((person, "Un"), (other, "Deux")):
        summary = read(ward, asked)
        assert (summary.beneficiary_id, labels(summary), summary.current) == (asked, [label], False)
        assert summary.status == plans.TREATMENT_PLAN_STATUS_IN_FORCE


# ---------------------------------------------------------------------------------------------------------------- asking


def test_an_absent_medication_is_asked_again_by_one_at_a_time(fake: FakeMedication, person: str) -> None:
    clock = [1000.0]
    target = f"127.0.0.1:{fake.port}"
    treatments = RemoteTreatments(RecordsSettings(medication_target=target), clock=lambda: clock[0])

    def ask() -> None:
        treatments.ask(new_id(), [person], seconds=5.0)

    fake.tell(treatment(person))
    fake.fails = grpc.StatusCode.UNAVAILABLE
    for _ in range(2):
        with pytest.raises(Away, match="UNAVAILABLE"):
            ask()
    with pytest.raises(Away, match="PAUSED"):
        ask()
    assert fake.asked[person] == 2
    clock[0] += PAUSE_SECONDS
    with pytest.raises(Away, match="UNAVAILABLE"):
        ask()
    with pytest.raises(Away, match="PAUSED"):
        ask()
    clock[0] += PAUSE_SECONDS
    fake.fails = None
    for _ in range(3):
        ask()
    assert fake.asked[person] == 6
    treatments.close()


def test_an_answer_about_somebody_else_is_shown_to_nobody(fake: FakeMedication, person: str, other: str) -> None:
    treatments = RemoteTreatments(RecordsSettings(medication_target=f"127.0.0.1:{fake.port}"))
    fake.known[person] = treatment(other, Deux=other)
    with pytest.raises(LookupError):
        treatments.ask(new_id(), [person], seconds=5.0)
    treatments.close()
