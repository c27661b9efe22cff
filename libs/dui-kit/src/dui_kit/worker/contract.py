"""What a service tells its worker: the consumers and the jobs it has. Plain values; the machinery is beside."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from google.protobuf.message import Message
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from dui_kit import facts
from dui_kit.database import raw, tenant_session
from dui_kit.outbox import Outbox
from dui_kit.settings import ServiceSettings


@dataclass(frozen=True, slots=True)
class Event:
    """One message of a stream, parsed."""

    #: Id given by its producer (`ce-id`): the same for each delivery and each time it is sent again.
    event_id: str
    tenant_id: str
    #: Full name of its protobuf message.
    type: str
    message: Message

    @property
    def version(self) -> int:
        """Version of its aggregate; 0 for a message that has none."""
        return int(getattr(self.message, "version", 0))


@dataclass(slots=True)
class ConsumerCall:
    """What a handler works with: the transaction of its event's tenant, which the kit commits together with the inbox."""

    session: Session
    tenant_id: str
    now: datetime
    outbox: Outbox

    def publish(self, event: Message) -> None:
        """Announces a change of this service, in this transaction; an access fact also takes effect here at once."""
        self.outbox.add(event)
        if event.DESCRIPTOR.full_name in facts.FACT_TYPES:
            facts.apply_fact(raw(self.session), self.tenant_id, event)


class Hold(Exception):
    """Raised by a handler: this event cannot be applied before another one, which has not come yet.

    It is delivered again shortly, for as long as it takes: it never becomes a dead letter.
    """


class Reject(Exception):
    """Raised by a handler: this event can never be applied. It becomes a dead letter at once.

    `reason` is UPPER_SNAKE, without personal data: operators read it.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


Handler = Callable[[ConsumerCall, Event], None]
ManyHandler = Callable[[ConsumerCall, Sequence[Event]], None]


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
    #: Does to several events what `handler` does to one after another, where that is cheaper.
    many: ManyHandler | None = None

    @property
    def durable(self) -> str:
        """Name of the durable consumer."""
        return f"{self.name}__{self.purpose}"


@dataclass(frozen=True, slots=True)
class WorkerContext:
    """What a job works with."""

    engine_: Engine
    settings: ServiceSettings
    tenants_: Callable[[], Sequence[str]]
    #: Becomes true when the process is asked to end: a long job looks at it between two steps.
    stopping: Callable[[], bool] = field(default=lambda: False)

    def engine(self) -> Engine:
        """Engine of the app role: what it reads is nothing until a tenant is set."""
        return self.engine_

    def tenant_session(self, tenant_id: str) -> AbstractContextManager[Session]:
        """A transaction of one tenant; commits at the end."""
        return tenant_session(self.engine_, tenant_id)

    def tenants(self) -> Iterator[str]:
        """The associations that this service knows, suspended ones included."""
        yield from self.tenants_()


@dataclass(frozen=True, slots=True)
class Job:
    """Work that recurs. At most one process runs it at a time; a run that is late is not made up for."""

    name: str
    every_seconds: float
    run: Callable[[WorkerContext], None]
    #: Runs once more when the worker ends in an orderly way.
    at_shutdown: bool = False


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
