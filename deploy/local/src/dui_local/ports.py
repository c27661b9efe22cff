"""The ports of a stack: fixed ones that a person knows (settings change them), or free ones for a test run."""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import socket
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil
from dui_ops.state import StackError

# Below the range that Linux (32768) and macOS (49152) give to outgoing connections: a port of that range could be
# taken by any client in the moment between the death of a part and its restart.
_FREE_RANGE = range(20000, 32000)


def setting(name: str) -> str:
    """The environment variable that moves a port."""
    return f"DUI_PORT_{name.upper()}"


def configured(defaults: Mapping[str, int]) -> dict[str, int]:
    """The default ports, each replaced by its setting where there is one.

    Raises:
        StackError: a setting is no port number, or two parts have the same port.
    """
    ports: dict[str, int] = {}
    for name, default in defaults.items():
        text = os.environ.get(setting(name), str(default))
        if not text.isdecimal() or not 1 <= int(text) <= 65535:
            raise StackError(f"{setting(name)}={text!r} is no port number")
        ports[name] = int(text)
    by_port: dict[int, str] = {}
    for name, port in ports.items():
        if (other := by_port.setdefault(port, name)) != name:
            raise StackError(f"{setting(other)} and {setting(name)} are both {port}")
    return ports


def check_free(ports: Mapping[str, int]) -> None:
    """Makes sure that nobody listens on the ports.

    Raises:
        StackError: names each busy port, who holds it as far as known, and the setting that moves it.
    """
    if busy := [
        f"port {port} ({name}) is taken{_holder(port)}: end that program, or set {setting(name)} to another port"
        for name, port in ports.items()
        if not _can_listen(port)
    ]:
        raise StackError("\n".join(busy))


@contextlib.contextmanager
def reserved(names: Mapping[str, int]) -> Iterator[dict[str, int]]:
    """Free ports for the given names, kept from other test runs of this machine while the context is open."""
    folder = Path(tempfile.gettempdir()) / f"dui-ports-{os.geteuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    candidates = random.sample(_FREE_RANGE, len(_FREE_RANGE))
    with contextlib.ExitStack() as locks:
        ports: dict[str, int] = {}
        for name in names:
            while True:
                port = candidates.pop()
                lock = locks.enter_context((folder / str(port)).open("w"))
                with contextlib.suppress(BlockingIOError):
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    if _can_listen(port):
                        ports[name] = port
                        break
        yield ports


def _can_listen(port: int) -> bool:
    with socket.socket() as attempt:
        # As the servers do themselves: connections of an ended server that linger in TIME_WAIT hold nobody up.
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind(("127.0.0.1", port))
            attempt.listen(1)
        except OSError:
            return False
    return True


def _holder(port: int) -> str:
    """` by NAME (process PID)` where the system tells."""
    with contextlib.suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            if (
                connection.laddr
                and connection.laddr.port == port
                and connection.status == psutil.CONN_LISTEN
                and connection.pid
            ):
                return f" by {psutil.Process(connection.pid).name()} (process {connection.pid})"
    return ""
