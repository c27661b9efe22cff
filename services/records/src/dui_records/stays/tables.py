"""Table of the stays, whose overlaps the database refuses."""

from __future__ import annotations

from dui_kit.db.columns import id_column, instant_column, version_columns
from dui_kit.db.tables import Base
from sqlalchemy import (
    CheckConstraint,
    Column,
    Computed,
    Date,
    ForeignKeyConstraint,
    Index,
    SmallInteger,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import DATERANGE, ExcludeConstraint

from dui_records.columns import of_person
from dui_records.stays.rules import ExitReason, StayModality

#: A stay that never was overlaps nothing and is in no list of persons present.
_NEVER_WAS = f"exit_reason = {ExitReason.ENTERED_BY_MISTAKE.value}"
_PERIOD = f"CASE WHEN {_NEVER_WAS} THEN 'empty'::daterange ELSE daterange(started_on, ended_on, '[]') END"
_LAST_ON = f"CASE WHEN {_NEVER_WAS} THEN '0001-01-01'::date ELSE COALESCE(ended_on, '9999-12-31'::date) END"

stay = Table(
    "stay",
    Base.metadata,
    id_column("tenant_id", key=True),
    id_column("stay_id", key=True),
    id_column("beneficiary_id"),
    *version_columns(),
    id_column("admission_id"),
    id_column("facility_id"),
    Column("modality", SmallInteger, nullable=False),
    id_column("unit_id", null=True),
    Column("room", Text),
    Column("started_on", Date, nullable=False),
    Column("expected_end_on", Date),
    Column("ended_on", Date),
    Column("exit_reason", SmallInteger, nullable=False),
    instant_column("created_at"),
    #: Both days included.
    Column("period", DATERANGE, Computed(_PERIOD, persisted=True), nullable=False),
    #: Last day on which the person is there; far away while no end is known. What lists of persons present are read by.
    Column("last_on", Date, Computed(_LAST_ON, persisted=True), nullable=False),
    CheckConstraint("ended_on >= started_on", name="period"),
    CheckConstraint("(ended_on IS NULL) = (exit_reason = 0)", name="exit"),
    of_person("stay"),
    ForeignKeyConstraint(
        ["tenant_id", "admission_id"], ["admission.tenant_id", "admission.admission_id"], name="stay_admission_id_fkey"
    ),
    ExcludeConstraint(
        ("tenant_id", "="),
        ("beneficiary_id", "="),
        ("facility_id", "="),
        ("period", "&&"),
        name="stay_facility_overlap",
        using="gist",
    ),
    # One lives in one place; an ESAT, a foyer and a SAVS at once are normal.
    ExcludeConstraint(
        ("tenant_id", "="),
        ("beneficiary_id", "="),
        ("period", "&&"),
        name="stay_residential_overlap",
        using="gist",
        where=text(f"modality = {StayModality.RESIDENTIAL.value}"),
    ),
    Index("stay_beneficiary_id_idx", "tenant_id", "beneficiary_id", "started_on", "stay_id"),
    Index("stay_present_idx", "tenant_id", "facility_id", "last_on"),
    Index(
        "stay_admission_key",
        "tenant_id",
        "admission_id",
        unique=True,
        postgresql_where=text(f"exit_reason <> {ExitReason.ENTERED_BY_MISTAKE.value}"),
    ),
)
