"""What medication says of treatments is kept, for when it is away."""

from __future__ import annotations

from alembic import op
from dui_kit.db.schema import protect

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_TABLE = """
CREATE TABLE treatment_summary (
    tenant_id uuid NOT NULL,
    beneficiary_id uuid NOT NULL,
    read_at timestamptz NOT NULL,
    sealed bytea NOT NULL,
    CONSTRAINT treatment_summary_pkey PRIMARY KEY (tenant_id, beneficiary_id),
    CONSTRAINT treatment_summary_beneficiary_id_fkey
        FOREIGN KEY (tenant_id, beneficiary_id) REFERENCES beneficiary
);
CREATE INDEX treatment_summary_read_at_idx ON treatment_summary (tenant_id, read_at);
"""


def upgrade() -> None:
    """It fills as lines of treatment change."""
    op.execute(_TABLE)
    protect(op, "treatment_summary", app="SELECT, INSERT, UPDATE, DELETE")
