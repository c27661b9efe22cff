"""The journal on a real PostgreSQL, as the migration makes it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from dui.journal.v1 import journal_pb2
from dui_identity.journal import chain, heads
from dui_identity.journal.verify import Report, verify
from dui_identity.testing import JournalWriter, append_batch
from dui_kit import signing, testing
from dui_kit.db import migrate
from dui_kit.db.database import make_engine, raw, tenant_session
from sqlalchemy import Engine


def private_pem(key: Ed25519PrivateKey) -> bytes:
    """A private key as its file holds it."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def public_pem(key: Ed25519PrivateKey) -> bytes:
    """The public part of a key."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@dataclass
class Journal:
    """The journal of identity, appended to and verified as the app role, tampered with as the superuser."""

    urls: testing.Database
    engine: Engine
    key_file: Path
    folder: Path
    writers: dict[tuple[str, str], JournalWriter] = field(default_factory=dict)

    def admin(self, statement: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.urls.admin_url, autocommit=True) as connection:
            cursor = connection.execute(statement.encode(), parameters)
            return cursor.fetchall() if cursor.description else []

    def batch(
        self, tenant_id: str, count: int, *, service: str = "records", first: int | None = None, **entry: Any
    ) -> journal_pb2.JournalBatch:
        """The next entries of a service, or others from the number `first` on."""
        writer = self.writers.setdefault((tenant_id, service), JournalWriter(tenant_id, service))
        return writer.batch(count, first=first, subject="s", operation="a/B", **entry)

    def append(self, batch: journal_pb2.JournalBatch, now: datetime | None = None) -> None:
        """What the consumer does with a message."""
        append_batch(self.engine, batch, now)

    def sign(self, tenant_id: str) -> None:
        """What the job does for one association."""
        key = signing.SigningKey(self.key_file)
        with tenant_session(self.engine, tenant_id) as session:
            heads.sign_head(raw(session), tenant_id, key)
        with tenant_session(self.engine, tenant_id) as session:
            heads.export(raw(session), tenant_id, self.folder)

    def use_key(self, *keys: Ed25519PrivateKey, public: bool = False) -> None:
        """Puts a key into use, with those that it has replaced; `public`: as who only verifies has it."""
        first = public_pem(keys[0]) if public else private_pem(keys[0])
        self.key_file.write_bytes(first + b"".join(map(public_pem, keys[1:])))

    def verify(self, tenant_id: str, **more: Any) -> Report:
        """The verification, as the app role."""
        with tenant_session(self.engine, tenant_id) as session:
            return verify(raw(session), tenant_id, signing.known_keys(self.key_file), self.folder, **more)

    def codes(self, tenant_id: str, **more: Any) -> set[str]:
        """The codes of what is wrong."""
        return {defect.code for defect in self.verify(tenant_id, **more).defects}


@pytest.fixture(scope="session")
def journal_database() -> Iterator[testing.Database]:
    with testing.postgres_server() as url:
        urls = testing.create_database(url, "identity")
        migrate.upgrade("dui_identity.migrations", urls.owner_url)
        yield urls


@pytest.fixture
def journal(journal_database: testing.Database, tmp_path: Path) -> Iterator[Journal]:
    key_file = tmp_path / "key.pem"
    key_file.write_bytes(private_pem(Ed25519PrivateKey.generate()))
    folder = tmp_path / "heads"
    folder.mkdir()
    chain.forget_partitions()
    engine = make_engine(journal_database.app_url, pool_size=6, name="test")
    yield Journal(journal_database, engine, key_file, folder)
    engine.dispose()
