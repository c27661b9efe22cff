"""One question to JetStream, by an operator."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import nats
import nats.errors
from nats.js import JetStreamContext

from dui_ops import operator
from dui_ops.stack import StackError

T = TypeVar("T")


def ask(action: Callable[[JetStreamContext], Awaitable[T]]) -> T:
    """What `action` returns; StackError when NATS does not answer, or its account may not do what was asked."""
    refused: list[str] = []

    async def keep(error: Exception) -> None:
        if "permissions violation" in str(error).lower():
            refused.append(str(error))

    async def connected() -> T:
        client = await nats.connect(operator.nats_url(), connect_timeout=3, max_reconnect_attempts=1, error_cb=keep)
        try:
            return await action(client.jetstream())
        finally:
            await client.close()

    try:
        return asyncio.run(connected())
    except (OSError, nats.errors.Error) as error:
        if refused:
            raise StackError(
                f"NATS does not let this account do that ({refused[0]}): set DUI_NATS_URL to the operator's account"
            ) from None
        raise StackError(f"NATS does not answer ({type(error).__name__}): is the platform up?") from None
