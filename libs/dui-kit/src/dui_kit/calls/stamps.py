"""Instants and versions written into messages in place: half the cost of building them and copying them in."""

from __future__ import annotations

import math
from datetime import datetime

from dui.common.v1 import history_pb2
from google.protobuf.timestamp_pb2 import Timestamp

from dui_kit.db.columns import AnyRow


def stamp(target: Timestamp, instant: datetime) -> None:
    """Sets a timestamp to an aware instant."""
    target.seconds = math.floor(instant.timestamp())
    target.nanos = instant.microsecond * 1000


def stamp_version(target: history_pb2.Version, row: AnyRow) -> None:
    """Sets the author, time and number of the version that a row holds."""
    target.version = row.version
    if row.author_account_id is not None:
        target.author_account_id = row.author_account_id
    stamp(target.recorded_at, row.recorded_at)
