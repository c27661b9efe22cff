"""Starts one program of the stack, from inside the supervisor: waits for what the program needs, says so, and becomes it.

The process keeps its id when it becomes the program, so the supervisor's signals reach the program itself.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import psutil
from dui_ops.state import State, load

from dui_local.account import account
from dui_local.layout import Layout

_PR_SET_PDEATHSIG = 1


def die_with_parent(number: signal.Signals) -> None:
    """Has the kernel signal this process when its parent ends, however it ends (Linux; elsewhere the next start clears
    what is left)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)


def launch(state_file: Path, name: str) -> None:
    """Waits for the program's needs, then becomes it. Returns only by an exception."""
    supervisor = os.getppid()
    state = load(state_file)
    program = state["programs"][name]
    for need in program["needs"]:
        _wait(state, name, need)
    _record(Layout(Path(state["home"])), name)
    if program["kind"] == "postgres":
        os.chdir("/")
        if who := account():
            os.setgroups([])
            os.setgid(who.pw_gid)
            os.setuid(who.pw_uid)
        die_with_parent(signal.SIGINT)  # its fast shutdown; asked for last: a change of account clears it
    else:
        os.chdir(state["home"])
        die_with_parent(signal.SIGTERM)
    if os.getppid() != supervisor:  # it ended before the kernel knew what to do about it
        sys.exit("the supervisor has ended")
    os.execve(program["argv"][0], program["argv"], program["env"])  # noqa: S606 (no shell is what we want)


def stop_leftovers(layout: Layout) -> list[str]:
    """Stops programs of this stack that outlived their supervisor, and returns their names."""
    alive: dict[psutil.Process, str] = {}
    for path in sorted(layout.run.glob("*.process.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        try:
            process = psutil.Process(record["pid"])
            # A process number is used again: only with the same start is it the program that we knew.
            if abs(process.create_time() - record["started"]) < 1:
                process.send_signal(signal.SIGINT if record["name"] == "postgres" else signal.SIGTERM)
                alive[process] = record["name"]
        except psutil.NoSuchProcess:
            pass
        path.unlink()
    for process in psutil.wait_procs(alive, timeout=30)[1]:
        process.kill()
    psutil.wait_procs(alive, timeout=10)
    return list(alive.values())


def _record(layout: Layout, name: str) -> None:
    record = {"name": name, "pid": os.getpid(), "started": psutil.Process().create_time()}
    (layout.run / f"{name}.process.json").write_text(json.dumps(record), encoding="utf-8")


def _wait(state: State, name: str, need: str) -> None:
    said = False
    while not _ready(state, need):
        if not said:
            _say(name, f"waits for {need} (127.0.0.1:{state['ports'][need]})")
            said = True
        time.sleep(0.2)
    if said:
        _say(name, f"{need} answers: it starts")


def _say(name: str, message: str) -> None:
    """One line in the log of the program, in the form that its own lines will have."""
    now = datetime.now(UTC).isoformat()
    line = {"service": name, "level": "info", "timestamp": now, "logger": "launch", "message": message}
    sys.stderr.write(json.dumps(line) + "\n")
    sys.stderr.flush()


def _ready(state: State, need: str) -> bool:
    """Light questions: this runs before every start, so it imports no client library."""
    match need:
        case "postgres":
            asked = [
                str(Path(state["postgres"]["bin"]) / "pg_isready"),
                "-q",
                "-h",
                "127.0.0.1",
                "-p",
                str(state["ports"]["postgres"]),
                "-t",
                "2",
            ]
            return subprocess.run(asked, check=False, stderr=subprocess.DEVNULL).returncode == 0
        case "nats":
            try:
                with socket.create_connection(("127.0.0.1", state["ports"]["nats"]), timeout=2) as connection:
                    return connection.recv(4) == b"INFO"  # the server speaks first
            except OSError:
                return False
        case other:
            raise ValueError(f"nothing is known of how to wait for {other}")


if __name__ == "__main__":
    launch(Path(sys.argv[1]), sys.argv[2])
