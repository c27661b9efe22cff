"""Calls to other services: lazy channels, a deadline on every call, the caller's or the service's own token."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import TypeVar

import grpc
from google.protobuf.message import Message
from opentelemetry import trace

from dui_kit.wire import telemetry

M = TypeVar("M", bound=Message)

#: Round robin over the addresses of a headless service.
SERVICE_CONFIG = json.dumps({"loadBalancingConfig": [{"round_robin": {}}]})
OPTIONS = (
    ("grpc.service_config", SERVICE_CONFIG),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.initial_reconnect_backoff_ms", 100),
)


class Client:
    """One remote service. The channel opens at the first call, after any fork."""

    def __init__(self, target: str) -> None:
        """`target`: a gRPC target, `127.0.0.1:50051` or `dns:///records:50051`."""
        self._target = target
        self._lock = threading.Lock()
        self._channel: grpc.Channel | None = None

    def call(self, operation: str, request: Message, reply: type[M], *, token: str, timeout: float) -> M:
        """Calls `package.Service/Method`, in the trace that runs here; grpc.RpcError on any status but OK."""
        with self._lock:
            if self._channel is None:
                self._channel = grpc.insecure_channel(self._target, options=OPTIONS)
        method: grpc.UnaryUnaryMultiCallable[Message, M] = self._channel.unary_unary(
            f"/{operation}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=reply.FromString,
        )
        metadata: tuple[tuple[str, str], ...] = (("authorization", f"Bearer {token}"),)
        if here := telemetry.traceparent(trace.get_current_span()):
            metadata += (("traceparent", here),)
        return method(request, timeout=timeout, metadata=metadata)

    def close(self) -> None:
        """Closes the channel."""
        with self._lock:
            if self._channel is not None:
                self._channel.close()
                self._channel = None


class Breaker:
    """Leaves another service alone that did not answer: every question to it holds a thread.

    After some failures in a row it is asked once in each pause, by whoever comes first; the others go on without it.
    """

    def __init__(self, *, failures: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """`failures`: in a row, after which it is left alone; `seconds`: of a pause."""
        self._most, self._seconds, self._clock = failures, seconds, clock
        self._lock = threading.Lock()
        self._failures = 0
        self._paused_until = 0.0

    def may_ask(self) -> bool:
        """Whether it is asked now."""
        with self._lock:
            if self._failures < self._most:
                return True
            now = self._clock()
            if now < self._paused_until:
                return False
            # Until it is known how that went, nobody else asks.
            self._paused_until = now + self._seconds
            return True

    def failed(self) -> None:
        """It did not answer."""
        with self._lock:
            self._failures += 1
            self._paused_until = self._clock() + self._seconds

    def answered(self) -> None:
        """It answered, whatever it said."""
        with self._lock:
            self._failures = 0
