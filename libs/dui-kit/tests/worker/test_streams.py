"""What a stream holds, and for how long; who makes it; and what one association's flood leaves to the others."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from dui.access.v1 import facts_pb2
from dui_kit.ids import new_id
from dui_kit.settings import ServiceSettings
from dui_kit.worker import Consumer, Event, Worker, WorkerCall, events, journal, metrics, process, streams
from dui_kit.worker.consuming import FETCH_SECONDS
from dui_kit.worker.establish import establish
from dui_kit.worker.events import EventRelay
from dui_kit.worker.leadership import leadership
from dui_kit.worker.metrics import RelayState
from dui_kit.worker.publishing import Outcome, Outgoing, Publisher
from dui_kit.worker.streams import backlogs, stream_config
from dui_kit.worker.testing import FakeService, Nats, running, soon
from nats.js import JetStreamContext, api
from structlog.testing import capture_logs


def person(beneficiary_id: str, version: int = 1) -> facts_pb2.PersonChanged:
    return facts_pb2.PersonChanged(beneficiary_id=beneficiary_id, version=version)


def ignore(call: WorkerCall, event: Event) -> None:
    """Takes an event and does nothing with it."""


@pytest.fixture
def identity(make_store: Callable[[str], Any]) -> Any:
    """A service that reads the facts of records."""
    return make_store("identity")


async def messages(js: JetStreamContext, stream: str) -> int:
    return (await js.stream_info(stream)).state.messages


async def configurations(js: JetStreamContext) -> dict[str, api.StreamConfig]:
    return {str(info.config.name): info.config for info in await js.streams_info()}


# ------------------------------------------------------------------------------------------------------------ who makes them


def test_the_commands_of_two_services_make_the_same_in_any_order_and_twice(nats_server: Nats) -> None:
    settings = ServiceSettings(nats_owner_url=nats_server.url, nats_events_mib=3)  # type: ignore[arg-type]
    services = [FakeService("records", settings), FakeService("planning", settings)]

    async def looks() -> tuple[dict[str, api.StreamConfig], list[tuple[str, str]]]:
        async with nats_server.client() as client:
            js = client.jetstream()
            made = await configurations(js), [(each.stream, each.consumer) for each in await backlogs(js)]
            for name in made[0]:
                await js.delete_stream(name)
            return made

    found = []
    for order in (services, services[::-1], [*services, *services]):
        assert [establish(service) for service in order] == [0] * len(order)
        found.append(asyncio.run(looks()))
    assert found[0] == found[1] == found[2]
    configured, consumers = found[0]
    assert configured.keys() == {"DUI_IDENTITY", "DUI_RECORDS", "DUI_PLANNING", "DUI_JOURNAL", "DUI_DEAD_LETTERS"}
    assert consumers == [
        ("DUI_IDENTITY", "planning__access_identity"),
        ("DUI_IDENTITY", "records__access_identity"),
        ("DUI_RECORDS", "planning__access_records"),
    ]
    assert configured["DUI_RECORDS"].max_bytes == 3 * 1024 * 1024


def test_what_is_there_is_brought_to_its_configuration(nats_server: Nats) -> None:
    """As after a release that changes it: nothing that waits is lost."""
    settings = ServiceSettings(nats_owner_url=nats_server.url)  # type: ignore[arg-type]
    service = FakeService("identity", settings)

    async def of_before() -> None:
        async with nats_server.client() as client:
            js = client.jetstream()
            config = stream_config("DUI_RECORDS", settings)
            limits = api.RetentionPolicy.LIMITS
            await js.add_stream(
                replace(config, retention=limits, max_msgs_per_subject=None, discard_new_per_subject=None)
            )
            await js.add_consumer(
                "DUI_RECORDS",
                api.ConsumerConfig(
                    durable_name="identity__access_records",
                    filter_subject="dui.records.*.person.v1.*",
                    ack_policy=api.AckPolicy.EXPLICIT,
                    max_ack_pending=7,
                ),
            )
            await js.publish(f"dui.records.{new_id()}.person.v1.changed", b"")

    async def now() -> tuple[api.StreamConfig, api.ConsumerInfo]:
        async with nats_server.client() as client:
            js = client.jetstream()
            info = await js.consumer_info("DUI_RECORDS", "identity__access_records")
            return (await configurations(js))["DUI_RECORDS"], info

    asyncio.run(of_before())
    assert establish(service) == 0
    config, consumer = asyncio.run(now())
    assert (config.retention, config.max_msgs_per_subject) == ("interest", streams.EVENTS_PER_SUBJECT)
    assert "dui.records.*.perimeter.v1.*" in (consumer.config.filter_subjects or [])
    assert (consumer.config.max_ack_pending, consumer.num_pending) == (2_500, 1)


def test_a_retention_that_cannot_be_changed_is_said_with_what_to_do(nats_server: Nats) -> None:
    settings = ServiceSettings(nats_owner_url=nats_server.url)  # type: ignore[arg-type]

    async def of_before() -> None:
        async with nats_server.client() as client:
            config = stream_config("DUI_JOURNAL", settings)
            await client.jetstream().add_stream(replace(config, retention=api.RetentionPolicy.LIMITS))

    asyncio.run(of_before())
    with capture_logs() as lines:
        assert establish(FakeService("records", settings)) == 1
    [line] = lines
    assert (line["stream"], line["found"], line["wanted"]) == ("DUI_JOURNAL", "limits", "workqueue")
    assert "delete it and run this again" in line["event"]


def test_nats_that_does_not_answer_is_said(nats_server: Nats) -> None:
    nats_server.kill()
    with capture_logs() as lines:
        settings = ServiceSettings(nats_owner_url=nats_server.url)  # type: ignore[arg-type]
        assert establish(FakeService("records", settings)) == 1
    assert [line["setting"] for line in lines] == ["DUI_NATS_OWNER_URL"]


def test_a_consumer_that_the_code_no_longer_has_is_told_and_stays(nats_server: Nats) -> None:
    settings = ServiceSettings(nats_owner_url=nats_server.url)  # type: ignore[arg-type]
    former = Consumer("identity", "former", "DUI_RECORDS", ("dui.records.*.stay.v1.*",), ignore)
    assert establish(FakeService("identity", settings, consumers=[former])) == 0
    with capture_logs() as lines:
        assert establish(FakeService("identity", settings)) == 0
    assert [line["consumer"] for line in lines if line["log_level"] == "warning"] == ["identity__former"]

    async def there() -> set[str]:
        async with nats_server.client() as client:
            return {each.consumer for each in await backlogs(client.jetstream())}

    assert asyncio.run(there()) == {"identity__access_records", "identity__former"}


def test_a_worker_makes_nothing_and_goes_on_once_it_is_there(
    store: Any, identity: Any, nats_server: Nats, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "WATCH_SECONDS", 0.1)
    tenant = store.tenant()
    store.write(tenant, person(new_id()))
    reader, writer = FakeService("identity", identity.settings()), FakeService("records", store.settings())

    async def scenario() -> None:
        workers = [Worker(reader), Worker(writer)]
        tasks = [asyncio.create_task(worker.main()) for worker in workers]
        try:
            with capture_logs() as lines:
                await soon(
                    lambda: (
                        [set(each.state.missing) for each in workers]
                        == [
                            {"identity__access_records", "DUI_IDENTITY", "DUI_JOURNAL", "DUI_DEAD_LETTERS"},
                            {"records__access_identity", "DUI_RECORDS", "DUI_JOURNAL", "DUI_DEAD_LETTERS"},
                        ]
                    )
                )
                await soon(lambda: [line for line in lines if line["event"] == "waiting for a consumer"])
            assert not any(worker.healthy() for worker in workers)
            async with nats_server.client() as client:
                assert await client.jetstream().streams_info() == []
            await nats_server.make_streams(reader, writer)
            await soon(lambda: identity.admin("SELECT 1 FROM access_person"))
            await soon(lambda: all(worker.healthy() for worker in workers))
        finally:
            for worker in workers:
                worker.stop()
            await asyncio.gather(*tasks)

    asyncio.run(scenario())


def test_a_worker_says_which_subjects_its_consumer_lacks(store: Any, identity: Any, nats_server: Nats) -> None:
    """What is published there is kept for nobody: an operator forgot the command after a release."""
    tenant = store.tenant()

    async def scenario() -> None:
        await nats_server.make_streams(FakeService("identity", identity.settings()))
        async with nats_server.client() as client:
            await client.jetstream().add_consumer(
                "DUI_RECORDS",
                api.ConsumerConfig(
                    durable_name="identity__access_records",
                    filter_subjects=["dui.records.*.person.v1.*"],
                    ack_policy=api.AckPolicy.EXPLICIT,
                ),
            )
        worker = Worker(FakeService("identity", identity.settings()))
        task = asyncio.create_task(worker.main())
        try:
            with capture_logs() as lines:
                async with running(FakeService("records", store.settings())):
                    store.write(tenant, person(new_id()))
                    await soon(lambda: identity.admin("SELECT 1 FROM access_person"))
        finally:
            worker.stop()
            await task
        [line] = [line for line in lines if "lacks subjects" in line["event"]]
        assert "dui.records.*.perimeter.v1.*" in line["subjects"]

    asyncio.run(scenario())


# --------------------------------------------------------------------------------------------------------- what they hold


def test_a_stream_holds_what_a_reader_has_not_taken_and_nothing_else(
    store: Any, make_store: Callable[[str], Any], nats_server: Nats, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "WATCH_SECONDS", 0.1)
    tenant = store.tenant()
    first, second = (FakeService(name, make_store(name).settings()) for name in ("identity", "planning"))

    async def scenario() -> None:
        await nats_server.make_streams(first, second)
        async with nats_server.client() as client, running(FakeService("records", store.settings())) as writer:
            js = client.jetstream()
            async with running(first):
                store.write(tenant, *(person(new_id()) for _ in range(200)))
                await soon(lambda: store.unpublished() == 0)
                # One reader has them all, the other is away: they stay.
                await soon(lambda: _waits(js, {"identity__access_records": 0, "planning__access_records": 200}))
                assert await messages(js, "DUI_RECORDS") == 200
                info = await js.stream_info("DUI_RECORDS")
                ratio = info.state.bytes / (1024 * 1024 * 1024)
                await soon(lambda: metrics._filled.get("DUI_RECORDS") == pytest.approx(ratio))
                assert ratio > 0
            async with running(second):
                await soon(lambda: _is_empty(js, "DUI_RECORDS"))
                await soon(lambda: metrics._filled.get("DUI_RECORDS") == 0)
            assert writer.worker.healthy()
            # Nobody reads these, so nothing keeps them.
            store.write(tenant, facts_pb2.PolicyChanged(policy_id="profession-1", version=1, profession=1))
            await soon(lambda: store.unpublished() == 0)
            assert await messages(js, "DUI_RECORDS") == 0

    asyncio.run(scenario())


async def _is_empty(js: JetStreamContext, stream: str) -> bool:
    return await messages(js, stream) == 0


async def _waits(js: JetStreamContext, expected: dict[str, int]) -> bool:
    found = {each.consumer: each.pending + each.unsettled for each in await backlogs(js)}
    return all(found[consumer] == number for consumer, number in expected.items())


def test_the_journal_holds_what_is_not_appended_yet(store: Any, nats_server: Nats) -> None:
    tenant = store.tenant()
    taken: list[str] = []

    def keep(call: WorkerCall, event: Event) -> None:
        taken.append(event.type)

    keeper = Consumer("records", "journal", streams.JOURNAL_STREAM, ("dui.journal.>",), keep)

    async def scenario() -> None:
        async with nats_server.client() as client:
            js = client.jetstream()
            async with running(FakeService("records", store.settings())):
                store.journal(tenant, 600)
                await soon(lambda: store.admin("SELECT 1 FROM journal_counter WHERE published_sequence = 600"))
            assert await messages(js, streams.JOURNAL_STREAM) == 3
            async with running(FakeService("records", store.settings(), consumers=[keeper])):
                await soon(lambda: _is_empty(js, streams.JOURNAL_STREAM))

    asyncio.run(scenario())
    assert taken == ["dui.journal.v1.JournalBatch"] * 3


def test_jetstream_has_forgotten_a_batch_when_it_is_sent_again() -> None:
    """A repetition within the window would be dropped as known, and acknowledged."""
    assert streams.JOURNAL_DUPLICATE_WINDOW < journal.CONFIRM_SECONDS


# --------------------------------------------------------------------------------------------------- nobody stops the others


def test_what_jetstream_refuses_is_answered_at_once_and_by_its_kind(
    store: Any, nats_server: Nats, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "EVENTS_PER_SUBJECT", 2)
    one, other = (f"dui.records.{tenant}.person.v1.changed" for tenant in ("a", "b"))

    async def scenario() -> tuple[list[Outcome], float]:
        await nats_server.make_streams(
            FakeService("records", ServiceSettings()), FakeService("identity", ServiceSettings())
        )
        async with nats_server.client() as client:
            begun = time.monotonic()
            outcomes = await Publisher(client).publish(
                [
                    *(Outgoing(one, b"x", {}) for _ in range(3)),
                    Outgoing(other, b"x", {"Nats-Expected-Stream": "DUI_JOURNAL"}),
                    Outgoing(other, b"x", {}),
                ]
            )
            return outcomes, time.monotonic() - begun

    outcomes, seconds = asyncio.run(scenario())
    arrived = Outcome.ACKNOWLEDGED
    assert outcomes == [arrived, arrived, Outcome.FULL, Outcome.REFUSED, arrived]
    assert seconds < 5  # no answer at all would take 10


def test_one_associations_flood_holds_up_no_other_while_a_reader_is_down(
    store: Any, identity: Any, nats_server: Nats, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More events than the relay takes at once, of which the stream takes twenty; and all arrive, in their order."""
    monkeypatch.setattr(streams, "EVENTS_PER_SUBJECT", 20)
    monkeypatch.setattr(events, "FIRST_FULL_SECONDS", 0.02)
    flooding, other = store.tenant(), store.tenant()
    flood = [new_id() for _ in range(60)]
    reader = FakeService("identity", identity.settings())

    def waiting(tenant: str) -> int:
        [(number,)] = store.admin(
            "SELECT count(*) FROM outbox WHERE tenant_id = %s AND published_at IS NULL", (tenant,)
        )
        return int(number)

    async def scenario() -> None:
        await nats_server.make_streams(reader)
        for version in range(1, 11):
            store.write(flooding, *(person(each, version) for each in flood))
        async with running(FakeService("records", store.settings(), heartbeat=True)) as writer:
            await soon(lambda: waiting(flooding) == 580)
            begun = time.monotonic()
            store.write(other, person(new_id()))
            await soon(lambda: waiting(other) == 0)
            assert time.monotonic() - begun < 5
            assert writer.worker.state.parked == 1
            await soon(lambda: writer.worker.state.event_depth == 580)
            # Of the same association another kind goes on too.
            store.write(flooding, facts_pb2.PerimeterChanged(fact_id=new_id(), version=1, beneficiary_id=flood[0]))
            await soon(lambda: waiting(flooding) == 580)
            async with running(reader):
                await soon(lambda: waiting(flooding) == 0 and writer.worker.state.parked == 0)
                await soon(
                    lambda: identity.admin("SELECT 1 FROM access_person HAVING count(*) = 61 AND sum(version) = 601")
                )

    asyncio.run(scenario())


