"""The secrets of a stack: generated at its first start, kept in one file that only its owner reads."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from dui_local.layout import Layout

DATABASE_ROLES = ("owner", "app", "relay")


def names(services: Iterable[str]) -> list[str]:
    """What needs a password or a key: everything that authenticates to something."""
    shared = ["postgres", "nats/admin", "keycloak/database", "keycloak/admin", "keycloak/bootstrap", "sealing-key"]
    return shared + [f"{service}/{use}" for service in services for use in (*DATABASE_ROLES, "nats", "client")]


def ensure(layout: Layout, services: Iterable[str], given: Mapping[str, str] = MappingProxyType({})) -> dict[str, str]:
    """The secrets by name, in hexadecimal (so they go into URLs and files unquoted). Makes those that are missing and
    keeps those that exist: a database knows them. `given` are secrets that a first start is to take over."""
    path = layout.secrets / "credentials.json"
    known: dict[str, str] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else dict(given)
    missing = [name for name in names(services) if name not in known]
    if missing or not path.exists():
        known |= {name: secrets.token_hex(32 if name == "sealing-key" else 24) for name in missing}
        _write(path, json.dumps(known, indent=2))
    return known


#: What signs the heads of the access journal, and what seals prescriptions.
_SIGNING_KEYS = ("audit-signing.pem", "prescription-signing.pem")


def ensure_signing_keys(layout: Layout) -> None:
    """The Ed25519 keys, in PEM. They stay outside of the databases."""
    for name in _SIGNING_KEYS:
        path = layout.secrets / name
        if not path.exists():
            pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            _write(path, pem.decode())


def _write(path: Path, text: str) -> None:
    draft = path.with_suffix(".tmp")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
