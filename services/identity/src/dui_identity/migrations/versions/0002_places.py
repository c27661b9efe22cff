"""Facilities and units become facts that every service knows; those that exist are taken over."""

from __future__ import annotations

from alembic import op
from dui_kit.db.schema import create_kit_tables_2

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Other services ask for a place that they do not know yet: nothing has to be announced again."""
    create_kit_tables_2(op)
    op.execute(
        "INSERT INTO access_facility (tenant_id, facility_id, category_code, time_zone, version)"
        " SELECT tenant_id, facility_id, category_code, time_zone, version FROM facility"
    )
    op.execute(
        "INSERT INTO access_unit (tenant_id, unit_id, facility_id, version)"
        " SELECT tenant_id, unit_id, facility_id, version FROM unit"
    )
