"""A message as it comes from a stream, before anybody trusts it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from functools import cache

from google.protobuf import descriptor_pool
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from nats.aio.msg import Msg

from dui_kit.worker.contract import Event, Reject

#: A message sent again for one consumer names it here; the others let it pass.
REPLAY_FOR = "dui-replay-for"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One delivery of one message."""

    msg: Msg
    tenant_id: str
    event_id: str
    type: str
    #: What order is kept for: events of one aggregate are applied one after another.
    aggregate: tuple[str, str, str]
    sequence: int
    traceparent: str | None
    sent_at: datetime | None

    def event(self) -> Event:
        """The parsed event; raises `Reject` when its type is not known here or its payload cannot be read."""
        try:
            return Event(self.event_id, self.tenant_id, self.type, _message_class(self.type).FromString(self.msg.data))
        except KeyError:
            raise Reject("UNKNOWN_TYPE") from None
        except DecodeError:
            raise Reject("UNREADABLE") from None


@cache
def _message_class(name: str) -> type[Message]:
    return GetMessageClass(descriptor_pool.Default().FindMessageTypeByName(name))


def read(msg: Msg) -> Delivery:
    """Reads the envelope; raises `Reject` when it is not one of ours."""
    headers = msg.headers or {}
    tokens = msg.subject.split(".")
    try:
        tenant_id = str(uuid.UUID(headers["dui-tenant"]))
        event_id = str(uuid.UUID(headers["ce-id"]))
        kind = headers["ce-type"]
    except (KeyError, ValueError):
        raise Reject("MALFORMED") from None
    # The subject says whose it is, and the rights of NATS go by subjects: the header must not say otherwise.
    if tenant_id not in tokens:
        raise Reject("TENANT_MISMATCH")
    try:
        sent_at = datetime.fromisoformat(headers.get("ce-time", ""))
    except ValueError:
        sent_at = None
    return Delivery(
        msg=msg,
        tenant_id=tenant_id,
        event_id=event_id,
        type=kind,
        aggregate=(tenant_id, ".".join(tokens[:2] + tokens[3:4]), headers.get("ce-subject", "")),
        sequence=msg.metadata.sequence.stream,
        traceparent=headers.get("traceparent"),
        sent_at=sent_at,
    )


def is_for_another(msg: Msg, durable: str) -> bool:
    """True for a message sent again for one consumer that is not this one."""
    wanted = (msg.headers or {}).get(REPLAY_FOR)
    return wanted is not None and wanted != durable
