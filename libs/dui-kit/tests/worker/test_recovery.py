"""After a disaster: what NATS lost goes out again, once for each reader, and no number of the journal is given twice."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from dui.access.v1 import facts_pb2
from dui.journal.v1 import journal_pb2
from dui_kit.ids import new_id
from dui_kit.worker import Consumer, Event, WorkerCall
from dui_kit.worker.journal import JournalRelay
from dui_kit.worker.leadership import leadership
from dui_kit.worker.metrics import RelayState
from dui_kit.worker.publishing import Outcome, Publisher
from dui_kit.worker.recovery import RanSinceNeededError, Reached, Resent, WorkerLeadsError, go_on, resend
from dui_kit.worker.testing import FakeService, Nats, running, soon
from sqlalchemy import text

LONG_AGO = datetime.now(UTC) - timedelta(days=1)


def perimeter(version: int) -> facts_pb2.PerimeterChanged:
    return facts_pb2.PerimeterChanged(fact_id=new_id(), version=version, beneficiary_id=new_id())


def note(call: WorkerCall, event: Event) -> None:
    message: Any = event.message
    call.session.execute(
        text("INSERT INTO effect (tenant_id, aggregate_id, version) VALUES (:t, :a, :v)"),
        {"t": call.tenant_id, "a": message.fact_id, "v": message.version},
    )


NOTES = Consumer("records", "notes", "DUI_RECORDS", ("dui.records.*.perimeter.v1.*",), note)


def last_entry(store: Any, tenant: str) -> str:
    [(entry_id,)] = store.admin(
        "SELECT entry_id::text FROM journal_outbox WHERE tenant_id = %s ORDER BY sequence DESC LIMIT 1", (tenant,)
    )
    return str(entry_id)


async def numbers(nats_server: Nats, tenant_id: str) -> list[tuple[int, str]]:
    """Number and entry of everything on the stream of the journal, as identity gets it."""
    async with nats_server.client() as client:
        js = client.jetstream()
        state = (await js.stream_info("DUI_JOURNAL")).state
        batches = [
            journal_pb2.JournalBatch.FromString((await js.get_msg("DUI_JOURNAL", place)).data or b"")
            for place in range(state.first_seq, state.last_seq + 1)
        ]
    return [
        (entry.sequence, entry.entry_id) for batch in batches if batch.tenant_id == tenant_id for entry in batch.entries
    ]


def published(store: Any, tenant_id: str) -> int:
    rows = store.admin("SELECT published_sequence FROM journal_counter WHERE tenant_id = %s", (tenant_id,))
    return int(rows[0][0]) if rows else 0


def test_what_nats_lost_goes_out_again_and_what_arrived_is_not_applied_twice(store: Any, nats_server: Nats) -> None:
    tenant = store.tenant()
    store.write(tenant, perimeter(1))
    store.journal(tenant, 3)

    async def lose() -> list[tuple[int, str]]:
        async with running(FakeService("records", store.settings())):
            await soon(lambda: not store.unpublished() and published(store, tenant) == 3)
        before = await numbers(nats_server, tenant)
        async with nats_server.client() as client:
            for stream in ("DUI_RECORDS", "DUI_JOURNAL"):
                await client.jetstream().delete_stream(stream)
        return before

    async def recover() -> None:
        with psycopg.connect(store.urls.relay_url) as connection:
            assert resend(connection, LONG_AGO) == Resent(1, 3)
        async with running(FakeService("records", store.settings(), consumers=[NOTES])):
            await soon(lambda: len(store.effects(tenant)) == 1 and published(store, tenant) == 3)
            store.write(tenant, perimeter(2))
            await soon(lambda: len(store.effects(tenant)) == 2)
            # Once more, while the worker runs and nothing was lost.
            with psycopg.connect(store.urls.relay_url) as connection:
                assert resend(connection, LONG_AGO) == Resent(2, 3)
            await soon(lambda: not store.unpublished() and published(store, tenant) == 3)
            store.write(tenant, perimeter(3))
            await soon(lambda: len(store.effects(tenant)) == 3)

    before = asyncio.run(lose())
    assert [number for number, _ in before] == [1, 2, 3]
    asyncio.run(recover())
    assert [version for _, version in store.effects(tenant)] == [1, 2, 3]
    again = asyncio.run(numbers(nats_server, tenant))
    assert set(again) == set(before)


def test_only_what_was_written_since_goes_out_again(store: Any, nats_server: Nats) -> None:
    tenant = store.tenant()
    store.write(tenant, perimeter(1))
    store.journal(tenant, 2)
    store.admin("SELECT pg_sleep(0.01)")
    [(since,)] = store.admin("SELECT clock_timestamp()")
    store.write(tenant, perimeter(2), perimeter(3))
    store.journal(tenant, 1)

    async def publish() -> None:
        async with running(FakeService("records", store.settings())):
            await soon(lambda: not store.unpublished() and published(store, tenant) == 3)

    asyncio.run(publish())
    with psycopg.connect(store.urls.relay_url) as connection:
        assert resend(connection, since) == Resent(2, 1)
    assert (store.unpublished(), published(store, tenant)) == (2, 2)
    with psycopg.connect(store.urls.relay_url) as connection:
        assert resend(connection, datetime.now(UTC) + timedelta(days=1)) == Resent(0, 0)


def test_a_counter_set_back_while_a_batch_is_under_way_is_not_taken_forward_over_it(
    store: Any, nats_server: Nats
) -> None:
    tenant = store.tenant()

    class Meanwhile(Publisher):
        async def publish(self, messages: Any) -> list[Outcome]:
            outcomes = await super().publish(messages)
            if published(store, tenant) == 2:
                with psycopg.connect(store.urls.relay_url) as connection:
                    resend(connection, LONG_AGO)
            return outcomes

    async def scenario() -> None:
        async with nats_server.client() as client, leadership(store.urls.relay_url, "t") as connection:
            await nats_server.make_streams(FakeService("records", store.settings()))
            relay = JournalRelay("records", connection, Meanwhile(client), RelayState())
            for count in (2, 3):
                store.journal(tenant, count)
                await relay.number()
                await relay.publish()
            assert published(store, tenant) == 0
            await relay.publish()
            assert published(store, tenant) == 5

    asyncio.run(scenario())
    got = [number for number, _ in asyncio.run(numbers(nats_server, tenant))]
    assert sorted(set(got)) == [1, 2, 3, 4, 5]


def test_after_a_restore_numbers_go_on_after_those_that_identity_has(store: Any, nats_server: Nats) -> None:
    behind, level, new = store.tenant(), store.tenant(), store.tenant()

    async def number(tenants: list[str]) -> None:
        async with nats_server.client() as client, leadership(store.urls.relay_url, "t") as connection:
            await nats_server.make_streams(FakeService("records", store.settings()))
            for tenant in tenants:
                store.journal(tenant, 2)
            relay = JournalRelay("records", connection, Publisher(client), RelayState())
            await relay.number()
            await relay.publish()

    asyncio.run(number([behind, level]))
    ids = {tenant: last_entry(store, tenant) for tenant in (behind, level)}
    chained = {behind: Reached(9, new_id()), level: Reached(2, ids[level]), new: Reached(4, new_id())}
    with psycopg.connect(store.urls.relay_url) as connection:
        count, kept = go_on(connection, chained)
    assert count == 2
    # What was written before the backup keeps its number: it has to be in the chain.
    assert [(each.tenant_id, each.sequence, each.entry_id) for each in kept] == [(behind, 2, ids[behind])]
    asyncio.run(number([behind, level, new]))
    assert [n for n, _ in asyncio.run(numbers(nats_server, behind))] == [1, 2, 10, 11]
    assert [n for n, _ in asyncio.run(numbers(nats_server, level))] == [1, 2, 3, 4]
    assert [n for n, _ in asyncio.run(numbers(nats_server, new))] == [5, 6]


def test_entries_of_a_service_that_ran_before_it_was_recovered_get_new_numbers(store: Any, nats_server: Nats) -> None:
    tenant, level = store.tenant(), store.tenant()

    async def number() -> None:
        async with nats_server.client() as client, leadership(store.urls.relay_url, "t") as connection:
            await nats_server.make_streams(FakeService("records", store.settings()))
            relay = JournalRelay("records", connection, Publisher(client), RelayState())
            await relay.number()
            await relay.publish()

    for each in (tenant, level):
        store.journal(each, 2)
    asyncio.run(number())
    store.admin("SELECT pg_sleep(0.01)")
    [(opened,)] = store.admin("SELECT clock_timestamp()")
    for each in (tenant, level):
        store.journal(each, 3)
    asyncio.run(number())
    chained = {tenant: Reached(9, new_id()), level: Reached(5, last_entry(store, level))}
    with psycopg.connect(store.urls.relay_url) as connection:
        count, kept = go_on(connection, chained, ran_since=opened)
    assert (count, [(each.tenant_id, each.sequence) for each in kept]) == (1, [(tenant, 2)])
    asyncio.run(number())
    assert [n for n, _ in asyncio.run(numbers(nats_server, tenant))] == [1, 2, 3, 4, 5, 10, 11, 12]
    sent = asyncio.run(numbers(nats_server, tenant))
    assert {entry for number, entry in sent if number >= 10} == {entry for number, entry in sent if 3 <= number <= 5}
    assert [n for n, _ in asyncio.run(numbers(nats_server, level))] == [1, 2, 3, 4, 5]


def test_a_service_that_ran_past_the_numbers_of_the_chain_is_found_by_the_entry_under_the_last_one(
    store: Any, nats_server: Nats
) -> None:
    """Its numbers are as high as those of the chain: only the entries tell that they are others."""
    tenant = store.tenant()

    async def number(count: int) -> None:
        async with nats_server.client() as client, leadership(store.urls.relay_url, "t") as connection:
            await nats_server.make_streams(FakeService("records", store.settings()))
            store.journal(tenant, count)
            relay = JournalRelay("records", connection, Publisher(client), RelayState())
            await relay.number()
            await relay.publish()

    asyncio.run(number(2))
    store.admin("SELECT pg_sleep(0.01)")
    [(opened,)] = store.admin("SELECT clock_timestamp()")
    asyncio.run(number(3))
    chained = {tenant: Reached(4, new_id())}
    with psycopg.connect(store.urls.relay_url) as connection, pytest.raises(RanSinceNeededError):
        go_on(connection, chained)
    assert published(store, tenant) == 5
    with psycopg.connect(store.urls.relay_url) as connection:
        count, kept = go_on(connection, chained, ran_since=opened)
    assert (count, [each.sequence for each in kept]) == (1, [2])
    asyncio.run(number(0))
    assert [n for n, _ in asyncio.run(numbers(nats_server, tenant))] == [1, 2, 3, 4, 5, 5, 6, 7]


def test_numbers_are_not_moved_while_a_worker_gives_them(store: Any) -> None:
    async def scenario() -> None:
        async with leadership(store.urls.relay_url, "t"):
            with psycopg.connect(store.urls.relay_url) as connection, pytest.raises(WorkerLeadsError):
                go_on(connection, {new_id(): Reached(1, new_id())})

    asyncio.run(scenario())
