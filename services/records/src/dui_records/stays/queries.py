"""Reading, locking and writing stays; who is present somewhere."""

from __future__ import annotations

from datetime import date, timedelta

from dui_kit.calls import places
from dui_kit.calls.call import Call
from dui_kit.days import latest_day
from dui_kit.db.columns import AnyRow
from dui_kit.errors import not_found
from sqlalchemy import ColumnElement, Select, and_, insert, select, update

from dui_records.stays.events import stay_changed, stay_perimeter
from dui_records.stays.mapping import stay_of_row, to_version
from dui_records.stays.rules import EHPAD, Stay
from dui_records.stays.tables import stay

_s = stay.c
COLUMNS = tuple(column for column in _s if column.name not in {"period", "last_on"})


def of_person(call: Call, stay_id: str, *, lock: bool = False) -> AnyRow:
    """A stay of the person of the call; NOT_FOUND when it is anybody else's."""
    query = select(*COLUMNS).where(
        _s.tenant_id == call.tenant_id, _s.stay_id == stay_id, _s.beneficiary_id.in_(call.beneficiary_ids)
    )
    row = call.session.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        raise not_found("stay_id")
    return row


def present(
    call: Call, *, facility_id: str, unit_id: str | None, day: date, visible: Select[tuple[str]]
) -> ColumnElement[bool]:
    """The stays in force on a day at a facility, or in one of its units, of persons among `visible`."""
    where = [
        _s.tenant_id == call.tenant_id,
        _s.facility_id == facility_id,
        _s.last_on >= day,
        _s.started_on <= day,
        _s.beneficiary_id.in_(visible),
    ]
    return and_(*where, _s.unit_id == unit_id) if unit_id else and_(*where)


def lasting(call: Call, new: Stay) -> list[Stay]:
    """The stays of the person, merged records included, that are not over when a new one begins."""
    query = select(*COLUMNS).where(
        _s.tenant_id == call.tenant_id,
        _s.beneficiary_id.in_(call.beneficiary_ids),
        _s.last_on >= new.started_on,
    )
    return [stay_of_row(row) for row in call.session.execute(query)]


def lives_in_ehpad(call: Call) -> bool:
    """Whether a stay of the person, merged records included, is in force in an EHPAD, by the calendar of its facility."""
    query = select(_s.facility_id, _s.started_on, _s.last_on).where(
        _s.tenant_id == call.tenant_id,
        _s.beneficiary_id.in_(call.beneficiary_ids),
        _s.last_on >= latest_day(call.now) - timedelta(days=1),
    )
    for row in call.session.execute(query).all():
        facility = places.facility_of(call, row.facility_id, field="beneficiary_id")
        if facility.category_code == EHPAD and row.started_on <= facility.day(call.now) <= row.last_on:
            return True
    return False


def add(call: Call, values: dict[str, object]) -> AnyRow:
    """Opens a stay, and announces it."""
    row = call.session.execute(
        insert(stay).returning(*COLUMNS),
        {
            "tenant_id": call.tenant_id,
            "stay_id": call.new_id(),
            "beneficiary_id": call.beneficiary_id,
            "created_at": call.now,
            **call.version_values(1),
            **values,
        },
    ).one()
    return _announce(call, row)


def write(call: Call, row: AnyRow, values: dict[str, object]) -> AnyRow:
    """Writes the next version of a locked stay, and announces it."""
    written = call.session.execute(
        update(stay)
        .where(_s.tenant_id == call.tenant_id, _s.stay_id == row.stay_id)
        .values(**call.version_values(row.version + 1), **values)
        .returning(*COLUMNS)
    ).one()
    return _announce(call, written)


def _announce(call: Call, row: AnyRow) -> AnyRow:
    call.save_version(
        entry_id=row.stay_id, version=row.version, message=to_version(row), beneficiary_id=row.beneficiary_id
    )
    call.publish(stay_changed(row))
    call.publish(stay_perimeter(row))
    return row
