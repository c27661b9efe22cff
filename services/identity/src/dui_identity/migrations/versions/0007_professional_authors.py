"""Who made the entry of a professional; the accounts of a professional by index, ended ones included."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import UUID

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Of those that exist nobody knows it any more: until they are assigned, they are the whole association's to decide about."""
    op.add_column("professional", sa.Column("author_account_id", UUID(as_uuid=False)))
    op.create_index("account_professional_id_idx", "account", ["tenant_id", "professional_id"])
