"""The watch over connections, on sockets of this process."""

from __future__ import annotations

import errno
import socket
import sys
import threading
import time

import pytest
from dui_gateway import connections
from dui_gateway.connections import Watch

SECONDS = 0.3
PATIENCE = 10


@pytest.mark.skipif(sys.platform != "linux", reason="the watch reads what the kernel of Linux tells of a connection")
def test_who_waited_for_a_place_has_all_the_time_of_a_request_from_then_on() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        watch = Watch(server.getsockname()[1], SECONDS, idle_seconds=75)
        with socket.create_connection(server.getsockname()) as caller:
            opened = time.monotonic()
            while time.monotonic() - opened < 2 * SECONDS:
                watch.look()  # the server has not taken the connection yet
            taken, _ = server.accept()
            with taken:
                watch.look()
                caller.sendall(b"GET")
                assert taken.recv(3) == b"GET"
                began = time.monotonic()
                caller.settimeout(0.01)
                while True:  # nothing is answered, so it ends after all
                    assert time.monotonic() - began < PATIENCE, "a connection is held for ever"
                    watch.look()
                    try:
                        assert caller.recv(1) == b""
                        break
                    except TimeoutError:
                        continue
                assert time.monotonic() - began >= SECONDS * 0.9


@pytest.mark.skipif(sys.platform != "linux", reason="the watch reads what the kernel of Linux tells of a connection")
def test_the_watch_goes_on_after_descriptors_were_short(monkeypatch: pytest.MonkeyPatch) -> None:
    looks, again = 0, threading.Event()

    def short_at_first(_: Watch) -> None:
        nonlocal looks
        looks += 1
        if looks == 1:
            raise OSError(errno.EMFILE, "Too many open files")
        again.set()

    monkeypatch.setattr(connections, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(Watch, "look", short_at_first)
    Watch(1, SECONDS, idle_seconds=75).start()
    assert again.wait(PATIENCE)
    monkeypatch.setattr(connections, "LOOK_SECONDS", 3600)  # the thread lives as long as the process