def test_nobody_vouches_for_an_association_whose_events_wait_for_readers(
    store: Any, nats_server: Nats, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "EVENTS_PER_SUBJECT", 2)
    monkeypatch.setattr(events, "FIRST_FULL_SECONDS", 0.0)
    flooding, other = store.tenant(), store.tenant()
    store.write(flooding, *(person(new_id()) for _ in range(6)))
    store.write(other, person(new_id()))
    reader = FakeService("identity", store.settings())

    async def scenario() -> None:
        await nats_server.make_streams(FakeService("records", store.settings()), reader)
        async with nats_server.client() as client, leadership(store.urls.relay_url, "t") as connection:
            relay = EventRelay("records", connection, Publisher(client), RelayState())
            assert await relay.relay_once() == (3, 3)
            assert relay.parked_tenants() == {flooding}
            vouched = relay.drained_at
            assert vouched is not None
            assert await relay.relay_once() == (0, 0)  # the oldest is tried again, for nothing
            assert relay.parked_tenants() == {flooding}
            subscription = await client.jetstream().pull_subscribe_bind(
                "identity__access_records", stream="DUI_RECORDS"
            )
            taken = 0
            published = 2
            while published < 6:
                for msg in await subscription.fetch(10, timeout=FETCH_SECONDS):
                    await msg.ack_sync()
                    taken += 1
                _, now = await relay.relay_once()
                published += now
                # Either it is parked, or nobody says that everything older has gone.
                assert published == 6 or flooding in relay.parked_tenants() or relay.drained_at is None
            assert taken >= 4
            assert await relay.relay_once() == (0, 0)
            assert relay.parked_tenants() == set()
            assert relay.drained_at is not None
            assert relay.drained_at > vouched

    asyncio.run(scenario())
    assert store.unpublished() == 0
