"""The one mechanism of versioned rows: a table holds the current version of each thing of a person, `entry_version` all.

What is written goes in one round trip with the commit, in the order of the calls, so that many rows cost what one does. Until
then nothing in the call can read it, and a constraint that refuses it refuses the call at its end.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Generic, TypeVar

from google.protobuf.message import Message
from sqlalchemy import Column, ColumnElement, Table, any_, bindparam, insert, select, update
from sqlalchemy.dialects.postgresql import ARRAY, UUID

from dui_kit.calls.call import Call, etag_of
from dui_kit.calls.stamps import stamp_version
from dui_kit.db.columns import AnyRow
from dui_kit.db.statements import Query
from dui_kit.errors import not_found

M = TypeVar("M", bound=Message)


@dataclass(frozen=True, slots=True, eq=False)
class Versioned(Generic[M]):
    """One kind of versioned thing.

    Its table has `tenant_id`, `<table>_id`, `beneficiary_id`, `version_columns` and `created_at`; its message `version` and `etag`.
    """

    table: Table
    #: The content of a row, with its ids; its version and its etag are set here.
    read: Callable[[AnyRow], M]
    #: What a new version announces, each from its row.
    events: tuple[Callable[[AnyRow], Message], ...] = ()

    @property
    def columns(self) -> tuple[Column[Any], ...]:
        """What a row holds: all but what the database fills in, which is not known before it is written."""
        return _columns(self.table)

    @property
    def id(self) -> Column[str]:
        """The column of the ids."""
        return self.table.c[f"{self.table.name}_id"]

    def id_of(self, row: AnyRow) -> str:
        """The id of what a row holds."""
        return str(getattr(row, self.id.name))

    def of_person(self, call: Call, thing_id: str, *, lock: bool = False, field: str = "") -> AnyRow:
        """The row of a thing of the person of the call, locked until the commit or not; NOT_FOUND when it is anybody else's.

        `field`: where the request names the id; empty: the name of its column.
        """
        row = call.row(_lookup(self.table, lock=lock), id=thing_id, persons=list(call.beneficiary_ids))
        if row is None:
            raise not_found(field or self.id.name)
        return row

    def add(self, call: Call, values: Mapping[str, object]) -> AnyRow:
        """Writes the first version of a thing of the person of the call, and announces it; its row. A column without
        a value is NULL; ValueError for a value without a column. `values` may hold an id made beforehand."""
        own = {
            "tenant_id": call.tenant_id,
            self.id.name: call.new_id(),
            "beneficiary_id": call.beneficiary_id,
            "created_at": call.now,
        }
        row = _empty(self.table)._replace(**{**own, **call.version_values(1), **values})
        call.write(_insert(self.table), **row._asdict())
        return self._announce(call, row)

    def write(self, call: Call, row: AnyRow, values: Mapping[str, object]) -> AnyRow:
        """Writes the next version of a thing, and announces it; its row. `row`: just added, or locked by `of_person` or by a
        `Query` of `columns`."""
        changed = {**values, **call.version_values(row.version + 1)}
        written = row._replace(**changed)
        call.write(_update(self.table), id=self.id_of(row), **changed)
        return self._announce(call, written)

    def to_message(self, row: AnyRow) -> M:
        """The thing that a row holds, as its readers get it."""
        message = self._version(row)
        message.etag = etag_of(self.id_of(row), row.version)  # type: ignore[attr-defined] # see the docstring of the class
        return message

    def history(self, call: Call, row: AnyRow, request: Message) -> tuple[list[M], str]:
        """A page of the versions of a thing, newest first, and the token of the next one."""
        return call.versions(self.id_of(row), type(self.read(row)), call.page(request))

    def _announce(self, call: Call, row: AnyRow) -> AnyRow:
        call.save_version(
            entry_id=self.id_of(row),
            version=row.version,
            message=self._version(row),
            beneficiary_id=row.beneficiary_id,
        )
        for event in self.events:
            call.publish(event(row))
        return row

    def _version(self, row: AnyRow) -> M:
        """The version that a row holds, as it goes to the history."""
        message = self.read(row)
        stamp_version(message.version, row)  # type: ignore[attr-defined] # see the docstring of the class
        return message


# Statements are built once for each table: building them again for each call would cost as much as running them.


@cache
def _columns(table: Table) -> tuple[Column[Any], ...]:
    return tuple(column for column in table.c if column.server_default is None)


@cache
def _empty(table: Table) -> Any:
    names = [column.name for column in _columns(table)]
    return namedtuple("Row", names, defaults=[None] * len(names))()  # noqa: PYI024 (its columns are the table's)


@cache
def _insert(table: Table) -> Query:
    return Query(insert(table))


def _one(table: Table) -> ColumnElement[bool]:
    """Which row: the one of the id in the association."""
    return (table.c.tenant_id == bindparam("tenant")) & (table.c[f"{table.name}_id"] == bindparam("id"))


@cache
def _update(table: Table) -> Query:
    return Query(update(table).where(_one(table)))


@cache
def _lookup(table: Table, *, lock: bool) -> Query:
    persons = bindparam("persons", type_=ARRAY(UUID(as_uuid=False)))
    query = select(*_columns(table)).where(_one(table), table.c.beneficiary_id == any_(persons))
    return Query(query.with_for_update() if lock else query)
