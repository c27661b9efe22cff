"""Tables of associations, facilities and units."""

from __future__ import annotations

from dui_kit.db.tables import Base
from sqlalchemy import Boolean, ForeignKeyConstraint, Integer, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import UUID
from sqlalchemy.orm import Mapped, mapped_column


class Association(Base):
    """The tenant. Its row is its own: `association_id` is `tenant_id`."""

    __tablename__ = "association"

    tenant_id: Mapped[str] = mapped_column(UUID(as_uuid=False), primary_key=True)
    # Unique on the whole platform, unlike every other key here: it names the tenant in logins and addresses. Only
    # operators write it.
    slug: Mapped[str] = mapped_column(Text, unique=True)
    name: Mapped[str] = mapped_column(Text)
    finess_ej: Mapped[str | None] = mapped_column(Text)
    siren: Mapped[str | None] = mapped_column(Text)
    active: Mapped[bool] = mapped_column(Boolean)
    version: Mapped[int] = mapped_column(Integer)
    #: Id of its organization at the identity provider; none until it exists there.
    organization_id: Mapped[str | None] = mapped_column(Text)
    #: Account of the first administrator, opened in the same transaction.
    administrator_account_id: Mapped[str | None] = mapped_column(UUID(as_uuid=False))


class Facility(Base):
    """An establishment or service. `name_key` is what lists are sorted by."""

    __tablename__ = "facility"
    __table_args__ = (UniqueConstraint("tenant_id", "finess_et", name="facility_finess_et_key"),)

    tenant_id: Mapped[str] = mapped_column(UUID(as_uuid=False), primary_key=True)
    facility_id: Mapped[str] = mapped_column(UUID(as_uuid=False), primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    name_key: Mapped[str] = mapped_column(Text(collation="C"))
    finess_et: Mapped[str] = mapped_column(Text)
    category_code: Mapped[str] = mapped_column(Text)
    time_zone: Mapped[str] = mapped_column(Text)
    town: Mapped[str | None] = mapped_column(Text)
    version: Mapped[int] = mapped_column(Integer)


class Unit(Base):
    """A ward, a group, a workshop of a facility."""

    __tablename__ = "unit"
    __table_args__ = (
        ForeignKeyConstraint(
            ["tenant_id", "facility_id"], ["facility.tenant_id", "facility.facility_id"], name="unit_facility_id_fkey"
        ),
        UniqueConstraint("tenant_id", "facility_id", "name_key", name="unit_name_key"),
        # What an assignment to a unit refers to: a unit of that facility and no other.
        UniqueConstraint("tenant_id", "facility_id", "unit_id", name="unit_facility_key"),
    )

    tenant_id: Mapped[str] = mapped_column(UUID(as_uuid=False), primary_key=True)
    unit_id: Mapped[str] = mapped_column(UUID(as_uuid=False), primary_key=True)
    facility_id: Mapped[str] = mapped_column(UUID(as_uuid=False))
    name: Mapped[str] = mapped_column(Text)
    name_key: Mapped[str] = mapped_column(Text(collation="C"))
    version: Mapped[int] = mapped_column(Integer)
