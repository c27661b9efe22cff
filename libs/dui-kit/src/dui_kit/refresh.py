"""On a local denial, the owners of the facts are asked once: a new admission or a broken glass then works at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

import grpc
import httpx
from dui.identity.v1 import access_pb2
from dui.records.v1 import facts_pb2
from google.protobuf.message import Message
from sqlalchemy import Engine

from dui_kit.clients import Client
from dui_kit.credentials import ServiceToken
from dui_kit.database import raw, tenant_session
from dui_kit.facts import apply_fact, unwrap
from dui_kit.settings import ServiceSettings
from dui_kit.telemetry import log


class Refresher:
    """Asks identity about a caller and a place, and records about a person, and applies what they answer."""

    def __init__(self, settings: ServiceSettings, engine: Engine) -> None:
        """A service does not ask itself: its own target is left empty."""
        self._engine = engine
        self._seconds = settings.refresh_seconds
        self._token = ServiceToken(settings)
        self._identity = Client(settings.identity_target) if settings.identity_target else None
        self._records = Client(settings.records_target) if settings.records_target else None
        self._pool = ThreadPoolExecutor(max_workers=4, thread_name_prefix="refresh")

    def refresh(self, *, tenant_id: str, subject: str, beneficiary_id: str, facility_id: str) -> bool:
        """True when an owner answered within the deadline and its facts were applied."""
        asked = []
        if self._identity is not None:
            caller = access_pb2.ListAccessFactsRequest(
                tenant_id=tenant_id, subject=subject, facility_id=facility_id, page_size=200
            )
            asked.append(self._pool.submit(copy_context().run, self._caller, self._identity, caller))
        if self._records is not None and beneficiary_id:
            asked.append(self._pool.submit(copy_context().run, self._person, self._records, tenant_id, beneficiary_id))
        facts: list[Message] = []
        for answer in asked:
            try:
                facts += answer.result(timeout=self._seconds * 2)
            except (grpc.RpcError, httpx.HTTPError, TimeoutError) as error:
                log.warning("access facts could not be refreshed", error=type(error).__name__)
        if not facts:
            return False
        with tenant_session(self._engine, tenant_id, durable=False) as session:
            for fact in facts:
                apply_fact(raw(session), tenant_id, fact)
        return True

    def _caller(self, client: Client, request: access_pb2.ListAccessFactsRequest) -> list[Message]:
        reply = client.call(
            "dui.identity.v1.AccessFactService/ListAccessFacts",
            request,
            access_pb2.ListAccessFactsResponse,
            token=self._token.get(timeout=self._seconds),
            timeout=self._seconds,
        )
        return [unwrap(fact) for fact in reply.facts]

    def _person(self, client: Client, tenant_id: str, beneficiary_id: str) -> list[Message]:
        request = facts_pb2.ListPerimeterFactsRequest(tenant_id=tenant_id, beneficiary_id=beneficiary_id, page_size=200)
        reply = client.call(
            "dui.records.v1.PerimeterFactService/ListPerimeterFacts",
            request,
            facts_pb2.ListPerimeterFactsResponse,
            token=self._token.get(timeout=self._seconds),
            timeout=self._seconds,
        )
        return [unwrap(fact) for fact in reply.facts]

    def close(self) -> None:
        """Closes the channels."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        for client in (self._identity, self._records):
            if client is not None:
                client.close()
