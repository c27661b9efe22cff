"""Settings of a service: environment variables `DUI_*`, the same locally and in the chart."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class ServiceSettings(BaseSettings):
    """What every service is told. A service that needs more subclasses it."""

    model_config = SettingsConfigDict(env_prefix="DUI_", extra="ignore")

    #: `libpq` URL of the app role.
    database_url: SecretStr = SecretStr("")
    #: `libpq` URL of the owner role; migrations only.
    database_owner_url: SecretStr = SecretStr("")
    #: `libpq` URL of the relay role; worker only.
    database_relay_url: SecretStr = SecretStr("")

    nats_url: SecretStr = SecretStr("nats://127.0.0.1:4222")
    #: NATS, as an account that may make streams and consumers; `streams` only.
    nats_owner_url: SecretStr = SecretStr("")
    #: Replicas of each stream: 3 in production. This and the sizes: `streams` only, the same for all services.
    nats_replicas: int = Field(default=1, ge=1, le=5)
    #: Sizes in MiB: of each service's stream of events, of the stream of the journal, of that of the dead letters.
    nats_events_mib: int = Field(default=1024, ge=1)
    nats_journal_mib: int = Field(default=1024, ge=1)
    nats_dead_letters_mib: int = Field(default=256, ge=1)

    grpc_listen: str = "127.0.0.1:50051"
    #: Threads of a process: more of them fight for the interpreter lock; scale by processes.
    grpc_threads: int = Field(default=4, ge=1, le=64)
    #: Calls accepted at once, waiting ones included; more are refused with RESOURCE_EXHAUSTED.
    grpc_max_concurrent: int = Field(default=64, ge=1)
    #: Seconds that calls under way get to finish when the service is asked to stop.
    grpc_drain_seconds: float = 10.0
    grpc_reflection: bool = True
    #: Address of the worker's health; empty: none.
    worker_listen: str = ""

    #: gRPC targets of the owners of access facts, asked on a local denial; empty: not asked.
    identity_target: str = ""
    records_target: str = ""
    #: Seconds that an owner has to answer on a local denial.
    refresh_seconds: float = 0.3

    oidc_issuer: str = ""
    oidc_jwks_url: str = ""
    oidc_token_url: str = ""
    oidc_audience: str = "dui-api"
    #: Clients whose tokens are accepted (`azp`), comma separated.
    oidc_clients: str = "dui-web,dui-cli"
    #: Seconds for which a second factor opens what asks for one. The realm gives a token of an old code for 25 minutes, and a
    #: token lives for 5: with less than both together, somebody would be asked for a code that the realm does not ask for.
    step_up_seconds: float = Field(default=1800, gt=0)
    #: The service's own account.
    oidc_client_id: str = ""
    oidc_client_secret: SecretStr = SecretStr("")
    #: Where signing keys survive a restart while the identity provider is down.
    cache_dir: Path = Path(".dui/cache")

    #: 32 bytes in hexadecimal, the same for all replicas of the platform: seals page tokens and kept outcomes.
    sealing_key: SecretStr = SecretStr("")

    log_level: str = "INFO"

    def target(self, owner: str) -> str:
        """Where an owner of access facts is asked (`dui_kit.facts.OWNERS`); empty: not at all."""
        found: str = getattr(self, f"{owner}_target")
        return found

    def required(self, command: str) -> tuple[str, ...]:
        """Fields that a command of this service cannot do without, beyond those of every service."""
        del command
        return ()

    @property
    def clients(self) -> frozenset[str]:
        """Clients whose tokens are accepted."""
        return frozenset(name.strip() for name in self.oidc_clients.split(",") if name.strip())
