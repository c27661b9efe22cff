"""A message as it comes from a stream, before anybody trusts it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from functools import cache

from dui.journal.v1 import journal_pb2
from google.protobuf import descriptor_pool
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from nats.aio.msg import Msg

from dui_kit.facts import FACTS
from dui_kit.wire.contract import event_of
from dui_kit.worker.parts import Event, Reject

_JOURNAL_BATCH = journal_pb2.JournalBatch.DESCRIPTOR.full_name
#: A message sent again for one consumer names it here; the others let it pass.
REPLAY_FOR = "dui-replay-for"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One delivery of one message."""

    msg: Msg
    tenant_id: str
    event_id: str
    type: str
    #: The service that published it, as its subject says: the rights at NATS go by subjects.
    source: str
    #: What order is kept for: events of one aggregate are applied one after another.
    aggregate: tuple[str, str, str]
    sequence: int
    traceparent: str | None
    sent_at: datetime | None

    def event(self) -> Event:
        """The parsed event; raises `Reject` when its type is not known here or its payload cannot be read."""
        try:
            message = _message_class(self.type).FromString(self.msg.data)
        except KeyError:
            raise Reject("UNKNOWN_TYPE") from None
        except DecodeError:
            raise Reject("UNREADABLE") from None
        return Event(self.event_id, self.tenant_id, self.type, self.source, message)


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
    source = _source(tokens, tenant_id, kind)
    try:
        sent_at = datetime.fromisoformat(headers.get("ce-time", ""))
    except ValueError:
        sent_at = None
    return Delivery(
        msg=msg,
        tenant_id=tenant_id,
        event_id=event_id,
        type=kind,
        source=source,
        aggregate=(tenant_id, ".".join(tokens[:2] + tokens[3:4]), headers.get("ce-subject", "")),
        sequence=msg.metadata.sequence.stream,
        traceparent=headers.get("traceparent"),
        sent_at=sent_at,
    )


def _source(tokens: list[str], tenant_id: str, kind: str) -> str:
    """Who published a message. Its subject says it, and the rights at NATS go by subjects: headers must not say otherwise."""
    match tokens:
        case ["dui", "journal", source, tenant]:
            fits = kind == _JOURNAL_BATCH
        case ["dui", source, tenant, aggregate, "v1", past_tense]:
            fits = _tells(source, kind, aggregate, past_tense)
        case _:
            raise Reject("WRONG_SUBJECT")
    if tenant != tenant_id:
        raise Reject("TENANT_MISMATCH")
    if not fits:
        raise Reject("WRONG_SUBJECT")
    return source


@cache
def _tells(owner: str, kind: str, aggregate: str, past_tense: str) -> bool:
    """Whether events of a type come from this owner under these names; a type that is not known here yet is judged later."""
    if kind not in FACTS and kind.rpartition(".")[0] != f"dui.{owner}.v1":
        return False
    if kind in FACTS and owner not in FACTS[kind].owners:
        return False
    try:
        shape = event_of(descriptor_pool.Default().FindMessageTypeByName(kind))
    except KeyError:
        return True
    except ValueError:
        return False
    return (shape.aggregate, shape.past_tense) == (aggregate, past_tense)


def is_for_another(msg: Msg, durable: str) -> bool:
    """True for a message sent again for one consumer that is not this one."""
    wanted = (msg.headers or {}).get(REPLAY_FOR)
    return wanted is not None and wanted != durable
