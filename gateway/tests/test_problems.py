"""Every failure becomes a problem document with the right status, a stable reason and a remedy, in the caller's language."""

from __future__ import annotations

import threading
from typing import Any

import grpc
import pytest
from dui_gateway import contract, problems, texts
from dui_gateway.app import build
from dui_gateway.flask_app import Gateway
from dui_gateway.problems import TITLES
from dui_gateway.settings import GatewaySettings
from dui_gateway.upstream import Upstream
from dui_kit.errors import Code, Reason, Refusal, Violation
from dui_kit.wire import texts as kit_texts
from dui_kit.wire.status import DETAILS_KEY
from dui_kit.wire.tokens import TokenVerifier

ID = "0197f3a2-5c1e-7b44-9d3f-2a6b8c0e1f57"
NOTES = f"/v1/beneficiaries/{ID}/handover_notes"


def refusing(reason: Reason, **options: Any) -> Any:
    def answer(_request: Any, _context: Any) -> Any:
        raise Refusal(reason, **options)

    return answer


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        (kit_texts.TOKEN_REFUSED, 401),
        (kit_texts.SESSION_REVOKED, 401),
        (kit_texts.RIGHT_MISSING, 403),
        (kit_texts.STEP_UP_REQUIRED, 403),
        (kit_texts.CONFLICT, 409),
        (kit_texts.ETAG_STALE, 412),
        (kit_texts.PRECONDITION_REQUIRED, 428),
        (kit_texts.IDEMPOTENCY_KEY_REUSED, 422),
        (kit_texts.PAGE_TOKEN_INVALID, 400),
        (kit_texts.DATABASE_UNAVAILABLE, 503),
        (kit_texts.DEADLINE_PASSED, 504),
        (kit_texts.INTERNAL, 500),
        (Reason("ALREADY_THERE", Code.ALREADY_EXISTS, fr="Existe déjà.", en="Already there."), 409),
        (Reason("STAYS_OVERLAP", Code.FAILED_PRECONDITION, fr="Chevauchement.", en="Overlap."), 409),
        (Reason("QUOTA", Code.RESOURCE_EXHAUSTED, fr="Quota.", en="Quota."), 429),
        (Reason("TOO_FAR", Code.OUT_OF_RANGE, fr="Trop loin.", en="Too far."), 400),
        (Reason("NOBODY", Code.NOT_FOUND, fr="Introuvable.", en="Not found."), 404),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_refusal_of_a_service_has_its_status_reason_and_remedy(
    call: Any, backend: Any, reason: Reason, status: int
) -> None:
    backend.answers["CreateHandoverNote"] = refusing(reason)
    answer = call("POST", NOTES, json={})
    assert answer.status_code == status
    assert answer.content_type == "application/problem+json"
    document = answer.json
    assert document["type"] == f"urn:dui:problem:{reason.name.lower()}"
    assert document["reason"] == reason.name
    assert document["status"] == status
    assert document["title"] == TITLES[status][0]
    assert document["detail"] == reason.fr
    assert document["request_id"] == answer.headers["X-Request-Id"]
    assert answer.headers["Content-Language"] == "fr"
    assert ("Retry-After" in answer.headers) == (status in {429, 503})


def test_english_is_spoken_to_who_asks_for_it(call: Any, backend: Any) -> None:
    backend.answers["CreateHandoverNote"] = refusing(kit_texts.ETAG_STALE)
    answer = call("POST", NOTES, json={}, headers={"Accept-Language": "en-GB,en;q=0.9,fr;q=0.8"})
    assert answer.json["detail"] == kit_texts.ETAG_STALE.en
    assert answer.json["title"] == "Changed in the meantime"
    assert answer.headers["Content-Language"] == "en"
    unknown = call("GET", "/v1/nowhere", headers={"Accept-Language": "en"})
    assert unknown.json["detail"] == texts.ROUTE_UNKNOWN.en


def test_a_field_of_a_service_is_told_as_the_caller_wrote_it(call: Any, backend: Any) -> None:
    def answer(_request: Any, _context: Any) -> Any:
        raise Refusal.of(
            (
                Violation(kit_texts.FIELD_REQUIRED, "handover_note.subject"),
                Violation(kit_texts.FIELD_REQUIRED, "draft_id"),
            )
        )

    backend.answers["CreateHandoverNote"] = answer
    errors = call("POST", NOTES, json={}).json["errors"]
    assert [error["field"] for error in errors] == ["subject", "draft_id"]
    assert {error["message"] for error in errors} == {kit_texts.FIELD_REQUIRED.fr}


def test_a_stronger_authentication_is_asked_for_as_client_libraries_expect(call: Any, backend: Any) -> None:
    backend.answers["BreakGlass"] = refusing(kit_texts.STEP_UP_REQUIRED)
    answer = call("POST", f"/v1/beneficiaries/{ID}:breakGlass", json={})
    assert answer.status_code == 403
    challenge = answer.headers["WWW-Authenticate"]
    assert challenge.startswith("Bearer ")
    assert 'error="insufficient_user_authentication"' in challenge
    assert 'acr_values="2"' in challenge


