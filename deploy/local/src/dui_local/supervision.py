"""Runs supervisord for a stack: its configuration, its start, its end. (To ask and steer it: `Supervisor`.)"""

from __future__ import annotations

import configparser
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
from dui_ops.state import Program, StackError, State
from dui_ops.supervision import ProgramStatus, Supervisor

from dui_local.launch import die_with_parent
from dui_local.layout import Layout

__all__ = ["ProgramStatus", "Supervisor", "serve", "wait_for_end", "write_configuration"]

# Later ones start later and stop earlier.
_PRIORITY = {"postgres": 10, "nats": 20, "keycloak": 30, "service": 40, "worker": 50, "gateway": 60}
_STOP_SECONDS = {"postgres": 60, "nats": 20, "keycloak": 30, "service": 30, "worker": 30, "gateway": 30}
_LOG_BYTES, _LOG_FILES = "10MB", "3"


def write_configuration(layout: Layout, state: State) -> Path:
    """Writes `supervisord.conf` and returns its path. It holds no secret: programs get theirs from the launcher."""
    configuration = configparser.RawConfigParser()
    configuration["unix_http_server"] = {"file": state["supervisor"]["socket"], "chmod": "0600"}
    configuration["supervisord"] = {
        "nodaemon": "true",
        "logfile": str(layout.log / "supervisord.log"),
        "logfile_maxbytes": _LOG_BYTES,
        "logfile_backups": _LOG_FILES,
        "loglevel": "info",
        "pidfile": str(layout.run / "supervisord.pid"),
        "identifier": "dui",
        "umask": "077",
        "minfds": "1024",
    }
    if os.geteuid() == 0:
        configuration["supervisord"]["user"] = "root"  # said on purpose: supervisord warns where it is not
    configuration["rpcinterface:supervisor"] = {
        "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
    }
    for name, program in state["programs"].items():
        configuration[f"program:{name}"] = _program(layout, name, program)
    path = layout.conf / "supervisord.conf"
    with path.open("w", encoding="utf-8") as file:
        # supervisord expands %(…)s, and a path may hold a percent sign.
        for section in configuration.sections():
            for key, value in configuration[section].items():
                configuration[section][key] = value.replace("%", "%%")
        configuration.write(file)
    path.chmod(0o600)
    return path


def _program(layout: Layout, name: str, program: Program) -> dict[str, str]:
    kind = program["kind"]
    command = [sys.executable, "-m", "dui_local.launch", str(layout.state), name]
    return {
        "command": " ".join(_quoted(part) for part in command),
        "priority": str(_PRIORITY[kind]),
        "autostart": "false",  # `up` starts them in order, with the steps that lie between (migrations, the realm)
        "autorestart": "true",
        "startsecs": "1",
        # The pause grows by a second each time: 20 attempts are three and a half minutes, then FATAL, which
        # `status` shows with the log to read.
        "startretries": "20",
        "stopsignal": "INT" if kind == "postgres" else "TERM",
        "stopwaitsecs": str(_STOP_SECONDS[kind]),
        "redirect_stderr": "true",
        "stdout_logfile": program["log"],
        "stdout_logfile_maxbytes": _LOG_BYTES,
        "stdout_logfile_backups": _LOG_FILES,
    }


def serve(layout: Layout, state: State, *, tied: bool) -> subprocess.Popen[bytes]:
    """Starts supervisord and returns its process once it answers.

    Args:
        tied: it ends when the calling process ends, however that ends (`run`, `up --foreground`).

    Raises:
        StackError: it did not come up.
    """
    conf = write_configuration(layout, state)
    Path(state["supervisor"]["socket"]).unlink(missing_ok=True)
    with (layout.log / "supervisord.out").open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "supervisor.supervisord", "-c", str(conf)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches us, and we end it in order
            preexec_fn=(lambda: die_with_parent(signal.SIGTERM)) if tied else None,
            cwd=layout.home,
        )
    supervisor = Supervisor(state)
    for _ in range(100):
        if supervisor.alive():
            return process
        if process.poll() is not None:
            break
        time.sleep(0.1)
    raise StackError(f"the supervisor did not come up: see {layout.log / 'supervisord.out'}")


def wait_for_end(pid: int, seconds: float) -> bool:
    """Waits until a process has ended. Returns whether it has."""
    try:
        psutil.Process(pid).wait(seconds)
    except psutil.NoSuchProcess:
        return True
    except psutil.TimeoutExpired:
        return False
    return True


def _quoted(part: str) -> str:
    return "'" + part.replace("'", "'\\''") + "'"
