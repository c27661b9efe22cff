"""The relay of the access journal: entries are numbered without gaps, packed, and handed to identity."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import NamedTuple

from dui.journal.v1 import journal_pb2
from google.protobuf.message import DecodeError

from dui_kit.wire.telemetry import log
from dui_kit.worker.events import OUTAGE_SECONDS
from dui_kit.worker.leadership import RelayConnection
from dui_kit.worker.metrics import RelayState
from dui_kit.worker.publishing import Outcome, Outgoing, Publisher, envelope
from dui_kit.worker.streams import journal_subject

#: Nobody waits for the journal, and it is cheaper in larger batches: a look five times a second.
PAUSE_SECONDS = 0.2
#: The longest pause while JetStream takes nothing.
MAX_OUTAGE_SECONDS = 5.0
#: Entries numbered by one statement.
NUMBERED = 5_000
#: Entries in one message: each entry costs little more than itself.
BATCH_ENTRIES = 250
#: A message is closed early at this size: JetStream takes 1 MiB.
BATCH_BYTES = 256 * 1024
#: Entries read of one tenant at once: the others have their turn.
TENANT_SHARE = 2_000
#: Between two looks at what identity has confirmed.
CONFIRM_SECONDS = 60.0
#: The clocks of two services differ by less.
CLOCKS_APART = timedelta(seconds=30)
#: Names a batch: the same numbers of the same entries give the same id, whoever sends them, whenever.
_NAMESPACE = uuid.UUID("5f7a2c1e-90d4-5be0-9d57-6d1f43c5b6aa")

_NUMBER = f"""
WITH pending AS (
    SELECT entry_id, tenant_id, row_number() OVER (PARTITION BY tenant_id ORDER BY entry_id) AS place
    FROM (SELECT entry_id, tenant_id FROM journal_outbox WHERE sequence IS NULL ORDER BY entry_id LIMIT {NUMBERED}) p
), counted AS (
    SELECT tenant_id, count(*) AS entries FROM pending GROUP BY tenant_id
), counter AS (
    INSERT INTO journal_counter (tenant_id, last_sequence) SELECT tenant_id, entries FROM counted
    ON CONFLICT (tenant_id) DO UPDATE SET last_sequence = journal_counter.last_sequence + excluded.last_sequence
    RETURNING tenant_id, last_sequence
)
UPDATE journal_outbox o SET sequence = counter.last_sequence - counted.entries + pending.place
FROM pending JOIN counter USING (tenant_id) JOIN counted USING (tenant_id)
WHERE o.entry_id = pending.entry_id
"""  # noqa: S608 (constants of this module)
_NEXT = f"""
SELECT c.tenant_id::text, c.published_entry_id::text, o.sequence, o.entry_id::text, o.payload, o.created_at
FROM journal_counter c CROSS JOIN LATERAL (
    SELECT sequence, entry_id, payload, created_at FROM journal_outbox o
    WHERE o.tenant_id = c.tenant_id AND o.sequence > c.published_sequence ORDER BY o.sequence LIMIT {TENANT_SHARE}
) o
WHERE c.last_sequence > c.published_sequence
ORDER BY c.tenant_id, o.sequence
"""  # noqa: S608 (constants of this module)
# Not over a gap: an operator may have set the counter back meanwhile, to have entries sent again (recovery.py).
_ADVANCE = """UPDATE journal_counter c SET published_sequence = u.last, published_entry_id = u.entry_id
FROM unnest(%s::uuid[], %s::bigint[], %s::bigint[], %s::uuid[]) AS u(tenant_id, first, last, entry_id)
WHERE c.tenant_id = u.tenant_id AND c.published_sequence BETWEEN u.first - 1 AND u.last - 1"""


# Of associations whose chain is not where their journal is: it has less than was handed over; or it has more than was ever
# numbered, or another entry under its last number, so that the database of the service was set back.
_UNCONFIRMED = """
SELECT * FROM (
    SELECT r.tenant_id::text, r.settled_at, s.reached, s.entry_id::text, coalesce(c.published_sequence, 0) AS published,
           EXISTS (SELECT FROM journal_outbox o WHERE o.tenant_id = r.tenant_id AND o.sequence = s.reached + 1),
           coalesce(c.last_sequence, 0) < s.reached OR EXISTS (
               SELECT FROM journal_outbox o
               WHERE o.tenant_id = r.tenant_id AND o.sequence = s.reached AND o.entry_id <> s.entry_id) AS set_back
    FROM journal_reached r LEFT JOIN journal_counter c USING (tenant_id)
    CROSS JOIN LATERAL (SELECT coalesce((r.services::jsonb -> %s ->> 0)::bigint, 0) AS reached,
                               (r.services::jsonb -> %s ->> 1)::uuid AS entry_id) s
) u WHERE published > reached OR set_back"""
_SEND_AGAIN = """UPDATE journal_counter c SET published_sequence = u.reached, published_entry_id = u.entry_id
FROM unnest(%s::uuid[], %s::bigint[], %s::uuid[]) AS u(tenant_id, reached, entry_id)
WHERE c.tenant_id = u.tenant_id AND c.published_sequence > u.reached"""


class _Row(NamedTuple):
    tenant_id: str
    #: The entry that was handed over last, before any of these.
    published_entry_id: str | None
    sequence: int
    entry_id: str
    payload: bytes
    created_at: datetime


class _Batch(NamedTuple):
    tenant_id: str
    last: int
    last_entry_id: str
    outgoing: Outgoing


def _readable(row: _Row) -> bool:
    """False when an entry is not what was written: the storage is damaged, or somebody changed it."""
    try:
        journal_pb2.JournalEntry.FromString(row.payload)
    except DecodeError:
        return False
    return True


class JournalRelay:
    """Numbers the entries of this service, for each tenant 1, 2, 3…, and publishes them in that order.

    Numbering is one statement: a number is given together with the counter, or not at all. What was numbered and not
    acknowledged is sent again with the same numbers, perhaps cut into other batches: identity knows entries by their
    numbers, not by their batches.
    """

    def __init__(self, service: str, connection: RelayConnection, publisher: Publisher, state: RelayState) -> None:
        self._service = service
        self._connection = connection
        self._publisher = publisher
        self._state = state

    async def run(self) -> None:
        """Relays until cancelled."""
        outage = OUTAGE_SECONDS
        while True:
            numbered = await self.number()
            taken, published = await self.publish()
            # While the stream is full, each look would read and pack the same entries again: less and less often then.
            outage = min(outage * 2, MAX_OUTAGE_SECONDS) if taken and not published else OUTAGE_SECONDS
            if taken and published < taken:
                await asyncio.sleep(outage)
            elif (numbered < NUMBERED and not taken) or (numbered < NUMBERED and taken < TENANT_SHARE):
                await asyncio.sleep(PAUSE_SECONDS)

    async def number(self) -> int:
        """Numbers what has none yet, at most `NUMBERED` entries; returns how many."""
        return (await self._connection.execute(_NUMBER)).rowcount

    async def publish(self) -> tuple[int, int]:
        """Publishes numbered entries. Returns how many it took and how many were acknowledged in order."""
        cursor = await self._connection.execute(_NEXT)
        rows = [_Row(*row) for row in await cursor.fetchall()]
        self._state.journal_depth = len(rows)
        self._state.journal_oldest = min((row.created_at for row in rows), default=None)
        if not rows:
            return 0, 0
        batches = [batch for _, run in groupby(rows, key=lambda row: row.tenant_id) for batch in self._batches(run)]
        outcomes = await self._publisher.publish([batch.outgoing for batch in batches])
        advanced: dict[str, _Batch] = {}
        broken: set[str] = set()
        for batch, outcome in zip(batches, outcomes, strict=True):
            # The counter tells what all came before: it stops at the first batch that did not arrive.
            if outcome is not Outcome.ACKNOWLEDGED:
                broken.add(batch.tenant_id)
            elif batch.tenant_id not in broken:
                advanced[batch.tenant_id] = batch
            if outcome is Outcome.REFUSED:
                log.error("JetStream refuses a batch of the journal", tenant=batch.tenant_id, last=batch.last)
        if advanced:
            first: dict[str, int] = {}
            for row in rows:
                first.setdefault(row.tenant_id, row.sequence)
            parameters = (
                list(advanced),
                [first[tenant] for tenant in advanced],
                [batch.last for batch in advanced.values()],
                [batch.last_entry_id for batch in advanced.values()],
            )
            await self._connection.execute(_ADVANCE, parameters)
        last = {tenant: batch.last for tenant, batch in advanced.items()}
        return len(rows), sum(1 for row in rows if row.sequence <= last.get(row.tenant_id, 0))

    def _batches(self, rows: Iterable[_Row]) -> Iterable[_Batch]:
        """Batches of one tenant's rows, which are in order and without gap, up to one that cannot be read.

        What comes after it waits: a journal has no gap. The other associations go on.
        """
        run: list[_Row] = []
        size = 0
        previous: str | None = None
        for row in rows:
            if run and (len(run) == BATCH_ENTRIES or size + len(row.payload) > BATCH_BYTES):
                yield self._batch(run, previous)
                previous, run, size = run[-1].entry_id, [], 0
            previous = previous or row.published_entry_id
            if not _readable(row):
                log.error(
                    "an entry of the journal cannot be read; those of its association wait",
                    tenant=row.tenant_id,
                    sequence=row.sequence,
                )
                break
            run.append(row)
            size += len(row.payload)
        if run:
            yield self._batch(run, previous)

    def _batch(self, run: list[_Row], previous: str | None) -> _Batch:
        tenant_id, first, last = run[0].tenant_id, run[0].sequence, run[-1].sequence
        message = journal_pb2.JournalBatch(service=self._service, tenant_id=tenant_id, previous_entry_id=previous or "")
        for row in run:
            entry = message.entries.add()
            entry.MergeFromString(row.payload)
            entry.sequence = row.sequence
        named = (
            f"{self._service}/{tenant_id}/{first}/{last}/{message.entries[0].entry_id}/{message.entries[-1].entry_id}"
        )
        batch_id = str(uuid.uuid5(_NAMESPACE, named))
        kind = journal_pb2.JournalBatch.DESCRIPTOR.full_name
        headers = envelope(self._service, tenant_id, kind, event_id=batch_id, about=self._service, at=datetime.now(UTC))
        outgoing = Outgoing(journal_subject(self._service, tenant_id), message.SerializeToString(), headers)
        return _Batch(tenant_id, last, run[-1].entry_id, outgoing)


class _Mark(NamedTuple):
    """What had been handed over at an instant."""

    sequence: int
    at: datetime


class Confirmation:
    """Compares what was handed over with what the chain has, and has sent again what did not arrive.

    A batch may be lost: NATS lost a disk, identity gave it up after failures, or passed it over because an earlier one was
    missing. Nothing in between has to keep it, since this service does until it is in the chain.
    """

    def __init__(self, service: str, connection: RelayConnection, state: RelayState) -> None:
        self._service = service
        self._connection = connection
        self._state = state
        self._marks: dict[str, _Mark] = {}

    async def run(self) -> None:
        """Looks until cancelled."""
        while True:
            await self.look(datetime.now(UTC))
            await asyncio.sleep(CONFIRM_SECONDS)

    async def look(self, now: datetime) -> list[str]:
        """One look; returns the associations whose entries go out again."""
        cursor = await self._connection.execute(_UNCONFIRMED, (self._service, self._service))
        rows = await cursor.fetchall()
        marks: dict[str, _Mark] = {}
        again: dict[str, tuple[int, str | None]] = {}
        for tenant_id, settled_at, reached, entry_id, published, resumable, set_back in rows:
            mark = self._marks.get(tenant_id)
            # Settled: identity has dealt with all that had been handed over at the mark.
            settled = mark is not None and settled_at is not None and settled_at >= mark.at + CLOCKS_APART
            if mark is None or (reached >= mark.sequence and not set_back):
                mark, settled = _Mark(published, now), False
            if settled and resumable and not set_back:
                again[tenant_id] = (reached, entry_id)
                continue
            marks[tenant_id] = mark
            if set_back or (settled and not resumable):
                log.error("the journal does not continue its chain", tenant=tenant_id, last=reached, set_back=set_back)
        self._marks = marks
        self._state.journal_unconfirmed_since = min((mark.at for mark in marks.values()), default=None)
        if again:
            log.warning("entries of the journal did not arrive and are sent again", associations=len(again))
            numbers, entries = zip(*again.values(), strict=True)
            await self._connection.execute(_SEND_AGAIN, (list(again), list(numbers), list(entries)))
        return list(again)
