"""The contract keeps its promises: every call has a rule and one answerer, every event an order and nothing personal."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections import Counter
from collections.abc import Iterator
from enum import IntEnum
from typing import Any

import contract_files
import pytest
from dui.options.v1 import options_pb2
from dui_gateway.contract import comments
from dui_kit.calls.patch import behaviours
from dui_kit.settings import ServiceSettings
from dui_kit.wire.contract import Perimeter, accepted_names, event_of, rule_of
from dui_local.services import SERVICES
from google.api import annotations_pb2, field_behavior_pb2
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor, ServiceDescriptor

METHODS = [method for service in contract_files.services() for method in service.methods]
PUBLIC = [method for method in METHODS if method.GetOptions().HasExtension(annotations_pb2.http)]
EVENTS = contract_files.events()


def _composition(name: str) -> Any:
    return importlib.import_module(f"dui_{name}.app")


def _answered(name: str) -> list[str]:
    """Full names of the gRPC services that a service package answers."""
    service = _composition(name).build()
    return [servicer.CONTRACT.full_name for servicer in service.servicers]


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.full_name)
def test_every_call_has_a_complete_access_rule(method: MethodDescriptor) -> None:
    rule = rule_of(method)
    assert 1 <= rule.acr <= 2
    for path in (rule.beneficiary_path, rule.facility_path, rule.category_path):
        _walk(method.input_type, path)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.full_name)
def test_a_call_of_services_has_no_public_address_and_every_other_has_one(method: MethodDescriptor) -> None:
    public = method.GetOptions().HasExtension(annotations_pb2.http)
    assert public == (rule_of(method).perimeter != Perimeter.PERIMETER_SYSTEM)


@pytest.mark.parametrize("method", PUBLIC, ids=lambda method: method.full_name)
def test_nothing_personal_travels_in_an_address(method: MethodDescriptor) -> None:
    """Addresses end up in logs of proxies and in histories of browsers."""
    http = method.GetOptions().Extensions[annotations_pb2.http]
    in_body = {field.name for field in method.input_type.fields} if http.body == "*" else {http.body}
    in_address = [field for field in method.input_type.fields if field.name not in in_body]
    assert [field.name for field in in_address if _sensitive(field)] == []


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.full_name)
def test_every_id_of_a_request_is_checked_before_it_reaches_a_database(method: MethodDescriptor) -> None:
    """PostgreSQL answers a text that is no UUID with an error of its own, which would be an internal error to the caller."""
    assert [field.full_name for field in _given(method.input_type) if _is_id(field) and not _is_uuid(field)] == []


def _given(message: Descriptor) -> Iterator[FieldDescriptor]:
    """What callers may send in a message, below it too."""
    for field in message.fields:
        if field_behavior_pb2.OUTPUT_ONLY in behaviours(field):
            continue
        yield field
        if field.message_type is not None and field.message_type.full_name.startswith("dui."):
            yield from _given(field.message_type)


def _is_id(field: FieldDescriptor) -> bool:
    return field.type == FieldDescriptor.TYPE_STRING and field.name.endswith(("_id", "_ids"))


def _is_uuid(field: FieldDescriptor) -> bool:
    return bool(field.GetOptions().Extensions[options_pb2.format] == options_pb2.FORMAT_UUID)


def test_every_service_of_the_contract_is_answered_by_exactly_one_package() -> None:
    answered = Counter(full_name for name in SERVICES for full_name in _answered(name))
    assert answered == Counter(service.full_name for service in contract_files.services())


@pytest.mark.parametrize("name", SERVICES)
def test_every_rpc_of_a_service_has_a_method(name: str) -> None:
    """Building the table of methods fails for one without a rule or without an answer."""
    service = _composition(name).build()
    assert issubclass(type(service.settings), ServiceSettings)
    expected = {
        f"{servicer.CONTRACT.full_name}/{method.name}"
        for servicer in service.servicers
        for method in servicer.CONTRACT.methods
    }
    assert set(service.methods()) == expected


@pytest.mark.parametrize("service", contract_files.services(), ids=lambda service: service.full_name)
def test_requests_and_responses_belong_to_one_call(service: ServiceDescriptor) -> None:
    for method in service.methods:
        assert method.input_type.name == f"{method.name}Request"
        assert method.output_type.name == f"{method.name}Response"
        assert not method.client_streaming
        assert not method.server_streaming


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.full_name)
def test_every_event_has_a_version_and_the_id_that_its_order_is_kept_by(event: Descriptor) -> None:
    shape = event_of(event)
    version, identifier = event.fields_by_name["version"], event.fields_by_name[shape.id_field]
    assert version.type == FieldDescriptor.TYPE_INT32
    assert identifier.type == FieldDescriptor.TYPE_STRING
    for part in (shape.aggregate, shape.past_tense):
        # A dot, a space or a wildcard in it would make another subject.
        assert part.isidentifier()
        assert part == part.lower()


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.full_name)
def test_no_event_carries_anything_personal(event: Descriptor) -> None:
    assert [field.full_name for field in _reachable(event) if _sensitive(field)] == []


@pytest.mark.parametrize(
    "method", [each for each in PUBLIC if rule_of(each).impersonal], ids=lambda each: each.full_name
)
def test_what_is_about_nobody_has_nothing_personal_and_names_nobody(method: MethodDescriptor) -> None:
    """Such a call leaves no entry in the journal."""
    fields = [*_reachable(method.input_type), *_reachable(method.output_type)]
    named = {"beneficiary_id", "account_id", "professional_id", "stay_id"}
    assert [field.full_name for field in fields if _sensitive(field) or field.name in named] == []


def test_no_two_events_share_a_subject() -> None:
    shapes = Counter((event.file.package, event_of(event).aggregate, event_of(event).past_tense) for event in EVENTS)
    assert [shape for shape, count in shapes.items() if count > 1] == []


def test_json_can_carry_every_public_message() -> None:
    """No 64-bit integers (a JavaScript number cannot hold them) and no maps in what the gateway shows."""
    fields = {
        field.full_name: field
        for method in PUBLIC
        for kind in (method.input_type, method.output_type)
        for field in _reachable(kind)
    }
    wide = {FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64}
    own = {name: field for name, field in fields.items() if name.startswith("dui.")}
    assert [name for name, field in own.items() if field.cpp_type in wide] == []
    assert [
        name for name, field in own.items() if field.message_type and field.message_type.GetOptions().map_entry
    ] == []


def _walk(message: Descriptor, path: tuple[str, ...]) -> None:
    """Fails when a path of the rule names a field that the request does not have."""
    current: Descriptor | None = message
    for name in path:
        assert current is not None
        field = current.fields_by_name[name]
        current = field.message_type


def _sensitive(field: FieldDescriptor) -> bool:
    return bool(field.GetOptions().Extensions[options_pb2.sensitive])


def _reachable(message: Descriptor) -> list[FieldDescriptor]:
    """Every field of a message and of the messages in it."""
    found: list[FieldDescriptor] = []
    seen: set[str] = set()
    waiting = [message]
    while waiting:
        current = waiting.pop()
        if current.full_name in seen:
            continue
        seen.add(current.full_name)
        found.extend(current.fields)
        waiting.extend(field.message_type for field in current.fields if field.message_type is not None)
    return found


#: An enum of a rule whose docstring says which enum of the contract it repeats: rules do not import the contract.
_REPEATS = re.compile(r"`(dui\.[a-z]+\.v1\.[A-Za-z]+)`")


def _repeated() -> Iterator[tuple[type[IntEnum], str]]:
    for service in SERVICES:
        package = importlib.import_module(f"dui_{service}")
        for module in pkgutil.walk_packages(package.__path__, f"dui_{service}."):
            if module.name.endswith(".rules"):
                for value in vars(importlib.import_module(module.name)).values():
                    if isinstance(value, type) and issubclass(value, IntEnum) and value.__module__ == module.name:
                        named = _REPEATS.search(value.__doc__ or "")
                        if named:
                            yield value, named[1]


@pytest.mark.parametrize(("own", "name"), list(_repeated()), ids=lambda each: getattr(each, "__name__", each))
def test_what_rules_repeat_of_the_contract_is_what_it_says(own: type[IntEnum], name: str) -> None:
    known = descriptor_pool.Default().FindEnumTypeByName(name)
    prefix = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", known.name).upper() + "_"
    expected = {value.name.removeprefix(prefix): value.number for value in known.values if value.number}
    assert {member.name: member.value for member in own if member.value} == expected


@pytest.mark.parametrize("name", ["HandoverNote", "HandoverNoteDraft"])
def test_a_handover_note_is_of_a_kind_that_somebody_reads(name: str) -> None:
    field = descriptor_pool.Default().FindMessageTypeByName(f"dui.records.v1.{name}").fields_by_name["category"]
    kinds = {"SOCIAL", "MEDICAL", "NURSING", "PARAMEDICAL", "PSYCHOLOGICAL", "EDUCATIONAL"}
    assert set(accepted_names(field)) == {f"CATEGORY_{kind}" for kind in kinds}


@pytest.mark.parametrize("message", contract_files.messages(), ids=lambda message: message.full_name)
def test_every_field_says_in_a_sentence_what_it_is(message: Descriptor) -> None:
    """The comment is all that a client developer reads of it: one word beside the name teaches nothing."""
    said = comments()
    assert [field.name for field in message.fields if len(said.get(field.full_name, "").split()) < 3] == []
