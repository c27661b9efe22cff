"""The worker of a service: the relays, the consumers and the jobs, in one process beside the server."""

from __future__ import annotations

import asyncio
import math
import signal
import time
from collections.abc import Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import nats.errors
import psycopg
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError
from sqlalchemy import Engine

from dui_kit.db.database import make_engine
from dui_kit.db.spans import watch_sql
from dui_kit.facts import KNOWN_TENANTS
from dui_kit.wire import telemetry
from dui_kit.wire.telemetry import log
from dui_kit.worker import jobs, metrics, streams
from dui_kit.worker.access_facts import consumers_of
from dui_kit.worker.announcing import Heartbeats, JournalReached
from dui_kit.worker.applying import Applier
from dui_kit.worker.connection import connect
from dui_kit.worker.consuming import ConsumerLoop
from dui_kit.worker.events import EventRelay
from dui_kit.worker.health import HealthServer
from dui_kit.worker.journal import Confirmation, JournalRelay
from dui_kit.worker.leadership import RelayConnection, leadership
from dui_kit.worker.maintenance import KIT_JOBS, purge_forever
from dui_kit.worker.metrics import RelayState, observe
from dui_kit.worker.parts import WorkerContext, WorkerService
from dui_kit.worker.publishing import Publisher
from dui_kit.worker.streams import Backlog

#: Threads for handlers: they mostly wait for PostgreSQL.
HANDLER_THREADS = 4
#: Threads for jobs, apart: a long one must not hold up the consumers.
JOB_THREADS = 2
#: A leader that fails tries again after this; a standby takes over sooner.
RETRY_SECONDS = 1.0
#: Between two questions to JetStream about what waits.
WATCH_SECONDS = 15.0
#: Seconds that the batch under way gets at the end.
DRAIN_SECONDS = 10.0
#: A leader that has not looked at its outbox for so long is not healthy.
STALL_SECONDS = 30.0


