"""Traces, metrics and logs. Nothing personal goes into any of them: names of operations, codes, ids of traces.

Spans are made by hand where the platform's own seams are (HTTP, gRPC, SQL, publish, consume): the generic instrumentations
cost more CPU than the calls that they watch (docs/adr/). An unsampled call makes no span at all.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import structlog
from opentelemetry import metrics, trace
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, TraceFlags
from sqlalchemy import Engine, event

log: structlog.stdlib.BoundLogger = structlog.get_logger()

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
    logging.basicConfig(stream=sys.stdout, level=level, format="%(message)s")
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.EventRenamer("message"),
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)
    # Without an endpoint there still are trace ids: logs and the journal name them.
    resource = Resource.create({"service.name": f"dui-{service}"})
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
def span(name: str, kind: SpanKind, traceparent: str | None = None, **attributes: str | int) -> Iterator[Span]:
    """A span below `traceparent`, or below the current one; a no-op when the trace is not sampled."""
    context = None
    if traceparent is not None:
        found = _TRACEPARENT.fullmatch(traceparent)
        if found:
            parent = SpanContext(
                int(found[1], 16), int(found[2], 16), is_remote=True, trace_flags=TraceFlags(int(found[3], 16))
            )
            if not parent.trace_flags.sampled:
                with trace.use_span(NonRecordingSpan(parent)) as passive:
                    yield passive
                return
            context = trace.set_span_in_context(NonRecordingSpan(parent))
    with _tracer.start_as_current_span(
        name, context=context, kind=kind, attributes=attributes, record_exception=False, set_status_on_exception=False
    ) as current:
        yield current


def traceparent(of: Span) -> str | None:
    """The W3C `traceparent` that continues a span; None when it belongs to no trace."""
    context = of.get_span_context()
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def fail(of: Span, code: str) -> None:
    """Marks a span as failed; a gRPC abort alone would leave it green."""
    if of.is_recording():
        of.set_status(trace.StatusCode.ERROR, code)


def sql_span(statements: str) -> AbstractContextManager[Span]:
    """The client span of statements that are sent together; parameters stay out."""
    return span("sql", SpanKind.CLIENT, **{"db.query.text": statements})


def watch_sql(engine: Engine) -> None:
    """One client span for each statement of SQLAlchemy, when the call is sampled; parameters stay out."""

    def before(_conn: object, _cursor: object, statement: str, _params: object, context: Any, _many: bool) -> None:
        if trace.get_current_span().is_recording():
            context.dui_span = _tracer.start_span("sql", kind=SpanKind.CLIENT, attributes={"db.query.text": statement})

    def after(_conn: object, _cursor: object, _statement: str, _params: object, context: Any, _many: bool) -> None:
        current = getattr(context, "dui_span", None)
        if current is not None:
            current.end()

    def failed(context: Any) -> None:
        current = getattr(context.execution_context, "dui_span", None)
        if current is not None:
            fail(current, type(context.original_exception).__name__)
            current.end()

    event.listen(engine, "before_cursor_execute", before)
    event.listen(engine, "after_cursor_execute", after)
    event.listen(engine, "handle_error", failed)
