"""The kit's tables, and one of a sample service."""

import sqlalchemy as sa
from alembic import op
from dui_kit.db.schema import create_kit_tables, protect
from sqlalchemy.dialects.postgresql import UUID

revision = "0001"
down_revision = None


def upgrade() -> None:
    create_kit_tables(op)
    op.create_table(
        "note",
        sa.Column("tenant_id", UUID(as_uuid=False), primary_key=True),
        sa.Column("note_id", UUID(as_uuid=False), primary_key=True),
        sa.Column("text", sa.Text, nullable=False),
        sa.UniqueConstraint("tenant_id", "text", name="note_text_key"),
    )
    protect(op, "note", app="SELECT, INSERT, UPDATE")
