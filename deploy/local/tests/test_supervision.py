"""The supervisor and the launcher, on programs that do nothing: what happens when one of them is killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from dui_local import launch, supervision
from dui_local.layout import Layout
from dui_local.stack import wait_ready
from dui_ops.state import VERSION, StackError, State, save
from dui_ops.supervision import Supervisor


def program(layout: Layout, name: str, argv: list[str]) -> dict[str, object]:
    return {"kind": "worker", "argv": argv, "env": {}, "needs": [], "log": str(layout.log / f"{name}.log")}


def eventually(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass in time"
        time.sleep(0.05)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path / "home")
    made.create()
    return made


@pytest.fixture
def state(layout: Layout) -> State:
    made: State = {  # type: ignore[typeddict-item]  # the rest of it is of no concern to the supervisor
        "version": VERSION,
        "home": str(layout.home),
        "supervisor": {"socket": str(layout.supervisor_socket)},
        "programs": {
            "sleeper": program(layout, "sleeper", ["/bin/sleep", "600"]),
            "broken": program(layout, "broken", ["/nonexistent"]),
            "ending": program(layout, "ending", ["/bin/sh", "-c", "echo first; echo cannot listen; exit 1"]),
        },
    }
    save(made)
    return made


@pytest.fixture
def supervisor(layout: Layout, state: State) -> Iterator[Supervisor]:
    process = supervision.serve(layout, state, tied=True)
    yield Supervisor(state)
    process.terminate()
    process.wait(20)
    launch.stop_leftovers(layout)


def process_of(supervisor: Supervisor, name: str) -> int | None:
    return next(each.pid for each in supervisor.programs() if each.name == name)


def started(supervisor: Supervisor, name: str) -> int:
    supervisor.start(name)
    eventually(lambda: any(each.name == name and each.running for each in supervisor.programs()))
    pid = process_of(supervisor, name)
    assert pid is not None
    return pid


def test_the_launcher_becomes_the_program(supervisor: Supervisor) -> None:
    pid = started(supervisor, "sleeper")
    assert psutil.Process(pid).cmdline() == ["/bin/sleep", "600"]


def test_a_killed_program_is_started_again(supervisor: Supervisor) -> None:
    pid = started(supervisor, "sleeper")
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: process_of(supervisor, "sleeper") not in {None, pid})
    eventually(lambda: supervisor.programs()[0].running)


def test_a_stopped_program_stays_stopped_until_it_is_started(supervisor: Supervisor) -> None:
    pid = started(supervisor, "sleeper")
    supervisor.stop("sleeper")
    assert not psutil.pid_exists(pid)
    assert process_of(supervisor, "sleeper") is None
    assert started(supervisor, "sleeper") != pid


def test_starting_what_runs_leaves_it_alone(supervisor: Supervisor) -> None:
    pid = started(supervisor, "sleeper")
    supervisor.start("sleeper")
    assert process_of(supervisor, "sleeper") == pid


def test_a_program_that_cannot_start_is_told_with_its_log(supervisor: Supervisor, state: State, layout: Layout) -> None:
    supervisor.start("broken")
    eventually(lambda: supervisor.programs()[1].state == "BACKOFF")
    assert "/nonexistent" in (layout.log / "broken.log").read_text(encoding="utf-8")


def test_a_program_that_keeps_ending_is_told_with_the_last_line_of_its_log(
    supervisor: Supervisor, state: State
) -> None:
    """Not after four minutes: what it waits for has been there since its launcher went on."""
    supervisor.start("ending")
    with pytest.raises(
        StackError, match=r"ending keeps ending, 3 times so far .*: cannot listen \(DUI_PORT_ENDING on this stack\)$"
    ):
        wait_ready(state, ["ending"], lambda _line: None, seconds=60)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="the kernel's signal at a parent's death is Linux's")
def test_programs_end_with_a_killed_supervisor(supervisor: Supervisor) -> None:
    pid = started(supervisor, "sleeper")
    os.kill(supervisor.pid(), signal.SIGKILL)
    eventually(lambda: not psutil.pid_exists(pid))
    with pytest.raises(StackError, match="make up"):
        supervisor.programs()


def orphan() -> psutil.Process:
    """A program whose parent has ended."""
    command = ["/bin/sh", "-c", "sleep 600 >/dev/null 2>&1 & echo $!"]
    return psutil.Process(int(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def test_what_outlived_its_supervisor_is_ended_and_nothing_else(layout: Layout) -> None:
    left, other = orphan(), orphan()
    try:
        for name, process, started_at in (
            ("left", left, left.create_time()),
            ("reused", other, other.create_time() - 60),  # the number of an ended program, now somebody else's
        ):
            record = f'{{"name": "{name}", "pid": {process.pid}, "started": {started_at}}}'
            (layout.run / f"{name}.process.json").write_text(record, encoding="utf-8")
        assert launch.stop_leftovers(layout) == ["left"]
        eventually(lambda: not left.is_running() or left.status() == psutil.STATUS_ZOMBIE)
        assert other.is_running()
        assert launch.stop_leftovers(layout) == []
    finally:
        for process in (left, other):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


def test_no_secret_stands_in_the_supervisors_configuration(layout: Layout, state: State) -> None:
    state["programs"]["sleeper"]["env"] = {"DUI_DATABASE_URL": "postgresql://app:s3cret@127.0.0.1/x"}
    text = supervision.write_configuration(layout, state).read_text(encoding="utf-8")
    assert "sleeper" in text
    assert "s3cret" not in text
