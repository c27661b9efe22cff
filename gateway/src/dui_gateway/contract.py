"""The contract as the gateway reads it: the operations that `google.api.http` puts on REST, their rules and words.

Everything else here (routes, JSON, OpenAPI) is derived from this. A contract that cannot be served is refused at
start-up, never at a call.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.resources import files
from mimetypes import MimeTypes

from dui.options.v1 import options_pb2
from dui_kit.wire.contract import READING
from google.api import annotations_pb2, field_behavior_pb2, http_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

TIMESTAMP = "google.protobuf.Timestamp"
FIELD_MASK = "google.protobuf.FieldMask"
#: A file: its bytes go out as they are, under its media type, never in JSON.
HTTP_BODY = "google.api.HttpBody"

_PARAMETER = re.compile(r"\{([a-z_][a-z0-9_]*)\}")
_MEDIA_TYPE = re.compile(r"[a-z]+/[a-z0-9][a-z0-9.+-]*")
# Those of Python itself: what a machine knows beside them would change the document with the machine.
_EXTENSIONS = MimeTypes(filenames=())
# 64-bit integers lose digits in JavaScript, floats lose decimals, maps have no order and no comment: none on REST.
_SCALARS = frozenset(
    {
        FieldDescriptor.TYPE_STRING,
        FieldDescriptor.TYPE_BOOL,
        FieldDescriptor.TYPE_INT32,
        FieldDescriptor.TYPE_ENUM,
        FieldDescriptor.TYPE_MESSAGE,
    }
)


class ContractError(Exception):
    """The contract asks for something that the gateway does not serve."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One RPC on REST."""

    method: MethodDescriptor
    verb: str
    path: str
    body: str
    response_body: str
    #: The media type of an answer that is a file; empty: the answer is JSON.
    content_type: str
    access: options_pb2.Access
    request: type[Message]
    response: type[Message]

    @property
    def name(self) -> str:
        """`CreateBeneficiary`."""
        return self.method.name

    @property
    def rpc(self) -> str:
        """`/dui.records.v1.BeneficiaryService/CreateBeneficiary`."""
        return f"/{self.method.containing_service.full_name}/{self.method.name}"

    @property
    def service(self) -> str:
        """The deployable that answers: `records`."""
        return str(self.method.containing_service.file.package).split(".")[1]

    @property
    def parameters(self) -> tuple[str, ...]:
        """Request fields bound in the path."""
        return tuple(_PARAMETER.findall(self.path))

    @property
    def body_type(self) -> Descriptor | None:
        """The message that the body fills, one field of the request; None when it is the whole request or nothing."""
        return self.method.input_type.fields_by_name[self.body].message_type if self.body not in ("", "*") else None

    @property
    def query(self) -> tuple[FieldDescriptor, ...]:
        """Request fields given in the query: those that neither the path nor the body holds."""
        if self.body == "*":
            return ()
        return tuple(
            field
            for field in self.method.input_type.fields
            if field.name not in self.parameters and field.name != self.body and not is_mask(field)
        )

    @property
    def reads(self) -> bool:
        """Whether the call changes nothing but the journal, as its service decides it too."""
        return self.access.action in READING

    @property
    def is_get(self) -> bool:
        """Whether it is sent as what it is: a search reads, but is a POST, for names travel in no address."""
        return self.verb == "GET"

    @property
    def success(self) -> int:
        """The status of success: 201 when something new has an address."""
        return 201 if self.verb == "POST" and self.name.startswith("Create") else 200

    @property
    def result(self) -> Descriptor:
        """The message that the answer's JSON shows, or the file."""
        output: Descriptor = self.method.output_type
        shown = output.fields_by_name[self.response_body].message_type if self.response_body else None
        return shown or output

    @property
    def filename(self) -> str:
        """What a file is called when it is saved, `document.pdf`: by the address without its ids, so it tells of nobody."""
        head, _, verb = self.path.partition(":")
        word = verb or [segment for segment in head.split("/") if segment and not segment.startswith("{")][-1]
        return word + (_EXTENSIONS.guess_extension(self.content_type) or "")

    @property
    def resource(self) -> str:
        """Name of the response field that holds the resource and so its `etag`; empty when the answer has none."""
        name = self.response_body or self.body
        field = self.method.output_type.fields_by_name.get(name)
        if field is None or field.message_type is None or field.is_repeated:
            return ""
        return name if "etag" in field.message_type.fields_by_name else ""

    def location(self, others: tuple[Operation, ...]) -> str:
        """The path template of the operation that reads what this one creates; empty when there is none."""
        created = self.method.output_type.fields_by_name.get(self.resource)
        if self.success != 201 or created is None or created.message_type is None:
            return ""
        known = {*self.parameters, *created.message_type.fields_by_name}
        for other in others:
            if (
                other.is_get
                and other.response_body
                and other.result is created.message_type
                and known.issuperset(other.parameters)
            ):
                return other.path
        return ""


