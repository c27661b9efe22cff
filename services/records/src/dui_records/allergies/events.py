"""What an allergy announces: that it changed; who needs to know asks records."""

from __future__ import annotations

from dui.records.v1 import events_pb2
from dui_kit.db.columns import AnyRow


def allergy_changed(row: AnyRow) -> events_pb2.AllergyChanged:
    """A new version of an allergy."""
    return events_pb2.AllergyChanged(allergy_id=row.allergy_id, version=row.version, beneficiary_id=row.beneficiary_id)
