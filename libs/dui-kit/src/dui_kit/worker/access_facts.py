"""The consumers that every service has: they keep its projections of who may do what."""

from __future__ import annotations

from collections.abc import Sequence

from dui.access.v1 import facts_pb2
from google.protobuf.message import Message

from dui_kit import facts
from dui_kit.db.database import raw
from dui_kit.facts import OWNERS, facts_of
from dui_kit.worker.parts import Consumer, Event, Reject, WorkerCall, WorkerService
from dui_kit.worker.streams import event_stream

_OF_THE_SENDER = frozenset(kind.DESCRIPTOR.full_name for kind in (facts_pb2.Heartbeat, facts_pb2.JournalReached))


def fact_subjects(owner: str) -> tuple[str, ...]:
    """The subjects of an owner's access facts, of all associations."""
    return tuple(f"dui.{owner}.*.{fact.aggregate}.v1.*" for fact in facts_of(owner))


def apply(call: WorkerCall, event: Event) -> None:
    """Writes a fact into its projection; an older version than the one that is there changes nothing."""
    facts.apply_fact(raw(call.session), call.tenant_id, _told_by_itself(event))


def apply_many(call: WorkerCall, events: Sequence[Event]) -> None:
    """Does the same for several facts."""
    facts.apply_facts(raw(call.session), call.tenant_id, map(_told_by_itself, events))


def _told_by_itself(event: Event) -> Message:
    """The fact of an event; raises `Reject` when it speaks for a service that did not publish it."""
    if event.message.DESCRIPTOR.full_name in _OF_THE_SENDER and event.message.source != event.source:  # type: ignore[attr-defined]
        raise Reject("WRONG_SOURCE")
    return event.message


def access_consumers(service: str) -> list[Consumer]:
    """Consumers of the facts of all owners but the service itself, which applies its own as it writes them."""
    return [
        Consumer(
            name=service,
            purpose=f"access_{owner}",
            stream=event_stream(owner),
            subjects=fact_subjects(owner),
            handler=apply,
            idempotent=True,
            many=apply_many,
            batch=500,
        )
        for owner in OWNERS
        if owner != service
    ]


def consumers_of(service: WorkerService) -> list[Consumer]:
    """Every consumer of a service: those of access facts, and its own."""
    return [*access_consumers(service.name), *service.consumers]
