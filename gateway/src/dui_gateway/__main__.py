"""`python -m dui_gateway serve | check | openapi`."""

from __future__ import annotations

import argparse
import socket
import sys
from typing import Any

from dui_gateway import contract
from dui_gateway.settings import GatewaySettings, SettingError

# Threads beside those that callers may hold (`limits.Share`): they answer probes, and whoever is refused.
KEPT_THREADS = 4

# The server's own lines, in the form of all others. (Not propagated: its processes have other handlers than this one.)
_LOGS: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"generic": {"()": "dui_kit.wire.logs.Library", "service": "gateway"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "generic", "stream": "ext://sys.stdout"}},
    "loggers": {"_granian": {"handlers": ["console"], "level": "WARNING", "propagate": False}},
}


def serve(settings: GatewaySettings) -> int:
    """Runs the HTTP server until SIGTERM or SIGINT; calls under way are finished first."""
    from granian import Granian
    from granian.constants import HTTPModes, Interfaces
    from granian.http import HTTP1Settings
    from granian.log import LogLevels

    # Checked here too, where the message reaches whoever starts the gateway.
    for service in sorted(contract.service_names()):
        settings.target(service)
    host, port = settings.listen
    _refuse_taken_address(host, port)
    Granian(
        "dui_gateway.app:create",
        factory=True,
        address=host,
        port=port,
        interface=Interfaces.WSGI,
        http=HTTPModes.http1,
        workers=settings.gateway_processes,
        blocking_threads=settings.gateway_threads + KEPT_THREADS,
        backlog=settings.gateway_backlog,
        # What granian calls backpressure counts connections, not calls.
        backpressure=settings.gateway_connections,
        # Heads beyond the buffer are refused; a body goes through it in pieces. The one time that the server knows is that of a
        # head, which begins when the connection opens or its last answer has gone: so it is that of an idle connection too.
        http1_settings=HTTP1Settings(
            max_buffer_size=65_536, header_read_timeout=round(settings.gateway_idle_seconds * 1000)
        ),
        runtime_threads=1,
        websockets=False,
        workers_kill_timeout=settings.gateway_drain_seconds,
        respawn_failed_workers=True,
        log_level=LogLevels.warning,
        log_dictconfig=_LOGS,
        log_access=False,
    ).serve()
    return 0


def _refuse_taken_address(host: str, port: int) -> None:
    """`SettingError` when somebody listens there. The server binds with SO_REUSEPORT: a second gateway on the same address would
    silently take half of the requests."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise SettingError(f"DUI_GATEWAY_LISTEN={host}:{port}: {error.strerror}") from error


def check(settings: GatewaySettings) -> int:
    """0 when the whole contract can be served with these settings."""
    from dui_gateway.app import build

    build(settings)
    return 0


def print_openapi(settings: GatewaySettings) -> int:
    """Writes the OpenAPI document to standard output, indented, as it is kept in docs/openapi.json."""
    from dui_gateway.openapi import text

    sys.stdout.write(text(contract.operations(), settings.oidc_issuer))
    return 0


def main() -> int:
    """Runs one command."""
    commands = {"serve": serve, "check": check, "openapi": print_openapi}
    parser = argparse.ArgumentParser(prog="dui_gateway")
    parser.add_argument("command", choices=sorted(commands))
    command = commands[parser.parse_args().command]
    try:
        return command(GatewaySettings())
    except SettingError as error:
        print(error, file=sys.stderr)  # noqa: T201 (for whoever starts it)
        return 2


if __name__ == "__main__":
    sys.exit(main())
