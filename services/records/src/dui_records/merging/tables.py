"""The history of merges."""

from __future__ import annotations

from dui_kit.db.columns import id_column, instant_column
from dui_kit.db.tables import Base
from sqlalchemy import CheckConstraint, Column, Index, Table, Text
from sqlalchemy.dialects.postgresql import ARRAY, UUID

#: Each merge and each unmerge, append-only, with its author and reason.
beneficiary_merge = Table(
    "beneficiary_merge",
    Base.metadata,
    id_column("tenant_id", key=True),
    id_column("merge_id", key=True),
    #: `merge` or `unmerge`.
    Column("kind", Text, nullable=False),
    id_column("surviving_id"),
    id_column("merged_id"),
    #: Every record whose surviving record changed: the merged one and those that it stood for.
    Column("moved_ids", ARRAY(UUID(as_uuid=False)), nullable=False),
    Column("reason", Text, nullable=False),
    id_column("author_account_id", null=True),
    instant_column("recorded_at"),
    CheckConstraint("kind IN ('merge', 'unmerge')", name="kind"),
    Index("beneficiary_merge_surviving_id_idx", "tenant_id", "surviving_id"),
    Index("beneficiary_merge_merged_id_idx", "tenant_id", "merged_id"),
)
