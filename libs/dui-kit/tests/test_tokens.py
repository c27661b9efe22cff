"""Who is let in: forged, stale and confusing tokens are refused, and an outage of the issuer is survived."""

from __future__ import annotations

import base64
import hmac
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from dui_kit.wire.jwks import COOL_DOWN_SECONDS, MAX_AGE_SECONDS, KeySet
from dui_kit.wire.tokens import Claims, TokenRefused, TokenVerifier

ISSUER = "https://login.example/realms/dui"
TENANT = "0190a1b2-0000-7000-8000-000000000001"
NOW = 1_700_000_000.0

RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())


def jwk(key: Any, kid: str, alg: str, use: str = "sig") -> dict[str, Any]:
    algorithm = jwt.get_algorithm_by_name(alg)
    entry = json.loads(algorithm.to_jwk(key.public_key()))
    return {**entry, "kid": kid, "alg": alg, "use": use}


class Issuer:
    """The issuer's key endpoint, with what it serves and how often it was asked."""

    def __init__(self) -> None:
        self.keys = [jwk(RSA_KEY, "k1", "RS256"), jwk(EC_KEY, "e1", "ES256")]
        self.asked = 0
        self.down = False

    def fetch(self, _url: str) -> bytes:
        self.asked += 1
        if self.down:
            raise OSError("connection refused")
        return json.dumps({"keys": self.keys}).encode()


class Clock:
    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def clock() -> Clock:
    return Clock(NOW)


@pytest.fixture
def steady() -> Clock:
    return Clock(0.0)


@pytest.fixture
def verifier(issuer: Issuer, clock: Clock, steady: Clock, tmp_path: Path) -> TokenVerifier:
    return make(issuer, clock, steady, tmp_path)


def make(issuer: Issuer, clock: Clock, steady: Clock, folder: Path) -> TokenVerifier:
    keys = KeySet("https://login.example/certs", folder, fetch=issuer.fetch, clock=steady)
    return TokenVerifier(ISSUER, "dui-api", ["dui-web", "dui-cli"], "", None, clock=clock, keys=keys)


def payload(**changes: Any) -> dict[str, Any]:
    claims = {
        "iss": ISSUER,
        "aud": ["dui-api", "account"],
        "azp": "dui-web",
        "sub": "subject-1",
        "sid": "session-1",
        "typ": "Bearer",
        "iat": int(NOW) - 10,
        "exp": int(NOW) + 290,
        "acr": "1",
        "organization": {"les-tilleuls": {"id": "o1", "tenant_id": [TENANT]}},
        **changes,
    }
    return {name: value for name, value in claims.items() if value is not None}


def sign(
    key: Any = RSA_KEY,
    alg: str = "RS256",
    kid: str | None = "k1",
    headers: dict[str, Any] | None = None,
    **changes: Any,
) -> str:
    return jwt.encode(payload(**changes), key, alg, headers={**({"kid": kid} if kid else {}), **(headers or {})})


def reason(verifier: TokenVerifier, raw: str) -> str:
    with pytest.raises(TokenRefused) as refused:
        verifier.verify(raw)
    return refused.value.reason.name


def test_a_person_is_known_by_subject_tenant_client_and_level(verifier: TokenVerifier) -> None:
    assert verifier.verify(sign(acr="2", acr_times={"1": int(NOW) - 900, "2": int(NOW) - 60})) == Claims(
        subject="subject-1",
        tenant_id=TENANT,
        client="dui-web",
        acr=2,
        expires_at=NOW + 290,
        issued_at=NOW - 10,
        session_id="session-1",
        service="",
        proved_at=NOW - 60,
        entered_at=NOW - 900,
    )


