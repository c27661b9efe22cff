"""Events and journal entries written in the transaction of the change; the worker's relay carries them away."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import psycopg
from dui.journal.v1 import journal_pb2
from google.protobuf.message import Message

from dui_kit.contract import descriptor_of, event_of
from dui_kit.database import at_once
from dui_kit.ids import new_id

_EVENTS = """INSERT INTO outbox
 (event_id, tenant_id, subject, event_type, aggregate_id, aggregate_version, payload, traceparent) VALUES """
_EVENT = "(%s, %s, %s, %s, %s, %s, %s, %s)"
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
        values: list[object] = []
        for event in self.events:
            shape = event_of(descriptor_of(event))
            values += (
                new_id(),
                self.tenant_id,
                f"dui.{self.service}.{self.tenant_id}.{shape.aggregate}.v1.{shape.past_tense}",
                event.DESCRIPTOR.full_name,
                str(getattr(event, shape.id_field)),
                int(event.version),  # type: ignore[attr-defined]
                event.SerializeToString(),
                self.traceparent,
            )
        # One text for each number of events: each is prepared once.
        connection.execute(_EVENTS + ", ".join([_EVENT] * len(self.events)), values)
        self.events.clear()


def commit_with_journal(connection: Connection, tenant_id: str, entry: journal_pb2.JournalEntry) -> None:
    """Inserts the journal entry and commits, in one round trip: no call ends without its trace.

    Raises psycopg.OperationalError when the transaction did not commit.
    """
    payload = entry.SerializeToString().hex()
    tag = at_once(
        connection,
        f"INSERT INTO journal_outbox (entry_id, tenant_id, payload) "  # noqa: S608 (ids of ours and hexadecimal digits)
        f"VALUES ('{UUID(entry.entry_id)}', '{UUID(tenant_id)}', '\\x{payload}'); COMMIT",
    )
    if tag != b"COMMIT":
        message = "the transaction did not commit"
        raise psycopg.OperationalError(message)


def write_journal(connection: Connection, tenant_id: str, entry: journal_pb2.JournalEntry) -> None:
    """Inserts one journal entry; the relay numbers it."""
    connection.execute(_JOURNAL, (entry.entry_id, tenant_id, entry.SerializeToString()))
