"""`run -- CMD`: a stack of its own for the time of a command: free ports, temporary folder, nothing left behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Final

from dui_ops.state import home

from dui_local import ports, stack
from dui_local.layout import Layout
from dui_local.services import DEFAULT_PORTS

#: One account writes for a whole team in tests and benchmarks: faster than the gateway lets a person.
WRITES: Final = {"DUI_RATE_LIMIT_WRITE_PER_SECOND": "1000", "DUI_RATE_LIMIT_WRITE_BURST": "2000"}


def run(command: Sequence[str], *, infra: bool = False) -> int:
    """Starts a stack, runs a command with DUI_STACK set to its state file, stops the stack.

    Returns the exit code of the command (128 + n if a signal n ended it). The logs of a stack whose command failed are
    kept in `failed-run` of the stack's ordinary folder.
    """
    signal.signal(signal.SIGTERM, _exit)  # so that the stack is stopped on the way out
    for name, value in WRITES.items():
        os.environ.setdefault(name, value)
    progress = stack.Progress()
    layout = Layout(Path(tempfile.mkdtemp(prefix="dui-run-")))
    code = 1
    try:
        with ports.reserved(DEFAULT_PORTS) as chosen:
            try:
                state = stack.up(layout, chosen, progress, infra=infra, tied=True, ephemeral=True)
                if not infra:
                    stack.seed(state, progress)
                progress(f"running {' '.join(command)}")
                code = _command(command, layout)
            finally:
                stack.down(layout, progress)
    finally:
        if code:
            _keep_logs(layout)
        shutil.rmtree(layout.home, ignore_errors=True)
    return code


def _command(command: Sequence[str], layout: Layout) -> int:
    environment = os.environ | {"DUI_STACK": str(layout.state), "DUI_HOME": str(layout.home)}
    process = subprocess.Popen(command, env=environment)
    try:
        code = process.wait()
    except BaseException:  # Ctrl-C has reached the command too; a termination has not
        process.terminate()
        process.wait()
        raise
    return code if code >= 0 else 128 - code


def _keep_logs(layout: Layout) -> None:
    if not layout.log.is_dir():
        return
    kept = home() / "failed-run"
    shutil.rmtree(kept, ignore_errors=True)
    kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    shutil.copytree(layout.log, kept)
    sys.stderr.write(f"the logs of the stack are in {kept}\n")


def _exit(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)
