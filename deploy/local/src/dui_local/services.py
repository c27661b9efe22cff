"""The services of the platform. To add one to the local stack, add its entry to `SERVICES`: database and roles, NATS
account, service account in Keycloak, ports, programs and settings all follow from it."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from dui_kit.service import Service


@dataclass(frozen=True, slots=True)
class ServiceEntry:
    """What the local stack must know of a service. Its module `dui_<name>` has `serve`, `worker`, `migrate` and `streams`.

    `settings` are settings of this service alone, over those that all services have; `{…}` stands for a path of the
    stack (see `programs.service_env`).
    """

    port: int
    worker_port: int
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def ports(self) -> dict[str, int]:
        return {"": self.port, "_worker": self.worker_port}


SERVICES: dict[str, ServiceEntry] = {
    "identity": ServiceEntry(
        port=10151,
        worker_port=10251,
        settings={
            "DUI_KEYCLOAK_URL": "{keycloak_url}",
            "DUI_KEYCLOAK_REALM": "{keycloak_realm}",
            "DUI_AUDIT_SIGNING_KEY_FILE": "{secrets}/audit-signing.pem",
            "DUI_AUDIT_HEADS_DIR": "{audit_heads}",
            "DUI_AUDIT_EXPORT_SECONDS": "3600",
        },
    ),
    "records": ServiceEntry(port=10152, worker_port=10252),
    "medication": ServiceEntry(
        port=10153,
        worker_port=10253,
        settings={"DUI_PRESCRIPTION_SIGNING_KEY_FILE": "{secrets}/prescription-signing.pem"},
    ),
}


def composition(name: str) -> Service:
    """What a service is made of, as its composition root says."""
    service: Service = importlib.import_module(f"dui_{name}.app").build()
    return service


# Default ports of everything; DUI_PORT_<NAME> moves one.
DEFAULT_PORTS: dict[str, int] = {
    "gateway": 8080,
    "keycloak": 8180,
    "keycloak_management": 9180,
    "postgres": 5532,
    "nats": 4322,
    "nats_monitor": 8322,
} | {f"{name}{suffix}": port for name, entry in SERVICES.items() for suffix, port in entry.ports.items()}
