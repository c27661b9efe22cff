"""`dui audit verify` on a real database: silent when all is whole, exit code 1 and a list when it is not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from dui_identity.journal import chain, heads
from dui_identity.journal.verify import Report, verify
from dui_identity.testing import JournalWriter, append_batch
from dui_kit import signing, testing
from dui_kit.db import migrate
from dui_kit.db.database import make_engine, raw, tenant_session
from dui_kit.ids import new_id
from dui_ops.__main__ import main
from dui_ops.commands.audit import Sources, audit
from dui_ops.state import StackError
from sqlalchemy import Engine


@dataclass
class Platform:
    """Identity's database with two associations; the counters of identity stand for those of every service."""

    urls: testing.Database
    engine: Engine
    sources: Sources
    tenants: tuple[str, str]
    writers: dict[str, JournalWriter] = field(default_factory=dict)

    def admin(self, statement: str, parameters: tuple[object, ...]) -> None:
        with psycopg.connect(self.urls.admin_url, autocommit=True) as connection:
            connection.execute(statement.encode(), parameters)

    def handed_over(self, tenant_id: str, count: int) -> None:
        self.admin(
            "INSERT INTO journal_counter VALUES (%s, %s, %s) ON CONFLICT (tenant_id) DO UPDATE "
            "SET last_sequence = excluded.last_sequence, published_sequence = excluded.published_sequence",
            (tenant_id, count, count),
        )

    def append(self, tenant_id: str, count: int) -> None:
        writer = self.writers.setdefault(tenant_id, JournalWriter(tenant_id, "identity"))
        append_batch(self.engine, writer.batch(count))

    def sign(self, tenant_id: str) -> None:
        with tenant_session(self.engine, tenant_id) as session:
            heads.sign_head(raw(session), tenant_id, signing.SigningKey(self.sources.key_file))
        with tenant_session(self.engine, tenant_id) as session:
            heads.export(raw(session), tenant_id, self.sources.heads)


@pytest.fixture(scope="module")
def database() -> Iterator[testing.Database]:
    with testing.postgres_server() as url:
        urls = testing.create_database(url, "identity")
        migrate.upgrade("dui_identity.migrations", urls.owner_url)
        yield urls


@pytest.fixture
def platform(database: testing.Database, tmp_path: Path) -> Iterator[Platform]:
    chain.forget_partitions()
    key_file, folder = tmp_path / "key.pem", tmp_path / "heads"
    folder.mkdir()
    key_file.write_bytes(Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    engine = make_engine(database.app_url, pool_size=2, name="test")
    tenants = (new_id(), new_id())
    found = Platform(database, engine, Sources({"identity": database.owner_url}, key_file, folder), tenants)
    for index, tenant_id in enumerate(tenants):
        found.admin(
            "INSERT INTO association (tenant_id, slug, name, active, version) VALUES (%s, %s, %s, true, 1)",
            (tenant_id, f"asso-{tenant_id[-6:]}", f"Association {index}"),
        )
        found.append(tenant_id, 4)
        found.sign(tenant_id)
        found.append(tenant_id, 2)
        found.handed_over(tenant_id, 6)
    yield found
    for table in ("journal_entry", "journal_subject", "journal_head", "journal_source", "journal_signed_head"):
        found.admin(f"DELETE FROM {table} WHERE tenant_id = ANY(%s::uuid[])", (list(tenants),))  # noqa: S608 (names above)
    found.admin("DELETE FROM journal_counter WHERE tenant_id = ANY(%s::uuid[])", (list(tenants),))
    found.admin("DELETE FROM association WHERE tenant_id = ANY(%s::uuid[])", (list(tenants),))
    engine.dispose()


def test_whole_journals_are_said_to_be_whole(platform: Platform, capsys: pytest.CaptureFixture[str]) -> None:
    assert audit(platform.sources, None, 0) == 0
    printed = capsys.readouterr().out
    assert printed.count("ok  ") == 2
    assert "6 entries, signed up to 4" in printed
    assert "2 journals verified, 0 with defects" in printed


def test_a_defect_is_listed_and_its_association_named(platform: Platform, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = platform.tenants
    platform.admin("DELETE FROM journal_entry WHERE tenant_id = %s AND chain_index = 2", (bad,))
    assert audit(platform.sources, None, 0) == 1
    printed = capsys.readouterr().out
    assert f"FAIL  asso-{bad[-6:]}" in printed
    assert f"ok    asso-{good[-6:]}" in printed
    assert "MISSING_ENTRY at 2" in printed
    assert audit(platform.sources, f"asso-{good[-6:]}", 0) == 0
    assert audit(platform.sources, bad, 0) == 1


def test_what_arrives_while_the_chain_is_read_is_no_defect(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    tenant_id = platform.tenants[0]

    def busy(*arguments: Any, **options: Any) -> Report:
        platform.append(tenant_id, 2)
        platform.handed_over(tenant_id, 8)
        return verify(*arguments, **options)

    monkeypatch.setattr("dui_ops.commands.audit.verify", busy)
    assert audit(platform.sources, tenant_id, 0) == 0


def test_a_tail_that_only_the_services_remember_is_missed(
    platform: Platform, capsys: pytest.CaptureFixture[str]
) -> None:
    tenant_id = platform.tenants[0]
    platform.handed_over(tenant_id, 7)
    assert audit(platform.sources, None, 0) == 1
    assert "MISSING_TAIL at 7: identity handed over 7 entries, the chain has 6" in capsys.readouterr().out


def test_an_association_that_was_erased_altogether_is_missed(
    platform: Platform, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = platform.tenants[1]
    for table in (
        "journal_entry",
        "journal_head",
        "journal_source",
        "journal_signed_head",
        "journal_counter",
        "association",
    ):
        platform.admin(f"DELETE FROM {table} WHERE tenant_id = %s", (gone,))  # noqa: S608 (names above)
    assert audit(platform.sources, None, 0) == 1
    printed = capsys.readouterr().out
    assert f"FAIL  {gone}" in printed
    assert "HEAD_MISSING" in printed


def test_it_says_what_it_needs(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(StackError, match="no association named 'nobody'"):
        audit(platform.sources, "nobody", 0)
    monkeypatch.setenv("DUI_DATABASE_URL", platform.urls.app_url)
    monkeypatch.delenv("DUI_AUDIT_SIGNING_KEY_FILE", raising=False)
    monkeypatch.setenv("DUI_IDENTITY_DATABASE_OWNER_URL", platform.urls.owner_url)
    assert main(["audit", "verify"]) == 2
    assert "DUI_AUDIT_SIGNING_KEY_FILE is not set" in capsys.readouterr().err
    monkeypatch.setenv("DUI_AUDIT_SIGNING_KEY_FILE", str(platform.sources.key_file))
    monkeypatch.setenv("DUI_AUDIT_HEADS_DIR", str(platform.sources.heads))
    assert main(["audit", "verify", "--wait", "0"]) == 0
