"""Statements that never change, prepared once for each connection and sent together in one round trip.

What the kit runs at the beginning and at the end of every call goes this way, and the statements of services that are
known in advance (`Query`). Measured for the fixed part of one read: a third less CPU in PostgreSQL and 40 % less here than
one statement after another through psycopg, whose own pipeline mode costs five times as much here
(docs/adr/0019-statements-sent-together.md).
"""

from __future__ import annotations

import select as polling
from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from opentelemetry import trace
from psycopg import pq
from psycopg.abc import Buffer
from psycopg.adapt import AdaptersMap, PyFormat, Transformer
from psycopg.types.string import TextLoader
from sqlalchemy.dialects import postgresql
from sqlalchemy.sql.base import Executable

from dui_kit.db.spans import sql_span

Connection = psycopg.Connection[tuple[Any, ...]]

#: Ids are text in Python: PostgreSQL writes a UUID faster than Python does.
_ADAPTERS = AdaptersMap(psycopg.adapters)
_ADAPTERS.register_loader("uuid", TextLoader)
#: Names of the statements that a connection has prepared.
_prepared: WeakKeyDictionary[Connection, set[bytes]] = WeakKeyDictionary()
_OK = frozenset({pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK})
_ENDED = frozenset({pq.ExecStatus.FATAL_ERROR, pq.ExecStatus.PIPELINE_ABORTED})
_DIALECT = postgresql.dialect(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]


class Statement:
    """A statement with parameters `$1`, `$2`, … whose types PostgreSQL infers. To be made once and kept."""

    __slots__ = ("name", "sql")

    def __init__(self, sql: str) -> None:
        self.sql = sql.encode()
        self.name = b"dui_" + blake2b(self.sql, digest_size=12).hexdigest().encode()

    def __call__(self, *parameters: object) -> Step:
        """The statement with the values of its parameters."""
        return Step(self, parameters)


@dataclass(frozen=True, slots=True)
class Step:
    """One statement of a round trip."""

    statement: Statement
    parameters: Sequence[object] = ()


class _Adapted:
    """What a Transformer needs to know of a connection, with ids as text."""

    __slots__ = ("adapters", "connection")

    def __init__(self, connection: Connection) -> None:
        self.adapters = _ADAPTERS
        self.connection = connection


def run(connection: Connection, *steps: Step) -> list[pq.abc.PGresult]:
    """Runs statements in their order, in one round trip; their results.

    The first failure is raised (a psycopg.Error) and nothing after it runs: a `COMMIT` at the end does not happen. Not for
    results or parameters of megabytes: everything is sent before anything is read.
    """
    if trace.get_current_span().is_recording():
        with sql_span(connection.info.dbname, [step.statement.sql.decode() for step in steps]):
            return _run(connection, steps)
    return _run(connection, steps)


def _run(connection: Connection, steps: Sequence[Step]) -> list[pq.abc.PGresult]:
    pgconn = connection.pgconn
    known = _prepared.get(connection)
    if known is None:
        known = _prepared[connection] = set()
    sent = [(step.statement, *_written(connection, step.parameters)) for step in steps]
    #: For each result that will come: the name that was prepared, or None for a step.
    expected: list[bytes | None] = []
    pgconn.enter_pipeline_mode()
    try:
        for statement, values, formats in sent:
            if statement.name not in known and statement.name not in expected:
                pgconn.send_prepare(statement.name, statement.sql)
                expected.append(statement.name)
            pgconn.send_query_prepared(statement.name, values, param_formats=formats)
            expected.append(None)
        pgconn.pipeline_sync()
        results = _collect(pgconn)
        pgconn.exit_pipeline_mode()
    except BaseException:
        # The conversation is broken in the middle: nobody may go on with it.
        connection.close()
        raise
    kept = []
    for prepared, result in zip(expected, results, strict=False):
        if result.status not in _OK:
            raise psycopg.errors.error_from_result(result)
        if prepared is None:
            kept.append(result)
        else:
            known.add(prepared)
    return kept


def _written(
    connection: Connection, parameters: Sequence[object]
) -> tuple[Sequence[Buffer | None] | None, Sequence[pq.Format] | None]:
    """Parameters as PostgreSQL reads them: bytes in binary, the rest as text."""
    if not parameters:
        return None, None
    adapted = Transformer(_Adapted(connection))
    asked = [PyFormat.BINARY if isinstance(value, bytes) else PyFormat.TEXT for value in parameters]
    return adapted.dump_sequence(parameters, asked), adapted.formats


