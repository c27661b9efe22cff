"""What must hold afterwards, read where it lies: in the databases and in JetStream, past the platform's own answers."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import nats
import nats.errors
import psycopg
from dui.journal.v1 import journal_pb2
from dui_kit.worker.rebuild import PROJECTIONS
from dui_kit.worker.streams import DEAD_LETTER_STREAM, Backlog, backlogs, event_stream
from dui_local.services import SERVICES
from dui_ops.state import State
from dui_ops.supervision import Supervisor
from fault_clients import Write
from nats.js import JetStreamContext, api

#: Which rows a write of each kind makes: service, statement that finds ids by marks.
ROWS = {
    "note": ("records", "SELECT subject, handover_note_id::text FROM handover_note WHERE subject = ANY(%s)"),
    "beneficiary": ("records", "SELECT birth_name, beneficiary_id::text FROM beneficiary WHERE birth_name = ANY(%s)"),
    "assignment": (
        "identity",
        "SELECT valid_from, assignment_id::text FROM assignment WHERE valid_from = ANY(%s::timestamptz[])",
    ),
}


def query(state: State, service: str, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
    """Rows of a service's database, as superuser: no row is out of sight."""
    url = state["services"][service]["database"]["superuser_url"]
    with psycopg.connect(url, options="-c timezone=UTC") as connection:
        return connection.execute(statement, parameters).fetchall()


def wait_until_drained(state: State, seconds: float) -> float:
    """Waits until nothing is under way any more. Returns the time it took; AssertionError says what is left."""
    begun = time.monotonic()
    while left := under_way(state):
        assert time.monotonic() - begun < seconds, f"still under way after {seconds:g} s: {left}"
        time.sleep(0.2)
    return time.monotonic() - begun


def under_way(state: State) -> dict[str, int]:
    """What is on its way: not yet published, not yet consumed, not yet in the chain."""
    left: dict[str, int] = {}
    try:
        for service in SERVICES:
            ((left[f"{service} outbox"],),) = query(
                state, service, "SELECT count(*) FROM outbox WHERE published_at IS NULL"
            )
            ((left[f"{service} journal"],),) = query(
                state, service, "SELECT count(*) FROM journal_outbox WHERE sequence IS NULL"
            )
            given = query(state, service, "SELECT tenant_id::text, last_sequence FROM journal_counter")
            present = dict(
                query(
                    state,
                    "identity",
                    "SELECT tenant_id::text, last_sequence FROM journal_source WHERE service = %s",
                    service,
                )
            )
            left[f"{service} chain"] = sum(last - present.get(tenant, 0) for tenant, last in given)
        left |= {each.consumer: each.pending + each.unsettled for each in asyncio.run(_backlogs(state))}
    except (psycopg.Error, nats.errors.Error, OSError) as error:
        return {type(error).__name__: 1}
    return {name: number for name, number in left.items() if number}


async def _backlogs(state: State) -> list[Backlog]:
    client = await nats.connect(state["nats"]["admin_url"], connect_timeout=3, max_reconnect_attempts=1)
    try:
        return await backlogs(client.jetstream())
    finally:
        await client.close()


def check_rows(state: State, writes: Iterable[Write]) -> None:
    """Every acknowledged write is there once, under the id that was answered; no other is there twice."""
    by_kind: dict[str, list[Write]] = {}
    for write in writes:
        by_kind.setdefault(write.kind, []).append(write)
    for kind, made in by_kind.items():
        service, statement = ROWS[kind]
        ids: dict[object, list[str]] = {}
        for mark, id_ in query(state, service, statement, [write.mark for write in made]):
            ids.setdefault(mark.isoformat() if isinstance(mark, datetime) else mark, []).append(id_)
        lost = [write.key for write in made if write.acknowledged and ids.get(write.mark) != [write.id]]
        assert not lost, f"{kind}: acknowledged, and not there once under their id: {lost}"
        twice = [write.key for write in made if len(ids.get(write.mark, [])) > 1]
        assert not twice, f"{kind}: there more than once: {twice}"


def check_projections(state: State) -> int:
    """Each service's copy of the other's facts equals the owner's. Returns how many facts were compared."""
    compared = 0
    for owner, tables in PROJECTIONS.items():
        for table, other in itertools.product(tables, SERVICES.keys() - {owner}):
            statement = f"SELECT to_jsonb({table}) FROM {table} ORDER BY to_jsonb({table})::text"  # noqa: S608 (constants)
            own, copy = query(state, owner, statement), query(state, other, statement)
            differing = [row for row in own if row not in copy][:3], [row for row in copy if row not in own][:3]
            assert own == copy, f"{table} of {other}: of the owner only, of the copy only: {differing}"
            compared += len(own)
    return compared


def check_facts(state: State, writes: Iterable[Write]) -> None:
    """The facts of acknowledged writes have reached the other service."""
    made = [write for write in writes if write.acknowledged]
    persons = {write.id for write in made if write.kind == "beneficiary"}
    known = {row[0] for row in query(state, "identity", "SELECT beneficiary_id::text FROM access_person")}
    assert persons <= known, persons - known
    opened = {row[0] for row in query(state, "identity", "SELECT beneficiary_id::text FROM access_perimeter")}
    assert persons <= opened, persons - opened
    assignments = {write.id for write in made if write.kind == "assignment"}
    known = {row[0] for row in query(state, "records", "SELECT assignment_id::text FROM access_assignment")}
    assert assignments <= known, assignments - known


