"""Table of what is kept of treatments."""

from __future__ import annotations

from dui_kit.db.columns import id_column, instant_column
from dui_kit.db.tables import Base
from sqlalchemy import Column, Index, LargeBinary, Table

from dui_records.columns import of_person

#: What medication said of the treatment of a record, for when it is away. One row for each record, merged ones too: their lines
#: stay theirs in medication, so that neither a merge nor its undoing makes a row say half of a treatment, or somebody else's.
treatment_summary = Table(
    "treatment_summary",
    Base.metadata,
    id_column("tenant_id", key=True),
    id_column("beneficiary_id", key=True),
    #: When medication was asked.
    instant_column("read_at"),
    #: The serialised `dui.medication.v1.TreatmentSnapshot` with the lines of this record, sealed for this association and record.
    Column("sealed", LargeBinary, nullable=False),
    of_person("treatment_summary"),
    Index("treatment_summary_read_at_idx", "tenant_id", "read_at"),
)
