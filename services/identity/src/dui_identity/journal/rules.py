"""What makes the journal provable: how entries are chained, what a signed head says, what a whole chain looks like.

Pure: no database, no file. `chain.py` appends by these rules, `verify.py` reads back and asks them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b, sha256
from uuid import UUID

from dui_kit.errors import Code, Reason

VERIFICATION_UNDER_WAY = Reason(
    "VERIFICATION_UNDER_WAY",
    Code.RESOURCE_EXHAUSTED,
    fr="Une vérification du journal est déjà en cours : attendez quelques secondes et redemandez.",
    en="A verification of the journal is under way already: wait some seconds and ask again.",
)

#: The first link of a chain is bound to its association: no chain can be passed off as another's.
_GENESIS = b"dui access journal v1\0"


def genesis(tenant_id: str) -> bytes:
    """What stands before the first entry of an association."""
    return sha256(_GENESIS + UUID(tenant_id).bytes).digest()


def link(previous: bytes, chain_index: int, appended_us: int, service: str, content: bytes) -> bytes:
    """Hash of an entry: SHA-256 over the hash before it and everything that the entry says.

    `appended_us` is in microseconds since 1970; `content` is the deterministic protobuf of the `JournalEntry`. Lengths are
    fixed or written, so that no two entries read the same.
    """
    name = service.encode()
    header = chain_index.to_bytes(8, "big") + appended_us.to_bytes(8, "big") + len(name).to_bytes(2, "big") + name
    return sha256(previous + header + content).digest()


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a chain at some moment, as it is signed.

    `appended_us` is the instant of its last entry, in microseconds since 1970; `sources` gives the last number of each
    service; `previous` is the SHA-256 of the head before it (empty for the first), so that heads form a
    chain of their own and none can be left out.
    """

    tenant_id: str
    head_index: int
    chain_index: int
    hash: str
    appended_us: int
    sources: Mapping[str, int]
    signed_at: str
    previous: str
    key_id: str

    def payload(self) -> str:
        """What is signed: JSON with sorted keys and no spaces."""
        return json.dumps(
            {
                "tenant_id": self.tenant_id,
                "head_index": self.head_index,
                "chain_index": self.chain_index,
                "hash": self.hash,
                "appended_us": self.appended_us,
                "sources": dict(self.sources),
                "signed_at": self.signed_at,
                "previous": self.previous,
                "key_id": self.key_id,
            },
            sort_keys=True,
            separators=(",", ":"),
        )

    @classmethod
    def parse(cls, payload: str) -> Head:
        """The head of a payload; ValueError when it is none, or is not written the one way that it must be."""
        try:
            head = cls(**json.loads(payload))
            datetime.fromisoformat(head.signed_at)
            UUID(head.tenant_id)
            bytes.fromhex(head.hash)
        except (TypeError, ValueError, AttributeError) as error:
            message = "not a head of the journal"
            raise ValueError(message) from error
        if head.payload() != payload:
            message = "a head that is not in its canonical form"
            raise ValueError(message)
        return head


def digest(payload: str) -> str:
    """What the next head says of this one."""
    return sha256(payload.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class SignedHead:
    """A head with its signature, as it is stored in the database and in the file."""

    payload: str
    signature: bytes


@dataclass(frozen=True, slots=True)
class Stored:
    """One entry as the database gives it back. `subjects` are the persons whom it concerns, from its content."""

    chain_index: int
    appended_us: int
    service: str
    sequence: int
    content: bytes
    hash: bytes
    #: What the columns that lists search by say, and what the content says: they must agree.
    columns: tuple[object, ...]
    said: tuple[object, ...]
    subjects: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Defect:
    """One thing wrong. `detail` holds numbers and ids of machines, never data of a person."""

    code: str
    chain_index: int
    detail: str


#: More defects than this tell nothing more.
MAX_DEFECTS = 100


@dataclass(slots=True)
class ChainCheck:
    """Walks a chain entry by entry, in memory that does not grow with it. It goes on after a defect, from what is there."""

    chain_index: int
    hash: bytes
    sources: dict[str, int]
    subject_key: bytes
    defects: list[Defect] = field(default_factory=list)
    entries: int = 0
    #: Of each month, a keyed sum over (person, entry): equal to that of the index of persons if and only if they agree.
    subjects: dict[str, int] = field(default_factory=dict)

    def defect(self, code: str, chain_index: int, detail: str) -> None:
        """Notes a defect, up to the limit."""
        if len(self.defects) < MAX_DEFECTS:
            self.defects.append(Defect(code, chain_index, detail))

    def entry(self, stored: Stored, month: str) -> None:
        """Checks the next entry against the one before it and against itself."""
        expected = self.chain_index + 1
        if stored.chain_index != expected:
            if stored.chain_index > expected:
                self.defect("MISSING_ENTRY", expected, f"entries {expected} to {stored.chain_index - 1} are not there")
            else:
                self.defect("OUT_OF_ORDER", stored.chain_index, f"entry {expected} was expected here")
        elif link(self.hash, expected, stored.appended_us, stored.service, stored.content) != stored.hash:
            self.defect("HASH_MISMATCH", expected, "the entry, or the one before it, is not what was appended")
        if stored.columns != stored.said:
            self.defect("COLUMN_MISMATCH", stored.chain_index, "what lists search by differs from what was appended")
        last = self.sources.get(stored.service, 0)
        if stored.sequence != last + 1:
            self.defect(
                "SEQUENCE_GAP", stored.chain_index, f"{stored.service}: number {stored.sequence} comes after {last}"
            )
        self.sources[stored.service] = max(last, stored.sequence)
        self.chain_index = stored.chain_index
        self.hash = stored.hash
        self.entries += 1
        for beneficiary_id in stored.subjects:
            self.subject(self.subjects, month, beneficiary_id, stored.chain_index)

    def subject(self, sums: dict[str, int], month: str, beneficiary_id: str, chain_index: int) -> None:
        """Adds one (person, entry) to the sum of its month. The key is drawn for each check: sums cannot be aimed at."""
        data = UUID(beneficiary_id).bytes + chain_index.to_bytes(8, "big")
        value = int.from_bytes(blake2b(data, digest_size=16, key=self.subject_key).digest(), "big")
        sums[month] = (sums.get(month, 0) + value) % (1 << 128)

    def head(self, head: Head, where: str) -> None:
        """Checks a signed head at the moment that the chain has reached its entry."""
        if head.hash != self.hash.hex():
            self.defect(
                "HEAD_MISMATCH", head.chain_index, f"{where}: head {head.head_index} was signed over another entry"
            )
        elif dict(head.sources) != self.sources:
            self.defect("HEAD_MISMATCH", head.chain_index, f"{where}: head {head.head_index} counts other numbers")
