"""Signed heads: the end of each chain, signed with a key outside the database and written to a file outside it."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from dui_kit.db.database import raw
from dui_kit.signing import SigningKey
from dui_kit.times import micros
from dui_kit.worker import Job, WorkerContext

from dui_identity.journal.rules import Head, SignedHead, digest

Connection = psycopg.Connection[tuple[Any, ...]]
# Head and sources in one statement: both change in one transaction.
#: Seconds between two looks at what is to be signed.
LOOK_SECONDS = 60.0

_NOW = """SELECT h.chain_index, h.hash, h.appended_at, (SELECT coalesce(jsonb_object_agg(s.service, s.last_sequence), '{}')
  FROM journal_source s WHERE s.tenant_id = h.tenant_id), clock_timestamp()
FROM journal_head h WHERE h.tenant_id = %s"""
_LAST = """SELECT head_index, chain_index, payload FROM journal_signed_head WHERE tenant_id = %s
ORDER BY head_index DESC LIMIT 1"""
_INSERT = """INSERT INTO journal_signed_head (tenant_id, head_index, chain_index, payload, signature)
VALUES (%s, %s, %s, %s, %s)"""
_AFTER = """SELECT payload, signature FROM journal_signed_head WHERE tenant_id = %s AND head_index > %s
ORDER BY head_index"""


def is_signed(signed: SignedHead, key: Ed25519PublicKey) -> bool:
    """True when the signature is by this key."""
    try:
        key.verify(signed.signature, signed.payload.encode())
    except InvalidSignature:
        return False
    return True


def sign_head(
    connection: Connection, tenant_id: str, key: SigningKey, *, unless_since: datetime | None = None
) -> Head | None:
    """Signs the end of an association's chain; returns the new head. None when the last signed head says it already, or
    was signed after `unless_since`."""
    row = connection.execute(_NOW, (tenant_id,)).fetchone()
    if row is None:
        return None
    chain_index, current, appended_at, sources, now = row
    last = connection.execute(_LAST, (tenant_id,)).fetchone()
    if chain_index == 0 or (last and last[1] == chain_index):
        return None
    if last and unless_since and datetime.fromisoformat(Head.parse(last[2]).signed_at) > unless_since:
        return None
    head = Head(
        tenant_id=tenant_id,
        head_index=last[0] + 1 if last else 1,
        chain_index=chain_index,
        hash=current.hex(),
        appended_us=micros(appended_at),
        sources=sources,
        signed_at=now.astimezone(UTC).isoformat(),
        previous=digest(last[2]) if last else "",
        key_id=key.id,
    )
    payload = head.payload()
    connection.execute(_INSERT, (tenant_id, head.head_index, chain_index, payload, key.sign(payload.encode())))
    return head


def heads_file(folder: Path, tenant_id: str) -> Path:
    """The file of an association's heads."""
    return folder / f"{tenant_id}.heads"


def read_file(folder: Path, tenant_id: str, before: int = 0) -> list[SignedHead]:
    """The heads of an association's file, oldest first, without the first `before`; a last line that was cut off by a crash
    is left out."""
    try:
        text = heads_file(folder, tenant_id).read_text(encoding="ascii")
    except FileNotFoundError:
        return []
    heads = []
    for line in text.split("\n")[before:-1]:
        signature, _, payload = line.partition(" ")
        try:
            heads.append(SignedHead(payload, bytes.fromhex(signature)))
        except ValueError:
            heads.append(SignedHead(payload, b""))
    return heads


def export(connection: Connection, tenant_id: str, folder: Path) -> int:
    """Appends to the file the heads that it lacks; returns how many. One line a head: signature, space, payload.

    The database comes first and the file follows it: the file is always a beginning of what the database says.
    """
    known = len(read_file(folder, tenant_id))
    rows = connection.execute(_AFTER, (tenant_id, known)).fetchall()
    if not rows:
        return 0
    path = heads_file(folder, tenant_id)
    is_new = not path.exists()
    with path.open("r+b" if not is_new else "xb") as file:
        if not is_new:
            _drop_cut_line(path)
        file.seek(0, os.SEEK_END)
        for payload, signature in rows:
            file.write(f"{bytes(signature).hex()} {payload}\n".encode())
        file.flush()
        os.fsync(file.fileno())
    if is_new:
        directory = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    return len(rows)


def _drop_cut_line(path: Path) -> None:
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole != len(data):
        os.truncate(path, whole)


def sign_and_export(context: WorkerContext, key_file: Path, folder: Path, every: timedelta) -> None:
    """Signs and exports the heads of the associations whose last one is older than `every`; of all when the worker ends."""
    key = SigningKey(key_file)
    since = None if context.ending else datetime.now(UTC) - every
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for tenant_id in context.tenants():
        with context.transaction(tenant_id) as call:
            sign_head(raw(call.session), tenant_id, key, unless_since=since)
        # After the commit: the file says nothing that the database could still lose.
        with context.transaction(tenant_id) as call:
            export(raw(call.session), tenant_id, folder)


def heads_job(key_file: Path, folder: Path, every_seconds: float) -> Job:
    """Signs and exports each `every_seconds`, the first time within a minute of the first entry, and when the worker ends."""
    run = partial(sign_and_export, key_file=key_file, folder=folder, every=timedelta(seconds=every_seconds))
    return Job("journal-heads", min(LOOK_SECONDS, every_seconds), run, at_shutdown=True)
