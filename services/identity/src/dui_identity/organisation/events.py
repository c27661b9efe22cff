"""Facts that organisation publishes."""

from __future__ import annotations

from dui.access.v1 import facts_pb2

from dui_identity.organisation.tables import Association


def tenant_changed(row: Association) -> facts_pb2.TenantChanged:
    """The fact that an association is open or suspended."""
    return facts_pb2.TenantChanged(tenant_id=row.tenant_id, version=row.version, active=row.active)
