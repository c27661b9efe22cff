"""Whatever happens between a service and the chain, its entries arrive, once, without anybody's doing; and no association
waits for another one's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from dui.journal.v1 import journal_pb2
from dui_identity.journal import chain
from dui_identity.journal.chain import JOURNAL_CONSUMER, JOURNAL_KEEPER
from dui_kit.calls.outbox import journal_step
from dui_kit.db.statements import run
from dui_kit.ids import new_id
from dui_kit.settings import ServiceSettings
from dui_kit.worker import Event, WorkerCall, announcing, consuming, streams
from dui_kit.worker import journal as relaying
from dui_kit.worker.journal import Confirmation
from dui_kit.worker.leadership import leadership
from dui_kit.worker.metrics import RelayState
from dui_kit.worker.recovery import Reached, go_on
from dui_kit.worker.streams import JOURNAL_STREAM, journal_subject
from dui_kit.worker.testing import FakeService, Nats, nats_running, running, soon
from pydantic import SecretStr


@dataclass
class Platform:
    """Identity as the only service: it writes entries, hands them to itself, and keeps the chain."""

    journal: Any
    nats: Nats

    def tenant(self) -> str:
        tenant_id = new_id()
        self.journal.admin("INSERT INTO access_tenant (tenant_id, active, version) VALUES (%s, true, 1)", (tenant_id,))
        return tenant_id

    def write(self, tenant_id: str, count: int) -> None:
        with psycopg.connect(self.journal.urls.app_url) as connection:
            connection.execute("SELECT set_config('dui.tenant', %s, true)", (tenant_id,))
            for _ in range(count):
                entry = journal_pb2.JournalEntry(entry_id=new_id(), subject="s", operation="a/B")
                entry.occurred_at.GetCurrentTime()
                run(connection, journal_step(tenant_id, entry))

    def published(self, tenant_id: str) -> int:
        rows = self.journal.admin("SELECT published_sequence FROM journal_counter WHERE tenant_id = %s", (tenant_id,))
        return int(rows[0][0]) if rows else 0

    def chained(self, tenant_id: str) -> int:
        rows = self.journal.admin("SELECT last_sequence FROM journal_source WHERE tenant_id = %s", (tenant_id,))
        return int(rows[0][0]) if rows else 0

    def standing(self, tenant_id: str) -> list[tuple[Any, ...]]:
        return list(
            self.journal.admin(
                "SELECT (services::jsonb -> 'identity' ->> 0)::int, settled_at FROM journal_reached WHERE tenant_id = %s",
                (tenant_id,),
            )
        )

    @asynccontextmanager
    async def at_work(self, handler: Callable[[WorkerCall, Event], None] | None = chain.append) -> AsyncIterator[None]:
        """Its worker; without a handler it hands over and nobody appends."""
        urls = self.journal.urls
        settings = ServiceSettings(
            database_url=SecretStr(urls.app_url),
            database_relay_url=SecretStr(urls.relay_url),
            nats_url=SecretStr(self.nats.url),
            nats_owner_url=SecretStr(self.nats.url),
        )
        service = FakeService("identity", settings)
        if handler is not None:
            service.consumers = [replace(JOURNAL_CONSUMER, handler=handler)]
            service.journal_keeper = JOURNAL_KEEPER
        async with running(service):
            yield


@pytest.fixture
def platform(journal: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Platform]:
    monkeypatch.setattr(announcing, "EVERY_SECONDS", 0.1)
    monkeypatch.setattr(relaying, "CONFIRM_SECONDS", 0.1)
    monkeypatch.setattr(relaying, "CLOCKS_APART", timedelta(seconds=0.05))
    monkeypatch.setattr(consuming, "FIRST_PAUSE", 0.01)
    with nats_running(tmp_path / "nats") as nats:
        yield Platform(journal, nats)


def test_identity_says_how_far_each_chain_stands_and_since_when_nothing_waits(platform: Platform) -> None:
    tenant, quiet = platform.tenant(), platform.tenant()
    before = datetime.now(UTC)
    platform.write(tenant, 3)

    async def scenario() -> None:
        async with platform.at_work():
            await soon(lambda: platform.standing(tenant) and platform.standing(tenant)[0][0] == 3)
            await soon(lambda: platform.standing(quiet)[0][1] and platform.standing(quiet)[0][1] > before)

    asyncio.run(scenario())
    assert platform.standing(quiet)[0][0] is None
    assert platform.journal.verify(tenant).sources == {"identity": 3}


def test_what_nats_lost_arrives_without_anybodys_doing(platform: Platform) -> None:
    """The first entries of an association, and the last ones of another, behind which nothing comes any more."""
    first, last = platform.tenant(), platform.tenant()

    async def scenario() -> None:
        platform.write(last, 2)
        async with platform.at_work():
            await soon(lambda: platform.chained(last) == 2)
        platform.write(first, 2)
        platform.write(last, 600)
        async with platform.at_work(handler=None):
            await soon(lambda: (platform.published(first), platform.published(last)) == (2, 602))
        async with platform.nats.client() as client:
            await client.jetstream().delete_stream(JOURNAL_STREAM)
        async with platform.at_work():
            await soon(lambda: (platform.chained(first), platform.chained(last)) == (2, 602))

    asyncio.run(scenario())
    for tenant, entries in ((first, 2), (last, 602)):
        report = platform.journal.verify(tenant)
        assert (report.valid, report.entries) == (True, entries)


def test_the_last_batch_that_nats_lost_is_sent_again_as_soon_as_jetstream_has_forgotten_it(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing comes behind it that would show the gap, and it goes out again under the same id."""
    # All times of the repair are some six hundredths of what they are; the real window is the shortest of them too.
    monkeypatch.setattr(streams, "JOURNAL_DUPLICATE_WINDOW", 0.1)
    tenant = platform.tenant()

    async def scenario() -> None:
        platform.write(tenant, 2)
        async with platform.at_work():
            await soon(lambda: platform.chained(tenant) == 2)
        platform.write(tenant, 3)
        async with platform.at_work(handler=None), platform.nats.client() as client:
            await soon(lambda: platform.published(tenant) == 5)
            js = client.jetstream()
            state = (await js.stream_info(JOURNAL_STREAM)).state
            assert state.messages == 1
            await js.delete_msg(JOURNAL_STREAM, state.last_seq)
        async with platform.at_work():
            await soon(lambda: platform.chained(tenant) == 5, 20)

    asyncio.run(scenario())
    report = platform.journal.verify(tenant)
    assert (report.valid, report.entries) == (True, 5)


