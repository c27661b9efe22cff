"""What every worker does besides: heartbeats, and the end of rows that have served."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

from dui.access.v1 import facts_pb2
from sqlalchemy import text

from dui_kit.ids import new_id
from dui_kit.telemetry import log
from dui_kit.times import to_timestamp
from dui_kit.worker.contract import Job, WorkerContext
from dui_kit.worker.events import EventRelay
from dui_kit.worker.leadership import RelayConnection
from dui_kit.worker.publishing import Outcome, Outgoing, Publisher
from dui_kit.worker.streams import heartbeat_subject

HOUR = 3600.0
HEARTBEAT_SECONDS = 60.0
#: A heartbeat is of no use to anybody after this: JetStream drops it by itself.
HEARTBEAT_TTL = 3600
#: Published rows can be sent again for this long; after it JetStream, and the journal of identity, have them.
OUTBOX_KEPT = timedelta(days=7)
#: Longer than any stream keeps an event, so that no delivery outlives its inbox row.
INBOX_KEPT = timedelta(days=8)
IDEMPOTENCY_KEPT = timedelta(hours=48)
#: Rows deleted by one statement: short transactions, so that vacuum keeps up.
CHUNK = 5_000

# Ids are UUIDv7: what is older than an instant has a smaller id. Only what JetStream has acknowledged goes.
_PURGE_OUTBOX = f"""DELETE FROM outbox WHERE event_id IN (
    SELECT event_id FROM outbox WHERE event_id < %s AND published_at IS NOT NULL LIMIT {CHUNK})"""  # noqa: S608
_PURGE_JOURNAL = f"""DELETE FROM journal_outbox WHERE entry_id IN (
    SELECT o.entry_id FROM journal_outbox o JOIN journal_counter c ON c.tenant_id = o.tenant_id
    WHERE o.entry_id < %s AND o.sequence <= c.published_sequence LIMIT {CHUNK})"""  # noqa: S608
_TENANTS = "SELECT tenant_id::text FROM access_tenant ORDER BY tenant_id"


async def purge_published(connection: RelayConnection, now: datetime) -> int:
    """Deletes published events and journal entries that are older than 7 days; returns how many rows."""
    before = smallest_id(now - OUTBOX_KEPT)
    deleted = 0
    for statement in (_PURGE_OUTBOX, _PURGE_JOURNAL):
        while True:
            count = (await connection.execute(statement, (before,))).rowcount
            deleted += count
            if count < CHUNK:
                break
    return deleted


def smallest_id(instant: datetime) -> UUID:
    """The smallest UUIDv7 of an instant."""
    return UUID(int=int(instant.timestamp() * 1000) << 80)


async def purge_forever(connection: RelayConnection) -> None:
    """Purges what is published, each hour."""
    while True:
        deleted = await purge_published(connection, datetime.now(UTC))
        if deleted:
            log.info("purged published rows", rows=deleted)
        await asyncio.sleep(HOUR)


async def tenants_of(connection: RelayConnection) -> list[str]:
    """The associations that the service knows."""
    cursor = await connection.execute(_TENANTS)
    return [row[0] for row in await cursor.fetchall()]


class Heartbeats:
    """Tells each association, each minute, that this owner of facts lives and holds back nothing older.

    They go to JetStream directly and not through the outbox: a row per association and minute would be the largest part
    of it, and a heartbeat that has to be sent again is worth nothing. What it vouches for, it takes from the relay: the
    instant before which every event has been published. It is not sent while the relay lags, nor for an association of
    which an event is parked, so their readers learn that their facts may be old.
    """

    def __init__(self, service: str, connection: RelayConnection, relay: EventRelay, publisher: Publisher) -> None:
        self._service = service
        self._connection = connection
        self._relay = relay
        self._publisher = publisher

    async def run(self) -> None:
        """Sends heartbeats until cancelled; the first as soon as the relay has nothing left."""
        last: datetime | None = None
        while True:
            vouched = self._relay.drained_at
            if vouched is None or (last and vouched <= last):
                await asyncio.sleep(0.2)
                continue
            if await self.send(vouched):
                last = vouched
                await asyncio.sleep(HEARTBEAT_SECONDS)
            else:
                await asyncio.sleep(1)

    async def send(self, vouched: datetime) -> bool:
        """Sends one heartbeat to each association; true when all have arrived."""
        parked = self._relay.parked_tenants()
        tenants = [tenant for tenant in await tenants_of(self._connection) if tenant not in parked]
        outcomes = await self._publisher.publish([self._outgoing(tenant, vouched) for tenant in tenants])
        return bool(tenants) and all(outcome is Outcome.ACKNOWLEDGED for outcome in outcomes)

    def _outgoing(self, tenant_id: str, vouched: datetime) -> Outgoing:
        message = facts_pb2.Heartbeat(source=self._service, version=0, sent_at=to_timestamp(vouched))
        event_id = new_id()
        headers = {
            "Nats-Msg-Id": event_id,
            "Nats-TTL": str(HEARTBEAT_TTL),
            "ce-specversion": "1.0",
            "ce-id": event_id,
            "ce-type": message.DESCRIPTOR.full_name,
            "ce-source": f"/dui/{self._service}",
            "ce-subject": self._service,
            "ce-time": vouched.isoformat(),
            "dui-tenant": tenant_id,
        }
        return Outgoing(heartbeat_subject(self._service, tenant_id), message.SerializeToString(), headers)


def _purge_tenant_rows(context: WorkerContext, statement: str, kept: timedelta) -> None:
    before = datetime.now(UTC) - kept
    for tenant_id in context.tenants():
        while not context.stopping():
            with context.tenant_session(tenant_id) as session:
                deleted = session.execute(text(statement), {"before": before, "chunk": CHUNK}).rowcount  # type: ignore[attr-defined]
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