def _collect(pgconn: pq.abc.PGconn) -> list[pq.abc.PGresult]:
    """Every result up to the end of the round trip."""
    waiting = polling.poll()
    # What the socket did not take stays in libpq: it goes out beside what comes in, or both sides would wait for ever.
    unsent = pgconn.flush()
    waiting.register(pgconn.socket, polling.POLLIN | (polling.POLLOUT if unsent else 0))
    results: list[pq.abc.PGresult] = []
    idle = 0
    while True:
        while unsent or pgconn.is_busy():
            waiting.poll()
            pgconn.consume_input()
            if unsent:
                unsent = pgconn.flush()
                if not unsent:
                    waiting.modify(pgconn.socket, polling.POLLIN)
        result = pgconn.get_result()
        if result is None:  # the end of one statement's results
            idle += 1
            if idle > 2:
                message = "the connection to PostgreSQL is lost"
                raise psycopg.OperationalError(message)
            continue
        idle = 0
        if result.status == pq.ExecStatus.PIPELINE_SYNC:
            return results
        if result.status in _ENDED and pgconn.status != pq.ConnStatus.OK:
            message = "the connection to PostgreSQL is lost"
            raise psycopg.OperationalError(message)
        results.append(result)


def rows(
    connection: Connection, result: pq.abc.PGresult, make: Callable[[Sequence[Any]], Any] | None = None
) -> list[Any]:
    """The rows of a result, as tuples or as what `make` makes of them; ids as text."""
    adapted = Transformer(_Adapted(connection))
    adapted.set_pgresult(result)
    return adapted.load_rows(0, result.ntuples, make or tuple)


@dataclass(frozen=True, slots=True)
class _Compiled:
    statement: Statement
    #: Each parameter: the name of a value that is given, or None and the value that is in the statement; and what
    #: SQLAlchemy makes of it.
    slots: tuple[tuple[str | None, object, Callable[[Any], Any] | None], ...]
    make: Callable[[Sequence[Any]], Any]


class Query:
    """A statement of SQLAlchemy Core that never changes, with its values as bound parameters. To be made once and kept.

    Its rows are named tuples with ids as text. What is composed for each call goes through `call.session` instead.
    """

    __slots__ = ("_compiled", "_expression")

    def __init__(self, expression: Executable) -> None:
        self._expression = expression
        self._compiled: dict[tuple[str, ...], _Compiled] = {}

    def step(self, values: Mapping[str, object]) -> Step:
        """The statement with its values, for a round trip."""
        return self.prepared(values)[0]

    def prepared(self, values: Mapping[str, object]) -> tuple[Step, Callable[[Sequence[Any]], Any]]:
        """The statement with its values, and what makes a row of it."""
        compiled = self._for(values)
        parameters = []
        for name, fixed, process in compiled.slots:
            value = fixed if name is None else values[name]
            parameters.append(value if process is None else process(value))
        return Step(compiled.statement, parameters), compiled.make

    def all(self, connection: Connection, values: Mapping[str, object]) -> list[Any]:
        """Every row."""
        (found,) = together(connection, (self, values))
        return found

    def one_or_none(self, connection: Connection, values: Mapping[str, object]) -> Any | None:
        """The only row, or None; ValueError when there are several."""
        found = self.all(connection, values)
        if len(found) > 1:
            message = f"{len(found)} rows where one was expected"
            raise ValueError(message)
        return found[0] if found else None

    def one(self, connection: Connection, values: Mapping[str, object]) -> Any:
        """The only row; ValueError when there is none, or several."""
        found = self.one_or_none(connection, values)
        if found is None:
            message = "no row where one was expected"
            raise ValueError(message)
        return found

    def _for(self, values: Mapping[str, object]) -> _Compiled:
        """An INSERT or UPDATE writes the columns that have a value."""
        names = tuple(values)
        found = self._compiled.get(names)
        if found is None:
            found = self._compiled[names] = self._compile(names)
        return found

    def _compile(self, names: tuple[str, ...]) -> _Compiled:
        columns_of = getattr(getattr(self._expression, "table", None), "c", ())
        written = [name for name in names if name in columns_of]
        made: Any = self._expression.compile(dialect=_DIALECT, column_keys=written)  # type: ignore[attr-defined]
        if made.post_compile_params or made.literal_execute_params:
            message = f"a list of values changes this statement (use any_ with an array): {made.string}"
            raise ValueError(message)
        processors = made._bind_processors  # noqa: SLF001
        slots = tuple(
            (name if name in names else None, made.params.get(name), processors.get(name)) for name in made.positiontup
        )
        columns = tuple(column.name for column in getattr(self._expression, "exported_columns", ()))
        row: Any = namedtuple("Row", columns)  # type: ignore[misc] # noqa: PYI024 (its columns are the statement's)
        return _Compiled(Statement(made.string), slots, row._make)


def together(connection: Connection, *asked: tuple[Query, Mapping[str, object]]) -> list[list[Any]]:
    """The rows of each of several queries with its values, in one round trip."""
    prepared = [query.prepared(values) for query, values in asked]
    results = run(connection, *(step for step, _ in prepared))
    return [rows(connection, result, make) for result, (_, make) in zip(results, prepared, strict=True)]
