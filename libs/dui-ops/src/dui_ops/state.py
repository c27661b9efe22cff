"""The state file of the local stack: where its parts listen, and with which secrets.

`make up` and `python -m dui_local run` write it (mode 0600); every tool that talks to a running stack reads it here.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, TypedDict, cast

VERSION = 1


class StackError(Exception):
    """What is wrong with the stack, in a sentence that a person can act on."""


def no_answer(part: str, address: str) -> str:
    """The sentence about a part of the platform that cannot be reached. `address` holds no password."""
    return f"{part} does not answer at {address}: start it (`make up` starts the local stack)"


class Urls(TypedDict):
    gateway: str
    docs: str
    openapi: str
    keycloak: str
    keycloak_management: str
    issuer: str
    jwks: str
    nats_monitor: str


class Postgres(TypedDict):
    host: str
    port: int
    superuser_url: str
    bin: str
    data: str


class Nats(TypedDict):
    admin_url: str


class Keycloak(TypedDict):
    url: str
    realm: str
    admin_client_id: str
    admin_client_secret: str
    admin_username: str
    admin_password: str


class Database(TypedDict):
    name: str
    owner_url: str
    app_url: str
    relay_url: str
    superuser_url: str


class Service(TypedDict):
    target: str
    client_id: str
    client_secret: str
    nats_url: str
    database: Database


class Program(TypedDict):
    kind: str
    argv: list[str]
    env: dict[str, str]
    needs: list[str]
    log: str


class SupervisorState(TypedDict):
    socket: str


class Association(TypedDict):
    alias: str
    name: str
    tenant_id: str


class Account(TypedDict):
    username: str
    password: str
    otp_secret: str | None
    subject: str
    name: str
    profession: str
    role: str
    association: Association


class State(TypedDict):
    """`state.json`. `accounts` and `seed` are written by the demo seed; all else by the stack itself."""

    version: int
    home: str
    urls: Urls
    ports: dict[str, int]
    postgres: Postgres
    nats: Nats
    keycloak: Keycloak
    services: dict[str, Service]
    programs: dict[str, Program]
    supervisor: SupervisorState
    accounts: list[Account]
    seed: dict[str, Any]


def home() -> Path:
    """The folder of the local stack: `$DUI_HOME`, else `.dui` at the root of the checkout that the caller stands in."""
    if configured := os.environ.get("DUI_HOME"):
        return Path(configured).expanduser().absolute()
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "pyproject.toml").is_file() and (folder / "deploy" / "local").is_dir():
            return folder / ".dui"
    return here / ".dui"


def state_path() -> Path:
    """The state file that applies to the caller: `$DUI_STACK`, else the one in `home()`."""
    if configured := os.environ.get("DUI_STACK"):
        return Path(configured)
    return home() / "state.json"


def load(path: Path | None = None) -> State:
    """Reads a state file.

    Raises:
        StackError: there is none, or another version of the platform wrote it.
    """
    path = path or state_path()
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StackError(f"no local stack here ({path} does not exist): start one with `make up`") from None
    if state.get("version") != VERSION:
        raise StackError(f"{path} was written by another version of the platform: run `make up` again")
    return cast("State", state)


def save(state: State, path: Path | None = None) -> None:
    """Writes a state file so that a reader sees the old one or the new one, readable by its owner only."""
    path = path or Path(state["home"]) / "state.json"
    draft = path.with_suffix(f".{os.getpid()}.tmp")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(state, file, indent=2, ensure_ascii=False)
    draft.replace(path)


def account(state: State, username: str) -> Account:
    """A demo account by its username.

    Raises:
        StackError: no demo account has that name; the message lists those there are.
    """
    for candidate in state["accounts"]:
        if candidate["username"] == username:
            return candidate
    known = ", ".join(sorted(each["username"] for each in state["accounts"])) or "none: run `python -m dui_local seed`"
    raise StackError(f"no demo account named {username!r} (known: {known})")
