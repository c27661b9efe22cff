"""Instants: UTC everywhere, microseconds as PostgreSQL keeps them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def micros(instant: datetime) -> int:
    """Microseconds since 1970 of an aware instant."""
    return (instant - _EPOCH) // _MICROSECOND


def from_micros(value: int) -> datetime:
    """The instant of `micros`."""
    return _EPOCH + timedelta(microseconds=value)


def to_timestamp(instant: datetime) -> Timestamp:
    """An aware instant as protobuf."""
    seconds, rest = divmod(micros(instant), 1_000_000)
    return Timestamp(seconds=seconds, nanos=rest * 1000)


def from_timestamp(value: Timestamp) -> datetime:
    """A protobuf instant as an aware one, cut to microseconds."""
    return _EPOCH + timedelta(seconds=value.seconds, microseconds=value.nanos // 1000)
