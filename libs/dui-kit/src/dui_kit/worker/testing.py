"""For tests of workers: a real NATS that can be killed, a worker in the test's event loop, waiting without sleeping."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nats
from nats.aio.client import Client

from dui_kit.settings import ServiceSettings
from dui_kit.worker.establish import make
from dui_kit.worker.parts import Consumer, Job, JournalKeeper, WorkerService
from dui_kit.worker.permissions import permissions_of
from dui_kit.worker.process import Worker

DEADLINE = 60.0


def eventually(check: Callable[[], Any], seconds: float = DEADLINE) -> Any:
    """Waits until `check()` is true, and returns what it returned; fails at the deadline."""
    end = time.monotonic() + seconds
    while not (found := check()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s")
        time.sleep(0.02)
    return found


async def soon(check: Callable[[], Any], seconds: float = DEADLINE) -> Any:
    """`eventually` beside a running event loop; `check` may be a coroutine function."""
    end = time.monotonic() + seconds
    while True:
        found = check()
        if isinstance(found, Awaitable):
            found = await found
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s")
        await asyncio.sleep(0.02)


@dataclass
class Nats:
    """A NATS server of the tests, which can be killed and started again on the same data.

    With services it has an account for each, with the permissions that theirs have everywhere; without, everybody may do
    everything.
    """

    folder: Path
    port: int
    services: Sequence[WorkerService] = ()
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Of somebody who may do everything."""
        return self.url_of("admin") if self.services else f"nats://127.0.0.1:{self.port}"

    def url_of(self, account: str) -> str:
        """Of the account of a service."""
        return f"nats://{account}:{account}@127.0.0.1:{self.port}"

    def start(self) -> None:
        configuration: dict[str, Any] = {
            "listen": f"127.0.0.1:{self.port}",
            "jetstream": {"store_dir": str(self.folder / "js"), "max_file_store": 64 * 1024**3},
        }
        if self.services:
            users: list[dict[str, Any]] = [
                {"user": each.name, "password": each.name, "permissions": permissions_of(each).configuration()}
                for each in self.services
            ]
            configuration["authorization"] = {"users": [{"user": "admin", "password": "admin"}, *users]}
        config = self.folder / "nats.conf"
        config.write_text(json.dumps(configuration))
        with (self.folder / "nats.log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(Path(sys.prefix) / "bin" / "nats-server"), "-c", str(config)], stdout=log, stderr=log
            )

        def listens() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.port)) == 0

        eventually(listens)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    @asynccontextmanager
    async def client(self, account: str = "", **options: Any) -> AsyncIterator[Client]:
        """A connection of the account, or of somebody who may do everything."""
        client = await nats.connect(self.url_of(account) if account else self.url, **options)
        try:
            yield client
        finally:
            await client.close()

    async def make_streams(self, *services: WorkerService) -> None:
        """What the command `streams` of each service makes. Events that are published before are kept for nobody."""
        async with self.client() as client:
            for service in services:
                await make(client.jetstream(), service)


@contextmanager
def nats_running(folder: Path, *services: WorkerService) -> Iterator[Nats]:
    """A NATS server on a free port, which keeps its data in `folder`."""
    folder.mkdir()
    server = Nats(folder, free_port(), services)
    server.start()
    try:
        yield server
    finally:
        server.kill()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class FakeService:
    """What a composition root would return."""

    name: str
    settings: ServiceSettings
    consumers: Sequence[Consumer] = ()
    jobs: Sequence[Job] = ()
    heartbeat: bool = False
    journal_keeper: JournalKeeper | None = None


@dataclass
class Running:
    worker: Worker
    task: asyncio.Task[int] = field(repr=False)

    async def stop(self) -> int:
        self.worker.stop()
        return await asyncio.wait_for(self.task, 20)


@asynccontextmanager
async def running(service: WorkerService) -> AsyncIterator[Running]:
    """A worker in this event loop, ended in an orderly way; its streams and consumers are made before."""
    client = await nats.connect(service.settings.nats_owner_url.get_secret_value())
    await make(client.jetstream(), service)
    await client.close()
    worker = Worker(service)
    handle = Running(worker, asyncio.create_task(worker.main()))
    try:
        yield handle
    finally:
        await handle.stop()
