"""The projections of facilities and units."""

from __future__ import annotations

from alembic import op
from dui_kit.db.schema import create_kit_tables_2

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """They fill as identity's facts come; a place that is not there yet is asked for."""
    create_kit_tables_2(op)
