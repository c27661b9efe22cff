"""What each command says of a platform that does not answer: one sentence with the part, its address and the remedy."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from dui_kit import testing
from dui_kit.worker.testing import Nats, free_port
from dui_ops.__main__ import main
from dui_ops.calls import Account
from dui_ops.operator import settings
from dui_ops.state import VERSION, StackError
from psycopg.conninfo import make_conninfo

REMEDY = "start it (`make up` starts the local stack)"


@pytest.fixture
def port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """A port where nobody listens; the state file of the stack says that everything does."""
    free = free_port()
    here, secret = f"127.0.0.1:{free}", "not-to-be-shown"
    database = {
        f"{role}_url": f"postgresql://records_{role}:{secret}@{here}/records" for role in ("app", "owner", "relay")
    }
    environment = {
        "DUI_DATABASE_URL": database["app_url"],
        "DUI_DATABASE_RELAY_URL": database["relay_url"],
        "DUI_IDENTITY_TARGET": here,
        "DUI_OIDC_ISSUER": f"http://{here}/realms/dui",
        "DUI_OIDC_CLIENT_ID": "dui-records",
        "DUI_AUDIT_SIGNING_KEY_FILE": "none.pem",
        "DUI_AUDIT_HEADS_DIR": "none",
    }
    service = {"target": here, "database": database}
    state = {
        "version": VERSION,
        "home": str(tmp_path),
        "urls": {"issuer": f"http://{here}/realms/dui", "gateway": f"http://{here}"},
        "nats": {"admin_url": f"nats://admin:{secret}@{here}"},
        "services": {"identity": service, "records": service},
        "programs": {"identity": {"env": environment}, "records": {"env": environment}},
        "accounts": [
            {
                "username": "nurse.les-tilleuls",
                "password": secret,
                "otp_secret": None,
                "association": {"alias": "les-tilleuls"},
            }
        ],
    }
    path = tmp_path / "state.json"
    path.write_text(json.dumps(state), encoding="utf-8")
    monkeypatch.setenv("DUI_STACK", str(path))
    for name in ("DUI_DATABASE_URL", "DUI_NATS_URL"):
        monkeypatch.delenv(name, raising=False)
    return free


@pytest.mark.parametrize(
    ("command", "part"),
    [
        ("token nurse.les-tilleuls", "Keycloak does not answer at http://127.0.0.1:{port}/realms/dui"),
        ("consumers", "NATS does not answer at 127.0.0.1:{port}"),
        ("dead-letters list", "NATS does not answer at 127.0.0.1:{port}"),
        ("projections rebuild records", "the database of records does not answer at 127.0.0.1:{port}"),
        (
            "projections rebuild records --tenant les-tilleuls",
            "the database of identity does not answer at 127.0.0.1:{port}",
        ),
        ("tenant list", "the database of identity does not answer at 127.0.0.1:{port}"),
        ("tenant suspend les-tilleuls", "the database of identity does not answer at 127.0.0.1:{port}"),
        ("recover database records", "the database of identity does not answer at 127.0.0.1:{port}"),
        (
            "recover streams records --since 2026-01-01T00:00Z",
            "the database of records does not answer at 127.0.0.1:{port}",
        ),
    ],
)
def test_a_stack_that_is_down_is_told_in_one_sentence(
    port: int, command: str, part: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(command.split()) == 2
    told = capfd.readouterr()
    assert told.err == f"dui: {part.format(port=port)}: {REMEDY}\n"
    assert told.out == ""


def test_a_rebuild_names_what_is_away_of_several_parts(
    port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """With its database there, NATS is the next that is missed; with both, Keycloak."""
    with testing.postgres_server() as url:
        urls = testing.create_database(url, "records")
        monkeypatch.setenv("DUI_DATABASE_URL", urls.app_url)
        monkeypatch.setenv("DUI_IDENTITY_TARGET", f"127.0.0.1:{port}")
        monkeypatch.setenv("DUI_OIDC_ISSUER", f"http://127.0.0.1:{port}/realms/dui")
        assert main(["projections", "rebuild", "records"]) == 2
        assert capfd.readouterr().err == f"dui: NATS does not answer at 127.0.0.1:{port}: {REMEDY}\n"
        server = Nats(tmp_path, free_port())
        server.start()
        try:
            monkeypatch.setenv("DUI_NATS_URL", server.url)
            assert main(["projections", "rebuild", "records"]) == 2
        finally:
            server.kill()
        assert (
            f"dui: Keycloak does not answer at http://127.0.0.1:{port}/realms/dui: {REMEDY}" in capfd.readouterr().err
        )


def test_a_database_that_lets_nobody_in_is_not_said_to_be_away(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with testing.postgres_server() as url:
        urls = testing.create_database(url, "identity")
        monkeypatch.setenv("DUI_IDENTITY_DATABASE_OWNER_URL", make_conninfo(urls.owner_url, dbname="nowhere"))
        assert main(["tenant", "list"]) == 2
    told = capsys.readouterr().err
    assert "the database of identity at" in told
    assert 'refuses: database "nowhere" does not exist' in told


def test_the_account_of_a_service_says_where_keycloak_was_looked_for() -> None:
    issuer = f"http://127.0.0.1:{free_port()}/realms/dui"
    with pytest.raises(StackError, match=f"Keycloak does not answer at {issuer}"):
        Account(settings({"DUI_OIDC_ISSUER": issuer})).get()
