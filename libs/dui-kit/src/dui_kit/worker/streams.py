"""The streams and consumers of JetStream as data: their names, their limits, what waits in them.

The command `streams` makes them (`dui_kit.worker.establish`), with an operator's account. Workers find them and change nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import nats.errors
from nats.aio.msg import Msg
from nats.js import JetStreamContext, api
from nats.js.errors import NotFoundError

from dui_kit.settings import ServiceSettings
from dui_kit.wire.telemetry import log
from dui_kit.worker.parts import Consumer

DAY = 86_400.0
MIB = 1024 * 1024
#: Within this time JetStream itself drops an event sent twice; the inbox guards for longer.
DUPLICATE_WINDOW = 300.0
#: The same for batches of the journal, which identity knows by their numbers. One that was lost is sent again under its id two
#: minutes later: JetStream must have forgotten it by then.
JOURNAL_DUPLICATE_WINDOW = 30.0
#: Events of one subject, that is of one kind and one association, that a stream holds for readers that are behind; more wait in
#: the outbox. It keeps a flood of one association from filling the stream (1,000 are some 0.6 MB of 1 GiB), and others from
#: waiting long behind it (a second of a consumer's work at most). Heartbeats, which skip the outbox, stay far below: they
#: live for an hour.
EVENTS_PER_SUBJECT = 1_000

JOURNAL_STREAM = "DUI_JOURNAL"
DEAD_LETTER_STREAM = "DUI_DEAD_LETTERS"

#: A reading that ended without saying so is forgotten, and what it held with it, after this; no snapshot takes as long.
READING_FORGOTTEN = 3600.0


def event_stream(service: str) -> str:
    """The stream of a service's events."""
    return f"DUI_{service.upper()}"


def journal_subject(service: str, tenant_id: str) -> str:
    """Where a service hands over its journal."""
    return f"dui.journal.{service}.{tenant_id}"


def dead_letter_subject(consumer: Consumer, tenant_id: str) -> str:
    """Where a consumer lays down what it could not apply; by service first, so that rights can be given by service."""
    return f"dui.dead.{consumer.name}.{consumer.purpose}.{tenant_id}"


def published_to(service: str) -> tuple[str, str, str]:
    """The streams that a service publishes to: that of its events, and the two that all share."""
    return event_stream(service), JOURNAL_STREAM, DEAD_LETTER_STREAM


def stream_config(name: str, settings: ServiceSettings) -> api.StreamConfig:
    """A stream by its name.

    Events stay until every consumer has them, batches of the journal until identity has them: what stands in their streams is
    what readers have not taken yet. The log to send again from is the outbox of the service.
    """
    config = api.StreamConfig(
        name=name,
        storage=api.StorageType.FILE,
        # A full stream refuses what is new: the producer keeps it and tries again. Dropping the oldest would lose it.
        discard=api.DiscardPolicy.NEW,
        max_msgs=-1,
        max_msg_size=MIB,
        max_age=7 * DAY,
        num_replicas=settings.nats_replicas,
        duplicate_window=DUPLICATE_WINDOW,
        allow_msg_ttl=True,
        allow_direct=True,
        deny_delete=False,
    )
    if name == JOURNAL_STREAM:
        return config.evolve(
            subjects=["dui.journal.>"],
            retention=api.RetentionPolicy.WORK_QUEUE,
            max_bytes=settings.nats_journal_mib * MIB,
            duplicate_window=JOURNAL_DUPLICATE_WINDOW,
        )
    if name == DEAD_LETTER_STREAM:
        return config.evolve(
            subjects=["dui.dead.>"],
            retention=api.RetentionPolicy.LIMITS,
            max_bytes=settings.nats_dead_letters_mib * MIB,
            max_age=90 * DAY,
        )
    return config.evolve(
        subjects=[f"dui.{name.removeprefix('DUI_').lower()}.>"],
        retention=api.RetentionPolicy.INTEREST,
        max_bytes=settings.nats_events_mib * MIB,
        max_msgs_per_subject=EVENTS_PER_SUBJECT,
        discard_new_per_subject=True,
    )


