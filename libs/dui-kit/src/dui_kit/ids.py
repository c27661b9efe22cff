"""Ids: UUIDv7, which sort by time, so that indexes grow at their end."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import uuid_utils


def new_id() -> str:
    """A new UUIDv7 in lower case."""
    return str(uuid_utils.uuid7())


def smallest_id(instant: datetime) -> str:
    """The smallest UUIDv7 of an instant: what was made before has a smaller id, what was made since a greater one."""
    return str(UUID(int=int(instant.timestamp() * 1000) << 80))
