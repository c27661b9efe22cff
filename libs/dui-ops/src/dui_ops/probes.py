"""Whether each part of a stack answers: the same questions for `make up`, the launcher of each program and `dui status`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import grpc
import httpx
import psycopg
from grpc_health.v1 import health_pb2, health_pb2_grpc

from dui_ops.state import State
from dui_ops.supervision import Supervisor

TIMEOUT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Probe:
    """The answer of one part: `detail` says what it answered, or what is wrong, in a few words."""

    name: str
    ok: bool
    detail: str


def postgres(state: State) -> Probe:
    """PostgreSQL accepts a login and answers a query."""
    try:
        with psycopg.connect(state["postgres"]["superuser_url"], connect_timeout=2) as connection:
            row = connection.execute("select current_setting('server_version')").fetchone()
    except psycopg.Error as error:
        return Probe("postgres", False, _one_line(error))
    return Probe("postgres", True, f"PostgreSQL {row[0].split()[0]}" if row else "no answer")


def nats(state: State) -> Probe:
    """NATS is healthy, JetStream included (its own health endpoint tells)."""
    return _http("nats", f"{state['urls']['nats_monitor']}/healthz", "NATS with JetStream")


def keycloak(state: State) -> Probe:
    """Keycloak is ready, its database included."""
    return _http("keycloak", f"{state['urls']['keycloak_management']}/health/ready", "Keycloak")


def service(state: State, name: str) -> Probe:
    """A service, or a worker, says SERVING to the gRPC health check. (A worker does while NATS is there and its relay
    moves.)"""
    environment = state["programs"][name]["env"]
    target = environment["DUI_WORKER_LISTEN" if state["programs"][name]["kind"] == "worker" else "DUI_GRPC_LISTEN"]
    try:
        with grpc.insecure_channel(target) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_SECONDS)
    except grpc.RpcError as error:
        # What a call raises is also its `grpc.Call`, with the status; the types do not say so.
        code = getattr(error, "code", lambda: None)()
        return Probe(name, False, f"{code.name if code else type(error).__name__} at {target}")
    status = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
    return Probe(name, status == "SERVING", f"{status} at {target}")


def gateway(state: State) -> Probe:
    """The gateway is ready to take requests."""
    return _http("gateway", f"{state['urls']['gateway']}/readyz", "ready")


def programs(state: State) -> list[Probe]:
    """Each supervised program runs."""
    return [
        Probe(f"{each.name} (process)", each.running, f"{each.state} {each.detail}".strip())
        for each in Supervisor(state).programs()
    ]


def answers(state: State) -> list[Probe]:
    """What every part answers over its own protocol, in start order."""
    return [probe_of(state, name)() for name in state["programs"]]


def probe_of(state: State, name: str) -> Callable[[], Probe]:
    """The question to ask a program of the stack."""
    match state["programs"][name]["kind"]:
        case "postgres":
            return lambda: postgres(state)
        case "nats":
            return lambda: nats(state)
        case "keycloak":
            return lambda: keycloak(state)
        case "service" | "worker":
            return lambda: service(state, name)
        case "gateway":
            return lambda: gateway(state)
        case other:
            raise ValueError(f"unknown kind of program: {other}")


def _http(name: str, url: str, healthy: str) -> Probe:
    try:
        # trust_env: a proxy of the machine has no part in a call to the loopback address.
        response = httpx.get(url, timeout=TIMEOUT_SECONDS, trust_env=False)
    except httpx.HTTPError as error:
        return Probe(name, False, f"{type(error).__name__} at {url}")
    detail = healthy if response.is_success else f"HTTP {response.status_code}"
    return Probe(name, response.is_success, f"{detail} at {url}")


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:160]
