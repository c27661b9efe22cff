"""Publishing to JetStream in windows: many messages under way, each with its own acknowledgement."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from nats.aio.client import Client
from nats.aio.msg import Msg

#: Messages under way at once: 500 cost a seventh of the CPU of one after another.
WINDOW = 500
#: Seconds that JetStream has to acknowledge a window.
ACK_SECONDS = 10.0
#: Error code of JetStream: the stream stores no more, for its own limits or for those of the subject.
_NO_ROOM = 10077


class Outcome(Enum):
    """What became of a message."""

    #: On the stream.
    ACKNOWLEDGED = "acknowledged"
    #: Refused for what it is (too large, no stream takes its subject): another try ends the same way.
    REFUSED = "refused"
    #: No room for it now: the stream, or its subject there, holds as much as it may until readers have caught up.
    FULL = "full"
    #: Not known, or not possible now: the same message is sent again, under the same id.
    UNKNOWN = "unknown"


class HeaderValue(str):
    """A header value that the kit made itself: an id, a name of a type, an instant; one line of ASCII.

    nats-py cleans every value of every message (`strip`, then `translate`): with nine headers that is a third of the cost
    of publishing. These have nothing to clean.
    """

    __slots__ = ()

    def strip(self, chars: str | None = None, /) -> HeaderValue:
        """Itself."""
        del chars
        return self

    def translate(self, table: object, /) -> HeaderValue:
        """Itself."""
        del table
        return self


_VERSION = HeaderValue("1.0")


def envelope(
    service: str, tenant_id: str, event_type: str, *, event_id: str, about: str, at: datetime
) -> dict[str, str]:
    """The headers of a message: CloudEvents 1.0 in the binary mode of its NATS binding, the association, and the id by which
    JetStream drops a repetition. `about`: the aggregate; not the kit's own word, so it is cleaned as any header."""
    name = HeaderValue(event_id)
    return {
        "Nats-Msg-Id": name,
        "ce-specversion": _VERSION,
        "ce-id": name,
        "ce-type": HeaderValue(event_type),
        "ce-source": HeaderValue(f"/dui/{service}"),
        "ce-subject": about,
        "ce-time": HeaderValue(at.isoformat()),
        "dui-tenant": HeaderValue(tenant_id),
    }


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to publish."""

    subject: str
    payload: bytes
    headers: dict[str, str]


class Publisher:
    """Publishes windows on one connection.

    It reads the answers itself: `publish_async` of nats-py gives none for a message that JetStream refuses (2.16), so each
    window with such a message would last as long as an answer may take.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        #: Where answers come, under the number of their message. It is random: nobody else can send one there.
        self._inbox = ""
        self._answers: dict[str, asyncio.Future[Outcome]] = {}
        self._sent = 0

    async def publish(self, messages: Sequence[Outgoing]) -> list[Outcome]:
        """Publishes at most `WINDOW` messages, in order, and tells what became of each."""
        if not self._inbox:
            inbox = self._client.new_inbox()
            await self._client.subscribe(f"{inbox}.*", cb=self._answered)
            self._inbox = inbox
        pending: list[str | Outcome] = []
        for message in messages:
            # Looked at for each: during a reconnection nats-py would keep messages and send them later, out of order.
            if not self._client.is_connected:
                pending.append(Outcome.UNKNOWN)
            elif len(message.payload) + 1024 > self._client.max_payload:
                pending.append(Outcome.REFUSED)
            else:
                pending.append(await self._send(message))
        answers = {number: self._answers[number] for number in pending if isinstance(number, str)}
        if answers:
            await asyncio.wait(answers.values(), timeout=ACK_SECONDS)
        for number in answers:
            del self._answers[number]
        return [
            each if isinstance(each, Outcome) else answers[each].result() if answers[each].done() else Outcome.UNKNOWN
            for each in pending
        ]

    async def _send(self, message: Outgoing) -> str:
        self._sent += 1
        number = str(self._sent)
        self._answers[number] = asyncio.get_running_loop().create_future()
        await self._client.publish(
            message.subject, message.payload, reply=f"{self._inbox}.{number}", headers=message.headers
        )
        return number

    async def _answered(self, msg: Msg) -> None:
        answer = self._answers.get(msg.subject.rpartition(".")[2])
        if answer is not None and not answer.done():
            answer.set_result(_outcome(msg))


def _outcome(msg: Msg) -> Outcome:
    if not msg.data:
        return Outcome.UNKNOWN  # nobody takes this subject: the stream is missing, or has no leader at the moment
    error = json.loads(msg.data).get("error")
    if error is None:
        return Outcome.ACKNOWLEDGED
    if error.get("err_code") == _NO_ROOM:
        return Outcome.FULL
    # 400: the message itself is wrong. All else may pass.
    return Outcome.REFUSED if error.get("code") == 400 else Outcome.UNKNOWN
