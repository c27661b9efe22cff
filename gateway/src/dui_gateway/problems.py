"""Every error of the gateway is a problem document (RFC 9457) that says what to do, in French or English.

Sources of a problem: a refusal of the gateway itself, an HTTP error of Flask, or the gRPC status of a service with its
`google.rpc` details. Nothing a caller typed is repeated, and nothing of the inside shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import grpc
import orjson
from dui_kit.errors import NOT_FOUND, Code, Reason, Refusal
from dui_kit.wire.status import DETAILS_KEY
from flask import Response
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from dui_gateway import texts
from dui_gateway.contract import Operation
from dui_gateway.upstream import code_of

MEDIA_TYPE = "application/problem+json"

STATUS_BY_CODE: Mapping[str, int] = {
    "INVALID_ARGUMENT": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "FAILED_PRECONDITION": 409,
    "ABORTED": 409,
    "RESOURCE_EXHAUSTED": 429,
    "UNAVAILABLE": 503,
    # A service of an older version than this gateway, in the middle of an upgrade.
    "UNIMPLEMENTED": 503,
    "CANCELLED": 503,
    "DEADLINE_EXCEEDED": 504,
}
STATUS_BY_REASON: Mapping[str, int] = {
    "PRECONDITION_REQUIRED": 428,
    "ETAG_STALE": 412,
    "IDEMPOTENCY_KEY_REUSED": 422,
    "METHOD_NOT_ALLOWED": 405,
    "BODY_TOO_LARGE": 413,
    "CONTENT_ENCODING_UNSUPPORTED": 415,
    "MEDIA_TYPE_UNSUPPORTED": 415,
}
TITLES: Mapping[int, tuple[str, str]] = {
    400: ("Demande non valable", "Invalid request"),
    401: ("Identification nécessaire", "Authentication required"),
    403: ("Action non permise", "Action not allowed"),
    404: ("Introuvable", "Not found"),
    405: ("Méthode non acceptée", "Method not allowed"),
    409: ("Demande incompatible avec l'état actuel", "Conflict with the current state"),
    412: ("Donnée modifiée entre-temps", "Changed in the meantime"),
    413: ("Demande trop volumineuse", "Request too large"),
    415: ("Type de contenu non accepté", "Unsupported media type"),
    422: ("Clé d'idempotence déjà utilisée", "Idempotency key already used"),
    428: ("Version attendue manquante", "Precondition required"),
    429: ("Trop de demandes", "Too many requests"),
    500: ("Erreur interne", "Internal error"),
    503: ("Service momentanément indisponible", "Service unavailable for a moment"),
    504: ("Délai dépassé", "Deadline passed"),
}
_RETRY_AFTER = {429: "1", 503: "2"}
_HTTP_REASONS: Mapping[int, Reason] = {
    404: texts.ROUTE_UNKNOWN,
    405: texts.METHOD_NOT_ALLOWED,
    413: texts.BODY_TOO_LARGE,
    415: texts.MEDIA_TYPE_UNSUPPORTED,
}


@dataclass(frozen=True, slots=True)
class FieldError:
    """One field at fault: its JSON path and its remedy."""

    field: str
    message: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """An answer that is not what was asked for."""

    status: int
    reason: str
    detail: str
    errors: tuple[FieldError, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)


def of_refusal(refusal: Refusal, language: str, *, headers: Mapping[str, str] | None = None) -> Problem:
    """The problem of a refusal of the gateway itself."""
    reason = refusal.reason
    errors = tuple(
        FieldError(violation.field, violation.text(language), violation.reason.name)
        for violation in refusal.violations
        if violation.field
    )
    if errors:
        reason = texts.REQUEST_INVALID if reason.code == Code.INVALID_ARGUMENT else reason
    detail = refusal.violations[0].text(language) if reason is refusal.reason else _text(reason, language)
    # One fault has its own reason; several are told one by one.
    name = refusal.reason.name if len(errors) == 1 else reason.name
    return _complete(Problem(status_of(reason.code, name), name, detail, errors, headers or {}))


def of_http(error: HTTPException, language: str) -> Problem:
    """The problem of an error of Flask itself: an unknown address, a method, a body too large."""
    status = error.code or 500
    fallback = texts.BAD_REQUEST if 400 <= status < 500 else texts.INTERNAL
    reason = _HTTP_REASONS.get(status, fallback)
    headers = {}
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        headers["Allow"] = ", ".join(sorted(error.valid_methods))
    shown = status if status in TITLES else (400 if status < 500 else 500)
    return _complete(Problem(shown, reason.name, _text(reason, language), headers=headers))


def of_rpc(error: grpc.RpcError, operation: Operation, language: str) -> Problem:
    """The problem of a call that a service refused, or that no service answered."""
    code = code_of(error).name
    info, message, errors = _details(error, operation)
    status = status_of(code, info.reason)
    if info.reason and message:
        headers = {}
        if status == 401:
            headers["WWW-Authenticate"] = challenge("invalid_token", "The access token is no longer accepted")
        elif info.reason == "STEP_UP_REQUIRED":
            headers["WWW-Authenticate"] = challenge(
                "insufficient_user_authentication",
                "A stronger authentication is required",
                acr_values=info.metadata.get("acr", str(operation.access.acr or 2)),
            )
        return _complete(Problem(status, info.reason, message, errors, headers))
    return _complete(of_reason(_silent(code, operation), language))


def of_reason(reason: Reason, language: str) -> Problem:
    """The problem of a bare reason."""
    return _complete(Problem(status_of(reason.code, reason.name), reason.name, _text(reason, language)))


def challenge(error: str, description: str, **parameters: str) -> str:
    """A `WWW-Authenticate` of RFC 6750, or RFC 9470 for a stronger authentication."""
    words = {"realm": "dui", "error": error, "error_description": description, **parameters}
    return "Bearer " + ", ".join(f'{name}="{value}"' for name, value in words.items() if value)


def document(problem: Problem, *, language: str, request_id: str) -> dict[str, Any]:
    """The problem document."""
    return {
        "type": f"urn:dui:problem:{problem.reason.lower()}",
        "title": TITLES[problem.status][language == "en"],
        "status": problem.status,
        "detail": problem.detail,
        "reason": problem.reason,
        "errors": [{"field": e.field, "message": e.message, "reason": e.reason} for e in problem.errors],
        "request_id": request_id,
    }


def response(problem: Problem, *, language: str, request_id: str, trace_id: str) -> Response:
    """The HTTP answer of a problem."""
    content = document(problem, language=language, request_id=request_id)
    if trace_id:
        content["trace_id"] = trace_id
    answer = Response(orjson.dumps(content), problem.status, content_type=MEDIA_TYPE)
    answer.headers["Content-Language"] = language
    answer.headers.update(problem.headers)
    return answer


def _text(reason: Reason, language: str) -> str:
    return reason.en if language == "en" else reason.fr


def status_of(code: str, reason: str) -> int:
    """The HTTP status of a reason with this gRPC code."""
    return STATUS_BY_REASON.get(reason) or STATUS_BY_CODE.get(code, 500)


def _complete(problem: Problem) -> Problem:
    wait = _RETRY_AFTER.get(problem.status)
    if wait and "Retry-After" not in problem.headers:
        return replace(problem, headers={**problem.headers, "Retry-After": wait})
    return problem


def _silent(code: str, operation: Operation) -> Reason:
    """What to say when a status came without our details: from gRPC itself, or from something that broke."""
    match code:
        case "UNAVAILABLE" | "UNIMPLEMENTED" | "CANCELLED":
            return texts.SERVICE_UNAVAILABLE
        case "DEADLINE_EXCEEDED":
            return texts.READ_TIMED_OUT if operation.reads else texts.OUTCOME_UNKNOWN
        case "RESOURCE_EXHAUSTED":
            return texts.TOO_MANY_AT_ONCE
        case "UNAUTHENTICATED":
            return texts.TOKEN_REFUSED
        case "NOT_FOUND":
            return NOT_FOUND
        case "PERMISSION_DENIED":
            return texts.ACCESS_REFUSED
        case "FAILED_PRECONDITION" | "ABORTED" | "ALREADY_EXISTS":
            return texts.REFUSED
        case "INVALID_ARGUMENT" | "OUT_OF_RANGE":
            return texts.REQUEST_INVALID
        case _:
            return texts.INTERNAL


def _details(
    error: grpc.RpcError, operation: Operation
) -> tuple[error_details_pb2.ErrorInfo, str, tuple[FieldError, ...]]:
    info, localized, bad = (
        error_details_pb2.ErrorInfo(),
        error_details_pb2.LocalizedMessage(),
        error_details_pb2.BadRequest(),
    )
    for key, value in _trailing(error):
        if key == DETAILS_KEY and isinstance(value, bytes):
            try:
                status = status_pb2.Status.FromString(value)
                for packed in status.details:
                    for known in (info, localized, bad):
                        packed.Unpack(known)
            except DecodeError:
                # A proxy between, or another kind of server: the bare status says enough.
                continue
    errors = tuple(
        FieldError(json_path(violation.field, operation), violation.description, violation.reason)
        for violation in bad.field_violations
    )
    return info, localized.message, errors


def _trailing(error: grpc.RpcError) -> Iterable[tuple[str, str | bytes]]:
    metadata = getattr(error, "trailing_metadata", None)
    return (metadata() if callable(metadata) else None) or ()


def json_path(path: str, operation: Operation) -> str:
    """The path in what the caller sent of a path in the request message: the body holds one field of it."""
    body = operation.body
    return path[len(body) + 1 :] if body not in ("", "*") and path.startswith(f"{body}.") else path
