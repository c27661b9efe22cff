"""After a disaster: what NATS lost is sent again, and a database that was set back gives no number of the journal twice.

Both run as the relay role of the service, which sees the outbox of every association.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from dui_kit.worker.leadership import LEADER_KEY
from dui_kit.worker.maintenance import smallest_id

Connection = psycopg.Connection[tuple[Any, ...]]

# Ids are UUIDv7: what was written since an instant has a greater id.
_EVENTS = "UPDATE outbox SET published_at = NULL WHERE event_id >= %s AND published_at IS NOT NULL"
_ENTRIES = """WITH lost AS (
    SELECT tenant_id, min(sequence) AS first FROM journal_outbox WHERE entry_id >= %s AND sequence IS NOT NULL GROUP BY 1
), back AS (
    UPDATE journal_counter c SET published_sequence = lost.first - 1 FROM lost
    WHERE c.tenant_id = lost.tenant_id AND c.published_sequence >= lost.first
    RETURNING c.last_sequence - lost.first + 1 AS entries
)
SELECT coalesce(sum(entries), 0)::bigint FROM back"""
_GO_ON = """INSERT INTO journal_counter AS c (tenant_id, last_sequence, published_sequence)
SELECT tenant_id, reached, reached FROM unnest(%s::uuid[], %s::bigint[]) AS u(tenant_id, reached)
ON CONFLICT (tenant_id) DO UPDATE
SET last_sequence = excluded.last_sequence, published_sequence = excluded.published_sequence
WHERE c.last_sequence < excluded.last_sequence"""


_RENUMBER = "UPDATE journal_outbox SET sequence = NULL WHERE entry_id >= %s AND tenant_id = ANY(%s::uuid[])"
_BEHIND = """SELECT tenant_id::text FROM unnest(%s::uuid[], %s::bigint[]) AS u(tenant_id, reached)
LEFT JOIN journal_counter c USING (tenant_id) WHERE coalesce(c.last_sequence, 0) < reached"""


class WorkerLeadsError(RuntimeError):
    """A worker of the service runs, and would give numbers meanwhile."""


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


def go_on(connection: Connection, reached: Mapping[str, int], *, ran_since: datetime | None = None) -> int:
    """After the database of a service was restored: its numbers of the journal go on after those that identity has.

    `reached`: association → last number of this service that is in the chain. `ran_since`: the service wrote entries since
    then, before this was called; their numbers are taken back, because identity refuses them. Returns how many
    associations were behind.

    Raises:
        WorkerLeadsError: a worker of the service runs.
    """
    row = connection.execute("SELECT pg_try_advisory_xact_lock(%s)", (LEADER_KEY,)).fetchone()
    if row is None or not row[0]:
        raise WorkerLeadsError
    numbers = (list(reached), list(reached.values()))
    behind = [tenant_id for (tenant_id,) in connection.execute(_BEHIND, numbers)]
    if ran_since is not None:
        connection.execute(_RENUMBER, (smallest_id(ran_since), behind))
    connection.execute(_GO_ON, numbers)
    return len(behind)
