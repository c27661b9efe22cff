"""Appends the batches of the services to the chain of their association."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple, cast

import psycopg
from dui.journal.v1 import journal_pb2
from dui_kit.db.database import raw
from dui_kit.times import from_timestamp, micros
from dui_kit.wire.telemetry import log
from dui_kit.worker import Consumer, Event, JournalKeeper, Reject, WorkerCall
from dui_kit.worker.streams import JOURNAL_STREAM

from dui_identity.journal.rules import genesis, link

Connection = psycopg.Connection[tuple[Any, ...]]

#: The clocks of two services never differ by more.
CLOCKS_APART = timedelta(hours=1)

_KNOWN = """SELECT sequence, content FROM journal_entry
WHERE tenant_id = %s AND appended_at >= %s AND service = %s AND sequence = ANY(%s)"""
_LOCK = """SELECT h.chain_index, h.hash, h.appended_at, s.last_sequence, s.last_entry_id::text
FROM journal_head h LEFT JOIN journal_source s ON s.tenant_id = h.tenant_id AND s.service = %s
WHERE h.tenant_id = %s FOR UPDATE OF h"""
_FIRST = """INSERT INTO journal_head (tenant_id, chain_index, hash, appended_at) VALUES (%s, 0, %s, %s)
ON CONFLICT DO NOTHING"""
_ENTRIES = """INSERT INTO journal_entry
(tenant_id, appended_at, chain_index, service, sequence, account_id, denied, break_glass, content, hash)
SELECT %(tenant)s, %(at)s, %(index)s + n, %(service)s, %(sequence)s + n, nullif(a, '')::uuid, d, g, c, h
FROM unnest(%(accounts)s::text[], %(denied)s::bool[], %(glass)s::bool[], %(contents)b::bytea[], %(hashes)b::bytea[])
  WITH ORDINALITY AS u(a, d, g, c, h, n)"""
_SUBJECTS = """INSERT INTO journal_subject (tenant_id, beneficiary_id, appended_at, chain_index)
SELECT %s, b, %s, i FROM unnest(%s::uuid[], %s::bigint[]) AS u(b, i)"""
_HEAD = "UPDATE journal_head SET chain_index = %s, hash = %s, appended_at = %s WHERE tenant_id = %s"
_SOURCE = """INSERT INTO journal_source (tenant_id, service, last_sequence, last_entry_id) VALUES (%s, %s, %s, %s)
ON CONFLICT (tenant_id, service) DO UPDATE
SET last_sequence = excluded.last_sequence, last_entry_id = excluded.last_entry_id"""

_ready_months: set[tuple[int, int]] = set()
_ready_lock = threading.Lock()


def append(call: WorkerCall, event: Event) -> None:
    """Appends a batch, in the order of its numbers, under the lock of the association's head.

    Entries that are there already are passed over. A batch behind a gap is not appended: its service learns how far the
    chain stands, keeps what is missing and sends it again, so nothing is ever skipped. `Reject` when the batch does not
    continue the journal that the chain has: another entry under a number that is there, or before its first number. Then
    the database of the service was set back, and its entries wait there until an operator has seen to it (`dui recover`).
    """
    batch = cast("journal_pb2.JournalBatch", event.message)
    if (batch.tenant_id, batch.service) != (call.tenant_id, event.source):
        raise Reject("WRONG_BATCH")
    connection = raw(call.session)
    head = _lock(connection, call.tenant_id, batch.service, call.now)
    last = head.last_sequence
    entries: list[journal_pb2.JournalEntry] = []
    again: list[journal_pb2.JournalEntry] = []
    for entry in batch.entries:
        if entry.sequence <= last:
            again.append(entry)
        elif entry.sequence == last + len(entries) + 1:
            entries.append(entry)
        else:
            log.warning("a batch of the journal came before an earlier one", service=batch.service, last=last)
            return
    if again and not _are_there(connection, call.tenant_id, batch.service, again):
        raise Reject("SEQUENCE_REUSED")
    if entries and not again and batch.previous_entry_id != head.last_entry_id:
        raise Reject("SEQUENCE_REUSED")
    if entries:
        # The order of time must be the order of the chain, also when a clock was set back.
        at = max(call.now, head.appended_at)
        _ensure_partitions(connection, at)
        _insert(connection, call.tenant_id, batch.service, entries, at, head)


class _Head(NamedTuple):
    """The end of the chain, and the last entry that it has of one service (0 and empty: none)."""

    chain_index: int
    hash: bytes
    appended_at: datetime
    last_sequence: int
    last_entry_id: str


def _lock(connection: Connection, tenant_id: str, service: str, now: datetime) -> _Head:
    row = connection.execute(_LOCK, (service, tenant_id)).fetchone()
    if row is None:
        connection.execute(_FIRST, (tenant_id, genesis(tenant_id), now))
        row = connection.execute(_LOCK, (service, tenant_id)).fetchone()
    if row is None:
        message = "the head of the journal is not visible"
        raise LookupError(message)
    chain_index, head, appended_at, last_sequence, last_entry_id = row
    return _Head(chain_index, head, appended_at, last_sequence or 0, last_entry_id or "")


def _are_there(connection: Connection, tenant_id: str, service: str, again: Sequence[journal_pb2.JournalEntry]) -> bool:
    """Whether the chain has these very entries under their numbers. They were appended after they had occurred: that bounds
    what is read, on a redelivery only."""
    begun = min(from_timestamp(entry.occurred_at) for entry in again) - CLOCKS_APART
    numbers = [entry.sequence for entry in again]
    known: dict[int, bytes] = dict(connection.execute(_KNOWN, (tenant_id, begun, service, numbers)).fetchall())
    return all(known.get(entry.sequence) == entry.SerializeToString(deterministic=True) for entry in again)


def _insert(
    connection: Connection,
    tenant_id: str,
    service: str,
    entries: list[journal_pb2.JournalEntry],
    at: datetime,
    head: _Head,
) -> None:
    appended_us = micros(at)
    accounts, denied, glass, contents, hashes = [], [], [], [], []
    subjects: list[str] = []
    subject_indexes: list[int] = []
    index, last_hash = head.chain_index, head.hash
    for entry in entries:
        index += 1
        content = entry.SerializeToString(deterministic=True)
        last_hash = link(last_hash, index, appended_us, service, content)
        accounts.append(entry.account_id)
        denied.append(is_denied(entry))
        glass.append(entry.break_glass)
        contents.append(content)
        hashes.append(last_hash)
        for beneficiary_id in subjects_of(entry):
            subjects.append(beneficiary_id)
            subject_indexes.append(index)
    with connection.pipeline():
        connection.execute(
            _ENTRIES,
            {
                "tenant": tenant_id,
                "at": at,
                "index": head.chain_index,
                "service": service,
                "sequence": head.last_sequence,
                "accounts": accounts,
                "denied": denied,
                "glass": glass,
                "contents": contents,
                "hashes": hashes,
            },
        )
        if subjects:
            connection.execute(_SUBJECTS, (tenant_id, at, subjects, subject_indexes))
        connection.execute(_HEAD, (index, last_hash, at, tenant_id))
        connection.execute(_SOURCE, (tenant_id, service, entries[-1].sequence, entries[-1].entry_id))


def is_denied(entry: journal_pb2.JournalEntry) -> bool:
    """The column `denied` of an entry."""
    return entry.outcome == journal_pb2.JOURNAL_OUTCOME_DENIED


def subjects_of(entry: journal_pb2.JournalEntry) -> tuple[str, ...]:
    """The persons whose data somebody saw, or was refused: the one that an entry names, and those whom a list or a search
    showed; each once. Nobody sees what services ask of each other: those calls are in the journal, under no person."""
    if entry.calling_service:
        return ()
    if entry.seen_beneficiary_ids:
        named = (entry.beneficiary_id,) if entry.beneficiary_id else ()
        return tuple(dict.fromkeys((*named, *entry.seen_beneficiary_ids)))
    return (entry.beneficiary_id,) if entry.beneficiary_id else ()


def _ensure_partitions(connection: Connection, at: datetime) -> None:
    """Makes the partitions of this month and the next two; asked about once a month by a process, so they are always ahead."""
    month = (at.year, at.month)
    with _ready_lock:
        if month in _ready_months:
            return
    row = connection.execute("SELECT journal_create_partitions(%s)", (at.date(),)).fetchone()
    if row and not row[0]:
        # They were there already, so they stay whatever becomes of this transaction.
        with _ready_lock:
            _ready_months.add(month)


def forget_partitions() -> None:
    """Asks again for the partitions at the next batch: the database is another one, or was restored."""
    with _ready_lock:
        _ready_months.clear()


#: Applying a batch twice changes nothing: its entries are known by their numbers.
JOURNAL_CONSUMER = Consumer(
    name="identity",
    purpose="journal",
    stream=JOURNAL_STREAM,
    subjects=("dui.journal.>",),
    handler=append,
    idempotent=True,
    sent_again=True,
    batch=50,
)
JOURNAL_KEEPER = JournalKeeper(
    JOURNAL_CONSUMER,
    "SELECT tenant_id::text, service, last_sequence, last_entry_id::text FROM journal_source ORDER BY tenant_id, service",
)
