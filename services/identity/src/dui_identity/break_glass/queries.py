"""What other capabilities ask of broken glass."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from dui.access.v1 import facts_pb2
from sqlalchemy import select
from sqlalchemy.orm import Session

from dui_identity.break_glass.events import break_glass_changed
from dui_identity.break_glass.tables import BreakGlass


def open_glass_after(
    session: Session, tenant_id: str, now: datetime, after: str | None, limit: int
) -> list[tuple[str, facts_pb2.BreakGlassChanged]]:
    """Emergencies still open, by id, for snapshots."""
    query = (
        select(BreakGlass)
        .where(BreakGlass.tenant_id == tenant_id, BreakGlass.valid_to > now)
        .order_by(BreakGlass.break_glass_id)
        .limit(limit)
    )
    if after is not None:
        query = query.where(BreakGlass.break_glass_id > after)
    return [(row.break_glass_id, break_glass_changed(row)) for row in session.scalars(query)]


def open_glass_of(
    session: Session, tenant_id: str, now: datetime, account_ids: Collection[str]
) -> list[facts_pb2.BreakGlassChanged]:
    """Emergencies still open of these accounts."""
    query = select(BreakGlass).where(
        BreakGlass.tenant_id == tenant_id, BreakGlass.account_id.in_(account_ids), BreakGlass.valid_to > now
    )
    return [break_glass_changed(row) for row in session.scalars(query)]
