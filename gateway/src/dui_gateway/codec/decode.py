"""JSON value → message, strictly.

Stricter than `json_format`, which forgives: an unknown field, a number as text or a null is most often a mistake of the
caller that would otherwise be lost in silence. Every violation is collected with its JSON path and remedy; whatever
`json_format.Parse` reads from a document accepted here, this reads the same. What fields must hold (formats, lengths,
required ones) is checked by the service.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from dui_kit.errors import Reason, Violation
from dui_kit.wire.contract import accepted_values
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from dui_gateway import texts
from dui_gateway.contract import TIMESTAMP, is_mask, output_only

# The first faults tell enough; a body of a megabyte must not become an answer of ten.
MAX_VIOLATIONS = 50

_INT32 = range(-(2**31), 2**31)
_INSTANT = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
# Years 1 to 9999, as google.protobuf.Timestamp says; an offset may lead just outside.
_FIRST_SECOND, _LAST_SECOND = -62_135_596_800, 253_402_300_799


class Faults:
    """The violations found so far in one document."""

    def __init__(self) -> None:
        self.found: list[Violation] = []

    def add(self, reason: Reason, path: str, **params: str | int) -> None:
        """Notes one fault; beyond the limit they are no longer kept."""
        if len(self.found) < MAX_VIOLATIONS:
            self.found.append(Violation(reason, path, tuple(params.items())))


# Turns a JSON value into what a message constructor takes; None when it is at fault.
Convert = Callable[[Any, str, Faults], Any]
Decoder = Callable[[Any, str, Faults], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Patch:
    """A merge patch (RFC 7396): the new values, and the paths that change (cleared ones included)."""

    values: Mapping[str, Any]
    paths: tuple[str, ...]


def decoder(message: Descriptor, *, without: frozenset[str] = frozenset()) -> Decoder:
    """The function that reads a JSON object as constructor arguments of this message type. `without`: fields that come
    from elsewhere (the path), refused in the document."""
    return _object(message, without) if without else _whole(message)


@cache
def _whole(message: Descriptor) -> Decoder:
    return _object(message, frozenset())


def _object(message: Descriptor, without: frozenset[str]) -> Decoder:
    fields = {field.name: field_converter(field) for field in message.fields if field.name not in without}
    choices = _choices(message)

    def decode(value: Any, path: str, faults: Faults) -> dict[str, Any]:
        result: dict[str, Any] = {}
        if type(value) is not dict:
            faults.add(texts.WRONG_TYPE, path, **texts.TYPES["object"])
            return result
        for name, item in value.items():
            convert = fields.get(name)
            if convert is None:
                faults.add(texts.FIELD_UNKNOWN, path_to(path, name))
            elif item is None:
                faults.add(texts.NULL_REFUSED, path_to(path, name))
            else:
                result[name] = convert(item, path_to(path, name), faults)
        if choices:
            _one_of_each(choices, result, path, faults)
        return result

    return decode


def path_to(parent: str, name: str) -> str:
    """`parent.name`; a name that the contract could not hold is not repeated, since it may be anything."""
    if not name.isidentifier() or len(name) > 80 or not name.isascii():
        name = "?"
    return f"{parent}.{name}" if parent else name


def patcher(message: Descriptor) -> Callable[[Any, Faults], Patch]:
    """The function that reads a merge patch of this message type."""
    fields = {field.name: (field, field_converter(field)) for field in message.fields}
    below = {
        field.name: patcher(field.message_type)
        for field in message.fields
        if field.message_type is not None and not field.is_repeated and field.message_type.full_name != TIMESTAMP
    }
    choices = _choices(message)

    def decode(value: Any, faults: Faults) -> Patch:
        values: dict[str, Any] = {}
        paths: list[str] = []
        if type(value) is not dict:
            faults.add(texts.WRONG_TYPE, "", **texts.TYPES["object"])
            return Patch(values, ())
        for name, item in value.items():
            if name not in fields:
                faults.add(texts.FIELD_UNKNOWN, path_to("", name))
                continue
            field, convert = fields[name]
            if output_only(field):
                faults.add(texts.FIELD_READ_ONLY, name)
            elif item is None:
                paths.append(name)
            elif name in below:
                inner = Faults()
                patch = below[name](item, inner)
                for fault in inner.found:
                    faults.add(fault.reason, f"{name}.{fault.field}" if fault.field else name, **dict(fault.params))
                values[name] = patch.values
                paths.extend(f"{name}.{path}" for path in patch.paths)
            else:
                values[name] = convert(item, name, faults)
                paths.append(name)
        if choices:
            _one_of_each(choices, values, "", faults)
        return Patch(values, tuple(paths))

    return decode


def field_converter(field: FieldDescriptor) -> Convert:
    """The function that reads the JSON value of one field."""
    if output_only(field) or is_mask(field):
        return _read_only
    one = _single(field)
    return _list_of(one) if field.is_repeated else one


def build(message: type[Message], values: Mapping[str, Any]) -> Message:
    """The message with these values, as decoded without a fault."""
    return message(**values)


def _single(field: FieldDescriptor) -> Convert:
    if field.enum_type is not None:
        return enum_converter(field, field.enum_type)
    if field.message_type is not None:
        return timestamp_converter if field.message_type.full_name == TIMESTAMP else _whole(field.message_type)
    return {
        FieldDescriptor.TYPE_STRING: text_converter,
        FieldDescriptor.TYPE_BOOL: _bool,
        FieldDescriptor.TYPE_INT32: _int32,
    }[field.type]


def _read_only(_value: Any, path: str, faults: Faults) -> None:
    faults.add(texts.FIELD_READ_ONLY, path)


def text_converter(value: Any, path: str, faults: Faults) -> str | None:
    """A text without NUL, which no database of ours can keep."""
    if type(value) is not str:
        faults.add(texts.WRONG_TYPE, path, **texts.TYPES["text"])
        return None
    if "\0" in value:
        faults.add(texts.TEXT_CONTROL_CHARACTER, path)
        return None
    return value


def _bool(value: Any, path: str, faults: Faults) -> bool | None:
    if type(value) is not bool:
        faults.add(texts.WRONG_TYPE, path, **texts.TYPES["boolean"])
        return None
    return value


def _int32(value: Any, path: str, faults: Faults) -> int | None:
    # JSON has one kind of number: 3.0 is 3 (RFC 8259, section 6).
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is not int or value not in _INT32:
        faults.add(texts.WRONG_TYPE, path, **texts.TYPES["integer"])
        return None
    return value


def timestamp_converter(value: Any, path: str, faults: Faults) -> Timestamp | None:
    """An RFC 3339 instant with its zone, in the years 1 to 9999."""
    match = _INSTANT.fullmatch(value) if type(value) is str else None
    try:
        whole = datetime.fromisoformat(match[1] + match[3]) if match else None
    except ValueError:
        whole = None
    seconds = (whole - _EPOCH) // _SECOND if whole else 0
    if match is None or whole is None or not _FIRST_SECOND <= seconds <= _LAST_SECOND:
        faults.add(texts.TIMESTAMP_INVALID, path)
        return None
    return Timestamp(seconds=seconds, nanos=int((match[2] or "").ljust(9, "0")))


def enum_converter(field: FieldDescriptor, enum: EnumDescriptor) -> Convert:
    """Reads the name of a value."""
    numbers = {value.name: value.number for value in enum.values}
    accepted = accepted_values(field)

    def convert(value: Any, path: str, faults: Faults) -> int | None:
        number = numbers.get(value) if type(value) is str else None
        if number is None:
            faults.add(texts.ENUM_UNKNOWN, path, values=accepted)
        return number

    return convert


def _list_of(one: Convert) -> Convert:
    def convert(value: Any, path: str, faults: Faults) -> list[Any]:
        if type(value) is not list:
            faults.add(texts.WRONG_TYPE, path, **texts.TYPES["list"])
            return []
        result = []
        for index, item in enumerate(value):
            if item is None:
                faults.add(texts.NULL_REFUSED, f"{path}[{index}]")
            else:
                result.append(one(item, f"{path}[{index}]", faults))
        return result

    return convert


def _choices(message: Descriptor) -> list[tuple[str, ...]]:
    """The field names of each real oneof: at most one of them may be given."""
    return [
        tuple(field.name for field in choice.fields)
        for choice in message.oneofs
        if not (len(choice.fields) == 1 and choice.fields[0].name == choice.name.removeprefix("_"))
    ]


def _one_of_each(choices: list[tuple[str, ...]], values: Mapping[str, Any], path: str, faults: Faults) -> None:
    for names in choices:
        given = [name for name in names if name in values]
        if len(given) > 1:
            faults.add(texts.ONE_OF, path_to(path, given[1]), names=", ".join(names))
