"""Traces, metrics and logs. Nothing personal goes into any of them: names of operations, codes, ids of traces.

Spans are made by hand where the platform's own seams are (HTTP, gRPC, SQL, publish, consume): the generic instrumentations
cost more CPU than the calls that they watch (docs/adr/). An unsampled call makes no span at all. Names and attributes are
those of OpenTelemetry's semantic conventions, but for what a caller typed: addresses, queries and headers stay out.
"""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import context as contexts
from opentelemetry import metrics, trace
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, TraceFlags

from dui_kit.wire import logs
from dui_kit.wire.logs import log, where

__all__ = [
    "call_duration",
    "fail",
    "log",
    "setup",
    "shutdown",
    "span",
    "trace_id_of",
    "traceparent",
    "where",
]

_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_tracer = trace.get_tracer("dui")
_meter = metrics.get_meter("dui")

#: Duration of calls in seconds, by operation and code: rate, errors and duration in one instrument.
call_duration = _meter.create_histogram(
    "dui.call.duration", unit="s", description="Duration of calls by operation and code"
)


def setup(service: str, level: str = "INFO") -> None:
    """Configures logs (JSON on standard output), and traces and metrics when an OTLP endpoint is set.

    To be called once, after any fork. The sampler is the SDK's (`OTEL_TRACES_SAMPLER`, `OTEL_TRACES_SAMPLER_ARG`).
    """
    logs.setup(service, level)
    # Without an endpoint there still are trace ids: logs and the journal name them.
    # The instance: the counters of two processes of one program are not one counter.
    resource = Resource.create({"service.name": f"dui-{service}", "service.instance.id": str(uuid.uuid4())})
    provider = TracerProvider(resource=resource)
    trace.set_tracer_provider(provider)
    if os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        metrics.set_meter_provider(
            MeterProvider(resource=resource, metric_readers=[PeriodicExportingMetricReader(OTLPMetricExporter())])
        )


def shutdown() -> None:
    """Sends what is still held."""
    for provider in (trace.get_tracer_provider(), metrics.get_meter_provider()):
        stop = getattr(provider, "shutdown", None)
        if stop is not None:
            stop()


def trace_id_of(traceparent: str | None) -> str:
    """The trace id of a W3C `traceparent`; empty when there is none."""
    found = _TRACEPARENT.fullmatch(traceparent or "")
    return found[1] if found else ""


@contextmanager
def span(
    name: str,
    kind: SpanKind,
    traceparent: str | None = None,
    attributes: Mapping[str, str | int] | None = None,
) -> Iterator[Span]:
    """A span below `traceparent`, or below the current one; a no-op when the trace is not sampled."""
    parent = _remote(traceparent)
    current: Span
    if parent is not None and not parent.trace_flags.sampled:
        current = NonRecordingSpan(parent)
    else:
        above = None if parent is None else trace.set_span_in_context(NonRecordingSpan(parent))
        current = _tracer.start_span(
            name, context=above, kind=kind, attributes=attributes, record_exception=False, set_status_on_exception=False
        )
    # By hand: half the cost of `start_as_current_span`, which is three context managers in one another.
    token = contexts.attach(trace.set_span_in_context(current))
    try:
        yield current
    finally:
        contexts.detach(token)
        current.end()


def _remote(traceparent: str | None) -> SpanContext | None:
    """What a `traceparent` names; None when it names nothing (ids of zeros, another form)."""
    found = _TRACEPARENT.fullmatch(traceparent) if traceparent else None
    if found is None:
        return None
    named = SpanContext(int(found[1], 16), int(found[2], 16), is_remote=True, trace_flags=TraceFlags(int(found[3], 16)))
    return named if named.is_valid else None


def traceparent(of: Span) -> str | None:
    """The W3C `traceparent` that continues a span; None when it belongs to no trace."""
    context = of.get_span_context()
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def fail(of: Span, code: str) -> None:
    """Marks a span as failed; a gRPC abort alone would leave it green."""
    if of.is_recording():
        of.set_attribute("error.type", code)
        of.set_status(trace.StatusCode.ERROR, code)
