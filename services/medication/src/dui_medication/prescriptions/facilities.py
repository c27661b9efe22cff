"""The facilities that follow a person: their teams give the medicines, by their clocks."""

from __future__ import annotations

from collections.abc import Mapping
from zoneinfo import ZoneInfo

from dui_kit.calls.call import Call
from dui_kit.db.statements import Query
from dui_kit.db.tables import access_facility, access_perimeter
from sqlalchemy import and_, any_, bindparam, or_, select
from sqlalchemy.dialects.postgresql import ARRAY, UUID

_p, _f = access_perimeter.c, access_facility.c
_FOLLOWED = Query(
    select(_f.facility_id, _f.time_zone)
    .select_from(
        access_perimeter.join(access_facility, and_(_f.tenant_id == _p.tenant_id, _f.facility_id == _p.facility_id))
    )
    .where(
        _p.tenant_id == bindparam("tenant"),
        _p.beneficiary_id == any_(bindparam("persons", type_=ARRAY(UUID(as_uuid=False)))),
        _p.admission_only.is_(False),
        _p.valid_from <= bindparam("now"),
        or_(_p.valid_to.is_(None), _p.valid_to > bindparam("now")),
    )
    .distinct()
)


def followed_at(call: Call) -> Mapping[str, ZoneInfo]:
    """The facilities where the person of the call has a stay now, each with its time zone."""
    rows = call.rows(_FOLLOWED, persons=list(call.beneficiary_ids), now=call.now)
    return {row.facility_id: ZoneInfo(row.time_zone) for row in rows}
