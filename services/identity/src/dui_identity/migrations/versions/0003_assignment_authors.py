"""Who gave an assignment, and who ended it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import UUID

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Of those that exist nobody knows it any more."""
    for name in ("author_account_id", "ended_by_account_id"):
        op.add_column("assignment", sa.Column(name, UUID(as_uuid=False)))
