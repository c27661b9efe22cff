"""What other capabilities ask of organisation."""

from __future__ import annotations

from collections.abc import Sequence

from dui.access.v1 import facts_pb2
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from dui_identity.organisation.events import tenant_changed
from dui_identity.organisation.tables import Association, Facility, Unit

_ALL_TENANTS = text("SELECT all_tenants()")


def association_of(session: Session, tenant_id: str, *, lock: bool = False) -> Association:
    """The association itself. Locked: decisions about its rights are taken one after another."""
    query = select(Association).where(Association.tenant_id == tenant_id)
    if lock:
        query = query.with_for_update().execution_options(populate_existing=True)
    return session.scalars(query).one()


def is_facility(session: Session, tenant_id: str, facility_id: str) -> bool:
    """Whether the association has this facility."""
    query = select(Facility.facility_id).where(Facility.tenant_id == tenant_id, Facility.facility_id == facility_id)
    return session.scalar(query) is not None


def is_unit(session: Session, tenant_id: str, facility_id: str, unit_id: str) -> bool:
    """Whether a facility has this unit."""
    query = select(Unit.unit_id).where(
        Unit.tenant_id == tenant_id, Unit.facility_id == facility_id, Unit.unit_id == unit_id
    )
    return session.scalar(query) is not None


def tenant_fact(session: Session, tenant_id: str) -> facts_pb2.TenantChanged | None:
    """The fact of one association; None when there is none."""
    row = session.scalars(select(Association).where(Association.tenant_id == tenant_id)).one_or_none()
    return None if row is None else tenant_changed(row)


def facilities_after(session: Session, tenant_id: str, after: str | None, limit: int) -> Sequence[Facility]:
    """Facilities by id, for snapshots."""
    query = select(Facility).where(Facility.tenant_id == tenant_id).order_by(Facility.facility_id).limit(limit)
    return session.scalars(query.where(Facility.facility_id > after) if after else query).all()


def units_after(session: Session, tenant_id: str, after: str | None, limit: int) -> Sequence[Unit]:
    """Units by id, for snapshots."""
    query = select(Unit).where(Unit.tenant_id == tenant_id).order_by(Unit.unit_id).limit(limit)
    return session.scalars(query.where(Unit.unit_id > after) if after else query).all()


def place_of(session: Session, tenant_id: str, facility_id: str) -> tuple[Facility | None, Sequence[Unit]]:
    """A facility and its units."""
    facility = select(Facility).where(Facility.tenant_id == tenant_id, Facility.facility_id == facility_id)
    units = select(Unit).where(Unit.tenant_id == tenant_id, Unit.facility_id == facility_id)
    return session.scalars(facility).one_or_none(), session.scalars(units).all()


def all_tenants(session: Session) -> list[str]:
    """Every association of the platform, suspended ones included."""
    return [str(tenant_id) for tenant_id in session.scalars(_ALL_TENANTS)]
