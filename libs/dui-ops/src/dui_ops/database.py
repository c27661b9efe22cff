"""A connection to a database of the platform, by an operator."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from dui_ops.state import StackError, no_answer

Connection = psycopg.Connection[tuple[Any, ...]]


def connect(service: str, url: str, *, options: str = "") -> Connection:
    """The database of a service; StackError when it does not answer or lets nobody in.

    Args:
        options: settings of the session, `-c timezone=UTC`.
    """
    try:
        return psycopg.connect(url, options=options, connect_timeout=5)
    except psycopg.OperationalError as error:
        _, refused, why = str(error).partition("FATAL:")
        address = _address(url)
        if refused:
            # What PostgreSQL says of a login: names of roles and databases, nothing personal.
            raise StackError(f"the database of {service} at {address} refuses: {' '.join(why.split())}") from None
        raise StackError(no_answer(f"the database of {service}", address)) from None
    except psycopg.ProgrammingError:
        raise StackError(f"the URL of the database of {service} cannot be read") from None


def _address(url: str) -> str:
    parts = conninfo_to_dict(url)
    return f"{parts.get('host', '127.0.0.1')}:{parts.get('port', 5432)}"