def is_mask(field: FieldDescriptor) -> bool:
    """Whether a field is the mask of an update: the gateway fills it, no caller does."""
    return field.message_type is not None and field.message_type.full_name == FIELD_MASK


def behaviours(field: FieldDescriptor) -> frozenset[int]:
    """The `google.api.field_behavior` of a field."""
    return frozenset(field.GetOptions().Extensions[field_behavior_pb2.field_behavior])


def output_only(field: FieldDescriptor) -> bool:
    """Whether only the platform sets the field."""
    return field_behavior_pb2.OUTPUT_ONLY in behaviours(field)


def required(field: FieldDescriptor) -> bool:
    """Whether a request must hold the field."""
    return field_behavior_pb2.REQUIRED in behaviours(field)


@cache
def descriptor_set() -> FileDescriptorSet:
    """The descriptor set with comments, as generated beside the modules."""
    # The options must be known before they are parsed, or they would stay unknown fields.
    return FileDescriptorSet.FromString(files("dui").joinpath("descriptors.binpb").read_bytes())


@cache
def operations() -> tuple[Operation, ...]:
    """Every operation on REST, in the order of the contract. Raises `ContractError`."""
    found = [
        operation
        for file in descriptor_set().file
        if file.name.startswith("dui/")
        for operation in _operations_of(file)
    ]
    seen: dict[tuple[str, str], str] = {}
    for operation in found:
        check(operation)
        address = (operation.verb, _PARAMETER.sub("{}", operation.path))
        if address in seen:
            raise ContractError(f"{operation.rpc} and {seen[address]} have the same address")
        seen[address] = operation.rpc
    return tuple(found)


def _operations_of(file: FileDescriptorProto) -> Iterator[Operation]:
    module = import_module(file.name.removesuffix(".proto").replace("/", ".") + "_pb2")
    for service in module.DESCRIPTOR.services_by_name.values():
        for method in service.methods:
            if method.GetOptions().HasExtension(annotations_pb2.http):
                yield operation_of(method)


def operation_of(method: MethodDescriptor) -> Operation:
    """The operation that a method with a `google.api.http` is on REST. Raises `ContractError`."""
    options = method.GetOptions()
    http: http_pb2.HttpRule = options.Extensions[annotations_pb2.http]
    verb = http.WhichOneof("pattern")
    if verb is None or verb == "custom" or http.additional_bindings:
        raise ContractError(f"{method.full_name}: one plain binding, please")
    return Operation(
        method=method,
        verb=verb.upper(),
        path=getattr(http, verb),
        body=http.body,
        response_body=http.response_body,
        content_type=options.Extensions[options_pb2.content_type],
        access=options.Extensions[options_pb2.access],
        request=GetMessageClass(method.input_type),
        response=GetMessageClass(method.output_type),
    )


