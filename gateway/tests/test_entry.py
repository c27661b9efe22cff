"""Who comes in, how often, and what every answer carries."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from dui.identity.v1 import staff_pb2
from dui_gateway import contract
from dui_gateway.app import build
from dui_gateway.health import Readiness
from dui_gateway.limits import REMEMBERED, Bucket, Share, Turns
from dui_gateway.settings import GatewaySettings
from dui_gateway.upstream import Upstream
from dui_kit.wire.jwks import KeySet

OTHER_TENANT = "0190a1b2-0000-7000-8000-000000000002"


def test_without_a_token_nobody_comes_in(shared_app: Any, backend: Any) -> None:
    for headers in ({}, {"Authorization": "Basic YTpi"}, {"Authorization": "Bearer"}, {"Authorization": "Bearer "}):
        answer = shared_app.test_client().get("/v1/me", headers=headers)
        assert (answer.status_code, answer.json["reason"]) == (401, "TOKEN_MISSING")
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="dui"'
    assert not backend.received


def test_a_token_in_the_address_is_not_a_token(shared_app: Any, token: Any) -> None:
    assert shared_app.test_client().get(f"/v1/me?access_token={token()}").status_code == 401


@pytest.mark.parametrize(
    ("claims", "status", "reason"),
    [
        ({"exp": 1_000_000_000}, 401, "TOKEN_EXPIRED"),
        ({"nbf": 4_000_000_000}, 401, "TOKEN_NOT_YET_VALID"),
        ({"aud": "account"}, 401, "TOKEN_REFUSED"),
        ({"iss": "https://elsewhere.example"}, 401, "TOKEN_REFUSED"),
        ({"azp": "other"}, 401, "CLIENT_REFUSED"),
        ({"organization": None}, 401, "TENANT_MISSING"),
        ({"organization": {"a": {"tenant_id": ["x"]}, "b": {}}}, 401, "TENANT_AMBIGUOUS"),
        ({"azp": "dui-records", "realm_access": {"roles": ["dui-system"]}}, 403, "SERVICE_ONLY"),
    ],
)
def test_a_token_that_opens_nothing_is_told_why(
    shared_app: Any, backend: Any, token: Any, claims: dict[str, Any], status: int, reason: str
) -> None:
    raw = token(**claims)
    answer = shared_app.test_client().get("/v1/me", headers={"Authorization": f"Bearer {raw}"})
    assert (answer.status_code, answer.json["reason"]) == (status, reason)
    assert ('error="invalid_token"' in answer.headers.get("WWW-Authenticate", "")) == (status == 401)
    assert raw not in answer.text
    assert not backend.received


def test_a_tampered_token_is_refused(shared_app: Any, token: Any) -> None:
    head, body, seal = token().split(".")
    forged = f"{head}.{body}.{seal[:-6]}AAAAAA"
    assert shared_app.test_client().get("/v1/me", headers={"Authorization": f"Bearer {forged}"}).status_code == 401


def test_the_token_of_the_person_goes_on_to_the_service(call: Any, backend: Any) -> None:
    call("GET", "/v1/me")
    assert backend.last.metadata["authorization"] == f"Bearer {call.raw}"


def test_without_the_issuers_keys_the_caller_is_asked_to_come_back(
    make: Any, monkeypatch: pytest.MonkeyPatch, token: Any
) -> None:
    def fail(_url: str) -> bytes:
        raise OSError

    app = make()
    monkeypatch.setattr("dui_kit.wire.jwks.KeySet.get", KeySet("x", None, fetch=fail).get)
    raw = token(sub="never-seen-before")
    answer = app.test_client().get("/v1/me", headers={"Authorization": f"Bearer {raw}"})
    assert (answer.status_code, answer.json["reason"]) == (503, "KEYS_UNAVAILABLE")
    assert answer.headers["Retry-After"]


def test_a_person_who_calls_too_fast_waits_and_others_do_not(make: Any, token: Any) -> None:
    app = make(rate_limit_subject_per_second=0.1, rate_limit_subject_burst=2)
    client = app.test_client()

    def get(subject: str) -> Any:
        return client.get("/v1/me", headers={"Authorization": f"Bearer {token(sub=subject)}"})

    assert [get("a").status_code for _ in range(3)] == [200, 200, 429]
    refused = get("a")
    assert refused.json["reason"] == "RATE_LIMITED"
    assert 1 <= int(refused.headers["Retry-After"]) <= 10
    assert get("b").status_code == 200


def test_an_association_that_calls_too_fast_waits_and_others_do_not(make: Any, token: Any) -> None:
    client = make(rate_limit_tenant_per_second=0.1, rate_limit_tenant_burst=1).test_client()

    def get(subject: str, **claims: Any) -> int:
        answer = client.get("/v1/me", headers={"Authorization": f"Bearer {token(sub=subject, **claims)}"})
        return int(answer.status_code)

    assert [get("a"), get("b")] == [200, 429]
    assert get("c", organization={"o": {"tenant_id": [OTHER_TENANT]}}) == 200


def test_a_person_cannot_hold_every_thread(make: Any, token: Any, backend: Any) -> None:
    entered, release = threading.Semaphore(0), threading.Event()

    def answer(_request: Any, _context: grpc.ServicerContext) -> Any:
        entered.release()
        release.wait(10)
        return staff_pb2.GetMyAccountResponse()

    backend.answers["GetMyAccount"] = answer
    app = make(gateway_threads=4)
    found: list[int] = []

    def get(**claims: Any) -> None:
        headers = {"Authorization": f"Bearer {token(**claims)}"}
        found.append(app.test_client().get("/v1/me", headers=headers).status_code)

    held = [threading.Thread(target=get) for _ in range(2)]
    for thread in held:
        thread.start()
    try:
        assert all(entered.acquire(timeout=10) for _ in held)
        get()
        assert found == [429]
        backend.answers["GetMyAccount"] = lambda _request, _context: staff_pb2.GetMyAccountResponse()
        get(sub="another", organization={"o": {"tenant_id": [OTHER_TENANT]}})
        assert found == [429, 200]
    finally:
        release.set()
        for thread in held:
            thread.join(10)
    get()
    assert found == [429, 200, 200, 200, 200]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_fills_again_and_never_beyond_its_burst() -> None:
    clock = Clock()
    bucket = Bucket(rate=2, burst=3, clock=clock)
    assert [bucket.take("a") for _ in range(4)] == [0, 0, 0, 1]
    clock.now = 0.5
    assert [bucket.take("a"), bucket.take("a")] == [0, 1]
    clock.now = 1000
    assert [bucket.take("a") for _ in range(4)] == [0, 0, 0, 1]


def test_the_buckets_remembered_are_bounded() -> None:
    bucket = Bucket(rate=1, burst=1, clock=Clock())
    for number in range(REMEMBERED + 10):
        bucket.take(str(number))
    assert bucket.take(str(REMEMBERED + 9)) > 0
    assert bucket.take("0") == 0


def test_a_thread_is_held_once_and_given_back_whole() -> None:
    share = Share(1)
    for _ in range(3):
        assert share.take("a", "home")
        assert not share.take("b", "other")
        share.give("a", "home")
    assert not share._held.count


def test_of_eight_threads_a_person_holds_four_and_an_association_six() -> None:
    share = Share(8)
    assert [share.take("a", "home") for _ in range(5)] == [True] * 4 + [False]
    assert [share.take("b", "home") for _ in range(3)] == [True] * 2 + [False]
    assert share.take("c", "other")


def test_however_many_take_all_they_can_get_the_next_caller_finds_a_thread() -> None:
    share = Share(128)

    def all_that(person: str, association: str) -> int:
        taken = 0
        while share.take(person, association):
            taken += 1
        return taken

    assert all_that("a", "home") == 64
    assert all_that("b", "home") == 32
    assert all_that("c", "other") == 16
    assert all_that("d", "third") == 8
    assert share.take("e", "fourth")


class Line:
    """Calls that take their turn, each in a thread of its own."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.going: list[str] = []
        self.gave_up: list[str] = []
        self._ends: dict[str, threading.Event] = {}
        self._threads: list[threading.Thread] = []

    def come(self, name: str, subject: str, tenant: str) -> None:
        self._ends[name] = threading.Event()
        self._threads.append(threading.Thread(target=self._call, args=(name, subject, tenant)))
        self._threads[-1].start()

    def _call(self, name: str, subject: str, tenant: str) -> None:
        with self.turns.of(subject, tenant) as come:
            (self.going if come else self.gave_up).append(name)
            if come:
                self._ends[name].wait(10)

    def end(self, name: str) -> None:
        self._ends[name].set()

    def close(self) -> None:
        for event in self._ends.values():
            event.set()
        for thread in self._threads:
            thread.join(10)

    @property
    def waiting(self) -> int:
        return len(self.turns._waiting)


