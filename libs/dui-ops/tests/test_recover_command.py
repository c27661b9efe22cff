"""`dui recover` on a real database: identity stands for the service that lost data, and keeps the journal as well."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from dui.journal.v1 import journal_pb2
from dui_kit import testing
from dui_kit.calls.outbox import journal_step
from dui_kit.db import migrate
from dui_kit.db.statements import run
from dui_kit.ids import new_id
from dui_kit.worker.leadership import LEADER_KEY
from dui_ops.__main__ import main
from dui_ops.commands import recover


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Iterator[testing.Database]:
    with testing.postgres_server() as url:
        urls = testing.create_database(url, "identity")
        migrate.upgrade("dui_identity.migrations", urls.owner_url)
        monkeypatch.setenv("DUI_DATABASE_URL", urls.app_url)
        monkeypatch.setenv("DUI_DATABASE_RELAY_URL", urls.relay_url)
        monkeypatch.setenv("DUI_IDENTITY_DATABASE_OWNER_URL", urls.owner_url)
        yield urls


def test_what_was_published_since_goes_out_again(
    database: testing.Database, capsys: pytest.CaptureFixture[str]
) -> None:
    tenant = new_id()
    with psycopg.connect(database.app_url) as connection:
        connection.execute("SELECT set_config('dui.tenant', %s, true)", (tenant,))
        run(connection, journal_step(tenant, journal_pb2.JournalEntry(entry_id=new_id(), subject="s")))
    with psycopg.connect(database.admin_url) as connection:
        connection.execute("UPDATE journal_outbox SET sequence = 1")
        connection.execute("INSERT INTO journal_counter VALUES (%s, 1, 1)", (tenant,))
    assert main(["recover", "streams", "identity", "--since", "2026-01-01T00:00+01:00"]) == 0
    assert capsys.readouterr().out == "identity: 0 events and 1 journal entries go out again\n"
    assert main(["recover", "streams", "identity", "--since", "2026-01-01T00:00+01:00"]) == 0
    assert capsys.readouterr().out == "identity: 0 events and 0 journal entries go out again\n"


def test_an_instant_without_its_zone_is_refused(database: testing.Database, capsys: pytest.CaptureFixture[str]) -> None:
    for text in ("2026-01-01T00:00", "yesterday"):
        with pytest.raises(SystemExit):
            main(["recover", "streams", "identity", "--since", text])
        assert text in capsys.readouterr().err


def test_a_restored_database_goes_on_after_what_the_journal_has(
    database: testing.Database, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its projections are rebuilt then, which asks the other services (tests/integration/test_recovery.py)."""
    rebuilt: list[str] = []
    monkeypatch.setattr(recover, "rebuild_projections", rebuilt.append)
    behind, level = new_id(), new_id()
    with psycopg.connect(database.admin_url) as connection:
        for tenant, own, chain in ((behind, 3, 8), (level, 5, 5)):
            connection.execute("INSERT INTO journal_counter VALUES (%s, %s, %s)", (tenant, own, own))
            connection.execute("INSERT INTO journal_source VALUES (%s, 'identity', %s, %s)", (tenant, chain, new_id()))
    with psycopg.connect(database.relay_url) as leader:
        leader.execute("SELECT pg_advisory_lock(%s)", (LEADER_KEY,))
        assert main(["recover", "database", "identity"]) == 2
        assert "stop it first" in capsys.readouterr().err
    assert main(["recover", "database", "identity"]) == 0
    assert capsys.readouterr().out == "identity: the journals of 1 of 2 associations were behind\n"
    assert rebuilt == ["identity"]
    with psycopg.connect(database.admin_url) as connection:
        rows = connection.execute("SELECT tenant_id::text, last_sequence, published_sequence FROM journal_counter")
        assert {tenant: (last, sent) for tenant, last, sent in rows} == {behind: (8, 8), level: (5, 5)}


def test_it_says_what_is_missing(
    database: testing.Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DUI_DATABASE_RELAY_URL", "postgresql://127.0.0.1:1/none")
    assert main(["recover", "streams", "identity", "--since", "2026-01-01T00:00Z"]) == 2
    assert "does not answer" in capsys.readouterr().err
    monkeypatch.delenv("DUI_DATABASE_RELAY_URL")
    assert main(["recover", "streams", "identity", "--since", "2026-01-01T00:00Z"]) == 2
    assert "DUI_DATABASE_RELAY_URL is not set" in capsys.readouterr().err
    monkeypatch.setenv("DUI_RECORDS_DATABASE_OWNER_URL", database.owner_url)
    monkeypatch.delenv("DUI_IDENTITY_DATABASE_OWNER_URL")
    assert main(["recover", "database", "identity"]) == 2
    assert "DUI_IDENTITY_DATABASE_OWNER_URL" in capsys.readouterr().err
