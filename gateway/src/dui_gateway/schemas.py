"""JSON Schema (2020-12, as OpenAPI 3.1 uses it) of the contract's messages and enums.

A message that callers both send and read gets two schemas: `Stay` as it is read (what only the platform sets is
`readOnly`, fields that are always there are `required`) and `StayInput` as it is sent (closed, with the formats and
lengths that the services check). `StayPatch` is the merge patch of it.
"""

from __future__ import annotations

from typing import Any

from dui.options.v1 import options_pb2
from dui_kit.wire.contract import accepted_names
from google.api import field_behavior_pb2
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from dui_gateway.contract import TIMESTAMP, behaviours, comments, is_mask, output_only, required

Schema = dict[str, Any]

DEFAULT_MAX_LENGTH = 200
DEFAULT_MAX_ITEMS = 100
MAX_PAGE_SIZE = 200
DEFAULT_PAGE_SIZE = 50

_CONTROL = r"\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f"
# No control character (no database of ours keeps NUL), and something else than spaces where a text is asked for.
TEXT = f"^[^{_CONTROL}]*$"
NON_BLANK = rf"^[^{_CONTROL}]*[^\s{_CONTROL}][^{_CONTROL}]*$"

_F = options_pb2.Format
# What a text of each format looks like. Check digits are beyond a pattern: the examples are right ones.
FORMATS: dict[int, Schema] = {
    _F.FORMAT_UUID: {
        "format": "uuid",
        "pattern": "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$",
        "examples": ["0197f3a2-5c1e-7b44-9d3f-2a6b8c0e1f57"],
    },
    _F.FORMAT_NIR: {"pattern": "^[0-9][0-9AB0-9]{12}[0-9]{2}$", "examples": ["295109912611193"]},
    _F.FORMAT_FINESS: {"pattern": "^[0-9][0-9AB][0-9]{7}$", "examples": ["010780054"]},
    _F.FORMAT_RPPS: {"pattern": "^[0-9]{11}$", "examples": ["10003000048"]},
    _F.FORMAT_DATE: {"format": "date", "examples": ["2026-05-04"]},
    _F.FORMAT_PARTIAL_DATE: {
        "pattern": "^[0-9]{4}(-[0-9]{2}(-[0-9]{2})?)?$",
        "examples": ["1950-03-21", "1950-03", "1950"],
    },
    _F.FORMAT_EMAIL: {"format": "email", "examples": ["prenom.nom@example.org"]},
    _F.FORMAT_PHONE: {
        "pattern": r"^(\+[1-9][0-9]{6,14}|0[1-9]([ .-]?[0-9]{2}){4})$",
        "examples": ["0123456789", "+33123456789"],
    },
    _F.FORMAT_TIME_ZONE: {
        "pattern": "^[A-Z][A-Za-z_]+(/[A-Za-z_+-]+)*$",
        "examples": ["Europe/Paris", "Indian/Reunion"],
    },
    _F.FORMAT_INSEE_CODE: {"pattern": "^([0-9]{2}|2[AB])[0-9]{3}$", "examples": ["75056", "99100"]},
    _F.FORMAT_INS_OID: {
        "enum": [f"1.2.250.1.213.1.4.{leaf}" for leaf in (8, 9, 10, 11)],
        "examples": ["1.2.250.1.213.1.4.10"],
    },
    _F.FORMAT_SLUG: {"pattern": "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", "examples": ["les-tilleuls"]},
    _F.FORMAT_SIREN: {"pattern": "^[0-9]{9}([0-9]{5})?$", "examples": ["732829320"]},
    _F.FORMAT_CIS: {"pattern": "^[0-9]{8}$", "examples": ["60234100"]},
    _F.FORMAT_CIP13: {"pattern": "^3400[0-9]{9}$", "examples": ["3400949497294"]},
    _F.FORMAT_DECIMAL: {
        "pattern": r"^(0|[1-9][0-9]{0,8})(\.[0-9]{1,6})?$",
        "description": "An exact decimal as a text: a point and no comma, at most 9 digits before it and 6 after it.",
        "examples": ["0.5", "1000"],
    },
    _F.FORMAT_TIME_OF_DAY: {
        "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$",
        "description": "A time on the clock of the place, `HH:MM`.",
        "examples": ["08:00", "23:59"],
    },
}


