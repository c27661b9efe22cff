"""The command `streams`: what a service needs at NATS is made as its code says. The only one with an operator's account."""

from __future__ import annotations

import asyncio

import nats
import nats.errors
from nats.js import JetStreamContext, api
from nats.js.errors import APIError

from dui_kit.wire.telemetry import log
from dui_kit.worker.access_facts import consumers_of
from dui_kit.worker.parts import WorkerService
from dui_kit.worker.streams import backlogs, consumer_config, published_to, stream_config

#: A stream of this name exists with another configuration.
_NAME_IN_USE = 10058


class RetentionError(RuntimeError):
    """A stream keeps its messages in another way than it must, and JetStream cannot change that in place."""

    def __init__(self, stream: str, found: str | None, wanted: str | None) -> None:
        super().__init__(f"{stream} has the retention {found}, not {wanted}")
        self.stream = stream
        self.found = found
        self.wanted = wanted


def establish(service: WorkerService) -> int:
    """Makes the streams that a service publishes to or reads, and its consumers, or brings them to their configuration.

    Returns the exit code: 0 when everything is as this code says. Running it again changes nothing.
    """
    try:
        asyncio.run(_run(service))
    except RetentionError as error:
        log.error(
            "a stream has another retention, which cannot be changed in place: delete it and run this again"
            " (docs/operations/nats.md)",
            stream=error.stream,
            found=error.found,
            wanted=error.wanted,
        )
        return 1
    except APIError as error:
        log.error("JetStream refuses a stream or a consumer", code=error.err_code, reason=error.description)
        return 1
    except (OSError, nats.errors.Error) as error:
        log.error(
            "NATS does not answer, or does not let this account make streams",
            setting="DUI_NATS_OWNER_URL",
            error=type(error).__name__,
        )
        return 1
    log.info("streams and consumers are those of this code")
    return 0


async def _run(service: WorkerService) -> None:
    async def silent(_: Exception) -> None:
        """The request that failed says so itself."""

    client = await nats.connect(
        service.settings.nats_owner_url.get_secret_value(),
        connect_timeout=3,
        max_reconnect_attempts=1,
        error_cb=silent,
    )
    try:
        await make(client.jetstream(), service)
    finally:
        await client.close()


async def make(js: JetStreamContext, service: WorkerService) -> None:
    """Does it, on a connection of an operator."""
    consumers = consumers_of(service)
    for name in dict.fromkeys([*published_to(service.name), *(consumer.stream for consumer in consumers)]):
        await _stream(js, stream_config(name, service.settings))
    for consumer in consumers:
        await js.add_consumer(consumer.stream, consumer_config(consumer))
    wanted = {(consumer.stream, consumer.durable) for consumer in consumers}
    for each in await backlogs(js):
        if each.consumer.startswith(f"{service.name}__") and (each.stream, each.consumer) not in wanted:
            # Not deleted here: a version of before may come back, and would miss what was published meanwhile.
            log.warning("a consumer that nobody reads holds events", stream=each.stream, consumer=each.consumer)


async def _stream(js: JetStreamContext, config: api.StreamConfig) -> None:
    try:
        await js.add_stream(config)
    except APIError as error:
        if error.err_code != _NAME_IN_USE:
            raise
        found = (await js.stream_info(config.name or "")).config.retention
        if found != config.retention and api.RetentionPolicy.WORK_QUEUE in {found, config.retention}:
            raise RetentionError(config.name or "", found, config.retention) from None
        await js.update_stream(config)
