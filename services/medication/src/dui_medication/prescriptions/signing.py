"""Signatures: what was signed as canonical JSON (RFC 8785) inside a compact JWS (RFC 7515, EdDSA), for anybody's tools.

The platform signs with its own key for somebody who has just proved who they are with a second factor, and says so in what it
signs: it is an electronic seal that binds content, author, level of authentication and time, not a qualified personal signature
(docs/adr/0030-what-a-signature-is.md).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import jwt
import rfc8785
from dui_kit.signing import Keys, SigningKey, known_keys, pem_of

#: `typ` of the header: no token of another kind passes for a signature.
TYPE = "dui-signed-act+jws"

Content = Mapping[str, Any]


class SignatureInvalid(Exception):
    """A signature that does not hold; the text says why, without data."""


class Signatures:
    """Signs with the key in use, and verifies with it and those that it has replaced."""

    def __init__(self, file: Path) -> None:
        """`file`: see `dui_kit.signing.SigningKey`; it is read when it is needed first."""
        self._file = file

    @cached_property
    def _key(self) -> SigningKey:
        return SigningKey(self._file)

    @cached_property
    def keys(self) -> Keys:
        """The public keys by their ids."""
        return known_keys(self._file)

    def check(self) -> None:
        """OSError or ValueError when the file cannot be used: better at the start than at the first signature."""
        _ = self._key, self.keys

    @property
    def key_id(self) -> str:
        """The key in use."""
        return self._key.id

    def sign(self, content: Content) -> str:
        """The compact JWS of a content of JSON values."""
        payload = rfc8785.dumps(dict(content))
        return jwt.api_jws.encode(
            payload, self._key.private, algorithm="EdDSA", headers={"kid": self._key.id, "typ": TYPE}
        )

    def open(self, jws: str) -> tuple[str, dict[str, Any]]:
        """The id of the key that signed, and what was signed; SignatureInvalid when the signature does not hold."""
        try:
            header = jwt.get_unverified_header(jws)
        except jwt.InvalidTokenError as error:
            raise SignatureInvalid("unreadable") from error
        name = header.get("kid")
        key = self.keys.get(name) if isinstance(name, str) else None
        if key is None or header.get("typ") != TYPE:
            raise SignatureInvalid("by an unknown key")
        try:
            payload = jwt.api_jws.decode(jws, key, algorithms=["EdDSA"])
        except jwt.InvalidTokenError as error:
            raise SignatureInvalid("altered") from error
        content: dict[str, Any] = json.loads(payload)
        return str(name), content

    def pem(self, key_id: str) -> str:
        """A public key in PEM."""
        return pem_of(self.keys[key_id])
