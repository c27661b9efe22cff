"""Statements sent together: order, failures, connections that break, and the statements of SQLAlchemy."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import psycopg
import pytest
from dui_kit.db.database import commit, make_engine, raw
from dui_kit.db.statements import Connection, Query, Statement, rows, run
from dui_kit.ids import new_id
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import (
    Boolean,
    Column,
    Date,
    DateTime,
    Engine,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    any_,
    bindparam,
    insert,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, UUID

BEGIN = Statement("BEGIN")()
ADD = Statement("INSERT INTO kept (id, note) VALUES ($1, $2)")
COMMIT = Statement("COMMIT")()
COUNT = Statement("SELECT count(*) FROM kept")

KEPT = Table(
    "kept",
    MetaData(),
    Column("id", UUID(as_uuid=False), primary_key=True),
    Column("note", Text),
    Column("at", DateTime(timezone=True)),
    Column("day", Date),
    Column("number", Integer),
    Column("sure", Boolean),
    Column("content", LargeBinary),
    Column("words", ARRAY(Text)),
)


@pytest.fixture(scope="module")
def engine(postgres: str) -> Iterator[Engine]:
    """One connection to a database with a table."""
    url = psycopg.conninfo.make_conninfo(postgres, dbname="statements")
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute("CREATE DATABASE statements")
    engine = make_engine(url, pool_size=1, name="statements")
    with engine.begin() as connection:
        KEPT.metadata.create_all(connection)
    yield engine
    engine.dispose()


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    """The connection, outside of any transaction, and the table empty."""
    with engine.connect() as checked_out:
        connection = raw(checked_out)
        run(connection, Statement("TRUNCATE kept")())
        yield connection
        if not connection.closed:
            connection.rollback()
        else:
            checked_out.invalidate()


def count(connection: Connection) -> int:
    (result,) = run(connection, COUNT())
    return int(rows(connection, result)[0][0])


def prepared(connection: Connection) -> set[str]:
    return {name for (name,) in connection.execute("SELECT name FROM pg_prepared_statements").fetchall()}


def test_a_failure_in_the_middle_leaves_nothing_and_the_connection_goes_on(connection: Connection) -> None:
    one = new_id()
    with pytest.raises(psycopg.errors.UniqueViolation) as failure:
        run(connection, BEGIN, ADD(one, "a"), ADD(one, "b"), ADD(new_id(), "c"), COMMIT)
    assert failure.value.diag.constraint_name == "kept_pkey"
    connection.rollback()
    assert count(connection) == 0
    run(connection, BEGIN, ADD(one, "a"), COMMIT)
    assert count(connection) == 1


def test_the_commit_of_a_transaction_that_had_failed_is_an_error(connection: Connection) -> None:
    run(connection, BEGIN, ADD(new_id(), "a"))
    with pytest.raises(psycopg.errors.DivisionByZero):
        run(connection, Statement("SELECT 1 / 0")())
    with pytest.raises(psycopg.InternalError):
        commit(connection)
    assert count(connection) == 0
    commit(connection, BEGIN, ADD(new_id(), "a"))
    assert count(connection) == 1


def test_a_statement_that_cannot_be_prepared_is_raised_and_tried_again(connection: Connection) -> None:
    wrong = Statement("SELECT nothing FROM nowhere WHERE id = $1")
    for _ in range(2):
        with pytest.raises(psycopg.errors.UndefinedTable):
            run(connection, wrong("x"))
    assert count(connection) == 0


def test_a_parameter_that_cannot_be_written_sends_nothing(connection: Connection) -> None:
    with pytest.raises(psycopg.DataError):
        run(connection, BEGIN, ADD(new_id(), "a\x00b"), COMMIT)
    assert count(connection) == 0


def test_more_than_the_socket_takes_at_once_goes_out_while_the_server_is_busy(connection: Connection) -> None:
    note = "a" * 4_000_000
    wait = Statement("SELECT pg_sleep(0.3)")()
    run(connection, BEGIN, wait, ADD(new_id(), note), ADD(new_id(), note), COMMIT)
    [result] = run(connection, Statement("SELECT count(*) FROM kept WHERE length(note) = 4000000")())
    assert rows(connection, result) == [(2,)]


def test_a_rollback_keeps_what_is_prepared(connection: Connection) -> None:
    run(connection, BEGIN, ADD(new_id(), "a"))
    connection.rollback()
    assert ADD("", "").statement.name.decode() in prepared(connection)
    connection.rollback()
    run(connection, BEGIN, ADD(new_id(), "a"), COMMIT)
    assert count(connection) == 1


def test_another_connection_prepares_its_own(connection: Connection) -> None:
    run(connection, COUNT())
    with psycopg.connect(connection.info.dsn) as other:
        (result,) = run(other, COUNT())
        assert rows(other, result) == [(0,)]


def test_a_connection_that_breaks_is_closed_and_says_so(connection: Connection) -> None:
    with psycopg.connect(connection.info.dsn, autocommit=True) as admin:
        admin.execute("SELECT pg_terminate_backend(%s)", (connection.info.backend_pid,))
    with pytest.raises(psycopg.OperationalError):
        run(connection, BEGIN, ADD(new_id(), "a"), COMMIT)
    assert connection.closed


def test_the_server_that_ends_in_the_middle_of_a_statement_is_noticed(connection: Connection) -> None:
    suicide = Statement("SELECT pg_terminate_backend(pg_backend_pid())")
    with pytest.raises(psycopg.OperationalError):
        run(connection, BEGIN, ADD(new_id(), "a"), suicide(), COMMIT)
    assert connection.closed


VALUES = {
    "note": st.none() | st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"])),
    "at": st.none() | st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    "day": st.none() | st.dates(date(1800, 1, 1)),
    "number": st.none() | st.integers(-(2**31), 2**31 - 1),
    "sure": st.none() | st.booleans(),
    "content": st.none() | st.binary(),
    "words": st.none()
    | st.lists(st.none() | st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]))),
}
INSERT = Query(insert(KEPT).returning(*KEPT.c))
READ = Query(select(*KEPT.c).where(KEPT.c.id == bindparam("one")))


@given(st.fixed_dictionaries({}, optional=VALUES))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_a_query_writes_it_reads(connection: Connection, values: dict[str, Any]) -> None:
    one = new_id()
    written = INSERT.one(connection, {"id": one, **values})
    read = READ.one(connection, {"one": one})
    assert written == read
    assert read._asdict() == dict.fromkeys(KEPT.c.keys()) | values | {"id": one}


def test_an_update_writes_the_columns_that_have_a_value(connection: Connection) -> None:
    one = new_id()
    INSERT.one(connection, {"id": one, "note": "before", "number": 1})
    change = Query(update(KEPT).where(KEPT.c.id == bindparam("one")))
    run(connection, change.step({"one": one, "number": 2}))
    run(connection, change.step({"one": one, "note": None}))
    read = READ.one(connection, {"one": one})
    assert (read.note, read.number) == (None, 2)


def test_a_list_of_values_is_an_array(connection: Connection) -> None:
    ids = sorted(new_id() for _ in range(3))
    for one in ids:
        INSERT.one(connection, {"id": one})
    among = Query(select(KEPT.c.id).where(KEPT.c.id == any_(bindparam("ids", type_=ARRAY(UUID(as_uuid=False))))))
    assert sorted(row.id for row in among.all(connection, {"ids": ids[:2]})) == ids[:2]
    assert among.all(connection, {"ids": []}) == []
    with pytest.raises(ValueError, match="any_ with an array"):
        Query(select(KEPT.c.id).where(KEPT.c.id.in_(bindparam("ids", expanding=True)))).step({"ids": ids})


def test_one_row_means_one(connection: Connection) -> None:
    everything = Query(select(KEPT.c.id))
    assert everything.one_or_none(connection, {}) is None
    with pytest.raises(ValueError, match="no row"):
        everything.one(connection, {})
    for _ in range(2):
        INSERT.one(connection, {"id": new_id()})
    with pytest.raises(ValueError, match="2 rows"):
        everything.one_or_none(connection, {})