@pytest.mark.parametrize(
    ("acr", "times", "age", "proves"),
    [
        ("2", {"1": -4000, "2": -1800}, 1800, True),
        ("2", {"1": -1, "2": -1801}, 1800, False),  # a password typed a second ago makes no old code new
        ("1", {"1": -1, "2": -1}, 1800, False),
        ("2", None, 1800, False),
        ("2", {"1": -1}, 1800, False),
        ("2", ["2"], 1800, False),
        ("2", {"2": "now"}, 1800, False),
    ],
)
def test_a_second_factor_counts_for_as_long_as_it_is_recent(
    verifier: TokenVerifier, acr: str, times: Any, age: float, proves: bool
) -> None:
    if isinstance(times, dict):
        times = {level: int(NOW) + at if isinstance(at, int) else at for level, at in times.items()}
    claims = verifier.verify(sign(acr=acr, acr_times=times))
    assert claims.proves(2, within=age, at=NOW) is proves
    assert claims.proves(1, within=age, at=NOW)  # a password holds for the session


def test_elliptic_curve_keys_are_accepted(verifier: TokenVerifier) -> None:
    assert verifier.verify(sign(EC_KEY, "ES256", "e1")).subject == "subject-1"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"exp": int(NOW) - 30}, "TOKEN_EXPIRED"),
        ({"nbf": int(NOW) + 31}, "TOKEN_NOT_YET_VALID"),
        ({"iat": int(NOW) + 31}, "TOKEN_NOT_YET_VALID"),
        ({"aud": "account"}, "TOKEN_REFUSED"),
        ({"aud": None}, "TOKEN_REFUSED"),
        ({"iss": "https://login.example/realms/other"}, "TOKEN_REFUSED"),
        ({"exp": None}, "TOKEN_REFUSED"),
        ({"exp": "tomorrow"}, "TOKEN_REFUSED"),
        ({"sub": None}, "TOKEN_REFUSED"),
        ({"azp": None}, "TOKEN_REFUSED"),
        ({"azp": "another-application"}, "CLIENT_REFUSED"),
        ({"typ": "ID"}, "TOKEN_REFUSED"),
        ({"typ": "Refresh"}, "TOKEN_REFUSED"),
        ({"organization": None}, "TENANT_MISSING"),
        ({"organization": ["les-tilleuls"]}, "TENANT_MISSING"),
        ({"organization": {}}, "TENANT_MISSING"),
        ({"organization": {"les-tilleuls": {"id": "o1"}}}, "TENANT_MISSING"),
        ({"organization": {"les-tilleuls": {"tenant_id": ["not a uuid"]}}}, "TENANT_MISSING"),
        ({"organization": {"les-tilleuls": {"tenant_id": [TENANT.upper()]}}}, "TENANT_MISSING"),
        ({"organization": {"les-tilleuls": {"tenant_id": [TENANT, TENANT]}}}, "TENANT_AMBIGUOUS"),
        ({"organization": {"a": {"tenant_id": [TENANT]}, "b": {"tenant_id": [TENANT]}}}, "TENANT_AMBIGUOUS"),
    ],
)
def test_a_token_that_proves_nothing_is_refused(
    verifier: TokenVerifier, changes: dict[str, Any], expected: str
) -> None:
    assert reason(verifier, sign(**changes)) == expected


def test_clocks_may_differ_by_thirty_seconds(verifier: TokenVerifier) -> None:
    assert verifier.verify(sign(exp=int(NOW) - 29, iat=int(NOW) + 30, nbf=int(NOW) + 30)).subject == "subject-1"


def test_a_remembered_token_still_expires(verifier: TokenVerifier, clock: Clock) -> None:
    raw = sign()
    verifier.verify(raw)
    clock.now = NOW + 290 + 29
    assert verifier.verify(raw).subject == "subject-1"
    clock.now = NOW + 290 + 30
    assert reason(verifier, raw) == "TOKEN_EXPIRED"


def unsigned() -> str:
    parts = [json.dumps({"alg": "none", "typ": "JWT", "kid": "k1"}), json.dumps(payload())]
    return ".".join(base64.urlsafe_b64encode(part.encode()).rstrip(b"=").decode() for part in parts) + "."


def signed_with_the_public_key() -> str:
    """HS256 with the public key as the secret: the classic confusion of algorithms."""
    pem = RSA_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    head = base64.urlsafe_b64encode(json.dumps({"alg": "HS256", "kid": "k1"}).encode()).rstrip(b"=")
    body = base64.urlsafe_b64encode(json.dumps(payload()).encode()).rstrip(b"=")
    seal = base64.urlsafe_b64encode(hmac.digest(pem, head + b"." + body, "sha256")).rstrip(b"=")
    return b".".join((head, body, seal)).decode()


