"""The gRPC side: one lazy channel per service, a deadline on every call, retries only where they are safe."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import grpc
from dui_kit.wire.clients import OPTIONS
from google.protobuf.message import Message

from dui_gateway.contract import Operation

ATTEMPTS = 3
FIRST_PAUSE_SECONDS = 0.1

Metadata = Sequence[tuple[str, str]]
Stub = Callable[..., Any]

# A gateway answers small JSON and files under 2 MB: a megabyte in and four out are far above any page.
_OPTIONS = (*OPTIONS, ("grpc.max_send_message_length", 4 << 20), ("grpc.max_receive_message_length", 4 << 20))


def code_of(error: grpc.RpcError) -> grpc.StatusCode:
    """The status of a failed call: grpcio raises an object that is the error and the call at once."""
    code = getattr(error, "code", None)
    found: grpc.StatusCode = code() if callable(code) else grpc.StatusCode.UNKNOWN
    return found


class Upstream:
    """The services behind the gateway. Channels open at the first call, so after any fork."""

    def __init__(self, targets: Mapping[str, str], *, call_seconds: float, pause: Callable[[float], None] = time.sleep):
        self._targets = targets
        self._call_seconds = call_seconds
        self._pause = pause
        self._channels: dict[str, grpc.Channel] = {}
        self._stubs: dict[str, Stub] = {}
        self._lock = threading.Lock()

    @property
    def services(self) -> tuple[str, ...]:
        """Names of the services."""
        return tuple(self._targets)

    def channel(self, service: str) -> grpc.Channel:
        """The channel to a service."""
        with self._lock:
            found = self._channels.get(service)
            if found is None:
                found = self._channels[service] = grpc.insecure_channel(self._targets[service], options=_OPTIONS)
            return found

    def call(self, operation: Operation, request: Message, metadata: Metadata, *, retry: bool) -> Message:
        """The answer of a service. `retry`: the call may be sent again when nobody answered, because it reads or
        carries an idempotency key. Raises grpc.RpcError."""
        stub = self._stubs.get(operation.rpc) or self._stub(operation)
        deadline = time.monotonic() + self._call_seconds
        attempt = 1
        while True:
            try:
                answer: Message = stub(request, timeout=deadline - time.monotonic(), metadata=metadata)
            except grpc.RpcError as error:
                wait = random.uniform(0.5, 1.0) * FIRST_PAUSE_SECONDS * 2 ** (attempt - 1)  # noqa: S311 (spreads retries)
                lost = code_of(error) is grpc.StatusCode.UNAVAILABLE
                if not (retry and lost) or attempt == ATTEMPTS or time.monotonic() + wait >= deadline:
                    raise
                self._pause(wait)
                attempt += 1
            else:
                return answer

    def _stub(self, operation: Operation) -> Stub:
        made: Stub = self.channel(operation.service).unary_unary(
            operation.rpc,
            request_serializer=operation.request.SerializeToString,
            response_deserializer=operation.response.FromString,
        )
        self._stubs[operation.rpc] = made
        return made

    def close(self) -> None:
        """Closes every channel; calls under way are cut."""
        with self._lock:
            for channel in self._channels.values():
                channel.close()
            self._channels.clear()
            self._stubs.clear()
