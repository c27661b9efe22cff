"""The database of a service comes back from a backup: nobody gets in again who was shut out since, and no access is lost.

What a backup does is done to the rows that matter: what records knows of others, and the numbers that its journal has given,
are those of before.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from dui_local.demo_story import SLUG
from dui_local.stack import wait_ready
from dui_ops.login import login_account
from dui_ops.state import State, load
from dui_ops.supervision import Supervisor

PROGRAMS = ("records", "records-worker")
LOST = 7
FACTS = "SELECT to_jsonb(a) FROM access_account a ORDER BY account_id"

pytestmark = pytest.mark.alone


@pytest.fixture
def state() -> Iterator[State]:
    """The running stack; records runs again at the end, whatever happened."""
    found = load()
    yield found
    supervisor = Supervisor(found)
    for name in PROGRAMS:
        supervisor.start(name)
    wait_ready(found, list(PROGRAMS), lambda _line: None)


def admin(state: State, service: str, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
    """A statement as superuser."""
    with psycopg.connect(state["services"][service]["database"]["superuser_url"], autocommit=True) as connection:
        cursor = connection.execute(statement.encode(), parameters)
        return cursor.fetchall() if cursor.description else []


def dui(*arguments: str) -> str:
    """What a command of the operator prints."""
    program = Path(sys.prefix) / "bin" / "dui"
    done = subprocess.run([str(program), *arguments], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def read(state: State, token: str) -> httpx.Response:
    facility = state["seed"][SLUG]["facilities"]["fam"]
    url = f"{state['urls']['gateway']}/v1/facilities/{facility}/beneficiaries?page_size=1"
    deadline = time.monotonic() + 30
    while True:
        answer = httpx.get(url, headers={"Authorization": f"Bearer {token}"})
        # A gateway that saw the service go tries it again within two seconds; what it refuses meanwhile reached nobody.
        if answer.status_code != 503 or time.monotonic() > deadline:
            return answer
        time.sleep(0.1)


def test_a_restored_service_knows_who_was_shut_out_and_its_journal_goes_on(state: State) -> None:
    tenant = state["seed"][SLUG]["tenant_id"]
    token = login_account(state, f"nurse.{SLUG}").access_token
    for _ in range(LOST):
        assert read(state, token).status_code == 200
    dui("audit", "verify", "--tenant", SLUG)
    given_up = dui("dead-letters", "list")  # of other tests
    supervisor = Supervisor(state)
    for name in PROGRAMS:
        supervisor.stop(name)
    # Somebody unknown to identity by now, who could enter when the backup was made; and the last numbers were not given yet.
    admin(
        state,
        "records",
        "INSERT INTO access_account (tenant_id, account_id, subject, active, version) VALUES (%s, uuidv7(), 'gone', true, 1)",
        tenant,
    )
    admin(state, "records", "DELETE FROM journal_outbox WHERE tenant_id = %s", tenant)
    admin(
        state,
        "records",
        "UPDATE journal_counter SET last_sequence = last_sequence - %s, published_sequence = published_sequence - %s"
        " WHERE tenant_id = %s",
        LOST,
        LOST,
        tenant,
    )
    told = dui("recover", "database", "records")
    assert "the journals of 1 of" in told
    assert admin(state, "records", FACTS) == admin(state, "identity", FACTS)
    for name in PROGRAMS:
        supervisor.start(name)
    wait_ready(state, list(PROGRAMS), lambda _line: None)
    [(before,)] = admin(state, "identity", "SELECT chain_index FROM journal_head WHERE tenant_id = %s", tenant)
    for _ in range(LOST - 1):
        assert read(state, token).status_code == 200
    assert "0 with defects" in dui("audit", "verify", "--tenant", SLUG)
    [(after,)] = admin(state, "identity", "SELECT chain_index FROM journal_head WHERE tenant_id = %s", tenant)
    assert after == before + LOST - 1
    assert dui("dead-letters", "list") == given_up
