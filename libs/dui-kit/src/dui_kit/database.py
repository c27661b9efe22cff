"""Engines and transactions.

One transaction has one tenant, set by the statement that begins it, so that row-level security holds from the first
query. A transaction of a read may lose its journal row in a crash of PostgreSQL (`synchronous_commit=off`, see
docs/operations/journal.md); one that writes may not.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast
from uuid import UUID

import psycopg
from sqlalchemy import Engine, create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session

#: Where a session keeps the connection of its transaction under way: asking for it each time costs more than a statement.
_RAW = "dui.raw"
_DONE = frozenset({psycopg.pq.ExecStatus.TUPLES_OK, psycopg.pq.ExecStatus.COMMAND_OK})

#: Longest time that a statement of a worker or a job may take, in milliseconds.
WORKER_STATEMENT_MS = 30_000


def make_engine(url: str, *, pool_size: int, name: str) -> Engine:
    """An engine on a `libpq` URL; the pool never grows beyond `pool_size`: connections are budgeted."""
    return create_engine(
        make_url(url).set(drivername="postgresql+psycopg"),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=5,
        pool_recycle=1800,
        pool_reset_on_return="rollback",
        connect_args={
            "application_name": name,
            "connect_timeout": 5,
            # A plan made once serves every tenant and value: all our queries look up by key. (Planning each time cost more
            # than running.)
            "options": "-c timezone=UTC -c idle_in_transaction_session_timeout=60000 -c plan_cache_mode=force_generic_plan",
        },
    )


def raw(session: Session) -> psycopg.Connection[tuple[Any, ...]]:
    """The psycopg connection under a session: the kit's own fixed statements go there, at a quarter of the cost."""
    found = session.info.get(_RAW)
    if found is None:
        found = session.connection().connection.dbapi_connection
    return cast("psycopg.Connection[tuple[Any, ...]]", found)


def begin(session: Session, tenant_id: str, *, durable: bool, statement_ms: int) -> None:
    """Begins the session's transaction for one tenant, in one round trip.

    `tenant_id` is a UUID (ValueError otherwise: it becomes part of the statement); `durable` waits for the disk at commit;
    `statement_ms` bounds each statement.
    """
    settings = (
        f"BEGIN; SELECT set_config('dui.tenant', '{UUID(tenant_id)}', true), "
        f"set_config('synchronous_commit', '{'on' if durable else 'off'}', true), "
        f"set_config('statement_timeout', '{max(1, int(statement_ms))}', true)"
    )
    session.info[_RAW] = session.connection().connection.dbapi_connection
    at_once(raw(session), settings)


def at_once(connection: psycopg.Connection[tuple[Any, ...]], statements: str) -> bytes | None:
    """Runs several fixed statements in one round trip; the command tag of the last one.

    They go as they are: nothing that a caller typed may be part of them. Raises what the failing statement raises.
    """
    result = connection.pgconn.exec_(statements.encode())
    if result.status not in _DONE:
        if result.status == psycopg.pq.ExecStatus.FATAL_ERROR and result.error_field(
            psycopg.pq.DiagnosticField.SQLSTATE
        ):
            raise psycopg.errors.error_from_result(result)
        message = "the connection to PostgreSQL is lost"
        raise psycopg.OperationalError(message)
    return result.command_status


@contextmanager
def tenant_session(engine: Engine, tenant_id: str, *, durable: bool = True) -> Iterator[Session]:
    """One transaction of a worker or a job for one tenant; commits at the end, rolls back on an exception."""
    with Session(engine, expire_on_commit=False) as session:
        begin(session, tenant_id, durable=durable, statement_ms=WORKER_STATEMENT_MS)
        yield session
        session.commit()
