"""Reads a whole chain back and tells what is wrong with it, in memory that does not grow with it.

Every entry is hashed again; numbers of the chain and of each service must have no gap; what lists search by must say what
the hashed content says; every signed head, of the database and of the file outside it, must lie on the chain.

Within `Limits` it reads the newest stretch, and stops at its time: the report says what was read.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
from dui.journal.v1 import journal_pb2
from dui_kit.signing import Keys
from dui_kit.times import from_micros, micros
from google.protobuf.message import DecodeError

from dui_identity.journal.chain import is_denied, subjects_of
from dui_identity.journal.heads import is_signed, read_file
from dui_identity.journal.rules import ChainCheck, Defect, Head, SignedHead, Stored, digest, genesis

Connection = psycopg.Connection[tuple[Any, ...]]

#: Rows read at once.
CHUNK = 2_000

_HEAD = """SELECT h.chain_index, h.hash, (SELECT coalesce(jsonb_object_agg(s.service, s.last_sequence), '{}')
  FROM journal_source s WHERE s.tenant_id = h.tenant_id) FROM journal_head h WHERE h.tenant_id = %s"""
_LAST_SIGNED = "SELECT coalesce(max(head_index), 0) FROM journal_signed_head WHERE tenant_id = %s"
_SIGNED = """SELECT payload, signature FROM journal_signed_head WHERE tenant_id = %s AND head_index > %s
ORDER BY head_index"""
_ENTRIES = """SELECT chain_index, appended_at, service, sequence, account_id::text, denied, break_glass, content, hash
FROM journal_entry WHERE tenant_id = %s AND appended_at >= %s ORDER BY appended_at, chain_index"""
_SUBJECTS = """SELECT beneficiary_id::text, appended_at, chain_index FROM journal_subject
WHERE tenant_id = %s AND appended_at >= %s AND chain_index > %s AND chain_index <= %s"""
_BEGINNING = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a verification reads at most: a call has a deadline, and its thread serves others too."""

    #: About so many entries: from the first signed head on behind which there are no more.
    entries: int
    #: The newest signed heads: a signature takes as long as two entries.
    heads: int
    #: Seconds for the entries; the index of persons gets as long again.
    seconds: float


@dataclass(frozen=True, slots=True)
class Report:
    """What a verification found."""

    #: Entries read.
    entries: int
    #: The first and the last entry read (0: none); the end of a chain that was read to its end.
    first_index: int
    chain_index: int
    #: The end of the chain, as its head says.
    end_index: int
    #: The index of persons was compared with these entries.
    subjects_compared: bool
    #: All of it was verified: every entry, every head, the index of persons.
    whole: bool
    #: The last number of each service in the chain.
    sources: Mapping[str, int]
    #: The last signed head that is kept outside the database.
    anchor: Head | None
    defects: tuple[Defect, ...]

    @property
    def valid(self) -> bool:
        """True when nothing is wrong."""
        return not self.defects


@dataclass(frozen=True, slots=True)
class _Heads:
    """Signed heads that are what they say, by the place in the chain where they apply."""

    on_chain: list[tuple[Head, str]]
    anchor: Head | None
    #: None was left out.
    all_read: bool


def verify(
    connection: Connection,
    tenant_id: str,
    keys: Keys,
    folder: Path | None,
    *,
    limits: Limits | None = None,
) -> Report:
    """Verifies the chain of one association.

    `connection` is in a transaction that may read the association's rows. `folder` holds the heads outside the database;
    None: they are not looked at. With `limits`, a longer chain is read from a signed head on, for as long as there is time:
    what lies before it is vouched for by that head alone, and what lies behind the last entry read by nothing.
    """
    # The head first: whatever it covers was committed with it, so entries appended meanwhile are not missed later.
    row = connection.execute(_HEAD, (tenant_id,)).fetchone()
    end, end_hash, end_sources = row or (0, genesis(tenant_id), {})
    check = ChainCheck(0, genesis(tenant_id), {}, secrets.token_bytes(32))
    heads = _heads(connection, tenant_id, keys, folder, check, limits)
    since = _start(heads, check, end, limits)
    first = check.chain_index
    to_the_end = _walk(connection, tenant_id, check, heads, end, since, limits)
    compared = _compare_subjects(connection, tenant_id, check, first, since, limits)
    if to_the_end:
        if check.chain_index < end:
            check.defect("MISSING_TAIL", check.chain_index + 1, f"the chain ends here, its head says {end}")
        elif check.hash != bytes(end_hash) or check.sources != end_sources:
            check.defect("HEAD_MISMATCH", end, "the head of the chain is not its last entry")
    return Report(
        entries=check.entries,
        first_index=first + 1 if check.entries else 0,
        chain_index=check.chain_index if check.entries else 0,
        end_index=end,
        subjects_compared=compared,
        whole=first == 0 and to_the_end and compared and heads.all_read,
        sources=check.sources,
        anchor=heads.anchor,
        defects=tuple(check.defects),
    )


