"""Table of the plans that a prescriber confirmed after records were merged."""

from __future__ import annotations

from dui_kit.db.columns import id_column, instant_column
from dui_kit.db.tables import Base
from sqlalchemy import Column, Index, Integer, Table
from sqlalchemy.dialects.postgresql import ARRAY, UUID

#: A prescriber looked at the lines of several records of one person together, and keeps them as one treatment.
plan_confirmation = Table(
    "plan_confirmation",
    Base.metadata,
    id_column("tenant_id", key=True),
    id_column("plan_confirmation_id", key=True),
    #: The surviving record.
    id_column("beneficiary_id"),
    #: The records of the person, and the version of each: one that was taken apart and merged again has another.
    Column("beneficiary_ids", ARRAY(UUID(as_uuid=False)), nullable=False),
    Column("person_versions", ARRAY(Integer), nullable=False),
    Column("line_ids", ARRAY(UUID(as_uuid=False)), nullable=False),
    id_column("author_account_id"),
    instant_column("recorded_at"),
    Index("plan_confirmation_beneficiary_id_idx", "tenant_id", "beneficiary_id", "plan_confirmation_id"),
)
