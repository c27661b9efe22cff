"""The relay of the access journal: entries are numbered without gaps, packed, and handed to identity."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import groupby
from typing import NamedTuple

from dui.journal.v1 import journal_pb2
from google.protobuf.message import DecodeError

from dui_kit.telemetry import log
from dui_kit.worker.events import OUTAGE_SECONDS
from dui_kit.worker.leadership import RelayConnection
from dui_kit.worker.metrics import RelayState
from dui_kit.worker.publishing import Outcome, Outgoing, Publisher
from dui_kit.worker.streams import journal_subject

#: Nobody waits for the journal, and it is cheaper in larger batches: a look five times a second.
PAUSE_SECONDS = 0.2
#: Entries numbered by one statement.
NUMBERED = 5_000
#: Entries in one message: each entry costs little more than itself.
BATCH_ENTRIES = 250
#: A message is closed early at this size: JetStream takes 1 MiB.
BATCH_BYTES = 256 * 1024
#: Entries read of one tenant at once: the others have their turn.
TENANT_SHARE = 2_000
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
SELECT c.tenant_id::text, o.sequence, o.payload, o.created_at
FROM journal_counter c CROSS JOIN LATERAL (
    SELECT sequence, payload, created_at FROM journal_outbox o
    WHERE o.tenant_id = c.tenant_id AND o.sequence > c.published_sequence ORDER BY o.sequence LIMIT {TENANT_SHARE}
) o
WHERE c.last_sequence > c.published_sequence
ORDER BY c.tenant_id, o.sequence
"""  # noqa: S608 (constants of this module)
# Not over a gap: an operator may have set the counter back meanwhile, to have entries sent again (recovery.py).
_ADVANCE = """UPDATE journal_counter c SET published_sequence = u.last
FROM unnest(%s::uuid[], %s::bigint[], %s::bigint[]) AS u(tenant_id, first, last)
WHERE c.tenant_id = u.tenant_id AND c.published_sequence BETWEEN u.first - 1 AND u.last - 1"""


class _Row(NamedTuple):
    tenant_id: str
    sequence: int
    payload: bytes
    created_at: datetime


class _Batch(NamedTuple):
    tenant_id: str
    last: int
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
        while True:
            numbered = await self.number()
            taken, published = await self.publish()
            if taken and published < taken:
                await asyncio.sleep(OUTAGE_SECONDS)
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
        advanced: dict[str, int] = {}
        broken: set[str] = set()
        for batch, outcome in zip(batches, outcomes, strict=True):
            # The counter tells what all came before: it stops at the first batch that did not arrive.
            if outcome is not Outcome.ACKNOWLEDGED:
                broken.add(batch.tenant_id)
            elif batch.tenant_id not in broken:
                advanced[batch.tenant_id] = batch.last
            if outcome is Outcome.REFUSED:
                log.error("JetStream refuses a batch of the journal", tenant=batch.tenant_id, last=batch.last)
        if advanced:
            first: dict[str, int] = {}
            for row in rows:
                first.setdefault(row.tenant_id, row.sequence)
            parameters = (list(advanced), [first[tenant] for tenant in advanced], list(advanced.values()))
            await self._connection.execute(_ADVANCE, parameters)
        return len(rows), sum(1 for row in rows if row.sequence <= advanced.get(row.tenant_id, 0))

    def _batches(self, rows: Iterable[_Row]) -> Iterable[_Batch]:
        """Batches of one tenant's rows, which are in order and without gap, up to one that cannot be read.

        What comes after it waits: a journal has no gap. The other associations go on.
        """
        run: list[_Row] = []
        size = 0
        for row in rows:
            if run and (len(run) == BATCH_ENTRIES or size + len(row.payload) > BATCH_BYTES):
                yield self._batch(run)
                run, size = [], 0
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
            yield self._batch(run)

    def _batch(self, run: list[_Row]) -> _Batch:
        tenant_id, first, last = run[0].tenant_id, run[0].sequence, run[-1].sequence
        message = journal_pb2.JournalBatch(service=self._service, tenant_id=tenant_id)
        for row in run:
            entry = message.entries.add()
            entry.MergeFromString(row.payload)
            entry.sequence = row.sequence
        named = (
            f"{self._service}/{tenant_id}/{first}/{last}/{message.entries[0].entry_id}/{message.entries[-1].entry_id}"
        )
        batch_id = str(uuid.uuid5(_NAMESPACE, named))
        headers = {
            "Nats-Msg-Id": batch_id,
            "ce-specversion": "1.0",
            "ce-id": batch_id,
            "ce-type": journal_pb2.JournalBatch.DESCRIPTOR.full_name,
            "ce-source": f"/dui/{self._service}",
            "ce-subject": self._service,
            "ce-time": datetime.now(UTC).isoformat(),
            "dui-tenant": tenant_id,
        }
        return _Batch(
            tenant_id, last, Outgoing(journal_subject(self._service, tenant_id), message.SerializeToString(), headers)
        )
