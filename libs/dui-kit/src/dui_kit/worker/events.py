"""The relay of events: from the outbox to JetStream, in the order of each aggregate."""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from opentelemetry.trace import Span

from dui_kit import telemetry
from dui_kit.telemetry import log
from dui_kit.worker import spans
from dui_kit.worker.leadership import RelayConnection
from dui_kit.worker.metrics import RelayState
from dui_kit.worker.publishing import WINDOW, HeaderValue, Outcome, Outgoing, Publisher

#: The pause between two looks, with and without work: an event waits 50 ms at most, an idle relay rests longer.
BUSY_SECONDS = 0.05
IDLE_SECONDS = 0.1
#: After JetStream did not answer.
OUTAGE_SECONDS = 0.5
#: A parked aggregate is tried again after 1 s, then twice as long each time, up to this.
MAX_PARKED_SECONDS = 300.0

_SELECT = """SELECT event_id::text, tenant_id::text, subject, event_type, aggregate_id, payload, traceparent, created_at
FROM outbox WHERE published_at IS NULL{parked} ORDER BY position LIMIT {window}"""
_NEXT = _SELECT.format(parked="", window=WINDOW)
_NEXT_BUT_PARKED = _SELECT.format(
    parked=" AND (tenant_id, aggregate_id) NOT IN (SELECT * FROM unnest(%s::uuid[], %s::text[]))", window=WINDOW
)
_MARK = "UPDATE outbox SET published_at = clock_timestamp() WHERE event_id = ANY(%s::uuid[])"
_DEPTH = "SELECT count(*), min(created_at) FROM outbox WHERE published_at IS NULL"

_VERSION = HeaderValue("1.0")


class _Row(NamedTuple):
    event_id: str
    tenant_id: str
    subject: str
    event_type: str
    aggregate_id: str
    payload: bytes
    traceparent: str | None
    created_at: datetime

    @property
    def aggregate(self) -> tuple[str, str]:
        return self.tenant_id, self.aggregate_id


@dataclass(slots=True)
class _Parked:
    until: float
    pause: float


