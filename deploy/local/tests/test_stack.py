"""The parts of a running stack: who may do what, and what comes back after it was killed.

Run with `python -m dui_local run --infra -- pytest deploy/local`.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import nats
import psutil
import psycopg
import pytest
from dui_local.services import SERVICES
from dui_ops import probes
from dui_ops.state import State, load, state_path
from dui_ops.supervision import Supervisor


@pytest.fixture(scope="module")
def state() -> State:
    if not state_path().exists():
        pytest.fail("kills and restarts parts of a stack: python -m dui_local run --infra -- pytest deploy/local/tests")
    return load()


def eventually(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass in time"
        time.sleep(0.1)


def process_of(supervisor: Supervisor, name: str) -> int | None:
    return next(each.pid for each in supervisor.programs() if each.name == name)


@pytest.mark.parametrize("role", ["owner_url", "app_url", "relay_url"])
@pytest.mark.parametrize("service", SERVICES)
def test_a_service_role_is_no_superuser_and_reaches_its_own_database_only(
    state: State, service: str, role: str
) -> None:
    url = state["services"][service]["database"][role]  # type: ignore[literal-required]
    with psycopg.connect(url) as connection:
        query = "select rolsuper, rolbypassrls, rolcreatedb, rolcreaterole from pg_roles where rolname = current_user"
        assert connection.execute(query).fetchone() == (False, False, False, False)
    for other in {*SERVICES, "keycloak", "postgres"} - {service}:
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            psycopg.connect(url, dbname=other)


def test_only_the_owner_makes_tables(state: State) -> None:
    database = state["services"]["records"]["database"]
    with psycopg.connect(database["owner_url"]) as connection:
        connection.execute("create table made_by_owner (id int)")
        connection.rollback()
    for url in (database["app_url"], database["relay_url"]):
        with psycopg.connect(url) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("create table made_by_another (id int)")


def test_the_extensions_are_there_and_every_write_is_flushed(state: State) -> None:
    with psycopg.connect(state["services"]["records"]["database"]["app_url"]) as connection:
        found = {name for (name,) in connection.execute("select extname from pg_extension").fetchall()}
        settings = dict(
            connection.execute(
                "select name, setting from pg_settings where name in ('fsync', 'synchronous_commit', 'full_page_writes')"
            ).fetchall()
        )
    assert "btree_gist" in found
    assert settings == {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}


def test_a_wrong_password_opens_nothing(state: State) -> None:
    url = state["postgres"]["superuser_url"]
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(url, password="0000")


def test_the_database_log_does_not_quote_values(state: State) -> None:
    """Not even in its errors: those stay out of it, their codes are in the log of the service that made them."""
    with psycopg.connect(state["services"]["records"]["database"]["owner_url"]) as connection:
        connection.execute("create temporary table person (name text unique)")
        connection.execute("insert into person values ('Vandenbrouck')")
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute("insert into person values ('Vandenbrouck')")
    # What the server says later of a login is in its log: the error would be there too.
    url, nobody = state["postgres"]["superuser_url"], f"nobody_{secrets.token_hex(8)}"
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url, user=nobody, password="0000")
    log = Path(state["programs"]["postgres"]["log"])
    deadline = time.monotonic() + 30
    while nobody not in (text := log.read_text(encoding="utf-8")):
        assert time.monotonic() < deadline, "the log does not tell of the refused login"
        time.sleep(0.1)
    assert "Vandenbrouck" not in text


def test_a_service_publishes_its_own_facts_and_no_others(state: State) -> None:
    refused: list[str] = []

    async def on_error(error: Exception) -> None:
        refused.append(str(error))

    async def publish() -> None:
        client = await nats.connect(state["services"]["records"]["nats_url"], error_cb=on_error)
        await client.publish("dui.records.t.person.v1.test", b"")
        await client.publish("dui.dead.records.purpose.t", b"")
        await client.flush()
        assert refused == []
        await client.publish("dui.identity.t.account.v1.suspended", b"")
        await client.publish("dui.journal.identity.t", b"")
        await client.publish("$JS.API.STREAM.DELETE.DUI_IDENTITY", b"")
        await client.publish("$JS.API.STREAM.UPDATE.DUI_RECORDS", b"{}")
        await client.publish("$JS.API.CONSUMER.DELETE.DUI_JOURNAL.identity__journal", b"")
        await client.publish("$JS.ACK.DUI_JOURNAL.identity__journal.1.1.1.1.0", b"")
        await client.subscribe("_INBOX.>")
        async with asyncio.timeout(10):
            while len(refused) < 7:
                await client.flush()  # the server's refusals come as errors, after the fact
        await client.close()

    asyncio.run(publish())
    assert len(refused) == 7
    assert all("permissions violation" in line for line in refused)


def test_nats_lets_nobody_in_without_a_password(state: State) -> None:
    # In the protocol's own words: the client library leaves its connection open when it is refused.
    with socket.create_connection(("127.0.0.1", state["ports"]["nats"]), timeout=5) as connection:
        stream = connection.makefile("rwb")
        assert stream.readline().startswith(b"INFO")
        stream.write(b'CONNECT {"verbose":false}\r\nPING\r\n')
        stream.flush()
        assert b"Authorization Violation" in stream.readline()
        stream.close()


def test_everything_listens_on_this_machine_only(state: State) -> None:
    processes = [psutil.Process(each.pid) for each in Supervisor(state).programs() if each.pid is not None]
    everything = [process for parent in processes for process in (parent, *parent.children(recursive=True))]
    listening = {
        connection.laddr.ip
        for process in everything
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening
    assert {ip.removeprefix("::ffff:") for ip in listening} == {"127.0.0.1"}


@pytest.mark.alone
@pytest.mark.parametrize("name", ["nats", "postgres", "keycloak"])
def test_a_killed_part_comes_back_and_all_others_with_it(state: State, name: str) -> None:
    supervisor = Supervisor(state)
    healthy = {each.name for each in probes.answers(state) if each.ok}
    before = process_of(supervisor, name)
    assert before is not None
    os.kill(before, signal.SIGKILL)
    eventually(lambda: process_of(supervisor, name) not in {None, before})
    eventually(lambda: healthy <= {each.name for each in probes.answers(state) if each.ok})
