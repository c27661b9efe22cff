"""Message → JSON value.

The result equals `json_format.MessageToDict(preserving_proto_field_name=True,
always_print_fields_with_no_presence=True)`, several times faster: for each message type the source of one function
is written from the descriptor and compiled, so that a call is attribute reads and one dict, and no descriptor is read.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from dui_gateway.contract import FIELD_MASK, TIMESTAMP, ContractError

Encoder = Callable[[Message], dict[str, Any]]

# Without a zone: it would only have to be cut off again.
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001


def timestamp_text(value: Timestamp) -> str:
    """RFC 3339 in UTC with 0, 3, 6 or 9 digits of fraction, as the JSON mapping of protobuf says."""
    nanos = value.nanos
    if nanos % 1_000:
        return f"{(_EPOCH + timedelta(0, value.seconds)).isoformat()}.{nanos:09}Z"
    text = (_EPOCH + timedelta(0, value.seconds, nanos // 1_000)).isoformat()
    return (text[:-3] if nanos and nanos % 1_000_000 == 0 else text) + "Z"


@cache
def encoder(message: Descriptor) -> Encoder:
    """The function that turns a message of this type into a JSON value."""
    if message.full_name.startswith("google."):
        raise ContractError(f"{message.full_name} has no JSON object")
    scope: dict[str, Any] = {"_time": timestamp_text}
    lines = ["def encode(m):", " d = {"]
    # Fields without presence are always there: they are the literal; the others are added when they are set.
    lines += [f'  "{field.name}": {_value(field, scope)},' for field in message.fields if not field.has_presence]
    lines.append(" }")
    for field in message.fields:
        if field.has_presence:
            lines += [f' if h("{field.name}"):', f'  d["{field.name}"] = {_value(field, scope)}']
    if any(field.has_presence for field in message.fields):
        lines.insert(1, " h = m.HasField")
    lines.append(" return d")
    # The source is made of names of the contract, which protoc restricts to identifiers.
    exec(compile("\n".join(lines), f"<json of {message.full_name}>", "exec"), scope)  # noqa: S102
    made: Encoder = scope["encode"]
    return made


def _value(field: FieldDescriptor, scope: dict[str, Any]) -> str:
    """The expression of a field's JSON value."""
    if field.is_repeated:
        one = _one(field, "v", scope)
        return f"list(m.{field.name})" if one == "v" else f"[{one} for v in m.{field.name}]"
    if field.enum_type is not None:
        # Read once: the name, or the number itself when a newer service knows a value that this gateway does not.
        return f"{_names(field.enum_type, scope)}(v := m.{field.name}, v)"
    return _one(field, f"m.{field.name}", scope)


def _one(field: FieldDescriptor, expression: str, scope: dict[str, Any]) -> str:
    if field.enum_type is not None:
        return f"{_names(field.enum_type, scope)}({expression}, {expression})"
    if field.message_type is None:
        return expression
    if field.message_type.full_name == TIMESTAMP:
        return f"_time({expression})"
    if field.message_type.full_name == FIELD_MASK:
        return f"{expression}.ToJsonString()"
    name = f"_m_{field.message_type.full_name.replace('.', '_')}"
    scope[name] = encoder(field.message_type)
    return f"{name}({expression})"


def _names(enum: EnumDescriptor, scope: dict[str, Any]) -> str:
    name = f"_e_{enum.full_name.replace('.', '_')}"
    scope[name] = {value.number: value.name for value in enum.values}.get
    return name
