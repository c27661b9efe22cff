"""The consumers that every service has: they keep its projections of who may do what."""

from __future__ import annotations

from collections.abc import Sequence

from dui_kit import facts
from dui_kit.database import raw
from dui_kit.facts import FACTS_OF
from dui_kit.worker.contract import Consumer, ConsumerCall, Event
from dui_kit.worker.streams import event_stream


def fact_subjects(owner: str) -> tuple[str, ...]:
    """The subjects of an owner's access facts, of all associations."""
    return tuple(f"dui.{owner}.*.{aggregate}.v1.*" for aggregate in FACTS_OF[owner])


def apply(call: ConsumerCall, event: Event) -> None:
    """Writes a fact into its projection; an older version than the one that is there changes nothing."""
    facts.apply_fact(raw(call.session), call.tenant_id, event.message)


def apply_many(call: ConsumerCall, events: Sequence[Event]) -> None:
    """Does the same for several facts."""
    facts.apply_facts(raw(call.session), call.tenant_id, (event.message for event in events))


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
        for owner in FACTS_OF
        if owner != service
    ]
