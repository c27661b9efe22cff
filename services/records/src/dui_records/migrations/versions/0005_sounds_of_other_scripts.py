"""A name without a Latin letter sounds like itself, no longer like all the others."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The normalised names are there already; a name in Latin letters has a Soundex code, and keeps it."""
    op.execute(
        "UPDATE beneficiary SET"
        " birth_name_sound = CASE birth_name_sound WHEN '' THEN birth_name_key ELSE birth_name_sound END,"
        " family_sound = CASE family_sound WHEN '' THEN family_key ELSE family_sound END"
        " WHERE '' IN (birth_name_sound, family_sound)"
    )
