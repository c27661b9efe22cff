"""Facts that organisation publishes."""

from __future__ import annotations

from dui.access.v1 import facts_pb2

from dui_identity.organisation.tables import Association, Facility, Unit


def tenant_changed(row: Association) -> facts_pb2.TenantChanged:
    """The fact that an association is open or suspended."""
    return facts_pb2.TenantChanged(tenant_id=row.tenant_id, version=row.version, active=row.active)


def facility_changed(row: Facility) -> facts_pb2.FacilityChanged:
    """The fact that a facility exists, and what rules of other services depend on."""
    return facts_pb2.FacilityChanged(
        facility_id=row.facility_id, version=row.version, category_code=row.category_code, time_zone=row.time_zone
    )


def unit_changed(row: Unit) -> facts_pb2.UnitChanged:
    """The fact that a unit exists in its facility."""
    return facts_pb2.UnitChanged(unit_id=row.unit_id, version=row.version, facility_id=row.facility_id)