@pytest.fixture
def line() -> Iterator[Line]:
    found = Line(Turns(4, patience=10))
    yield found
    found.close()


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.002)


def test_of_four_turns_a_person_has_two_and_an_association_three(line: Line) -> None:
    for name, person in (("a1", "a"), ("a2", "a")):
        line.come(name, person, "home")
    until(lambda: len(line.going) == 2)
    line.come("a3", "a", "home")
    until(lambda: line.waiting == 1)
    line.come("b1", "b", "home")
    until(lambda: "b1" in line.going)
    line.come("b2", "b", "home")
    until(lambda: line.waiting == 2)
    # Whoever may go passes those who may not.
    line.come("c1", "c", "other")
    until(lambda: "c1" in line.going)
    # The place of a person goes to the same person, who came first; the association has its three again.
    line.end("a1")
    until(lambda: "a3" in line.going)
    assert line.waiting == 1
    line.end("b1")
    until(lambda: "b2" in line.going)
    assert not line.gave_up


def test_who_waits_is_called_in_the_order_of_coming(line: Line) -> None:
    for n in range(4):
        line.come(f"{n}", f"p{n}", f"t{n}")
        until(lambda n=n: len(line.going) == n + 1)
    for n in range(4, 7):
        line.come(f"{n}", f"p{n}", f"t{n}")
        until(lambda n=n: line.waiting == n - 3)
    for n in range(3):
        line.end(f"{n}")
        until(lambda n=n: len(line.going) == n + 5)
    assert line.going == ["0", "1", "2", "3", "4", "5", "6"]


