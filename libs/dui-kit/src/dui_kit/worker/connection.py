"""The connection to NATS: it never gives up, and says what happens to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import nats
from nats.aio.client import Client

from dui_kit.wire.telemetry import log

#: nats-py says whole seconds, and means seconds.
RECONNECT_SECONDS: Any = 0.25


def inbox_prefix(service: str) -> str:
    """Where the answers of NATS reach a service: under a name of its own, so that no other service may listen there."""
    return f"_INBOX_{service}"


async def connect(url: str, service: str, on_closed: Callable[[], None]) -> Client:
    """Connects the worker of a service, waiting for NATS as long as it takes.

    `on_closed` runs when the connection is gone for good (its credentials were refused): the process must end then,
    since nats-py keeps silent and every fetch would wait for ever.
    """

    async def error(reason: Exception) -> None:
        if not isinstance(reason, nats.errors.SlowConsumerError | asyncio.TimeoutError):
            log.warning("nats reports an error", error=type(reason).__name__)

    async def disconnected() -> None:
        log.warning("nats is disconnected")

    async def reconnected() -> None:
        log.info("nats is connected again")

    async def closed() -> None:
        on_closed()

    while True:
        try:
            return await nats.connect(
                url,
                name=f"{service}-worker",
                inbox_prefix=inbox_prefix(service),
                max_reconnect_attempts=-1,
                reconnect_time_wait=RECONNECT_SECONDS,
                connect_timeout=2,
                ping_interval=10,
                max_outstanding_pings=2,
                # Subjects are made by the kit, from ids that were checked.
                skip_subject_validation=True,
                error_cb=error,
                disconnected_cb=disconnected,
                reconnected_cb=reconnected,
                closed_cb=closed,
            )
        except (TimeoutError, OSError, nats.errors.NoServersError, nats.errors.TimeoutError) as reason:
            log.warning("nats is not reachable", error=type(reason).__name__)
            await asyncio.sleep(0.5)
