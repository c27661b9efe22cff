"""What a service tells its worker: the consumers and the jobs it has. Plain values; the machinery is beside."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from google.protobuf.message import Message
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from dui_kit import facts
from dui_kit.calls.outbox import Outbox
from dui_kit.db.database import raw, tenant_session
from dui_kit.settings import ServiceSettings


@dataclass(frozen=True, slots=True)
class Event:
    """One message of a stream, parsed."""

    #: Id given by its producer (`ce-id`): the same for each delivery and each time it is sent again.
    event_id: str
    tenant_id: str
    #: Full name of its protobuf message.
    type: str
    #: The service that published it, as its subject says: the rights at NATS go by subjects.
    source: str
    message: Message

    @property
    def version(self) -> int:
        """Version of its aggregate; 0 for a message that has none."""
        return int(getattr(self.message, "version", 0))


@dataclass(slots=True)
class WorkerCall:
    """What a handler or a job works with: one transaction of one association, which the kit commits."""

    session: Session
    tenant_id: str
    now: datetime
    outbox: Outbox

    def publish(self, event: Message) -> None:
        """Announces a change of this service, in this transaction; an access fact also takes effect here at once."""
        self.outbox.add(event)
        facts.apply_fact(raw(self.session), self.tenant_id, event)


@contextmanager
def transaction(engine: Engine, service: str, tenant_id: str) -> Iterator[WorkerCall]:
    """A transaction of one association; at its end the events are written to the outbox of `service`, and it commits."""
    with tenant_session(engine, tenant_id) as session:
        call = WorkerCall(session, tenant_id, datetime.now(UTC), Outbox(service, tenant_id))
        yield call
        session.flush()
        call.outbox.write(raw(session))


class Reject(Exception):
    """Raised by a handler: this event can never be applied. It becomes a dead letter at once.

    `reason` is UPPER_SNAKE, without personal data: operators read it.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


Handler = Callable[[WorkerCall, Event], None]
ManyHandler = Callable[[WorkerCall, Sequence[Event]], None]


@dataclass(frozen=True, slots=True)
class Consumer:
    """A durable consumer `<name>__<purpose>` of a stream.

    The handler runs in a thread, in a transaction with the tenant set. Events of one aggregate reach it in their order,
    those of one tenant one after another; a delivered event is applied once.
    """

    name: str
    purpose: str
    stream: str
    subjects: tuple[str, ...]
    handler: Handler
    #: True: applying an event twice changes nothing (it carries a version or a number), so no inbox row is kept.
    idempotent: bool = False
    #: Most events taken at once.
    batch: int = 200
    #: True: its sender keeps a message until it has taken effect, and sends again what has not. One that is rejected, or fails
    #: five times, is passed over and leaves no dead letter.
    sent_again: bool = False
    #: Does to several events what `handler` does to one after another, where that is cheaper.
    many: ManyHandler | None = None

    @property
    def durable(self) -> str:
        """Name of the durable consumer."""
        return f"{self.name}__{self.purpose}"


@dataclass(frozen=True, slots=True)
class WorkerContext:
    """What a job works with."""

    service: str
    #: Engine of the app role: what it reads is nothing until a tenant is set.
    engine: Engine
    settings: ServiceSettings
    #: The associations that this service knows, suspended ones included.
    tenants: Callable[[], Sequence[str]]
    #: Becomes true when the process is asked to end: a long job looks at it between two steps.
    stopping: Callable[[], bool] = field(default=lambda: False)
    #: The worker ends, in an orderly way: this is the last run of a job that asks for one.
    ending: bool = False

    def transaction(self, tenant_id: str) -> AbstractContextManager[WorkerCall]:
        """A transaction of one association; commits at the end."""
        return transaction(self.engine, self.service, tenant_id)


@dataclass(frozen=True, slots=True)
class Job:
    """Work that recurs. At most one process runs it at a time; a run that is late is not made up for."""

    name: str
    every_seconds: float
    run: Callable[[WorkerContext], None]
    #: Runs once more when the worker ends in an orderly way.
    at_shutdown: bool = False


@dataclass(frozen=True, slots=True)
class JournalKeeper:
    """What the service that keeps the chains of the journal tells of them."""

    #: It appends to them.
    consumer: Consumer
    #: SQL, run as the relay role: tenant_id, service, last_sequence, last_entry_id of everything that is in a chain.
    reach: str


class WorkerService(Protocol):
    """What the worker needs to know of a service."""

    @property
    def name(self) -> str: ...
    @property
    def settings(self) -> ServiceSettings: ...
    @property
    def consumers(self) -> Sequence[Consumer]: ...
    @property
    def jobs(self) -> Sequence[Job]: ...
    @property
    def heartbeat(self) -> bool: ...
    @property
    def journal_keeper(self) -> JournalKeeper | None: ...
