"""The whole wiring of the gateway on one screen."""

from __future__ import annotations

from multiprocessing.util import Finalize
from typing import Any

from dui_kit.wire import telemetry
from dui_kit.wire.tokens import TokenVerifier
from flask import Response, request
from opentelemetry.trace import SpanKind
from werkzeug.exceptions import HTTPException

from dui_gateway import contract, docs_page, health, openapi, problems, protection, routes, texts
from dui_gateway.connections import Watch
from dui_gateway.entry import Door
from dui_gateway.flask_app import Gateway
from dui_gateway.limits import Turns
from dui_gateway.problems import Problem
from dui_gateway.settings import GatewaySettings
from dui_gateway.upstream import Upstream


def build(
    settings: GatewaySettings, *, verifier: TokenVerifier | None = None, upstream: Upstream | None = None
) -> Gateway:
    """The WSGI application. Raises `ContractError`, or ValueError when a setting is missing."""
    operations = contract.operations()
    if upstream is None:
        targets = {service: settings.target(service) for service in sorted(contract.service_names())}
        upstream = Upstream(targets, call_seconds=settings.gateway_call_seconds)
    if verifier is None:
        verifier = TokenVerifier(
            settings.oidc_issuer, settings.oidc_audience, settings.clients, settings.jwks_url, settings.cache_dir
        )
    app = Gateway("dui_gateway")
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    app.url_map.merge_slashes = False
    parts = routes.Parts(
        settings,
        Door(verifier, settings),
        {service: Turns(settings.gateway_calls_at_once) for service in contract.service_names()},
        upstream,
        protection.headers(settings),
    )
    routes.install(app, operations, parts)
    document = openapi.document(operations, settings.oidc_issuer)
    docs_page.install(app, document)
    health.install(app, health.Readiness(upstream, verifier.keys))
    protection.install(app, settings)
    app.register_error_handler(HTTPException, _http_problem)
    app.register_error_handler(Exception, _internal_problem)
    return app


def _http_problem(error: HTTPException) -> Response:
    return _refuse(problems.of_http(error, routes.language(request)))


def _internal_problem(error: Exception) -> Response:
    return _refuse(problems.of_reason(texts.INTERNAL, routes.language(request)), error)


def _refuse(problem: Problem, error: Exception | None = None) -> Response:
    """Refuses a request outside the contract. Log and trace never call it by its address, which holds what was typed."""
    operation = str(request.url_rule or "unknown address")
    request_id = routes.new_request_id()
    with telemetry.span(operation, SpanKind.SERVER, request.headers.get("Traceparent"), {}) as span:
        if error is not None:
            telemetry.log.error("request failed", operation=operation, request_id=request_id, **telemetry.where(error))
            telemetry.fail(span, str(problem.status))
        trace_id = telemetry.trace_id_of(telemetry.traceparent(span))
        return routes.refuse(problem, request, operation=operation, request_id=request_id, trace_id=trace_id)


def create() -> Any:
    """Builds the application inside a server process (granian calls it there): threads and channels start after the fork."""
    from dui_gateway.process import die_with_parent

    die_with_parent()
    settings = GatewaySettings()
    telemetry.setup("gateway", settings.log_level)
    # Not atexit: a process of multiprocessing ends without it, and what is still held would be lost at each deployment.
    Finalize(None, telemetry.shutdown, exitpriority=1)
    Watch(settings.listen[1], settings.request_seconds, settings.gateway_idle_seconds).start()
    return build(settings).wsgi_app
