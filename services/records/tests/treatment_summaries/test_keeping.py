"""What medication says is kept whenever it announces a change: by the worker of records, with its own account, on a real NATS."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import psycopg
import pytest
from dui.medication.v1 import events_pb2
from dui.medication.v1 import treatment_snapshots_pb2 as medication
from dui.records.v1 import beneficiaries_pb2 as people
from dui_kit.calls.outbox import Outbox
from dui_kit.calls.seals import Seals
from dui_kit.ids import new_id
from dui_kit.service import Service
from dui_kit.settings import ServiceSettings
from dui_kit.testing import Database, Harness, create_database
from dui_kit.times import from_timestamp
from dui_kit.worker import Event, Reject, WorkerContext, transaction
from dui_kit.worker.applying import Applier, Verdict
from dui_kit.worker.delivery import Delivery
from dui_kit.worker.testing import FakeService, Nats, nats_running, running, soon
from dui_records.app import build
from dui_records.settings import RecordsSettings
from dui_records.testing import World
from dui_records.testing_treatments import FakeMedication, treatment
from dui_records.treatment_summaries.keeping import SUBJECT, Keeper
from dui_records.treatment_summaries.remote import RemoteTreatments
from dui_records.treatment_summaries.rules import REFRESH_AFTER
from pydantic import SecretStr

SEALS = Seals("11" * 32)


def changed(record_id: str, line_id: str = "", version: int = 1) -> events_pb2.PrescriptionLineChanged:
    return events_pb2.PrescriptionLineChanged(
        prescription_line_id=line_id or new_id(),
        version=version,
        beneficiary_id=record_id,
        change=events_pb2.LINE_CHANGE_SIGNED,
    )


def kept(world: World, record_id: str) -> medication.TreatmentSnapshot | None:
    rows = world.harness.admin(
        "SELECT read_at, sealed FROM treatment_summary WHERE tenant_id = %s AND beneficiary_id = %s",
        (world.tenant, record_id),
    )
    if not rows:
        return None
    [(read_at, sealed)] = rows
    context = f"treatment_summary|{world.tenant}|{record_id}".encode()
    found = medication.TreatmentSnapshot.FromString(SEALS.open(sealed, context))
    assert from_timestamp(found.read_at) == read_at
    return found


def labels(world: World, record_id: str) -> list[str] | None:
    found = kept(world, record_id)
    return None if found is None else [line.label for line in found.lines]


def merge(world: World, surviving: str, merged: str) -> None:
    request = people.MergeBeneficiaryRequest(beneficiary_id=surviving, merged_beneficiary_id=merged, reason="Doublon")
    world.call("BeneficiaryService/MergeBeneficiary", request)


# ------------------------------------------------------------------------------------------------------------ the stream


class Platform:
    """The workers of records and of a medication that only announces."""

    def __init__(self, world: World, records: Service, announcing: FakeService, urls: Database) -> None:
        self.world = world
        self.records = records
        self.announcing = announcing
        self._urls = urls

    def announce(self, *events: events_pb2.PrescriptionLineChanged) -> None:
        """A transaction of medication."""
        with psycopg.connect(self._urls.app_url) as connection:
            connection.execute("SELECT set_config('dui.tenant', %s, true)", (self.world.tenant,))
            outbox = Outbox("medication", self.world.tenant)
            for event in events:
                outbox.add(event)
            outbox.write(connection)


Scenario = Callable[[Platform, Nats], Coroutine[Any, Any, None]]


@pytest.fixture
def play(ward: World, fake: FakeMedication, postgres: str, tmp_path: Path) -> Callable[[Scenario], None]:
    """Plays a scenario beside both workers."""

    def run(scenario: Scenario) -> None:
        # Every database has the tables of the kit, which are all that a relay needs.
        other = Harness(build(), create_database(postgres, "medication"))
        other.admin("INSERT INTO access_tenant (tenant_id, active, version) VALUES (%s, true, 1)", (ward.tenant,))
        announcing = FakeService("medication", ServiceSettings())
        target = f"127.0.0.1:{fake.port}"
        records = build(treatments=RemoteTreatments(RecordsSettings(medication_target=target)))

        with nats_running(tmp_path / "nats", records, announcing) as server:

            def reached(database: Database, account: str) -> dict[str, SecretStr]:
                return {
                    "database_url": SecretStr(database.app_url),
                    "database_relay_url": SecretStr(database.relay_url),
                    "nats_url": SecretStr(server.url_of(account)),
                    "nats_owner_url": SecretStr(server.url),
                }

            settings = records.settings.model_copy(update=reached(ward.harness.database, "records"))
            records = replace(records, settings=settings)
            announcing.settings = announcing.settings.model_copy(update=reached(other.database, "medication"))
            platform = Platform(ward, records, announcing, other.database)

            async def played() -> None:
                await server.make_streams(announcing, records)
                async with running(announcing), running(records):
                    await scenario(platform, server)

            asyncio.run(played())
        other.close()

    return run


def test_a_change_of_a_line_is_followed_by_what_the_person_takes_since(
    play: Callable[[Scenario], None], ward: World, fake: FakeMedication
) -> None:
    person = ward.open().beneficiary_id
    fake.tell(treatment(person, Paracétamol=person))

    async def scenario(platform: Platform, _: Nats) -> None:
        line = new_id()
        platform.announce(changed(person, line))
        await soon(lambda: labels(ward, person) == ["Paracétamol"])
        fake.tell(treatment(person))
        platform.announce(changed(person, line, version=2))
        await soon(lambda: labels(ward, person) == [])

    play(scenario)
    assert fake.tenants == {ward.tenant}


def test_while_medication_is_away_the_changes_wait_and_none_is_lost(
    play: Callable[[Scenario], None], ward: World, fake: FakeMedication
) -> None:
    persons = [ward.open().beneficiary_id for _ in range(3)]
    fake.tell(*(treatment(person, Paracétamol=person) for person in persons))
    fake.stop()

    async def scenario(platform: Platform, server: Nats) -> None:
        platform.announce(*(changed(person) for person in persons))
        async with server.client() as client:
            js = client.jetstream()

            async def taken() -> bool:
                return bool((await js.consumer_info("DUI_MEDICATION", "records__treatments")).num_ack_pending)

            await soon(taken)
            await asyncio.sleep(1)
            assert [labels(ward, person) for person in persons] == [None] * 3
            fake.start()
            await soon(lambda: all(labels(ward, person) == ["Paracétamol"] for person in persons))
            assert (await js.stream_info("DUI_DEAD_LETTERS")).state.messages == 0

    play(scenario)


def test_a_change_of_somebody_who_is_not_in_the_records_is_a_dead_letter_and_holds_up_nobody(
    play: Callable[[Scenario], None], ward: World, fake: FakeMedication
) -> None:
    person = ward.open().beneficiary_id
    fake.tell(treatment(person, Paracétamol=person))

    async def scenario(platform: Platform, server: Nats) -> None:
        platform.announce(changed(new_id()), changed(person))
        await soon(lambda: labels(ward, person) == ["Paracétamol"])
        async with server.client() as client:
            js = client.jetstream()

            async def laid_down() -> bool:
                return (await js.stream_info("DUI_DEAD_LETTERS")).state.messages == 1

            await soon(laid_down)

    play(scenario)


# ------------------------------------------------------------------------------------------------------------ the keeper


@pytest.fixture
def keeper(treatments: RemoteTreatments) -> Keeper:
    """What the worker of records does, called here."""
    return Keeper(treatments, lambda: SEALS)


def hear(world: World, keeper: Keeper, *records: str) -> None:
    """A batch of changes."""
    name = events_pb2.PrescriptionLineChanged.DESCRIPTOR.full_name
    events = [Event(new_id(), world.tenant, name, "medication", changed(record)) for record in records]
    with transaction(world.harness.engine, "records", world.tenant) as call:
        keeper.changed(call, events)


def refresh(world: World, keeper: Keeper) -> None:
    """A run of the job."""
    context = WorkerContext("records", world.harness.engine, ServiceSettings(), lambda: [world.tenant])
    keeper.job().run(context)


def grow_old(world: World, record_id: str, age: timedelta) -> None:
    world.harness.admin(
        "UPDATE treatment_summary SET read_at = read_at - %s WHERE tenant_id = %s AND beneficiary_id = %s",
        (age, world.tenant, record_id),
    )


def test_a_batch_asks_once_for_each_person_however_many_of_their_lines_changed(
    ward: World, fake: FakeMedication, keeper: Keeper
) -> None:
    one, double, other = (ward.open().beneficiary_id for _ in range(3))
    merge(ward, one, double)
    fake.tell(treatment(one, double, to_review=True, Un=one, Deux=double), treatment(other, Autre=other))
    hear(ward, keeper, one, other, double, one, double, other)
    assert fake.asked == {one: 1, other: 1}
    assert (labels(ward, one), labels(ward, double), labels(ward, other)) == (["Un"], ["Deux"], ["Autre"])


def test_an_event_that_comes_again_or_late_brings_nothing_back(
    ward: World, fake: FakeMedication, keeper: Keeper
) -> None:
    person = ward.open().beneficiary_id
    fake.tell(treatment(person))
    hear(ward, keeper, person)
    fake.tell(treatment(person, Paracétamol=person))
    hear(ward, keeper, person)
    hear(ward, keeper, person)
    assert labels(ward, person) == ["Paracétamol"]


def test_a_person_of_another_association_is_nobody(ward: World, fake: FakeMedication, keeper: Keeper) -> None:
    elsewhere = World(ward.harness, now=ward.now)
    foreign = elsewhere.open().beneficiary_id
    with pytest.raises(Reject, match="PERSON_UNKNOWN"):
        hear(ward, keeper, foreign)
    assert not fake.asked


def test_what_a_merge_has_made_a_half_is_asked_anew(ward: World, fake: FakeMedication, keeper: Keeper) -> None:
    one, double, untreated, also_untreated = (ward.open().beneficiary_id for _ in range(4))
    fake.tell(treatment(double, Deux=double))
    hear(ward, keeper, double)
    merge(ward, one, double)
    merge(ward, untreated, also_untreated)
    fake.tell(treatment(one, double, Deux=double))
    refresh(ward, keeper)
    assert (labels(ward, one), labels(ward, double)) == ([], ["Deux"])
    # Of those of whom nothing was ever announced, nothing is asked; and what is whole now is not asked again.
    assert fake.asked == {double: 1, one: 1}
    refresh(ward, keeper)
    assert fake.asked == {double: 1, one: 1}


def test_what_is_old_is_asked_anew_so_that_its_age_is_hours_when_medication_goes_away(
    ward: World, fake: FakeMedication, keeper: Keeper
) -> None:
    old, fresh = (ward.open().beneficiary_id for _ in range(2))
    fake.tell(treatment(old, Un=old), treatment(fresh, Un=fresh))
    hear(ward, keeper, old, fresh)
    grow_old(ward, old, REFRESH_AFTER + timedelta(minutes=1))
    grow_old(ward, fresh, REFRESH_AFTER - timedelta(minutes=1))
    fake.tell(treatment(old, Deux=old), treatment(fresh, Deux=fresh))
    refresh(ward, keeper)
    assert labels(ward, old) == ["Deux"]
    assert fake.asked == {old: 2, fresh: 1}


def test_a_run_ends_when_medication_is_away_and_goes_on_past_a_person_whom_it_does_not_tell(
    ward: World, fake: FakeMedication, keeper: Keeper
) -> None:
    persons = [ward.open().beneficiary_id for _ in range(4)]
    fake.tell(*(treatment(person, Un=person) for person in persons))
    hear(ward, keeper, *persons)
    for person in persons:
        grow_old(ward, person, REFRESH_AFTER * 2)
    fake.asked.clear()
    fake.fails = grpc.StatusCode.UNAVAILABLE
    refresh(ward, keeper)
    assert fake.asked.total() == 1
    fake.fails = None
    fake.tell(*(treatment(person, Deux=person) for person in persons))
    del fake.known[persons[1]]
    refresh(ward, keeper)
    assert fake.asked.total() == 1 + 4
    assert [labels(ward, person) == ["Deux"] for person in persons if person != persons[1]] == [True] * 3


def test_a_medication_that_is_away_is_never_taken_for_the_fault_of_an_event(
    ward: World, fake: FakeMedication, keeper: Keeper
) -> None:
    """A fault would make dead letters within half a minute; what waits is tried for as long as it takes."""
    event = changed(ward.open().beneficiary_id)
    msg: Any = SimpleNamespace(data=event.SerializeToString(), subject=SUBJECT)
    name, line = event.DESCRIPTOR.full_name, event.prescription_line_id
    aggregate = (ward.tenant, "dui.medication.prescription_line", line)
    waiting = [
        Delivery(msg, ward.tenant, new_id(), name, "medication", aggregate, sequence, None, None) for sequence in (1, 2)
    ]
    applier = Applier("records", keeper.consumer(), ward.harness.engine)
    fake.stop()
    for taken in (waiting[:1], waiting, waiting, waiting):
        assert {result.verdict for result in applier.apply(taken)} == {Verdict.AWAY}
