"""A receiver of OpenTelemetry's protocol (gRPC) in the test's own process, and programs of the stack that send to it."""

from __future__ import annotations

import re
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import grpc
from dui_local.stack import wait_ready
from dui_ops.state import State, save
from dui_ops.supervision import Supervisor
from google.protobuf import text_format
from google.protobuf.message import Message
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span

_IDS = re.compile(r'^ *(trace|span|parent_span)_id: ".*"$', re.MULTILINE)
PLATFORM = {"service", "worker", "gateway"}
#: How long anything may take to arrive: far more than it takes, so that a slow machine does not fail the test.
PATIENCE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Received:
    """A span, with the program that sent it (`dui-gateway`)."""

    program: str
    span: Span

    @property
    def attributes(self) -> dict[str, str | int]:
        return values(self.span.attributes)


class Receiver:
    """Takes in what programs send, on a free port of 127.0.0.1, and keeps all of it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._spans: list[trace_service_pb2.ExportTraceServiceRequest] = []
        self._metrics: list[metrics_service_pb2.ExportMetricsServiceRequest] = []
        # Without so_reuseport: nobody else can have this port too.
        self._server = grpc.server(ThreadPoolExecutor(max_workers=4), options=(("grpc.so_reuseport", 0),))
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(_Traces(self._take_spans), self._server)
        metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(_Metrics(self._take_metrics), self._server)
        self.endpoint = f"http://127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: object, _trace: TracebackType | None) -> None:
        self._server.stop(grace=None).wait()

    def _take_spans(self, request: trace_service_pb2.ExportTraceServiceRequest) -> None:
        with self._lock:
            self._spans.append(request)

    def _take_metrics(self, request: metrics_service_pb2.ExportMetricsServiceRequest) -> None:
        with self._lock:
            self._metrics.append(request)

    def spans(self) -> list[Received]:
        """Every span so far."""
        with self._lock:
            requests = list(self._spans)
        return [
            Received(str(values(resource.resource.attributes)["service.name"]), span)
            for request in requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def traces(self) -> dict[str, list[Received]]:
        """The spans so far by trace id."""
        found: dict[str, list[Received]] = defaultdict(list)
        for received in self.spans():
            found[received.span.trace_id.hex()].append(received)
        return found

    def metrics(self) -> dict[str, list[Metric]]:
        """The metrics so far by program, each as often as it was sent."""
        with self._lock:
            requests = list(self._metrics)
        found: dict[str, list[Metric]] = defaultdict(list)
        for request in requests:
            for resource in request.resource_metrics:
                program = str(values(resource.resource.attributes)["service.name"])
                for scope in resource.scope_metrics:
                    found[program] += scope.metrics
        return found

    def text(self) -> dict[str, str]:
        """Everything so far as text: what was sent about spans, and about metrics. Without the ids of traces and spans, random
        bytes of which any word could be made."""
        with self._lock:
            sent: dict[str, list[Message]] = {"spans": list(self._spans), "metrics": list(self._metrics)}
        return {
            name: _IDS.sub("", "\n".join(text_format.MessageToString(each, as_utf8=True) for each in requests))
            for name, requests in sent.items()
        }


class _Traces(trace_service_pb2_grpc.TraceServiceServicer):
    def __init__(self, take: Callable[[trace_service_pb2.ExportTraceServiceRequest], None]) -> None:
        self._take = take

    def Export(
        self, request: trace_service_pb2.ExportTraceServiceRequest, context: grpc.ServicerContext
    ) -> trace_service_pb2.ExportTraceServiceResponse:
        self._take(request)
        return trace_service_pb2.ExportTraceServiceResponse()


class _Metrics(metrics_service_pb2_grpc.MetricsServiceServicer):
    def __init__(self, take: Callable[[metrics_service_pb2.ExportMetricsServiceRequest], None]) -> None:
        self._take = take

    def Export(
        self, request: metrics_service_pb2.ExportMetricsServiceRequest, context: grpc.ServicerContext
    ) -> metrics_service_pb2.ExportMetricsServiceResponse:
        self._take(request)
        return metrics_service_pb2.ExportMetricsServiceResponse()


def values(attributes: object) -> dict[str, str | int]:
    """Attributes as a dictionary; ours are strings and whole numbers."""
    pairs: list[KeyValue] = list(attributes)  # type: ignore[call-overload]
    return {
        each.key: each.value.string_value if each.value.HasField("string_value") else each.value.int_value
        for each in pairs
    }


def programs(state: State) -> list[str]:
    """The platform's own programs."""
    return [name for name, each in state["programs"].items() if each["kind"] in PLATFORM]


@contextmanager
def exporting(state: State, endpoint: str) -> Iterator[None]:
    """The platform's programs send to `endpoint`, a few times a second; everything else, the sampler too, stays as it is.

    They are started again for it, and once more at the end, as they were: the launcher reads the state file.
    """
    before = {name: dict(state["programs"][name]["env"]) for name in programs(state)}
    told = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_BSP_SCHEDULE_DELAY": "200",
        "OTEL_METRIC_EXPORT_INTERVAL": "500",
    }
    try:
        _restart(state, {name: settings | told for name, settings in before.items()})
        yield
    finally:
        _restart(state, before)


def _restart(state: State, settings: Mapping[str, dict[str, str]]) -> None:
    for name, environment in settings.items():
        state["programs"][name]["env"] = environment
    save(state)
    supervisor = Supervisor(state)
    with ThreadPoolExecutor(len(settings)) as pool:
        list(pool.map(supervisor.restart, settings))
    wait_ready(state, list(settings), lambda _line: None)


def eventually(what: str, missing: Callable[[], object]) -> None:
    """Waits until nothing is missing; AssertionError, with what still is, when it does not come."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while left := missing():
        assert time.monotonic() < deadline, f"not within {PATIENCE_SECONDS:g} s: {what}: {left}"
        time.sleep(0.1)
