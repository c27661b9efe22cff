"""`dui tenant` on a real database of identity: what it finds and refuses before anything is asked of the platform.

What it changes is shown on a whole platform (tests/integration/test_tenant_command.py)."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from dui_identity.provisioning.rules import Problem
from dui_identity.staff.rules import Status
from dui_kit import testing
from dui_kit.db import migrate
from dui_kit.ids import new_id
from dui_ops.__main__ import main

TILLEULS, SUSPENDED = "01a20f54-db9a-761d-b14b-2f1dba3614b6", "01a20f54-ecab-7799-8d64-43b3ff562808"
ADMINISTRATOR = ("--family-name", "Durand", "--given-name", "Dominique", "--login", "administrator.essai")


@pytest.fixture(scope="module")
def database() -> Iterator[testing.Database]:
    with testing.postgres_server() as url:
        urls = testing.create_database(url, "identity")
        migrate.upgrade("dui_identity.migrations", urls.owner_url)
        with psycopg.connect(urls.admin_url) as connection:
            for tenant_id, slug, active in ((TILLEULS, "les-tilleuls", True), (SUSPENDED, "horizon", False)):
                connection.execute(
                    "INSERT INTO association (tenant_id, slug, name, finess_ej, active, version) "
                    "VALUES (%s, %s, %s, '990000101', %s, 1)",
                    (tenant_id, slug, f"Association {slug}", active),
                )
                for login, status in (("nurse", Status.ACTIVE), ("doctor", Status.ACTIVE), ("gone", Status.ENDED)):
                    professional = new_id()
                    connection.execute(
                        "INSERT INTO professional (tenant_id, professional_id, family_name, given_name, name_key, profession, "
                        "version) VALUES (%s, %s, 'Martin', 'Camille', 'MARTIN CAMILLE', 1, 1)",
                        (tenant_id, professional),
                    )
                    connection.execute(
                        "INSERT INTO account (tenant_id, account_id, professional_id, login, status, problem, version) "
                        "VALUES (%s, %s, %s, %s, %s, 0, 1)",
                        (tenant_id, new_id(), professional, f"{login}.{slug}", int(status)),
                    )
        yield urls


@pytest.fixture(autouse=True)
def environment(database: testing.Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUI_IDENTITY_DATABASE_OWNER_URL", database.owner_url)


def test_the_associations_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tenant", "list"]) == 0
    assert [line.split(maxsplit=3) for line in capsys.readouterr().out.splitlines()[:2]] == [
        ["horizon", SUSPENDED, "suspended", "Association horizon"],
        ["les-tilleuls", TILLEULS, "active", "Association les-tilleuls"],
    ]


@pytest.mark.parametrize("name", ["les-tilleuls", TILLEULS, TILLEULS.upper()])
def test_an_association_is_named_by_its_slug_or_its_id(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tenant", "suspend", name, "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert told == f"les-tilleuls ({TILLEULS}): would be suspended; accounts that this concerns: 2\n"


def test_what_is_so_already_is_said_so(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a word to the platform, which this test does not have."""
    assert main(["tenant", "suspend", "horizon"]) == 0
    assert "suspended already, nothing was changed" in capsys.readouterr().out
    assert main(["tenant", "reopen", "les-tilleuls"]) == 0
    assert "active already, nothing was changed" in capsys.readouterr().out


def test_an_unknown_association_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for action in ("suspend", "reopen"):
        assert main(["tenant", action, "nobody"]) == 2
        assert "no association named 'nobody'" in capsys.readouterr().err


