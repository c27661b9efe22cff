"""Rebuilds the access projections of a service from zero: each owner's snapshot, then the tail of its stream.

The service goes on working meanwhile. What its own consumer applies between the reading of the snapshot and its writing is
lost with the rows that are replaced; the tail, read from where the stream stood before the snapshot, brings it back. Facts
carry versions, so that one applied twice changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import nats.errors
from dui.identity.v1 import access_pb2
from dui.records.v1 import facts_pb2
from google.protobuf.message import Message
from nats.js import JetStreamContext, api
from sqlalchemy import Engine, text

from dui_kit.clients import Client
from dui_kit.credentials import ServiceToken
from dui_kit.database import raw, tenant_session
from dui_kit.facts import FACTS_OF, apply_facts, unwrap
from dui_kit.worker.contract import Reject
from dui_kit.worker.delivery import read
from dui_kit.worker.streams import event_stream

#: A tenant's facts of one owner, all of them.
Snapshot = Callable[[str], Iterator[Message]]

#: The projections of each owner's facts.
PROJECTIONS = {
    "identity": (
        "access_tenant",
        "access_account",
        "access_assignment",
        "access_policy",
        "access_break_glass",
        "access_facility",
        "access_unit",
    ),
    "records": ("access_person", "access_perimeter"),
}
_PAGE = 200
_SECONDS = 30.0


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
            stood_at = (await js.stream_info(event_stream(owner))).state.last_seq
            written = await asyncio.to_thread(_replace, engine, tenant_id, owner, snapshot)
            tail = await _tail(js, owner, tenant_id, stood_at + 1)
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


async def _tail(js: JetStreamContext, owner: str, tenant_id: str, first: int) -> list[Message]:
    subjects = [f"dui.{owner}.{tenant_id}.{aggregate}.v1.*" for aggregate in FACTS_OF[owner]]
    stream = event_stream(owner)
    config = api.ConsumerConfig(
        filter_subjects=subjects,
        deliver_policy=api.DeliverPolicy.BY_START_SEQUENCE,
        opt_start_seq=first,
        ack_policy=api.AckPolicy.NONE,
        inactive_threshold=30,
    )
    consumer = await js.add_consumer(stream, config)
    waiting = consumer.num_pending or 0
    subscription = await js.pull_subscribe_bind(consumer.name, stream=stream)
    facts: list[Message] = []
    try:
        while waiting > 0:
            for msg in await subscription.fetch(min(waiting, 500), timeout=5):
                waiting -= 1
                try:
                    facts.append(read(msg).event().message)
                except Reject:
                    continue  # the consumer has made a dead letter of it
    except nats.errors.TimeoutError:
        # Messages that were purged meanwhile do not come.
        pass
    finally:
        await subscription.unsubscribe()
    return facts


def identity_snapshot(client: Client, token: ServiceToken) -> Snapshot:
    """What identity says of an association."""

    def facts(tenant_id: str) -> Iterator[Message]:
        request = access_pb2.ListAccessFactsRequest(tenant_id=tenant_id, page_size=_PAGE)
        while True:
            reply = client.call(
                "dui.identity.v1.AccessFactService/ListAccessFacts",
                request,
                access_pb2.ListAccessFactsResponse,
                token=token.get(),
                timeout=_SECONDS,
            )
            yield from map(unwrap, reply.facts)
            request.page_token = reply.next_page_token
            if not request.page_token:
                return

    return facts


def records_snapshot(client: Client, token: ServiceToken) -> Snapshot:
    """What records says of an association."""

    def facts(tenant_id: str) -> Iterator[Message]:
        request = facts_pb2.ListPerimeterFactsRequest(tenant_id=tenant_id, page_size=_PAGE)
        while True:
            reply = client.call(
                "dui.records.v1.PerimeterFactService/ListPerimeterFacts",
                request,
                facts_pb2.ListPerimeterFactsResponse,
                token=token.get(),
                timeout=_SECONDS,
            )
            yield from map(unwrap, reply.facts)
            request.page_token = reply.next_page_token
            if not request.page_token:
                return

    return facts


def all_tenants(client: Client, token: ServiceToken) -> list[str]:
    """The associations that identity knows, suspended ones included."""
    reply = client.call(
        "dui.identity.v1.AccessFactService/ListTenants",
        access_pb2.ListTenantsRequest(),
        access_pb2.ListTenantsResponse,
        token=token.get(),
        timeout=_SECONDS,
    )
    return list(reply.tenant_ids)
