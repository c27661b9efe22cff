"""Events and journal entries written in the transaction of the change; the worker's relay carries them away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

from dui.journal.v1 import journal_pb2
from google.protobuf.message import Message

from dui_kit.db.statements import Connection, Statement, Step, run
from dui_kit.facts import KNOWN_TENANTS
from dui_kit.ids import new_id
from dui_kit.wire.contract import descriptor_of, event_of

_JOURNAL = Statement("INSERT INTO journal_outbox (entry_id, tenant_id, payload) VALUES ($1, $2, $3)")
_COLUMNS = "event_id, tenant_id, subject, event_type, aggregate_id, aggregate_version, payload, traceparent"
_WIDTH = _COLUMNS.count(",") + 1
#: Most events of one statement.
_MOST = 50


@cache
def _insert(count: int) -> Statement:
    rows = (range(n * _WIDTH + 1, (n + 1) * _WIDTH + 1) for n in range(count))
    values = ", ".join(f"({', '.join(f'${number}' for number in row)})" for row in rows)
    return Statement(f"INSERT INTO outbox ({_COLUMNS}) VALUES {values}")  # noqa: S608 (numbers of parameters)


def _steps(service: str, told: Sequence[tuple[str, Message]], traceparent: str | None) -> list[Step]:
    """What inserts events, each of an association."""
    return [_step(service, told[start : start + _MOST], traceparent) for start in range(0, len(told), _MOST)]


def _step(service: str, told: Sequence[tuple[str, Message]], traceparent: str | None) -> Step:
    values: list[object] = []
    for tenant_id, event in told:
        shape = event_of(descriptor_of(event))
        values += (
            new_id(),
            tenant_id,
            shape.subject(service, tenant_id),
            event.DESCRIPTOR.full_name,
            str(getattr(event, shape.id_field)),
            int(event.version),  # type: ignore[attr-defined]
            event.SerializeToString(),
            traceparent,
        )
    return _insert(len(told))(*values)


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

    def steps(self) -> list[Step]:
        """What inserts the events, which are then no longer held."""
        events, self.events = self.events, []
        return _steps(self.service, [(self.tenant_id, event) for event in events], self.traceparent)

    def write(self, connection: Connection) -> None:
        """Inserts the events now."""
        steps = self.steps()
        if steps:
            run(connection, *steps)


def announce_to_all(connection: Connection, service: str, event: Message) -> None:
    """Tells every association that the service knows, suspended ones included, in the transaction of the connection: of what is
    the same for all of them. ValueError when the message is not an event.

    To be called last, so that as few associations as possible come to be meanwhile and are not told.

    Args:
        connection: as the owner of the service's database; the role of the service sees one association at most.
    """
    event_of(descriptor_of(event))
    known = [(str(row[0]), event) for row in connection.execute(KNOWN_TENANTS)]
    for step in _steps(service, known, None):
        run(connection, step)


def journal_step(tenant_id: str, entry: journal_pb2.JournalEntry) -> Step:
    """What inserts one journal entry; the relay numbers it."""
    return _JOURNAL(entry.entry_id, tenant_id, entry.SerializeToString())
