"""Table of the reconciliations."""

from __future__ import annotations

from dui_kit.db.columns import id_column, instant_column, version_columns
from dui_kit.db.tables import Base
from sqlalchemy import Boolean, Column, Index, LargeBinary, Table

reconciliation = Table(
    "reconciliation",
    Base.metadata,
    id_column("tenant_id", key=True),
    id_column("reconciliation_id", key=True),
    id_column("beneficiary_id"),
    *version_columns(),
    instant_column("created_at"),
    id_column("facility_id"),
    #: It changes no more.
    Column("closed", Boolean, nullable=False),
    #: The serialised `Reconciliation`, without its version and its etag.
    Column("content", LargeBinary, nullable=False),
    Index("reconciliation_beneficiary_id_idx", "tenant_id", "beneficiary_id", "reconciliation_id"),
)