def compare_counters(report: Report, *, given: Mapping[str, int], handed_over: Mapping[str, int]) -> list[Defect]:
    """Compares a chain with the counters of the services.

    Args:
        given: the last number that each service has given, read after the chain: meanwhile entries go on arriving.
        handed_over: the last number that JetStream had acknowledged, read before the chain, so early that what was under way
            has had the time to arrive.
    """
    defects = []
    for service in sorted(given.keys() | handed_over.keys()):
        present, acknowledged = report.sources.get(service, 0), handed_over.get(service, 0)
        if present < acknowledged:
            detail = f"{service} handed over {acknowledged} entries, the chain has {present}"
            defects.append(Defect("MISSING_TAIL", report.chain_index + 1, detail))
        elif service in given and present > given[service]:
            detail = f"the chain has {present} entries of {service}, which has given {given[service]} numbers"
            defects.append(Defect("SEQUENCE_AHEAD", report.chain_index, detail))
    return defects


def _walk(
    connection: Connection,
    tenant_id: str,
    check: ChainCheck,
    heads: _Heads,
    end: int,
    since: datetime,
    limits: Limits | None,
) -> bool:
    """Reads entry after entry; False when the time was up before the end of the chain."""
    until = _until(limits)
    waiting = [item for item in heads.on_chain if item[0].chain_index >= check.chain_index]
    in_time = True
    for stored, month in _stored(connection, tenant_id, check, since):
        if stored.chain_index > end:
            break
        if time.monotonic() > until:
            in_time = False
            break
        check.entry(stored, month)
        while waiting and waiting[0][0].chain_index <= check.chain_index:
            head, where = waiting.pop(0)
            if head.chain_index == check.chain_index:
                check.head(head, where)
    for head, where in waiting:
        if head.chain_index > end:
            check.defect(
                "MISSING_TAIL",
                (check.chain_index if in_time else end) + 1,
                f"{where}: head {head.head_index} was signed over entry {head.chain_index}, the chain ends before it",
            )
    return in_time


def _until(limits: Limits | None) -> float:
    return float("inf") if limits is None else time.monotonic() + limits.seconds


def _stored(connection: Connection, tenant_id: str, check: ChainCheck, since: datetime) -> Iterator[tuple[Stored, str]]:
    with connection.cursor(name="journal_verify") as cursor:
        cursor.itersize = CHUNK
        cursor.execute(_ENTRIES, (tenant_id, since))
        for chain_index, at, service, sequence, account_id, denied, glass, content, value in cursor:
            if chain_index <= check.chain_index and at == since:
                continue  # before the signed head from which the reading starts
            entry = journal_pb2.JournalEntry()
            try:
                entry.ParseFromString(content)
            except DecodeError:
                check.defect("UNREADABLE", chain_index, "the content cannot be read")
            said = (entry.sequence, entry.account_id or None, is_denied(entry), entry.break_glass)
            yield (
                Stored(
                    chain_index=chain_index,
                    appended_us=micros(at),
                    service=service,
                    sequence=sequence,
                    content=content,
                    hash=value,
                    columns=(sequence, account_id, denied, glass),
                    said=said,
                    subjects=subjects_of(entry),
                ),
                _month(at),
            )


def _compare_subjects(
    connection: Connection, tenant_id: str, check: ChainCheck, first: int, since: datetime, limits: Limits | None
) -> bool:
    """Compares the index of persons with the entries read; False when there was no time for it. The index is in the order of
    persons: how much of it is read to find a stretch is not known before."""
    until = _until(limits)
    found: dict[str, int] = {}
    try:
        with _for_a_while(connection, limits), connection.cursor(name="journal_verify_subjects") as cursor:
            cursor.itersize = CHUNK
            cursor.execute(_SUBJECTS, (tenant_id, since, first, check.chain_index))
            for beneficiary_id, at, chain_index in cursor:
                if time.monotonic() > until:
                    return False
                check.subject(found, _month(at), beneficiary_id, chain_index)
    except psycopg.errors.QueryCanceled:
        return False
    for month in sorted(found.keys() | check.subjects.keys()):
        if found.get(month, 0) != check.subjects.get(month, 0):
            check.defect("SUBJECT_MISMATCH", 0, f"{month}: who was seen by whom differs from what was appended")
    return True