class EventRelay:
    """Publishes what the outbox holds.

    A row is marked only once JetStream has acknowledged it, so a crash in between sends it again, under the same id. At
    most one event of an aggregate is under way: the next one leaves when it has arrived. An event that JetStream refuses
    parks its aggregate; the others go on. Its row stays, and is the record of the failure.
    """

    def __init__(self, service: str, connection: RelayConnection, publisher: Publisher, state: RelayState) -> None:
        self._source = HeaderValue(f"/dui/{service}")
        self._connection = connection
        self._publisher = publisher
        self._state = state
        self._parked: dict[tuple[str, str], _Parked] = {}
        #: Every event older than this has been published, but those of parked aggregates: what a heartbeat vouches for.
        self.drained_at: datetime | None = None

    async def run(self) -> None:
        """Relays until cancelled."""
        pause = BUSY_SECONDS
        while True:
            taken, published = await self.relay_once()
            self._state.beat()
            if taken and not published:
                await asyncio.sleep(OUTAGE_SECONDS)
            elif taken < WINDOW:
                pause = BUSY_SECONDS if taken else min(pause * 1.1, IDLE_SECONDS)
                await asyncio.sleep(pause)

    async def relay_once(self) -> tuple[int, int]:
        """One look: publishes a window. Returns how many rows it took and how many it published."""
        looked_at = datetime.now(UTC)
        rows = await self._next()
        if not rows:
            self._state.event_depth, self._state.event_oldest = 0, None
            self.drained_at = looked_at
            return 0, 0
        await self._measure(rows)
        waves: dict[tuple[str, str], list[_Row]] = {}
        for row in rows:
            waves.setdefault(row.aggregate, []).append(row)
        published = 0
        while waves:
            wave = [queue[0] for queue in waves.values()]
            outcomes = await self._publish(wave)
            arrived = [row for row, outcome in zip(wave, outcomes, strict=True) if outcome is Outcome.ACKNOWLEDGED]
            if arrived:
                await self._connection.execute(_MARK, ([row.event_id for row in arrived],))
            published += len(arrived)
            for row, outcome in zip(wave, outcomes, strict=True):
                if outcome is Outcome.ACKNOWLEDGED:
                    self._parked.pop(row.aggregate, None)
                elif outcome is Outcome.REFUSED or arrived:
                    # Refused, or alone in failing: it is this event that is the trouble, not JetStream.
                    self._park(row)
                queue = waves[row.aggregate]
                queue.pop(0)
                if outcome is not Outcome.ACKNOWLEDGED or not queue:
                    del waves[row.aggregate]
        self._state.published += published
        self._state.parked = len(self._parked)
        if published == len(rows) < WINDOW:
            self.drained_at = looked_at
        return len(rows), published

    def parked_tenants(self) -> set[str]:
        """The associations of which an event is refused."""
        return {tenant_id for tenant_id, _ in self._parked}

    async def _next(self) -> list[_Row]:
        now = time.monotonic()
        parked = [aggregate for aggregate, each in self._parked.items() if each.until > now]
        if parked:
            tenants, aggregates = zip(*parked, strict=True)
            cursor = await self._connection.execute(_NEXT_BUT_PARKED, (list(tenants), list(aggregates)))
        else:
            cursor = await self._connection.execute(_NEXT)
        return [_Row(*row) for row in await cursor.fetchall()]

    async def _publish(self, wave: list[_Row]) -> list[Outcome]:
        """Sends one event of each aggregate; the spans of those that are sampled last until the answer."""
        with ExitStack() as under_way:
            made: list[Span | None] = [
                under_way.enter_context(spans.publishing(row.subject, row.tenant_id, row.event_id, row.traceparent))
                if spans.is_sampled(row.traceparent)
                else None
                for row in wave
            ]
            outgoing = [self._outgoing(row, span) for row, span in zip(wave, made, strict=True)]
            outcomes = await self._publisher.publish(outgoing)
            for span, outcome in zip(made, outcomes, strict=True):
                if span is not None and outcome is not Outcome.ACKNOWLEDGED:
                    telemetry.fail(span, outcome.name)
        return outcomes

    async def _measure(self, rows: list[_Row]) -> None:
        self._state.event_oldest = rows[0].created_at
        if len(rows) < WINDOW:
            self._state.event_depth = len(rows)
            return
        cursor = await self._connection.execute(_DEPTH)
        row = await cursor.fetchone()
        if row:
            self._state.event_depth, self._state.event_oldest = row

    def _park(self, row: _Row) -> None:
        known = self._parked.get(row.aggregate)
        pause = min(known.pause * 2, MAX_PARKED_SECONDS) if known else 1.0
        self._parked[row.aggregate] = _Parked(time.monotonic() + pause, pause)
        log.error(
            "an event is not accepted; its aggregate waits",
            event_id=row.event_id,
            type=row.event_type,
            seconds=pause,
            trace_id=telemetry.trace_id_of(row.traceparent),
        )

    def _outgoing(self, row: _Row, span: Span | None) -> Outgoing:
        event_id = HeaderValue(row.event_id)
        headers: dict[str, str] = {
            "Nats-Msg-Id": event_id,
            "ce-specversion": _VERSION,
            "ce-id": event_id,
            "ce-type": HeaderValue(row.event_type),
            "ce-source": self._source,
            # Not ours to vouch for: it is a value of the event.
            "ce-subject": row.aggregate_id,
            "ce-time": HeaderValue(row.created_at.isoformat()),
            "dui-tenant": HeaderValue(row.tenant_id),
        }
        traceparent = (telemetry.traceparent(span) if span is not None else None) or row.traceparent
        if traceparent:
            headers["traceparent"] = traceparent
        return Outgoing(row.subject, row.payload, headers)