def test_a_turn_that_does_not_come_is_not_waited_for_for_ever_and_none_is_lost() -> None:
    turns = Turns(1, patience=0.05)
    for _ in range(3):
        with turns.of("a", "home") as first, turns.of("b", "other") as second:
            assert (first, second) == (True, False)
    assert not turns._waiting
    with turns.of("b", "other") as alone:
        assert alone


def test_many_callers_at_once_all_come_to_their_turn_and_never_too_many() -> None:
    turns, lock = Turns(8, patience=20), threading.Lock()
    under_way: Counter[str] = Counter()
    most: Counter[str] = Counter()

    def call(n: int) -> bool:
        person, association = f"p{n % 5}", f"t{n % 5 % 2}"
        names = (person, association, "all")
        with turns.of(person, association) as come:
            with lock:
                under_way.update(names)
                for name in names:
                    most[name] = max(most[name], under_way[name])
            time.sleep(0)
            with lock:
                under_way.subtract(names)
            return come

    with ThreadPoolExecutor(40) as pool:
        assert all(pool.map(call, range(2_000)))
    assert most["all"] <= 8
    assert max(most[name] for name in most if name.startswith("p")) <= 4
    assert max(most["t0"], most["t1"]) <= 6


def test_a_service_that_hangs_holds_up_its_own_calls_only(make: Any, token: Any, backend: Any) -> None:
    entered, release = threading.Semaphore(0), threading.Event()

    def hang(_request: Any, _context: grpc.ServicerContext) -> Any:
        entered.release()
        release.wait(10)
        return staff_pb2.GetMyAccountResponse()

    backend.answers["GetMyAccount"] = hang
    app = make(gateway_calls_at_once=2)

    def get(path: str, person: str) -> Any:
        headers = {"Authorization": f"Bearer {token(sub=person, organization={person: {'tenant_id': [ids[person]]}})}"}
        return app.test_client().get(path, headers=headers)

    ids = {name: f"0190a1b2-0000-7000-8000-00000000000{n}" for n, name in enumerate("abc", 1)}
    held = [threading.Thread(target=get, args=("/v1/me", person)) for person in "ab"]
    for thread in held:
        thread.start()
    try:
        assert all(entered.acquire(timeout=10) for _ in held)
        refused = get("/v1/me", "c")
        assert (refused.status_code, refused.json["reason"]) == (503, "SERVICE_UNAVAILABLE")
        assert refused.headers["Retry-After"]
        assert get(f"/v1/beneficiaries/{ids['a']}", "c").status_code == 200
    finally:
        release.set()
        for thread in held:
            thread.join(10)


def test_a_round_saved_at_once_passes_and_a_flood_of_writes_does_not(make: Any, token: Any) -> None:
    # Next to nothing is given back meanwhile, so that the speed of the machine does not decide.
    client = make(rate_limit_write_per_second=0.001).test_client()
    path = f"/v1/beneficiaries/{OTHER_TENANT}/handover_notes"

    def call(verb: str, path: str, subject: str = "a", **options: Any) -> Any:
        return client.open(path, method=verb, headers={"Authorization": f"Bearer {token(sub=subject)}"}, **options)

    # A round: sixty doses, two writes each, in one go.
    statuses = [call("POST", path, json={}).status_code for _ in range(120)]
    assert statuses == [201] * 120
    refused = next(answer for _ in range(500) if (answer := call("POST", path, json={})).status_code != 201)
    assert (refused.status_code, refused.json["reason"]) == (429, "RATE_LIMITED")
    assert int(refused.headers["Retry-After"]) >= 1
    # Reading and searching go on, and so do the writes of others.
    assert call("GET", "/v1/me").status_code == 200
    assert call("POST", "/v1/beneficiaries:search", json={}).status_code == 200
    assert call("POST", path, "b", json={}).status_code == 201


