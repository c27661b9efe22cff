"""How far the journal of this service stands in the chain."""

from __future__ import annotations

from alembic import op
from dui_kit.db.schema import create_kit_tables_3

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """It fills with the first word of identity; until then nothing of the journal is purged."""
    create_kit_tables_3(op)
