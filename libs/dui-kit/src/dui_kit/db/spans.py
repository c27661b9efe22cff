"""Spans of statements, for calls that are sampled. Parameters stay out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import SpanKind
from sqlalchemy import Engine, event

from dui_kit.wire import telemetry

_tracer = trace.get_tracer("dui")
_TABLE = re.compile(r"\b(?:FROM|INTO|UPDATE)\s+([a-z_][a-z0-9_]*)")


@contextmanager
def sql_span(database: str, statements: Sequence[str]) -> Iterator[None]:
    """The client span of statements that are sent together, for a call that is sampled; parameters stay out."""
    several = len(statements) > 1
    summary = "; ".join(map(_summary, statements))
    attributes: dict[str, str | int] = {
        "db.system.name": "postgresql",
        "db.namespace": database,
        "db.query.summary": f"BATCH {summary}" if several else summary,
        "db.query.text": "; ".join(statements),
    }
    if several:
        attributes["db.operation.batch.size"] = len(statements)
    with telemetry.span("BATCH" if several else summary, SpanKind.CLIENT, attributes=attributes) as current:
        try:
            yield
        except Exception as error:
            telemetry.fail(current, type(error).__name__)
            raise


def watch_sql(engine: Engine) -> None:
    """One client span for each statement of SQLAlchemy, when the call is sampled; parameters stay out."""

    def before(_conn: object, cursor: Any, statement: str, _params: object, context: Any, _many: bool) -> None:
        if trace.get_current_span().is_recording():
            summary = _summary(statement)
            attributes = {
                "db.system.name": "postgresql",
                "db.namespace": cursor.connection.info.dbname,
                "db.query.summary": summary,
                "db.query.text": statement,
            }
            context.dui_span = _tracer.start_span(summary, kind=SpanKind.CLIENT, attributes=attributes)

    def after(_conn: object, _cursor: object, _statement: str, _params: object, context: Any, _many: bool) -> None:
        current = getattr(context, "dui_span", None)
        if current is not None:
            current.end()

    def failed(context: Any) -> None:
        current = getattr(context.execution_context, "dui_span", None)
        if current is not None:
            telemetry.fail(current, type(context.original_exception).__name__)
            current.end()

    event.listen(engine, "before_cursor_execute", before)
    event.listen(engine, "after_cursor_execute", after)
    event.listen(engine, "handle_error", failed)


@lru_cache(maxsize=2048)
def _summary(statement: str) -> str:
    """What a statement does and to which table, `INSERT stay`: few different ones, so that they can be grouped."""
    operation = statement.split(maxsplit=1)[0].upper()
    table = _TABLE.search(statement)
    return f"{operation} {table[1]}" if table else operation