class Worker:
    """One worker process. `main` runs until `stop`."""

    def __init__(self, service: WorkerService) -> None:
        self._service = service
        self._settings = service.settings
        self._consumers = consumers_of(service)
        self._jobs = [*KIT_JOBS, *service.jobs]
        self.state = RelayState()
        self._stopping = False
        self._fatal = False
        #: Monotonic clock of the last failure that no outage explains: one that comes back is nobody's to wait out.
        self._failed_at = -math.inf
        self._stopped = asyncio.Event()
        self._client: Client | None = None

    def stop(self) -> None:
        """Asks the worker to end: the batches under way are finished."""
        self._stopping = True
        self._stopped.set()

    def healthy(self) -> bool:
        """True when NATS is connected and, on the leader, the relay moves, NATS has its streams and consumers, and no part of the
        worker has just failed."""
        connected = self._client is not None and self._client.is_connected
        failed = time.monotonic() - self._failed_at < STALL_SECONDS
        whole = not self.state.missing and not self.state.stalled(STALL_SECONDS)
        return connected and not self._fatal and not failed and whole

    async def main(self) -> int:
        """Runs the worker; returns the exit code: 0 after `stop`, 1 when the connection to NATS is gone for good."""
        settings = self._settings
        health = HealthServer(settings.worker_listen, self.healthy) if settings.worker_listen else None
        if health:
            health.start()
        observe(self.state, [consumer.durable for consumer in self._consumers])
        engine = make_engine(
            settings.database_url.get_secret_value(),
            pool_size=HANDLER_THREADS + 2 * JOB_THREADS,
            name=f"{self._service.name}-worker",
        )
        watch_sql(engine)
        ended = asyncio.create_task(self._stopped.wait())
        connecting = asyncio.create_task(
            connect(settings.nats_url.get_secret_value(), self._service.name, self._closed)
        )
        try:
            await asyncio.wait({ended, connecting}, return_when=asyncio.FIRST_COMPLETED)
            if connecting.done():
                self._client = connecting.result()
                await self._lead_until_stopped(engine, self._client)
        finally:
            connecting.cancel()
            ended.cancel()
            if self._client is not None and not self._client.is_closed:
                await self._client.close()
            if health:
                await asyncio.to_thread(health.stop)
            engine.dispose()
        return 1 if self._fatal else 0

    def _closed(self) -> None:
        if not self._stopping:
            log.error("the connection to nats is closed for good; the process ends")
            self._fatal = True
            self.stop()

    async def _lead_until_stopped(self, engine: Engine, client: Client) -> None:
        while not self._stopping:
            term = asyncio.create_task(self._term(engine, client))
            ended = asyncio.create_task(self._stopped.wait())
            await asyncio.wait({term, ended}, return_when=asyncio.FIRST_COMPLETED)
            if not term.done():
                # The consumers see the flag and end after their batch; the rest is cut off: it may be, anywhere.
                await asyncio.wait({term}, timeout=DRAIN_SECONDS)
                term.cancel()
            ended.cancel()
            await asyncio.wait({term})
            self.state.leading = False
            if not term.cancelled() and (error := term.exception()) is not None:
                if _is_outage(error):
                    log.warning("the worker starts over", error=_names(error))
                else:
                    self._failed_at = time.monotonic()
                    log.error("the worker starts over", error=_names(error))
                if not self._stopping:
                    await asyncio.sleep(RETRY_SECONDS)

    async def _term(self, engine: Engine, client: Client) -> None:
        """One term as leader: ends with an exception when PostgreSQL is lost, quietly when the worker stops."""
        js = client.jetstream(timeout=10)
        publisher = Publisher(client)
        url = self._settings.database_relay_url.get_secret_value()
        async with leadership(url, f"{self._service.name}-relay") as connection:
            log.info("this worker leads")
            self.state.beat()
            self.state.leading = True
            with (
                ThreadPoolExecutor(HANDLER_THREADS, thread_name_prefix="handler") as handlers,
                ThreadPoolExecutor(JOB_THREADS, thread_name_prefix="job") as job_threads,
            ):
                context = self._context(engine)
                background = [*self._background(connection, js, publisher, context, job_threads), self._watch(js)]
                consumers = [
                    ConsumerLoop(consumer, Applier(self._service.name, consumer, engine), js, publisher, handlers).run(
                        lambda: self._stopping
                    )
                    for consumer in self._consumers
                ]
                async with asyncio.TaskGroup() as group:
                    running = [group.create_task(each) for each in background]
                    waited = [group.create_task(each) for each in consumers]
                    stopped = group.create_task(self._stopped.wait())
                    await asyncio.wait([stopped, *waited], return_when=asyncio.ALL_COMPLETED)
                    for task in running:
                        task.cancel()
                await asyncio.get_running_loop().run_in_executor(job_threads, self._last_runs, context)

    def _background(
        self,
        connection: RelayConnection,
        js: JetStreamContext,
        publisher: Publisher,
        context: WorkerContext,
        threads: ThreadPoolExecutor,
    ) -> list[Coroutine[Any, Any, None]]:
        name = self._service.name
        relay = EventRelay(name, connection, publisher, self.state)
        parts = [
            relay.run(),
            JournalRelay(name, connection, publisher, self.state).run(),
            Confirmation(name, connection, self.state).run(),
            purge_forever(name, connection),
            *(jobs.run_forever(job, context, threads, lambda: self._stopping) for job in self._jobs),
        ]
        if self._service.heartbeat:
            parts.append(Heartbeats(name, connection, relay, publisher).run())
        if keeper := self._service.journal_keeper:
            parts.append(JournalReached(name, keeper, connection, js, publisher).run())
        return parts

    async def _watch(self, js: JetStreamContext) -> None:
        """Asks JetStream now and then what waits for each consumer, and how full the streams are that the service publishes to:
        a consumer that is stuck applies nothing, and tells nothing."""
        try:
            while True:
                missing: set[str] = set()
                for consumer in self._consumers:
                    with _noting(missing, consumer.durable):
                        found = Backlog.of(await js.consumer_info(consumer.stream, consumer.durable))
                        metrics.waits(found.consumer, found.pending, found.unsettled)
                for stream in streams.published_to(self._service.name):
                    with _noting(missing, stream):
                        metrics.fills(stream, streams.fill(await js.stream_info(stream)))
                if missing - self.state.missing:
                    log.error("NATS lacks what this worker needs: run the command `streams`", missing=sorted(missing))
                self.state.missing = frozenset(missing)
                await asyncio.sleep(WATCH_SECONDS)
        finally:
            metrics.leads_no_more()
            self.state.missing = frozenset()

    def _context(self, engine: Engine) -> WorkerContext:
        url = self._settings.database_relay_url.get_secret_value()

        def tenants() -> Sequence[str]:
            # The app role sees no association before one is set; the relay role may read their list.
            with psycopg.connect(url, connect_timeout=5) as connection:
                return [row[0] for row in connection.execute(KNOWN_TENANTS)]

        return WorkerContext(self._service.name, engine, self._settings, tenants, lambda: self._stopping)

    def _last_runs(self, context: WorkerContext) -> None:
        if self._stopping and not self._fatal:
            final = replace(context, stopping=lambda: False, ending=True)
            for job in self._jobs:
                if job.at_shutdown:
                    jobs.run_once(job, final)


@contextmanager
def _noting(missing: set[str], name: str) -> Iterator[None]:
    """Notes what NATS does not have; another trouble is not told here: what it stops says so."""
    try:
        yield
    except NotFoundError:
        missing.add(name)
    except nats.errors.Error:
        pass


def _is_outage(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(_is_outage(each) for each in error.exceptions)
    return isinstance(error, psycopg.OperationalError | nats.errors.Error | OSError | TimeoutError)


def _names(error: BaseException) -> str:
    """The classes of an error: its text may quote data."""
    if isinstance(error, BaseExceptionGroup):
        return ", ".join(sorted({_names(each) for each in error.exceptions}))
    return type(error).__name__


async def _run(service: WorkerService) -> int:
    worker = Worker(service)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, worker.stop)
    return await worker.main()


def run(service: WorkerService) -> int:
    """Runs the worker of a service until SIGTERM or SIGINT; returns the exit code of the process."""
    telemetry.setup(f"{service.name}-worker", service.settings.log_level)
    try:
        return asyncio.run(_run(service))
    finally:
        telemetry.shutdown()
