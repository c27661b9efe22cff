"""The streams of JetStream: their names, their limits, and how they come to be."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from nats.js import JetStreamContext, api
from nats.js.errors import APIError, NotFoundError

from dui_kit.telemetry import log
from dui_kit.worker.contract import Consumer

DAY = 86_400.0
#: Within this time JetStream itself drops an event sent twice; the inbox guards for longer.
DUPLICATE_WINDOW = 300.0

JOURNAL_STREAM = "DUI_JOURNAL"
DEAD_LETTER_STREAM = "DUI_DEAD_LETTERS"

#: Error codes of JetStream: a stream, or a consumer, of this name exists with another configuration.
_NAME_IN_USE = {10058, 10013, 10148}


def event_stream(service: str) -> str:
    """The stream of a service's events."""
    return f"DUI_{service.upper()}"


def journal_subject(service: str, tenant_id: str) -> str:
    """Where a service hands over its journal."""
    return f"dui.journal.{service}.{tenant_id}"


def dead_letter_subject(consumer: Consumer, tenant_id: str) -> str:
    """Where a consumer lays down what it could not apply; by service first, so that rights can be given by service."""
    return f"dui.dead.{consumer.name}.{consumer.purpose}.{tenant_id}"


def heartbeat_subject(service: str, tenant_id: str) -> str:
    """Where an owner of facts says that it lives."""
    return f"dui.{service}.{tenant_id}.heartbeat.v1.sent"


def _stream(name: str, subjects: list[str], *, days: float, gigabytes: float, replicas: int) -> api.StreamConfig:
    return api.StreamConfig(
        name=name,
        subjects=subjects,
        retention=api.RetentionPolicy.LIMITS,
        storage=api.StorageType.FILE,
        # A full stream refuses what is new: the producer keeps it and tries again. Dropping the oldest would lose it.
        discard=api.DiscardPolicy.NEW,
        max_age=days * DAY,
        max_bytes=int(gigabytes * 1024**3),
        max_msgs=-1,
        max_msg_size=1024 * 1024,
        num_replicas=replicas,
        duplicate_window=DUPLICATE_WINDOW,
        allow_msg_ttl=True,
        allow_direct=True,
        deny_delete=False,
    )


def stream_configs(service: str, replicas: int) -> list[api.StreamConfig]:
    """The streams that the worker of a service sees to: its own, and the two that all share."""
    return [
        _stream(event_stream(service), [f"dui.{service}.>"], days=7, gigabytes=1, replicas=replicas),
        _stream(JOURNAL_STREAM, ["dui.journal.>"], days=7, gigabytes=1, replicas=replicas),
        _stream(DEAD_LETTER_STREAM, ["dui.dead.>"], days=90, gigabytes=0.25, replicas=replicas),
    ]


async def ensure_streams(js: JetStreamContext, service: str, replicas: int) -> None:
    """Creates the streams, or brings them to their configuration."""
    for config in stream_configs(service, replicas):
        try:
            await js.add_stream(config)
        except APIError as error:
            if error.err_code not in _NAME_IN_USE:
                raise
            await js.update_stream(config)


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


async def bind(
    js: JetStreamContext, consumer: Consumer, stopping: Callable[[], bool]
) -> JetStreamContext.PullSubscription | None:
    """Creates or updates the durable consumer and binds to it; waits for the stream, which its producer makes.

    Returns None when `stopping` comes first.
    """
    config = consumer_config(consumer)
    waited = False
    while not stopping():
        try:
            await js.add_consumer(consumer.stream, config)
            return await js.pull_subscribe_bind(consumer.durable, stream=consumer.stream)
        except NotFoundError:
            if not waited:
                log.info("waiting for a stream", stream=consumer.stream, consumer=consumer.durable)
            waited = True
            await asyncio.sleep(0.5)
    return None
