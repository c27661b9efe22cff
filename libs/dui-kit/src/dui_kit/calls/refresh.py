"""On a local denial, the owners of the facts are asked once: a new admission or a break-glass access then works at once."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
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
from dui_kit.facts import OWNERS, apply_facts
from dui_kit.settings import ServiceSettings
from dui_kit.wire.telemetry import log

#: Refreshes at once in a process, one for each caller. Each holds the thread of a call, and a service has few: whoever goes on
#: asking for what they may not see must leave the others theirs. Who gets none is refused, while the event is under way.
AT_ONCE = 2
#: How long a call waits for the answer to the same question of another call: many times what it takes.
JOIN_SECONDS = 0.1
#: An owner that did not answer in time for twice in a row is left alone for a second.
FAILURES, PAUSE_SECONDS = 2, 1.0

#: Association, subject, person and facility of a call.
_Question = tuple[str, str, str, str]


class Refresher:
    """Asks identity about a caller and a place, and records about a person, and applies what they answer."""

    def __init__(
        self, settings: ServiceSettings, engine: Engine, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """A service does not ask itself: its own target is left empty."""
        self._engine = engine
        self._seconds = settings.refresh_seconds
        self._clock = clock
        token = ServiceToken(settings)
        self._owners = {owner: Owner(owner, target, token) for owner in OWNERS if (target := settings.target(owner))}
        self._pool = ThreadPoolExecutor(max_workers=2 * AT_ONCE, thread_name_prefix="refresh")
        self._lock = threading.Lock()
        #: Questions under way, with what their askers wait for.
        self._under_way: dict[_Question, threading.Event] = {}
        #: How often in a row an owner did not answer, and until when it is left alone.
        self._failures: Counter[str] = Counter()
        self._pauses: dict[str, float] = {}

    def refresh(self, *, tenant_id: str, subject: str, beneficiary_id: str, facility_id: str) -> None:
        """Asks the owners and applies what they answer, unless too much is asked already."""
        question = (tenant_id, subject, beneficiary_id, facility_id)
        with self._lock:
            other = self._under_way.get(question)
            if other is None:
                if len(self._under_way) >= AT_ONCE or any(each[:2] == question[:2] for each in self._under_way):
                    return
                done = self._under_way[question] = threading.Event()
        if other is not None:  # the calls of one page come together: one of them asks for all
            other.wait(JOIN_SECONDS)
            return
        try:
            self._apply(tenant_id, self._ask_all(tenant_id, subject, beneficiary_id, facility_id))
        finally:
            with self._lock:
                del self._under_way[question]
            done.set()

    def _ask_all(self, tenant_id: str, subject: str, beneficiary_id: str, facility_id: str) -> list[Message]:
        asked = {"identity": self._ask("identity", tenant_id=tenant_id, subject=subject, facility_id=facility_id)}
        if beneficiary_id:
            asked["records"] = self._ask("records", tenant_id=tenant_id, beneficiary_id=beneficiary_id)
        facts: list[Message] = []
        for owner, answer in asked.items():
            if answer is None:
                continue
            try:
                facts += answer.result(timeout=self._seconds * 2)
                self._failures[owner] = 0
            except (grpc.RpcError, httpx.HTTPError, TimeoutError, ValueError) as error:
                answer.cancel()
                log.warning("access facts could not be refreshed", owner=owner, error=type(error).__name__)
                self._failures[owner] += 1
                if self._failures[owner] >= FAILURES:
                    self._pauses[owner] = self._clock() + PAUSE_SECONDS
        return facts

    def _apply(self, tenant_id: str, facts: list[Message]) -> None:
        if not facts:
            return
        try:
            # The caller waits: whoever holds a lock on the projections must not hold the threads of the calls with it.
            milliseconds = int(self._seconds * 1000)
            with tenant_session(self._engine, tenant_id, durable=False, statement_ms=milliseconds) as session:
                apply_facts(raw(session), tenant_id, facts)
        except (psycopg.Error, DBAPIError) as error:
            log.warning("access facts could not be applied", error=type(error).__name__)

    def _ask(self, owner: str, **which: str) -> Future[list[Message]] | None:
        """The answer to come; None when this service is the owner, has not been told where it is, or leaves it alone."""
        if owner not in self._owners or self._pauses.get(owner, 0.0) > self._clock():
            return None
        some = self._owners[owner].some
        return self._pool.submit(copy_context().run, lambda: some(timeout=self._seconds, **which))

    def close(self) -> None:
        """Closes the channels."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        for owner in self._owners.values():
            owner.close()
