"""The real server process: what it does with signals, with a taken address, and with bodies that it refuses."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from dui.identity.v1 import staff_pb2
from dui_gateway import contract
from dui_kit.wire.jwks import KeySet

START_SECONDS = 60
NOTES = "/v1/beneficiaries/0197f3a2-5c1e-7b44-9d3f-2a6b8c0e1f57/handover_notes"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Running:
    """A gateway process."""

    process: subprocess.Popen[str]
    port: int

    def get(self, path: str, **headers: str) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def children(self) -> list[int]:
        found = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in found.split()]


def settings_of(port: int, target: str, cache: Path) -> dict[str, str]:
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(("DUI_", "OTEL_"))},
        "DUI_GATEWAY_LISTEN": f"127.0.0.1:{port}",
        **{f"DUI_{service.upper()}_TARGET": target for service in contract.service_names()},
        "DUI_OIDC_ISSUER": "https://login.example/realms/dui",
        "DUI_OIDC_JWKS_URL": "http://127.0.0.1:1/certs",
        "DUI_CACHE_DIR": str(cache),
        "DUI_GATEWAY_THREADS": "4",
        "PYTHONUNBUFFERED": "1",
    }


def wait_until(condition: Any, seconds: float = START_SECONDS) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


@pytest.fixture
def running(backend: Any, keys: KeySet, tmp_path: Path) -> Iterator[Running]:
    with started(backend, keys, tmp_path) as gateway:
        yield gateway


@contextmanager
def started(backend: Any, keys: KeySet, tmp_path: Path, **more: str) -> Iterator[Running]:
    # The keys lie on disk as they would after an earlier run: the issuer is not there at all.
    KeySet("http://127.0.0.1:1/certs", tmp_path, fetch=keys._fetch).get("k1")
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "dui_gateway", "serve"],
        env=settings_of(port, backend.target, tmp_path) | more,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    gateway = Running(process, port)
    try:
        wait_until(lambda: process.poll() is not None or gateway.listens())
        assert process.poll() is None, process.communicate()[0]
        yield gateway
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.communicate(timeout=30)


def test_calls_under_way_are_answered_before_the_gateway_stops(running: Running, backend: Any, token: Any) -> None:
    entered, release = threading.Event(), threading.Event()

    def answer(_request: Any, _context: grpc.ServicerContext) -> Any:
        entered.set()
        release.wait(20)
        return staff_pb2.GetMyAccountResponse()

    backend.answers["GetMyAccount"] = answer
    found: list[int] = []
    caller = threading.Thread(target=lambda: found.append(running.get("/v1/me", Authorization=f"Bearer {token()}")[0]))
    caller.start()
    try:
        assert entered.wait(START_SECONDS)
        running.process.terminate()
        wait_until(lambda: not running.listens())
        assert running.process.poll() is None
    finally:
        release.set()
    caller.join(30)
    assert found == [200]
    assert running.process.wait(30) == 0


def test_no_process_is_left_after_the_gateway_was_killed(running: Running) -> None:
    running.get("/livez")
    (worker,) = running.children()
    running.process.kill()
    running.process.wait(30)
    wait_until(
        lambda: not Path(f"/proc/{worker}").exists() or Path(f"/proc/{worker}/stat").read_text().split()[2] == "Z"
    )
    assert not running.listens()


def test_what_is_still_held_is_sent_before_the_gateway_ends(backend: Any, keys: KeySet, tmp_path: Path) -> None:
    """Its intervals are longer than its life: what arrives was sent at the end."""
    held: dict[str, list[bytes]] = {"TraceService": [], "MetricsService": []}
    collector = grpc.server(ThreadPoolExecutor(2), options=(("grpc.so_reuseport", 0),))
    for kind, name in (("trace", "TraceService"), ("metrics", "MetricsService")):

        def take(request: bytes, _context: grpc.ServicerContext, name: str = name) -> bytes:
            held[name].append(request)
            return b""

        service = f"opentelemetry.proto.collector.{kind}.v1.{name}"
        handlers = {"Export": grpc.unary_unary_rpc_method_handler(take)}
        collector.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    port = collector.add_insecure_port("127.0.0.1:0")
    collector.start()
    intervals = {"OTEL_BSP_SCHEDULE_DELAY": "600000", "OTEL_METRIC_EXPORT_INTERVAL": "600000"}
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}"}
    try:
        with started(backend, keys, tmp_path, **intervals, **endpoint) as gateway:
            caller = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
            assert gateway.get("/v1/me", traceparent=caller)[0] == 401
            assert held == {"TraceService": [], "MetricsService": []}
            gateway.process.terminate()
            output = gateway.process.communicate(timeout=30)[0]
    finally:
        collector.stop(None).wait()
    assert b"GET /v1/me" in held["TraceService"][0]
    assert b"dui.call.duration" in held["MetricsService"][0]
    assert {json.loads(line)["service"] for line in output.splitlines()} == {"gateway"}


def test_a_taken_address_is_refused_with_a_message(running: Running, tmp_path: Path, backend: Any) -> None:
    second = subprocess.run(
        [sys.executable, "-m", "dui_gateway", "serve"],
        env=settings_of(running.port, backend.target, tmp_path),
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
    )
    assert second.returncode != 0
    assert f"127.0.0.1:{running.port}" in second.stderr
    assert "Traceback" not in second.stderr


def test_a_missing_setting_is_named(tmp_path: Path) -> None:
    settings = settings_of(free_port(), "", tmp_path)
    refused = subprocess.run(
        [sys.executable, "-m", "dui_gateway", "serve"],
        env=settings,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert refused.returncode != 0
    assert "DUI_IDENTITY_TARGET" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_body_of_ten_megabytes_is_refused_in_words_and_the_gateway_goes_on(running: Running, token: Any) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=30)
    headers = {"Authorization": f"Bearer {token()}", "Content-Type": "application/json"}
    connection.request("POST", NOTES, body=b'{"data":"' + b"x" * 10_000_000 + b'"}', headers=headers)
    answer = connection.getresponse()
    assert (answer.status, json.loads(answer.read())["reason"]) == (413, "BODY_TOO_LARGE")
    # The same connection goes on: nothing of the body is left in it.
    connection.request("GET", "/livez")
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (200, b'{"status":"ok"}')
    connection.request("POST", NOTES, body=b"{}", headers={"Content-Type": "application/json"})
    answer = connection.getresponse()
    assert (answer.status, json.loads(answer.read())["reason"]) == (401, "TOKEN_MISSING")
    assert answer.headers["Connection"] == "close"
    connection.close()


@contextmanager
def announced_and_not_sent(gateway: Running, count: int, path: str, **headers: str) -> Iterator[list[socket.socket]]:
    """Connections whose calls announce a body in one way or the other and send nothing of it."""
    lengths = ("Content-Length: 100000000", "Transfer-Encoding: chunked")
    given = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    held = []
    try:
        for n in range(count):
            held.append(socket.create_connection(("127.0.0.1", gateway.port), timeout=10))
            head = (
                f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n{given}{lengths[n % 2]}\r\n\r\n"
            )
            held[-1].sendall(head.encode())
        yield held
    finally:
        for connection in held:
            connection.close()


@pytest.mark.parametrize(
    ("path", "status"),
    [(NOTES, 401), ("/v1/nothing", 404), ("/livez", 405), ("/v1/me", 405)],
)
def test_nobody_waits_for_the_body_of_a_stranger(running: Running, token: Any, path: str, status: int) -> None:
    """There are four threads; each of these used to hold one for as long as its sender liked."""
    with announced_and_not_sent(running, 12, path) as held:
        for connection in held:
            said = connection.recv(65_536)
            assert said.startswith(f"HTTP/1.1 {status} ".encode())
            while more := connection.recv(65_536):
                said += more
            assert b"connection: close" in said.lower()
        assert running.get("/v1/me", Authorization=f"Bearer {token()}")[0] == 200


def test_one_person_cannot_hold_every_thread_with_bodies_that_do_not_come(running: Running, token: Any) -> None:
    mine = token(sub="0197f3a2-0000-7000-8000-000000000001")
    with announced_and_not_sent(running, 12, NOTES, Authorization=f"Bearer {mine}") as held:
        # Four threads: two wait for the body, the others are refused at once.
        readable = set()
        wait_until(lambda: len(readable.update(select.select(held, [], [], 0.1)[0]) or readable) == len(held) - 2)
        assert {connection.recv(65_536)[:13] for connection in readable} == {b"HTTP/1.1 429 "}
        other = token(sub="0197f3a2-0000-7000-8000-000000000002")
        assert running.get("/v1/me", Authorization=f"Bearer {other}")[0] == 200


def test_bodies_that_do_not_come_hold_nobody_else_and_not_for_ever(
    backend: Any, keys: KeySet, tmp_path: Path, token: Any
) -> None:
    """Three persons of two associations announce all the bodies that they can, and send none, or one byte now and then."""
    other = {"horizon": {"tenant_id": ["0190a1b2-0000-7000-8000-000000000002"]}}
    attackers = [token(sub="a"), token(sub="b"), token(sub="c", organization=other)]
    seconds = 3.0
    settings = {
        "DUI_GATEWAY_THREADS": "8",
        "DUI_GATEWAY_BODY_SECONDS": str(seconds),
        "DUI_GATEWAY_CALL_SECONDS": "1",
        "DUI_GATEWAY_IDLE_SECONDS": "3",
    }
    with started(backend, keys, tmp_path, **settings) as gateway, contextlib.ExitStack() as attack:
        began = time.monotonic()
        held = [
            connection
            for raw in attackers
            for connection in attack.enter_context(
                announced_and_not_sent(gateway, 12, NOTES, Authorization=f"Bearer {raw}")
            )
        ]
        # Of eight threads the first holds four, the second two, the third one; all their other calls are refused.
        refused: set[socket.socket] = set()
        wait_until(lambda: len(refused.update(select.select(held, [], [], 0.1)[0]) or refused) >= len(held) - 7)
        assert time.monotonic() - began < seconds, "too slow a machine to tell what is held"
        assert len(refused) == len(held) - 7
        assert {connection.recv(65_536)[:13] for connection in refused} == {b"HTTP/1.1 429 "}
        waiting = [connection for connection in held if connection not in refused]
        # Probes and other callers find threads meanwhile.
        asked = time.monotonic()
        assert gateway.get("/livez")[0] == 200
        assert gateway.get("/v1/me", Authorization=f"Bearer {token(sub='d', organization=other)}")[0] == 200
        assert time.monotonic() - asked < 1
        # The last place: a body behind a call that was answered at once, so that the connection looks like one that rests.
        hidden = attack.enter_context(socket.create_connection(("127.0.0.1", gateway.port), timeout=10))
        head = f"POST {NOTES} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nAuthorization: Bearer"
        raw = token(sub="d", organization=other)
        hidden.sendall(f"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n{head} {raw}\r\nContent-Length: 9999\r\n\r\n".encode())
        said = b""
        while not said.endswith(b'"ok"}'):
            said += hidden.recv(65_536)
        waiting.append(hidden)
        # In the end each connection is ended, whatever goes on being sent on it.
        while waiting:
            assert time.monotonic() - began < seconds + 15, "a connection is held for ever"
            for connection in waiting[::2]:
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    connection.sendall(b"1\r\n{\r\n")
            for connection in select.select(waiting, [], [], 0.2)[0]:
                with contextlib.suppress(ConnectionResetError):
                    assert connection.recv(65_536) == b""
                waiting.remove(connection)
        assert time.monotonic() - began > seconds
        # What they held is free again.
        mine = {"Authorization": f"Bearer {attackers[0]}", "Content-Type": "application/json"}

        def post() -> int:
            again = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=10)
            again.request("POST", NOTES, body=b"{}", headers=mine)
            status = again.getresponse().status
            again.close()
            return status

        wait_until(lambda: post() == 201)


def test_a_caller_who_sends_a_body_slowly_but_in_time_is_served(running: Running, token: Any, backend: Any) -> None:
    head = f"POST {NOTES} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nAuthorization: Bearer {token()}\r\n"
    body = b'{"subject":"Chute"}'
    with socket.create_connection(("127.0.0.1", running.port), timeout=10) as connection:
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode())
        # One piece after the other: the gateway is seen to wait for the next.
        for byte in body:
            assert not select.select([connection], [], [], 0.01)[0]
            connection.sendall(bytes([byte]))
        assert connection.recv(65_536).startswith(b"HTTP/1.1 201 ")
    assert backend.last.request.handover_note.subject == "Chute"


def test_a_connection_is_ended_when_no_request_comes_and_not_when_it_rests_between_two(
    backend: Any, keys: KeySet, tmp_path: Path
) -> None:
    times = {"DUI_GATEWAY_BODY_SECONDS": "1", "DUI_GATEWAY_CALL_SECONDS": "1"}
    with started(backend, keys, tmp_path, **times) as gateway, contextlib.ExitStack() as open_ones:

        def opened() -> socket.socket:
            return open_ones.enter_context(socket.create_connection(("127.0.0.1", gateway.port), timeout=10))

        def ask(connection: socket.socket) -> None:
            connection.sendall(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
            said = b""
            while not said.endswith(b'ok"}'):
                said += connection.recv(65_536)

        silent, slow, resting = opened(), opened(), opened()
        ask(resting)
        ask(resting)
        overdue, began = {silent, slow}, time.monotonic()
        while overdue:
            assert time.monotonic() - began < 15, "a connection without a request is held for ever"
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                slow.sendall(b"G" if time.monotonic() - began < 0.5 else b"")
            for connection in select.select(list(overdue), [], [], 0.1)[0]:
                with contextlib.suppress(ConnectionResetError):
                    assert connection.recv(65_536) == b""
                overdue.remove(connection)
        # It has rested for longer than that, and is still good.
        assert not select.select([resting], [], [], 2)[0]
        ask(resting)


def test_probes_are_answered_when_a_service_holds_every_thread(
    backend: Any, keys: KeySet, tmp_path: Path, token: Any
) -> None:
    entered, release = threading.Semaphore(0), threading.Event()

    def hang(_request: Any, _context: grpc.ServicerContext) -> Any:
        entered.release()
        release.wait(20)
        return staff_pb2.GetMyAccountResponse()

    backend.answers["GetMyAccount"] = hang
    # One after the other: each finds half as many threads as the one before.
    persons = ["a", "a", "b", "c"]
    with started(backend, keys, tmp_path) as gateway:

        def get(person: str) -> int:
            association = {person: {"tenant_id": [f"0190a1b2-0000-7000-8000-00000000000{ord(person) - 96}"]}}
            return gateway.get("/v1/me", Authorization=f"Bearer {token(sub=person, organization=association)}")[0]

        with ThreadPoolExecutor(len(persons)) as pool:
            try:
                held = []
                for person in persons:
                    held.append(pool.submit(get, person))
                    assert entered.acquire(timeout=START_SECONDS)
                asked = time.monotonic()
                assert get("d") == 429
                assert gateway.get("/livez")[0] == 200
                assert gateway.get("/v1/nothing")[0] == 404
                assert time.monotonic() - asked < 2
            finally:
                release.set()
            assert [call.result(20) for call in held] == [200] * 4


def test_more_connections_than_places_wait_and_are_served(backend: Any, keys: KeySet, tmp_path: Path) -> None:
    with started(backend, keys, tmp_path, DUI_GATEWAY_CONNECTIONS="16") as gateway:
        idle = [socket.create_connection(("127.0.0.1", gateway.port), timeout=10) for _ in range(16)]
        late = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=20)
        late.request("GET", "/livez")
        for connection in idle:
            connection.close()
        assert late.getresponse().status == 200
        late.close()


def test_strangers_who_take_every_place_and_say_nothing_lose_it(backend: Any, keys: KeySet, tmp_path: Path) -> None:
    settings = {"DUI_GATEWAY_CONNECTIONS": "16", "DUI_GATEWAY_BODY_SECONDS": "1", "DUI_GATEWAY_CALL_SECONDS": "1"}
    with started(backend, keys, tmp_path, **settings) as gateway, contextlib.ExitStack() as strangers:
        for _ in range(16):
            strangers.enter_context(socket.create_connection(("127.0.0.1", gateway.port), timeout=10))
        late = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=20)
        late.request("GET", "/livez")
        assert late.getresponse().status == 200
        late.close()


def test_a_body_sent_in_pieces_is_read_and_bounded(running: Running, token: Any, backend: Any) -> None:
    headers = {"Authorization": f"Bearer {token()}", "Content-Type": "application/json"}

    def send(*pieces: bytes) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=30)
        connection.request("POST", NOTES, body=iter(pieces), headers=headers, encode_chunked=True)
        status = connection.getresponse().status
        connection.close()
        return status

    assert send(b'{"subject":', b'"Chute"}') == 201
    assert backend.last.request.handover_note.subject == "Chute"
    assert send(b'{"data":"', *([b"x" * 65_536] * 40), b'"}') == 413


@pytest.mark.parametrize(
    ("path", "status", "reason", "operation"),
    [
        ("/v1/jeanne-martin", 404, "ROUTE_UNKNOWN", "unknown address"),
        ("/docs/jeanne-martin.js", 404, "ROUTE_UNKNOWN", "/docs/<name>"),
        ("/v1/journal:verify?nom=martin", 405, "METHOD_NOT_ALLOWED", "unknown address"),
    ],
)
def test_a_request_outside_the_contract_is_found_in_the_log_by_the_id_that_its_caller_has(
    running: Running, path: str, status: int, reason: str, operation: str
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=10)
    connection.request("GET", path)
    answer = connection.getresponse()
    document = json.loads(answer.read())
    connection.close()
    assert (answer.status, document["reason"]) == (status, reason)
    assert answer.headers.get_all("X-Request-Id") == [document["request_id"]]
    assert document["trace_id"]
    running.process.terminate()
    said, _ = running.process.communicate(timeout=30)
    (line,) = [line for line in map(json.loads, said.splitlines()) if line.get("request_id") == document["request_id"]]
    told = (line["message"], line["operation"], line["status"], line["reason"], line["trace_id"])
    assert told == ("refused", operation, status, reason, document["trace_id"])
    assert "martin" not in said


def test_the_log_names_operations_and_never_what_was_typed(running: Running, token: Any) -> None:
    status, _ = running.get("/v1/beneficiaries/jeanne-martin?nom=MARTIN", Authorization=f"Bearer {token()}")
    assert status == 400
    running.process.terminate()
    said, _ = running.process.communicate(timeout=30)
    (line,) = [json.loads(line) for line in said.splitlines() if "refused" in line]
    assert line["operation"] == "GET /v1/beneficiaries/{beneficiary_id}"
    assert line["reason"] == "PARAMETER_UNKNOWN"
    assert "martin" not in said.lower()
    assert token() not in said
