"""Numbers and times as a contract takes them: what a prescription is written with must be read in one way only."""

from __future__ import annotations

from decimal import Decimal

import pytest
from dui.options.v1 import options_pb2
from dui_kit.calls.validate import FORMATS, Validator
from dui_kit.errors import Refusal
from dui_kit.wire.status import status_of
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given
from hypothesis import strategies as st

F = options_pb2.Format


def dose(**values: str) -> Message:
    """A message of a contract to come, with a quantity and an hour."""
    file = FileDescriptorProto(name="dose.proto", package="test", syntax="proto3")
    file.dependency.append(options_pb2.DESCRIPTOR.name)
    made = file.message_type.add(name="Dose")
    for number, (name, form) in enumerate((("quantity", F.FORMAT_DECIMAL), ("at", F.FORMAT_TIME_OF_DAY)), start=1):
        field = made.field.add(name=name, number=number, label=1, type=FieldDescriptorProto.TYPE_STRING)
        field.options.Extensions[options_pb2.format] = form
    pool = DescriptorPool()
    for known in (descriptor_pb2.DESCRIPTOR, options_pb2.DESCRIPTOR):
        pool.AddSerializedFile(known.serialized_pb)
    pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName("test.Dose"))(**values)


def refusal_of(message: Message) -> Refusal:
    with pytest.raises(Refusal) as refused:
        Validator().check(message)
    return refused.value


@pytest.mark.parametrize(
    "text", ["0", "1", "0.5", "0.50", "2.125", "1000", "999999999", "999999999.999999", "0.000001"]
)
def test_a_quantity_with_a_point_is_taken(text: str) -> None:
    Validator().check(dose(quantity=text))


@pytest.mark.parametrize(
    "text",
    [
        "0,5",
        ".5",
        "5.",
        "05",
        "00.5",
        "-1",
        "-0",
        "+1",
        "1e3",
        "1E-1",
        "1 000",
        "1\u202f000",
        "1'000",
        " 1",
        "1\n",
        "1.2.3",
        "1000000000",
        "0.0000001",
        "٥",
        "½",
        "1/2",
        "NaN",
        "Infinity",
        "0x1",
        "1_0",
        "un",
    ],
)
def test_whatever_could_be_read_in_two_ways_is_no_quantity(text: str) -> None:
    [violation] = refusal_of(dose(quantity=text)).violations
    assert (violation.field, violation.reason.name) == ("quantity", "FORMAT_INVALID")


def test_who_types_a_comma_reads_that_it_is_a_point() -> None:
    [violation] = refusal_of(dose(quantity="0,5")).violations
    assert "avec un point et non une virgule, par exemple 0.5" in violation.text("fr")
    assert "with a point and no comma, for example 0.5" in violation.text("en")
    assert b"virgule" in status_of(refusal_of(dose(quantity="0,5")), "fr").SerializeToString()


@given(st.decimals(min_value=0, max_value=Decimal("999999999.999999"), places=6, allow_nan=False))
def test_every_decimal_of_six_places_can_be_written(value: Decimal) -> None:
    # Python writes 0E-6 for zero with places; a person writes 0.
    text = format(abs(value), "f")
    assert FORMATS[F.FORMAT_DECIMAL][0](text)
    assert Decimal(text) == value


def test_every_minute_of_a_day_is_a_time_and_nothing_else_is() -> None:
    taken = {
        f"{hour:02d}:{minute:02d}"
        for hour in range(100)
        for minute in range(100)
        if FORMATS[F.FORMAT_TIME_OF_DAY][0](f"{hour:02d}:{minute:02d}")
    }
    assert len(taken) == 24 * 60
    assert {"00:00", "08:00", "23:59"} <= taken
    assert "24:00" not in taken


@pytest.mark.parametrize(
    "text", ["8:00", "08h00", "8h", "08:0", "08:00:00", "08:00Z", "08.00", "٠٨:٠٠", "08:60", "midi"]
)
def test_a_time_written_otherwise_is_refused_with_the_way_to_write_it(text: str) -> None:
    [violation] = refusal_of(dose(at=text)).violations
    assert (violation.field, violation.reason.name) == ("at", "FORMAT_INVALID")
    assert "HH:MM, de 00:00 à 23:59" in violation.text("fr")
