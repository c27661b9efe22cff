"""What a service tells every association each minute: that it lives, and how far the journal stands.

It goes to JetStream directly and not through the outbox: a row per association and minute would be the largest part of it,
and what the next minute replaces is not worth sending again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime

import nats.errors
from dui.access.v1 import facts_pb2
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError

from dui_kit.facts import FACTS, KNOWN_TENANTS
from dui_kit.ids import new_id
from dui_kit.times import to_timestamp
from dui_kit.wire.contract import descriptor_of, event_of
from dui_kit.worker.events import EventRelay
from dui_kit.worker.leadership import RelayConnection
from dui_kit.worker.parts import JournalKeeper
from dui_kit.worker.publishing import WINDOW, Outcome, Outgoing, Publisher, envelope
from dui_kit.worker.streams import Backlog

EVERY_SECONDS = 60.0
#: An announcement is of no use to anybody after this: JetStream drops it by itself.
TTL = 3600

_REACHED = FACTS[facts_pb2.JournalReached.DESCRIPTOR.full_name]
_OWN = """INSERT INTO journal_reached (tenant_id, sent_at, settled_at, services) VALUES (%s, %s, %s, %s)
ON CONFLICT (tenant_id) DO UPDATE
SET sent_at = excluded.sent_at, settled_at = excluded.settled_at, services = excluded.services"""


async def tenants_of(connection: RelayConnection) -> list[str]:
    """The associations that the service knows."""
    cursor = await connection.execute(KNOWN_TENANTS)
    return [row[0] for row in await cursor.fetchall()]


Announcement = facts_pb2.Heartbeat | facts_pb2.JournalReached


async def _announce(publisher: Publisher, messages: Sequence[tuple[str, Announcement]], at: datetime) -> bool:
    """Sends a message to each association; true when all have arrived."""
    outgoing = [_outgoing(tenant_id, message, at) for tenant_id, message in messages]
    arrived = bool(outgoing)
    for first in range(0, len(outgoing), WINDOW):
        outcomes = await publisher.publish(outgoing[first : first + WINDOW])
        arrived = arrived and all(outcome is Outcome.ACKNOWLEDGED for outcome in outcomes)
    return arrived


def _outgoing(tenant_id: str, message: Announcement, at: datetime) -> Outgoing:
    event_id = new_id()
    kind = message.DESCRIPTOR.full_name
    headers = envelope(message.source, tenant_id, kind, event_id=event_id, about=message.source, at=at)
    headers["Nats-TTL"] = str(TTL)
    subject = event_of(descriptor_of(message)).subject(message.source, tenant_id)
    return Outgoing(subject, message.SerializeToString(), headers)


class Heartbeats:
    """Tells each association, each minute, that this owner of facts lives and holds back nothing older.

    What a heartbeat vouches for, it takes from the relay: the instant before which every event has been published. It is
    not sent while the relay lags, nor for an association of which an event is parked, so their readers learn that their
    facts may be old.
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
                await asyncio.sleep(EVERY_SECONDS)
            else:
                await asyncio.sleep(1)

    async def send(self, vouched: datetime) -> bool:
        """Sends one heartbeat to each association; true when all have arrived."""
        parked = self._relay.parked_tenants()
        message = facts_pb2.Heartbeat(source=self._service, version=0, sent_at=to_timestamp(vouched))
        tenants = await tenants_of(self._connection)
        return await _announce(
            self._publisher, [(tenant, message) for tenant in tenants if tenant not in parked], vouched
        )


class JournalReached:
    """Tells each service, each minute, how far its journal stands in the chain of each association.

    With it goes an instant: what was handed over before it has been dealt with. It is known whenever the consumer that
    appends has nothing before it, and read before the chains are, so that they hold what it vouches for.
    """

    def __init__(
        self,
        service: str,
        keeper: JournalKeeper,
        connection: RelayConnection,
        js: JetStreamContext,
        publisher: Publisher,
    ) -> None:
        self._service = service
        self._keeper = keeper
        self._connection = connection
        self._js = js
        self._publisher = publisher
        self._settled_at: datetime | None = None

    async def run(self) -> None:
        """Tells it until cancelled."""
        while True:
            await self.send()
            await asyncio.sleep(EVERY_SECONDS)

    async def send(self) -> None:
        """Tells it once; what does not arrive is replaced by what comes a minute later."""
        now = datetime.now(UTC)
        if await self._nothing_waits():
            self._settled_at = now
        settled = to_timestamp(self._settled_at) if self._settled_at else None
        messages = {
            tenant_id: facts_pb2.JournalReached(source=self._service, sent_at=to_timestamp(now), settled_at=settled)
            for tenant_id in await tenants_of(self._connection)
        }
        cursor = await self._connection.execute(self._keeper.reach)
        for tenant_id, service, last_sequence, last_entry_id in await cursor.fetchall():
            if tenant_id in messages:
                messages[tenant_id].services.add(
                    service=service, last_sequence=last_sequence, last_entry_id=last_entry_id
                )
        rows = [
            (tenant_id, *(write(message) for write in _REACHED.writes.values()))
            for tenant_id, message in messages.items()
        ]
        async with self._connection.cursor() as own:
            await own.executemany(_OWN, rows)
        await _announce(self._publisher, list(messages.items()), now)

    async def _nothing_waits(self) -> bool:
        consumer = self._keeper.consumer
        with suppress(nats.errors.Error, NotFoundError):
            backlog = Backlog.of(await self._js.consumer_info(consumer.stream, consumer.durable))
            return backlog.pending == 0 and backlog.unsettled == 0
        return False
