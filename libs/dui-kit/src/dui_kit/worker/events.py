"""The relay of events: from the outbox to JetStream, in the order of each aggregate."""

from __future__ import annotations

import asyncio
import math
import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import NamedTuple

from opentelemetry.trace import Span

from dui_kit.wire import telemetry
from dui_kit.wire.telemetry import log
from dui_kit.worker import spans
from dui_kit.worker.leadership import RelayConnection
from dui_kit.worker.metrics import RelayState
from dui_kit.worker.publishing import WINDOW, Outcome, Outgoing, Publisher, envelope

#: The pause between two looks, with and without work: an event waits 50 ms at most, an idle relay rests longer.
BUSY_SECONDS = 0.05
IDLE_SECONDS = 0.1
#: After JetStream did not answer.
OUTAGE_SECONDS = 0.5
#: A parked aggregate is tried again after 1 s, then twice as long each time, up to this.
MAX_PARKED_SECONDS = 300.0
#: A subject that takes no more is tried again after this, then twice as long each time, up to that: its readers may be back at
#: any moment, and a revocation may be what waits.
FIRST_FULL_SECONDS, MAX_FULL_SECONDS = 0.1, 4.0
#: Full subjects that are tried again at one look.
TRIED_AGAIN = 100
#: Between two counts of a long outbox.
MEASURE_SECONDS = 5.0

_SELECT = """SELECT event_id::text, tenant_id::text, subject, event_type, aggregate_id, payload, traceparent, created_at, position
FROM outbox WHERE published_at IS NULL{but} ORDER BY position LIMIT {limit}"""
_BUT_AGGREGATES = " AND (tenant_id, aggregate_id) NOT IN (SELECT * FROM unnest(%s::uuid[], %s::text[]))"
_NEXT = _SELECT.format(but="", limit=WINDOW)
_NEXT_BUT_PARKED = _SELECT.format(but=f"{_BUT_AGGREGATES} AND subject NOT IN (SELECT unnest(%s::text[]))", limit=WINDOW)
# The oldest of each subject, from where it was seen: the others wait until it has gone.
_OLDEST_OF = f"""SELECT oldest.* FROM unnest(%s::text[], %s::bigint[]) AS due(name, place) CROSS JOIN LATERAL (
{_SELECT.format(but=f" AND subject = due.name AND position >= due.place{_BUT_AGGREGATES}", limit=1)}
) oldest"""  # noqa: S608 (constants of this module)
_MARK = "UPDATE outbox SET published_at = clock_timestamp() WHERE event_id = ANY(%s::uuid[])"
_DEPTH = "SELECT count(*), min(created_at) FROM outbox WHERE published_at IS NULL"


class _Row(NamedTuple):
    event_id: str
    tenant_id: str
    subject: str
    event_type: str
    aggregate_id: str
    payload: bytes
    traceparent: str | None
    created_at: datetime
    position: int

    @property
    def aggregate(self) -> tuple[str, str]:
        return self.tenant_id, self.aggregate_id


@dataclass(slots=True)
class _Parked:
    until: float
    pause: float
    #: Where the event that was refused stands in the outbox.
    position: int

    @classmethod
    def after(cls, known: _Parked | None, first: float, longest: float, position: int) -> _Parked:
        """Parked for `first` seconds, or twice as long as before."""
        pause = min(known.pause * 2, longest) if known else first
        return cls(time.monotonic() + pause, pause, position)


