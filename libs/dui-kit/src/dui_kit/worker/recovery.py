"""After a disaster: what NATS lost is sent again, and a database that was set back gives no number of the journal twice.

Both run as the relay role of the service, which sees the outbox of every association.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import psycopg

from dui_kit.ids import smallest_id
from dui_kit.worker.leadership import LEADER_KEY

Connection = psycopg.Connection[tuple[Any, ...]]

#: A worker that was stopped has left its lock after this.
LEAVING = "3s"
# Ids are UUIDv7: what was written since an instant has a greater id.
_EVENTS = "UPDATE outbox SET published_at = NULL WHERE event_id >= %s AND published_at IS NOT NULL"
# The first of them is sent behind the entry before it; where that one is no longer here, it stays where it is: identity has it.
_ENTRIES = """WITH lost AS (
    SELECT tenant_id, min(sequence) AS first FROM journal_outbox WHERE entry_id >= %s AND sequence IS NOT NULL GROUP BY 1
), back AS (
    UPDATE journal_counter c SET published_sequence = lost.first - 1, published_entry_id = before.entry_id
    FROM lost LEFT JOIN journal_outbox before ON before.tenant_id = lost.tenant_id AND before.sequence = lost.first - 1
    WHERE c.tenant_id = lost.tenant_id AND c.published_sequence >= lost.first
      AND (lost.first = 1 OR before.entry_id IS NOT NULL)
    RETURNING c.last_sequence - lost.first + 1 AS entries
)
SELECT coalesce(sum(entries), 0)::bigint FROM back"""
# Behind: the chain has numbers that were never given here, or another entry under its last one.
_BEHIND = """SELECT tenant_id::text, coalesce(c.last_sequence, 0) >= reached AS ran
FROM unnest(%s::uuid[], %s::bigint[], %s::uuid[]) AS u(tenant_id, reached, entry_id) LEFT JOIN journal_counter c USING (tenant_id)
WHERE coalesce(c.last_sequence, 0) < reached OR EXISTS (
    SELECT FROM journal_outbox o WHERE o.tenant_id = u.tenant_id AND o.sequence = reached AND o.entry_id <> u.entry_id)"""
_RENUMBER = "UPDATE journal_outbox SET sequence = NULL WHERE entry_id >= %s AND tenant_id = ANY(%s::uuid[])"
_GO_ON = """INSERT INTO journal_counter AS c (tenant_id, last_sequence, published_sequence, published_entry_id)
SELECT tenant_id, reached, reached, entry_id FROM unnest(%s::uuid[], %s::bigint[], %s::uuid[]) AS u(tenant_id, reached, entry_id)
ON CONFLICT (tenant_id) DO UPDATE SET last_sequence = excluded.last_sequence,
    published_sequence = excluded.published_sequence, published_entry_id = excluded.published_entry_id"""
_KEPT = """SELECT DISTINCT ON (tenant_id) tenant_id::text, sequence, entry_id::text, created_at
FROM journal_outbox WHERE tenant_id = ANY(%s::uuid[]) AND sequence IS NOT NULL ORDER BY tenant_id, sequence DESC"""


class WorkerLeadsError(RuntimeError):
    """A worker of the service runs, and would give numbers meanwhile."""


class RanSinceNeededError(RuntimeError):
    """The service wrote entries after its database was set back: their numbers are taken, since when must be told."""


class Reached(NamedTuple):
    """The last entry of this service that is in the chain of an association."""

    sequence: int
    entry_id: str


class Kept(NamedTuple):
    """The last entry of an association that keeps its number: it has to be in the chain under it."""

    tenant_id: str
    sequence: int
    entry_id: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Resent:
    """What will be sent again."""

    events: int
    entries: int


def resend(connection: Connection, since: datetime) -> Resent:
    """Makes the relay send again what the service wrote since an instant: events and entries of the journal.

    Rows are kept for 7 days after they were published. Consumers know events by their ids, and identity knows entries by
    their numbers: what has arrived already changes nothing.
    """
    first = smallest_id(since)
    events = connection.execute(_EVENTS, (first,)).rowcount
    row = connection.execute(_ENTRIES, (first,)).fetchone()
    return Resent(events, row[0] if row else 0)


def go_on(
    connection: Connection, reached: Mapping[str, Reached], *, ran_since: datetime | None = None
) -> tuple[int, list[Kept]]:
    """After the database of a service was restored: its numbers of the journal go on after those that identity has.

    `reached`: association → what is in the chain of this service. `ran_since`: the service wrote entries since then, before
    this was called; they get new numbers, because identity refuses theirs. Returns how many associations were behind, and the
    last entry of each of them that keeps its number: the caller commits when all of these are in the chain, and rolls
    back otherwise, since an entry that was written earlier than told would be lost.

    Raises:
        WorkerLeadsError: a worker of the service runs.
        RanSinceNeededError: the service ran since its database was set back, and `ran_since` is not told.
    """
    # PostgreSQL takes a moment to notice that a worker which was stopped is gone.
    connection.execute("SELECT set_config('lock_timeout', %s, true)", (LEAVING,))
    try:
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (LEADER_KEY,))
    except psycopg.errors.LockNotAvailable:
        raise WorkerLeadsError from None
    found = connection.execute(_BEHIND, _arrays(reached)).fetchall()
    behind = [tenant_id for tenant_id, _ in found]
    if ran_since is not None:
        connection.execute(_RENUMBER, (smallest_id(ran_since), behind))
    elif any(ran for _, ran in found):
        raise RanSinceNeededError
    connection.execute(_GO_ON, _arrays({tenant_id: reached[tenant_id] for tenant_id in behind}))
    return len(behind), [Kept(*row) for row in connection.execute(_KEPT, (behind,))]


def _arrays(reached: Mapping[str, Reached]) -> tuple[list[str], list[int], list[str]]:
    return list(reached), [each.sequence for each in reached.values()], [each.entry_id for each in reached.values()]
