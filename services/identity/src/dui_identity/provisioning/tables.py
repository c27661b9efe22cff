"""The queue of what is asked of the identity provider."""

from __future__ import annotations

from datetime import datetime

from dui_kit.db.tables import Base
from sqlalchemy import BigInteger, DateTime, ForeignKeyConstraint, Identity, Index, Integer, LargeBinary, SmallInteger
from sqlalchemy.dialects.postgresql import UUID
from sqlalchemy.orm import Mapped, mapped_column


class ProvisioningTask(Base):
    """One thing to do at the identity provider, written in the transaction that decided it, deleted once it is done.

    So a row that remains is the record of what is late, and why (`problem`). `account_id` none: the association itself.
    """

    __tablename__ = "provisioning_task"
    __table_args__ = (
        ForeignKeyConstraint(
            ["tenant_id", "account_id"],
            ["account.tenant_id", "account.account_id"],
            name="provisioning_task_account_id_fkey",
        ),
        Index("provisioning_task_due_at_idx", "due_at"),
        Index("provisioning_task_account_id_idx", "tenant_id", "account_id", "sequence"),
    )

    tenant_id: Mapped[str] = mapped_column(UUID(as_uuid=False), primary_key=True)
    #: Order of the tasks of one account: its row is locked while one is added, so serial order is commit order.
    sequence: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    account_id: Mapped[str | None] = mapped_column(UUID(as_uuid=False))
    kind: Mapped[int] = mapped_column(SmallInteger)
    #: From which the first password is derived, together with a key that is not in the database; none: an invitation.
    password_nonce: Mapped[bytes | None] = mapped_column(LargeBinary)
    attempts: Mapped[int] = mapped_column(Integer)
    problem: Mapped[int] = mapped_column(SmallInteger)
    due_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
