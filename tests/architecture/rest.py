"""The requests of the cases on the way that people take: REST, the gateway, and the guard of the service on a local port."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from dui_gateway import contract
from dui_gateway.app import build
from dui_gateway.settings import GatewaySettings
from dui_gateway.upstream import Upstream
from dui_kit.calls.guard import Guard
from dui_kit.calls.server import build_server
from dui_kit.testing import Harness
from dui_kit.wire.tokens import Claims
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

OPERATIONS = {operation.rpc.removeprefix("/"): operation for operation in contract.operations()}


class _Tickets:
    """Stands where the token verifier stands, in the gateway and in the service: a token is a key of prepared claims."""

    keys: Any = None  # only readiness asks for them

    def __init__(self) -> None:
        self._known: dict[str, Claims] = {}

    def give(self, subject: str, tenant_id: str) -> str:
        """A token of a person who has just proved a second factor."""
        ticket, now = secrets.token_hex(8), time.time()
        self._known[ticket] = Claims(subject, tenant_id, "dui-web", 2, now + 60, now, None, "", now)
        return ticket

    def verify(self, raw: str) -> Claims:
        return self._known[raw]


class Rest:
    """Sends a request of an RPC as a web application would."""

    def __init__(self, app: Any, tickets: _Tickets) -> None:
        self._app = app
        self._tickets = tickets

    def send(self, rpc: str, request: Message, *, subject: str, tenant_id: str, if_match: str = "") -> Any:
        """The answer, as Flask gives it; `rpc`: `dui.records.v1.StayService/GetStay`."""
        operation = OPERATIONS[rpc]
        rest = MessageToDict(request, preserving_proto_field_name=True)
        rest.pop("update_mask", None)  # a merge patch says by its fields what it changes
        path = re.sub(r"\{(\w+)\}", lambda found: str(rest.pop(found[1])), operation.path)
        body = rest if operation.body == "*" else rest.pop(operation.body, {})
        headers = {"Authorization": f"Bearer {self._tickets.give(subject, tenant_id)}"}
        return self._app.test_client().open(
            path,
            method=operation.verb,
            json=body if operation.body else None,
            query_string=None if operation.body == "*" else rest,
            headers=headers | ({"If-Match": f'"{if_match}"'} if if_match else {}),
        )


@contextmanager
def rest_of(harness: Harness) -> Iterator[Rest]:
    """The gateway before the service of a harness."""
    tickets = _Tickets()
    server, _ = build_server(harness.service, Guard(replace(harness.toolbox, verifier=tickets)))
    target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    targets = dict.fromkeys(contract.service_names(), target)
    settings = GatewaySettings(**{f"{name}_target": target for name in targets})  # type: ignore[arg-type]
    upstream = Upstream(targets, call_seconds=30)
    yield Rest(build(settings, verifier=tickets, upstream=upstream), tickets)  # type: ignore[arg-type]
    upstream.close()
    server.stop(0).wait()
