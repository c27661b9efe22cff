"""`dui tenant` on a running platform: an association is opened, shut out and let in again, and its people notice."""

from __future__ import annotations

import secrets
import time

import httpx
import pytest
from dui_keycloak.connection import Administration
from dui_local.realm import settings
from dui_local.seed import enter
from dui_ops.__main__ import main
from dui_ops.login import LoginError, Tokens, login
from dui_ops.state import State, load

SECONDS = 30.0
FIRST_PASSWORD = "first password of the administrator, shown this once: "


@pytest.fixture(scope="module")
def state() -> State:
    """The running stack."""
    return load()


class Newcomer:
    """An association that is not there yet, and who is to administer it."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.slug = f"essai-{secrets.token_hex(5)}"
        self._password = ""
        self.create = (
            *("tenant", "create", self.slug, "--name", f"Association {self.slug}", "--family-name", "Durand"),
            *("--given-name", "Dominique", "--login", f"admin.{self.slug}"),
        )

    def enter_first(self, first_password: str) -> None:
        """The first login of the administrator."""
        self._password = enter(self.state, f"admin.{self.slug}", first_password, self.slug).password

    def enter(self) -> Tokens:
        """A login of the administrator."""
        return login(
            issuer=self.state["urls"]["issuer"],
            username=f"admin.{self.slug}",
            password=self._password,
            organization=self.slug,
        )

    def reads(self, tokens: Tokens) -> httpx.Response:
        """What the gateway answers to it."""
        url = f"{self.state['urls']['gateway']}/v1/association"
        return httpx.get(url, headers={"Authorization": f"Bearer {tokens.access_token}"})


@pytest.fixture
def newcomer(state: State) -> Newcomer:
    return Newcomer(state)


def test_an_association_is_opened_shut_out_and_let_in_again(
    newcomer: Newcomer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*newcomer.create, "--dry-run"]) == 0
    assert main(list(newcomer.create)) == 0
    opened = capsys.readouterr().out.splitlines()
    assert opened[0] == f"{newcomer.slug}: would be opened"
    assert opened[1].startswith(f"{newcomer.slug} (")
    assert opened[1].endswith("): opened")
    assert opened[3:] == ["the administrator's account is active"]
    newcomer.enter_first(opened[2].removeprefix(FIRST_PASSWORD))
    tokens = newcomer.enter()
    assert newcomer.reads(tokens).json()["name"] == f"Association {newcomer.slug}"

    assert main(list(newcomer.create)) == 0
    assert "exists already, nothing was changed" in capsys.readouterr().out

    for _ in range(2):  # the second time changes nothing
        assert main(["tenant", "suspend", newcomer.slug]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.endswith("): suspended; accounts that this concerns: 1")
    assert "suspended already, nothing was changed" in second
    refusal = newcomer.reads(tokens)
    assert (refusal.status_code, refusal.json()["reason"]) == (403, "ASSOCIATION_INACTIVE")
    assert _until_login(newcomer, opens=False) is None

    assert main(["tenant", "reopen", newcomer.slug]) == 0
    assert capsys.readouterr().out.endswith("): active; accounts that this concerns: 1\n")
    assert newcomer.reads(tokens).status_code == 200  # a session of before goes on
    again = _until_login(newcomer, opens=True)
    assert again is not None
    assert newcomer.reads(again).status_code == 200


def test_a_first_administrator_without_an_address_gets_a_password_that_is_shown_once(
    state: State, capsys: pytest.CaptureFixture[str]
) -> None:
    slug = f"essai-{secrets.token_hex(5)}"
    command = [
        *("tenant", "create", slug, "--name", f"Association {slug}", "--family-name", "Durand"),
        *("--given-name", "Dominique", "--login", f"admin.{slug}"),
    ]
    assert main(command) == 0
    [_, told, entry] = capsys.readouterr().out.splitlines()
    password = told.removeprefix(FIRST_PASSWORD)
    assert entry == "the administrator's account is active"
    issuer = state["urls"]["issuer"]
    with pytest.raises(LoginError, match="must do something first"):  # choose another password
        login(issuer=issuer, username=f"admin.{slug}", password=password, organization=slug)
    assert main(command) == 0
    assert password not in capsys.readouterr().out


def test_an_administrator_who_cannot_enter_yet_is_told(state: State, capsys: pytest.CaptureFixture[str]) -> None:
    """Keycloak knows the login, of somebody else."""
    slug = f"essai-{secrets.token_hex(5)}"
    Administration(settings(state)).post("/users", {"username": f"other.{slug}", "enabled": True})
    command = [
        *("tenant", "create", slug, "--name", f"Association {slug}", "--family-name", "Durand"),
        *("--given-name", "Dominique", "--login", f"other.{slug}", "--email", f"admin.{slug}@example.org"),
    ]
    assert main(command) == 1
    assert "the administrator's account: LOGIN_TAKEN (Identifiant de connexion déjà pris" in capsys.readouterr().out


def test_a_first_administrator_whose_invitation_was_not_sent_is_invited_again_with_a_first_password(
    state: State, newcomer: Newcomer, capsys: pytest.CaptureFixture[str]
) -> None:
    """The realm has no mail server."""
    assert main([*newcomer.create, "--email", f"{newcomer.slug}@example.org"]) == 1
    assert "INVITATION_NOT_SENT (Invitation non envoyée" in capsys.readouterr().out
    assert main(list(newcomer.create)) == 0
    [again, told, entry] = capsys.readouterr().out.splitlines()
    assert again.endswith("): exists already, its administrator is invited again")
    assert entry == "the administrator's account is active"
    newcomer.enter_first(told.removeprefix(FIRST_PASSWORD))
    assert newcomer.reads(newcomer.enter()).status_code == 200
    assert main(list(newcomer.create)) == 0
    assert "exists already, nothing was changed" in capsys.readouterr().out


def test_the_operator_names_an_association_by_its_slug_everywhere(
    state: State, capsys: pytest.CaptureFixture[str]
) -> None:
    slug = "les-tilleuls"
    tenant_id = state["seed"][slug]["tenant_id"]
    for name in (slug, tenant_id):
        assert main(["projections", "rebuild", "records", "--tenant", name]) == 0
        [line] = capsys.readouterr().out.splitlines()
        assert line.startswith(f"{tenant_id}  identity: ")
        assert main(["audit", "verify", "--tenant", name]) == 0
        assert "1 journals verified, 0 with defects" in capsys.readouterr().out
    assert main(["projections", "rebuild", "records", "--tenant", "nobody"]) == 2
    assert "no association named 'nobody'" in capsys.readouterr().err


def _until_login(newcomer: Newcomer, *, opens: bool) -> Tokens | None:
    """Waits until Keycloak lets the person in, or no longer does: it is told by the worker, within seconds."""
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            tokens = newcomer.enter()
        except LoginError:
            tokens = None
        if (tokens is not None) is opens:
            return tokens
        assert time.monotonic() < deadline, f"the login of {newcomer.slug} does not {'open' if opens else 'close'}"
        time.sleep(0.3)
