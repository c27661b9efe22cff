"""Logs: one JSON object a line on standard output, whoever writes it: the platform, a library, an error that nobody caught.

Nothing personal is in them. An error is its class and its place, never its text; what a library says is the text that its
programmer wrote, without the values put into it: both can quote data.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import MutableMapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

import structlog
from opentelemetry import trace

log: structlog.stdlib.BoundLogger = structlog.get_logger()

#: Steps of a traceback that are told, the innermost.
PLACES = 12


def where(error: BaseException) -> dict[str, Any]:
    """What an unexpected error may leave in a log: its class and place."""
    places = []
    step = error.__traceback__
    while step is not None:
        places.append(f"{step.tb_frame.f_code.co_filename.rsplit('/src/', 1)[-1]}:{step.tb_lineno}")
        step = step.tb_next
    return {"error": type(error).__name__, "where": places[-PLACES:]}


def setup(service: str, level: str) -> None:
    """Configures the logs of a process; `level` is for the platform's own lines, of libraries warnings are enough."""

    def origin(_logger: object, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        # Not a context variable: threads begin without those.
        return {"service": service, **_trace(), **line}

    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.EventRenamer("message"),
            origin,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(Library(service))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.captureWarnings(True)
    sys.excepthook = _uncaught
    threading.excepthook = lambda found: _uncaught(found.exc_type, found.exc_value, found.exc_traceback)
    sys.unraisablehook = lambda found: _uncaught(found.exc_type, found.exc_value, found.exc_traceback)


class Library(logging.Formatter):
    """The line of a library that uses `logging`."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """The text as it was written, up to its first line break (asyncio quotes errors after it)."""
        error = record.exc_info[1] if record.exc_info else None
        message = str(record.msg).partition("\n")[0]
        if record.name == "py.warnings":
            message = ": ".join(message.split(": ")[:2])  # place and class, without what is warned of
        if error is not None and str(error):
            message = message.replace(str(error), type(error).__name__)  # grpc writes it into its own text
        line = {
            "service": self._service,
            **_trace(),
            "level": record.levelname.lower(),
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "logger": record.name,
            "message": message,
        }
        return json.dumps(line | (where(error) if error is not None else {}), ensure_ascii=False)


def _trace() -> dict[str, str]:
    """The trace id of the call that runs here, if one does."""
    context = trace.get_current_span().get_span_context()
    return {"trace_id": f"{context.trace_id:032x}"} if context.is_valid else {}


def _uncaught(kind: type[BaseException], error: BaseException | None, _traceback: TracebackType | None) -> None:
    if not issubclass(kind, SystemExit | KeyboardInterrupt):
        log.critical("nobody caught an error", **(where(error) if error is not None else {"error": kind.__name__}))
