"""The fact that an emergency opening publishes: it names no reason in words."""

from __future__ import annotations

from dui.access.v1 import facts_pb2
from dui_kit.times import to_timestamp

from dui_identity.break_glass.tables import BreakGlass


def break_glass_changed(row: BreakGlass) -> facts_pb2.BreakGlassChanged:
    """The fact that one person's record is open to one account for a time. It never changes: its version is 1."""
    return facts_pb2.BreakGlassChanged(
        break_glass_id=row.break_glass_id,
        version=1,
        account_id=row.account_id,
        beneficiary_id=row.beneficiary_id,
        valid_from=to_timestamp(row.valid_from),
        valid_to=to_timestamp(row.valid_to),
    )
