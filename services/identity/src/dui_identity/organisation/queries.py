"""What other capabilities ask of organisation."""

from __future__ import annotations

from dui_kit.db.transaction import Transaction
from sqlalchemy import select, text

from dui_identity.organisation.tables import Association, Facility, Unit

_ALL_TENANTS = text("SELECT all_tenants()")


def association_of(transaction: Transaction, *, lock: bool = False) -> Association:
    """The association itself. Locked: decisions about its rights are taken one after another."""
    query = select(Association).where(Association.tenant_id == transaction.tenant_id)
    if lock:
        query = query.with_for_update().execution_options(populate_existing=True)
    return transaction.session.scalars(query).one()


def is_facility(transaction: Transaction, facility_id: str) -> bool:
    """Whether the association has this facility."""
    query = select(Facility.facility_id).where(
        Facility.tenant_id == transaction.tenant_id, Facility.facility_id == facility_id
    )
    return transaction.session.scalar(query) is not None


def is_unit(transaction: Transaction, facility_id: str, unit_id: str) -> bool:
    """Whether a facility has this unit."""
    query = select(Unit.unit_id).where(
        Unit.tenant_id == transaction.tenant_id, Unit.facility_id == facility_id, Unit.unit_id == unit_id
    )
    return transaction.session.scalar(query) is not None


def all_tenants(transaction: Transaction) -> list[str]:
    """Every association of the platform, suspended ones included."""
    return [str(tenant_id) for tenant_id in transaction.session.scalars(_ALL_TENANTS)]
