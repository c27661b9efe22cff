"""Table of the requests for admission."""

from __future__ import annotations

from dui_kit.db.columns import id_column, instant_column, version_columns
from dui_kit.db.tables import Base
from sqlalchemy import Column, Date, Index, SmallInteger, Table, Text, text

from dui_records.admissions.rules import AdmissionStatus
from dui_records.columns import of_person

#: On the waiting list. Literals, so that the partial indexes serve whatever the parameters are.
_OPEN = f"status IN ({AdmissionStatus.REQUESTED.value}, {AdmissionStatus.ACCEPTED.value})"
OPEN = text(f"admission.{_OPEN}")

admission = Table(
    "admission",
    Base.metadata,
    id_column("tenant_id", key=True),
    id_column("admission_id", key=True),
    id_column("beneficiary_id"),
    *version_columns(),
    id_column("facility_id"),
    Column("modality", SmallInteger, nullable=False),
    Column("requested_on", Date, nullable=False),
    Column("wished_entry_on", Date),
    Column("origin", Text),
    Column("status", SmallInteger, nullable=False),
    Column("decision_reason", Text),
    instant_column("decided_at", null=True),
    instant_column("created_at"),
    of_person("admission"),
    Index("admission_beneficiary_id_idx", "tenant_id", "beneficiary_id", "admission_id"),
    Index(
        "admission_waiting_idx",
        "tenant_id",
        "facility_id",
        "requested_on",
        "admission_id",
        postgresql_where=text(_OPEN),
    ),
    Index(
        "admission_open_key",
        "tenant_id",
        "beneficiary_id",
        "facility_id",
        "modality",
        unique=True,
        postgresql_where=text(_OPEN),
    ),
)