def test_a_batch_that_is_given_up_comes_again_and_those_behind_it_follow(platform: Platform) -> None:
    sick, healthy = platform.tenant(), platform.tenant()
    failures: list[int] = []

    def fails(call: WorkerCall, event: Event) -> None:
        """As when a statement takes too long, for longer than an event is tried."""
        if call.tenant_id == sick and len(failures) < 3 * consuming.MAX_FAILURES:
            failures.append(1)
            raise RuntimeError
        chain.append(call, event)

    async def scenario() -> None:
        async with platform.at_work(fails):
            for turn in range(1, 5):
                # Each batch arrives before the next is written, and more of the other's have failed by then.
                platform.write(sick, 5)
                platform.write(healthy, 5)
                await soon(lambda turn=turn: platform.chained(healthy) == 5 * turn)
                await soon(lambda turn=turn: len(failures) > turn)
            await soon(lambda: platform.chained(sick) == 20)
            async with platform.nats.client() as client:
                assert (await client.jetstream().stream_info("DUI_DEAD_LETTERS")).state.messages == 0

    asyncio.run(scenario())
    for tenant in (sick, healthy):
        report = platform.journal.verify(tenant)
        assert (report.valid, report.entries) == (True, 20)


def test_any_number_of_batches_behind_a_gap_holds_nobody_up(platform: Platform) -> None:
    """More than JetStream delivers without an acknowledgement: when each waited there, all associations stood still."""
    stuck, other = platform.tenant(), platform.tenant()

    async def scenario() -> None:
        async with platform.at_work(handler=None), platform.nats.client() as client:
            js = client.jetstream()
            for sequence in range(2, 1_500):
                batch = platform.journal.batch(stuck, 1, service="identity", first=sequence)
                headers = {"ce-id": new_id(), "ce-type": "dui.journal.v1.JournalBatch", "dui-tenant": stuck}
                await client.publish(journal_subject("identity", stuck), batch.SerializeToString(), headers=headers)
            await client.flush()
            await soon(lambda: _messages(js, 1_498))
            platform.write(other, 1)
            await soon(lambda: platform.published(other) == 1)
        async with platform.at_work():
            await soon(lambda: platform.chained(other) == 1)

    asyncio.run(scenario())
    assert platform.chained(stuck) == 0


async def _messages(js: Any, count: int) -> bool:
    return (await js.stream_info(JOURNAL_STREAM)).state.messages >= count


