"""${message}"""

from __future__ import annotations

from alembic import op
from dui_kit.schema import protect

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None


def upgrade() -> None:
    """${message}"""
