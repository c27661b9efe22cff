"""`make bench OUT=FILE.json`: what an operation costs, through the gateway with a real token, in CPU seconds per 1,000.

The clock of `total` stops when outboxes and consumers have nothing left; `request` is gateway, services and the work of
their PostgreSQL backends. CPU is the kernel's account of the processes, so that a busy machine changes it little;
operations per second and latencies depend on the machine and on who shares it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

from dui_local.supervision import Supervisor
from dui_ops.commands import catalogue
from dui_ops.login import login
from dui_ops.state import load as load_state

from . import cpu, data
from .load import Outcome, Request, run
from .scenarios import SCENARIOS, Scenario

CLIENTS = (1, 8, 32)
OPERATIONS = 10_000
WARM_UP = 300


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def _floor(state: dict[str, Any], person: str) -> Iterator[tuple[str, dict[str, list[int]]]]:
    """The bare path, started and ended here: its address, and its processes by group."""
    service_port, port = _free_port(), _free_port()
    command = [sys.executable, "-m", "tests.bench.floor"]
    url = state["services"]["records"]["database"]["superuser_url"]
    # The URL has a password: it goes by the environment of the process, not by its arguments.
    service = subprocess.Popen([*command, "service", str(service_port)], env=os.environ | {"FLOOR_URL": url})
    gateway = subprocess.Popen([*command, "gateway", str(port), str(service_port)])
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                with urllib.request.urlopen(f"{address}/v1/beneficiaries/{person}", timeout=5):  # noqa: S310 (our own address)
                    break
            except (urllib.error.URLError, OSError) as error:
                if time.monotonic() > deadline:
                    raise SystemExit(f"the floor does not answer: {error}") from error
                time.sleep(0.1)
        yield address, {"gateway": [gateway.pid], "services": [service.pid]}
    finally:
        for process in (gateway, service):
            process.send_signal(signal.SIGTERM)
        for process in (gateway, service):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(15)
            process.kill()
            process.wait()


def _headers(state: dict[str, Any], scenario: Scenario) -> dict[str, str]:
    """A fresh token: one lives for 5 minutes, longer than a row takes."""
    if not scenario.role:
        return {}
    account = next(a for a in state["accounts"] if a["username"] == f"{scenario.role}.{data.SLUG}")
    tokens = login(
        issuer=state["urls"]["issuer"],
        username=account["username"],
        password=account["password"],
        organization=data.SLUG,
    )
    return {"Authorization": f"Bearer {tokens.access_token}", "Content-Type": "application/json"}


def _row(
    state: dict[str, Any],
    pids: dict[str, int],
    scenario: Scenario,
    clients: int,
    url: str,
    requests: list[Request],
    extra: dict[str, list[int]],
) -> dict[str, Any]:
    cpu.wait_until_drained(state)
    before = cpu.snapshot(state, pids, extra)
    outcome: Outcome = run(url, requests, clients)
    cpu.wait_until_drained(state)
    after = cpu.snapshot(state, pids, extra)
    if outcome.errors:
        print(f"{scenario.name}: {outcome.errors} errors, the first: {outcome.first_error}", file=sys.stderr)
    used = {group: (after[group] - before[group]) * 1000 / len(requests) for group in after}
    request = sum(used[group] for group in cpu.REQUEST_GROUPS)
    total = sum(used.values())
    return {
        "scenario": scenario.name,
        "clients": clients,
        "ops_per_s": round(len(requests) / outcome.seconds, 1),
        "p50_ms": round(outcome.percentile(0.50), 2),
        "p95_ms": round(outcome.percentile(0.95), 2),
        "p99_ms": round(outcome.percentile(0.99), 2),
        "errors": outcome.errors,
        "cpu_s_per_1000": {
            "gateway": round(used["gateway"], 3),
            "services": round(used["services"], 3),
            "workers": round(used["workers"], 3),
            "postgres": round(used["postgres_request"] + used["postgres_rest"], 3),
            "nats": round(used["nats"], 3),
            "request": round(request, 3),
            "total": round(total, 3),
        },
    }


def _print(row: dict[str, Any], target: float | None, floor: float | None) -> None:
    used = row["cpu_s_per_1000"]
    notes = []
    if target is not None:
        notes.append(f"target {target} {'met' if used['request'] <= target else 'MISSED'}")
        notes.append(f"total/request {used['total'] / used['request']:.2f}")
    if floor and row["scenario"] == "read_beneficiary":
        notes.append(f"read/floor {used['request'] / floor:.2f}")
    head = f"{row['scenario']:22} {row['clients']:3} clients {row['ops_per_s']:8.1f}/s"
    times = f"p50 {row['p50_ms']:7.2f}  p95 {row['p95_ms']:7.2f}  p99 {row['p99_ms']:7.2f} ms"
    parts = "  ".join(f"{group} {value:.2f}" for group, value in used.items())
    print(f"{head}  {times}  CPU s/1000: {parts}  {', '.join(notes)}", flush=True)


def main() -> int:
    """0 when every row ran without an error; targets are reported, not judged."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--operations", type=int, default=OPERATIONS, help="operations of a row")
    parser.add_argument("--clients", type=int, nargs="+", default=CLIENTS)
    parser.add_argument(
        "--bdpm", type=Path, help="folder of the public database of medicines, instead of the formulary"
    )
    parser.add_argument("--edition", type=date.fromisoformat, help="day of that edition")
    parser.add_argument("--only", nargs="+", default=[one.name for one in SCENARIOS], help="scenarios")
    arguments = parser.parse_args()
    state: dict[str, Any] = dict(load_state())
    if arguments.bdpm:
        began = time.monotonic()
        report = catalogue.load(arguments.bdpm, arguments.edition)
        print(f"catalogue: {report.specialties} specialties imported in {time.monotonic() - began:.1f} s")
    world = data.load(state)
    pids = {each.name: each.pid for each in Supervisor(load_state()).programs() if each.pid is not None}
    rows: list[dict[str, Any]] = []
    floors: dict[int, float] = {}
    with _floor(state, world.persons[0]) as (floor_url, floor_pids):
        for scenario in SCENARIOS:
            if scenario.name not in arguments.only:
                continue
            floor = scenario.name == "floor_read"
            url = floor_url if floor else state["urls"]["gateway"]
            for clients in arguments.clients:
                headers = _headers(state, scenario)
                run(url, scenario.build(world, min(WARM_UP, arguments.operations), headers), min(clients, 8))
                requests = scenario.build(world, arguments.operations, headers)
                row = _row(state, pids, scenario, clients, url, requests, floor_pids if floor else {})
                if floor:
                    floors[clients] = row["cpu_s_per_1000"]["request"]
                rows.append(row)
                _print(row, scenario.target, floors.get(clients))
    arguments.out.write_text(json.dumps(rows, indent=1) + "\n")
    return 1 if any(row["errors"] for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
