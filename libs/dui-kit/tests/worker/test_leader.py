"""What the worker does besides relaying and consuming: heartbeats, jobs, the end of old rows, health, projections."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import psycopg
import pytest
from dui.access.v1 import facts_pb2
from dui_kit.db.database import make_engine
from dui_kit.ids import new_id, smallest_id
from dui_kit.times import to_timestamp
from dui_kit.worker import Consumer, Event, Job, WorkerCall, WorkerContext, jobs, maintenance, process
from dui_kit.worker.maintenance import purge_idempotency, purge_inbox, purge_published
from dui_kit.worker.rebuild import rebuild
from dui_kit.worker.streams import backlogs
from dui_kit.worker.testing import FakeService, Nats, eventually, free_port, running, soon
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2, health_pb2_grpc
from nats.js import JetStreamContext
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter


def person(beneficiary_id: str, version: int = 1, surviving_id: str | None = None) -> facts_pb2.PersonChanged:
    return facts_pb2.PersonChanged(beneficiary_id=beneficiary_id, version=version, surviving_id=surviving_id)


@pytest.fixture
def identity(make_store: Callable[[str], Any]) -> Any:
    """A second service, which consumes the facts of records."""
    return make_store("identity")


def test_facts_reach_the_projections_of_another_service_and_heartbeats_follow(
    store: Any, identity: Any, nats_server: Nats
) -> None:
    tenant = store.tenant()
    merged, kept = new_id(), new_id()

    async def scenario() -> None:
        await nats_server.make_streams(FakeService("identity", identity.settings()))
        async with (
            running(FakeService("records", store.settings(), heartbeat=True)),
            running(FakeService("identity", identity.settings())),
        ):
            store.write(tenant, person(kept), person(merged), person(merged, 2, kept))
            # A single fact and several at once take different ways to the same rows.
            await soon(lambda: identity.admin("SELECT 1 FROM access_person WHERE surviving_id = %s", (kept,)))
            store.write(tenant, person(merged, 1))
            store.write(tenant, person(merged, 3))
            await soon(
                lambda: identity.admin(
                    "SELECT 1 FROM access_person WHERE beneficiary_id = %s AND surviving_id IS NULL AND version = 3",
                    (merged,),
                )
            )
            [(source, sent_at)] = await soon(
                lambda: identity.admin("SELECT source, sent_at FROM access_heartbeat WHERE tenant_id = %s", (tenant,))
            )
            assert source == "records"
            assert abs(datetime.now(UTC) - sent_at) < timedelta(seconds=30)

    asyncio.run(scenario())
    # A heartbeat takes no row of the outbox, and no fact one of the inbox.
    assert store.admin("SELECT count(*) FROM outbox") == [(5,)]
    assert identity.admin("SELECT count(*) FROM inbox") == [(0,)]


def test_no_heartbeat_vouches_for_an_association_of_which_an_event_is_refused(
    store: Any, identity: Any, nats_server: Nats
) -> None:
    """Its readers must learn that their facts may be old."""
    healthy, sick = store.tenant(), store.tenant()
    store.write(sick, person(new_id()))
    store.admin("UPDATE outbox SET payload = decode(repeat('00', 2000000), 'hex')")

    async def scenario() -> None:
        await nats_server.make_streams(FakeService("identity", identity.settings()))
        async with (
            running(FakeService("records", store.settings(), heartbeat=True)),
            running(FakeService("identity", identity.settings())),
        ):
            await soon(lambda: identity.admin("SELECT 1 FROM access_heartbeat WHERE tenant_id = %s", (healthy,)))
            assert identity.admin("SELECT 1 FROM access_heartbeat WHERE tenant_id = %s", (sick,)) == []

    asyncio.run(scenario())


def test_one_trace_runs_from_the_outbox_through_the_relay_to_the_consumer(
    store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    from dui_kit.wire import telemetry

    monkeypatch.setattr(telemetry, "_tracer", provider.get_tracer("test"))
    tenant = store.tenant()
    request = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    def announces(call: WorkerCall, event: Event) -> None:
        if isinstance(event.message, facts_pb2.PersonChanged):
            stay, facility = new_id(), new_id()
            fact = facts_pb2.PerimeterChanged(fact_id=stay, version=1, beneficiary_id=new_id(), facility_id=facility)
            fact.valid_from.GetCurrentTime()
            call.publish(fact)

    consumer = Consumer("records", "chain", "DUI_RECORDS", ("dui.records.*.*.v1.changed",), announces)

    def finished() -> list[ReadableSpan]:
        """Without the statements."""
        return [span for span in exporter.get_finished_spans() if span.kind is not trace.SpanKind.CLIENT]

    async def scenario() -> None:
        async with running(FakeService("records", store.settings(), consumers=[consumer])):
            store.write(tenant, person(new_id()), traceparent=request)
            await soon(lambda: len(finished()) >= 4)

    asyncio.run(scenario())
    spans = {span.name: span for span in finished()}
    chain = [
        "publish dui.records.{tenant}.person.v1.changed",
        "process dui.records.{tenant}.person.v1.changed",
        "publish dui.records.{tenant}.perimeter.v1.changed",
        "process dui.records.{tenant}.perimeter.v1.changed",
    ]
    assert {span.name for span in exporter.get_finished_spans() if span.kind is not trace.SpanKind.CLIENT} == set(chain)
    parent = 0xB7AD6B7169203331
    for name in chain:
        span = spans[name]
        assert span.context is not None
        assert span.parent is not None
        assert (span.context.trace_id, span.parent.span_id) == (0x0AF7651916CD43DD8448EB211C80319C, parent)
        parent = span.context.span_id
    assert spans[chain[0]].kind is trace.SpanKind.PRODUCER
    assert spans[chain[1]].kind is trace.SpanKind.CONSUMER


def test_a_job_runs_in_one_process_at_a_time_and_a_failure_stops_no_other_run(store: Any) -> None:
    engine = make_engine(store.urls.app_url, pool_size=4, name="test")
    started, release = threading.Event(), threading.Event()
    runs: list[str] = []

    def slow(context: WorkerContext) -> None:
        started.set()
        assert release.wait(20)
        runs.append("slow")

    def fails(context: WorkerContext) -> None:
        runs.append("fails")
        raise ValueError("Madame Martin")

    context = WorkerContext("records", engine, store.settings(), list)
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(jobs.run_once, Job("slow", 60, slow), context)
        assert started.wait(20)
        assert jobs.run_once(Job("slow", 60, slow), context) is False
        assert jobs.run_once(Job("other", 60, fails), context) is False
        release.set()
        assert first.result(20) is True
    assert jobs.run_once(Job("slow", 60, slow), context) is True
    assert jobs.run_once(Job("other", 60, fails), context) is False
    assert runs == ["fails", "slow", "slow", "fails"]
    engine.dispose()


def test_jobs_recur_and_one_that_asks_for_it_runs_as_the_worker_ends(store: Any) -> None:
    tenant = store.tenant()
    seen: list[str] = []
    last: list[bool] = []

    def recurring(context: WorkerContext) -> None:
        seen.extend(context.tenants())

    def at_the_end(context: WorkerContext) -> None:
        last.append(context.stopping())

    async def scenario() -> None:
        service = FakeService(
            "records",
            store.settings(),
            jobs=[Job("recurring", 0.05, recurring), Job("end", 3600, at_the_end, at_shutdown=True)],
        )
        async with running(service) as handle:
            await soon(lambda: len(seen) >= 3 and last)
            assert await handle.stop() == 0

    asyncio.run(scenario())
    assert set(seen) == {tenant}
    assert len(last) == 2


def test_old_rows_end_and_nothing_that_is_still_needed(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maintenance, "CHUNK", 2)
    tenant, other = store.tenant(), store.tenant()
    now = datetime.now(UTC)
    ages = [timedelta(days=6, hours=23), *(timedelta(days=7, hours=1 + each) for each in range(5))]
    for age in ages:
        event_id = smallest_id(now - age)
        store.admin(
            "INSERT INTO outbox (event_id, tenant_id, subject, event_type, aggregate_id, aggregate_version, payload, "
            "published_at) VALUES (%s, %s, 's', 't', 'a', 1, '', %s)",
            (event_id, tenant, now - age),
        )
        store.admin("INSERT INTO journal_outbox (entry_id, tenant_id, payload) VALUES (%s, %s, '')", (event_id, tenant))
        store.admin("INSERT INTO inbox VALUES ('c', %s, %s, %s)", (new_id(), tenant, now - age - timedelta(days=1)))
        store.admin(
            "INSERT INTO idempotency (tenant_id, subject, operation, key, request_hash, response, created_at) "
            "VALUES (%s, 's', 'o', %s, '', '', %s)",
            (other, new_id(), now - age + timedelta(days=5)),
        )
    # Old and not published, old and not numbered, old and not in the chain: kept, and of the chained ones the last.
    store.admin(
        "UPDATE outbox SET published_at = NULL WHERE event_id = (SELECT event_id FROM outbox ORDER BY 1 LIMIT 1)"
    )
    store.admin(
        "UPDATE journal_outbox o SET sequence = n FROM (SELECT entry_id, row_number() OVER (ORDER BY entry_id) AS n "
        "FROM journal_outbox) r WHERE r.entry_id = o.entry_id AND n <= 5"
    )
    store.admin("INSERT INTO journal_counter VALUES (%s, 5, 5)", (tenant,))
    [(third,)] = store.admin("SELECT entry_id::text FROM journal_outbox WHERE sequence = 3")

    async def purge() -> int:
        async with await psycopg.AsyncConnection.connect(store.urls.relay_url, autocommit=True) as connection:
            return await purge_published("records", connection, now)

    # Nobody has said yet that the journal is in the chain.
    assert asyncio.run(purge()) == 4
    assert store.admin("SELECT count(*), count(published_at) FROM outbox") == [(2, 1)]
    reached = (
        "INSERT INTO journal_reached VALUES (%s, now(), now(), %s) ON CONFLICT (tenant_id) DO UPDATE SET services = %s"
    )
    for services in (f'{{"planning": [3, "{third}"]}}', f'{{"records": [3, "{new_id()}"]}}'):
        store.admin(reached, (tenant, services, services))
        assert asyncio.run(purge()) == 0
    services = f'{{"records": [3, "{third}"]}}'
    store.admin(reached, (tenant, services, services))
    assert asyncio.run(purge()) == 2
    assert store.admin("SELECT array_agg(sequence ORDER BY sequence) FROM journal_outbox") == [([3, 4, 5, None],)]
    engine = make_engine(store.urls.app_url, pool_size=1, name="test")
    context = WorkerContext("records", engine, store.settings(), lambda: [tenant, other])
    purge_inbox(context)
    purge_idempotency(context)
    engine.dispose()
    assert store.admin("SELECT count(*) FROM inbox") == [(1,)]
    assert store.admin("SELECT count(*) FROM idempotency") == [(1,)]


def test_the_worker_tells_its_health_over_grpc(store: Any, nats_server: Nats) -> None:
    address = f"127.0.0.1:{free_port()}"

    def status() -> int:
        with grpc.insecure_channel(address) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            try:
                answer: int = stub.Check(health_pb2.HealthCheckRequest(), timeout=5, wait_for_ready=True).status
            except grpc.RpcError:
                return -1
            return answer

    async def said(expected: int) -> bool:
        return await asyncio.to_thread(status) == expected

    async def scenario() -> None:
        async with running(FakeService("records", store.settings(worker_listen=address))):
            await soon(lambda: said(health_pb2.HealthCheckResponse.SERVING))
            nats_server.kill()
            await soon(lambda: said(health_pb2.HealthCheckResponse.NOT_SERVING))
            nats_server.start()
            await soon(lambda: said(health_pb2.HealthCheckResponse.SERVING))

    asyncio.run(scenario())


def test_a_worker_that_fails_again_and_again_is_not_healthy(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Part:
        broken = True

        async def __call__(self, *_: object) -> None:
            if self.broken:
                message = "no outage explains this"
                raise ValueError(message)

    part = Part()
    monkeypatch.setattr(process, "purge_forever", part)
    monkeypatch.setattr(process, "STALL_SECONDS", 2.0)

    async def scenario() -> None:
        async with running(FakeService("records", store.settings())) as handle:
            await soon(lambda: handle.worker.state.leading and not handle.worker.healthy())
            part.broken = False
            await soon(handle.worker.healthy)

    asyncio.run(scenario())


def test_what_changes_while_the_snapshot_is_read_is_not_lost_with_the_rows_that_it_replaces(
    store: Any, identity: Any, nats_server: Nats
) -> None:
    """Its own consumer applies the change, and has it off the stream, between the reading of the snapshot and its writing."""
    tenant = store.tenant()
    before, meanwhile = new_id(), new_id()

    def known(beneficiary_id: str) -> list[Any]:
        return list(identity.admin("SELECT 1 FROM access_person WHERE beneficiary_id = %s", (beneficiary_id,)))

    async def scenario() -> None:
        engine = make_engine(identity.urls.app_url, pool_size=1, name="test")
        service = FakeService("identity", identity.settings())
        await nats_server.make_streams(service)
        async with nats_server.client() as client, running(FakeService("records", store.settings())), running(service):
            js = client.jetstream()

            def snapshot(tenant_id: str) -> Iterator[Message]:
                yield person(before)
                store.write(tenant_id, person(meanwhile))
                eventually(lambda: known(meanwhile))

            [done] = await rebuild("identity", engine, js, tenant, {"records": snapshot})
            assert (done.snapshot, done.tail) == (1, 1)
            assert known(before)
            assert known(meanwhile)
            # Nothing is left of the reading that would hold what is published from now on.
            await soon(lambda: _nothing_on(js, "DUI_RECORDS"))
            assert {each.consumer for each in await backlogs(js)} == {
                "identity__access_records",
                "records__access_identity",
            }
        engine.dispose()

    asyncio.run(scenario())


async def _nothing_on(js: JetStreamContext, stream: str) -> bool:
    return (await js.stream_info(stream)).state.messages == 0


def test_a_projection_is_rebuilt_from_the_snapshot_and_the_tail(store: Any, identity: Any, nats_server: Nats) -> None:
    tenant, elsewhere = store.tenant(), store.tenant()
    stays, wrong, late = new_id(), new_id(), new_id()
    identity.admin(
        "INSERT INTO access_person (tenant_id, beneficiary_id, version) VALUES (%s, %s, 9), (%s, %s, 1)",
        (tenant, wrong, elsewhere, wrong),
    )

    async def scenario() -> None:
        engine = make_engine(identity.urls.app_url, pool_size=1, name="test")
        async with running(FakeService("records", store.settings())), nats_server.client() as client:
            js = client.jetstream()

            def snapshot(tenant_id: str) -> Iterator[Message]:
                yield person(stays, 2)
                # What happens while the snapshot is read is not in it, and is in the tail.
                store.write(tenant_id, person(late))
                store.write(elsewhere, person(new_id()))
                while store.unpublished():
                    pass

            [done] = await rebuild("identity", engine, js, tenant, {"records": snapshot})
            assert (done.owner, done.snapshot, done.tail) == ("records", 1, 1)
        engine.dispose()

    asyncio.run(scenario())
    rows = identity.admin("SELECT beneficiary_id::text, version FROM access_person WHERE tenant_id = %s", (tenant,))
    assert sorted(rows) == sorted([(stays, 2), (late, 1)])
    assert identity.admin("SELECT count(*) FROM access_person WHERE tenant_id = %s", (elsewhere,)) == [(1,)]


def test_the_newest_of_several_versions_in_one_batch_wins_whatever_their_order(store: Any) -> None:
    from dui_kit.db.database import raw, tenant_session
    from dui_kit.facts import apply_facts

    tenant, beneficiary = store.tenant(), new_id()
    engine = make_engine(store.urls.app_url, pool_size=1, name="test")
    rights = [facts_pb2.Right(category=4, actions=[1, 2]), facts_pb2.Right(category=1, actions=[1])]
    facts: list[Message] = [
        person(beneficiary, 3),
        person(beneficiary, 2, new_id()),
        facts_pb2.PolicyChanged(policy_id="profession-7", version=1, profession=7, rights=rights),
        facts_pb2.Heartbeat(source="identity", sent_at=to_timestamp(datetime.now(UTC))),
        facts_pb2.AccountChanged(account_id=new_id(), version=1, subject="sub", active=True),
    ]
    with tenant_session(engine, tenant) as session:
        apply_facts(raw(session), tenant, facts)
    with tenant_session(engine, tenant) as session:
        apply_facts(raw(session), tenant, [person(beneficiary, 1, new_id())])
    engine.dispose()
    assert store.admin("SELECT surviving_id, version FROM access_person") == [(None, 3)]
    [(found,)] = store.admin("SELECT rights FROM access_policy")
    assert (found[0], found[3], sum(found)) == (0b10, 0b110, 0b1000)
    assert store.admin("SELECT subject, active FROM access_account") == [("sub", True)]
    assert len(store.admin("SELECT 1 FROM access_heartbeat")) == 1
