"""The habits of the REST side (AIP standard methods with plain ids), checked on every operation of the contract."""

from __future__ import annotations

import re

import pytest
from dui.options.v1 import options_pb2
from dui_gateway import contract
from dui_gateway.contract import Operation, is_mask, output_only, reachable, required
from google.protobuf.descriptor import Descriptor, FieldDescriptor

OPERATIONS = contract.operations()
VERBS = {"Get": "GET", "List": "GET", "Create": "POST", "Update": "PATCH", "Replace": "PUT", "Delete": "DELETE"}


def named(*prefixes: str) -> list[Operation]:
    """The operations whose name begins so."""
    return [operation for operation in OPERATIONS if operation.name.startswith(prefixes)]


def name_of(operation: Operation) -> str:
    return operation.name


def fields(message: Descriptor) -> dict[str, FieldDescriptor]:
    return dict(message.fields_by_name)


def test_there_is_something_to_check() -> None:
    assert len(OPERATIONS) >= 80


@pytest.mark.parametrize("operation", named(*VERBS), ids=name_of)
def test_a_standard_method_has_its_http_verb(operation: Operation) -> None:
    (verb,) = (verb for prefix, verb in VERBS.items() if operation.name.startswith(prefix))
    assert operation.verb == verb


@pytest.mark.parametrize("operation", [one for one in OPERATIONS if ":" in one.path], ids=name_of)
def test_a_custom_verb_is_a_post_with_a_whole_body(operation: Operation) -> None:
    assert (operation.verb, operation.body) == ("POST", "*")
    assert re.fullmatch(r"/v1/[a-z0-9_/{}]+:[a-z][A-Za-z]+", operation.path)


@pytest.mark.parametrize("operation", OPERATIONS, ids=name_of)
def test_an_address_is_made_of_snake_case_words_and_ids(operation: Operation) -> None:
    assert re.fullmatch(r"/v1(/([a-z][a-z0-9_]*|\{[a-z][a-z0-9_]*\}))+(:[a-z][A-Za-z]+)?", operation.path)


@pytest.mark.parametrize("operation", named("List", "Search"), ids=name_of)
def test_a_list_is_paged_unless_it_is_short_by_nature(operation: Operation) -> None:
    request, response = fields(operation.method.input_type), fields(operation.method.output_type)
    assert sum(field.is_repeated for field in response.values()) == 1
    if operation.name == "ListDuplicateCandidates":  # at most 20, the likeliest first
        assert "page_token" not in request
        return
    assert request["page_size"].type == FieldDescriptor.TYPE_INT32
    assert request["page_token"].type == FieldDescriptor.TYPE_STRING
    assert response["next_page_token"].type == FieldDescriptor.TYPE_STRING


@pytest.mark.parametrize("operation", named("Update"), ids=name_of)
def test_an_update_has_a_mask_and_a_resource_with_a_version(operation: Operation) -> None:
    request = fields(operation.method.input_type)
    assert is_mask(request["update_mask"])
    resource = request[operation.body]
    assert required(resource)
    assert resource.message_type is not None
    etag = resource.message_type.fields_by_name["etag"]
    assert output_only(etag)
    assert operation.response_body == operation.body
    assert operation.method.output_type.fields_by_name[operation.response_body].message_type is resource.message_type


@pytest.mark.parametrize("operation", named("Get", "Create"), ids=name_of)
def test_a_resource_that_can_be_changed_shows_its_version(operation: Operation) -> None:
    changed = {update.body_type for update in named("Update", "Replace")}
    shown = next(
        (
            field.message_type
            for field in operation.method.output_type.fields
            if not field.is_repeated and field.message_type in changed
        ),
        None,
    )
    if shown is not None and operation.name != "GetMyAccount":
        assert operation.resource


@pytest.mark.parametrize("operation", OPERATIONS, ids=name_of)
def test_what_stands_in_the_path_is_required_and_an_id_or_a_code_that_is_checked(operation: Operation) -> None:
    codes = {"cis": options_pb2.FORMAT_CIS, "cip13": options_pb2.FORMAT_CIP13}
    for name in operation.parameters:
        field = operation.method.input_type.fields_by_name[name]
        assert required(field)
        if field.enum_type is None:
            assert name.endswith("_id") or name in codes
            assert field.GetOptions().Extensions[options_pb2.format] == codes.get(name, options_pb2.FORMAT_UUID)


@pytest.mark.parametrize("operation", OPERATIONS, ids=name_of)
def test_every_operation_is_ruled_and_none_is_for_services(operation: Operation) -> None:
    assert operation.access.perimeter not in (options_pb2.PERIMETER_UNSPECIFIED, options_pb2.PERIMETER_SYSTEM)
    assert operation.access.action != options_pb2.ACTION_UNSPECIFIED


@pytest.mark.parametrize("operation", OPERATIONS, ids=name_of)
def test_a_get_only_reads_and_what_only_reads_is_a_get_or_a_custom_verb(operation: Operation) -> None:
    # The journal, the limits and repeated calls go by the action, the caller by the verb: they must tell the same.
    assert operation.reads if operation.is_get else (not operation.reads or ":" in operation.path)


@pytest.mark.parametrize("operation", OPERATIONS, ids=name_of)
def test_a_resource_is_named_by_one_id_that_only_the_platform_sets(operation: Operation) -> None:
    kind = operation.body_type
    if operation.name.startswith("Create") and kind is not None:
        first = kind.fields[0]
        assert first.name.endswith("_id")
        assert output_only(first)


@pytest.mark.parametrize("name", sorted(contract.rest_messages()))
def test_an_enum_begins_with_a_zero_that_means_nothing(name: str) -> None:
    for message in reachable(contract.rest_messages()[name]):
        for field in message.fields:
            if field.enum_type is not None:
                assert field.enum_type.values[0].number == 0
                assert field.enum_type.values[0].name.endswith("_UNSPECIFIED")
                assert len(field.enum_type.values) > 1


@pytest.mark.parametrize("operation", OPERATIONS, ids=name_of)
def test_no_personal_value_travels_in_the_address(operation: Operation) -> None:
    # Addresses end in the logs of every proxy on the way.
    for field in (
        *operation.query,
        *(operation.method.input_type.fields_by_name[name] for name in operation.parameters),
    ):
        assert not field.GetOptions().Extensions[options_pb2.sensitive], field.full_name
