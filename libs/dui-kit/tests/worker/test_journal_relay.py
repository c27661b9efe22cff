"""Numbers of the journal: 1, 2, 3… for each association, whatever crashes, and the same when sent again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from dui.journal.v1 import journal_pb2
from dui_kit.worker import journal
from dui_kit.worker.journal import JournalRelay
from dui_kit.worker.leadership import leadership
from dui_kit.worker.metrics import RelayState
from dui_kit.worker.publishing import Outcome, Publisher
from dui_kit.worker.testing import FakeService, Nats, running, soon
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


class Flaky(Publisher):
    """Loses what a script says it loses: before it is sent, or only its acknowledgement."""

    script: list[str]

    async def publish(self, messages: Any) -> list[Outcome]:
        outcomes = []
        for message in messages:
            step = self.script.pop(0) if self.script else "ok"
            if step == "crash":
                raise ConnectionResetError
            if step == "lost":
                outcomes.append(Outcome.UNKNOWN)
                continue
            [outcome] = await super().publish([message])
            outcomes.append(Outcome.UNKNOWN if step == "unheard" else outcome)
        return outcomes


async def received(nats_server: Nats) -> list[journal_pb2.JournalBatch]:
    """Every batch on the stream, in the order of the stream."""
    async with nats_server.client() as client:
        js = client.jetstream()
        state = (await js.stream_info("DUI_JOURNAL")).state
        return [
            journal_pb2.JournalBatch.FromString((await js.get_msg("DUI_JOURNAL", number)).data or b"")
            for number in range(state.first_seq, state.last_seq + 1)
        ]


def entries_by_number(batches: list[journal_pb2.JournalBatch]) -> dict[str, dict[int, str]]:
    """Tenant → number → entry; fails when one number was given to two entries."""
    found: dict[str, dict[int, str]] = {}
    for batch in batches:
        known = found.setdefault(batch.tenant_id, {})
        numbers = [entry.sequence for entry in batch.entries]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        for entry in batch.entries:
            assert known.setdefault(entry.sequence, entry.entry_id) == entry.entry_id
    return found


steps = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, 2), st.integers(1, 7)),
        st.tuples(st.just("number"), st.just(0), st.just(0)),
        st.tuples(st.just("publish"), st.just(0), st.just(0)),
        st.tuples(st.just("restart"), st.just(0), st.just(0)),
    ),
    max_size=12,
)
faults = st.lists(st.sampled_from(["ok", "ok", "lost", "unheard", "crash"]), max_size=8)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=steps, faults=faults)
def test_numbering_has_no_gap_and_no_number_is_given_twice(
    steps: list[tuple[str, int, int]],
    faults: list[str],
    shared: Any,
    nats_server: Nats,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(journal, "BATCH_ENTRIES", 3)
    tenants = [shared.tenant() for _ in range(3)]

    async def scenario() -> None:
        async with nats_server.client() as client:
            js = client.jetstream()
            await nats_server.make_streams(FakeService("records", shared.settings()))
            await js.purge_stream("DUI_JOURNAL")
            flaky = Flaky(client)
            flaky.script = list(faults)
            pending = list(steps)
            while True:
                async with leadership(shared.urls.relay_url, "t") as connection:
                    relay = JournalRelay("records", connection, flaky, RelayState())
                    try:
                        while pending:
                            kind, which, count = pending.pop(0)
                            if kind == "write":
                                shared.journal(tenants[which], count)
                            elif kind == "number":
                                await relay.number()
                            elif kind == "publish":
                                await relay.publish()
                            else:
                                break
                        else:
                            flaky.script.clear()
                            while await relay.number() or (await relay.publish())[0]:
                                pass
                            return
                    except ConnectionResetError:
                        continue

    asyncio.run(scenario())
    found = entries_by_number(asyncio.run(received(nats_server)))
    for index, tenant in enumerate(tenants):
        written = sum(count for kind, which, count in steps if kind == "write" and which == index)
        assert sorted(found.get(tenant, {})) == list(range(1, written + 1))
        assert shared.admin(
            "SELECT last_sequence, published_sequence FROM journal_counter WHERE tenant_id = %s", (tenant,)
        ) == ([(written, written)] if written else [])
        assert set(found.get(tenant, {}).values()) == {
            row[0] for row in shared.admin("SELECT entry_id::text FROM journal_outbox WHERE tenant_id = %s", (tenant,))
        }


@pytest.fixture
def shared(make_store: Callable[[str], Any]) -> Any:
    return make_store("records")


def test_entries_written_while_it_relays_all_arrive(store: Any, nats_server: Nats) -> None:
    tenants = [store.tenant() for _ in range(3)]

    async def scenario() -> None:
        async with running(FakeService("records", store.settings())):
            for _ in range(20):
                for tenant in tenants:
                    await asyncio.to_thread(store.journal, tenant, 17)
            await soon(
                lambda: store.admin(
                    "SELECT 1 FROM journal_counter HAVING count(*) = 3 AND min(published_sequence) = 340"
                )
            )

    asyncio.run(scenario())
    found = entries_by_number(asyncio.run(received(nats_server)))
    assert {tenant: sorted(entries) for tenant, entries in found.items()} == {
        tenant: list(range(1, 341)) for tenant in tenants
    }


def test_the_app_role_can_neither_read_nor_change_what_the_journal_holds(store: Any) -> None:
    tenant = store.tenant()
    store.journal(tenant, 1)
    for statement in (
        "SELECT * FROM journal_outbox",
        "UPDATE journal_outbox SET payload = ''",
        "DELETE FROM journal_outbox",
        "UPDATE journal_counter SET last_sequence = 0",
    ):
        with psycopg.connect(store.urls.app_url, autocommit=True) as connection:
            connection.execute("SELECT set_config('dui.tenant', %s, false)", (tenant,))
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement.encode())


def test_an_entry_that_cannot_be_read_holds_up_its_association_only(store: Any, nats_server: Nats) -> None:
    damaged, other = store.tenant(), store.tenant()
    store.journal(damaged, 3)
    store.journal(other, 2)

    async def scenario() -> tuple[int, int]:
        async with nats_server.client() as client, leadership(store.urls.relay_url, "t") as connection:
            js = client.jetstream()
            await nats_server.make_streams(FakeService("records", store.settings()))
            await js.purge_stream("DUI_JOURNAL")
            relay = JournalRelay("records", connection, Publisher(client), RelayState())
            await relay.number()
            store.admin(
                "UPDATE journal_outbox SET payload = '\\xabab' WHERE tenant_id = %s AND sequence = 2", (damaged,)
            )
            return await relay.publish()

    assert asyncio.run(scenario()) == (5, 3)
    found = entries_by_number(asyncio.run(received(nats_server)))
    assert {tenant: sorted(numbers) for tenant, numbers in found.items()} == {damaged: [1], other: [1, 2]}
