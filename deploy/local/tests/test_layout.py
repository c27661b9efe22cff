"""Where the stack keeps its things, and who may read them."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from dui_local import credentials
from dui_local.layout import Layout
from dui_ops.state import StackError, load


def layout(folder: Path) -> Layout:
    made = Layout(folder / "home")
    made.create()
    return made


def test_nobody_else_can_read_the_folder_or_the_secrets(tmp_path: Path) -> None:
    home = layout(tmp_path)
    secrets = credentials.ensure(home, ["identity"])
    credentials.ensure_signing_keys(home)
    assert home.home.stat().st_mode & 0o066 == 0
    assert home.secrets.stat().st_mode & 0o077 == 0
    files = list(home.secrets.iterdir())
    assert len(files) == 3  # passwords, and the keys that sign the journal and prescriptions
    assert all(file.stat().st_mode & 0o077 == 0 for file in files)
    assert len(set(secrets.values())) == len(secrets)


def test_secrets_are_made_once_and_a_new_service_gets_its_own(tmp_path: Path) -> None:
    home = layout(tmp_path)
    first = credentials.ensure(home, ["identity"])
    second = credentials.ensure(home, ["identity", "records"])
    assert first.items() <= second.items()
    assert {"records/owner", "records/app", "records/relay", "records/nats", "records/client"} <= second.keys()


def test_a_run_takes_over_the_secrets_of_the_database_that_it_begins_with(tmp_path: Path) -> None:
    home = layout(tmp_path)
    taken = credentials.ensure(home, ["identity"], {"identity/client": "kept"})
    assert taken["identity/client"] == "kept"
    assert credentials.ensure(home, ["identity"], {"identity/client": "too late"}) == taken


def test_the_signing_key_is_ed25519_and_stays(tmp_path: Path) -> None:
    home = layout(tmp_path)
    credentials.ensure_signing_keys(home)
    pem = (home.secrets / "audit-signing.pem").read_bytes()
    credentials.ensure_signing_keys(home)
    assert (home.secrets / "audit-signing.pem").read_bytes() == pem
    assert isinstance(load_pem_private_key(pem, password=None), Ed25519PrivateKey)


def test_a_long_folder_name_still_gives_a_socket_that_can_be_opened(tmp_path: Path) -> None:
    deep = Layout(tmp_path / ("x" * 120) / "home")
    deep.create()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(deep.supervisor_socket))
    deep.supervisor_socket.unlink()
    assert deep.supervisor_socket.parent.stat().st_mode & 0o077 == 0


def test_a_state_file_of_another_version_is_told_as_such(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_text(json.dumps({"version": 0}))
    with pytest.raises(StackError, match="another version"):
        load(path)
    with pytest.raises(StackError, match="make up"):
        load(tmp_path / "nothing.json")