def test_a_token_that_a_service_refuses_is_challenged(call: Any, backend: Any) -> None:
    backend.answers["GetMyAccount"] = refusing(kit_texts.SESSION_REVOKED)
    assert 'error="invalid_token"' in call("GET", "/v1/me").headers["WWW-Authenticate"]


def aborting(code: grpc.StatusCode, details: bytes | None = None) -> Any:
    def answer(_request: Any, context: grpc.ServicerContext) -> Any:
        if details is not None:
            context.set_trailing_metadata(((DETAILS_KEY, details),))
        context.abort(code, "psycopg.errors.UndefinedTable: relation jeanne_martin at /srv/app.py line 3")

    return answer


@pytest.mark.parametrize(
    ("code", "status", "reason"),
    [
        (grpc.StatusCode.UNKNOWN, 500, "INTERNAL"),
        (grpc.StatusCode.INTERNAL, 500, "INTERNAL"),
        (grpc.StatusCode.DATA_LOSS, 500, "INTERNAL"),
        (grpc.StatusCode.UNAVAILABLE, 503, "SERVICE_UNAVAILABLE"),
        (grpc.StatusCode.UNIMPLEMENTED, 503, "SERVICE_UNAVAILABLE"),
        (grpc.StatusCode.CANCELLED, 503, "SERVICE_UNAVAILABLE"),
        (grpc.StatusCode.DEADLINE_EXCEEDED, 504, "OUTCOME_UNKNOWN"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, 429, "TOO_MANY_AT_ONCE"),
        (grpc.StatusCode.INVALID_ARGUMENT, 400, "REQUEST_INVALID"),
        (grpc.StatusCode.NOT_FOUND, 404, "NOT_FOUND"),
        (grpc.StatusCode.PERMISSION_DENIED, 403, "ACCESS_REFUSED"),
        (grpc.StatusCode.UNAUTHENTICATED, 401, "TOKEN_REFUSED"),
        (grpc.StatusCode.ABORTED, 409, "REFUSED"),
    ],
    ids=lambda value: getattr(value, "name", None),
)
@pytest.mark.parametrize("details", [None, b"\xff\xff", b""])
def test_a_bare_status_shows_nothing_of_the_inside(
    call: Any, backend: Any, code: grpc.StatusCode, status: int, reason: str, details: bytes | None
) -> None:
    backend.answers["CreateHandoverNote"] = aborting(code, details)
    answer = call("POST", NOTES, json={})
    assert (answer.status_code, answer.json["reason"]) == (status, reason)
    assert "psycopg" not in answer.text
    assert "martin" not in answer.text


def test_a_read_that_took_too_long_is_just_to_be_tried_again(call: Any, backend: Any) -> None:
    backend.answers["GetMyAccount"] = aborting(grpc.StatusCode.DEADLINE_EXCEEDED)
    assert call("GET", "/v1/me").json["reason"] == "READ_TIMED_OUT"


def test_the_deadline_is_kept_whatever_the_service_does(make: Any, caller_of: Any, backend: Any) -> None:
    release = threading.Event()

    def answer(_request: Any, _context: Any) -> Any:
        release.wait(10)
        raise Refusal(kit_texts.INTERNAL)

    backend.answers["CreateHandoverNote"] = answer
    try:
        answered = caller_of(make(gateway_call_seconds=0.2))("POST", NOTES, json={})
        assert (answered.status_code, answered.json["reason"]) == (504, "OUTCOME_UNKNOWN")
        assert "Idempotency-Key" in answered.json["detail"]
    finally:
        release.set()


def test_nobody_listening_is_told_as_unavailable(keys: Any, token: Any, caller_of: Any) -> None:
    settings = GatewaySettings()
    verifier = TokenVerifier("https://login.example/realms/dui", "dui-api", settings.clients, "", None, keys=keys)
    nobody = dict.fromkeys(contract.service_names(), "127.0.0.1:1")
    upstream = Upstream(nobody, call_seconds=2, pause=lambda _seconds: None)
    try:
        app = build(settings, verifier=verifier, upstream=upstream)
        answer = caller_of(app)("POST", NOTES, json={})
        assert (answer.status_code, answer.json["reason"]) == (503, "SERVICE_UNAVAILABLE")
        assert answer.headers["Retry-After"]
    finally:
        upstream.close()