#: By service and event id (`Nats-Msg-Id`): the places on the stream at which the event was.
Seen = dict[str, dict[str, set[int]]]


@contextmanager
def witness(state: State) -> Iterator[Seen]:
    """Reads every event of every service as it passes: a stream keeps only what its readers have not taken yet. It is a reader
    like any other, so that nothing passes it unseen while NATS, or its own connection, is down."""
    seen: Seen = {service: {} for service in SERVICES}
    begun, ended = threading.Event(), threading.Event()

    async def read(js: JetStreamContext, service: str) -> None:
        subscription = await js.pull_subscribe_bind("faults__witness", stream=event_stream(service))
        while not ended.is_set():
            try:
                fetched = await subscription.fetch(200, timeout=0.5)
            except (TimeoutError, nats.errors.TimeoutError):
                continue
            except nats.errors.Error:
                await asyncio.sleep(0.2)  # NATS was killed: it comes back
                continue
            for msg in fetched:
                event_id = (msg.headers or {}).get("Nats-Msg-Id", "")
                seen[service].setdefault(event_id, set()).add(msg.metadata.sequence.stream)
                await msg.ack()

    async def watch() -> None:
        async def silent(_: Exception) -> None:
            """Parts are killed: that is what this is about."""

        client = await nats.connect(
            state["nats"]["admin_url"], max_reconnect_attempts=-1, reconnect_time_wait=0.1, error_cb=silent
        )
        js = client.jetstream()
        config = api.ConsumerConfig(
            durable_name="faults__witness", deliver_policy=api.DeliverPolicy.NEW, ack_policy=api.AckPolicy.EXPLICIT
        )
        for service in SERVICES:
            await js.add_consumer(event_stream(service), config)
        begun.set()
        await asyncio.gather(*(read(js, service) for service in SERVICES))
        for service in SERVICES:
            await js.delete_consumer(event_stream(service), "faults__witness")
        await client.close()

    thread = threading.Thread(target=lambda: asyncio.run(watch()))
    thread.start()
    try:
        assert begun.wait(20), "NATS does not answer"
        yield seen
    finally:
        ended.set()
        thread.join()


def check_events(state: State, seen: Seen, since: datetime) -> tuple[int, int]:
    """Every event that was written since was on its stream. Returns how many there are, and how many were there again.

    A NATS that was killed has forgotten the ids of what its consumers have already (a stream keeps what is not taken), so what the
    relay sends again is stored again: the stream gives at least once, the consumers make it once (`check_projections`).
    """
    total = again = 0
    for service in SERVICES:
        statement = "SELECT event_id::text FROM outbox WHERE created_at >= %s"
        written = {row[0] for row in query(state, service, statement, since)}
        sent = seen[service]
        missing = written - sent.keys()
        assert not missing, f"{service}: {len(missing)} events never reached the stream: {sorted(missing)[:3]}"
        again += sum(len(sent[event_id]) > 1 for event_id in written)
        total += len(written)
    return total, again


def dead_letters(state: State) -> int:
    """How many events nobody could apply."""

    async def count() -> int:
        client = await nats.connect(state["nats"]["admin_url"])
        try:
            return (await client.jetstream().stream_info(DEAD_LETTER_STREAM)).state.messages
        finally:
            await client.close()

    return asyncio.run(count())


def check_journal(state: State, writes: Iterable[Write], since: datetime) -> int:
    """The chain holds each entry that a service wrote once, and one of each acknowledged write. Returns their number."""
    chained: Counter[str] = Counter()
    by_trace: Counter[str] = Counter()
    statement = "SELECT content FROM journal_entry WHERE appended_at >= %s"
    for (content,) in query(state, "identity", statement, since):
        entry = journal_pb2.JournalEntry.FromString(content)
        chained[entry.entry_id] += 1
        if entry.outcome == journal_pb2.JOURNAL_OUTCOME_ALLOWED:
            by_trace[entry.trace_id] += 1
    twice = {entry_id: number for entry_id, number in chained.items() if number > 1}
    assert not twice, f"in the chain more than once: {twice}"
    written: set[str] = set()
    for service in SERVICES:
        rows = query(state, service, "SELECT entry_id::text FROM journal_outbox WHERE created_at >= %s", since)
        written.update(row[0] for row in rows)
    missing = written - chained.keys()
    assert not missing, f"{len(missing)} entries are not in the chain: {sorted(missing)[:3]}"
    # The last request of a write is the one that was acknowledged.
    silent = [write.key for write in writes if write.acknowledged and not by_trace[write.traces[-1]]]
    assert not silent, f"acknowledged without a trace in the journal: {silent}"
    return len(chained)


def process_of(supervisor: Supervisor, name: str) -> int | None:
    """The live process of a program."""
    return next(each.pid for each in supervisor.programs() if each.name == name)


def eventually(what: str, condition: Callable[[], bool], seconds: float) -> None:
    """Waits for a condition; AssertionError when it does not come."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.1)