def tampered() -> str:
    head, _, seal = sign().split(".")
    body = base64.urlsafe_b64encode(json.dumps(payload(sub="somebody-else")).encode()).rstrip(b"=").decode()
    return f"{head}.{body}.{seal}"


@pytest.mark.parametrize(
    "forge",
    [
        unsigned,
        signed_with_the_public_key,
        tampered,
        lambda: sign(OTHER_RSA_KEY),
        lambda: sign(OTHER_RSA_KEY, headers={"jwk": jwk(OTHER_RSA_KEY, "k1", "RS256")}),
        lambda: sign(headers={"jwk": jwk(RSA_KEY, "k1", "RS256")}),
        lambda: sign(headers={"jku": "https://attacker.example/certs"}),
        lambda: sign(headers={"x5u": "https://attacker.example/cert"}),
        lambda: sign(headers={"crit": ["exp"]}),
        lambda: sign(kid=None),
        lambda: sign(kid="../../etc/passwd"),
        lambda: sign(kid="k1' or 1=1"),
        lambda: sign(EC_KEY, "ES256", "k1"),
        lambda: sign(RSA_KEY, "PS256"),
        lambda: sign(RSA_KEY, "RS512"),
        lambda: "",
        lambda: "a.b",
        lambda: "a.b.c",
        lambda: "é.b.c",
        lambda: "x" * 20_000,
        lambda: sign() + ".x",
    ],
)
def test_a_forged_token_is_refused(verifier: TokenVerifier, forge: Callable[[], str]) -> None:
    assert reason(verifier, forge()) == "TOKEN_REFUSED"


def test_a_service_is_told_by_its_role_and_has_no_tenant(verifier: TokenVerifier) -> None:
    claims = verifier.verify(
        sign(azp="dui-records", realm_access={"roles": ["dui-system"]}, organization=None, acr=None)
    )
    assert (claims.service, claims.tenant_id, claims.acr) == ("records", None, 0)


def test_a_person_with_the_role_of_services_stays_a_person(verifier: TokenVerifier) -> None:
    assert verifier.verify(sign(realm_access={"roles": ["dui-system"]})).service == ""


@pytest.mark.parametrize("access", [None, [], {"roles": "dui-system"}, {"roles": ["other"]}])
def test_another_client_without_the_role_is_refused(verifier: TokenVerifier, access: object) -> None:
    assert reason(verifier, sign(azp="dui-records", realm_access=access)) == "CLIENT_REFUSED"


@pytest.mark.parametrize("client", ["records", "dui-", "partner", "xdui-records"])
def test_only_clients_of_the_platform_are_services(verifier: TokenVerifier, client: str) -> None:
    assert reason(verifier, sign(azp=client, realm_access={"roles": ["dui-system"]})) == "CLIENT_REFUSED"


def test_a_new_key_is_found_and_unknown_keys_cost_one_question_per_cool_down(
    verifier: TokenVerifier, issuer: Issuer, steady: Clock
) -> None:
    verifier.verify(sign())
    assert issuer.asked == 1
    steady.now += COOL_DOWN_SECONDS
    for _ in range(20):
        assert reason(verifier, sign(OTHER_RSA_KEY, kid="k2")) == "TOKEN_REFUSED"
    assert issuer.asked == 2
    issuer.keys.append(jwk(OTHER_RSA_KEY, "k2", "RS256"))
    steady.now += COOL_DOWN_SECONDS
    assert verifier.verify(sign(OTHER_RSA_KEY, kid="k2")).subject == "subject-1"
    assert issuer.asked == 3


def test_a_withdrawn_key_takes_remembered_tokens_with_it(
    verifier: TokenVerifier, issuer: Issuer, steady: Clock
) -> None:
    raw = sign()
    verifier.verify(raw)
    issuer.keys = [jwk(OTHER_RSA_KEY, "k2", "RS256")]
    steady.now += COOL_DOWN_SECONDS
    verifier.verify(sign(OTHER_RSA_KEY, kid="k2"))
    steady.now += COOL_DOWN_SECONDS
    assert reason(verifier, raw) == "TOKEN_REFUSED"


