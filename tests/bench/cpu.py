"""CPU seconds by group of processes, as the kernel accounts them, and when the platform has nothing left to do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import nats
import psutil
import psycopg
from dui_kit.worker.streams import backlogs

#: The groups that a request passes through; the others follow it.
REQUEST_GROUPS = ("gateway", "services", "postgres_request")


@dataclass(frozen=True, slots=True)
class Group:
    """Programs of the supervisor by group."""

    programs: dict[str, str]

    @classmethod
    def of(cls, state: dict[str, Any]) -> Group:
        """Gateway, services, workers and NATS; PostgreSQL is told apart by backend."""
        kinds = {"gateway": "gateway", "service": "services", "worker": "workers", "nats": "nats"}
        return cls(
            {name: kinds[program["kind"]] for name, program in state["programs"].items() if program["kind"] in kinds}
        )


def _seconds(pids: Iterable[int]) -> float:
    """User and system time of processes and of their living children."""
    total = 0.0
    for pid in pids:
        try:
            process = psutil.Process(pid)
            for one in (process, *process.children(recursive=True)):
                times = one.cpu_times()
                total += times.user + times.system
        except psutil.NoSuchProcess:
            continue
    return total


def _backends(state: dict[str, Any]) -> dict[int, str]:
    """Every process of PostgreSQL but Keycloak's: `request` for the backends of services, `rest` for all others."""
    query = "SELECT pid, coalesce(application_name, ''), coalesce(datname, '') FROM pg_stat_activity"
    with psycopg.connect(state["postgres"]["superuser_url"], autocommit=True) as connection:
        rows = connection.execute(query).fetchall()
        own = connection.info.backend_pid
    return {
        pid: "request" if name.endswith("-serve") or name == "dui-bench-floor" else "rest"
        for pid, name, database in rows
        if pid != own and database != "keycloak"
    }


def snapshot(state: dict[str, Any], pids: dict[str, int], extra: dict[str, list[int]]) -> dict[str, float]:
    """CPU seconds so far by group; `extra`: processes of the benchmark's own floor, by group."""
    found = {
        "gateway": 0.0,
        "services": 0.0,
        "workers": 0.0,
        "nats": 0.0,
        "postgres_request": 0.0,
        "postgres_rest": 0.0,
    }
    for name, group in Group.of(state).programs.items():
        if name in pids:
            found[group] += _seconds([pids[name]])
    for group, more in extra.items():
        found[group] += _seconds(more)
    for pid, part in _backends(state).items():
        try:
            times = psutil.Process(pid).cpu_times()
        except psutil.NoSuchProcess:
            continue
        found[f"postgres_{part}"] += times.user + times.system
    return found


_PENDING = """
SELECT (SELECT count(*) FROM outbox WHERE published_at IS NULL)
 + (SELECT count(*) FROM journal_outbox WHERE sequence IS NULL)
 + (SELECT coalesce(sum(last_sequence - published_sequence), 0) FROM journal_counter)
"""


async def _consumer_lag(state: dict[str, Any]) -> int:
    client = await nats.connect(state["nats"]["admin_url"])
    try:
        return sum(each.pending + each.unsettled for each in await backlogs(client.jetstream()))
    finally:
        await client.close()


def wait_until_drained(state: dict[str, Any], seconds: float = 180) -> float:
    """Returns the seconds until outbox and consumers had nothing left; SystemExit when they never have."""
    started = time.monotonic()
    while True:
        pending = 0
        for service in state["services"].values():
            with psycopg.connect(service["database"]["superuser_url"], autocommit=True) as connection:
                row = connection.execute(_PENDING).fetchone()
                pending += int(row[0]) if row else 0
        if pending == 0 and asyncio.run(_consumer_lag(state)) == 0:
            return time.monotonic() - started
        if time.monotonic() - started > seconds:
            raise SystemExit(f"the platform is not drained after {seconds:.0f} s: {pending} rows wait in the outboxes")
        time.sleep(0.1)
