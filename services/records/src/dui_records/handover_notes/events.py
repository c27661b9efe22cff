"""What a handover note announces: its category and priority, never its words."""

from __future__ import annotations

from dui.records.v1 import events_pb2
from dui_kit.db.columns import AnyRow


def handover_note_changed(row: AnyRow) -> events_pb2.HandoverNoteChanged:
    """A new version of a note."""
    return events_pb2.HandoverNoteChanged(
        handover_note_id=row.handover_note_id,
        version=row.version,
        beneficiary_id=row.beneficiary_id,
        category=row.category,
        priority=row.priority,
    )