def consumer_config(consumer: Consumer) -> api.ConsumerConfig:
    """A durable pull consumer. After a failure the worker says when to deliver again, later each time.

    `backoff` is left alone: the server counts the delay of a negative acknowledgement from `ack_wait` but compares it with
    the step of `backoff`, so that a delay of a second becomes one of minutes from the second delivery on (2.15, measured).
    """
    return api.ConsumerConfig(
        durable_name=consumer.durable,
        filter_subjects=list(consumer.subjects),
        deliver_policy=api.DeliverPolicy.ALL,
        ack_policy=api.AckPolicy.EXPLICIT,
        ack_wait=30,
        max_deliver=-1,
        # Above two batches, so that events that wait for another delivery do not stop the flow of the rest.
        max_ack_pending=max(1_000, consumer.batch * 5),
    )


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits for one consumer."""

    stream: str
    consumer: str
    #: Not delivered yet.
    pending: int
    #: Delivered, and not settled yet: at work, or waiting for its next delivery.
    unsettled: int

    @classmethod
    def of(cls, info: api.ConsumerInfo) -> Backlog:
        """What JetStream says of a consumer."""
        return cls(info.stream_name, info.name, info.num_pending or 0, info.num_ack_pending or 0)


async def backlogs(js: JetStreamContext) -> list[Backlog]:
    """What waits for every consumer of the platform, by stream and name."""
    found = [
        Backlog.of(info)
        for stream in await js.streams_info()
        if (stream.config.name or "").startswith("DUI_")
        for info in await js.consumers_info(stream.config.name or "")
    ]
    return sorted(found, key=lambda each: (each.stream, each.consumer))


def fill(info: api.StreamInfo) -> float:
    """How full a stream is, 0 to 1, of the bytes that it may hold."""
    return info.state.bytes / info.config.max_bytes if info.config.max_bytes else 0.0


async def bind(
    js: JetStreamContext, consumer: Consumer, stopping: Callable[[], bool]
) -> JetStreamContext.PullSubscription | None:
    """Binds to the durable consumer; waits for it while it is missing. Returns None when `stopping` comes first."""
    said = False
    while not stopping():
        try:
            info = await js.consumer_info(consumer.stream, consumer.durable)
        except nats.errors.Error as error:
            if not said:
                why = "run the command `streams`" if isinstance(error, NotFoundError) else type(error).__name__
                log.warning("waiting for a consumer", stream=consumer.stream, consumer=consumer.durable, reason=why)
            said = True
            await asyncio.sleep(0.5)
            continue
        if missing := set(consumer.subjects) - {info.config.filter_subject, *(info.config.filter_subjects or ())}:
            # What is published there meanwhile is lost for this service.
            log.error("a consumer lacks subjects: run the command `streams`", subjects=", ".join(sorted(missing)))
        return await js.pull_subscribe_bind(consumer.durable, stream=consumer.stream)
    return None


class Reader:
    """Reads a stream once, beside its consumers. An operator's: the accounts of services may make no consumer."""

    def __init__(
        self, js: JetStreamContext, stream: str, consumer: str, subscription: JetStreamContext.PullSubscription
    ) -> None:
        self._js = js
        self._stream = stream
        self._consumer = consumer
        self._subscription = subscription

    async def waiting(self) -> AsyncIterator[Msg]:
        """What waits for this reader now, oldest first."""
        left = await self._waits()
        while left > 0:
            try:
                fetched = await self._subscription.fetch(min(left, 500), timeout=2)
            except (TimeoutError, nats.errors.TimeoutError):
                left = min(left, await self._waits())  # some were deleted meanwhile
                continue
            left -= len(fetched)
            for msg in fetched:
                yield msg

    async def _waits(self) -> int:
        return (await self._js.consumer_info(self._stream, self._consumer)).num_pending or 0


@asynccontextmanager
async def reading(
    js: JetStreamContext, stream: str, subjects: Sequence[str], deliver: api.DeliverPolicy
) -> AsyncIterator[Reader]:
    """A reader of a stream for the time of the block: of all that is there, or of what comes from now on (`NEW`).

    Raises NotFoundError when there is no such stream.
    """
    config = api.ConsumerConfig(
        filter_subjects=list(subjects),
        deliver_policy=deliver,
        ack_policy=api.AckPolicy.NONE,
        inactive_threshold=READING_FORGOTTEN,
    )
    consumer = await js.add_consumer(stream, config)
    subscription = await js.pull_subscribe_bind(consumer.name, stream=stream)
    try:
        yield Reader(js, stream, consumer.name, subscription)
    finally:
        # It holds what it has not read: it must not stay.
        with suppress(nats.errors.Error):
            await subscription.unsubscribe()
            await js.delete_consumer(stream, consumer.name)
