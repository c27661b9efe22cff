"""Reconciliations of what persons take with what is planned."""

from __future__ import annotations

from alembic import op
from dui_kit.db.schema import protect

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_RECONCILIATIONS = """
CREATE TABLE reconciliation (
    tenant_id uuid NOT NULL,
    reconciliation_id uuid NOT NULL,
    beneficiary_id uuid NOT NULL,
    version integer NOT NULL,
    author_account_id uuid,
    recorded_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL,
    facility_id uuid NOT NULL,
    closed boolean NOT NULL,
    content bytea NOT NULL,
    CONSTRAINT reconciliation_pkey PRIMARY KEY (tenant_id, reconciliation_id)
);
CREATE INDEX reconciliation_beneficiary_id_idx ON reconciliation (tenant_id, beneficiary_id, reconciliation_id);
"""


def upgrade() -> None:
    """A reconciliation can be added and changed, never deleted."""
    op.execute(_RECONCILIATIONS)
    protect(op, "reconciliation", app="SELECT, INSERT, UPDATE")
