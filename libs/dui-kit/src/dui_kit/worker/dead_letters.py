"""What could not be applied: laid down with the reason, listed, and sent again when the cause is gone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime

import nats.errors
from nats.aio.msg import Msg
from nats.js import JetStreamContext, api
from nats.js.errors import NotFoundError

from dui_kit.worker.contract import Consumer
from dui_kit.worker.delivery import REPLAY_FOR
from dui_kit.worker.publishing import Outgoing
from dui_kit.worker.streams import DEAD_LETTER_STREAM, dead_letter_subject

_PREFIX = "dui-dead-"
_NO_TENANT = "unknown"


def letter(consumer: Consumer, msg: Msg, tenant_id: str | None, reason: str, deliveries: int) -> Outgoing:
    """The dead letter of a message: its payload and headers as they were, and why it is here."""
    metadata = msg.metadata
    headers = {name: value for name, value in (msg.headers or {}).items() if not name.startswith((_PREFIX, "Nats-"))}
    headers |= {
        # The same message given up twice by one consumer is one letter.
        "Nats-Msg-Id": f"{consumer.durable}/{metadata.stream}/{metadata.sequence.stream}",
        f"{_PREFIX}consumer": consumer.durable,
        f"{_PREFIX}reason": reason,
        f"{_PREFIX}deliveries": str(deliveries),
        f"{_PREFIX}subject": msg.subject,
        f"{_PREFIX}stream": metadata.stream,
        f"{_PREFIX}sequence": str(metadata.sequence.stream),
        f"{_PREFIX}at": datetime.now(UTC).isoformat(),
    }
    return Outgoing(dead_letter_subject(consumer, tenant_id or _NO_TENANT), msg.data, headers)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A dead letter as operators see it. It holds no personal data: events do not."""

    #: Its number in the stream of dead letters: what `replay` is given.
    number: int
    consumer: str
    reason: str
    deliveries: int
    subject: str
    event_id: str
    event_type: str
    tenant_id: str
    at: str
    headers: dict[str, str]
    payload: bytes


async def letters(js: JetStreamContext) -> AsyncIterator[DeadLetter]:
    """Every dead letter, oldest first."""
    try:
        info = await js.stream_info(DEAD_LETTER_STREAM)
    except NotFoundError:
        return
    remaining = info.state.messages
    if not remaining:
        return
    config = api.ConsumerConfig(ack_policy=api.AckPolicy.NONE, inactive_threshold=30)
    subscription = await js.pull_subscribe("dui.dead.>", stream=DEAD_LETTER_STREAM, config=config)
    try:
        while remaining > 0:
            try:
                fetched = await subscription.fetch(200, timeout=2)
            except nats.errors.TimeoutError:
                return
            for msg in fetched:
                remaining -= 1
                yield _read(msg)
    finally:
        await subscription.unsubscribe()


async def replay(js: JetStreamContext, dead: DeadLetter) -> None:
    """Sends the event again, for the consumer that gave it up only, and takes the letter away."""
    headers = {name: value for name, value in dead.headers.items() if not name.startswith((_PREFIX, "Nats-"))}
    headers |= {"Nats-Msg-Id": f"replay/{dead.number}", REPLAY_FOR: dead.consumer}
    await js.publish(dead.subject, dead.payload, headers=headers)
    await js.delete_msg(DEAD_LETTER_STREAM, dead.number)


def _read(msg: Msg) -> DeadLetter:
    headers = msg.headers or {}
    return DeadLetter(
        number=msg.metadata.sequence.stream,
        consumer=headers.get(f"{_PREFIX}consumer", ""),
        reason=headers.get(f"{_PREFIX}reason", ""),
        deliveries=int(headers.get(f"{_PREFIX}deliveries", "0")),
        subject=headers.get(f"{_PREFIX}subject", ""),
        event_id=headers.get("ce-id", ""),
        event_type=headers.get("ce-type", ""),
        tenant_id=headers.get("dui-tenant", ""),
        at=headers.get(f"{_PREFIX}at", ""),
        headers=headers,
        payload=msg.data,
    )
