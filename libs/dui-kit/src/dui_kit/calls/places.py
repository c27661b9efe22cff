"""Facilities and units of the association, from this service's projections of identity's facts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import bindparam, select

from dui_kit.calls.call import Call
from dui_kit.db.statements import Query
from dui_kit.db.tables import access_facility, access_unit
from dui_kit.errors import Refusal
from dui_kit.wire.texts import PLACE_UNKNOWN

_f, _u = access_facility.c, access_unit.c
_FACILITY = Query(
    select(_f.facility_id, _f.category_code, _f.time_zone).where(
        _f.tenant_id == bindparam("tenant"), _f.facility_id == bindparam("facility_id")
    )
)
_UNIT = Query(
    select(_u.unit_id).where(
        _u.tenant_id == bindparam("tenant"),
        _u.unit_id == bindparam("unit_id"),
        _u.facility_id == bindparam("facility_id"),
    )
)


@dataclass(frozen=True, slots=True)
class Facility:
    """What rules depend on: the FINESS category (nomenclature TRE_R66) and the calendar."""

    facility_id: str
    category_code: str
    time_zone: ZoneInfo

    def day(self, instant: datetime) -> date:
        """The calendar day that it is there at an instant."""
        return instant.astimezone(self.time_zone).date()


def question(facility_id: str) -> tuple[Query, Mapping[str, object]]:
    """What asks for a facility, for `call.together`."""
    return _FACILITY, {"facility_id": facility_id}


def answer(call: Call, facility_id: str, rows: Sequence[Any], *, field: str) -> Facility:
    """The facility that `question` found; PLACE_UNKNOWN, which names `field`, when there is none. The journal keeps it."""
    call.facility_id = facility_id
    if not rows:
        raise Refusal(PLACE_UNKNOWN, field=field)
    return Facility(rows[0].facility_id, rows[0].category_code, ZoneInfo(rows[0].time_zone))


def facility_of(
    call: Call, facility_id: str, *, field: str, unit_id: str = "", unit_field: str = "unit_id"
) -> Facility:
    """A facility of the association, and the check that `unit_id`, when there is one, is a unit of it.

    PLACE_UNKNOWN, which names the field of the facility or of the unit, when it is not there.
    """
    asked = [question(facility_id)]
    if unit_id:
        asked.append((_UNIT, {"unit_id": unit_id, "facility_id": facility_id}))
    rows, *units = call.together(*asked)
    facility = answer(call, facility_id, rows, field=field)
    if units and not units[0]:
        raise Refusal(PLACE_UNKNOWN, field=unit_field)
    return facility