def test_an_old_copy_is_renewed_beside_the_call(verifier: TokenVerifier, issuer: Issuer, steady: Clock) -> None:
    raw = sign()
    verifier.verify(raw)
    steady.now += MAX_AGE_SECONDS + 1
    verifier.verify(raw)
    for thread in threading.enumerate():
        if thread.name == "jwks-refresh":
            thread.join(5)
    assert issuer.asked == 2


def test_the_keys_survive_an_outage_of_the_issuer_and_a_restart(
    issuer: Issuer, clock: Clock, steady: Clock, tmp_path: Path
) -> None:
    make(issuer, clock, steady, tmp_path).verify(sign())
    issuer.down = True
    assert make(issuer, clock, steady, tmp_path).verify(sign()).subject == "subject-1"
    for thread in threading.enumerate():
        if thread.name == "jwks-refresh":
            thread.join(5)


def test_the_kept_keys_are_readable_by_the_owner_only(verifier: TokenVerifier, tmp_path: Path) -> None:
    verifier.verify(sign())
    (kept,) = tmp_path.glob("jwks-*.json")
    assert kept.stat().st_mode & 0o777 == 0o600


def test_without_any_key_the_caller_is_told_that_it_is_not_their_fault(
    issuer: Issuer, clock: Clock, steady: Clock, tmp_path: Path
) -> None:
    issuer.down = True
    verifier = make(issuer, clock, steady, tmp_path)
    assert reason(verifier, sign()) == "KEYS_UNAVAILABLE"
    assert verifier.keys.ready is False
    issuer.down = False
    steady.now += 1.0
    assert verifier.verify(sign()).subject == "subject-1"


def test_symmetric_and_encryption_keys_of_a_set_are_never_used(
    issuer: Issuer, clock: Clock, steady: Clock, tmp_path: Path
) -> None:
    issuer.keys += [
        {"kty": "oct", "kid": "h1", "k": "c2VjcmV0", "alg": "HS256"},
        jwk(OTHER_RSA_KEY, "enc1", "RS256", use="enc"),
    ]
    verifier = make(issuer, clock, steady, tmp_path)
    assert reason(verifier, sign(OTHER_RSA_KEY, kid="enc1")) == "TOKEN_REFUSED"
    assert verifier.keys.get("h1") is None


@pytest.mark.parametrize("document", [b"", b"[]", b'{"keys": 3}', b'{"keys": []}', b"<html>"])
def test_a_broken_answer_changes_nothing(
    issuer: Issuer, clock: Clock, steady: Clock, tmp_path: Path, document: bytes
) -> None:
    verifier = make(issuer, clock, steady, tmp_path)
    verifier.verify(sign())
    issuer.fetch = lambda _url: document  # type: ignore[method-assign]
    steady.now += COOL_DOWN_SECONDS
    assert reason(verifier, sign(OTHER_RSA_KEY, kid="k2")) == "TOKEN_REFUSED"
    assert verifier.verify(sign()).subject == "subject-1"


def test_keys_come_over_http_and_a_redirect_is_not_followed(clock: Clock) -> None:
    body = json.dumps({"keys": [jwk(RSA_KEY, "k1", "RS256")]}).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = self.path == "/certs"
            self.send_response(200 if found else 302)
            self.send_header("Location", "/certs")
            self.send_header("Content-Length", str(len(body) if found else 0))
            self.end_headers()
            if found:
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        base = f"http://127.0.0.1:{server.server_port}"
        assert (
            TokenVerifier(ISSUER, "dui-api", ["dui-web"], f"{base}/certs", None, clock=clock).verify(sign()).subject
            == "subject-1"
        )
        redirected = TokenVerifier(ISSUER, "dui-api", ["dui-web"], f"{base}/moved", None, clock=clock)
        assert reason(redirected, sign()) == "KEYS_UNAVAILABLE"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
