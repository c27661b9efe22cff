"""The command of every service: `python -m dui_<name> serve | worker | migrate | check`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from sqlalchemy.exc import SQLAlchemyError

from dui_kit import migrate, telemetry
from dui_kit.server import serve
from dui_kit.service import Service


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
    parser.add_argument("command", choices=("serve", "worker", "migrate", "check"))
    chosen = parser.parse_args().command
    service = build()
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
        case _:
            telemetry.setup(name, service.settings.log_level)
            sys.exit(check(service))
