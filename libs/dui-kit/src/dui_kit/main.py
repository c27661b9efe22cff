"""The command of every service: `python -m dui_<name> serve | worker | migrate | streams | check`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from pydantic import SecretStr
from sqlalchemy.exc import SQLAlchemyError

from dui_kit.calls.server import serve
from dui_kit.db import migrate
from dui_kit.facts import OWNERS
from dui_kit.service import Service
from dui_kit.wire import telemetry

#: What each command cannot do without: fields of ServiceSettings.
_SERVING = ("database_url", "oidc_issuer", "oidc_client_id", "oidc_client_secret", "sealing_key")
_NEEDED = {
    "serve": _SERVING,
    "worker": ("database_url", "database_relay_url"),
    "migrate": ("database_owner_url",),
    "streams": ("nats_owner_url",),
    "check": (*_SERVING, "database_relay_url"),
}


def missing_settings(service: Service, command: str) -> list[str]:
    """Names of the settings that a command needs and that are not set, `DUI_…`."""
    needed = list(_NEEDED[command])
    if command in {"serve", "check"}:
        # Owners of facts are asked before a refusal: without their address, a new admission would be refused for a moment.
        needed += [f"{owner}_target" for owner in OWNERS if owner != service.name]
    settings = service.settings
    needed += settings.required(command)
    values = {name: getattr(settings, name) for name in needed}
    return [
        f"DUI_{name.upper()}"
        for name, value in values.items()
        if not (value.get_secret_value() if isinstance(value, SecretStr) else value)
    ]


def unready(service: Service, command: str) -> str:
    """What is wrong with what a service reads before it serves; empty: nothing."""
    if service.preflight is None or command not in {"serve", "check"}:
        return ""
    try:
        service.preflight()
    except (OSError, ValueError) as error:
        return str(error)
    return ""


def check(service: Service) -> int:
    """0 when every RPC has a rule and an answer and the schema is at the revision that this code expects."""
    service.methods()
    try:
        found, expected = migrate.revision_of(service.migrations, service.settings.database_url.get_secret_value())
    except SQLAlchemyError as error:
        telemetry.log.error("the database does not answer", setting="DUI_DATABASE_URL", error=type(error).__name__)
        return 1
    if found != expected:
        telemetry.log.error("the schema is not the expected one: run migrate", found=found, expected=expected)
        return 1
    telemetry.log.info("ready", revision=found)
    return 0


def main(name: str, build: Callable[[], Service]) -> None:
    """Runs one command of a service."""
    parser = argparse.ArgumentParser(prog=f"dui_{name}")
    parser.add_argument("command", choices=("serve", "worker", "migrate", "streams", "check"))
    chosen = parser.parse_args().command
    service = build()
    if missing := missing_settings(service, chosen):
        telemetry.setup(name, service.settings.log_level)
        telemetry.log.error("settings are missing", command=chosen, settings=", ".join(missing))
        sys.exit(2)
    if problem := unready(service, chosen):
        telemetry.setup(name, service.settings.log_level)
        telemetry.log.error("a file that is needed cannot be used", command=chosen, problem=problem)
        sys.exit(2)
    match chosen:
        case "serve":
            serve(service)
        case "worker":
            from dui_kit.worker import run

            sys.exit(run(service))
        case "migrate":
            telemetry.setup(name, service.settings.log_level)
            migrate.upgrade(service.migrations, service.settings.database_owner_url.get_secret_value())
            telemetry.log.info("the schema is the one of this code")
        case "streams":
            from dui_kit.worker.establish import establish

            telemetry.setup(name, service.settings.log_level)
            sys.exit(establish(service))
        case _:
            telemetry.setup(name, service.settings.log_level)
            sys.exit(check(service))
