"""One route per operation of the contract. Nobody writes a view by hand for request and response JSON."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import grpc
import orjson
from dui_kit.errors import Refusal
from dui_kit.wire import telemetry
from dui_kit.wire.keys import check_idempotency_key
from dui_kit.wire.status import language_of
from flask import Request, Response, request
from opentelemetry.trace import SpanKind
from werkzeug.exceptions import HTTPException
from werkzeug.routing import BaseConverter

from dui_gateway import bodies, problems, protection, texts
from dui_gateway.codec import encoder
from dui_gateway.contract import Operation
from dui_gateway.entry import Door, Turned
from dui_gateway.flask_app import Gateway, JsonResponse
from dui_gateway.inputs import Inputs
from dui_gateway.limits import Turns
from dui_gateway.problems import Problem
from dui_gateway.settings import GatewaySettings
from dui_gateway.upstream import Upstream

_ETAG = re.compile(r'(?:W/)?"([\x21\x23-\x2b\x2d-\x7e]{1,100})"|([A-Za-z0-9._~+/=\-]{1,100})')
_FAILED = frozenset({500, 503, 504})


class Segment(BaseConverter):
    """One path segment up to a custom verb: `{id}:accept` must not take the verb into the id."""

    regex = "[^/:]+"


@dataclass(frozen=True, slots=True)
class Parts:
    """What every view works with."""

    settings: GatewaySettings
    door: Door
    #: By service.
    turns: Mapping[str, Turns]
    upstream: Upstream
    headers: tuple[tuple[str, str], ...]


def flask_rule(path: str) -> str:
    """`/v1/stays/{stay_id}:end` → `/v1/stays/<segment:stay_id>:end`."""
    return re.sub(r"\{([a-z0-9_]+)\}", r"<segment:\1>", path)


def install(app: Gateway, operations: tuple[Operation, ...], parts: Parts) -> None:
    """Adds every route."""
    app.url_map.converters["segment"] = Segment
    for operation in operations:
        view = View(operation, parts, operation.location(operations))
        endpoint = f"{operation.service}.{operation.name}"
        app.add_url_rule(flask_rule(operation.path), endpoint, view, methods=[operation.verb])
        (rule,) = app.url_map.iter_rules(endpoint)
        app.table.add(operation.verb, operation.path, rule)


class NotAsAnnounced(Exception):
    """A service answers with another kind of file than the contract says."""


class View:
    """The way of one operation: door → inputs → service → JSON or a file, and every failure as a problem document."""

    def __init__(self, operation: Operation, parts: Parts, location: str) -> None:
        self.__name__ = operation.name
        self._operation = operation
        self._parts = parts
        self._inputs = Inputs(operation, max_depth=parts.settings.max_json_depth)
        self._encode = None if operation.content_type else encoder(operation.result)
        self._file_headers = protection.file_headers(operation.filename)
        self._span = f"{operation.verb} {operation.path}"
        self._labels = {"operation": self._span}
        # Without the address itself: it holds what the caller typed.
        self._attributes = {
            "http.request.method": operation.verb,
            "http.route": operation.path,
            "url.scheme": "http",
        }
        self._location = location
        self._location_names = re.findall(r"\{([a-z0-9_]+)\}", location)

    def __call__(self, **parameters: str) -> Response:
        """Answers one request."""
        started = time.perf_counter()
        # The proxy looks the request up on every access: once is enough.
        current: Request = request._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001
        request_id = new_request_id()
        with telemetry.span(self._span, SpanKind.SERVER, current.headers.get("Traceparent"), self._attributes) as span:
            traceparent = telemetry.traceparent(span)
            try:
                answer = self._answer(current, parameters, traceparent)
                answer.headers.add("X-Request-Id", request_id)
            except HTTPException as error:
                answer = self._refuse(problems.of_http(error, language(current)), current, request_id, traceparent)
            except Turned as turned:
                answer = self._refuse(turned.problem(language(current)), current, request_id, traceparent)
            except Refusal as refusal:
                answer = self._refuse(problems.of_refusal(refusal, language(current)), current, request_id, traceparent)
            except grpc.RpcError as error:
                problem = problems.of_rpc(error, self._operation, language(current))
                answer = self._refuse(problem, current, request_id, traceparent)
            except Exception as error:  # noqa: BLE001 (the last line: neutral text out, class and place in the log)
                telemetry.log.error(
                    "request failed", operation=self._span, request_id=request_id, **telemetry.where(error)
                )
                problem = problems.of_reason(texts.INTERNAL, language(current))
                answer = self._refuse(problem, current, request_id, traceparent)
            status = answer.status_code
            if span.is_recording():
                span.set_attribute("http.response.status_code", status)
                if status in _FAILED:
                    telemetry.fail(span, str(status))
        telemetry.call_duration.record(time.perf_counter() - started, {**self._labels, "code": str(status)})
        return answer

    def _answer(self, current: Request, parameters: Mapping[str, str], traceparent: str | None) -> Response:
        operation, parts = self._operation, self._parts
        claims = parts.door.enter(current.headers.get("Authorization", ""), writes=not operation.reads)
        caller = claims.subject, claims.tenant_id or ""
        if not parts.door.share.take(*caller):
            raise Turned(texts.TOO_MANY_AT_ONCE, wait=1)
        try:
            reply = self._call(current, parameters, caller, traceparent)
        except Exception:
            bodies.discard(current)
            raise
        finally:
            parts.door.share.give(*caller)
        etag = getattr(reply, operation.resource).etag if operation.resource else ""
        if (
            operation.is_get
            and etag
            and "If-None-Match" in current.headers
            and current.if_none_match.contains_weak(etag)
        ):
            return Response(status=304, headers={"ETag": f'"{etag}"'})
        shown = getattr(reply, operation.response_body) if operation.response_body else reply
        if self._encode is None:
            return self._file(shown)
        answer = JsonResponse(orjson.dumps(self._encode(shown)), operation.success, self._parts.headers)
        if etag:
            # Through the checks of Werkzeug, like the address below: these are no constants.
            answer.headers["ETag"] = f'"{etag}"'
        if self._location:
            resource = getattr(reply, operation.resource)
            known = {name: getattr(resource, name, "") or parameters.get(name) for name in self._location_names}
            if all(known.values()):
                answer.headers["Location"] = self._location.format(**known)
        return answer

    def _file(self, shown: Any) -> Response:
        """The bytes of a file under the media type that the contract says."""
        announced = self._operation.content_type
        if shown.content_type != announced:
            raise NotAsAnnounced(announced)
        return Response(shown.data, self._operation.success, headers=self._file_headers, content_type=announced)

    def _call(
        self,
        current: Request,
        parameters: Mapping[str, str],
        caller: tuple[str, str],
        traceparent: str | None,
    ) -> Any:
        operation, parts = self._operation, self._parts
        raw = bodies.read(current, parts.settings.max_body_bytes) if operation.body else b""
        message = self._inputs.read(current, parameters, raw)
        # The trace is how one call is followed through the services: no other id goes with it.
        metadata = [("authorization", current.headers["Authorization"])]
        if traceparent:
            metadata.append(("traceparent", traceparent))
        accepted = current.headers.get("Accept-Language")
        if accepted:
            metadata.append(("accept-language", language_of(accepted)))
        key = None
        if not operation.reads:
            key = current.headers.get("Idempotency-Key")
            if key is not None:
                check_idempotency_key(key)
                metadata.append(("idempotency-key", key))
            expected = _if_match(current)
            if expected:
                metadata.append(("if-match", expected))
        with parts.turns[operation.service].of(*caller) as come:
            if not come:
                raise Refusal(texts.SERVICE_UNAVAILABLE)
            return parts.upstream.call(operation, message, metadata, retry=operation.reads or key is not None)

    def _refuse(self, problem: Problem, current: Request, request_id: str, traceparent: str | None) -> Response:
        trace_id = telemetry.trace_id_of(traceparent)
        return refuse(problem, current, operation=self._span, request_id=request_id, trace_id=trace_id)


def new_request_id() -> str:
    """The id by which a caller and the log of the gateway speak of one request."""
    return secrets.token_hex(16)


def refuse(problem: Problem, current: Request, *, operation: str, request_id: str, trace_id: str) -> Response:
    """The answer to whoever is refused, and the line of the log that says why."""
    telemetry.log.info(
        "refused", operation=operation, status=problem.status, reason=problem.reason, request_id=request_id
    )
    answer = problems.response(problem, language=language(current), request_id=request_id, trace_id=trace_id)
    answer.headers["X-Request-Id"] = request_id
    bodies.close_unless_read(current, answer)
    return answer


def language(current: Request) -> str:
    """The language of the texts for a caller: `fr` or `en`."""
    return language_of(current.headers.get("Accept-Language", ""))


def _if_match(current: Request) -> str | None:
    """The etag of `If-Match` without quotes. A proxy that compresses may have made it weak: it still names one version."""
    header = current.headers.get("If-Match")
    if header is None:
        return None
    found = _ETAG.fullmatch(header.strip())
    if found is None:
        raise Refusal(texts.IF_MATCH_INVALID, field="If-Match")
    return found[1] or found[2]
