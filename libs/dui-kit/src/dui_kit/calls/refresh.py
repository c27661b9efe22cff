"""On a local denial, the owners of the facts are asked once: a new admission or a break-glass access then works at once."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context

import grpc
import httpx
import psycopg
from google.protobuf.message import Message
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from dui_kit.calls.credentials import ServiceToken
from dui_kit.calls.snapshots import Owner
from dui_kit.db.database import raw, tenant_session
from dui_kit.facts import apply_facts
from dui_kit.settings import ServiceSettings
from dui_kit.wire.telemetry import log


class Refresher:
    """Asks identity about a caller and a place, and records about a person, and applies what they answer."""

    def __init__(self, settings: ServiceSettings, engine: Engine) -> None:
        """A service does not ask itself: its own target is left empty."""
        self._engine = engine
        self._seconds = settings.refresh_seconds
        token = ServiceToken(settings)
        self._owners = {
            name: Owner(name, target, token)
            for name, target in (("identity", settings.identity_target), ("records", settings.records_target))
            if target
        }
        self._pool = ThreadPoolExecutor(max_workers=4, thread_name_prefix="refresh")

    def refresh(self, *, tenant_id: str, subject: str, beneficiary_id: str, facility_id: str) -> bool:
        """True when an owner answered within the deadline and its facts were applied."""
        asked = [self._ask("identity", tenant_id=tenant_id, subject=subject, facility_id=facility_id)]
        if beneficiary_id:
            asked.append(self._ask("records", tenant_id=tenant_id, beneficiary_id=beneficiary_id))
        facts: list[Message] = []
        for answer in asked:
            try:
                facts += answer.result(timeout=self._seconds * 2) if answer is not None else []
            except (grpc.RpcError, httpx.HTTPError, TimeoutError, ValueError) as error:
                log.warning("access facts could not be refreshed", error=type(error).__name__)
        if not facts:
            return False
        try:
            # The caller waits: whoever holds a lock on the projections must not hold the threads of the calls with it.
            milliseconds = int(self._seconds * 1000)
            with tenant_session(self._engine, tenant_id, durable=False, statement_ms=milliseconds) as session:
                apply_facts(raw(session), tenant_id, facts)
        except (psycopg.Error, DBAPIError) as error:
            log.warning("access facts could not be applied", error=type(error).__name__)
            return False
        return True

    def _ask(self, owner: str, **which: str) -> Future[list[Message]] | None:
        """The answer to come; None when this service is the owner, or has not been told where it is."""
        if owner not in self._owners:
            return None
        some = self._owners[owner].some
        return self._pool.submit(copy_context().run, lambda: some(timeout=self._seconds, **which))

    def close(self) -> None:
        """Closes the channels."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        for owner in self._owners.values():
            owner.close()
