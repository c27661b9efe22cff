"""Table of break-glass access."""

from __future__ import annotations

from datetime import datetime

from dui_kit.db.tables import Base
from sqlalchemy import CheckConstraint, DateTime, ForeignKeyConstraint, Index, SmallInteger, Text, text
from sqlalchemy.dialects.postgresql import UUID
from sqlalchemy.orm import Mapped, mapped_column


class BreakGlass(Base):
    """One emergency, and its review. The app role may only add one, and fill in the review."""

    __tablename__ = "break_glass"
    __table_args__ = (
        ForeignKeyConstraint(
            ["tenant_id", "account_id"],
            ["account.tenant_id", "account.account_id"],
            name="break_glass_account_id_fkey",
        ),
        CheckConstraint(
            "(verdict IS NULL) = (reviewed_at IS NULL) AND (verdict IS NULL) = (reviewer_account_id IS NULL)",
            name="review",
        ),
        CheckConstraint("reviewer_account_id <> account_id", name="reviewer"),
        Index("break_glass_valid_from_idx", "tenant_id", "valid_from", "break_glass_id"),
        Index(
            "break_glass_pending_idx",
            "tenant_id",
            "valid_from",
            "break_glass_id",
            postgresql_where=text("verdict IS NULL"),
        ),
        Index("break_glass_account_id_idx", "tenant_id", "account_id", "valid_to"),
    )

    tenant_id: Mapped[str] = mapped_column(UUID(as_uuid=False), primary_key=True)
    break_glass_id: Mapped[str] = mapped_column(UUID(as_uuid=False), primary_key=True)
    account_id: Mapped[str] = mapped_column(UUID(as_uuid=False))
    beneficiary_id: Mapped[str] = mapped_column(UUID(as_uuid=False))
    reason: Mapped[int] = mapped_column(SmallInteger)
    reason_text: Mapped[str] = mapped_column(Text)
    valid_from: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    valid_to: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    verdict: Mapped[int | None] = mapped_column(SmallInteger)
    reviewer_account_id: Mapped[str | None] = mapped_column(UUID(as_uuid=False))
    reviewed_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    review_comment: Mapped[str | None] = mapped_column(Text)
