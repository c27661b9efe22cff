"""What the descriptors say, read once: rules of methods, events, categories open to an admission."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import cast

from dui.options.v1 import options_pb2
from google.api import annotations_pb2
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.message import Message

Category = options_pb2.Category
Action = options_pb2.Action
Perimeter = options_pb2.Perimeter

_PARAMETER = re.compile(r"\{([a-z0-9_]+_id)\}")
_CATEGORIES = options_pb2.DESCRIPTOR.enum_types_by_name["Category"]

#: Categories open to the persons who prepare an admission.
ADMISSION_CATEGORIES = frozenset(
    value.number for value in _CATEGORIES.values if value.GetOptions().Extensions[options_pb2.open_to_admission]
)
ALL_CATEGORIES = frozenset(value.number for value in _CATEGORIES.values if value.number)

#: What a call does that changes nothing but the journal, for the guard and for the gateway.
READING = frozenset({Action.ACTION_READ, Action.ACTION_SEARCH})

#: The values that a refusal names, of an enum that has more.
NAMED_VALUES = 20


@dataclass(frozen=True, slots=True)
class Rule:
    """The access rule of one method, from `(dui.options.v1.access)`."""

    operation: str
    category: int
    category_path: tuple[str, ...]
    any_category: bool
    action: int
    perimeter: int
    beneficiary_path: tuple[str, ...]
    facility_path: tuple[str, ...]
    #: The id in the address besides person and facility: an account, an assignment, a note. Empty: none.
    resource_field: str
    #: Where the reply of a change holds the id of what was made: a field and a field of it. Empty: nowhere.
    made_path: tuple[str, ...]
    acr: int
    #: False: a person whose record was opened in an emergency stays out of reach.
    break_glass: bool
    #: The call needs the header `If-Match`, and its method compares the version.
    if_match: bool
    #: The services that may make a system call; empty: every service.
    callers: frozenset[str]
    #: Nothing that is read is about anybody: an allowed call is not journalled.
    impersonal: bool

    @property
    def reads(self) -> bool:
        """True when the call changes nothing but the journal."""
        return self.action in READING


def _enum_of(field: FieldDescriptor) -> EnumDescriptor:
    if field.enum_type is None:
        message = f"{field.full_name} is no enum"
        raise ValueError(message)
    return field.enum_type


def descriptor_of(message: Message) -> Descriptor:
    """The descriptor of a message (the stubs of protobuf know two types for the same thing)."""
    return cast("Descriptor", message.DESCRIPTOR)


def accepted_numbers(field: FieldDescriptor) -> tuple[int, ...]:
    """The values that a field of an enum takes: those that the contract names, or all but zero, which means "not given"."""
    named = tuple(field.GetOptions().Extensions[options_pb2.accepted_categories])
    return named or tuple(value.number for value in _enum_of(field).values if value.number)


def accepted_names(field: FieldDescriptor) -> list[str]:
    """Their names, in the same order."""
    return [_enum_of(field).values_by_number[number].name for number in accepted_numbers(field)]


def accepted_values(field: FieldDescriptor) -> str:
    """The same as a refusal names them: the first ones."""
    names = accepted_names(field)
    return ", ".join(names[:NAMED_VALUES] + ["…"] * (len(names) > NAMED_VALUES))


def rule_of(method: MethodDescriptor) -> Rule:
    """The rule of a method; raises ValueError when it has none or an incomplete one: deny by default."""
    operation = f"{method.containing_service.full_name}/{method.name}"
    options = method.GetOptions()
    if not options.HasExtension(options_pb2.access):
        message = f"{operation} has no (dui.options.v1.access): nobody could call it"
        raise ValueError(message)
    access = options.Extensions[options_pb2.access]
    named = [bool(access.category), bool(access.category_field), access.any_category]
    if sum(named) != 1 or not access.action or not access.perimeter:
        message = f"{operation}: access needs an action, a perimeter and one of category, category_field, any_category"
        raise ValueError(message)
    fields = method.input_type.fields_by_name
    beneficiary = access.beneficiary or "beneficiary_id"
    facility = access.facility or "facility_id"
    if access.perimeter == Perimeter.PERIMETER_BENEFICIARY and beneficiary.split(".")[0] not in fields:
        message = f"{operation}: no field {beneficiary} names the person"
        raise ValueError(message)
    if access.callers and access.perimeter != Perimeter.PERIMETER_SYSTEM:
        message = f"{operation}: callers are services, the perimeter of persons is another"
        raise ValueError(message)
    if access.impersonal and (access.action, access.perimeter) != (Action.ACTION_READ, Perimeter.PERIMETER_ASSOCIATION):
        message = f"{operation}: only what a whole association may read is about nobody"
        raise ValueError(message)
    if access.perimeter == Perimeter.PERIMETER_FACILITY and facility.split(".")[0] not in fields:
        message = f"{operation}: no field {facility} names the facility"
        raise ValueError(message)
    return Rule(
        operation=operation,
        category=access.category,
        category_path=tuple(access.category_field.split(".")) if access.category_field else (),
        any_category=access.any_category,
        action=access.action,
        perimeter=access.perimeter,
        beneficiary_path=tuple(beneficiary.split(".")) if beneficiary.split(".")[0] in fields else (),
        facility_path=tuple(facility.split(".")) if facility.split(".")[0] in fields else (),
        resource_field=_resource_field(method, {beneficiary, facility}),
        made_path=_made_path(method, {beneficiary, facility} & {"beneficiary_id", *fields.keys()}),
        acr=access.acr or 1,
        break_glass=not access.without_break_glass,
        if_match=access.if_match,
        callers=frozenset(access.callers),
        impersonal=access.impersonal,
    )


def label_fr(kind: EnumDescriptor, number: int) -> str:
    """What a French reader sees of a value of an enumeration; empty for "not told" and for an unknown value."""
    value = kind.values_by_number.get(number)
    return value.GetOptions().Extensions[options_pb2.label_fr] if value is not None else ""


@cache
def operation_labels() -> Mapping[str, str]:
    """What a French reader sees of each operation, `dui.records.v1.StayService/CreateStay`: of every service.

    From the descriptor set and not from the pool of descriptors, which has only what the process imported.
    """
    contract = FileDescriptorSet.FromString(files("dui").joinpath("descriptors.binpb").read_bytes())
    return {
        f"{file.package}.{service.name}/{method.name}": method.options.Extensions[options_pb2.operation_label_fr]
        for file in contract.file
        for service in file.service
        for method in service.method
    }


def _resource_field(method: MethodDescriptor, others: set[str]) -> str:
    http = method.GetOptions().Extensions[annotations_pb2.http]
    named = _PARAMETER.findall(str(getattr(http, http.WhichOneof("pattern") or "get")))
    return next((name for name in reversed(named) if name not in others), "")


def _made_path(method: MethodDescriptor, others: set[str]) -> tuple[str, ...]:
    for field in method.output_type.fields:
        name = f"{field.name}_id"
        if field.message_type is not None and name in field.message_type.fields_by_name and name not in others:
            return (field.name, name)
    return ()


def value_at(message: Message, path: tuple[str, ...]) -> str | int:
    """The value of a field path; empty text when the path is empty."""
    value: object = message if path else ""
    for name in path:
        value = getattr(value, name)
    return value if isinstance(value, int) else str(value)


@dataclass(frozen=True, slots=True)
class EventShape:
    """How events of one type are addressed, from `(dui.options.v1.event)`."""

    aggregate: str
    past_tense: str
    id_field: str

    def subject(self, owner: str, tenant_id: str) -> str:
        """Where the owner publishes it for an association: `dui.<owner>.<tenant>.<aggregate>.v1.<past_tense>`."""
        return f"dui.{owner}.{tenant_id}.{self.aggregate}.v1.{self.past_tense}"


@cache
def event_of(descriptor: Descriptor) -> EventShape:
    """The shape of an event type; raises ValueError when the message is not an event."""
    options = descriptor.GetOptions()
    if not options.HasExtension(options_pb2.event):
        message = f"{descriptor.full_name} has no (dui.options.v1.event): it cannot be published"
        raise ValueError(message)
    event = options.Extensions[options_pb2.event]
    return EventShape(event.aggregate, event.past_tense, event.id_field)
