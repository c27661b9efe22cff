"""People log in at their first try once PostgreSQL is back: Keycloak tries its idle connections before it uses them."""

from __future__ import annotations

import os
import signal

import fault_checks as checks
import pytest
from dui_ops import probes
from dui_ops.login import login_account
from dui_ops.state import State, load
from dui_ops.supervision import Supervisor

pytestmark = pytest.mark.alone


@pytest.fixture(scope="module")
def state() -> State:
    """A stack that was started for this."""
    if "DUI_STACK" not in os.environ:
        pytest.fail("kills PostgreSQL: only of a stack that was started for it (make faults, make test)")
    return load()


def test_the_first_logins_after_postgresql_was_killed_succeed(state: State) -> None:
    accounts = [each for each in state["accounts"] if each["username"].endswith(".les-tilleuls")][:4]
    assert len(accounts) == 4
    for account in accounts:  # the pool of Keycloak holds connections that work
        login_account(state, account)
    supervisor = Supervisor(state)
    killed = checks.process_of(supervisor, "postgres")
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    checks.eventually(
        "another PostgreSQL answers",
        lambda: checks.process_of(supervisor, "postgres") not in {None, killed} and probes.postgres(state).ok,
        60.0,
    )
    for account in accounts:
        assert login_account(state, account).access_token