class EventRelay:
    """Publishes what the outbox holds.

    A row is marked only once JetStream has acknowledged it, so a crash in between sends it again, under the same id. At
    most one event of an aggregate is under way: the next one leaves when it has arrived. An event that JetStream refuses
    parks its aggregate; the others go on. Its row stays, and is the record of the failure. A subject that takes no more until
    its readers catch up is parked as a whole: all events of an aggregate have one subject, so their order holds.
    """

    def __init__(self, service: str, connection: RelayConnection, publisher: Publisher, state: RelayState) -> None:
        self._service = service
        self._connection = connection
        self._publisher = publisher
        self._state = state
        self._parked: dict[tuple[str, str], _Parked] = {}
        self._full: dict[str, _Parked] = {}
        self._measured = -math.inf
        #: Every event older than this has been published, but those that are parked: what a heartbeat vouches for.
        self.drained_at: datetime | None = None

    async def run(self) -> None:
        """Relays until cancelled."""
        pause = BUSY_SECONDS
        while True:
            begun = time.monotonic()
            taken, published = await self.relay_once()
            self._state.beat()
            if taken and not published:
                await asyncio.sleep(OUTAGE_SECONDS)
            elif taken < WINDOW:
                pause = BUSY_SECONDS if taken else min(pause * 1.1, IDLE_SECONDS)
                # To look past a million rows of full subjects takes a third of a second: the database rests as long.
                await asyncio.sleep(max(pause, time.monotonic() - begun) if self._full else pause)

    async def relay_once(self) -> tuple[int, int]:
        """One look: publishes a window. Returns how many rows it took, without those that found their subject full, and how many
        it published."""
        looked_at, full = datetime.now(UTC), set(self._full)
        rows = await self._next()
        await self._measure(rows)
        waves: dict[tuple[str, str], list[_Row]] = {}
        for row in rows:
            waves.setdefault(row.aggregate, []).append(row)
        published = held = 0
        while waves:
            wave = [queue[0] for queue in waves.values()]
            outcomes = await self._publish(wave)
            self._mind_subjects(wave, outcomes)
            arrived = [row for row, outcome in zip(wave, outcomes, strict=True) if outcome is Outcome.ACKNOWLEDGED]
            if arrived:
                await self._connection.execute(_MARK, ([row.event_id for row in arrived],))
            published += len(arrived)
            for row, outcome in zip(wave, outcomes, strict=True):
                if outcome is Outcome.ACKNOWLEDGED:
                    self._parked.pop(row.aggregate, None)
                elif outcome is not Outcome.FULL and (outcome is Outcome.REFUSED or arrived):
                    # Refused, or alone in failing: it is this event that is the trouble, not JetStream.
                    self._park(row)
                queue = waves[row.aggregate]
                held += len(queue) if outcome is Outcome.FULL else 0
                queue.pop(0)
                if outcome is not Outcome.ACKNOWLEDGED or not queue:
                    del waves[row.aggregate]
        self._state.published += published
        self._state.parked = len(self._parked) + len(self._full)
        if full - self._full.keys():
            # Only the oldest event of these subjects was looked at: nobody vouches for the others.
            self.drained_at = None
        elif published + held == len(rows) < WINDOW:
            self.drained_at = looked_at
        return len(rows) - held, published

    def parked_tenants(self) -> set[str]:
        """The associations of which an event is refused, or waits for readers of its subject."""
        return {tenant_id for tenant_id, _ in self._parked} | {subject.split(".")[2] for subject in self._full}

    async def _next(self) -> list[_Row]:
        """The oldest rows, without those that are parked, and one of each full subject that is to be tried again."""
        if not self._parked and not self._full:
            cursor = await self._connection.execute(_NEXT)
            return [_Row(*row) for row in await cursor.fetchall()]
        now = time.monotonic()
        parked = [aggregate for aggregate, each in self._parked.items() if each.until > now]
        aggregates = [tenant_id for tenant_id, _ in parked], [aggregate_id for _, aggregate_id in parked]
        cursor = await self._connection.execute(_NEXT_BUT_PARKED, (*aggregates, list(self._full)))
        rows = [_Row(*row) for row in await cursor.fetchall()]
        due = {subject: each.position for subject, each in self._full.items() if each.until <= now}
        if due := dict(islice(due.items(), TRIED_AGAIN)):
            cursor = await self._connection.execute(_OLDEST_OF, (list(due), list(due.values()), *aggregates))
            oldest = [_Row(*row) for row in await cursor.fetchall()]
            for subject in due.keys() - {row.subject for row in oldest}:
                del self._full[subject]  # it is looked at as any other: what was refused has gone
            rows += oldest
        return rows

    def _mind_subjects(self, wave: list[_Row], outcomes: list[Outcome]) -> None:
        """Parks the subjects that take no more, and releases those that take events again."""
        full: dict[str, _Row] = {}
        for row, outcome in zip(wave, outcomes, strict=True):
            if outcome is Outcome.FULL:
                full.setdefault(row.subject, row)
        for row, outcome in zip(wave, outcomes, strict=True):
            if outcome is Outcome.ACKNOWLEDGED and row.subject not in full:
                self._full.pop(row.subject, None)
        for subject, row in full.items():
            known = self._full.get(subject)
            self._full[subject] = now = _Parked.after(known, FIRST_FULL_SECONDS, MAX_FULL_SECONDS, row.position)
            if now.pause == MAX_FULL_SECONDS and known and known.pause < MAX_FULL_SECONDS:
                log.warning(
                    "a subject takes no more events: its readers are behind", tenant=row.tenant_id, type=row.event_type
                )

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
        if len(rows) < WINDOW and not self._parked and not self._full:
            self._state.event_depth, self._state.event_oldest = len(rows), rows[0].created_at if rows else None
            return
        # All that waits, parked or not. It may be much: it is not counted at each look.
        if time.monotonic() < self._measured + MEASURE_SECONDS:
            return
        self._measured = time.monotonic()
        cursor = await self._connection.execute(_DEPTH)
        row = await cursor.fetchone()
        if row:
            self._state.event_depth, self._state.event_oldest = row

    def _park(self, row: _Row) -> None:
        known = self._parked.get(row.aggregate)
        self._parked[row.aggregate] = parked = _Parked.after(known, 1.0, MAX_PARKED_SECONDS, row.position)
        log.error(
            "an event is not accepted; its aggregate waits",
            event_id=row.event_id,
            type=row.event_type,
            seconds=parked.pause,
            trace_id=telemetry.trace_id_of(row.traceparent),
        )

    def _outgoing(self, row: _Row, span: Span | None) -> Outgoing:
        headers = envelope(
            self._service,
            row.tenant_id,
            row.event_type,
            event_id=row.event_id,
            about=row.aggregate_id,
            at=row.created_at,
        )
        traceparent = (telemetry.traceparent(span) if span is not None else None) or row.traceparent
        if traceparent:
            headers["traceparent"] = traceparent
        return Outgoing(row.subject, row.payload, headers)
