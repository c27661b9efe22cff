"""Settings of the gateway: environment variables `DUI_*`, the same locally and in the chart."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from dui_gateway.limits import PATIENCE_SECONDS


class SettingError(ValueError):
    """A setting with which the gateway cannot start."""


class GatewaySettings(BaseSettings):
    """What the gateway is told. Limits are per process: with N processes a caller may reach N times as much."""

    model_config = SettingsConfigDict(env_prefix="DUI_", extra="ignore", frozen=True)

    #: Address of the public HTTP server.
    gateway_listen: str = "127.0.0.1:8080"
    #: Threads that run calls in one process, most of the time waiting for a body, a turn or a service. One person may hold as many
    #: as are free, one association three times as many.
    gateway_threads: int = Field(default=128, ge=4, le=512)
    #: Calls under way at once from one process to one service, half of them for one person at most; more wait for their turn, a
    #: second at most. Fewer than the service accepts (`DUI_GRPC_MAX_CONCURRENT`): it answers health checks and other services too.
    gateway_calls_at_once: int = Field(default=48, ge=1)
    #: Processes. Each has its own limits, key cache and connections.
    gateway_processes: int = Field(default=1, ge=1, le=64)
    #: Connections open at once in one process, idle ones included; more wait to be accepted.
    gateway_connections: int = Field(default=512, ge=16)
    #: Connections that may wait to be accepted.
    gateway_backlog: int = Field(default=1024, ge=128)
    #: Seconds that a connection may be idle: longer than the time after which a proxy in front closes its own, or it would send
    #: calls into a connection that ends.
    gateway_idle_seconds: float = Field(default=75.0, gt=0)
    #: Seconds that calls under way get to finish when the gateway is asked to stop.
    gateway_drain_seconds: int = Field(default=15, ge=1)
    #: Seconds that a call may take, retries included.
    gateway_call_seconds: float = Field(default=5.0, gt=0)
    #: Seconds in which a request must have come, head and body.
    gateway_body_seconds: float = Field(default=10.0, gt=0)

    #: gRPC target of each service: `127.0.0.1:50051`, or `dns:///records:50051` for a headless service.
    identity_target: str = ""
    records_target: str = ""
    medication_target: str = ""

    oidc_issuer: str = "http://127.0.0.1:8180/realms/dui"
    oidc_jwks_url: str = ""
    oidc_audience: str = "dui-api"
    #: Clients whose tokens are accepted (`azp`), comma separated.
    oidc_clients: str = "dui-web,dui-cli"
    #: Where the issuer's keys survive a restart while the issuer is down.
    cache_dir: Path = Path(".dui/cache/gateway")

    #: Origins of browsers that may call, comma separated; empty: none.
    cors_origins: str = ""
    #: Seconds of HTTP Strict Transport Security; 0 where TLS ends nowhere (a local stack).
    hsts_seconds: int = Field(default=0, ge=0)
    #: The longest request body.
    max_body_bytes: int = Field(default=1_048_576, ge=1024)
    #: The deepest nesting of a request body.
    max_json_depth: int = Field(default=16, ge=4)
    #: Calls a second that one person, or one association, may make of one process, and how many at once after a pause.
    rate_limit_subject_per_second: float = Field(default=1000.0, gt=0)
    rate_limit_subject_burst: int = Field(default=2000, ge=1)
    #: Of these, calls that write: more than a person types and than a round saves at once, less than a flood.
    rate_limit_write_per_second: float = Field(default=10.0, gt=0)
    rate_limit_write_burst: int = Field(default=300, ge=1)
    rate_limit_tenant_per_second: float = Field(default=3000.0, gt=0)
    rate_limit_tenant_burst: int = Field(default=6000, ge=1)

    log_level: str = "INFO"

    @property
    def listen(self) -> tuple[str, int]:
        """Host and port."""
        host, _, port = self.gateway_listen.rpartition(":")
        return host, int(port)

    @property
    def request_seconds(self) -> float:
        """Seconds from the first byte of a request to its answer: it comes, waits for its turn, and is answered by a service."""
        return self.gateway_body_seconds + PATIENCE_SECONDS + self.gateway_call_seconds + 1.0

    @property
    def clients(self) -> frozenset[str]:
        """Clients whose tokens are accepted."""
        return _names(self.oidc_clients)

    @cached_property
    def origins(self) -> frozenset[str]:
        """Origins of browsers that may call."""
        return _names(self.cors_origins)

    @property
    def jwks_url(self) -> str:
        """Where the issuer's keys are."""
        return self.oidc_jwks_url or f"{self.oidc_issuer}/protocol/openid-connect/certs"

    def target(self, service: str) -> str:
        """gRPC target of a service; `SettingError` when it is not set."""
        found = getattr(self, f"{service}_target", "")
        if not found:
            raise SettingError(
                f"DUI_{service.upper()}_TARGET is not set: the gateway has nowhere to send {service} calls"
            )
        return str(found)


def _names(text: str) -> frozenset[str]:
    return frozenset(name.strip() for name in text.split(",") if name.strip())
