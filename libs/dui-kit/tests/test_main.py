"""A program that lacks a setting says which ones, all of them, before it does anything; and one whose port is taken, which."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from dui_kit.calls.snapshots import SOURCES
from dui_kit.facts import OWNERS
from dui_kit.main import missing_settings, unready
from dui_kit.service import Service
from dui_kit.settings import ServiceSettings
from dui_kit.signing import SigningKey
from pydantic import SecretStr


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ServiceSettings.model_fields:
        monkeypatch.delenv(f"DUI_{name.upper()}", raising=False)


def service(name: str, **settings: str) -> Service:
    return Service(name, ServiceSettings(**settings), (), f"dui_{name}.migrations")  # type: ignore[arg-type]


def test_every_missing_setting_is_named() -> None:
    serving = {"DUI_DATABASE_URL", "DUI_OIDC_ISSUER", "DUI_OIDC_CLIENT_ID", "DUI_OIDC_CLIENT_SECRET", "DUI_SEALING_KEY"}
    owners = {"DUI_IDENTITY_TARGET", "DUI_RECORDS_TARGET"}
    assert set(missing_settings(service("planning"), "serve")) == serving | owners
    assert set(missing_settings(service("planning"), "check")) == serving | owners | {"DUI_DATABASE_RELAY_URL"}
    assert set(missing_settings(service("planning"), "worker")) == {"DUI_DATABASE_URL", "DUI_DATABASE_RELAY_URL"}
    assert missing_settings(service("planning"), "migrate") == ["DUI_DATABASE_OWNER_URL"]
    assert missing_settings(service("planning"), "streams") == ["DUI_NATS_OWNER_URL"]


def test_a_service_does_not_need_its_own_address() -> None:
    assert "DUI_IDENTITY_TARGET" not in missing_settings(service("identity"), "serve")
    assert "DUI_RECORDS_TARGET" in missing_settings(service("identity"), "serve")


class Planning(ServiceSettings):
    """Settings of a service that asks another one."""

    documents_target: str = ""

    def required(self, command: str) -> tuple[str, ...]:
        return ("documents_target",) if command == "worker" else ()


def test_what_a_service_alone_cannot_do_without_is_named_too() -> None:
    settings = Planning(database_url=SecretStr("postgresql://"), database_relay_url=SecretStr("postgresql://"))
    planning = Service("planning", settings, (), "dui_planning.migrations")
    assert missing_settings(planning, "worker") == ["DUI_DOCUMENTS_TARGET"]
    assert "DUI_DOCUMENTS_TARGET" not in missing_settings(planning, "serve")


def test_what_is_set_is_not_missing() -> None:
    found = service("planning", database_url="postgresql://", database_relay_url="postgresql://")
    assert missing_settings(found, "worker") == []


def test_every_owner_of_facts_can_be_asked_and_has_a_setting_that_says_where() -> None:
    assert set(SOURCES) == set(OWNERS)
    found = ServiceSettings(**{f"{owner}_target": f"{owner}:50051" for owner in OWNERS})  # type: ignore[arg-type]
    assert {owner: found.target(owner) for owner in OWNERS} == {owner: f"{owner}:50051" for owner in OWNERS}


#: In a process of its own, as the program that sets its own logs up.
PROGRAM = """
from dui_kit.main import main
from dui_kit.service import Service
from dui_kit.settings import ServiceSettings
settings = ServiceSettings(database_url="postgresql://")
main("planning", lambda: Service("planning", settings, (), "dui_planning.migrations"))
"""


def test_the_program_ends_and_says_so() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "serve"], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 2
    [line] = done.stdout.splitlines()
    said = json.loads(line)
    assert said["message"] == "settings are missing"
    assert "DUI_OIDC_ISSUER" in said["settings"]
    assert "DUI_DATABASE_URL" not in said["settings"]


TAKEN = """
from dui_kit.main import main
from dui_kit.service import Service
from dui_kit.settings import ServiceSettings
nowhere = "postgresql://nobody@127.0.0.1:1/nothing"
settings = ServiceSettings(
    database_url=nowhere, database_relay_url=nowhere, sealing_key="11" * 32, oidc_issuer="http://127.0.0.1:1",
    oidc_client_id="dui-planning", oidc_client_secret="x", identity_target="127.0.0.1:1", records_target="127.0.0.1:1",
)
main("planning", lambda: Service("planning", settings, (), "dui_planning.migrations"))
"""


@pytest.mark.parametrize(("command", "setting"), [("serve", "DUI_GRPC_LISTEN"), ("worker", "DUI_WORKER_LISTEN")])
def test_a_taken_port_is_the_last_that_a_program_says(command: str, setting: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        address = f"127.0.0.1:{holder.getsockname()[1]}"
        done = subprocess.run(
            [sys.executable, "-c", TAKEN, command],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env={**os.environ, setting: address},
        )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"cannot listen on {address}: set {setting} to a free port"


def test_a_service_that_needs_a_file_says_before_it_serves_what_is_wrong_with_it(tmp_path: Path) -> None:
    key = tmp_path / "signing.pem"
    needing = replace(service("planning"), preflight=lambda: SigningKey(key))
    assert "signing.pem" in unready(needing, "serve")
    key.write_text("no key")
    assert unready(needing, "check") == "signing.pem holds no key in PEM"
    assert unready(needing, "migrate") == ""
    assert unready(service("planning"), "serve") == ""
