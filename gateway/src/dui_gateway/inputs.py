"""From an HTTP request to the request message: path, query and body, each as the contract binds it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson
from dui_kit.errors import Refusal
from flask import Request
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from dui_gateway import texts
from dui_gateway.codec.decode import (
    Convert,
    Faults,
    decoder,
    enum_converter,
    patcher,
    path_to,
    text_converter,
    timestamp_converter,
)
from dui_gateway.codec.duplicates import has_duplicates, path_of_duplicate
from dui_gateway.contract import Operation, is_mask, reachable

_INTEGER = re.compile(r"-?[0-9]{1,10}")
_JSON = frozenset({"application/json"})
_PATCH = frozenset({"application/json", "application/merge-patch+json"})

# Reads the body into constructor arguments of the request.
ReadBody = Callable[[bytes, dict[str, Any], Faults], None]


class Inputs:
    """How one operation reads its request. Made once."""

    def __init__(self, operation: Operation, *, max_depth: int) -> None:
        fields = operation.method.input_type.fields_by_name
        self._request = operation.request
        self._path: Mapping[str, Convert] = {name: _from_text(fields[name]) for name in operation.parameters}
        self._query = {field.name: (field, _from_text(field)) for field in operation.query}
        self._media = _PATCH if operation.verb == "PATCH" else _JSON
        self._max_depth = max_depth
        root = operation.body_type or operation.method.input_type
        self._names = frozenset(field.name for message in reachable(root) for field in message.fields)
        self._body = self._body_reader(operation)

    def read(self, request: Request, parameters: Mapping[str, str], raw: bytes) -> Message:
        """The request message; `raw` is the body. Raises `Refusal` with every fault found."""
        faults = Faults()
        values: dict[str, Any] = {}
        for name, convert in self._path.items():
            values[name] = convert(parameters[name], name, faults)
        if request.query_string:
            self._read_query(request.args.lists(), values, faults)
        if self._body is not None:
            if raw:
                check_media_type(request, self._media)
            self._body(raw, values, faults)
        if faults.found:
            raise Refusal.of(tuple(faults.found))
        return self._request(**values)

    def _read_query(self, given: Iterable[tuple[str, list[str]]], values: dict[str, Any], faults: Faults) -> None:
        for name, texts_given in given:
            known = self._query.get(name)
            if known is None:
                faults.add(texts.PARAMETER_UNKNOWN, path_to("", name))
                continue
            field, convert = known
            if field.is_repeated:
                values[name] = [convert(text, f"{name}[{n}]", faults) for n, text in enumerate(texts_given)]
            elif len(texts_given) > 1:
                faults.add(texts.PARAMETER_REPEATED, name)
            else:
                values[name] = convert(texts_given[0], name, faults)

    def _body_reader(self, operation: Operation) -> ReadBody | None:
        if not operation.body:
            return None
        name, kind = operation.body, operation.body_type
        if kind is None:
            whole = decoder(operation.method.input_type, without=frozenset(operation.parameters))

            def read_whole(raw: bytes, values: dict[str, Any], faults: Faults) -> None:
                # Every field may be in the path: then there is nothing to send.
                if raw:
                    values.update(whole(self._parse(raw), "", faults))

            return read_whole
        if operation.verb == "PATCH":
            patch = patcher(kind)
            (mask,) = (field.name for field in operation.method.input_type.fields if is_mask(field))

            def read_patch(raw: bytes, values: dict[str, Any], faults: Faults) -> None:
                found = patch(self._parse(raw), faults)
                values[name] = found.values
                values[mask] = {"paths": found.paths}

            return read_patch
        one = decoder(kind)

        def read_field(raw: bytes, values: dict[str, Any], faults: Faults) -> None:
            values[name] = one(self._parse(raw), "", faults)

        return read_field

    def _parse(self, raw: bytes) -> Any:
        if not raw:
            raise Refusal(texts.BODY_REQUIRED)
        try:
            document = orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            # The parser's own limit is far above ours.
            deep = "depth limit" in str(error)
            reason = Refusal(texts.JSON_TOO_DEEP, limit=self._max_depth) if deep else Refusal(texts.JSON_INVALID)
            raise reason from None
        # Brackets inside texts count too, so this only tells when to look closer.
        if raw.count(b"[") + raw.count(b"{") > self._max_depth and depth(document) > self._max_depth:
            raise Refusal(texts.JSON_TOO_DEEP, limit=self._max_depth)
        if type(document) is not dict:
            raise Refusal(texts.BODY_REQUIRED)
        if has_duplicates(raw, document):
            raise Refusal(texts.DUPLICATE_KEY, field=path_of_duplicate(raw, self._names))
        return document


def depth(document: Any) -> int:
    """Levels of objects and lists, without recursion."""
    level, layer = 0, [document]
    while layer := [item for item in layer if type(item) in (dict, list)]:
        level += 1
        layer = [below for item in layer for below in (item.values() if type(item) is dict else item)]
    return level


def check_media_type(request: Request, accepted: frozenset[str]) -> None:
    """Refuses a body that is not JSON in UTF-8, as it is (a compressed one grows without a bound that was agreed on)."""
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Refusal(texts.CONTENT_ENCODING_UNSUPPORTED)
    if request.mimetype not in accepted or request.mimetype_params.get("charset", "utf-8").lower() != "utf-8":
        raise Refusal(texts.MEDIA_TYPE_UNSUPPORTED)


def _from_text(field: FieldDescriptor) -> Convert:
    """Reads a value of the path or the query."""
    if field.enum_type is not None:
        return enum_converter(field, field.enum_type)
    if field.message_type is not None:
        return timestamp_converter
    return {
        FieldDescriptor.TYPE_STRING: text_converter,
        FieldDescriptor.TYPE_BOOL: _bool,
        FieldDescriptor.TYPE_INT32: _int32,
    }[field.type]


def _bool(value: str, path: str, faults: Faults) -> bool | None:
    found = {"true": True, "false": False}.get(value)
    if found is None:
        faults.add(texts.WRONG_TYPE, path, **texts.TYPES["boolean"])
    return found


def _int32(value: str, path: str, faults: Faults) -> int | None:
    if not _INTEGER.fullmatch(value) or not -(2**31) <= int(value) < 2**31:
        faults.add(texts.WRONG_TYPE, path, **texts.TYPES["integer"])
        return None
    return int(value)
