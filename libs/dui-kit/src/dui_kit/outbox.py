"""Events and journal entries written in the transaction of the change; the worker's relay carries them away."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import psycopg
from dui.journal.v1 import journal_pb2
from google.protobuf.message import Message

from dui_kit.contract import descriptor_of, event_of
from dui_kit.ids import new_id

_EVENTS = """INSERT INTO outbox
 (event_id, tenant_id, subject, event_type, aggregate_id, aggregate_version, payload, traceparent)
SELECT e, %s::uuid, s, t, a, v, p, %s
FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::text[], %s::int[], %s::bytea[]) AS u(e, s, t, a, v, p)"""
_JOURNAL = "INSERT INTO journal_outbox (entry_id, tenant_id, payload) VALUES (%s, %s, %s)"

Connection = psycopg.Connection[tuple[Any, ...]]


@dataclass(slots=True)
class Outbox:
    """The events of one transaction, inserted together at its end."""

    service: str
    tenant_id: str
    traceparent: str | None = None
    events: list[Message] = field(default_factory=list)

    def add(self, event: Message) -> None:
        """Keeps an event for the end of the transaction; ValueError when the message is not an event."""
        event_of(descriptor_of(event))
        self.events.append(event)

    def write(self, connection: Connection) -> None:
        """Inserts the events; their subject is `dui.<service>.<tenant>.<aggregate>.v1.<past_tense>`."""
        if not self.events:
            return
        ids, subjects, types, aggregates, versions, payloads = [], [], [], [], [], []
        for event in self.events:
            shape = event_of(descriptor_of(event))
            ids.append(new_id())
            subjects.append(f"dui.{self.service}.{self.tenant_id}.{shape.aggregate}.v1.{shape.past_tense}")
            types.append(event.DESCRIPTOR.full_name)
            aggregates.append(str(getattr(event, shape.id_field)))
            versions.append(int(event.version))  # type: ignore[attr-defined]
            payloads.append(event.SerializeToString())
        connection.execute(
            _EVENTS, (self.tenant_id, self.traceparent, ids, subjects, types, aggregates, versions, payloads)
        )
        self.events.clear()


def write_journal(connection: Connection, tenant_id: str, entry: journal_pb2.JournalEntry) -> None:
    """Inserts one journal entry; the relay numbers it."""
    connection.execute(_JOURNAL, (entry.entry_id, tenant_id, entry.SerializeToString()))
