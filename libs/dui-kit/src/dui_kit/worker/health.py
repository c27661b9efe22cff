"""The worker's health, over the gRPC health protocol: what the probes of the services already speak."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from dui_kit.wire.listening import listen

#: How often the answer is made anew.
REFRESH_SECONDS = 1.0


class HealthServer:
    """Answers `grpc.health.v1.Health` on its own thread, so that it tells of a stuck worker too."""

    def __init__(self, address: str, healthy: Callable[[], bool]) -> None:
        self._healthy = healthy
        self._servicer = health.HealthServicer()
        self._server = grpc.server(ThreadPoolExecutor(max_workers=1, thread_name_prefix="health"))
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, self._server)
        self.port = listen(self._server, address, "DUI_WORKER_LISTEN")
        self._ended = threading.Event()
        self._refresher = threading.Thread(target=self._refresh, name="health-refresh", daemon=True)

    def start(self) -> None:
        """Starts to answer."""
        self._server.start()
        self._refresher.start()

    def stop(self) -> None:
        """Says NOT_SERVING and ends."""
        self._ended.set()
        self._refresher.join(timeout=2)
        self._servicer.enter_graceful_shutdown()
        self._server.stop(grace=0.5).wait()

    def _refresh(self) -> None:
        while True:
            status = (
                health_pb2.HealthCheckResponse.SERVING
                if self._healthy()
                else health_pb2.HealthCheckResponse.NOT_SERVING
            )
            self._servicer.set("", status)
            if self._ended.wait(REFRESH_SECONDS):
                return
