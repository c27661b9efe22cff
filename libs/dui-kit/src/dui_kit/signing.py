"""Keys that sign what has to be proved later: Ed25519, in a file outside of every database, which also holds those replaced."""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import TypeAlias

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

Keys: TypeAlias = Mapping[str, Ed25519PublicKey]

_PEM = re.compile(rb"-----BEGIN [A-Z ]+-----.*?-----END [A-Z ]+-----\n?", re.DOTALL)


class SigningKey:
    """The key in use."""

    def __init__(self, file: Path) -> None:
        """`file`: its first PEM block is the key, PKCS 8, without a password; ValueError when it holds another kind of key."""
        self.private = _private(_blocks(file)[0], file)
        self.public = self.private.public_key()
        self.id = key_id(self.public)

    def sign(self, payload: bytes) -> bytes:
        """The signature of some bytes."""
        return self.private.sign(payload)


def known_keys(file: Path) -> Keys:
    """The keys by which something may be signed, by their ids: that of the first PEM block, private or public, and the public
    ones of the blocks after it, which it has replaced. ValueError for another kind of key."""
    first, *earlier = _blocks(file)
    keys = [load_pem_public_key(first) if b"PUBLIC KEY" in first else _private(first, file).public_key()]
    keys += map(load_pem_public_key, earlier)
    if not all(isinstance(key, Ed25519PublicKey) for key in keys):
        message = f"the keys of {file.name} must be Ed25519 keys"
        raise ValueError(message)
    return {key_id(key): key for key in keys if isinstance(key, Ed25519PublicKey)}


def key_id(key: Ed25519PublicKey) -> str:
    """A short name of a key: what is signed tells by it which one did."""
    return sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:16]


def pem_of(key: Ed25519PublicKey) -> str:
    """A public key as anybody's tools read it (SubjectPublicKeyInfo)."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def _private(pem: bytes, file: Path) -> Ed25519PrivateKey:
    key = load_pem_private_key(pem, password=None)
    if not isinstance(key, Ed25519PrivateKey):
        message = f"{file.name} must hold an Ed25519 key (openssl genpkey -algorithm ed25519)"
        raise ValueError(message)  # noqa: TRY004 (a wrong file, not a wrong type)
    return key


def _blocks(file: Path) -> list[bytes]:
    found = _PEM.findall(file.read_bytes())
    if not found:
        message = f"{file.name} holds no key in PEM"
        raise ValueError(message)
    return found