class Schemas:
    """The schemas of the components, collected while operations ask for them."""

    def __init__(self) -> None:
        self.found: dict[str, Schema] = {}

    def shown(self, message: Descriptor) -> Schema:
        """Reference to a message as callers read it."""
        name = message.name
        if self._claim(name):
            properties: Schema = {}
            needed = []
            for field in message.fields:
                properties[field.name] = self._shown_field(field)
                if not field.has_presence:
                    needed.append(field.name)
            self.found[name] = _object(message, properties, needed)
        return _ref(name)

    def sent(self, message: Descriptor) -> Schema:
        """Reference to a message as callers send it."""
        name = f"{message.name}Input"
        if self._claim(name):
            self.found[name] = self._closed(message, frozenset())
        return _ref(name)

    def request(self, message: Descriptor, without: frozenset[str]) -> Schema:
        """Reference to a whole request sent as a body, without the fields that the path holds."""
        name = message.name
        if self._claim(name):
            self.found[name] = self._closed(message, without)
        return _ref(name)

    def patch(self, message: Descriptor) -> Schema:
        """Reference to the merge patch of a message: everything optional, null clears."""
        name = f"{message.name}Patch"
        if self._claim(name):
            properties = {
                field.name: {"anyOf": [self._patched_field(field), {"type": "null"}]}
                for field in message.fields
                if not output_only(field) and field_behavior_pb2.IMMUTABLE not in behaviours(field)
            }
            schema = _object(message, properties, [])
            schema["description"] += " Merge patch (RFC 7396): only what is given changes, null clears."
            self.found[name] = {**schema, "additionalProperties": False, "minProperties": 1}
        return _ref(name)

    def enum(self, enum: EnumDescriptor) -> Schema:
        """Reference to an enum, with its French labels."""
        if self._claim(enum.name):
            words = comments()
            labels = {value.name: _label(value.GetOptions()) for value in enum.values}
            self.found[enum.name] = {
                "type": "string",
                "description": words.get(enum.full_name, "") + " Values may be added.",
                "enum": [value.name for value in enum.values],
                "examples": [enum.values[1].name],
                "x-enum-labels-fr": {name: label for name, label in labels.items() if label},
                "x-enum-descriptions": {
                    value.name: words.get(f"{enum.file.package}.{enum.name}.{value.name}", "") for value in enum.values
                },
            }
        return _ref(enum.name)

    def parameter(self, field: FieldDescriptor) -> Schema:
        """The schema of a field given in the path or the query."""
        return self._sent_field(field)

    def _claim(self, name: str) -> bool:
        if name in self.found:
            return False
        self.found[name] = {}
        return True

    def _closed(self, message: Descriptor, without: frozenset[str]) -> Schema:
        fields = [field for field in message.fields if field.name not in without and not output_only(field)]
        schema = _object(
            message,
            {field.name: self._sent_field(field) for field in fields},
            [field.name for field in fields if required(field)],
        )
        choices = [
            [member.name for member in choice.fields]
            for choice in message.oneofs
            if len(choice.fields) > 1 or choice.fields[0].name != choice.name.removeprefix("_")
        ]
        for names in choices:
            schema.setdefault("allOf", []).extend(
                {"not": {"required": [first, second]}}
                for index, first in enumerate(names)
                for second in names[index + 1 :]
            )
        return {**schema, "additionalProperties": False}

    def _shown_field(self, field: FieldDescriptor) -> Schema:
        if field.enum_type is not None:
            # A newer service may know a value that this document does not: it is shown as its number.
            one: Schema = {"anyOf": [self.enum(field.enum_type), {"type": "integer"}]}
            if _some_accepted(field):
                one["examples"] = accepted_names(field)[:1]
        elif field.message_type is not None:
            one = _instant() if field.message_type.full_name == TIMESTAMP else self.shown(field.message_type)
        else:
            one = _scalar(field)
            look = FORMATS.get(field.GetOptions().Extensions[options_pb2.format], {})
            one |= {name: value for name, value in look.items() if name in {"format", "description", "examples"}}
        schema: Schema = {"type": "array", "items": one} if field.is_repeated else dict(one)
        if output_only(field):
            schema["readOnly"] = True
        return _described(field, schema)

    def _sent_field(self, field: FieldDescriptor) -> Schema:
        one = self._sent_value(field)
        if field.is_repeated:
            limit = field.GetOptions().Extensions[options_pb2.max_items] or DEFAULT_MAX_ITEMS
            schema: Schema = {"type": "array", "items": one, "maxItems": limit}
            if required(field):
                schema["minItems"] = 1
        else:
            schema = dict(one)
        return _described(field, schema)

    def _patched_field(self, field: FieldDescriptor) -> Schema:
        if field.message_type is not None and not field.is_repeated and field.message_type.full_name != TIMESTAMP:
            return self.patch(field.message_type)
        return self._sent_field(field)

    def _sent_value(self, field: FieldDescriptor) -> Schema:
        if field.enum_type is not None:
            schema = self.enum(field.enum_type)
            if _some_accepted(field):
                names, whole = accepted_names(field), self.found[field.enum_type.name]
                labels = {name: whole["x-enum-labels-fr"][name] for name in names}
                unset = [] if required(field) else [field.enum_type.values[0].name]
                return {"type": "string", "enum": unset + names, "examples": names[:1], "x-enum-labels-fr": labels}
            if required(field):
                # The zero value means "not given".
                schema["not"] = {"const": field.enum_type.values[0].name}
            return schema
        if field.message_type is not None:
            return _instant() if field.message_type.full_name == TIMESTAMP else self.sent(field.message_type)
        schema = _scalar(field)
        if field.type == FieldDescriptor.TYPE_STRING:
            options = field.GetOptions().Extensions
            look = FORMATS.get(options[options_pb2.format])
            if look is not None:
                schema.update(look)
            else:
                schema["maxLength"] = options[options_pb2.max_length] or DEFAULT_MAX_LENGTH
                schema["pattern"] = NON_BLANK if required(field) else TEXT
                schema["examples"] = ["texte"[: schema["maxLength"]]]
                if required(field):
                    schema["minLength"] = 1
        elif field.name == "page_size":
            schema |= {"minimum": 1, "maximum": MAX_PAGE_SIZE, "default": DEFAULT_PAGE_SIZE}
        return schema


