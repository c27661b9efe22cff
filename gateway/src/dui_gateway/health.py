"""`/livez`: this process answers. `/readyz`: it can do its work; if not, which part is missing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import grpc
import orjson
from dui_kit.wire.jwks import KeySet
from flask import Flask, Response
from grpc_health.v1 import health_pb2

from dui_gateway.upstream import Upstream, code_of

CHECK_SECONDS = 1.0
# Probes come from outside without a token: however many they are, the parts are asked once a second.
REMEMBER_SECONDS = 1.0


class Readiness:
    """Whether the services answer and the token keys are known."""

    def __init__(self, upstream: Upstream, keys: KeySet, clock: Callable[[], float] = time.monotonic) -> None:
        self._upstream = upstream
        self._keys = keys
        self._clock = clock
        self._lock = threading.Lock()
        self._known: tuple[float, dict[str, str]] | None = None

    def parts(self) -> dict[str, str]:
        """`ok` or what is wrong, by part. While one probe asks, the others are told what was known before: the threads are not
        for them to wait in."""
        known = self._known
        if known is not None and self._clock() - known[0] < REMEMBER_SECONDS:
            return known[1]
        if self._lock.acquire(blocking=known is None):
            try:
                if self._known is known:
                    found = self._ask()
                    # Since when it is known, not since when it was asked: a part that hangs takes longer than an answer holds.
                    self._known = (self._clock(), found)
            finally:
                self._lock.release()
        return self._known[1] if self._known is not None else {}

    def _ask(self) -> dict[str, str]:
        calls = {
            service: self._upstream.channel(service)
            .unary_unary(
                "/grpc.health.v1.Health/Check",
                request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
                response_deserializer=health_pb2.HealthCheckResponse.FromString,
            )
            .future(health_pb2.HealthCheckRequest(), timeout=CHECK_SECONDS)
            for service in self._upstream.services
        }
        found = {service: _outcome(call) for service, call in calls.items()}
        found["token_keys"] = "ok" if self._keys.ready else "never obtained"
        return found


def _outcome(call: Any) -> str:
    try:
        status = call.result().status
    except grpc.RpcError as error:
        return code_of(error).name.lower()
    serving = status == health_pb2.HealthCheckResponse.SERVING
    return "ok" if serving else str(health_pb2.HealthCheckResponse.ServingStatus.Name(status)).lower()


def install(app: Flask, readiness: Readiness) -> None:
    """Adds both addresses."""

    @app.get("/livez")
    def livez() -> Response:
        return Response(b'{"status":"ok"}', content_type="application/json")

    @app.get("/readyz")
    def readyz() -> Response:
        parts = readiness.parts()
        ready = all(state == "ok" for state in parts.values())
        document = {"status": "ok" if ready else "not ready", "parts": parts}
        return Response(orjson.dumps(document), 200 if ready else 503, content_type="application/json")
