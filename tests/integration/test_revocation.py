"""A suspended account is refused everywhere within seconds, although its tokens would live for minutes.

40 suspensions (`DUI_REVOCATION_TRIALS`; 200 in `make proofs`) are measured from the moment the administrator sends the
request until both services refuse a token that both had just accepted.
"""

from __future__ import annotations

import itertools
import os
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx
import pytest
from dui_local.api import Api, ApiError
from dui_local.seed import enter, wait_for_account
from dui_ops.login import LoginError, login
from dui_ops.state import Account, State, load

SLUG = "les-tilleuls"
TRIALS = int(os.environ.get("DUI_REVOCATION_TRIALS", "40"))
SIDE_BY_SIDE = 12
P99_SECONDS = 5.0
#: How long a trial waits for what must come, so that a slow answer is measured and not cut off.
PATIENCE_SECONDS = 60.0
PAUSE_SECONDS = 0.01
#: Logins cost the machine more than what is measured: they are tried less often.
LOGIN_PAUSE_SECONDS = 0.3
#: What a revoked caller is told: by a service that knows, or by the gateway.
REASONS = {"ACCOUNT_INACTIVE", "SESSION_REVOKED"}

pytestmark = pytest.mark.alone


@dataclass(frozen=True)
class Colleague:
    """An account made for this test, with reads that two services answer."""

    account_id: str
    entry: Account
    issuer: str
    reads: tuple[str, ...]

    def token(self) -> str:
        """A fresh token from a fresh login."""
        return login(
            issuer=self.issuer,
            username=self.entry["username"],
            password=self.entry["password"],
            organization=self.entry["association"]["alias"],
        ).access_token


@pytest.fixture(scope="module")
def state() -> State:
    """The running stack."""
    return load()


@pytest.fixture(scope="module")
def administrator(state: State) -> Iterator[Api]:
    """Who suspends."""
    api = Api(state, next(one for one in state["accounts"] if one["username"] == f"administrator.{SLUG}"), "2")
    yield api
    api.close()


@pytest.fixture(scope="module")
def colleagues(state: State, administrator: Api) -> Iterator[list[Colleague]]:
    """Nurses with an account each; they leave at the end."""
    made = [_colleague(state, administrator) for _ in range(SIDE_BY_SIDE)]
    yield made
    for each in made:
        administrator.post(f"/v1/accounts/{each.account_id}:end", {"reason": "Fin de l'essai"})


def _colleague(state: State, administrator: Api) -> Colleague:
    username = f"revocation-{secrets.token_hex(5)}"
    person = {"family_name": "Essai", "given_name": "Camille", "profession": "PROFESSION_NURSE"}
    professional = administrator.post("/v1/professionals", person)["professional_id"]
    opened = administrator.post("/v1/accounts", {"professional_id": professional, "login": username})
    account_id = opened["account"]["account_id"]
    facility = state["seed"][SLUG]["facilities"]["fam"]
    assignment = {"profession": "PROFESSION_NURSE", "facility_id": facility}
    administrator.post(f"/v1/accounts/{account_id}/assignments", assignment)
    wait_for_account(administrator, account_id)
    entered = enter(state, username, opened["temporary_password"], SLUG)
    entry: Account = {
        "username": username,
        "password": entered.password,
        "otp_secret": entered.otp_secret,
        "subject": entered.subject,
        "name": "Camille Essai",
        "profession": "Infirmière",
        "role": "revocation",
        "association": {"alias": SLUG, "name": SLUG, "tenant_id": state["seed"][SLUG]["tenant_id"]},
    }
    reads = ("/v1/me", f"/v1/facilities/{facility}/beneficiaries?page_size=1")
    return Colleague(account_id, entry, state["urls"]["issuer"], reads)


