"""What the supervisor runs: for each program its command, its settings, and what it waits for."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from dui_ops.state import Program, State

from dui_local import keycloak, nats, postgres
from dui_local.layout import Layout
from dui_local.services import SERVICES

# Settings of the caller that reach the platform's programs as they are (`DUI_LOG_LEVEL=debug make up`).
_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "JAVA_HOME", "DUI_LOG_LEVEL")
_PASSED_ON_PREFIXES = ("OTEL_", "DUI_GATEWAY_", "DUI_RATE_LIMIT_", "DUI_GRPC_", "DUI_CORS_", "DUI_MAX_", "GRPC_")


def programs(layout: Layout, state: State, secrets: Mapping[str, str], distribution: Path) -> dict[str, Program]:
    """Every supervised program by name, in start order."""
    ports = state["ports"]
    nats_conf = nats.write_configuration(layout, SERVICES, secrets, ports["nats"], ports["nats_monitor"])
    keycloak_home = keycloak.prepare(layout, distribution)
    all_programs = {
        "postgres": _program(
            layout,
            "postgres",
            "postgres",
            [str(Path(state["postgres"]["bin"]) / "postgres"), "-D", str(postgres.data_folder(layout))],
            {"PATH": os.defpath, "LC_ALL": "C"},
        ),
        "nats": _program(layout, "nats", "nats", [str(nats.binary()), "-c", str(nats_conf)], {"PATH": os.defpath}),
        "keycloak": _program(
            layout,
            "keycloak",
            "keycloak",
            keycloak.command(keycloak_home),
            _inherited()
            | keycloak.environment(
                ports, secrets, state["keycloak"]["admin_username"], state["keycloak"]["admin_client_id"]
            ),
            needs=["postgres"],
        ),
    }
    for name in SERVICES:
        for kind, program, verb, needs in (
            ("service", name, "serve", ["postgres"]),
            ("worker", f"{name}-worker", "worker", ["postgres", "nats"]),
        ):
            command = [sys.executable, "-m", f"dui_{name}", verb]
            environment = service_env(layout, state, secrets, name, program)
            all_programs[program] = _program(layout, program, kind, command, environment, needs)
    all_programs["gateway"] = _program(
        layout, "gateway", "gateway", [sys.executable, "-m", "dui_gateway", "serve"], gateway_env(layout, state)
    )
    return all_programs


def service_env(layout: Layout, state: State, secrets: Mapping[str, str], name: str, program: str) -> dict[str, str]:
    """The settings of a service's process (`program` is the service, or its worker)."""
    service, ports = state["services"][name], state["ports"]
    database = service["database"]
    paths = {
        "secrets": str(layout.secrets),
        "audit_heads": str(layout.audit_heads),
        "keycloak_url": state["keycloak"]["url"],
        "keycloak_realm": state["keycloak"]["realm"],
    }
    own = {key: value.format_map(paths) for key, value in SERVICES[name].settings.items()}
    return (
        {"DUI_GRPC_THREADS": "4", "DUI_GRPC_MAX_CONCURRENT": "64"}
        | _platform_env(state)
        | _inherited()
        | {
            "DUI_DATABASE_URL": database["app_url"],
            "DUI_DATABASE_RELAY_URL": database["relay_url"],
            "DUI_NATS_URL": service["nats_url"],
            "DUI_GRPC_LISTEN": service["target"],
            "DUI_WORKER_LISTEN": f"127.0.0.1:{ports[f'{name}_worker']}",
            "DUI_OIDC_CLIENT_ID": service["client_id"],
            "DUI_OIDC_CLIENT_SECRET": service["client_secret"],
            "DUI_CACHE_DIR": _cache(layout, program),
            "DUI_SEALING_KEY": secrets["sealing-key"],
            # An owner of access facts does not ask itself; identity without its own target knows that it owns the rights.
            f"DUI_{name.upper()}_TARGET": "",
        }
        | own
    )


def owner_env(state: State, name: str) -> dict[str, str]:
    """The settings of `migrate` and `streams`: those of the service, with what owns the database and the streams, which no running
    process knows."""
    return state["programs"][name]["env"] | {
        "DUI_DATABASE_OWNER_URL": state["services"][name]["database"]["owner_url"],
        "DUI_NATS_OWNER_URL": state["nats"]["admin_url"],
    }


def gateway_env(layout: Layout, state: State) -> dict[str, str]:
    """The settings of the gateway."""
    ports = state["ports"]
    return (
        _platform_env(state)
        | _inherited()
        | {
            "DUI_GATEWAY_LISTEN": f"127.0.0.1:{ports['gateway']}",
            "DUI_CACHE_DIR": _cache(layout, "gateway"),
        }
    )


def _platform_env(state: State) -> dict[str, str]:
    urls = state["urls"]
    return {
        "TZ": "UTC",
        "PYTHONUNBUFFERED": "1",
        "DUI_OIDC_ISSUER": urls["issuer"],
        "DUI_OIDC_JWKS_URL": urls["jwks"],
        "DUI_OIDC_TOKEN_URL": f"{urls['issuer']}/protocol/openid-connect/token",
        "DUI_OIDC_AUDIENCE": "dui-api",
        "DUI_OIDC_CLIENTS": "dui-web,dui-cli",
        "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": "0.1",
    } | {f"DUI_{name.upper()}_TARGET": service["target"] for name, service in state["services"].items()}


def _inherited() -> dict[str, str]:
    return {
        name: value for name, value in os.environ.items() if name in _PASSED_ON or name.startswith(_PASSED_ON_PREFIXES)
    }


def _cache(layout: Layout, program: str) -> str:
    folder = layout.cache / program
    folder.mkdir(mode=0o700, exist_ok=True)
    return str(folder)


def _program(
    layout: Layout, name: str, kind: str, argv: list[str], env: dict[str, str], needs: list[str] | None = None
) -> Program:
    return {"kind": kind, "argv": argv, "env": env, "needs": needs or [], "log": str(layout.log / f"{name}.log")}
