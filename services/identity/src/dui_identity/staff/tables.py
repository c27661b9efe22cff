"""Tables of professionals, accounts and assignments."""

from __future__ import annotations

from datetime import datetime

from dui_kit.db.tables import Base
from sqlalchemy import CheckConstraint, DateTime, ForeignKeyConstraint, Index, Integer, SmallInteger, Text, text
from sqlalchemy.dialects.postgresql import UUID, ExcludeConstraint
from sqlalchemy.orm import Mapped, mapped_column

from dui_identity.staff.rules import Status

_LIVE = text(f"status <> {Status.ENDED.value}")
#: Stands for "the whole association" or "the whole facility" where a value is needed to compare.
_WHOLE = "'00000000-0000-0000-0000-000000000000'::uuid"


class Professional(Base):
    """Somebody who works for the association. `name_key` is what lists are sorted by."""

    __tablename__ = "professional"
    __table_args__ = (
        Index("professional_rpps_key", "tenant_id", "rpps", unique=True, postgresql_where=text("rpps IS NOT NULL")),
        Index("professional_email_key", "tenant_id", "email", unique=True, postgresql_where=text("email IS NOT NULL")),
        Index("professional_name_key_idx", "tenant_id", "name_key", "professional_id"),
    )

    tenant_id: Mapped[str] = mapped_column(UUID(as_uuid=False), primary_key=True)
    professional_id: Mapped[str] = mapped_column(UUID(as_uuid=False), primary_key=True)
    family_name: Mapped[str] = mapped_column(Text)
    given_name: Mapped[str] = mapped_column(Text)
    name_key: Mapped[str] = mapped_column(Text(collation="C"))
    profession: Mapped[int] = mapped_column(SmallInteger)
    qualification: Mapped[str | None] = mapped_column(Text)
    rpps: Mapped[str | None] = mapped_column(Text)
    email: Mapped[str | None] = mapped_column(Text)
    version: Mapped[int] = mapped_column(Integer)
    #: Unset: an operator, or made before the platform kept it.
    author_account_id: Mapped[str | None] = mapped_column(UUID(as_uuid=False))


class Account(Base):
    """The account of one professional. `version` orders its facts; `subject` is the `sub` of its tokens."""

    __tablename__ = "account"
    __table_args__ = (
        ForeignKeyConstraint(
            ["tenant_id", "professional_id"],
            ["professional.tenant_id", "professional.professional_id"],
            name="account_professional_id_fkey",
        ),
        # Somebody who left and comes back gets a new account: the ended one stays as it was.
        Index("account_professional_id_key", "tenant_id", "professional_id", unique=True, postgresql_where=_LIVE),
        Index("account_professional_id_idx", "tenant_id", "professional_id"),
        Index("account_login_key", "tenant_id", "login", unique=True, postgresql_where=_LIVE),
        Index("account_login_idx", "tenant_id", "login", "account_id"),
        Index("account_subject_key", "tenant_id", "subject", unique=True, postgresql_where=_LIVE),
        # The other associations of the same person (function subject_elsewhere).
        Index("account_subject_idx", "subject", postgresql_where=text("subject IS NOT NULL")),
    )

    tenant_id: Mapped[str] = mapped_column(UUID(as_uuid=False), primary_key=True)
    account_id: Mapped[str] = mapped_column(UUID(as_uuid=False), primary_key=True)
    professional_id: Mapped[str] = mapped_column(UUID(as_uuid=False))
    login: Mapped[str] = mapped_column(Text(collation="C"))
    status: Mapped[int] = mapped_column(SmallInteger)
    subject: Mapped[str | None] = mapped_column(Text)
    sessions_revoked_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    problem: Mapped[int] = mapped_column(SmallInteger)
    version: Mapped[int] = mapped_column(Integer)


class AccountStatusChange(Base):
    """Who gave an account a status, when and why. Append-only: the app role may neither change nor delete a row."""

    __tablename__ = "account_status_change"
    __table_args__ = (
        ForeignKeyConstraint(
            ["tenant_id", "account_id"],
            ["account.tenant_id", "account.account_id"],
            name="account_status_change_account_id_fkey",
        ),
    )

    tenant_id: Mapped[str] = mapped_column(UUID(as_uuid=False), primary_key=True)
    account_id: Mapped[str] = mapped_column(UUID(as_uuid=False), primary_key=True)
    #: Version of the account from which the status holds.
    version: Mapped[int] = mapped_column(Integer, primary_key=True)
    status: Mapped[int] = mapped_column(SmallInteger)
    reason: Mapped[str | None] = mapped_column(Text)
    #: Unset: the platform itself, once the account existed at the identity provider.
    author_account_id: Mapped[str | None] = mapped_column(UUID(as_uuid=False))
    changed_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class Assignment(Base):
    """Who works where, as what, from when to when (excluded)."""

    __tablename__ = "assignment"
    __table_args__ = (
        ForeignKeyConstraint(
            ["tenant_id", "account_id"], ["account.tenant_id", "account.account_id"], name="assignment_account_id_fkey"
        ),
        ForeignKeyConstraint(
            ["tenant_id", "facility_id"],
            ["facility.tenant_id", "facility.facility_id"],
            name="assignment_facility_id_fkey",
        ),
        ForeignKeyConstraint(
            ["tenant_id", "facility_id", "unit_id"],
            ["unit.tenant_id", "unit.facility_id", "unit.unit_id"],
            name="assignment_unit_id_fkey",
        ),
        CheckConstraint("unit_id IS NULL OR facility_id IS NOT NULL", name="place"),
        CheckConstraint("valid_to IS NULL OR valid_to >= valid_from", name="period"),
        # The same work twice at once: two calls at the same moment cannot both pass, whatever they checked before.
        ExcludeConstraint(
            (text("tenant_id"), "="),
            (text("account_id"), "="),
            (text("profession"), "="),
            (text(f"coalesce(facility_id, {_WHOLE})"), "="),
            (text(f"coalesce(unit_id, {_WHOLE})"), "="),
            (text("tstzrange(valid_from, valid_to)"), "&&"),
            name="assignment_overlap_excl",
            using="gist",
        ),
        Index("assignment_account_id_idx", "tenant_id", "account_id", "valid_from", "assignment_id"),
        Index("assignment_profession_idx", "tenant_id", "profession"),
    )

    tenant_id: Mapped[str] = mapped_column(UUID(as_uuid=False), primary_key=True)
    assignment_id: Mapped[str] = mapped_column(UUID(as_uuid=False), primary_key=True)
    account_id: Mapped[str] = mapped_column(UUID(as_uuid=False))
    profession: Mapped[int] = mapped_column(SmallInteger)
    facility_id: Mapped[str | None] = mapped_column(UUID(as_uuid=False))
    unit_id: Mapped[str | None] = mapped_column(UUID(as_uuid=False))
    valid_from: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    valid_to: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    version: Mapped[int] = mapped_column(Integer)
    #: Unset: an operator, or given before the platform kept it.
    author_account_id: Mapped[str | None] = mapped_column(UUID(as_uuid=False))
    ended_by_account_id: Mapped[str | None] = mapped_column(UUID(as_uuid=False))
