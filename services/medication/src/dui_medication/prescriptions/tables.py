"""Tables of prescriptions. What was signed is never changed: the service has no right to update or delete it."""

from __future__ import annotations

from dui_kit.db.columns import id_column, instant_column, version_columns
from dui_kit.db.tables import Base
from sqlalchemy import Column, Date, ForeignKeyConstraint, Index, LargeBinary, SmallInteger, Table, Text, text

#: Prescriptions being written, their authors' alone.
prescription_draft = Table(
    "prescription_draft",
    Base.metadata,
    id_column("tenant_id", key=True),
    id_column("prescription_id", key=True),
    id_column("beneficiary_id"),
    *version_columns(),
    instant_column("expires_at"),
    #: The serialised `Prescription`.
    Column("content", LargeBinary, nullable=False),
    Index("prescription_draft_own_idx", "tenant_id", "beneficiary_id", "author_account_id", "prescription_id"),
    Index("prescription_draft_expires_at_idx", "tenant_id", "expires_at"),
)

#: Prescriptions as they were signed; the signature is in `signed_act`.
prescription = Table(
    "prescription",
    Base.metadata,
    id_column("tenant_id", key=True),
    id_column("prescription_id", key=True),
    id_column("beneficiary_id"),
    *version_columns(),
    id_column("facility_id"),
    #: The serialised `Prescription`.
    Column("content", LargeBinary, nullable=False),
    Index("prescription_beneficiary_id_idx", "tenant_id", "beneficiary_id", "prescription_id"),
)

#: Lines of treatment: what was ordered, and what became of it.
prescription_line = Table(
    "prescription_line",
    Base.metadata,
    id_column("tenant_id", key=True),
    id_column("prescription_line_id", key=True),
    id_column("beneficiary_id"),
    *version_columns(),
    instant_column("created_at"),
    id_column("prescription_id"),
    id_column("facility_id"),
    #: A stored `LineStatus`: that a line expired is told by the calendar.
    Column("status", SmallInteger, nullable=False),
    #: Last day on which a dose may be due; far away while no end is known. What plans are read by.
    Column("last_on", Date, nullable=False),
    #: The `rules.Work` that it waits for, while it is in force: a review or an answer; NULL: neither.
    Column("work", SmallInteger),
    #: The line that it replaced.
    id_column("replaces_line_id", null=True),
    #: The serialised `PrescriptionLine`.
    Column("content", LargeBinary, nullable=False),
    ForeignKeyConstraint(
        ["tenant_id", "prescription_id"],
        ["prescription.tenant_id", "prescription.prescription_id"],
        name="prescription_line_prescription_id_fkey",
    ),
    Index("prescription_line_beneficiary_id_idx", "tenant_id", "beneficiary_id", "prescription_line_id"),
    Index("prescription_line_prescription_id_idx", "tenant_id", "prescription_id", "prescription_line_id"),
    Index("prescription_line_plan_idx", "tenant_id", "beneficiary_id", "last_on"),
    # The last day is in it for what expired while it waited, which stays there: it is passed over without its row being read.
    Index(
        "prescription_line_work_idx",
        "tenant_id",
        "facility_id",
        "work",
        "prescription_line_id",
        "last_on",
        postgresql_where=text("work IS NOT NULL"),
    ),
    Index(
        "prescription_line_ending_idx",
        "tenant_id",
        "facility_id",
        "last_on",
        "prescription_line_id",
        postgresql_where=text("status IN (1, 2)"),
    ),
    # A line is replaced once: of two prescribers who replace it at the same time, one is told.
    Index(
        "prescription_line_replaces_line_id_key",
        "tenant_id",
        "replaces_line_id",
        unique=True,
        postgresql_where=text("replaces_line_id IS NOT NULL"),
    ),
)

#: Every signature, with what it signs.
signed_act = Table(
    "signed_act",
    Base.metadata,
    id_column("tenant_id", key=True),
    id_column("signed_act_id", key=True),
    id_column("beneficiary_id"),
    id_column("prescription_id"),
    id_column("prescription_line_id", null=True),
    #: `rules.Act`.
    Column("act", SmallInteger, nullable=False),
    id_column("signer_account_id"),
    instant_column("signed_at"),
    #: Compact JWS.
    Column("jws", Text, nullable=False),
    ForeignKeyConstraint(
        ["tenant_id", "prescription_id"],
        ["prescription.tenant_id", "prescription.prescription_id"],
        name="signed_act_prescription_id_fkey",
    ),
    Index("signed_act_prescription_id_idx", "tenant_id", "prescription_id", "signed_act_id"),
)