@pytest.mark.parametrize(
    ("verb", "path", "options", "status", "reason"),
    [
        ("GET", "/v1/nowhere", {}, 404, "ROUTE_UNKNOWN"),
        ("GET", "/", {}, 404, "ROUTE_UNKNOWN"),
        ("GET", "/v1/me/", {}, 404, "ROUTE_UNKNOWN"),
        ("GET", "//v1/me", {}, 404, "ROUTE_UNKNOWN"),
        ("DELETE", "/v1/me", {}, 405, "METHOD_NOT_ALLOWED"),
        ("POST", NOTES, {"data": b"{", "content_type": "application/json"}, 400, "JSON_INVALID"),
        ("POST", NOTES, {"data": b'{"subject": "\xff"}', "content_type": "application/json"}, 400, "JSON_INVALID"),
        ("POST", NOTES, {"data": b'{"subject": "\\ud800"}', "content_type": "application/json"}, 400, "JSON_INVALID"),
        ("POST", NOTES, {"data": b'{"priority": NaN}', "content_type": "application/json"}, 400, "JSON_INVALID"),
        ("POST", NOTES, {"data": b"", "content_type": "application/json"}, 400, "BODY_REQUIRED"),
        ("POST", NOTES, {"data": b"[]", "content_type": "application/json"}, 400, "BODY_REQUIRED"),
        ("POST", NOTES, {"data": b"{}", "content_type": "text/plain"}, 415, "MEDIA_TYPE_UNSUPPORTED"),
        ("POST", NOTES, {"data": b"{}"}, 415, "MEDIA_TYPE_UNSUPPORTED"),
        (
            "POST",
            NOTES,
            {"data": b"\x1f\x8b", "content_type": "application/json", "headers": {"Content-Encoding": "gzip"}},
            415,
            "CONTENT_ENCODING_UNSUPPORTED",
        ),
        (
            "POST",
            NOTES,
            {"data": b"{}", "content_type": "application/json; charset=latin1"},
            415,
            "MEDIA_TYPE_UNSUPPORTED",
        ),
        ("POST", NOTES, {"data": b"{}", "content_type": "application/merge-patch+json"}, 415, "MEDIA_TYPE_UNSUPPORTED"),
        (
            "POST",
            NOTES,
            {"data": b"a=b", "content_type": "application/x-www-form-urlencoded"},
            415,
            "MEDIA_TYPE_UNSUPPORTED",
        ),
        (
            "POST",
            NOTES,
            {"data": b'{"a":' + b"[" * 40 + b"]" * 40 + b"}", "content_type": "application/json"},
            400,
            "JSON_TOO_DEEP",
        ),
        (
            "POST",
            NOTES,
            {"data": b'{"a":' + b"[" * 9000 + b"]" * 9000 + b"}", "content_type": "application/json"},
            400,
            "JSON_TOO_DEEP",
        ),
        ("POST", NOTES, {"data": b"x" * 1_048_577, "content_type": "application/json"}, 413, "BODY_TOO_LARGE"),
        (
            "POST",
            NOTES,
            {"data": b'{"a":1}', "content_type": "application/json", "environ_overrides": {"CONTENT_LENGTH": "8"}},
            400,
            "BODY_INCOMPLETE",
        ),
    ],
)
def test_what_http_or_json_refuses_is_a_problem_too(
    call: Any, backend: Any, verb: str, path: str, options: dict[str, Any], status: int, reason: str
) -> None:
    answer = call(verb, path, **options)
    assert (answer.status_code, answer.json["reason"]) == (status, reason)
    assert answer.content_type == "application/problem+json"
    assert not backend.received


def test_a_method_that_is_not_served_tells_which_are(call: Any) -> None:
    assert set(call("DELETE", "/v1/me").headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}


def test_brackets_in_a_text_are_no_depth(call: Any) -> None:
    assert call("POST", NOTES, json={"subject": "[" * 100}).status_code == 201


def test_all_faults_are_told_at_once(call: Any, backend: Any) -> None:
    answer = call("POST", NOTES, json={"subject": 1, "etag": "x", "nope": None, "category": "?"})
    assert answer.json["reason"] == "REQUEST_INVALID"
    assert {error["field"]: error["reason"] for error in answer.json["errors"]} == {
        "subject": "WRONG_TYPE",
        "etag": "FIELD_READ_ONLY",
        "nope": "FIELD_UNKNOWN",
        "category": "ENUM_UNKNOWN",
    }
    assert not backend.received


def test_what_the_caller_typed_is_never_repeated(call: Any) -> None:
    answer = call("POST", NOTES + "?zoé=1", json={"subject": 123454321, "<b>Jeanne</b>": 1, "category": "Jeanne"})
    assert answer.status_code == 400
    for typed in ("123454321", "Jeanne", "zoé"):
        assert typed not in answer.text


def test_an_unexpected_error_is_neutral_and_logged_without_its_text(
    make: Any, caller_of: Any, backend: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    app: Gateway = make()

    def explode(*_: Any, **__: Any) -> None:
        raise RuntimeError("Jeanne MARTIN")

    monkeypatch.setattr("dui_gateway.upstream.Upstream.call", explode)
    answer = caller_of(app)("GET", "/v1/me")
    assert (answer.status_code, answer.json["reason"]) == (500, "INTERNAL")
    logged = capsys.readouterr().out
    assert "MARTIN" not in answer.text + logged
    assert "RuntimeError" in logged
    assert answer.json["request_id"] in logged


def test_every_title_is_in_both_languages() -> None:
    statuses = {*problems.STATUS_BY_CODE.values(), *problems.STATUS_BY_REASON.values(), 500}
    assert statuses == set(TITLES)