def check(operation: Operation) -> None:
    """Refuses, with a `ContractError`, an operation that REST cannot serve."""

    def fail(why: str) -> ContractError:
        return ContractError(f"{operation.rpc}: {why}")

    perimeter = operation.access.perimeter
    if not perimeter:
        raise fail("no access rule")
    if perimeter == options_pb2.PERIMETER_SYSTEM:
        raise fail("for services only, so it has no place on REST")
    fields = operation.method.input_type.fields_by_name
    for name in operation.parameters:
        field = fields.get(name)
        if (
            field is None
            or field.is_repeated
            or field.type not in (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_ENUM)
        ):
            raise fail(f"path parameter {name} is not a text or an enum of the request")
    if operation.body not in ("", "*") and (operation.body not in fields or operation.body_type is None):
        raise fail(f"the body {operation.body} is not a message")
    if operation.is_get and operation.body:
        raise fail("a GET has no body")
    for field in operation.query:
        if field.message_type is not None and field.message_type.full_name != TIMESTAMP:
            raise fail(f"query parameter {field.name} is a message")
    result = operation.method.output_type.fields_by_name.get(operation.response_body)
    if operation.response_body and (result is None or result.message_type is None or result.is_repeated):
        raise fail(f"the response body {operation.response_body} is not a message")
    if operation.verb == "PATCH" and not any(is_mask(field) for field in fields.values()):
        raise fail("an update needs an update_mask")
    if (operation.result.full_name == HTTP_BODY) != bool(operation.content_type):
        raise fail("a file and its content_type need each other")
    if operation.content_type and not _MEDIA_TYPE.fullmatch(operation.content_type):
        raise fail(f"{operation.content_type} is no media type")
    for root in _in_json(operation):
        for message in reachable(root):
            for field in message.fields:
                if field.type not in _SCALARS or _is_map(field) or _is_file(field):
                    raise fail(f"{message.full_name}.{field.name} has a type that JSON clients cannot rely on")


def _in_json(operation: Operation) -> tuple[Descriptor, ...]:
    """The messages that travel as JSON: beside a file, nothing of the response does."""
    sent: Descriptor = operation.method.input_type
    return (sent,) if operation.content_type else (sent, operation.method.output_type)


def _is_file(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.full_name == HTTP_BODY


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def reachable(root: Descriptor) -> Iterator[Descriptor]:
    """`root` and every message type in it, each once; well-known types are leaves. Raises `ContractError` when a
    message holds itself: JSON must have a known depth."""
    done: set[str] = set()

    def visit(message: Descriptor, above: tuple[str, ...]) -> Iterator[Descriptor]:
        if message.full_name in above:
            raise ContractError(f"{message.full_name} holds itself")
        if message.full_name in done:
            return
        done.add(message.full_name)
        yield message
        for field in message.fields:
            if field.message_type is not None and not field.message_type.full_name.startswith("google."):
                yield from visit(field.message_type, (*above, message.full_name))

    yield from visit(root, ())


def rest_messages() -> Mapping[str, Descriptor]:
    """Every message type that REST shows or takes, by full name."""
    return {
        message.full_name: message
        for operation in operations()
        for root in _in_json(operation)
        for message in reachable(root)
    }


@cache
def comments() -> Mapping[str, str]:
    """The leading comment of every service, method, message, field, enum and enum value, by full name."""
    found: dict[str, str] = {}
    for file in descriptor_set().file:
        if not file.name.startswith("dui/"):
            continue
        names = dict(_paths(file))
        for location in file.source_code_info.location:
            name = names.get(tuple(location.path))
            if name and location.leading_comments:
                lines = (line.strip() for line in location.leading_comments.strip().splitlines())
                found[name] = " ".join(line for line in lines if line)
    return found


def _paths(file: FileDescriptorProto) -> Iterator[tuple[tuple[int, ...], str]]:
    """Path of each element in the file (descriptor.proto, SourceCodeInfo) and its full name."""
    for i, message in enumerate(file.message_type):
        yield (4, i), f"{file.package}.{message.name}"
        for j, field in enumerate(message.field):
            yield (4, i, 2, j), f"{file.package}.{message.name}.{field.name}"
    for i, enum in enumerate(file.enum_type):
        yield (5, i), f"{file.package}.{enum.name}"
        for j, value in enumerate(enum.value):
            yield (5, i, 2, j), f"{file.package}.{enum.name}.{value.name}"
    for i, service in enumerate(file.service):
        yield (6, i), f"{file.package}.{service.name}"
        for j, method in enumerate(service.method):
            yield (6, i, 2, j), f"{file.package}.{service.name}.{method.name}"


def service_names() -> list[str]:
    """The deployables that answer on REST, in a fixed order: `identity`, `records`."""
    return sorted({operation.service for operation in operations()})
