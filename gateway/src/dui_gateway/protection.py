"""Headers that every answer carries, and which browser origins may read it."""

from __future__ import annotations

from flask import Flask, Response, request
from werkzeug.datastructures import Headers

from dui_gateway.flask_app import JsonResponse
from dui_gateway.settings import GatewaySettings

# An API answer is data: nothing in it may run, load, frame or be framed (OWASP REST security).
API_POLICY = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
# Nor in a file: an application shows it from its own page, and opened by itself it gets no origin of ours.
FILE_POLICY = f"{API_POLICY}; sandbox"
# The documentation page: its own files only, no inline script; it may call this gateway.
DOCS_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    # Records of persons stay in no cache, shared or not.
    "Cache-Control": "no-store",
    "Content-Security-Policy": API_POLICY,
}
_ALLOWED_HEADERS = "Authorization, Content-Type, Accept-Language, Idempotency-Key, If-Match, If-None-Match, Traceparent"
_EXPOSED_HEADERS = "Content-Disposition, ETag, Retry-After, WWW-Authenticate, X-Request-Id, Content-Language"


def headers(settings: GatewaySettings) -> tuple[tuple[str, str], ...]:
    """The headers of every answer."""
    common = dict(_HEADERS)
    if settings.hsts_seconds:
        common["Strict-Transport-Security"] = f"max-age={settings.hsts_seconds}; includeSubDomains"
    return tuple(Headers(common))


def file_headers(filename: str) -> dict[str, str]:
    """What a file has of its own; `filename`: a word of the contract, nothing that somebody typed."""
    return {"Content-Disposition": f'inline; filename="{filename}"', "Content-Security-Policy": FILE_POLICY}


def install(app: Flask, settings: GatewaySettings) -> None:
    """Adds the headers to every answer that was not made with them."""
    common = headers(settings)
    origins = settings.origins

    def protect(answer: Response) -> Response:
        if not isinstance(answer, JsonResponse):
            for name, value in common:
                if name not in answer.headers:
                    answer.headers.add(name, value)
        if origins:
            _share(answer, request.headers.get("Origin"))
        return answer

    def _share(answer: Response, origin: str | None) -> None:
        answer.vary.add("Origin")
        if origin not in origins:
            return
        answer.headers["Access-Control-Allow-Origin"] = origin
        answer.headers["Access-Control-Expose-Headers"] = _EXPOSED_HEADERS
        answer.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
        if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
            answer.headers["Access-Control-Allow-Methods"] = answer.headers.get("Allow", "")
            answer.headers["Access-Control-Allow-Headers"] = _ALLOWED_HEADERS
            answer.headers["Access-Control-Max-Age"] = "600"

    app.after_request(protect)