@pytest.mark.parametrize("path", ["/v1/me", "/v1/nowhere", "/livez", "/readyz", "/docs", "/openapi.json"])
def test_every_answer_is_protected(call: Any, path: str) -> None:
    headers = call("GET", path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["X-Frame-Options"] == "DENY"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "Strict-Transport-Security" not in headers
    assert "Set-Cookie" not in headers
    if path.startswith("/v1"):
        assert headers["Cache-Control"] == "no-store"


def test_strict_transport_security_is_a_setting(make: Any, caller_of: Any) -> None:
    answer = caller_of(make(hsts_seconds=31_536_000))("GET", "/v1/me")
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains"


PREFLIGHT = {"Origin": "https://dui.example", "Access-Control-Request-Method": "PATCH"}


def test_no_browser_origin_may_read_unless_it_is_named(call: Any) -> None:
    answer = call("OPTIONS", "/v1/facilities", headers=PREFLIGHT)
    assert not [name for name in dict(answer.headers) if name.startswith("Access-Control")]


def test_a_named_origin_may_read_and_write(make: Any, caller_of: Any) -> None:
    caller = caller_of(make(cors_origins="https://dui.example, https://other.example"))
    asked = caller("OPTIONS", "/v1/facilities/x", headers=PREFLIGHT)
    assert asked.headers["Access-Control-Allow-Origin"] == "https://dui.example"
    assert "PATCH" in asked.headers["Access-Control-Allow-Methods"]
    assert "If-Match" in asked.headers["Access-Control-Allow-Headers"]
    read = caller("GET", "/v1/me", headers={"Origin": "https://dui.example"})
    assert read.headers["Access-Control-Allow-Origin"] == "https://dui.example"
    assert "ETag" in read.headers["Access-Control-Expose-Headers"]
    assert "Origin" in read.headers["Vary"]
    assert "Access-Control-Allow-Credentials" not in read.headers
    stranger = caller("GET", "/v1/me", headers={"Origin": "https://dui.example.attacker.example"})
    assert "Access-Control-Allow-Origin" not in stranger.headers
    assert "Origin" in stranger.headers["Vary"]


def test_alive_is_told_without_a_token(shared_app: Any) -> None:
    assert shared_app.test_client().get("/livez").json == {"status": "ok"}


def test_ready_tells_each_part(shared_app: Any) -> None:
    answer = shared_app.test_client().get("/readyz")
    assert answer.status_code == 200
    parts = dict.fromkeys([*contract.service_names(), "token_keys"], "ok")
    assert answer.json == {"status": "ok", "parts": parts}


def test_not_ready_names_the_part_that_is_down(server: Any, keys: Any, backend: Any) -> None:
    clock = Clock()
    upstream = Upstream({"identity": server.target, "records": "127.0.0.1:1"}, call_seconds=1)
    try:
        readiness = Readiness(upstream, keys, clock)
        assert readiness.parts() == {"identity": "ok", "records": "unavailable", "token_keys": "ok"}
    finally:
        upstream.close()


class Hanging:
    """Token keys of an issuer that does not answer."""

    def __init__(self) -> None:
        self.asked, self.go_on = threading.Semaphore(0), threading.Event()
        self.times = 0

    @property
    def ready(self) -> bool:
        self.times += 1
        if self.times > 1:
            self.asked.release()
            self.go_on.wait(10)
        return True


def test_probes_do_not_wait_in_line_for_a_part_that_hangs(server: Any) -> None:
    clock, keys = Clock(), Hanging()
    upstream = Upstream({"identity": server.target}, call_seconds=1)
    try:
        readiness = Readiness(upstream, keys, clock)
        known = readiness.parts()
        clock.now = 10
        first = threading.Thread(target=readiness.parts)
        first.start()
        assert keys.asked.acquire(timeout=10)
        for _ in range(20):
            assert readiness.parts() == known
        clock.now = 12
        keys.go_on.set()
        first.join(10)
        # It took two seconds to know, and holds from then on.
        assert readiness.parts() == known
        assert keys.times == 2
    finally:
        keys.go_on.set()
        upstream.close()


def test_not_ready_without_token_keys_and_probes_are_not_passed_on(server: Any) -> None:
    asked = []

    def fail(_url: str) -> bytes:
        asked.append(1)
        raise OSError

    clock = Clock()
    upstream = Upstream({"identity": server.target}, call_seconds=1)
    try:
        readiness = Readiness(upstream, KeySet("x", None, fetch=fail), clock)
        for _ in range(10):
            assert readiness.parts()["token_keys"] == "never obtained"
        assert len(asked) == 1
    finally:
        upstream.close()


def test_a_service_without_a_target_stops_the_start() -> None:
    for service in contract.service_names():
        targets = {f"{each}_target": "127.0.0.1:1" for each in contract.service_names()} | {f"{service}_target": ""}
        with pytest.raises(ValueError, match=f"DUI_{service.upper()}_TARGET"):
            build(GatewaySettings(**targets))
