"""The state file of a stack (its shape and its reading are `dui_ops.state`'s), and how it is made."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dui_ops.state import VERSION, Database, Service, StackError, State, home, load, save, state_path

from dui_local import postgres, programs
from dui_local.layout import Layout
from dui_local.services import SERVICES

__all__ = ["StackError", "State", "build", "home", "load", "save", "state_path"]

REALM = "dui"
ADMIN = "admin"
BOOTSTRAP_CLIENT = "dui-bootstrap"


def build(layout: Layout, ports: Mapping[str, int], secrets: Mapping[str, str], distribution: Path) -> State:
    """The state of a stack that is about to start. Accounts and seed of an earlier start are kept."""
    origins = {
        name: f"http://127.0.0.1:{ports[name]}"
        for name in ("gateway", "keycloak", "keycloak_management", "nats_monitor")
    }
    issuer = f"{origins['keycloak']}/realms/{REALM}"
    state: State = {
        "version": VERSION,
        "home": str(layout.home),
        "urls": {
            "gateway": origins["gateway"],
            "docs": f"{origins['gateway']}/docs",
            "openapi": f"{origins['gateway']}/openapi.json",
            "keycloak": origins["keycloak"],
            "keycloak_management": origins["keycloak_management"],
            "issuer": issuer,
            "jwks": f"{issuer}/protocol/openid-connect/certs",
            "nats_monitor": origins["nats_monitor"],
        },
        "ports": dict(ports),
        "postgres": {
            "host": "127.0.0.1",
            "port": ports["postgres"],
            "superuser_url": _database_url(ports, "postgres", secrets["postgres"], "postgres"),
            "bin": str(postgres.binaries(layout)),
            "data": str(postgres.data_folder(layout)),
        },
        "nats": {"admin_url": f"nats://admin:{secrets['nats/admin']}@127.0.0.1:{ports['nats']}"},
        "keycloak": {
            "url": origins["keycloak"],
            "realm": REALM,
            "admin_client_id": BOOTSTRAP_CLIENT,
            "admin_client_secret": secrets["keycloak/bootstrap"],
            "admin_username": ADMIN,
            "admin_password": secrets["keycloak/admin"],
        },
        "services": {name: _service(name, ports, secrets) for name in SERVICES},
        "programs": {},
        "supervisor": {"socket": str(layout.supervisor_socket)},
        "accounts": [],
        "seed": {},
    }
    state["programs"] = programs.programs(layout, state, secrets, distribution)
    if layout.state.exists():
        try:
            earlier = load(layout.state)
        except StackError:  # of another version: its seed is made again
            return state
        state["accounts"], state["seed"] = earlier["accounts"], earlier["seed"]
    return state


def _service(name: str, ports: Mapping[str, int], secrets: Mapping[str, str]) -> Service:
    return {
        "target": f"127.0.0.1:{ports[name]}",
        "client_id": f"dui-{name}",
        "client_secret": secrets[f"{name}/client"],
        "nats_url": f"nats://{name}:{secrets[f'{name}/nats']}@127.0.0.1:{ports['nats']}",
        "database": Database(
            name=name,
            owner_url=_database_url(ports, f"{name}_owner", secrets[f"{name}/owner"], name),
            app_url=_database_url(ports, f"{name}_app", secrets[f"{name}/app"], name),
            relay_url=_database_url(ports, f"{name}_relay", secrets[f"{name}/relay"], name),
            superuser_url=_database_url(ports, "postgres", secrets["postgres"], name),
        ),
    }


def _database_url(ports: Mapping[str, int], role: str, password: str, database: str) -> str:
    return f"postgresql://{role}:{password}@127.0.0.1:{ports['postgres']}/{database}"