def test_a_dry_run_opens_nothing(database: testing.Database, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tenant", "create", "essai", "--name", "Essai", *ADMINISTRATOR, "--dry-run"]) == 0
    assert capsys.readouterr().out == "essai: would be opened\n"
    with psycopg.connect(database.admin_url) as connection:
        assert connection.execute("SELECT count(*) FROM association").fetchone() == (2,)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"slug": "Les Tilleuls"}, "association.slug: Expected format: lower-case letters"),
        ({"--finess-ej": "990000108"}, "association.finess_ej: Expected format: a FINESS number"),
        ({"--siren": "123"}, "association.siren: Expected format: a SIREN"),
        ({"--name": ""}, "association.name: This field is required"),
        ({"--given-name": " "}, "administrator.given_name: This field is required"),
        ({"--login": "dominique@example.org"}, "administrator.login: Login: 3 to 80 unaccented letters"),
        ({"--email": "dominique"}, "administrator.email: Expected format: an e-mail address"),
    ],
)
def test_what_identity_would_refuse_is_refused_before_it_is_asked(
    changes: dict[str, str], fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {"--name": "Essai", **dict(zip(ADMINISTRATOR[::2], ADMINISTRATOR[1::2], strict=True)), **changes}
    slug = given.pop("slug", "essai")
    command = ["tenant", "create", slug, *(part for option in given.items() for part in option)]
    assert main([*command, "--dry-run"]) == 2
    assert fault in capsys.readouterr().err


def test_a_login_of_another_association_would_leave_nobody_to_enter(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["tenant", "create", "essai", "--name", "Essai", *ADMINISTRATOR, "--dry-run"]
    assert main([*command, "--login", "Nurse.les-tilleuls"]) == 2
    assert "the login is taken" in capsys.readouterr().err
    assert main([*command, "--login", "gone.les-tilleuls"]) == 0


def test_two_associations_may_have_one_name(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["tenant", "create", "essai", "--name", "Association les-tilleuls", *ADMINISTRATOR, "--dry-run"]
    assert main(command) == 0
    assert capsys.readouterr().out == "essai: would be opened\n"


@pytest.mark.parametrize(
    ("status", "problem", "told"),
    [
        (Status.PROVISIONING, Problem.INVITATION_EXPIRED, "its administrator would be invited again"),
        (Status.PROVISIONING, Problem.INVITATION_NOT_SENT, "its administrator would be invited again"),
        (Status.PROVISIONING, Problem.INVITATION_PENDING, "nothing would change"),
        (Status.ACTIVE, Problem.INVITATION_NOT_SENT, "nothing would change"),
    ],
)
def test_a_first_administrator_who_was_invited_in_vain_is_invited_again(
    database: testing.Database, status: Status, problem: Problem, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with psycopg.connect(database.admin_url) as connection:
        connection.execute(
            "WITH one AS (UPDATE account SET status = %s, problem = %s WHERE tenant_id = %s AND login LIKE 'nurse%%'"
            " RETURNING tenant_id, account_id)"
            " UPDATE association a SET administrator_account_id = one.account_id FROM one WHERE a.tenant_id = one.tenant_id",
            (int(status), int(problem), SUSPENDED),
        )
    try:
        same = ["tenant", "create", "horizon", "--finess-ej", "990000101", *ADMINISTRATOR, "--dry-run"]
        assert main([*same, "--name", "Association horizon"]) == 0
        assert capsys.readouterr().out == f"horizon: exists already: {told}\n"
    finally:
        with psycopg.connect(database.admin_url) as connection:
            connection.execute("UPDATE association SET administrator_account_id = NULL")
            connection.execute("UPDATE account SET status = 2, problem = 0 WHERE login LIKE 'nurse%'")


def test_another_association_under_the_same_slug_is_not_taken_for_it(capsys: pytest.CaptureFixture[str]) -> None:
    same = ["tenant", "create", "horizon", "--finess-ej", "990000101", *ADMINISTRATOR, "--dry-run"]
    assert main([*same, "--name", "Association horizon"]) == 0
    assert "horizon: exists already: nothing would change" in capsys.readouterr().out
    assert main([*same, "--name", "Horizon Réunion"]) == 2
    assert "exists already with another name (Association horizon, not Horizon Réunion)" in capsys.readouterr().err
    assert main([*same, "--name", "Association horizon", "--finess-ej", "990000200"]) == 2
    assert "another FINESS number (990000101, not 990000200)" in capsys.readouterr().err


def test_it_says_which_setting_is_missing(
    database: testing.Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a deployment, where the environment tells where the platform is."""
    monkeypatch.setenv("DUI_DATABASE_URL", database.app_url)
    monkeypatch.delenv("DUI_IDENTITY_TARGET", raising=False)
    assert main(["tenant", "suspend", "les-tilleuls"]) == 2
    assert "DUI_IDENTITY_TARGET is not set" in capsys.readouterr().err
    monkeypatch.delenv("DUI_IDENTITY_DATABASE_OWNER_URL")
    monkeypatch.setenv("DUI_RECORDS_DATABASE_OWNER_URL", database.owner_url)
    assert main(["tenant", "list"]) == 2
    assert "DUI_IDENTITY_DATABASE_OWNER_URL is not set" in capsys.readouterr().err