def test_a_journal_that_does_not_continue_its_chain_is_not_sent_again(platform: Platform) -> None:
    """The database of the service was set back, or entries are gone: only an operator knows what to do."""
    set_back, emptied, lost = platform.tenant(), platform.tenant(), platform.tenant()
    for tenant in (set_back, emptied, lost):
        platform.write(tenant, 4)
        platform.journal.admin(
            "WITH n AS (SELECT entry_id, row_number() OVER (ORDER BY entry_id) AS n FROM journal_outbox WHERE tenant_id = %s) "
            "UPDATE journal_outbox o SET sequence = n FROM n WHERE n.entry_id = o.entry_id",
            (tenant,),
        )
        platform.journal.admin("INSERT INTO journal_counter VALUES (%s, 4, 4)", (tenant,))
    platform.journal.admin("DELETE FROM journal_outbox WHERE tenant_id = %s AND sequence = 3", (emptied,))
    now = datetime.now(UTC)

    def says(tenant: str, entry_id: str | None = None) -> None:
        [(second,)] = platform.journal.admin(
            "SELECT entry_id::text FROM journal_outbox WHERE tenant_id = %s AND sequence = 2", (tenant,)
        )
        platform.journal.admin(
            "INSERT INTO journal_reached VALUES (%s, %s, %s, jsonb_build_object('identity', jsonb_build_array(2, %s::text)))",
            (tenant, now, now + timedelta(minutes=2), entry_id or second),
        )

    says(set_back, new_id())
    says(emptied)
    says(lost)
    state = RelayState()

    async def look() -> list[list[str]]:
        async with leadership(platform.journal.urls.relay_url, "test") as connection:
            confirmation = Confirmation("identity", connection, state)
            # The first look notes what was handed over; the second compares it with what has been settled since.
            return [await confirmation.look(now), await confirmation.look(now + timedelta(minutes=3))]

    mine = {set_back, emptied, lost}
    assert [mine & set(found) for found in asyncio.run(look())] == [set(), {lost}]
    assert [platform.published(tenant) for tenant in (set_back, emptied, lost)] == [4, 4, 2]
    assert state.journal_unconfirmed_since == now


def test_a_service_that_was_set_back_loses_no_access_once_it_is_recovered(platform: Platform) -> None:
    """As when a replica that lacked the last moments took over: accesses go on, and their numbers meet those of the chain."""
    tenant = platform.tenant()
    state = RelayState()

    async def looked() -> bool:
        async with leadership(platform.journal.urls.relay_url, "test") as connection:
            await Confirmation("identity", connection, state).look(datetime.now(UTC))
        return state.journal_unconfirmed_since is not None

    async def run_before() -> None:
        platform.write(tenant, 4)
        async with platform.at_work():
            await soon(lambda: platform.standing(tenant) and platform.standing(tenant)[0][0] == 4)

    async def run_after() -> None:
        async with platform.at_work():
            for number in range(3, 8):
                platform.write(tenant, 1)
                await soon(lambda number=number: platform.published(tenant) == number)

    async def recovered() -> None:
        async with platform.at_work():
            await soon(lambda: platform.chained(tenant) == 9)

    asyncio.run(run_before())
    platform.journal.admin("DELETE FROM journal_outbox WHERE tenant_id = %s AND sequence > 2", (tenant,))
    platform.journal.admin(
        "UPDATE journal_counter SET last_sequence = 2, published_sequence = 2, published_entry_id = "
        "(SELECT entry_id FROM journal_outbox WHERE tenant_id = %s AND sequence = 2) WHERE tenant_id = %s",
        (tenant, tenant),
    )
    # It is noticed before a single entry was written.
    assert asyncio.run(looked())
    [(set_back_at,)] = platform.journal.admin("SELECT clock_timestamp()")
    asyncio.run(run_after())
    assert (platform.chained(tenant), platform.published(tenant)) == (4, 7)
    assert asyncio.run(looked())

    [(entry_id,)] = platform.journal.admin(
        "SELECT last_entry_id::text FROM journal_source WHERE tenant_id = %s", (tenant,)
    )
    with psycopg.connect(platform.journal.urls.relay_url) as connection:
        assert go_on(connection, {tenant: Reached(4, entry_id)}, ran_since=set_back_at)[0] == 1
    asyncio.run(recovered())
    report = platform.journal.verify(tenant)
    assert (report.valid, report.sources) == (True, {"identity": 9})


def test_what_is_only_late_is_not_sent_again(platform: Platform) -> None:
    tenant = platform.tenant()
    platform.write(tenant, 2)

    async def scenario() -> None:
        async with platform.at_work(handler=None):
            await soon(lambda: platform.published(tenant) == 2)
        async with leadership(platform.journal.urls.relay_url, "test") as connection:
            confirmation = Confirmation("identity", connection, RelayState())
            start = datetime.now(UTC)
            for minutes, settled in ((0, None), (5, None), (10, start - timedelta(hours=1))):
                platform.journal.admin(
                    "INSERT INTO journal_reached VALUES (%s, now(), %s, '{}') "
                    "ON CONFLICT (tenant_id) DO UPDATE SET settled_at = excluded.settled_at",
                    (tenant, settled),
                )
                assert tenant not in await confirmation.look(start + timedelta(minutes=minutes))

    asyncio.run(scenario())
    assert platform.published(tenant) == 2