@contextmanager
def _for_a_while(connection: Connection, limits: Limits | None) -> Iterator[None]:
    """Gives each statement the time of the limits. One that takes longer ends, and the transaction of the call goes on."""
    if limits is None:
        yield
        return
    # By the connection below: psycopg forgets every prepared statement with a ROLLBACK, those of the kit too.
    connection.pgconn.exec_(b"SAVEPOINT subjects")
    try:
        connection.execute("SELECT set_config('statement_timeout', %s, true)", (str(int(limits.seconds * 1000)),))
        yield
    finally:
        connection.pgconn.exec_(b"ROLLBACK TO SAVEPOINT subjects")


def _heads(
    connection: Connection, tenant_id: str, keys: Keys, folder: Path | None, check: ChainCheck, limits: Limits | None
) -> _Heads:
    before = 0
    if limits is not None:
        row = connection.execute(_LAST_SIGNED, (tenant_id,)).fetchone()
        before = max(0, (row[0] if row else 0) - limits.heads)
    stored = [SignedHead(row[0], bytes(row[1])) for row in connection.execute(_SIGNED, (tenant_id, before))]
    from_database = _checked(stored, tenant_id, keys, check, "database", before)
    if folder is None:
        return _Heads([(head, "database") for head in from_database], None, before == 0)
    exported = read_file(folder, tenant_id, before)
    from_file = _checked(exported, tenant_id, keys, check, "file", before)
    for number, (inside, outside) in enumerate(zip(stored, exported, strict=False), start=before + 1):
        if inside != outside:
            check.defect("HEAD_MISMATCH", 0, f"head {number} differs between the database and the file")
    if len(exported) > len(stored):
        check.defect(
            "HEAD_MISSING", 0, f"the file has {before + len(exported)} heads, the database {before + len(stored)}"
        )
    elif len(stored) > len(exported) + 1:
        # One may be on its way: it is written to the file right after the commit.
        check.defect(
            "HEAD_MISSING", 0, f"the database has {before + len(stored)} heads, the file {before + len(exported)}"
        )
    both = [(head, "database") for head in from_database] + [(head, "file") for head in from_file]
    both.sort(key=lambda item: item[0].chain_index)
    return _Heads(both, from_file[-1] if from_file else None, before == 0)


def _checked(
    signed: Sequence[SignedHead], tenant_id: str, keys: Keys, check: ChainCheck, where: str, before: int
) -> list[Head]:
    """The heads whose signature holds, in order; defects for the others and for breaks between them. `before`: how many were
    left out."""
    heads: list[Head] = []
    previous, in_use, replaced = None if before else "", "", set[str]()
    for number, each in enumerate(signed, start=before + 1):
        try:
            head = Head.parse(each.payload)
        except ValueError:
            head = None
        key = keys.get(head.key_id) if head else None
        if head is None or head.tenant_id != tenant_id or key is None or not is_signed(each, key):
            check.defect(
                "BAD_SIGNATURE", head.chain_index if head else 0, f"{where}: head {number} is not signed by a known key"
            )
        elif head.key_id in replaced:
            check.defect(
                "BAD_SIGNATURE",
                head.chain_index,
                f"{where}: head {number} is signed by a key that was replaced before it",
            )
        else:
            if in_use not in {"", head.key_id}:
                replaced.add(in_use)
            in_use = head.key_id
            heads.append(head)
            if head.head_index != number or previous not in {None, head.previous}:
                check.defect(
                    "HEAD_MISSING", head.chain_index, f"{where}: head {number} does not follow the one before it"
                )
        previous = digest(each.payload)
    return heads


def _start(heads: _Heads, check: ChainCheck, end: int, limits: Limits | None) -> datetime:
    """Sets the check to where the reading starts, and returns the instant of that entry."""
    if limits is None or (end <= limits.entries and heads.all_read):
        return _BEGINNING
    candidates = [head for head, _ in heads.on_chain if head.chain_index >= end - limits.entries] or [
        head for head, _ in heads.on_chain[-1:]
    ]
    if not candidates:
        return _BEGINNING
    check.chain_index, check.hash = candidates[0].chain_index, bytes.fromhex(candidates[0].hash)
    check.sources = dict(candidates[0].sources)
    return from_micros(candidates[0].appended_us)


def _month(at: datetime) -> str:
    return f"{at.year:04}-{at.month:02}"
