"""One worker of a service leads: it relays, consumes and runs the jobs; the others stand by.

Two relays would put one aggregate's events out of order, and so would two processes that share a consumer. The lock is a
session lock of PostgreSQL: it goes with its connection, so a leader that dies, or loses PostgreSQL, leads no more. The
relay works on that same connection and cannot outlive its lock.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg

#: Advisory locks are per database, and each service has its own.
LEADER_KEY = 0x0D01
#: A standby looks this often whether it may lead.
STANDBY_SECONDS = 0.5

RelayConnection = psycopg.AsyncConnection[tuple[Any, ...]]


@asynccontextmanager
async def leadership(relay_url: str, name: str) -> AsyncIterator[RelayConnection]:
    """Waits until this process leads, and gives the connection that holds the lock.

    Raises psycopg.OperationalError when PostgreSQL cannot be reached.
    """
    connection = await psycopg.AsyncConnection.connect(
        relay_url,
        autocommit=True,
        application_name=name,
        connect_timeout=5,
        # A leader that PostgreSQL cannot reach any more must find out about as fast as PostgreSQL does.
        keepalives_idle=5,
        keepalives_interval=2,
        keepalives_count=3,
        tcp_user_timeout=10_000,
        # Statements are planned once here too, and the tables that they empty are empty then.
        options="-c timezone=UTC -c statement_timeout=30000 -c enable_seqscan=off",
    )
    async with connection:
        while True:
            cursor = await connection.execute("SELECT pg_try_advisory_lock(%s)", (LEADER_KEY,))
            row = await cursor.fetchone()
            if row and row[0]:
                break
            await asyncio.sleep(STANDBY_SECONDS)
        yield connection
