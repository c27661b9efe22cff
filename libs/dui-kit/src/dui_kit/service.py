"""What a service is made of: its composition root returns one of these, and `dui_kit.main` runs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message_factory import GetMessageClass

from dui_kit.calls.guard import Method
from dui_kit.errors import Refusal
from dui_kit.settings import ServiceSettings
from dui_kit.wire.contract import rule_of

if TYPE_CHECKING:
    from dui_kit.worker import Consumer, Job, JournalKeeper


class Servicer(Protocol):
    """What answers a gRPC service of the contract: one method for each of its RPCs, `Method(request, call) -> reply`."""

    CONTRACT: ServiceDescriptor


@dataclass(frozen=True, slots=True)
class Service:
    """One service: what it answers, consumes and does by itself."""

    name: str
    settings: ServiceSettings
    servicers: Sequence[Servicer]
    #: Package of the Alembic migrations.
    migrations: str
    #: Constraint of the database → the refusal that its violation means.
    constraints: Mapping[str, Refusal] = field(default_factory=dict)
    consumers: Sequence[Consumer] = ()
    jobs: Sequence[Job] = ()
    #: The service owns access facts: it sends heartbeats.
    heartbeat: bool = False
    #: The service keeps the chains of the journal.
    journal_keeper: JournalKeeper | None = None
    #: The rights are its own: its projections of them are never old.
    owns_rights: bool = False
    #: Reads what it cannot serve without, a key in a file; OSError or ValueError says what is wrong with it.
    preflight: Callable[[], object] | None = None

    def methods(self) -> dict[str, Method]:
        """Every RPC by its full name, `package.Service/Method`; ValueError for one without a rule or without an answer."""
        found: dict[str, Method] = {}
        for servicer in self.servicers:
            for method in servicer.CONTRACT.methods:
                rule = rule_of(method)
                answer: Any = getattr(servicer, method.name, None)
                if answer is None:
                    message = f"{rule.operation} has no method in {type(servicer).__name__}"
                    raise ValueError(message)
                found[rule.operation] = Method(rule, answer, GetMessageClass(method.output_type))
        return found

    def requests(self) -> dict[str, type[Any]]:
        """The request type of every RPC by its full name."""
        return {
            f"{servicer.CONTRACT.full_name}/{method.name}": GetMessageClass(method.input_type)
            for servicer in self.servicers
            for method in servicer.CONTRACT.methods
        }
