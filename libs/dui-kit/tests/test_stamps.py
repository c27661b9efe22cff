"""An instant in place is the instant that the kit would build."""

from __future__ import annotations

from datetime import UTC, datetime

from dui_kit.calls.stamps import stamp
from dui_kit.times import to_timestamp
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st


@given(st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 (bounds)
def test_an_instant_is_the_same_in_place(instant: datetime) -> None:
    target = Timestamp(seconds=1, nanos=1)
    stamp(target, instant)
    assert target == to_timestamp(instant)
