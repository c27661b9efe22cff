"""Recurring work: one process at a time, in a thread, with its own connections."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable
from concurrent.futures import Executor

from sqlalchemy import text

from dui_kit.wire.telemetry import log
from dui_kit.worker import metrics
from dui_kit.worker.parts import Job, WorkerContext

#: First half of the keys of the jobs' advisory locks; the second half is the name's.
_JOB_KEY = 0x0D02


def run_once(job: Job, context: WorkerContext) -> bool:
    """Runs a job unless another process is at it; true when it ran to its end. A failure is logged, not raised."""
    # In a session of its own: the lock must not be in a transaction that stays open as long as the job takes.
    with context.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        key = {"a": _JOB_KEY, "b": zlib.crc32(job.name.encode()) & 0x7FFF_FFFF}
        if not connection.execute(text("SELECT pg_try_advisory_lock(:a, :b)"), key).scalar_one():
            return False
        try:
            job.run(context)
        except Exception as error:  # noqa: BLE001 (the next run is the remedy; the others must go on)
            metrics.job(job.name, "failed")
            log.error("a job failed", job=job.name, error=type(error).__name__)
            return False
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(:a, :b)"), key)
    metrics.job(job.name, "done")
    return True


async def run_forever(job: Job, context: WorkerContext, threads: Executor, stopping: Callable[[], bool]) -> None:
    """Runs a job at once and then each `every_seconds`, until cancelled."""
    loop = asyncio.get_running_loop()
    while not stopping():
        started = loop.time()
        try:
            await loop.run_in_executor(threads, run_once, job, context)
        except Exception as error:  # noqa: BLE001 (the database is away: the next run is the remedy)
            metrics.job(job.name, "failed")
            log.warning("a job could not start", job=job.name, error=type(error).__name__)
        await asyncio.sleep(max(0.05, started + job.every_seconds - loop.time()))
