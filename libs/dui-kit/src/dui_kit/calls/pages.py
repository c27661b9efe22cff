"""Keyset pages. A page token holds the sort key of the last row, sealed (sort keys can be names) and bound to the tenant,
the caller, the operation and the rest of the request: it opens nothing else and cannot be altered.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from hashlib import sha256
from typing import Any, TypeVar

from cryptography.exceptions import InvalidTag
from google.protobuf.message import Message
from sqlalchemy import Date, DateTime, Select, tuple_
from sqlalchemy.orm import Session

from dui_kit.calls.seals import Seals
from dui_kit.errors import Refusal
from dui_kit.times import from_micros, micros
from dui_kit.wire.texts import PAGE_SIZE_INVALID, PAGE_TOKEN_INVALID

Row = TypeVar("Row")
Key = tuple[str | int | None, ...]

DEFAULT_SIZE = 50
MAX_SIZE = 200


@dataclass(frozen=True, slots=True)
class Page:
    """One page asked for: its size, and the sort key after which it begins."""

    size: int
    after: Key | None
    _seals: Seals
    _context: bytes

    def fetch(
        self, session: Session, query: Select[Any], *order: Any, newest_first: bool = False
    ) -> tuple[Sequence[Any], str]:
        """The rows of the page and the token of the next one, from a query without order.

        `order`: the columns that the list is sorted by, the last one unique; the rows have attributes of these names. Rows
        are mapped objects when the query selects one class.
        """
        statement = query.order_by(*(column.desc() if newest_first else column for column in order)).limit(
            self.size + 1
        )
        if self.after is not None:
            last = tuple(_read(column, value) for column, value in zip(order, self.after, strict=True))
            place = tuple_(*order)
            statement = statement.where(place < last if newest_first else place > last)
        result = session.execute(statement)
        only = query.column_descriptions[0] if len(query.column_descriptions) == 1 else None
        rows: Sequence[Any] = result.scalars().all() if only and isinstance(only["expr"], type) else result.all()
        return self.cut(rows, key=lambda row: tuple(_write(getattr(row, column.key)) for column in order))

    def cut(self, rows: Sequence[Row], key: Callable[[Row], Key]) -> tuple[Sequence[Row], str]:
        """The rows of the page and the token of the next one, from a query of `size + 1` rows."""
        if len(rows) <= self.size:
            return rows, ""
        kept = rows[: self.size]
        sealed = self._seals.seal(json.dumps(key(kept[-1]), ensure_ascii=False).encode(), self._context)
        return kept, base64.urlsafe_b64encode(sealed).decode().rstrip("=")


def page_of(request: Message, seals: Seals, *, tenant_id: str, subject: str, operation: str) -> Page:
    """The page that a request with `page_size` and `page_token` asks for; Refusal when either is not valid."""
    size: int = request.page_size  # type: ignore[attr-defined]
    token: str = request.page_token  # type: ignore[attr-defined]
    if size < 0 or size > MAX_SIZE:
        raise Refusal(PAGE_SIZE_INVALID, field="page_size", limit=MAX_SIZE)
    query = type(request)()
    query.CopyFrom(request)
    query.ClearField("page_size")
    query.ClearField("page_token")
    digest = sha256(query.SerializeToString(deterministic=True)).digest()
    context = f"{tenant_id}|{subject}|{operation}|".encode() + digest
    return Page(size or DEFAULT_SIZE, _open(token, seals, context) if token else None, seals, context)


def _open(token: str, seals: Seals, context: bytes) -> Key:
    """The sort key of a token; Refusal when it was altered or is another list's."""
    try:
        data = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        return tuple(json.loads(seals.open(data, context)))
    except (InvalidTag, ValueError):
        raise Refusal(PAGE_TOKEN_INVALID, field="page_token") from None


def _write(value: object) -> str | int | None:
    """A value of a sort key as it goes into a token."""
    if isinstance(value, datetime):
        return micros(value)
    if isinstance(value, date):
        return value.isoformat()
    if value is None or isinstance(value, str | int):
        return value
    raise TypeError(type(value).__name__)


def _read(column: Any, value: str | int | None) -> object:
    """A value of a sort key as the database takes it."""
    if isinstance(column.type, DateTime):
        return from_micros(int(value or 0))
    if isinstance(column.type, Date):
        return date.fromisoformat(str(value))
    return value