def _eventually(what: str, condition: Callable[[], bool], pause: float = PAUSE_SECONDS) -> float:
    """Waits for a condition; returns when it held (monotonic)."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not within {PATIENCE_SECONDS:g} s: {what}"
        time.sleep(pause)
    return time.monotonic()


def _is_refused(client: httpx.Client, path: str, token: str) -> bool:
    """Whether a read is refused for the right reason; anything but the data or that refusal fails the test."""
    answer = client.get(path, headers={"Authorization": f"Bearer {token}"})
    if answer.status_code == 200:
        return False
    assert answer.status_code in {401, 403}, answer.text
    assert answer.json()["reason"] in REASONS, answer.text
    return True


def _working_token(client: httpx.Client, who: Colleague) -> str:
    """Logs in until both services accept the token: the login is opened again within seconds of the account."""
    accepted = ""

    def works() -> bool:
        nonlocal accepted
        try:
            accepted = who.token()
        except LoginError:
            return False
        answer = client.get(who.reads[0], headers={"Authorization": f"Bearer {accepted}"})
        if answer.status_code == 401 and answer.json()["reason"] == "TENANT_MISSING":
            return False  # made before the membership of the association was given back
        return not any(_is_refused(client, path, accepted) for path in who.reads)

    _eventually("a login after the account was given back", works, LOGIN_PAUSE_SECONDS)
    return accepted


def _trials(state: State, administrator: Api, who: Colleague, turns: Iterator[int]) -> list[float]:
    taken: list[float] = []
    with httpx.Client(base_url=state["urls"]["gateway"], timeout=20) as client:
        for _ in turns:
            token = _working_token(client, who)
            begun = time.monotonic()
            administrator.post(f"/v1/accounts/{who.account_id}:suspend", {"reason": "Essai"})
            waiting = list(who.reads)

            def refused_by_all(waiting: list[str] = waiting, token: str = token) -> bool:
                waiting[:] = [path for path in waiting if not _is_refused(client, path, token)]
                return not waiting

            taken.append(_eventually("the refusal of a suspended account", refused_by_all) - begun)
            # Refused once is refused for good.
            assert all(_is_refused(client, path, token) for path in who.reads)
            administrator.post(f"/v1/accounts/{who.account_id}:reactivate", {"reason": "Essai"})
            # The account lives again, the sessions of before do not.
            assert _is_refused(client, who.reads[0], token)
        _working_token(client, who)
    return taken


def test_a_suspended_account_is_refused_everywhere_within_seconds(
    state: State,
    administrator: Api,
    colleagues: list[Colleague],
    capsys: pytest.CaptureFixture[str],
    record_property: Callable[[str, object], None],
) -> None:
    turns = _Turns(TRIALS)
    with ThreadPoolExecutor(len(colleagues)) as pool:
        runs = [pool.submit(_trials, state, administrator, each, turns) for each in colleagues]
        taken = sorted(itertools.chain.from_iterable(run.result() for run in runs))
    assert len(taken) == TRIALS
    p50, p99 = taken[(len(taken) - 1) // 2], taken[-(-99 * len(taken) // 100) - 1]
    for name, value in (("trials", TRIALS), ("p50_seconds", p50), ("p99_seconds", p99), ("longest_seconds", taken[-1])):
        record_property(name, round(value, 3))
    with capsys.disabled():
        sys.stdout.write(
            f"\nrevocation, {TRIALS} trials: p50 {p50:.3f} s, p99 {p99:.3f} s, longest {taken[-1]:.3f} s\n"
        )
    assert p99 <= P99_SECONDS


class _Turns:
    """Trials that several threads share; `next` of a counter is one step of the interpreter."""

    def __init__(self, number: int) -> None:
        self._numbers = itertools.count()
        self._end = number

    def __iter__(self) -> _Turns:
        return self

    def __next__(self) -> int:
        number = next(self._numbers)
        if number >= self._end:
            raise StopIteration
        return number


def test_an_account_cannot_suspend_itself(administrator: Api) -> None:
    own = administrator.get("/v1/me")["account"]["account_id"]
    with pytest.raises(ApiError) as refusal:
        administrator.post(f"/v1/accounts/{own}:suspend", {"reason": "Essai"})
    assert 400 <= refusal.value.status < 500
    assert administrator.get("/v1/me")["account"]["account_id"] == own
