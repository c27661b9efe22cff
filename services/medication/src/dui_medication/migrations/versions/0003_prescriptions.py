"""Prescriptions, lines of treatment, signatures, confirmed plans and identity strips."""

from __future__ import annotations

from alembic import op
from dui_kit.db.schema import protect

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_VERSION = """
    version integer NOT NULL,
    author_account_id uuid,
    recorded_at timestamptz NOT NULL"""

_PRESCRIPTIONS = f"""
CREATE TABLE prescription_draft (
    tenant_id uuid NOT NULL,
    prescription_id uuid NOT NULL,
    beneficiary_id uuid NOT NULL,{_VERSION},
    expires_at timestamptz NOT NULL,
    content bytea NOT NULL,
    CONSTRAINT prescription_draft_pkey PRIMARY KEY (tenant_id, prescription_id)
);
CREATE INDEX prescription_draft_own_idx
    ON prescription_draft (tenant_id, beneficiary_id, author_account_id, prescription_id);
CREATE INDEX prescription_draft_expires_at_idx ON prescription_draft (tenant_id, expires_at);

CREATE TABLE prescription (
    tenant_id uuid NOT NULL,
    prescription_id uuid NOT NULL,
    beneficiary_id uuid NOT NULL,{_VERSION},
    facility_id uuid NOT NULL,
    content bytea NOT NULL,
    CONSTRAINT prescription_pkey PRIMARY KEY (tenant_id, prescription_id)
);
CREATE INDEX prescription_beneficiary_id_idx ON prescription (tenant_id, beneficiary_id, prescription_id);

CREATE TABLE prescription_line (
    tenant_id uuid NOT NULL,
    prescription_line_id uuid NOT NULL,
    beneficiary_id uuid NOT NULL,{_VERSION},
    created_at timestamptz NOT NULL,
    prescription_id uuid NOT NULL,
    facility_id uuid NOT NULL,
    status smallint NOT NULL,
    last_on date NOT NULL,
    work smallint,
    replaces_line_id uuid,
    content bytea NOT NULL,
    CONSTRAINT prescription_line_pkey PRIMARY KEY (tenant_id, prescription_line_id),
    CONSTRAINT prescription_line_prescription_id_fkey
        FOREIGN KEY (tenant_id, prescription_id) REFERENCES prescription
);
CREATE INDEX prescription_line_beneficiary_id_idx
    ON prescription_line (tenant_id, beneficiary_id, prescription_line_id);
CREATE INDEX prescription_line_prescription_id_idx
    ON prescription_line (tenant_id, prescription_id, prescription_line_id);
CREATE INDEX prescription_line_plan_idx ON prescription_line (tenant_id, beneficiary_id, last_on);
CREATE INDEX prescription_line_work_idx
    ON prescription_line (tenant_id, facility_id, work, prescription_line_id, last_on) WHERE work IS NOT NULL;
CREATE INDEX prescription_line_ending_idx
    ON prescription_line (tenant_id, facility_id, last_on, prescription_line_id) WHERE status IN (1, 2);
CREATE UNIQUE INDEX prescription_line_replaces_line_id_key
    ON prescription_line (tenant_id, replaces_line_id) WHERE replaces_line_id IS NOT NULL;

CREATE TABLE signed_act (
    tenant_id uuid NOT NULL,
    signed_act_id uuid NOT NULL,
    beneficiary_id uuid NOT NULL,
    prescription_id uuid NOT NULL,
    prescription_line_id uuid,
    act smallint NOT NULL,
    signer_account_id uuid NOT NULL,
    signed_at timestamptz NOT NULL,
    jws text NOT NULL,
    CONSTRAINT signed_act_pkey PRIMARY KEY (tenant_id, signed_act_id),
    CONSTRAINT signed_act_prescription_id_fkey FOREIGN KEY (tenant_id, prescription_id) REFERENCES prescription
);
CREATE INDEX signed_act_prescription_id_idx ON signed_act (tenant_id, prescription_id, signed_act_id);
"""
_AROUND = """
CREATE TABLE plan_confirmation (
    tenant_id uuid NOT NULL,
    plan_confirmation_id uuid NOT NULL,
    beneficiary_id uuid NOT NULL,
    beneficiary_ids uuid[] NOT NULL,
    person_versions integer[] NOT NULL,
    line_ids uuid[] NOT NULL,
    author_account_id uuid NOT NULL,
    recorded_at timestamptz NOT NULL,
    CONSTRAINT plan_confirmation_pkey PRIMARY KEY (tenant_id, plan_confirmation_id)
);
CREATE INDEX plan_confirmation_beneficiary_id_idx
    ON plan_confirmation (tenant_id, beneficiary_id, plan_confirmation_id);

CREATE TABLE identity_strip (
    tenant_id uuid NOT NULL,
    beneficiary_id uuid NOT NULL,
    read_at timestamptz NOT NULL,
    sealed bytea NOT NULL,
    CONSTRAINT identity_strip_pkey PRIMARY KEY (tenant_id, beneficiary_id)
);
"""


def upgrade() -> None:
    """What is signed can be added, and neither changed nor deleted."""
    op.execute(_PRESCRIPTIONS)
    op.execute(_AROUND)
    protect(op, "prescription_draft", app="SELECT, INSERT, UPDATE, DELETE")
    protect(op, "prescription", app="SELECT, INSERT")
    protect(op, "prescription_line", app="SELECT, INSERT, UPDATE")
    protect(op, "signed_act", app="SELECT, INSERT")
    protect(op, "plan_confirmation", app="SELECT, INSERT")
    protect(op, "identity_strip", app="SELECT, INSERT, UPDATE, DELETE")
