"""Who comes in, how often, and what every answer carries."""

from __future__ import annotations

import contextlib
import threading
from typing import Any

import grpc
import pytest
from dui.identity.v1 import staff_pb2
from dui_gateway import contract
from dui_gateway.app import build
from dui_gateway.health import Readiness
from dui_gateway.limits import REMEMBERED, Bucket, Share
from dui_gateway.settings import GatewaySettings
from dui_gateway.upstream import Upstream
from dui_kit.keyset import KeySet

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
        ({"aud": "account"}, 401, "TOKEN_INVALID"),
        ({"iss": "https://elsewhere.example"}, 401, "TOKEN_INVALID"),
        ({"azp": "other"}, 401, "CLIENT_REFUSED"),
        ({"organization": None}, 401, "TENANT_MISSING"),
        ({"organization": {"a": {"tenant_id": ["x"]}, "b": {}}}, 401, "TENANT_AMBIGUOUS"),
        ({"azp": "dui-records", "realm_access": {"roles": ["dui-system"]}}, 403, "SERVICE_TOKEN_REFUSED"),
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
    monkeypatch.setattr("dui_kit.keyset.KeySet.get", KeySet("x", None, fetch=fail).get)
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


def test_an_association_cannot_hold_every_thread(make: Any, token: Any, backend: Any) -> None:
    entered, release = threading.Event(), threading.Event()

    def answer(_request: Any, _context: grpc.ServicerContext) -> Any:
        entered.set()
        release.wait(10)
        return staff_pb2.GetMyAccountResponse()

    backend.answers["GetMyAccount"] = answer
    app = make(gateway_threads=1)
    found: list[int] = []

    def get(**claims: Any) -> None:
        headers = {"Authorization": f"Bearer {token(**claims)}"}
        found.append(app.test_client().get("/v1/me", headers=headers).status_code)

    first = threading.Thread(target=get)
    first.start()
    try:
        assert entered.wait(10)
        get()
        assert found == [429]
        backend.answers["GetMyAccount"] = lambda _request, _context: staff_pb2.GetMyAccountResponse()
        get(sub="another", organization={"o": {"tenant_id": [OTHER_TENANT]}})
        assert found == [429, 200]
    finally:
        release.set()
        first.join(10)
    get()
    assert found == [429, 200, 200, 200]


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


def test_a_share_is_given_back_when_the_call_fails() -> None:
    share = Share(1)
    for _ in range(3):
        with contextlib.suppress(RuntimeError), share.of("a", "home") as allowed:
            assert allowed
            raise RuntimeError
    with share.of("a", "home") as first, share.of("b", "home") as second, share.of("c", "other") as other:
        assert (first, second, other) == (True, False, True)


def test_of_eight_threads_a_person_holds_four_and_an_association_six() -> None:
    share = Share(8)
    with contextlib.ExitStack() as held:

        def take(person: str, association: str) -> bool:
            return held.enter_context(share.of(person, association))

        assert [take("a", "home") for _ in range(5)] == [True] * 4 + [False]
        assert [take("b", "home") for _ in range(3)] == [True] * 2 + [False]
        assert take("c", "other")


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
