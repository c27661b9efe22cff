"""Table of the entourage."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Date, Index, SmallInteger, Text, text

from dui_records.entries.tables import entry_table

#: A trusted person in force. Text, so that the partial index serves it whatever the parameters are.
TRUSTED = text("trusted_person AND ended_on IS NULL")

relation = entry_table(
    "relation",
    Column("family_name", Text, nullable=False),
    Column("given_name", Text),
    Column("kind", SmallInteger, nullable=False),
    Column("legal_role", SmallInteger, nullable=False),
    Column("trusted_person", Boolean, nullable=False),
    Column("phone", Text),
    Column("email", Text),
    Column("address", Text),
    Column("call_order", SmallInteger),
    Column("ended_on", Date),
)
#: The law knows one trusted person at a time (CASF L311-5-1); check_nobody_trusted also sees the records merged with this one.
Index(
    "relation_trusted_person_key",
    relation.c.tenant_id,
    relation.c.beneficiary_id,
    unique=True,
    postgresql_where=TRUSTED,
)
