"""What a strip is made of, in one round trip. Each statement finds the surviving record itself: none waits for another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from zoneinfo import ZoneInfo

from dui_kit.calls.call import Call
from dui_kit.calls.places import Facility
from dui_kit.days import latest_day
from dui_kit.db.columns import AnyRow
from dui_kit.db.statements import Query
from dui_kit.db.tables import access_facility
from sqlalchemy import and_, any_, bindparam, func, or_, select
from sqlalchemy.dialects.postgresql import ARRAY, UUID

from dui_records.allergies.tables import allergy
from dui_records.beneficiaries.queries import HOMONYM, IDENTITY
from dui_records.beneficiaries.tables import answers_for, beneficiary
from dui_records.stays.tables import stay

_b, _s, _a = beneficiary.c, stay.c, allergy.c
_asked = beneficiary.alias("asked")
_member = beneficiary.alias("member")

_SURVIVOR = (
    select(answers_for(_asked))
    .where(_asked.c.tenant_id == bindparam("tenant"), _asked.c.beneficiary_id == bindparam("id"))
    .scalar_subquery()
)
#: Every record of the person, as an array: so that an index looks each of them up.
_RECORDS = any_(
    func.array(
        select(_member.c.beneficiary_id)
        .where(
            _member.c.tenant_id == bindparam("tenant"),
            or_(_member.c.beneficiary_id == _SURVIVOR, _member.c.surviving_id == _SURVIVOR),
        )
        .scalar_subquery(),
        type_=ARRAY(UUID(as_uuid=False)),
    )
)
_IDENTITY = Query(select(*IDENTITY, HOMONYM).where(_b.tenant_id == bindparam("tenant"), _b.beneficiary_id == _SURVIVOR))
_MERGED = Query(
    select(_b.beneficiary_id)
    .where(_b.tenant_id == bindparam("tenant"), _b.surviving_id == _SURVIVOR)
    .order_by(_b.beneficiary_id)
)
#: Those that may be in force on a day that it is anywhere in France; the calendar of each facility says whether they are.
_STAYS = Query(
    select(
        _s.stay_id,
        _s.facility_id,
        _s.unit_id,
        _s.room,
        _s.modality,
        _s.started_on,
        _s.last_on,
        access_facility.c.category_code,
        access_facility.c.time_zone,
    )
    .join(
        access_facility,
        and_(access_facility.c.tenant_id == _s.tenant_id, access_facility.c.facility_id == _s.facility_id),
    )
    .where(
        _s.tenant_id == bindparam("tenant"),
        _s.beneficiary_id == _RECORDS,
        _s.started_on <= bindparam("latest"),
        _s.last_on >= bindparam("earliest"),
    )
    # The numbers of the modalities begin with living somewhere.
    .order_by(_s.modality, _s.started_on, _s.stay_id)
)
#: No limit: an allergy that a page leaves out is one that nobody sees.
_ALLERGIES = Query(
    select(_a.allergy_id, _a.kind, _a.substance, _a.severity, _a.status, _a.version)
    .where(_a.tenant_id == bindparam("tenant"), _a.beneficiary_id == _RECORDS)
    .order_by(_a.allergy_id.desc())
)


@dataclass(frozen=True, slots=True)
class Strip:
    """The rows of a strip."""

    person: AnyRow
    merged_ids: tuple[str, ...]
    stays: Sequence[AnyRow]
    allergies: Sequence[AnyRow]


def strip_of(call: Call, beneficiary_id: str) -> Strip | None:
    """What the records of a person say now; None: the association has no such record."""
    asked: dict[str, object] = {"id": beneficiary_id}
    latest = latest_day(call.now)
    days: dict[str, object] = {"latest": latest, "earliest": latest - timedelta(days=1)}
    persons, merged, stays, allergies = call.together(
        (_IDENTITY, asked), (_MERGED, asked), (_STAYS, asked | days), (_ALLERGIES, asked)
    )
    if not persons:
        return None
    return Strip(
        person=persons[0],
        merged_ids=tuple(row.beneficiary_id for row in merged),
        stays=[row for row in stays if _in_force(row, call)],
        allergies=allergies,
    )


def _in_force(row: AnyRow, call: Call) -> bool:
    facility = Facility(row.facility_id, row.category_code, ZoneInfo(row.time_zone))
    return bool(row.started_on <= facility.day(call.now) <= row.last_on)
