"""What the account of a service at NATS may do: what its worker does, and nothing in another service's name.

Enumerated, from the same data as its streams and consumers. It makes and changes no stream and no consumer, and acknowledges
for itself only: that is an operator's.
"""

from __future__ import annotations

from dataclasses import dataclass

from dui_kit.worker.access_facts import consumers_of
from dui_kit.worker.connection import inbox_prefix
from dui_kit.worker.parts import WorkerService
from dui_kit.worker.streams import published_to


@dataclass(frozen=True, slots=True)
class Permissions:
    """Subjects that an account may publish to and subscribe to."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]

    def configuration(self) -> dict[str, dict[str, list[str]]]:
        """As `permissions` of a user in the configuration of the server."""
        return {"publish": {"allow": list(self.publish)}, "subscribe": {"allow": list(self.subscribe)}}


def permissions_of(service: WorkerService) -> Permissions:
    """The permissions of a service's account."""
    name = service.name
    publish = [f"dui.{name}.>", f"dui.journal.{name}.>", f"dui.dead.{name}.>"]
    publish += [f"$JS.API.STREAM.INFO.{stream}" for stream in published_to(name)]
    for consumer in consumers_of(service):
        path = f"{consumer.stream}.{consumer.durable}"
        publish += [f"$JS.API.CONSUMER.INFO.{path}", f"$JS.API.CONSUMER.MSG.NEXT.{path}", f"$JS.ACK.{path}.>"]
    return Permissions(tuple(publish), (f"{inbox_prefix(name)}.>",))
