"""An event that cannot be applied: given up after five deliveries, without holding up others, and sent again later."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest
from dui.access.v1 import facts_pb2
from dui_kit.ids import new_id
from dui_kit.worker import Consumer, Event, Reject, WorkerCall, consuming
from dui_kit.worker.dead_letters import DeadLetter, NotAnEventError, letters, replay
from dui_kit.worker.delivery import REPLAY_FOR, read
from dui_kit.worker.streams import Backlog
from dui_kit.worker.testing import FakeService, Nats, running, soon
from nats.js import JetStreamContext
from nats.js.errors import NoStreamResponseError
from sqlalchemy import text


def perimeter(fact_id: str, version: int) -> facts_pb2.PerimeterChanged:
    return facts_pb2.PerimeterChanged(fact_id=fact_id, version=version, beneficiary_id=new_id())


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consuming, "FIRST_PAUSE", 0.05)
    monkeypatch.setattr(consuming, "AWAY_PAUSE", 0.02)
    monkeypatch.setattr(consuming, "MAX_AWAY_PAUSE", 0.05)


class Handler:
    """Notes each event; fails on the aggregates that are poison, after it has already written something."""

    def __init__(self) -> None:
        self.poison: dict[str, Exception] = {}
        self.tries: list[tuple[str, int]] = []

    def __call__(self, call: WorkerCall, event: Event) -> None:
        message: Any = event.message
        self.tries.append((message.fact_id, message.version))
        call.session.execute(
            text("INSERT INTO effect (tenant_id, aggregate_id, version) VALUES (:t, :a, :v)"),
            {"t": call.tenant_id, "a": message.fact_id, "v": message.version},
        )
        if message.fact_id in self.poison and message.version == 1:
            raise self.poison[message.fact_id]


def consumer(handler: Any, purpose: str = "notes") -> Consumer:
    return Consumer("records", purpose, "DUI_RECORDS", ("dui.records.*.perimeter.v1.*",), handler)


async def settled(js: JetStreamContext, each: Consumer) -> bool:
    """Nothing waits for a consumer, and nothing is delivered and not settled."""
    backlog = Backlog.of(await js.consumer_info(each.stream, each.durable))
    return (backlog.pending, backlog.unsettled) == (0, 0)


async def dead(nats_server: Nats) -> list[DeadLetter]:
    async with nats_server.client() as client:
        return [each async for each in letters(client.jetstream())]


def test_a_poison_event_becomes_a_dead_letter_and_is_replayed_to_its_consumer_only(
    store: Any, nats_server: Nats
) -> None:
    tenant, bad, good = store.tenant(), new_id(), new_id()
    handler, other = Handler(), Handler()
    handler.poison[bad] = ValueError("Madame Martin, née le 1er avril")
    store.write(tenant, perimeter(bad, 1), perimeter(good, 1), perimeter(bad, 2), perimeter(good, 2))

    async def scenario() -> None:
        consumers = [consumer(handler), consumer(other, "others")]
        async with running(FakeService("records", store.settings(), consumers=consumers)):
            found: list[DeadLetter] = await soon(lambda: dead(nats_server))
            # Behind the event that failed its aggregate waited; it went on once that was given up.
            await soon(lambda: len([each for each in store.effects(tenant) if each == (bad, 2)]) == 2)
            [letter] = found
            assert (letter.consumer, letter.reason, letter.deliveries) == ("records__notes", "ValueError", 5)
            assert letter.event_type == "dui.access.v1.PerimeterChanged"
            assert "Martin" not in repr(letter)
            assert handler.tries.count((bad, 1)) >= 5
            handled = len(other.tries)
            handler.poison.clear()
            async with nats_server.client() as client:
                await replay(client.jetstream(), letter)
            await soon(lambda: store.effects(tenant).count((bad, 1)) == 2)
            assert await dead(nats_server) == []
            store.write(tenant, perimeter(good, 3))
            await soon(lambda: store.effects(tenant).count((good, 3)) == 2)
            # The other consumer saw the new event, and not the one sent again.
            assert len(other.tries) == handled + 1

    asyncio.run(scenario())
    effects = store.effects(tenant)
    assert sorted(effects) == sorted([(bad, 1), (bad, 2), (good, 1), (good, 2), (good, 3)] * 2)


def test_a_letter_is_its_services_own_and_leads_nowhere_but_to_events(store: Any, nats_server: Nats) -> None:
    """Who has the password of a service can lay down any letter. An operator, who may do everything, sends it again."""
    tenant = store.tenant()

    async def scenario() -> list[DeadLetter]:
        await nats_server.make_streams(FakeService("records", store.settings()))
        async with nats_server.client() as client:
            js = client.jetstream()
            for subject in (f"dui.identity.{tenant}.assignment.v1.changed", "$JS.API.STREAM.DELETE.DUI_JOURNAL"):
                headers = {"dui-dead-consumer": "planning__access_identity", "dui-dead-subject": subject}
                await js.publish(f"dui.dead.records.notes.{tenant}", b"", headers=headers)
            sent = await client.subscribe(f"dui.identity.{tenant}.>")
            found = [each async for each in letters(js)]
            await replay(js, found[0])
            # The others let it pass: it is for the consumers of the service that laid it down.
            assert (await sent.next_msg(timeout=20)).headers[REPLAY_FOR] == "records__notes"
            with pytest.raises(NotAnEventError):
                await replay(js, found[1])
            assert (await js.stream_info("DUI_JOURNAL")).state.messages == 0
            return [each async for each in letters(js)]

    assert [letter.subject for letter in asyncio.run(scenario())] == ["$JS.API.STREAM.DELETE.DUI_JOURNAL"]


def test_later_events_of_an_aggregate_wait_behind_one_that_fails_for_a_time(
    store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consuming, "MAX_FAILURES", 100)  # however late this test looks, it was not given up
    tenant, shaky = store.tenant(), new_id()
    handler = Handler()
    handler.poison[shaky] = RuntimeError()
    store.write(tenant, *(perimeter(shaky, version) for version in range(1, 6)))

    async def scenario() -> None:
        async with running(FakeService("records", store.settings(), consumers=[consumer(handler)])):
            await soon(lambda: handler.tries.count((shaky, 1)) >= 3)
            assert {version for _, version in handler.tries} - {1} == set()
            handler.poison.clear()
            await soon(lambda: len(store.effects(tenant)) >= 5)

    asyncio.run(scenario())
    assert store.effects(tenant) == [(shaky, version) for version in range(1, 6)]


def test_those_that_waited_keep_their_order_however_the_server_sends_them_again(
    store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait = consuming._Trouble.wait
    # The later an event, the sooner it comes again.
    monkeypatch.setattr(
        consuming._Trouble, "wait", lambda trouble, sequence: wait(trouble, sequence) + 1 / (1 + sequence % 7)
    )
    monkeypatch.setattr(consuming, "MAX_FAILURES", 100)
    tenant, shaky, other = store.tenant(), new_id(), new_id()
    handler = Handler()
    handler.poison[shaky] = RuntimeError()
    store.write(tenant, *(perimeter(shaky, version) for version in range(1, 31)))

    async def scenario() -> None:
        async with running(FakeService("records", store.settings(), consumers=[consumer(handler)])):
            await soon(lambda: handler.tries.count((shaky, 1)) >= 3)
            store.write(tenant, perimeter(other, 1), *(perimeter(shaky, version) for version in range(31, 41)))
            await soon(lambda: (other, 1) in store.effects(tenant))
            handler.poison.clear()
            await soon(lambda: len(store.effects(tenant)) >= 41)

    asyncio.run(scenario())
    assert store.effects(tenant) == [(other, 1), *((shaky, version) for version in range(1, 41))]


def test_nothing_waits_for_an_event_that_is_gone_from_the_stream(
    store: Any, nats_server: Nats, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consuming, "MAX_FAILURES", 100)
    monkeypatch.setattr(consuming, "GONE_SECONDS", 0.5)
    tenant, shaky = store.tenant(), new_id()
    handler = Handler()
    handler.poison[shaky] = RuntimeError()
    store.write(tenant, *(perimeter(shaky, version) for version in (1, 2, 3)))

    async def scenario() -> None:
        async with running(FakeService("records", store.settings(), consumers=[consumer(handler)])):
            await soon(lambda: handler.tries.count((shaky, 1)) >= 2)
            async with nats_server.client() as client:
                js = client.jetstream()
                held = await js.get_msg(
                    "DUI_RECORDS", subject=f"dui.records.{tenant}.perimeter.v1.changed", seq=1, next=True
                )
                await js.delete_msg("DUI_RECORDS", held.seq)
            await soon(lambda: len(store.effects(tenant)) >= 2)

    asyncio.run(scenario())
    assert store.effects(tenant) == [(shaky, 2), (shaky, 3)]


def test_what_its_sender_sends_again_is_passed_over_and_leaves_no_letter(store: Any, nats_server: Nats) -> None:
    tenant, poisoned = store.tenant(), new_id()
    handler = Handler()
    handler.poison[poisoned] = RuntimeError()
    sent_again = replace(consumer(handler), sent_again=True)

    async def scenario() -> None:
        async with running(FakeService("records", store.settings(), consumers=[sent_again])):
            store.write(tenant, perimeter(poisoned, 1), perimeter(poisoned, 2))
            await soon(lambda: store.effects(tenant))
            assert await dead(nats_server) == []
            async with nats_server.client() as client:
                assert await soon(lambda: settled(client.jetstream(), sent_again))

    asyncio.run(scenario())
    assert handler.tries.count((poisoned, 1)) == consuming.MAX_FAILURES
    assert store.effects(tenant) == [(poisoned, 2)]


def test_what_can_never_be_applied_is_given_up_at_once_with_its_reason(store: Any, nats_server: Nats) -> None:
    tenant = store.tenant()

    def rejects(call: WorkerCall, event: Event) -> None:
        raise Reject("NOT_FOR_US")

    async def scenario() -> dict[str, int]:
        async with (
            running(FakeService("records", store.settings(), consumers=[consumer(rejects)])),
            nats_server.client() as client,
        ):
            store.write(tenant, perimeter(new_id(), 1))
            js = client.jetstream()
            await soon(lambda: store.unpublished() == 0)
            subject = f"dui.records.{tenant}.perimeter.v1.changed"
            envelope = {"ce-id": new_id(), "ce-type": "dui.access.v1.PerimeterChanged", "dui-tenant": tenant}
            await js.publish(subject, b"no envelope")
            await js.publish(subject, b"", headers={**envelope, "ce-type": "dui.records.v1.OfTheFuture"})
            await js.publish(subject, b"\xff\xff", headers=envelope)
            await js.publish(subject, b"", headers={**envelope, "dui-tenant": new_id()})

            async def all_five() -> list[DeadLetter] | None:
                found = await dead(nats_server)
                return found if len(found) == 5 else None

            found: list[DeadLetter] = await soon(all_five)
            return {letter.reason: letter.deliveries for letter in found}

    assert asyncio.run(scenario()) == {
        "NOT_FOR_US": 1,
        "MALFORMED": 1,
        "UNKNOWN_TYPE": 1,
        "UNREADABLE": 1,
        "TENANT_MISMATCH": 1,
    }


@dataclass
class Message:
    """What is read of a message of a stream."""

    subject: str
    headers: dict[str, str]
    data: bytes = b""
    metadata: Any = field(default_factory=lambda: SimpleNamespace(sequence=SimpleNamespace(stream=1)))


TENANT, OTHER = "01a00000-0000-7000-8000-000000000001", "01a00000-0000-7000-8000-000000000002"


@pytest.mark.parametrize(
    ("subject", "kind", "says"),
    [
        (f"dui.records.{TENANT}.perimeter.v1.changed", "dui.access.v1.PerimeterChanged", "records"),
        (f"dui.records.{TENANT}.stay.v1.changed", "dui.records.v1.StayChanged", "records"),
        (f"dui.identity.{TENANT}.heartbeat.v1.sent", "dui.access.v1.Heartbeat", "identity"),
        (f"dui.journal.planning.{TENANT}", "dui.journal.v1.JournalBatch", "planning"),
        # The rights of an account are identity's to tell, the stay of a person is records'.
        (f"dui.records.{TENANT}.account.v1.changed", "dui.access.v1.AccountChanged", Reject),
        (f"dui.planning.{TENANT}.perimeter.v1.changed", "dui.access.v1.PerimeterChanged", Reject),
        (f"dui.identity.{TENANT}.stay.v1.changed", "dui.records.v1.StayChanged", Reject),
        (f"dui.records.{TENANT}.perimeter.v1.changed", "dui.access.v1.AssignmentChanged", Reject),
        (f"dui.records.{TENANT}.perimeter.v1.ended", "dui.access.v1.PerimeterChanged", Reject),
        (f"dui.records.{TENANT}.perimeter.v2.changed", "dui.access.v1.PerimeterChanged", Reject),
        (f"dui.records.{TENANT}.right.v1.changed", "dui.access.v1.Right", Reject),
        (f"dui.journal.records.{TENANT}", "dui.access.v1.AccountChanged", Reject),
        (f"dui.records.{TENANT}.journal.v1.reached", "dui.journal.v1.JournalBatch", Reject),
        (f"dui.records.{TENANT}", "dui.access.v1.PerimeterChanged", Reject),
        (f"dui.records.{OTHER}.perimeter.v1.changed", "dui.access.v1.PerimeterChanged", Reject),
    ],
)
def test_a_type_comes_from_its_owner_and_under_its_own_subject(subject: str, kind: str, says: Any) -> None:
    message: Any = Message(subject, {"ce-id": new_id(), "ce-type": kind, "dui-tenant": TENANT})
    if says is Reject:
        with pytest.raises(Reject, match=r"WRONG_SUBJECT|TENANT_MISMATCH"):
            read(message)
    else:
        assert read(message).source == says


def test_no_service_speaks_for_another(store: Any, nats_server: Nats, make_store: Any) -> None:
    """A heartbeat of identity that records sends would keep old rights looking new."""
    reader, tenant = make_store("planning"), store.tenant()
    reader.admin("INSERT INTO access_tenant (tenant_id, active, version) VALUES (%s, true, 1)", (tenant,))

    async def scenario() -> list[DeadLetter]:
        async with (
            running(FakeService("records", store.settings())),
            running(FakeService("planning", reader.settings())),
            nats_server.client() as client,
        ):
            beat = facts_pb2.Heartbeat(source="identity")
            beat.sent_at.GetCurrentTime()
            headers = {"ce-id": new_id(), "ce-type": "dui.access.v1.Heartbeat", "dui-tenant": tenant}

            async def sent() -> bool:
                try:
                    await client.jetstream().publish(
                        f"dui.records.{tenant}.heartbeat.v1.sent", beat.SerializeToString(), headers=headers
                    )
                except NoStreamResponseError:
                    return False
                return True

            await soon(sent)
            found: list[DeadLetter] = await soon(lambda: dead(nats_server))
            return found

    assert [letter.reason for letter in asyncio.run(scenario())] == ["WRONG_SOURCE"]
    assert reader.admin("SELECT count(*) FROM access_heartbeat") == [(0,)]


def test_a_database_that_is_away_fails_no_event(store: Any, nats_server: Nats) -> None:
    tenant, fact_id = store.tenant(), new_id()
    tries: list[int] = []

    def handler(call: WorkerCall, event: Event) -> None:
        tries.append(event.version)
        if len(tries) <= 2 * consuming.MAX_FAILURES:
            # As when PostgreSQL ends the session under the handler.
            call.session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    async def scenario() -> None:
        async with running(FakeService("records", store.settings(), consumers=[consumer(handler)])):
            store.write(tenant, perimeter(fact_id, 1))
            await soon(lambda: store.admin("SELECT 1 FROM inbox"), 60)
            assert await dead(nats_server) == []

    asyncio.run(scenario())
    assert len(tries) == 2 * consuming.MAX_FAILURES + 1
