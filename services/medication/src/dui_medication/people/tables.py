"""Table of the identity strips."""

from __future__ import annotations

from dui_kit.db.columns import id_column, instant_column
from dui_kit.db.tables import Base
from sqlalchemy import Column, LargeBinary, Table

#: What the record says of a person who has a treatment, for when records is away; sealed, and erased with the person's data.
identity_strip = Table(
    "identity_strip",
    Base.metadata,
    id_column("tenant_id", key=True),
    id_column("beneficiary_id", key=True),
    #: When records was asked.
    instant_column("read_at"),
    #: The serialised `dui.records.v1.IdentityStrip`, sealed for this association and person.
    Column("sealed", LargeBinary, nullable=False),
)
