"""Effects: the handler's writes and the inbox row, in one transaction of the event's tenant."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from enum import Enum
from typing import Any

import grpc
import psycopg
import sqlalchemy.exc
from opentelemetry.trace import Span
from sqlalchemy import Engine

from dui_kit.db.database import raw
from dui_kit.wire import telemetry
from dui_kit.worker import spans
from dui_kit.worker.delivery import Delivery
from dui_kit.worker.parts import Consumer, Event, Reject, WorkerCall, transaction

Connection = psycopg.Connection[tuple[Any, ...]]

_INBOX = """INSERT INTO inbox (consumer, event_id, tenant_id) SELECT %s, e, %s::uuid FROM unnest(%s::uuid[]) e
ON CONFLICT DO NOTHING RETURNING event_id::text"""


class Verdict(Enum):
    """What became of a delivery."""

    #: Applied, now or by an earlier delivery.
    APPLIED = "applied"
    #: The handler failed.
    FAILED = "failed"
    #: It can never be applied.
    REJECTED = "rejected"
    #: Behind an event of the same aggregate that failed.
    BEHIND = "behind"
    #: A part of the platform is away; the event is not the trouble.
    AWAY = "away"


@dataclass(frozen=True, slots=True)
class Result:
    """A delivery and what became of it; `reason` is a class of failure, without any data."""

    delivery: Delivery
    verdict: Verdict
    reason: str = ""


class Applier:
    """Applies deliveries of one consumer. Called from threads, for one tenant at a time in each."""

    def __init__(self, service: str, consumer: Consumer, engine: Engine) -> None:
        self._service = service
        self._consumer = consumer
        self._engine = engine

    def apply(self, deliveries: Sequence[Delivery]) -> list[Result]:
        """Applies the deliveries of one tenant, in order: all in one transaction, or, if that fails, each in its own."""
        if len(deliveries) > 1:
            try:
                self._transaction(deliveries)
            except Exception as error:  # noqa: BLE001 (each is then tried alone, and judged)
                if _is_away(error):
                    return [Result(delivery, Verdict.AWAY, reason_of(error)) for delivery in deliveries]
            else:
                return [Result(delivery, Verdict.APPLIED) for delivery in deliveries]
        return self._one_by_one(deliveries)

    def _one_by_one(self, deliveries: Sequence[Delivery]) -> list[Result]:
        results: list[Result] = []
        failed: set[tuple[str, str, str]] = set()
        away = ""
        for delivery in deliveries:
            if away:
                result = Result(delivery, Verdict.AWAY, away)
            elif delivery.aggregate in failed:
                result = Result(delivery, Verdict.BEHIND)
            else:
                result = self._alone(delivery)
            if result.verdict is Verdict.FAILED:
                failed.add(delivery.aggregate)
            elif result.verdict is Verdict.AWAY:
                away = result.reason
            results.append(result)
        return results

    def _alone(self, delivery: Delivery) -> Result:
        try:
            self._transaction([delivery])
        except Reject as rejection:
            return Result(delivery, Verdict.REJECTED, rejection.reason)
        except Exception as error:  # noqa: BLE001 (a handler may fail in any way; the event is delivered again)
            return Result(delivery, Verdict.AWAY if _is_away(error) else Verdict.FAILED, reason_of(error))
        return Result(delivery, Verdict.APPLIED)

    def _transaction(self, deliveries: Sequence[Delivery]) -> None:
        consumer, tenant_id = self._consumer, deliveries[0].tenant_id
        with transaction(self._engine, self._service, tenant_id) as call:
            fresh = deliveries if consumer.idempotent else self._new(raw(call.session), deliveries)
            if consumer.many is not None and len(fresh) > 1:
                with ExitStack() as under_way:
                    for delivery in fresh:
                        if spans.is_sampled(delivery.traceparent):
                            under_way.enter_context(self._span(delivery))
                    consumer.many(call, [delivery.event() for delivery in fresh])
            else:
                for delivery in fresh:
                    self._handle(call, delivery)

    def _new(self, connection: Connection, deliveries: Sequence[Delivery]) -> list[Delivery]:
        """Those that this consumer has not applied yet; their inbox rows are written."""
        by_id = {delivery.event_id: delivery for delivery in deliveries}
        cursor = connection.execute(_INBOX, (self._consumer.durable, deliveries[0].tenant_id, list(by_id)))
        new = {row[0] for row in cursor.fetchall()}
        return [delivery for event_id, delivery in by_id.items() if event_id in new]

    def _handle(self, call: WorkerCall, delivery: Delivery) -> None:
        event = delivery.event()
        if not spans.is_sampled(delivery.traceparent):
            call.outbox.traceparent = delivery.traceparent
            self._effect(call, event)
            return
        with self._span(delivery) as span:
            call.outbox.traceparent = telemetry.traceparent(span)
            try:
                self._effect(call, event)
            except Exception as error:
                telemetry.fail(span, reason_of(error))
                raise

    def _effect(self, call: WorkerCall, event: Event) -> None:
        self._consumer.handler(call, event)
        if call.outbox.events:
            # What it announces carries the trace of this event, not of the next one in the batch.
            call.session.flush()
            call.outbox.write(raw(call.session))

    def _span(self, delivery: Delivery) -> AbstractContextManager[Span]:
        return spans.processing(
            delivery.msg.subject, delivery.tenant_id, delivery.event_id, delivery.traceparent, self._consumer.durable
        )


def _is_away(error: BaseException) -> bool:
    """True when the database, or another service, is what failed. A statement that takes too long is the event's fault."""
    match error:
        case psycopg.errors.QueryCanceled():
            return False
        case psycopg.OperationalError() | psycopg.InterfaceError() | sqlalchemy.exc.TimeoutError():
            return True
        case sqlalchemy.exc.DBAPIError():
            return error.connection_invalidated or (error.orig is not None and _is_away(error.orig))
        case grpc.RpcError():
            # The errors of grpc are calls too; the type stubs do not know it.
            code = getattr(error, "code", lambda: None)()
            return code in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}
        case _:
            return False


def reason_of(error: BaseException) -> str:
    """The class of an error, with the SQLSTATE if it has one: never its text, which may quote data."""
    source = error.orig if isinstance(error, sqlalchemy.exc.DBAPIError) and error.orig is not None else error
    state = getattr(source, "sqlstate", None)
    return f"{type(source).__name__}:{state}" if state else type(source).__name__
