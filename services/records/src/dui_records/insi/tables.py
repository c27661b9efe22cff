"""The answers of INSi, kept as evidence."""

from __future__ import annotations

from dui_kit.db.columns import id_column, instant_column
from dui_kit.db.tables import Base
from sqlalchemy import CheckConstraint, Column, Index, Table, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB

from dui_records.columns import of_person

#: Append-only: the app role can neither change nor delete an answer.
insi_answer = Table(
    "insi_answer",
    Base.metadata,
    id_column("tenant_id", key=True),
    id_column("insi_answer_id", key=True),
    id_column("beneficiary_id"),
    #: 00 one identity, 01 none, 02 several.
    Column("code", Text, nullable=False),
    #: The number under which INSi knows the exchange.
    Column("reference", Text, nullable=False),
    #: The identity found, as INSi gave it; only with 00.
    Column("identity", JSONB(none_as_null=True)),
    instant_column("answered_at"),
    id_column("author_account_id", null=True),
    instant_column("recorded_at"),
    CheckConstraint("code IN ('00', '01', '02')", name="code"),
    CheckConstraint("(code = '00') = (identity IS NOT NULL)", name="identity"),
    UniqueConstraint("tenant_id", "beneficiary_id", "insi_answer_id", "code", name="insi_answer_evidence_key"),
    of_person("insi_answer"),
    Index("insi_answer_beneficiary_id_idx", "tenant_id", "beneficiary_id"),
)
