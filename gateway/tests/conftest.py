"""A real gRPC server behind the gateway: it takes every method of the contract and answers what a test told it to."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import grpc
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from dui_gateway import contract
from dui_gateway.app import build
from dui_gateway.flask_app import Gateway
from dui_gateway.settings import GatewaySettings
from dui_gateway.upstream import Upstream
from dui_kit.errors import Refusal
from dui_kit.wire.jwks import KeySet
from dui_kit.wire.status import DETAILS_KEY, grpc_code, status_of
from dui_kit.wire.tokens import TokenVerifier
from google.protobuf.message import Message
from grpc_health.v1 import health, health_pb2_grpc

ISSUER = "https://login.example/realms/dui"
TENANT = "0190a1b2-0000-7000-8000-000000000001"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)

Answer = Callable[[Any, grpc.ServicerContext], Message]


@dataclass
class Received:
    """One call as the service saw it."""

    rpc: str
    request: Any
    metadata: dict[str, str]
    time_remaining: float


def _nothing(operation: contract.Operation) -> Message:
    """An empty answer; a file is one of its kind."""
    answer = operation.response()
    if operation.content_type:
        file: Any = getattr(answer, operation.response_body) if operation.response_body else answer
        file.content_type = operation.content_type
    return answer


@dataclass
class Backend(grpc.GenericRpcHandler):
    """Every service of the contract. `answers` by RPC name; without one, an empty answer."""

    answers: dict[str, Answer] = field(default_factory=dict)
    received: list[Received] = field(default_factory=list)
    target: str = ""

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        operation = next((one for one in contract.operations() if one.rpc == details.method), None)
        if operation is None:
            return None

        def answer(request: Any, context: grpc.ServicerContext) -> Message:
            metadata = {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}
            self.received.append(Received(operation.name, request, metadata, context.time_remaining() or 0))
            try:
                told = self.answers.get(operation.name)
                return told(request, context) if told else _nothing(operation)
            except Refusal as refusal:
                status = status_of(refusal, metadata.get("accept-language", "fr"))
                context.set_trailing_metadata(((DETAILS_KEY, status.SerializeToString()),))
                context.abort(grpc_code(refusal), refusal.reason.name)
                raise AssertionError from None

        return grpc.unary_unary_rpc_method_handler(
            answer,
            request_deserializer=operation.request.FromString,
            response_serializer=operation.response.SerializeToString,
        )

    @property
    def last(self) -> Received:
        return self.received[-1]


@pytest.fixture(scope="session")
def server() -> Iterator[Backend]:
    backend = Backend()
    server = grpc.server(ThreadPoolExecutor(max_workers=8))
    server.add_generic_rpc_handlers((backend,))
    health_pb2_grpc.add_HealthServicer_to_server(health.HealthServicer(), server)
    backend.target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield backend
    server.stop(0).wait()


@pytest.fixture
def backend(server: Backend) -> Backend:
    server.answers.clear()
    server.received.clear()
    return server


@pytest.fixture(scope="session")
def keys() -> KeySet:
    public = json.loads(jwt.get_algorithm_by_name("RS256").to_jwk(KEY.public_key()))
    document = json.dumps({"keys": [{**public, "kid": "k1", "alg": "RS256", "use": "sig"}]}).encode()
    return KeySet("https://login.example/certs", None, fetch=lambda _url: document)


Build = Callable[..., Gateway]


def targets_of(server: Backend) -> dict[str, Any]:
    """The settings that send the calls for every service to one server."""
    return {f"{service}_target": server.target for service in contract.service_names()}


def settings_of(server: Backend, **changes: Any) -> GatewaySettings:
    """Settings for that server, which no variable of the environment changes."""
    with pytest.MonkeyPatch.context() as environment:
        for name in [name for name in os.environ if name.startswith("DUI_")]:
            environment.delenv(name)
        return GatewaySettings(**targets_of(server), **changes)


@pytest.fixture
def make(server: Backend, keys: KeySet) -> Iterator[Build]:
    """Builds a gateway with other settings."""
    upstreams: list[Upstream] = []

    def made(**changes: Any) -> Gateway:
        settings = settings_of(server, **changes)
        targets = {service: settings.target(service) for service in contract.service_names()}
        upstream = Upstream(targets, call_seconds=settings.gateway_call_seconds, pause=lambda _seconds: None)
        upstreams.append(upstream)
        verifier = TokenVerifier(ISSUER, "dui-api", settings.clients, "", None, keys=keys)
        return build(settings, verifier=verifier, upstream=upstream)

    yield made
    for upstream in upstreams:
        upstream.close()


@pytest.fixture(scope="session")
def shared_app(server: Backend, keys: KeySet) -> Iterator[Gateway]:
    # One person writes in all of these tests.
    settings = settings_of(server, rate_limit_write_per_second=1e6)
    upstream = Upstream(
        dict.fromkeys(contract.service_names(), server.target), call_seconds=5, pause=lambda _seconds: None
    )
    yield build(
        settings, verifier=TokenVerifier(ISSUER, "dui-api", settings.clients, "", None, keys=keys), upstream=upstream
    )
    upstream.close()


def sign(**changes: Any) -> str:
    """An access token of the issuer; a claim set to None is left out."""
    now = int(time.time())
    claims = {
        "iss": ISSUER,
        "aud": "dui-api",
        "azp": "dui-web",
        "sub": "subject-1",
        "typ": "Bearer",
        "iat": now,
        "exp": now + 300,
        "acr": "1",
        "organization": {"les-tilleuls": {"id": "o1", "tenant_id": [TENANT]}},
        **changes,
    }
    kept = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(kept, KEY, "RS256", headers={"kid": "k1"})


@pytest.fixture(scope="session")
def token() -> Callable[..., str]:
    return sign


@dataclass
class Caller:
    """Calls the gateway as a person with a valid token."""

    app: Gateway
    raw: str

    def __call__(self, verb: str, path: str, *, headers: dict[str, str] | None = None, **options: Any) -> Any:
        return self.app.test_client().open(
            path, method=verb, headers={"Authorization": f"Bearer {self.raw}", **(headers or {})}, **options
        )


@pytest.fixture
def call(shared_app: Gateway, backend: Backend) -> Caller:
    return Caller(shared_app, sign())


@pytest.fixture
def caller_of() -> Callable[[Gateway], Caller]:
    return lambda app: Caller(app, sign())
