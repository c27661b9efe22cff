"""For tests: what a service asks of its database, and whether an index serves it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from psycopg import pq
from psycopg._queries import PostgresQuery
from psycopg.adapt import Transformer
from sqlalchemy import event
from sqlalchemy.orm import Session

from dui_kit.db import statements
from dui_kit.db.database import begin, raw
from dui_kit.testing import Harness

_PLANNED = re.compile(r"\s*(SELECT|WITH|INSERT|UPDATE|DELETE)")
_INDEX = re.compile(r"Scan (?:using|on) (\S+).*\n(?:.*Recheck.*\n)?\s+Index Cond: (.*)")
#: Few rows of an association: itself, the owners of its facts, its professions.
_ROW_PER_TENANT = frozenset({"access_tenant_pkey", "access_heartbeat_pkey", "access_policy_pkey"})


@contextmanager
def watched(harness: Harness) -> Iterator[list[list[str]]]:
    """The statements of each round trip that the service makes, as PostgreSQL gets them."""
    trips: list[list[str]] = []
    run = statements._run  # noqa: SLF001

    def kit(connection: statements.Connection, steps: Sequence[statements.Step]) -> Any:
        trips.append([step.statement.sql.decode() for step in steps])
        return run(connection, steps)

    def session(_c: Any, cursor: Any, statement: str, parameters: Any, _x: Any, _m: bool) -> None:
        query = PostgresQuery(Transformer(cursor.connection))
        query.convert(statement, parameters)
        trips.append([query.query.decode()])

    event.listen(harness.engine, "before_cursor_execute", session)
    try:
        with patch.object(statements, "_run", kit):
            yield trips
    finally:
        event.remove(harness.engine, "before_cursor_execute", session)


def check_plans(
    harness: Harness, tenant_id: str, trips: list[list[str]], most: int, *, small: Sequence[str] = ()
) -> None:
    """Fails unless there are at most `most` round trips between the one that opens the call and the one that ends it, and the
    generic plan of each statement, as the app role, looks its rows up by more than the association.

    `small`: indexes of tables that have few rows for an association, which may be read whole.
    """
    _require(trips[0][0] == "BEGIN" and trips[-1][-1] == "COMMIT", f"not one whole transaction: {trips}")
    _require(len(trips) - 2 <= most, f"{len(trips) - 2} round trips instead of {most}: {trips[1:-1]}")
    for statement in {one for trip in trips for one in trip if _PLANNED.match(one)}:
        plan = plan_of(harness, tenant_id, statement)
        _require("Seq Scan" not in plan, f"{statement}\n{plan}")
        for index, condition in _INDEX.findall(plan):
            whole = "tenant_id" in condition and " AND " not in condition and not _stops_at_its_page(plan)
            known = index in _ROW_PER_TENANT or index in small
            _require(not whole or known, f"{index}: {condition}\n{statement}\n{plan}")


def _stops_at_its_page(plan: str) -> bool:
    """An index gives the rows in their order, and the limit ends it."""
    return plan.startswith("Limit") and not re.search("Sort|Aggregate|Hash|Unique|Bitmap", plan)


def plan_of(harness: Harness, tenant_id: str, statement: str) -> str:
    """The plan of a statement, as the app role in the association: the generic one, which serves every value."""
    with Session(harness.engine) as session:
        begin(session, tenant_id, durable=False, statement_ms=5000)
        result = raw(session).pgconn.exec_(b"EXPLAIN (GENERIC_PLAN, COSTS OFF) " + statement.encode())
        _require(result.status == pq.ExecStatus.TUPLES_OK, str(result.error_message))
        rows = [result.get_value(number, 0) or b"" for number in range(result.ntuples)]
        session.rollback()
    return b"\n".join(rows).decode()


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise AssertionError(message)
