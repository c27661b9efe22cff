"""The stays of a person; who is present somewhere."""

from __future__ import annotations

from datetime import date, timedelta

from dui_kit.calls import places
from dui_kit.calls.call import Call
from dui_kit.calls.versioned import Versioned
from dui_kit.days import latest_day
from sqlalchemy import ColumnElement, Select, and_, select

from dui_records.stays.events import stay_changed, stay_perimeter
from dui_records.stays.mapping import content_of, stay_of_row
from dui_records.stays.rules import EHPAD, Stay
from dui_records.stays.tables import stay

_s = stay.c
STAY = Versioned(stay, content_of, events=(stay_changed, stay_perimeter))


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
    query = select(*STAY.columns).where(
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
