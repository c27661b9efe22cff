"""One question to JetStream, by an operator."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import nats
import nats.errors
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.errors import APIError

from dui_ops import operator
from dui_ops.state import StackError, no_answer

T = TypeVar("T")


def ask(action: Callable[[JetStreamContext], Awaitable[T]]) -> T:
    """What `action` returns; StackError when NATS does not answer, or its account may not do what was asked."""
    refused: list[str] = []

    async def keep(error: Exception) -> None:
        # Without this callback, nats-py prints a traceback for each error.
        if "violation" in str(error).lower():
            refused.append(str(error))

    async def asked() -> T:
        client = await _connected(keep, refused)
        try:
            return await action(client.jetstream())
        except APIError as error:
            raise StackError(f"JetStream refuses that: {error.description}") from None
        except nats.errors.Error as error:
            if refused:
                raise StackError(
                    f"NATS does not let this account do that ({refused[0]}): set DUI_NATS_URL to the operator's account"
                ) from None
            raise StackError(f"NATS at {_address()} does not do what it is asked ({type(error).__name__})") from None
        finally:
            await client.close()

    return asyncio.run(asked())


async def _connected(keep: Callable[[Exception], Awaitable[None]], refused: list[str]) -> Client:
    try:
        return await nats.connect(
            operator.nats_url(), connect_timeout=3, max_reconnect_attempts=1, reconnect_time_wait=0, error_cb=keep
        )
    except (OSError, nats.errors.Error):
        if refused:
            raise StackError(f"NATS at {_address()} refuses the account of DUI_NATS_URL ({refused[0]})") from None
        raise StackError(no_answer("NATS", _address())) from None


def _address() -> str:
    """Where NATS is, without the account."""
    return ", ".join(url.rpartition("@")[2].removeprefix("nats://") for url in operator.nats_url().split(","))
