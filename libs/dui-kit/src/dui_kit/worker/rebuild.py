"""Rebuilds the access projections of a service from zero: each owner's snapshot, then the tail of its stream.

The service goes on working meanwhile. What its own consumer applies between the reading of the snapshot and its writing is
lost with the rows that are replaced. The tail brings it back: a reader of its own holds what is published from before the
snapshot on. Facts carry versions, so that one applied twice changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from google.protobuf.message import Message
from nats.js import JetStreamContext, api
from sqlalchemy import Engine, text

from dui_kit.db.database import raw, tenant_session
from dui_kit.facts import OWNERS, apply_facts, facts_of
from dui_kit.worker.delivery import read
from dui_kit.worker.parts import Reject
from dui_kit.worker.streams import Reader, event_stream, reading

#: A tenant's facts of one owner, all of them.
Snapshot = Callable[[str], Iterator[Message]]

#: The projections of each owner's facts.
PROJECTIONS = {owner: tuple(fact.table.name for fact in facts_of(owner) if fact.lasts) for owner in OWNERS}


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What was written."""

    owner: str
    snapshot: int
    tail: int


async def rebuild(
    service: str, engine: Engine, js: JetStreamContext, tenant_id: str, snapshots: Mapping[str, Snapshot]
) -> list[Rebuilt]:
    """Rebuilds one association's projections in `service`, from each owner in `snapshots` but the service itself."""
    done = []
    for owner, snapshot in snapshots.items():
        if owner != service:
            subjects = [f"dui.{owner}.{tenant_id}.{fact.aggregate}.v1.*" for fact in facts_of(owner)]
            async with reading(js, event_stream(owner), subjects, api.DeliverPolicy.NEW) as reader:
                written = await asyncio.to_thread(_replace, engine, tenant_id, owner, snapshot)
                tail = await _tail(reader)
            await asyncio.to_thread(_apply, engine, tenant_id, tail)
            done.append(Rebuilt(owner, written, len(tail)))
    return done


def _replace(engine: Engine, tenant_id: str, owner: str, snapshot: Snapshot) -> int:
    facts = list(snapshot(tenant_id))
    with tenant_session(engine, tenant_id) as session:
        for table in PROJECTIONS[owner]:
            session.execute(text(f"DELETE FROM {table}"))  # noqa: S608 (a constant of this module)
        apply_facts(raw(session), tenant_id, facts)
    return len(facts)


def _apply(engine: Engine, tenant_id: str, facts: list[Message]) -> None:
    with tenant_session(engine, tenant_id) as session:
        apply_facts(raw(session), tenant_id, facts)


async def _tail(reader: Reader) -> list[Message]:
    facts: list[Message] = []
    async for msg in reader.waiting():
        try:
            facts.append(read(msg).event().message)
        except Reject:
            continue  # the consumer has made a dead letter of it
    return facts
