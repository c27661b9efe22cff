"""Engines and transactions.

One transaction has one tenant, set by the statement that begins it, so that row-level security holds from the first
query. A transaction of a read may lose its journal row in a crash of PostgreSQL (`synchronous_commit=off`, see
docs/operations/journal.md); one that writes may not.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import psycopg
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.orm import Session

from dui_kit.db.statements import Statement, Step, run

#: Where a session keeps the connection of its transaction under way: asking for it each time costs more than a statement.
_RAW = "dui.raw"

_BEGIN = Statement("BEGIN")
_SETTINGS = Statement(
    "SELECT set_config('dui.tenant', $1, true), set_config('synchronous_commit', $2, true),"
    " set_config('statement_timeout', $3, true)"
)
_COMMIT = Statement("COMMIT")()

#: Longest time that a statement of a worker or a job may take, in milliseconds.
WORKER_STATEMENT_MS = 30_000


#: A plan made once serves every tenant and value: all our queries look up by key, and planning each time cost more than
#: running. It is made when a table may still be empty, and reading all of an empty table is the cheapest way there is: without
#: `enable_seqscan=off` such a plan stayed until the statistics were renewed, and a lookup by key read thousands of rows.
_OPTIONS = (
    "-c timezone=UTC -c idle_in_transaction_session_timeout=60000"
    " -c plan_cache_mode=force_generic_plan -c enable_seqscan=off"
)


class _Keeping(psycopg.Connection[tuple[Any, ...]]):
    """A connection that keeps its prepared statements when it rolls back: psycopg throws them all away, in case a table was
    changed in the transaction, and each refusal would prepare them again."""

    def rollback(self) -> None:
        """Rolls back, if there is something to."""
        if self.pgconn.transaction_status == psycopg.pq.TransactionStatus.IDLE:
            return
        result = self.pgconn.exec_(b"ROLLBACK")
        if result.status != psycopg.pq.ExecStatus.COMMAND_OK:
            message = "the connection to PostgreSQL is lost"
            raise psycopg.OperationalError(message)


def make_engine(url: str, *, pool_size: int, name: str) -> Engine:
    """An engine on a `libpq` URL; the pool never grows beyond `pool_size`: connections are budgeted."""

    def connect() -> psycopg.Connection[tuple[Any, ...]]:
        return _Keeping.connect(
            url,
            application_name=name,
            connect_timeout=5,
            # A server that vanished without a word is noticed within half a minute, not after the two hours of the kernel.
            keepalives_idle=10,
            keepalives_interval=5,
            keepalives_count=3,
            tcp_user_timeout=25_000,
            options=_OPTIONS,
        )

    return create_engine(
        "postgresql+psycopg://",
        creator=connect,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=5,
        pool_recycle=1800,
        pool_reset_on_return="rollback",
    )


def raw(of: Session | Connection) -> psycopg.Connection[tuple[Any, ...]]:
    """The psycopg connection under a session or a connection of SQLAlchemy: the kit's own fixed statements go there."""
    if isinstance(of, Connection):
        return cast("psycopg.Connection[tuple[Any, ...]]", of.connection.dbapi_connection)
    found = of.info.get(_RAW)
    if found is None:
        found = of.connection().connection.dbapi_connection
    return cast("psycopg.Connection[tuple[Any, ...]]", found)


def opening(tenant_id: str, *, durable: bool, statement_ms: int) -> tuple[Step, Step]:
    """The steps that begin a transaction of one tenant.

    `durable` waits for the disk at commit; `statement_ms` bounds each statement.
    """
    return _BEGIN(), _SETTINGS(tenant_id, "on" if durable else "off", str(max(1, int(statement_ms))))


def commit(connection: psycopg.Connection[tuple[Any, ...]], *steps: Step) -> None:
    """The last steps of a transaction and its commit, in one round trip."""
    results = run(connection, *steps, _COMMIT)
    # PostgreSQL answers ROLLBACK, and no error, to the COMMIT of a transaction that had failed before.
    if results[-1].command_status != b"COMMIT":
        message = "the transaction had failed: nothing was written"
        raise psycopg.InternalError(message)


def begin(session: Session, tenant_id: str, *, durable: bool, statement_ms: int) -> None:
    """Begins the session's transaction for one tenant, in one round trip (see `opening`)."""
    session.info[_RAW] = session.connection().connection.dbapi_connection
    run(raw(session), *opening(tenant_id, durable=durable, statement_ms=statement_ms))


@contextmanager
def connected(engine: Engine) -> Iterator[Connection]:
    """A connection of the pool; one that broke does not go back to it."""
    with engine.connect() as connection:
        try:
            yield connection
        except psycopg.OperationalError:
            connection.invalidate()
            raise


@contextmanager
def tenant_session(
    engine: Engine, tenant_id: str, *, durable: bool = True, statement_ms: int = WORKER_STATEMENT_MS
) -> Iterator[Session]:
    """One transaction of a worker or a job for one tenant; commits at the end, rolls back on an exception."""
    with Session(engine, expire_on_commit=False) as session:
        begin(session, tenant_id, durable=durable, statement_ms=statement_ms)
        yield session
        session.commit()
