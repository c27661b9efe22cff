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
            "options": "-c timezone=UTC -c idle_in_transaction_session_timeout=60000",
        },
    )


def raw(session: Session) -> psycopg.Connection[tuple[Any, ...]]:
    """The psycopg connection under a session: the kit's own fixed statements go there, at a quarter of the cost."""
    return cast("psycopg.Connection[tuple[Any, ...]]", session.connection().connection.dbapi_connection)


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
    connection = raw(session)
    result = connection.pgconn.exec_(settings.encode())
    if result.status != psycopg.pq.ExecStatus.TUPLES_OK:
        message = result.error_message.decode(errors="replace") or "connection lost"
        raise psycopg.OperationalError(message)


@contextmanager
def tenant_session(engine: Engine, tenant_id: str, *, durable: bool = True) -> Iterator[Session]:
    """One transaction of a worker or a job for one tenant; commits at the end, rolls back on an exception."""
    with Session(engine, expire_on_commit=False) as session:
        begin(session, tenant_id, durable=durable, statement_ms=WORKER_STATEMENT_MS)
        yield session
        session.commit()
