"""Ends the connections of callers who keep the gateway waiting.

The server ends a connection that is idle, but it waits without end for a body, and it tells nobody which connection a request
came by. So the connections are looked at from outside: the kernel knows when something came and when something was sent.
Linux only: elsewhere nothing happens.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from dui_kit.wire.telemetry import log

LOOK_SECONDS = 1.0
# An answer in between shows as another time of the last sending; the kernel counts in ticks of a few milliseconds.
_SAME_SECONDS = 0.1

# `struct tcp_info` of linux/tcp.h, which only ever grows at its end: milliseconds since data were sent and received, and the bytes
# that were sent and arrived.
_SENT_AGO = slice(44, 48)
_RECEIVED_AGO = slice(52, 56)
_BYTES_SENT = slice(120, 128)


class Watch:
    """Ends the connections to our `port` on which a request is not answered `seconds` after it began, or none begins within that
    time; a connection may be idle between two requests, as long as the server allows (`idle_seconds`)."""

    def __init__(self, port: int, seconds: float, idle_seconds: float) -> None:
        self._port = port
        self._seconds = seconds
        self._idle_seconds = idle_seconds
        # By address of the caller: since when an answer is due, and when something was sent for the last time, if anything was.
        self._due: dict[object, tuple[float, float | None]] = {}

    def start(self) -> None:
        """Looks now and then, in a thread of its own, for as long as the process lives."""
        if sys.platform == "linux":
            threading.Thread(target=self._run, name="connections", daemon=True).start()

    def look(self) -> None:
        """Looks at every connection once, and ends those that are overdue."""
        now = time.monotonic()
        due: dict[object, tuple[float, float | None]] = {}
        for connection in _connections(self._port):
            with connection, contextlib.suppress(OSError):  # it may end at any moment
                caller = connection.getpeername()
                state = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES_SENT.stop)
                sent_ago, received_ago = _seconds(state[_SENT_AGO]), _seconds(state[_RECEIVED_AGO])
                if not any(state[_BYTES_SENT]):
                    # Since it was first seen, not since it was opened: it may have waited for a place before.
                    since, _ = self._due.get(caller, (now, None))
                    due[caller] = (since, None)
                    waited = now - since
                elif received_ago < sent_ago:
                    since, sent = self._due.get(caller, (now, now - sent_ago))
                    if sent is None or abs(now - sent_ago - sent) > _SAME_SECONDS:
                        since = now  # an answer went meanwhile, and this is another request
                    due[caller] = (since, now - sent_ago)
                    waited = now - since
                else:
                    # Idle. Or two requests came at once, and only the first of them was answered: the server never ends that.
                    waited = sent_ago - self._idle_seconds
                if waited > self._seconds:
                    connection.shutdown(socket.SHUT_RDWR)
        self._due = due

    def _run(self) -> None:
        while True:
            time.sleep(LOOK_SECONDS)
            try:
                self.look()
            except OSError as error:  # no descriptor is left to look with: the next look may have one
                log.error("the connections could not be looked at", error=type(error).__name__, errno=error.errno)


def _connections(port: int) -> Iterator[socket.socket]:
    """A copy of each open connection to `port`: the server may close its own meanwhile, and its number be another file's."""
    for entry in Path("/proc/self/fd").iterdir():
        try:
            copy = os.dup(int(entry.name))
        except OSError:
            continue  # closed meanwhile
        try:
            found = socket.socket(fileno=copy)
        except OSError:
            os.close(copy)  # no socket
            continue
        if found.family in (socket.AF_INET, socket.AF_INET6) and found.type == socket.SOCK_STREAM:
            with contextlib.suppress(OSError):
                found.getpeername()  # the socket that listens has none
                if found.getsockname()[1] == port:
                    yield found
                    continue
        found.close()


def _seconds(milliseconds: bytes) -> float:
    return int.from_bytes(milliseconds, sys.byteorder) / 1000
