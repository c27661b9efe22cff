"""What callers carry or databases keep and nobody may read or alter: page tokens, outcomes of calls, first passwords."""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES = 12


class Seals:
    """Encrypts and authenticates with the key that all replicas of the platform share (AES-256-GCM)."""

    def __init__(self, key_hex: str) -> None:
        """`key_hex`: 32 bytes in hexadecimal; ValueError otherwise."""
        key = bytes.fromhex(key_hex)
        if len(key) != 32:
            message = "DUI_SEALING_KEY must be 32 bytes in hexadecimal (openssl rand -hex 32)"
            raise ValueError(message)
        self._aead = AESGCM(key)

    def seal(self, data: bytes, context: bytes) -> bytes:
        """Encrypts data; it opens with the same context only."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._aead.encrypt(nonce, data, context)

    def open(self, sealed: bytes, context: bytes) -> bytes:
        """The data; InvalidTag or ValueError when they were altered, or the key or the context is another."""
        return self._aead.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], context)

    def opened(self, sealed: bytes, context: bytes) -> bytes | None:
        """The data, or None when they cannot be read any more: for what can be asked for again."""
        try:
            return self.open(sealed, context)
        except (InvalidTag, ValueError):
            return None
