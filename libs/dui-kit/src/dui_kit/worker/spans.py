"""The spans of a message: published by one program, processed by another, in the trace of the request that caused it.

Only sampled traces get spans: for the others they would cost more than the effect, and the header is passed on as it is.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from opentelemetry.trace import Span, SpanKind

from dui_kit.wire import telemetry


def is_sampled(traceparent: str | None) -> bool:
    """Whether the trace of a message is one that spans are made for."""
    return traceparent is not None and traceparent.endswith("-01")


def publishing(subject: str, tenant_id: str, event_id: str, traceparent: str | None) -> AbstractContextManager[Span]:
    """The span of sending an event, until JetStream has acknowledged it."""
    attributes = _attributes("publish", "send", subject, tenant_id, event_id)
    return telemetry.span(_name(attributes), SpanKind.PRODUCER, traceparent, attributes)


def processing(
    subject: str, tenant_id: str, event_id: str, traceparent: str | None, consumer: str
) -> AbstractContextManager[Span]:
    """The span of applying an event, below the one that published it."""
    attributes = _attributes("process", "process", subject, tenant_id, event_id)
    attributes["messaging.consumer.group.name"] = consumer
    return telemetry.span(_name(attributes), SpanKind.CONSUMER, traceparent, attributes)


def _attributes(name: str, kind: str, subject: str, tenant_id: str, event_id: str) -> dict[str, str | int]:
    return {
        "messaging.system": "nats",
        "messaging.operation.name": name,
        "messaging.operation.type": kind,
        "messaging.destination.name": subject,
        "messaging.destination.template": subject.replace(tenant_id, "{tenant}"),
        "messaging.message.id": event_id,
    }


def _name(attributes: dict[str, str | int]) -> str:
    return f"{attributes['messaging.operation.name']} {attributes['messaging.destination.template']}"
