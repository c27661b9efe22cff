"""Keyset pages. A page token holds the sort key of the last row, encrypted (sort keys can be names) and bound to the
tenant, the caller, the operation and the rest of the request: it opens nothing else and cannot be altered.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TypeVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from google.protobuf.message import Message

from dui_kit.errors import Refusal
from dui_kit.texts import PAGE_SIZE_INVALID, PAGE_TOKEN_INVALID

Row = TypeVar("Row")
Key = tuple[str | int | None, ...]

DEFAULT_SIZE = 50
MAX_SIZE = 200


class PageTokens:
    """Encrypts and decrypts page tokens with the key that all replicas share."""

    def __init__(self, key_hex: str) -> None:
        """`key_hex`: 32 bytes in hexadecimal; ValueError otherwise."""
        key = bytes.fromhex(key_hex)
        if len(key) != 32:
            message = "DUI_CURSOR_KEY must be 32 bytes in hexadecimal (openssl rand -hex 32)"
            raise ValueError(message)
        self._aead = AESGCM(key)

    def seal_bytes(self, data: bytes, context: bytes) -> bytes:
        """Encrypts what is to be kept or handed out; it opens with the same context only."""
        nonce = os.urandom(12)
        return nonce + self._aead.encrypt(nonce, data, context)

    def open_bytes(self, sealed: bytes, context: bytes) -> bytes:
        """The data of `seal_bytes`; InvalidTag or ValueError when they were altered, or the key or the context is another."""
        return self._aead.decrypt(sealed[:12], sealed[12:], context)

    def seal(self, key: Key, context: bytes) -> str:
        """A token of a sort key, bound to a context."""
        sealed = self.seal_bytes(json.dumps(key, ensure_ascii=False).encode(), context)
        return base64.urlsafe_b64encode(sealed).decode().rstrip("=")

    def open(self, token: str, context: bytes) -> Key:
        """The sort key of a token; Refusal PAGE_TOKEN_INVALID when it was altered or is another list's."""
        try:
            data = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
            return tuple(json.loads(self.open_bytes(data, context)))
        except (InvalidTag, ValueError):
            raise Refusal(PAGE_TOKEN_INVALID, field="page_token") from None


@dataclass(frozen=True, slots=True)
class Page:
    """One page asked for: its size, and the sort key after which it begins."""

    size: int
    after: Key | None
    _tokens: PageTokens
    _context: bytes

    def cut(self, rows: Sequence[Row], key: Callable[[Row], Key]) -> tuple[Sequence[Row], str]:
        """The rows of the page and the token of the next one, from a query of `size + 1` rows."""
        if len(rows) <= self.size:
            return rows, ""
        kept = rows[: self.size]
        return kept, self._tokens.seal(key(kept[-1]), self._context)


def page_of(request: Message, tokens: PageTokens, *, tenant_id: str, subject: str, operation: str) -> Page:
    """The page that a request with `page_size` and `page_token` asks for; Refusal when either is not valid."""
    size: int = request.page_size  # type: ignore[attr-defined]
    token: str = request.page_token  # type: ignore[attr-defined]
    if size < 0 or size > MAX_SIZE:
        raise Refusal(PAGE_SIZE_INVALID, field="page_size", limit=MAX_SIZE)
    query = type(request)()
    query.CopyFrom(request)
    query.ClearField("page_size")
    query.ClearField("page_token")
    digest = sha256(query.SerializeToString(deterministic=True)).digest()
    context = f"{tenant_id}|{subject}|{operation}|".encode() + digest
    return Page(size or DEFAULT_SIZE, tokens.open(token, context) if token else None, tokens, context)
