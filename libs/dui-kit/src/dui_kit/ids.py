"""Ids: UUIDv7, which sort by time, so that indexes grow at their end."""

from __future__ import annotations

import uuid_utils


def new_id() -> str:
    """A new UUIDv7 in lower case."""
    return str(uuid_utils.uuid7())
