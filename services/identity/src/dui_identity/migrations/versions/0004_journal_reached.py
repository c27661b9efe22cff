"""How far the journal stands in the chain, told to the services."""

from __future__ import annotations

from alembic import op
from dui_kit.db.schema import create_kit_tables_3, roles

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The relay role tells it: it reads the last numbers, and nothing of the entries."""
    create_kit_tables_3(op)
    _, _, relay = roles(op)
    op.execute(f"CREATE POLICY journal_source_relay ON journal_source FOR SELECT TO {relay} USING (true)")
    op.execute(f"GRANT SELECT ON journal_source TO {relay}")
