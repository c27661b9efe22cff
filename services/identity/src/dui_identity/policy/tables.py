"""Tables of the access policy."""

from __future__ import annotations

from datetime import datetime

from dui_kit.db.tables import Base
from sqlalchemy import BigInteger, DateTime, Identity, Index, Integer, LargeBinary, SmallInteger
from sqlalchemy.dialects.postgresql import ARRAY, UUID
from sqlalchemy.orm import Mapped, mapped_column


class PolicyOverride(Base):
    """What an association decided for one cell. Append-only: the last row of a cell holds, and the others are its history."""

    __tablename__ = "policy_override"
    __table_args__ = (Index("policy_override_cell_idx", "tenant_id", "profession", "category", "sequence"),)

    tenant_id: Mapped[str] = mapped_column(UUID(as_uuid=False), primary_key=True)
    #: Order of the decisions of an association, which are taken one after another (its row is locked).
    sequence: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    profession: Mapped[int] = mapped_column(SmallInteger)
    category: Mapped[int] = mapped_column(SmallInteger)
    #: The actions allowed from then on; none: the platform's default holds again.
    actions: Mapped[list[int] | None] = mapped_column(ARRAY(SmallInteger))
    author_account_id: Mapped[str] = mapped_column(UUID(as_uuid=False))
    decided_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class PolicyPublication(Base):
    """What was last announced of one profession: another release of the platform may bring other defaults."""

    __tablename__ = "policy_publication"

    tenant_id: Mapped[str] = mapped_column(UUID(as_uuid=False), primary_key=True)
    profession: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    version: Mapped[int] = mapped_column(Integer)
    #: SHA-256 of the rights announced.
    digest: Mapped[bytes] = mapped_column(LargeBinary)
