"""Outcomes of calls with an `Idempotency-Key`, kept 48 hours in the transaction of the change.

The key belongs to one tenant, subject and operation. The same key with the same request answers what the first call
answered; with another request it is refused. Of two concurrent calls the database lets one commit; the other replays.
Outcomes are kept encrypted: they may hold what is written nowhere else, such as a first password.
"""

from __future__ import annotations

import re
from typing import Any

import psycopg
from cryptography.exceptions import InvalidTag
from google.protobuf.message import Message

from dui_kit.errors import Refusal
from dui_kit.pages import PageTokens
from dui_kit.texts import IDEMPOTENCY_KEY_INVALID, IDEMPOTENCY_KEY_REUSED, IDEMPOTENCY_OUTCOME_LOST

#: Constraint that a second commit of the same key breaks.
CONSTRAINT = "idempotency_pkey"

_KEY = re.compile(r"[\x21-\x7e]{1,100}")
_FIND = """SELECT request_hash, response FROM idempotency
WHERE tenant_id = %s AND subject = %s AND operation = %s AND key = %s"""
_KEEP = """INSERT INTO idempotency (tenant_id, subject, operation, key, request_hash, response)
VALUES (%s, %s, %s, %s, %s, %s)"""

Connection = psycopg.Connection[tuple[Any, ...]]


def check_key(key: str) -> None:
    """Refuses a key that is not 1 to 100 printable ASCII characters."""
    if not _KEY.fullmatch(key):
        raise Refusal(IDEMPOTENCY_KEY_INVALID, field="Idempotency-Key")


def find(
    connection: Connection, seals: PageTokens, *, tenant_id: str, subject: str, operation: str, key: str, digest: bytes
) -> bytes | None:
    """The serialized reply of the first call, or None; Refusal when the key was used for another request."""
    row = connection.execute(_FIND, (tenant_id, subject, operation, key)).fetchone()
    if row is None:
        return None
    if bytes(row[0]) != digest:
        raise Refusal(IDEMPOTENCY_KEY_REUSED, field="Idempotency-Key")
    try:
        return seals.open_bytes(bytes(row[1]), _context(tenant_id, subject, operation, key))
    except (InvalidTag, ValueError):
        raise Refusal(IDEMPOTENCY_OUTCOME_LOST, field="Idempotency-Key") from None


def keep(
    connection: Connection,
    seals: PageTokens,
    *,
    tenant_id: str,
    subject: str,
    operation: str,
    key: str,
    digest: bytes,
    reply: Message,
) -> None:
    """Keeps the reply; the primary key refuses a second one."""
    sealed = seals.seal_bytes(reply.SerializeToString(), _context(tenant_id, subject, operation, key))
    connection.execute(_KEEP, (tenant_id, subject, operation, key, digest, sealed))


def _context(tenant_id: str, subject: str, operation: str, key: str) -> bytes:
    return f"outcome|{tenant_id}|{subject}|{operation}|{key}".encode()
