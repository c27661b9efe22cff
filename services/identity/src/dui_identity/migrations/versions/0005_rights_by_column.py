"""Rights on the outboxes by column; the open emergencies of an account by index."""

from __future__ import annotations

from alembic import op
from dui_kit.db.schema import change_kit_tables_4

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nobody but the relay numbers the journal."""
    change_kit_tables_4(op)
