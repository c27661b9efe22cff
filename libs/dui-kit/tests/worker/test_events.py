"""Events from the outbox to their effect: once, in order, whatever dies in between."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from typing import Any

import psycopg
import pytest
from dui.access.v1 import facts_pb2
from dui_kit.calls.outbox import announce_to_all
from dui_kit.ids import new_id
from dui_kit.settings import ServiceSettings
from dui_kit.worker import Consumer, Event, WorkerCall
from dui_kit.worker.events import EventRelay
from dui_kit.worker.leadership import leadership
from dui_kit.worker.metrics import RelayState
from dui_kit.worker.publishing import Outcome, Outgoing, Publisher
from dui_kit.worker.testing import FakeService, Nats, running, soon
from sqlalchemy import text


def perimeter(fact_id: str, version: int) -> facts_pb2.PerimeterChanged:
    fact = facts_pb2.PerimeterChanged(fact_id=fact_id, version=version, beneficiary_id=new_id(), facility_id=new_id())
    fact.valid_from.GetCurrentTime()
    return fact


def note(call: WorkerCall, event: Event) -> None:
    """An effect that shows each time that it happens."""
    message: Any = event.message
    call.session.execute(
        text("INSERT INTO effect (tenant_id, aggregate_id, version) VALUES (:t, :a, :v)"),
        {"t": call.tenant_id, "a": message.fact_id, "v": message.version},
    )


def noting(handler: Any = note, batch: int = 200) -> Consumer:
    return Consumer("records", "notes", "DUI_RECORDS", ("dui.records.*.perimeter.v1.*",), handler, batch=batch)


def test_every_event_takes_effect_once_and_each_aggregate_in_its_order(store: Any) -> None:
    tenants = [store.tenant() for _ in range(3)]
    aggregates = [(tenant, new_id()) for tenant in tenants for _ in range(5)]
    steps = [(aggregate, version) for aggregate in aggregates for version in range(1, 9)]
    # Writers of many aggregates at once: versions of one aggregate in order, aggregates in any.
    dice = random.Random(7)
    queues: dict[tuple[str, str], list[int]] = defaultdict(list)
    for aggregate, version in steps:
        queues[aggregate].append(version)

    async def scenario() -> None:
        async with running(FakeService("records", store.settings(), consumers=[noting(batch=7)])):
            while queues:
                tenant, fact_id = aggregate = dice.choice(list(queues))
                await asyncio.to_thread(store.write, tenant, perimeter(fact_id, queues[aggregate].pop(0)))
                if not queues[aggregate]:
                    del queues[aggregate]
            await soon(lambda: sum(len(store.effects(tenant)) for tenant in tenants) >= len(steps))

    asyncio.run(scenario())
    for tenant in tenants:
        done = store.effects(tenant)
        for fact_id in {fact_id for t, fact_id in aggregates if t == tenant}:
            assert [version for each, version in done if each == fact_id] == list(range(1, 9))
    assert store.unpublished() == 0


def test_a_relay_that_dies_between_publishing_and_marking_doubles_nothing(store: Any, nats_server: Nats) -> None:
    tenant, fact_id = store.tenant(), new_id()
    store.write(tenant, perimeter(fact_id, 1), perimeter(new_id(), 1))

    class DiesAfterPublishing(Publisher):
        async def publish(self, messages: Any) -> list[Outcome]:
            await super().publish(messages)
            raise ConnectionResetError

    async def publish_without_marking() -> None:
        async with nats_server.client() as client, leadership(store.urls.relay_url, "t") as connection:
            js = client.jetstream()
            await nats_server.make_streams(FakeService("records", store.settings(), consumers=[noting()]))
            relay = EventRelay("records", connection, DiesAfterPublishing(client), RelayState())
            with pytest.raises(ConnectionResetError):
                await relay.relay_once()
            # Long after the window in which JetStream itself knows duplicates, it stores the same event again.
            stream = await js.stream_info("DUI_RECORDS")
            assert stream.state.messages == 2
            await js.purge_stream("DUI_RECORDS", keep=2)
            assert store.unpublished() == 2

    async def start_again() -> None:
        async with running(FakeService("records", store.settings(), consumers=[noting()])):
            await soon(lambda: store.unpublished() == 0 and len(store.effects(tenant)) >= 2)

    asyncio.run(publish_without_marking())
    asyncio.run(start_again())
    assert len(store.effects(tenant)) == 2


def test_an_event_delivered_again_under_the_same_id_is_a_no_op(store: Any, nats_server: Nats) -> None:
    """De-duplication by JetStream is a window; the inbox is the guarantee."""
    tenant, fact_id = store.tenant(), new_id()

    async def scenario() -> None:
        async with (
            running(FakeService("records", store.settings(), consumers=[noting()])),
            nats_server.client() as client,
        ):
            published = await client.subscribe("dui.records.>")
            store.write(tenant, perimeter(fact_id, 1))
            await soon(lambda: store.effects(tenant))
            js = client.jetstream()
            first = await published.next_msg(timeout=20)
            headers = {key: value for key, value in (first.headers or {}).items() if key != "Nats-Msg-Id"}
            for _ in range(3):
                await js.publish(first.subject, first.data, headers=headers)
            store.write(tenant, perimeter(fact_id, 2))
            await soon(lambda: (fact_id, 2) in store.effects(tenant))
            assert (await js.stream_info("DUI_RECORDS")).state.last_seq == 5

    asyncio.run(scenario())
    assert store.effects(tenant) == [(fact_id, 1), (fact_id, 2)]


def test_of_two_workers_one_leads_and_the_other_takes_over(store: Any) -> None:
    tenant = store.tenant()
    consumers = [noting()]

    async def scenario() -> None:
        async with (
            running(FakeService("records", store.settings(), consumers=consumers)) as first,
            running(FakeService("records", store.settings(), consumers=consumers)) as second,
        ):
            await soon(lambda: first.worker.state.leading or second.worker.state.leading)
            for version in range(1, 21):
                store.write(tenant, perimeter("a", version))
            await soon(lambda: len(store.effects(tenant)) == 20)
            assert first.worker.state.leading != second.worker.state.leading
            leader, standby = (first, second) if first.worker.state.leading else (second, first)
            assert standby.worker.state.published == 0
            assert await leader.stop() == 0
            store.write(tenant, perimeter("a", 21))
            await soon(lambda: len(store.effects(tenant)) == 21)
            assert standby.worker.state.leading
            await soon(lambda: standby.worker.state.published == 1)  # counted after it has arrived

    asyncio.run(scenario())
    assert [version for _, version in store.effects(tenant)] == list(range(1, 22))


def test_what_is_written_while_nats_is_down_arrives_when_it_is_back(store: Any, nats_server: Nats) -> None:
    tenant = store.tenant()

    async def scenario() -> None:
        async with running(FakeService("records", store.settings(), consumers=[noting()])) as handle:
            store.write(tenant, perimeter("a", 1))
            await soon(lambda: len(store.effects(tenant)) == 1)
            nats_server.kill()
            await soon(lambda: not handle.worker.healthy())
            for version in (2, 3, 4):
                store.write(tenant, perimeter("a", version))
            nats_server.start()
            await soon(lambda: len(store.effects(tenant)) >= 4)
            await soon(handle.worker.healthy)

    asyncio.run(scenario())
    assert [version for _, version in store.effects(tenant)] == [1, 2, 3, 4]


def test_a_leader_whose_database_connections_are_cut_leads_again(store: Any) -> None:
    tenant = store.tenant()

    async def scenario() -> None:
        async with running(FakeService("records", store.settings(), consumers=[noting()])) as handle:
            store.write(tenant, perimeter("a", 1))
            await soon(lambda: len(store.effects(tenant)) == 1)
            for version in range(2, 12):
                store.write(tenant, perimeter("a", version))
                store.admin(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            await soon(lambda: len(store.effects(tenant)) >= 11)
            await soon(lambda: handle.worker.state.leading)

    asyncio.run(scenario())
    assert [version for _, version in store.effects(tenant)] == list(range(1, 12))


def test_an_event_that_jetstream_refuses_parks_its_aggregate_and_no_other(store: Any) -> None:
    tenant = store.tenant()
    good, bad = new_id(), new_id()
    store.write(tenant, perimeter(bad, 1), perimeter(bad, 2), perimeter(good, 1))
    store.admin(
        "UPDATE outbox SET payload = payload || decode(repeat('00', 2000000), 'hex') "
        "WHERE aggregate_id = %s AND aggregate_version = 1",
        (bad,),
    )

    async def scenario() -> None:
        async with running(FakeService("records", store.settings(), consumers=[noting()])) as handle:
            await soon(lambda: store.effects(tenant))
            store.write(tenant, perimeter(good, 2))
            await soon(lambda: len(store.effects(tenant)) == 2)
            assert handle.worker.state.parked == 1
            assert store.unpublished() == 2
            # An operator repairs the row: what was parked goes, in order.
            store.admin(
                "UPDATE outbox SET payload = substr(payload, 1, octet_length(payload) - 2000000) "
                "WHERE aggregate_id = %s AND aggregate_version = 1",
                (bad,),
            )
            await soon(lambda: len(store.effects(tenant)) == 4)

    asyncio.run(scenario())
    assert store.effects(tenant) == [(good, 1), (good, 2), (bad, 1), (bad, 2)]


def test_what_is_the_same_for_all_is_told_to_each_association_once_or_to_nobody(store: Any) -> None:
    """More associations than one statement takes; by the owner, who imports what is the same for all."""
    tenants = sorted(store.tenant() for _ in range(120))
    store.admin("UPDATE access_tenant SET active = false WHERE tenant_id = %s", (tenants[7],))

    def tell(version: int, *, fails: bool = False) -> None:
        with psycopg.connect(store.urls.owner_url, autocommit=True) as connection, connection.transaction():
            announce_to_all(connection, "records", perimeter("all", version))
            if fails:
                raise RuntimeError

    async def scenario() -> None:
        async with running(FakeService("records", store.settings(), consumers=[noting()])):
            with pytest.raises(RuntimeError):
                await asyncio.to_thread(tell, 1, fails=True)
            await asyncio.to_thread(tell, 2)
            await soon(lambda: sum(len(store.effects(tenant)) for tenant in tenants) >= len(tenants))

    asyncio.run(scenario())
    assert {tenant: store.effects(tenant) for tenant in tenants} == {tenant: [("all", 2)] for tenant in tenants}
    assert store.unpublished() == 0
    with psycopg.connect(store.urls.owner_url) as connection, pytest.raises(ValueError, match="cannot be published"):
        announce_to_all(connection, "records", facts_pb2.Right())


def test_headers_are_cloudevents_and_carry_the_trace(store: Any, nats_server: Nats) -> None:
    tenant, fact_id = store.tenant(), new_id()
    unsampled = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
    store.write(tenant, perimeter(fact_id, 1), traceparent=unsampled)
    [(event_id,)] = store.admin("SELECT event_id::text FROM outbox")

    async def scenario() -> dict[str, str]:
        async with nats_server.client() as client:
            published = await client.subscribe("dui.records.>")
            async with running(FakeService("records", store.settings())):
                message = await published.next_msg(timeout=20)
            assert message.subject == f"dui.records.{tenant}.perimeter.v1.changed"
            return message.headers or {}

    headers = asyncio.run(scenario())
    assert headers.pop("ce-time")
    assert headers == {
        "Nats-Msg-Id": event_id,
        "ce-specversion": "1.0",
        "ce-id": event_id,
        "ce-type": "dui.access.v1.PerimeterChanged",
        "ce-source": "/dui/records",
        "ce-subject": fact_id,
        "dui-tenant": tenant,
        "traceparent": unsampled,
    }


def test_an_outgoing_message_that_is_too_large_is_refused_before_it_leaves(nats_server: Nats) -> None:
    async def scenario() -> list[Outcome]:
        async with nats_server.client() as client:
            await nats_server.make_streams(FakeService("records", ServiceSettings()))
            publisher = Publisher(client)
            return await publisher.publish(
                [
                    Outgoing("dui.records.t.a.v1.b", b"x" * 2_000_000, {}),
                    Outgoing("dui.records.t.a.v1.b", b"x", {}),
                    Outgoing("nobody.listens.here", b"x", {}),
                ]
            )

    assert asyncio.run(scenario()) == [Outcome.REFUSED, Outcome.ACKNOWLEDGED, Outcome.UNKNOWN]
