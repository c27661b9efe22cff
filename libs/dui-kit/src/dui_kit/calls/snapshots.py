"""Snapshots of access facts: how their owners give them, and how they are asked.

An owner applies its own facts to its own projections, in the transaction of each change. So its projections are the
snapshot, in the versions that were announced.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dui.access.v1 import facts_pb2
from dui.identity.v1 import access_pb2
from dui.records.v1 import facts_pb2 as records_pb2
from google.protobuf.message import Message
from sqlalchemy import ColumnElement, Select, Table, select

from dui_kit.calls.call import Call
from dui_kit.calls.credentials import ServiceToken
from dui_kit.calls.pages import Page
from dui_kit.facts import FACTS, Fact, message_of, unwrap, wrap
from dui_kit.wire.clients import Client

#: Table of a projection → which of its rows.
Wanted = Mapping[Table, ColumnElement[bool]]
_PAGE = 200


def facts_in(call: Call, wanted: Wanted) -> list[facts_pb2.AccessFact]:
    """The facts of some projections, all of them: for what is known to be few."""
    return [
        wrap(message_of(fact, row))
        for _, fact in _kinds(wanted)
        for row in call.session.execute(_rows(call, fact, wanted))
    ]


def page_of_facts(call: Call, page: Page, wanted: Wanted) -> tuple[list[facts_pb2.AccessFact], str]:
    """A page of the facts of some projections, kind after kind, each by id; and the token of the next page."""
    begun, after = page.after or (0, None)
    found: list[tuple[int, str | int, facts_pb2.AccessFact]] = []
    for kind, fact in _kinds(wanted):
        room = page.size + 1 - len(found)
        if kind < int(begun or 0) or room == 0:
            continue
        query = _rows(call, fact, wanted)
        if fact.key is not None:
            query = query.order_by(fact.key).limit(room)
            if kind == begun and after is not None:
                query = query.where(fact.key > after)
        elif kind == begun and after is not None:
            continue
        found += [(kind, _key(fact, row), wrap(message_of(fact, row))) for row in call.session.execute(query)]
    kept, token = page.cut(found, key=lambda item: item[:2])
    return [fact for _, _, fact in kept], token


def _kinds(wanted: Wanted) -> Iterator[tuple[int, Fact]]:
    for number, fact in enumerate(FACTS.values()):
        if fact.lasts and fact.table in wanted:
            yield number, fact


def _rows(call: Call, fact: Fact, wanted: Wanted) -> Select[Any]:
    return select(fact.table).where(fact.table.c.tenant_id == call.tenant_id, wanted[fact.table])


def _key(fact: Fact, row: Any) -> str | int:
    return "" if fact.key is None else getattr(row, fact.key.name)


@dataclass(frozen=True, slots=True)
class Source:
    """The RPC of an owner that gives its facts."""

    operation: str
    request: type[Message]
    reply: type[Any]


#: How each owner of facts is asked.
SOURCES = {
    "identity": Source(
        "dui.identity.v1.AccessFactService/ListAccessFacts",
        access_pb2.ListAccessFactsRequest,
        access_pb2.ListAccessFactsResponse,
    ),
    "records": Source(
        "dui.records.v1.PerimeterFactService/ListPerimeterFacts",
        records_pb2.ListPerimeterFactsRequest,
        records_pb2.ListPerimeterFactsResponse,
    ),
}


class Owner:
    """An owner of access facts, asked by a service with its own token."""

    def __init__(self, name: str, target: str, token: ServiceToken) -> None:
        """`target`: its gRPC target."""
        self._source = SOURCES[name]
        self._client = Client(target)
        self._token = token

    def some(self, *, timeout: float, **which: str) -> list[Message]:
        """The facts that fit (`tenant_id` and what the owner's request can name), one page of them."""
        request = self._source.request(page_size=_PAGE, **which)
        return [unwrap(item) for item in self._ask(request, timeout).facts]

    def all(self, tenant_id: str, *, timeout: float = 30.0) -> Iterator[Message]:
        """Every fact of an association."""
        request: Any = self._source.request(page_size=_PAGE, tenant_id=tenant_id)
        while True:
            reply = self._ask(request, timeout)
            yield from map(unwrap, reply.facts)
            request.page_token = reply.next_page_token
            if not request.page_token:
                return

    def tenants(self, *, timeout: float = 30.0) -> list[str]:
        """The associations that identity knows, suspended ones included."""
        reply = self._client.call(
            "dui.identity.v1.AccessFactService/ListTenants",
            access_pb2.ListTenantsRequest(),
            access_pb2.ListTenantsResponse,
            token=self._token.get(timeout=timeout),
            timeout=timeout,
        )
        return list(reply.tenant_ids)

    def close(self) -> None:
        """Closes the channel."""
        self._client.close()

    def _ask(self, request: Message, timeout: float) -> Any:
        token = self._token.get(timeout=timeout)
        return self._client.call(self._source.operation, request, self._source.reply, token=token, timeout=timeout)
