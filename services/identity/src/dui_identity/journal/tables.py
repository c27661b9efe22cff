"""Tables of the journal."""

from __future__ import annotations

from datetime import datetime

from dui_kit.db.tables import Base
from sqlalchemy import BigInteger, Boolean, DateTime, Index, LargeBinary, Text, text
from sqlalchemy.dialects.postgresql import UUID
from sqlalchemy.orm import Mapped, mapped_column


class JournalEntry(Base):
    """One entry: its content as it was hashed, and the few columns that lists search by. Partitioned by month."""

    __tablename__ = "journal_entry"
    __table_args__ = (
        Index("journal_entry_account_id_idx", "tenant_id", "account_id", "appended_at", "chain_index"),
        Index("journal_entry_denied_idx", "tenant_id", "appended_at", "chain_index", postgresql_where=text("denied")),
        Index(
            "journal_entry_break_glass_idx",
            "tenant_id",
            "appended_at",
            "chain_index",
            postgresql_where=text("break_glass"),
        ),
        {"postgresql_partition_by": "RANGE (appended_at)"},
    )

    tenant_id: Mapped[str] = mapped_column(UUID(as_uuid=False), primary_key=True)
    #: Never before that of the entry before it: the order of time is the order of the chain.
    appended_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), primary_key=True)
    chain_index: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    service: Mapped[str] = mapped_column(Text)
    sequence: Mapped[int] = mapped_column(BigInteger)
    account_id: Mapped[str | None] = mapped_column(UUID(as_uuid=False))
    denied: Mapped[bool] = mapped_column(Boolean)
    break_glass: Mapped[bool] = mapped_column(Boolean)
    content: Mapped[bytes] = mapped_column(LargeBinary)
    hash: Mapped[bytes] = mapped_column(LargeBinary)


class JournalSubject(Base):
    """Which entries are about a person, those of lists and searches that showed them included. Partitioned by month."""

    __tablename__ = "journal_subject"
    __table_args__ = ({"postgresql_partition_by": "RANGE (appended_at)"},)

    tenant_id: Mapped[str] = mapped_column(UUID(as_uuid=False), primary_key=True)
    beneficiary_id: Mapped[str] = mapped_column(UUID(as_uuid=False), primary_key=True)
    appended_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), primary_key=True)
    chain_index: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)


class JournalHead(Base):
    """The end of an association's chain; its row lock is what makes the chain one chain."""

    __tablename__ = "journal_head"

    tenant_id: Mapped[str] = mapped_column(UUID(as_uuid=False), primary_key=True)
    chain_index: Mapped[int] = mapped_column(BigInteger)
    hash: Mapped[bytes] = mapped_column(LargeBinary)
    appended_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class JournalSource(Base):
    """The last number of each service that is in the chain."""

    __tablename__ = "journal_source"

    tenant_id: Mapped[str] = mapped_column(UUID(as_uuid=False), primary_key=True)
    service: Mapped[str] = mapped_column(Text, primary_key=True)
    last_sequence: Mapped[int] = mapped_column(BigInteger)
    last_entry_id: Mapped[str] = mapped_column(UUID(as_uuid=False))


class JournalSignedHead(Base):
    """A signed head; the same line stands in a file outside the database."""

    __tablename__ = "journal_signed_head"

    tenant_id: Mapped[str] = mapped_column(UUID(as_uuid=False), primary_key=True)
    head_index: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    chain_index: Mapped[int] = mapped_column(BigInteger)
    payload: Mapped[str] = mapped_column(Text)
    signature: Mapped[bytes] = mapped_column(LargeBinary)
