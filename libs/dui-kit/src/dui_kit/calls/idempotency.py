"""Outcomes of calls with an `Idempotency-Key`, kept 48 hours in the transaction of the change.

The key belongs to one tenant, subject and operation. The same key with the same request answers what the first call
answered; with another request it is refused. Of two concurrent calls the database lets one commit; the other replays.
Outcomes are kept encrypted: they may hold what is written nowhere else, such as a first password. Beside the reply is the entry
of the access journal, so that a repetition is journalled as what it was about.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidTag
from dui.journal.v1.journal_pb2 import JournalEntry
from google.protobuf.message import DecodeError, Message

from dui_kit.calls.seals import Seals
from dui_kit.db.statements import Statement, Step
from dui_kit.errors import Refusal
from dui_kit.wire.texts import IDEMPOTENCY_KEY_REUSED, IDEMPOTENCY_OUTCOME_LOST

#: Constraint that a second commit of the same key breaks.
CONSTRAINT = "idempotency_pkey"

#: Bytes that tell how long the entry is; then the entry, then the reply.
_SIZE_BYTES = 4
_FIND = Statement(
    "SELECT request_hash, response FROM idempotency WHERE tenant_id = $1 AND subject = $2 AND operation = $3 AND key = $4"
)
_KEEP = Statement(
    "INSERT INTO idempotency (tenant_id, subject, operation, key, request_hash, response) VALUES ($1, $2, $3, $4, $5, $6)"
)


@dataclass(frozen=True, slots=True)
class Keyed:
    """A call with an `Idempotency-Key`."""

    tenant_id: str
    subject: str
    operation: str
    key: str
    #: Hash of the request.
    digest: bytes

    def lookup(self) -> Step:
        """The statement whose rows `known` reads."""
        return _FIND(self.tenant_id, self.subject, self.operation, self.key)

    def known(self, rows: Sequence[tuple[Any, ...]], seals: Seals) -> tuple[bytes, JournalEntry]:
        """The serialized reply of the first call and its entry of the journal; Refusal when the key was used for another
        request."""
        digest, sealed = rows[0]
        if bytes(digest) != self.digest:
            raise Refusal(IDEMPOTENCY_KEY_REUSED, field="Idempotency-Key")
        try:
            kept = seals.open(bytes(sealed), self._context())
            size = int.from_bytes(kept[:_SIZE_BYTES])
            return kept[_SIZE_BYTES + size :], JournalEntry.FromString(kept[_SIZE_BYTES : _SIZE_BYTES + size])
        except (InvalidTag, ValueError, DecodeError):
            raise Refusal(IDEMPOTENCY_OUTCOME_LOST, field="Idempotency-Key") from None

    def keep(self, reply: Message, entry: JournalEntry, seals: Seals) -> Step:
        """What keeps the outcome; the primary key refuses a second one."""
        journalled = entry.SerializeToString()
        kept = len(journalled).to_bytes(_SIZE_BYTES) + journalled + reply.SerializeToString()
        sealed = seals.seal(kept, self._context())
        return _KEEP(self.tenant_id, self.subject, self.operation, self.key, self.digest, sealed)

    def _context(self) -> bytes:
        return f"outcome|{self.tenant_id}|{self.subject}|{self.operation}|{self.key}".encode()