def _some_accepted(field: FieldDescriptor) -> bool:
    """Whether the field takes fewer values than its enum has."""
    return len(field.GetOptions().Extensions[options_pb2.accepted_categories]) > 0


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _instant() -> Schema:
    return {"type": "string", "format": "date-time", "examples": ["2026-05-04T08:30:00Z"]}


def _scalar(field: FieldDescriptor) -> Schema:
    kind = {
        FieldDescriptor.TYPE_STRING: "string",
        FieldDescriptor.TYPE_BOOL: "boolean",
        FieldDescriptor.TYPE_INT32: "integer",
    }[field.type]
    schema: Schema = {"type": kind}
    if kind == "integer":
        schema["format"] = "int32"
    return schema


def _object(message: Descriptor, properties: Schema, needed: list[str]) -> Schema:
    schema: Schema = {
        "type": "object",
        "description": comments().get(message.full_name, ""),
        "properties": properties,
    }
    if needed:
        schema["required"] = needed
    return schema


def _described(field: FieldDescriptor, schema: Schema) -> Schema:
    words = [comments().get(field.full_name, ""), schema.get("description", "")]
    if any(words):
        schema["description"] = " ".join(filter(None, words))
    if field.GetOptions().Extensions[options_pb2.sensitive]:
        schema["x-dui-sensitive"] = True
    if is_mask(field):
        raise ValueError(f"{field.full_name} is a mask: it is in no document")
    return schema


def _label(options: Any) -> str:
    return str(options.Extensions[options_pb2.label_fr])
