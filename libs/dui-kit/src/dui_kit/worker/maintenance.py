"""What every worker does besides: heartbeats, and the end of rows that have served."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from dui_kit.ids import smallest_id
from dui_kit.wire.telemetry import log
from dui_kit.worker.leadership import RelayConnection
from dui_kit.worker.parts import Job, WorkerContext

HOUR = 3600.0
#: Published events can be sent again for this long, entries of the journal at least for this long.
OUTBOX_KEPT = timedelta(days=7)
#: Longer than any stream keeps an event, so that no delivery outlives its inbox row.
INBOX_KEPT = timedelta(days=8)
IDEMPOTENCY_KEPT = timedelta(hours=48)
#: Rows deleted by one statement: short transactions, so that vacuum keeps up.
CHUNK = 5_000

# Ids are UUIDv7: what is older than an instant has a smaller id. Only what JetStream has acknowledged goes.
_PURGE_OUTBOX = f"""DELETE FROM outbox WHERE event_id IN (
    SELECT event_id FROM outbox WHERE event_id < %s AND published_at IS NOT NULL LIMIT {CHUNK})"""  # noqa: S608
# Only what stands in the chain, and as this very entry: its last one, which stays, proves that the chain continues this journal.
_PURGE_JOURNAL = f"""DELETE FROM journal_outbox WHERE entry_id IN (
    SELECT o.entry_id FROM journal_reached r
    JOIN journal_outbox reached ON reached.tenant_id = r.tenant_id
         AND reached.sequence = (r.services::jsonb -> %s ->> 0)::bigint
         AND reached.entry_id = (r.services::jsonb -> %s ->> 1)::uuid
    JOIN journal_outbox o ON o.tenant_id = r.tenant_id AND o.sequence < reached.sequence
    WHERE o.entry_id < %s LIMIT {CHUNK})"""  # noqa: S608


async def purge_published(service: str, connection: RelayConnection, now: datetime) -> int:
    """Deletes what is older than 7 days of published events, and of journal entries that are chained; returns how many rows."""
    before = smallest_id(now - OUTBOX_KEPT)
    deleted = 0
    for statement, parameters in ((_PURGE_OUTBOX, (before,)), (_PURGE_JOURNAL, (service, service, before))):
        while True:
            count = (await connection.execute(statement, parameters)).rowcount
            deleted += count
            if count < CHUNK:
                break
    return deleted


async def purge_forever(service: str, connection: RelayConnection) -> None:
    """Purges what is no longer needed, each hour."""
    while True:
        deleted = await purge_published(service, connection, datetime.now(UTC))
        if deleted:
            log.info("purged published rows", rows=deleted)
        await asyncio.sleep(HOUR)


def _purge_tenant_rows(context: WorkerContext, statement: str, kept: timedelta) -> None:
    before = datetime.now(UTC) - kept
    for tenant_id in context.tenants():
        while not context.stopping():
            with context.transaction(tenant_id) as call:
                deleted = call.session.execute(text(statement), {"before": before, "chunk": CHUNK}).rowcount  # type: ignore[attr-defined]
            if deleted < CHUNK:
                break


def purge_inbox(context: WorkerContext) -> None:
    """Deletes inbox rows older than 8 days."""
    _purge_tenant_rows(
        context,
        "DELETE FROM inbox WHERE (consumer, event_id) IN "
        "(SELECT consumer, event_id FROM inbox WHERE received_at < :before LIMIT :chunk)",
        INBOX_KEPT,
    )


def purge_idempotency(context: WorkerContext) -> None:
    """Deletes idempotency keys older than 48 hours."""
    _purge_tenant_rows(
        context,
        "DELETE FROM idempotency WHERE (tenant_id, subject, operation, key) IN "
        "(SELECT tenant_id, subject, operation, key FROM idempotency WHERE created_at < :before LIMIT :chunk)",
        IDEMPOTENCY_KEPT,
    )


KIT_JOBS = (
    Job("purge-inbox", HOUR, purge_inbox),
    Job("purge-idempotency", HOUR, purge_idempotency),
)
