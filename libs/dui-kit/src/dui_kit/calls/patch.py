"""Merge patches: which fields change, and the entry after the change."""

from __future__ import annotations

from typing import TypeVar

from google.api import field_behavior_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from dui_kit.errors import Refusal
from dui_kit.wire.contract import descriptor_of
from dui_kit.wire.texts import FIELD_IMMUTABLE, FIELD_READ_ONLY, FIELD_REQUIRED, FIELD_UNKNOWN

M = TypeVar("M", bound=Message)


def behaviours(field: FieldDescriptor) -> frozenset[int]:
    """The `google.api.field_behavior` values of a field."""
    return frozenset(field.GetOptions().Extensions[field_behavior_pb2.field_behavior])


def apply_mask(current: M, patch: M, mask: FieldMask, *, prefix: str) -> M:
    """A copy of `current` with the fields of `mask` taken from `patch`; a masked field that the patch does not have is
    cleared. Refusal when the mask is empty, unknown, read-only or immutable; `prefix` names the resource in it.
    """
    if not mask.paths:
        raise Refusal(FIELD_REQUIRED, field=prefix)
    result = type(current)()
    result.CopyFrom(current)
    for path in mask.paths:
        _take(result, patch, path.split("."), f"{prefix}.{path}")
    return result


def _take(target: Message, source: Message, names: list[str], path: str) -> None:
    field = descriptor_of(target).fields_by_name.get(names[0])
    if field is None:
        raise Refusal(FIELD_UNKNOWN, field=path)
    kinds = behaviours(field)
    if field_behavior_pb2.OUTPUT_ONLY in kinds:
        raise Refusal(FIELD_READ_ONLY, field=path)
    value = getattr(source, field.name)
    if len(names) > 1:
        if field.message_type is None or field.is_repeated:
            raise Refusal(FIELD_UNKNOWN, field=path)
        _take(getattr(target, field.name), value, names[1:], path)
        return
    if field_behavior_pb2.IMMUTABLE in kinds and value != getattr(target, field.name):
        raise Refusal(FIELD_IMMUTABLE, field=path)
    target.ClearField(field.name)
    if field.is_repeated:
        getattr(target, field.name).extend(value)
    elif field.has_presence and not source.HasField(field.name):
        return
    elif field.message_type is not None:
        getattr(target, field.name).CopyFrom(value)
    else:
        setattr(target, field.name, value)
