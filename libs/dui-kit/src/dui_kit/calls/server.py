"""The gRPC server of a service: guarded methods, health from a thread of its own, reflection, drain."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn

import grpc
from google.protobuf.message import Message
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from opentelemetry.trace import Span, SpanKind
from sqlalchemy import Engine

from dui_kit.calls.guard import DEFAULT_SECONDS, Guard, Meta, Method
from dui_kit.calls.refresh import Refresher
from dui_kit.calls.seals import Seals
from dui_kit.calls.toolbox import Toolbox
from dui_kit.calls.validate import Validator
from dui_kit.db.database import make_engine
from dui_kit.db.spans import watch_sql
from dui_kit.errors import Refusal
from dui_kit.facts import OWNERS
from dui_kit.service import Service
from dui_kit.wire import telemetry, texts
from dui_kit.wire.listening import listen
from dui_kit.wire.status import DETAILS_KEY, grpc_code, language_of, status_of
from dui_kit.wire.tokens import TokenVerifier

#: A client that keeps one connection is moved to another pod now and then.
MAX_CONNECTION_AGE_MS = 300_000
MAX_MESSAGE_BYTES = 4 * 1024 * 1024


def toolbox(service: Service, engine: Engine) -> Toolbox:
    """What the guard of a service needs, from its settings."""
    settings = service.settings
    asks = any(map(settings.target, OWNERS))
    return Toolbox(
        service=service.name,
        engine=engine,
        verifier=TokenVerifier(
            settings.oidc_issuer,
            settings.oidc_audience,
            settings.clients,
            settings.oidc_jwks_url or f"{settings.oidc_issuer}/protocol/openid-connect/certs",
            settings.cache_dir / service.name,
        ),
        validator=Validator(),
        seals=Seals(settings.sealing_key.get_secret_value()),
        refresher=Refresher(settings, engine) if asks else None,
        owns_rights=service.owns_rights,
        constraints=service.constraints,
        step_up_seconds=settings.step_up_seconds,
    )


def meta_of(context: grpc.ServicerContext) -> Meta:
    """What came with a request, from its metadata."""
    found = {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}
    return Meta(
        authorization=found.get("authorization", ""),
        language=language_of(found.get("accept-language", "")),
        if_match=found.get("if-match", ""),
        idempotency_key=found.get("idempotency-key", ""),
        traceparent=found.get("traceparent"),
    )


def _refuse(context: grpc.ServicerContext, refusal: Refusal, language: str, span: Span) -> NoReturn:
    code = grpc_code(refusal)
    if code in {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}:
        telemetry.fail(span, refusal.reason.name)
    status = status_of(refusal, language)
    context.set_trailing_metadata(((DETAILS_KEY, status.SerializeToString()),))
    context.abort(code, refusal.reason.name)


def _handler(guard: Guard, operation: str, method: Method) -> Callable[[Message, grpc.ServicerContext], Message]:
    labels = {"operation": operation}
    attributes = {"rpc.system.name": "grpc", "rpc.method": operation}

    def handle(request: Message, context: grpc.ServicerContext) -> Message:
        started = time.perf_counter()
        meta = meta_of(context)
        left = context.time_remaining()
        deadline = time.monotonic() + (DEFAULT_SECONDS if left is None else left)
        code = "OK"
        with telemetry.span(operation, SpanKind.SERVER, meta.traceparent, attributes) as span:
            here = telemetry.traceparent(span) or meta.traceparent
            try:
                return guard.run(
                    method,
                    request,
                    Meta(meta.authorization, meta.language, meta.if_match, meta.idempotency_key, here),
                    lambda: deadline - time.monotonic(),
                )
            except Refusal as refusal:
                code = refusal.reason.code.value
                _refuse(context, refusal, meta.language, span)
            except Exception as error:  # noqa: BLE001 (the last line of defence: neutral text out, class and place in the log)
                code = "INTERNAL"
                telemetry.log.error("call failed", operation=operation, **telemetry.where(error))
                _refuse(context, Refusal(texts.INTERNAL), meta.language, span)
            finally:
                if span.is_recording():
                    span.set_attribute("rpc.response.status_code", code)
                telemetry.call_duration.record(time.perf_counter() - started, {**labels, "code": code})

    return handle


def _health() -> health.HealthServicer:
    """Health answered by a thread of its own, so that busy calls never make a probe fail."""
    servicer = health.HealthServicer()
    pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="health")
    check = type(servicer).Check

    def answer(request: health_pb2.HealthCheckRequest, context: grpc.ServicerContext) -> Any:
        return check(servicer, request, context)

    answer.experimental_thread_pool = pool  # type: ignore[attr-defined]
    servicer.Check = answer
    return servicer


def build_server(service: Service, guard: Guard) -> tuple[grpc.Server, health.HealthServicer]:
    """The server with every method of the service guarded; not started."""
    settings = service.settings
    server = grpc.server(
        ThreadPoolExecutor(max_workers=settings.grpc_threads, thread_name_prefix="grpc"),
        maximum_concurrent_rpcs=settings.grpc_max_concurrent,
        options=(
            ("grpc.so_reuseport", 1),
            ("grpc.max_connection_age_ms", MAX_CONNECTION_AGE_MS),
            ("grpc.max_connection_age_grace_ms", 30_000),
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
        ),
    )
    methods, requests = service.methods(), service.requests()
    by_service: dict[str, dict[str, grpc.RpcMethodHandler[Any, Any]]] = {}
    for operation, method in methods.items():
        name, _, rpc = operation.partition("/")
        by_service.setdefault(name, {})[rpc] = grpc.unary_unary_rpc_method_handler(
            _handler(guard, operation, method),
            request_deserializer=requests[operation].FromString,
            response_serializer=lambda reply: reply.SerializeToString(),
        )
    for name, handlers in by_service.items():
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, handlers),))
    probes = _health()
    health_pb2_grpc.add_HealthServicer_to_server(probes, server)
    if settings.grpc_reflection:
        reflection.enable_server_reflection((*by_service, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
    return server, probes


def serve(service: Service) -> None:
    """Serves until SIGTERM or SIGINT, then drains: not serving at once, calls under way get their time."""
    settings = service.settings
    telemetry.setup(service.name, settings.log_level)
    engine = make_engine(
        settings.database_url.get_secret_value(), pool_size=settings.grpc_threads + 1, name=f"dui-{service.name}-serve"
    )
    watch_sql(engine)
    tools = toolbox(service, engine)
    server, probes = build_server(service, Guard(tools))
    listen(server, settings.grpc_listen, "DUI_GRPC_LISTEN")
    stopping = threading.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda _number, _frame: stopping.set())
    server.start()
    probes.set("", health_pb2.HealthCheckResponse.SERVING)
    telemetry.log.info("serving", address=settings.grpc_listen)
    stopping.wait()
    telemetry.log.info("draining")
    probes.enter_graceful_shutdown()
    server.stop(settings.grpc_drain_seconds).wait()
    if isinstance(tools.refresher, Refresher):
        tools.refresher.close()
    engine.dispose()
    telemetry.shutdown()
