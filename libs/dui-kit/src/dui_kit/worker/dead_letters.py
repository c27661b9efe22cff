"""What could not be applied: laid down with the reason, listed, and sent again when the cause is gone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime

from nats.aio.msg import Msg
from nats.js import JetStreamContext, api
from nats.js.errors import NotFoundError

from dui_kit.worker.delivery import REPLAY_FOR
from dui_kit.worker.parts import Consumer
from dui_kit.worker.publishing import Outgoing
from dui_kit.worker.streams import DEAD_LETTER_STREAM, dead_letter_subject, reading

_PREFIX = "dui-dead-"
_NO_TENANT = "unknown"


def letter(consumer: Consumer, msg: Msg, tenant_id: str | None, reason: str, deliveries: int) -> Outgoing:
    """The dead letter of a message: its payload and headers as they were, and why it is here."""
    metadata = msg.metadata
    headers = {name: value for name, value in (msg.headers or {}).items() if not name.startswith((_PREFIX, "Nats-"))}
    headers |= {
        # The same message given up twice by one consumer is one letter.
        "Nats-Msg-Id": f"{consumer.durable}/{metadata.stream}/{metadata.sequence.stream}",
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
        async with reading(js, DEAD_LETTER_STREAM, ["dui.dead.>"], api.DeliverPolicy.ALL) as reader:
            async for msg in reader.waiting():
                yield _read(msg)
    except NotFoundError:
        return


class NotAnEventError(ValueError):
    """A letter names a subject that no consumer reads: its service did not write it as this code does."""


async def replay(js: JetStreamContext, dead: DeadLetter) -> None:
    """Sends the event again, for the consumer that gave it up only, and takes the letter away.

    An operator may publish anywhere, and who laid the letter down may not: it is sent where events and the journal are only.
    NotAnEventError otherwise.
    """
    if not dead.subject.startswith("dui."):
        raise NotAnEventError(dead.number)
    headers = {name: value for name, value in dead.headers.items() if not name.startswith((_PREFIX, "Nats-"))}
    headers |= {"Nats-Msg-Id": f"replay/{dead.number}", REPLAY_FOR: dead.consumer}
    await js.publish(dead.subject, dead.payload, headers=headers)
    await js.delete_msg(DEAD_LETTER_STREAM, dead.number)


def _read(msg: Msg) -> DeadLetter:
    headers = msg.headers or {}
    # Of its subject, which the rights at NATS go by: a service must not have a message of its own making sent to others.
    _, _, name, purpose, *_ = msg.subject.split(".")
    return DeadLetter(
        number=msg.metadata.sequence.stream,
        consumer=f"{name}__{purpose}",
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
