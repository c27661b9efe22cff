"""What is kept of treatments: read for a call, written by the worker; and whose is to be asked anew."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from dui.medication.v1 import treatment_snapshots_pb2 as medication
from dui_kit.calls.call import Call
from dui_kit.calls.seals import Seals
from dui_kit.db.statements import Query
from dui_kit.db.tables import access_facility
from dui_kit.times import from_timestamp
from dui_kit.wire.telemetry import log
from dui_kit.worker import WorkerCall
from sqlalchemy import and_, any_, bindparam, or_, select
from sqlalchemy.dialects.postgresql import ARRAY, UUID, insert

from dui_records.beneficiaries.tables import answers_for, beneficiary
from dui_records.treatment_summaries.tables import treatment_summary

_t, _f = treatment_summary.c, access_facility.c
_IDS = ARRAY(UUID(as_uuid=False))
_KEPT = Query(
    select(_t.beneficiary_id, _t.sealed).where(
        _t.tenant_id == bindparam("tenant"), _t.beneficiary_id == any_(bindparam("records", type_=_IDS))
    )
)
_ZONES = Query(
    select(_f.facility_id, _f.time_zone).where(
        _f.tenant_id == bindparam("tenant"), _f.facility_id == any_(bindparam("facilities", type_=_IDS))
    )
)
#: Most persons that one look finds; the next look finds the others.
MOST_DUE = 1000


def kept(call: Call) -> dict[str, medication.TreatmentSnapshot]:
    """What is kept of each record of the person of the call."""
    rows = call.rows(_KEPT, records=list(call.beneficiary_ids))
    found: dict[str, medication.TreatmentSnapshot] = {}
    for row in rows:
        opened = call.toolbox.seals.opened(row.sealed, _context(call.tenant_id, row.beneficiary_id))
        if opened is None:
            log.error("what is kept of a treatment cannot be read: it was altered, or sealed with another key")
        else:
            found[row.beneficiary_id] = medication.TreatmentSnapshot.FromString(opened)
    return found


def zones(call: Call, facility_ids: Collection[str]) -> Mapping[str, ZoneInfo]:
    """The clocks of facilities."""
    rows = call.rows(_ZONES, facilities=sorted(facility_ids))
    return {row.facility_id: ZoneInfo(row.time_zone) for row in rows}


def persons(call: WorkerCall, record_ids: Collection[str]) -> list[tuple[str, ...]]:
    """The persons whom some records are of: of each the surviving record, then those merged into it. A record that is not there
    is of nobody."""
    survivor = answers_for(beneficiary)
    asked = select(survivor).where(
        beneficiary.c.tenant_id == call.tenant_id, beneficiary.c.beneficiary_id.in_(record_ids)
    )
    survivors = sorted(set(call.session.scalars(asked)))
    merged = select(beneficiary.c.surviving_id, beneficiary.c.beneficiary_id).where(
        beneficiary.c.tenant_id == call.tenant_id, beneficiary.c.surviving_id.in_(survivors)
    )
    groups = {each: [each] for each in survivors}
    for row in call.session.execute(merged.order_by(beneficiary.c.beneficiary_id)):
        groups[row.surviving_id].append(row.beneficiary_id)
    return [tuple(group) for group in groups.values()]


def keep(call: WorkerCall, seals: Seals, parts: Mapping[str, medication.TreatmentSnapshot]) -> None:
    """Keeps what was told of each record, unless something newer is kept."""
    for record_id, part in sorted(parts.items()):
        sealed = seals.seal(part.SerializeToString(), _context(call.tenant_id, record_id))
        new = insert(treatment_summary).values(
            tenant_id=call.tenant_id, beneficiary_id=record_id, read_at=from_timestamp(part.read_at), sealed=sealed
        )
        call.session.execute(
            new.on_conflict_do_update(
                index_elements=[_t.tenant_id, _t.beneficiary_id],
                set_={"read_at": new.excluded.read_at, "sealed": new.excluded.sealed},
                where=_t.read_at < new.excluded.read_at,
            )
        )


def due(call: WorkerCall, before: datetime) -> Sequence[str]:
    """Records whose treatment is to be asked anew: kept since before an instant; or merged with another one when only one of
    the two is known, which says nothing of what the person takes."""
    old = select(_t.beneficiary_id).where(_t.tenant_id == call.tenant_id, _t.read_at < before)
    own, other = treatment_summary.alias("own"), treatment_summary.alias("other")
    merged = beneficiary.c
    half = (
        select(merged.beneficiary_id)
        .join(
            own,
            and_(own.c.tenant_id == merged.tenant_id, own.c.beneficiary_id == merged.beneficiary_id),
            isouter=True,
        )
        .join(
            other,
            and_(other.c.tenant_id == merged.tenant_id, other.c.beneficiary_id == merged.surviving_id),
            isouter=True,
        )
        .where(
            merged.tenant_id == call.tenant_id,
            merged.surviving_id.is_not(None),
            or_(
                and_(own.c.beneficiary_id.is_(None), other.c.beneficiary_id.is_not(None)),
                and_(own.c.beneficiary_id.is_not(None), other.c.beneficiary_id.is_(None)),
            ),
        )
    )
    found = call.session.scalars(half.limit(MOST_DUE)).all()
    return [*found, *call.session.scalars(old.order_by(_t.read_at).limit(MOST_DUE))]


def _context(tenant_id: str, record_id: str) -> bytes:
    """What it is sealed for."""
    return f"treatment_summary|{tenant_id}|{record_id}".encode()
