"""The compiled JSON codec against protobuf's own, on random messages of every type that REST shows or takes."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from dui.identity.v1 import organisation_pb2, staff_pb2
from dui.records.v1 import beneficiaries_pb2, drafts_pb2, stays_pb2
from dui_gateway import contract
from dui_gateway.codec import decoder, encoder, patcher
from dui_gateway.codec.decode import MAX_VIOLATIONS, Faults
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

NAMES = sorted(contract.rest_messages())

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
timestamps = st.builds(
    Timestamp,
    seconds=st.integers(-62_135_596_800, 253_402_300_799),
    nanos=st.one_of(st.just(0), st.integers(0, 999).map(lambda n: n * 1_000_000), st.integers(0, 999_999_999)),
)


def single(field: FieldDescriptor, *, unknown_enums: bool) -> st.SearchStrategy[Any]:
    if field.enum_type is not None:
        known = st.sampled_from([value.number for value in field.enum_type.values])
        return st.one_of(known, st.integers(1000, 2000)) if unknown_enums else known
    if field.message_type is not None:
        if field.message_type.full_name == contract.TIMESTAMP:
            return timestamps
        return messages(field.message_type, unknown_enums=unknown_enums)
    return {
        FieldDescriptor.TYPE_STRING: texts,
        FieldDescriptor.TYPE_BOOL: st.booleans(),
        FieldDescriptor.TYPE_INT32: st.integers(-(2**31), 2**31 - 1),
    }[field.type]


def messages(descriptor: Descriptor, *, unknown_enums: bool = False, writable: bool = False) -> st.SearchStrategy[Any]:
    """Messages of one type; `writable`: without what only the platform sets."""
    given_: dict[str, st.SearchStrategy[Any]] = {}
    for field in descriptor.fields:
        if contract.is_mask(field) or (writable and contract.output_only(field)):
            continue
        if field.message_type is not None and field.message_type.full_name != contract.TIMESTAMP:
            one = messages(field.message_type, unknown_enums=unknown_enums, writable=writable)
        else:
            one = single(field, unknown_enums=unknown_enums)
        given_[field.name] = st.lists(one, max_size=2) if field.is_repeated else one
    return st.fixed_dictionaries({}, optional=given_).map(lambda values: GetMessageClass(descriptor)(**values))


def expected(message: Message) -> dict[str, Any]:
    return json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


@pytest.mark.parametrize("name", NAMES)
def test_what_is_shown_equals_the_json_mapping_of_protobuf(name: str) -> None:
    descriptor = contract.rest_messages()[name]

    @settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(messages(descriptor, unknown_enums=True))
    def check(message: Message) -> None:
        assert encoder(descriptor)(message) == expected(message)

    check()


@pytest.mark.parametrize("name", NAMES)
def test_what_is_read_equals_the_json_mapping_of_protobuf(name: str) -> None:
    descriptor = contract.rest_messages()[name]

    @settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(messages(descriptor, writable=True), st.booleans())
    def check(message: Message, everything: bool) -> None:
        document = json_format.MessageToDict(
            message, preserving_proto_field_name=True, always_print_fields_with_no_presence=everything
        )
        drop_read_only(descriptor, document)
        faults = Faults()
        values = decoder(descriptor)(orjson.loads(json.dumps(document)), "", faults)
        assert not faults.found
        assert type(message)(**values) == json_format.ParseDict(document, type(message)())

    check()


def drop_read_only(descriptor: Descriptor, document: dict[str, Any]) -> None:
    for field in descriptor.fields:
        if contract.output_only(field) or contract.is_mask(field):
            document.pop(field.name, None)
        elif field.message_type is not None and field.name in document:
            for item in document[field.name] if field.is_repeated else [document[field.name]]:
                if isinstance(item, dict):
                    drop_read_only(field.message_type, item)


def descriptor_of(message: type[Message]) -> Descriptor:
    return contract.rest_messages()[str(message.DESCRIPTOR.full_name)]


def faults_of(message: type[Message], document: Any) -> list[tuple[str, str]]:
    faults = Faults()
    decoder(descriptor_of(message))(document, "", faults)
    return [(fault.reason.name, fault.field) for fault in faults.found]


@pytest.mark.parametrize(
    ("document", "found"),
    [
        ({"birth_nam": "X"}, [("FIELD_UNKNOWN", "birth_nam")]),
        ({"birthName": "X"}, [("FIELD_UNKNOWN", "birthName")]),
        ({"<script>": 1}, [("FIELD_UNKNOWN", "?")]),
        ({"birth_name": 3}, [("WRONG_TYPE", "birth_name")]),
        ({"birth_name": None}, [("NULL_REFUSED", "birth_name")]),
        ({"birth_name": "A\0B"}, [("TEXT_CONTROL_CHARACTER", "birth_name")]),
        ({"birth_given_names": "Jeanne"}, [("WRONG_TYPE", "birth_given_names")]),
        ({"birth_given_names": ["Jeanne", 3]}, [("WRONG_TYPE", "birth_given_names[1]")]),
        ({"birth_given_names": [None]}, [("NULL_REFUSED", "birth_given_names[0]")]),
        ({"sex": "FEMALE"}, [("ENUM_UNKNOWN", "sex")]),
        ({"sex": 1}, [("ENUM_UNKNOWN", "sex")]),
        ({"sex": ["SEX_FEMALE"]}, [("ENUM_UNKNOWN", "sex")]),
        ({"doubtful": "true"}, [("WRONG_TYPE", "doubtful")]),
        ({"doubtful": 1}, [("WRONG_TYPE", "doubtful")]),
        ({"national_identifier": []}, [("WRONG_TYPE", "national_identifier")]),
        ({"national_identifier": {"oid": 1}}, [("WRONG_TYPE", "national_identifier.oid")]),
        ({"national_identifier": {"nope": 1}}, [("FIELD_UNKNOWN", "national_identifier.nope")]),
        ({"beneficiary_id": "x"}, [("FIELD_READ_ONLY", "beneficiary_id")]),
        ({"identity_status": "IDENTITY_STATUS_QUALIFIEE"}, [("FIELD_READ_ONLY", "identity_status")]),
        ({"etag": ""}, [("FIELD_READ_ONLY", "etag")]),
        ([], [("WRONG_TYPE", "")]),
        ("text", [("WRONG_TYPE", "")]),
        (
            {"sex": "?", "doubtful": 0, "x": 1},
            [("ENUM_UNKNOWN", "sex"), ("WRONG_TYPE", "doubtful"), ("FIELD_UNKNOWN", "x")],
        ),
    ],
)
def test_a_document_at_fault_is_told_where_and_why(document: Any, found: list[tuple[str, str]]) -> None:
    assert faults_of(beneficiaries_pb2.Beneficiary, document) == found


@pytest.mark.parametrize("value", [2**31, -(2**31) - 1, 1.5, "1", True, None, [1], 1e300])
def test_an_integer_out_of_range_or_of_another_type_is_refused(value: Any) -> None:
    assert faults_of(staff_pb2.ListAccountsRequest, {"page_size": value})


def test_an_integer_may_be_written_with_a_zero_fraction() -> None:
    faults = Faults()
    assert decoder(staff_pb2.ListAccountsRequest.DESCRIPTOR)({"page_size": 3.0}, "", faults) == {"page_size": 3}
    assert not faults.found


@pytest.mark.parametrize(
    "value",
    [
        "2026-05-04",
        "2026-05-04T08:30:00",
        "2026-05-04 08:30:00Z",
        "2026-13-04T08:30:00Z",
        "2026-02-30T08:30:00Z",
        "2026-05-04T08:30:00+99:00",
        "2026-05-04T25:30:00Z",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
        "٢٠٢٦-05-04T08:30:00Z",
        1_700_000_000,
    ],
)
def test_an_instant_without_zone_or_outside_the_calendar_is_refused(value: Any) -> None:
    document = {"valid_from": value}
    assert faults_of(staff_pb2.Assignment, document) == [("TIMESTAMP_INVALID", "valid_from")]


@pytest.mark.parametrize(
    "value",
    ["2026-05-04T08:30:00Z", "2026-05-04T08:30:00.123456789+02:00", "1969-12-31T23:59:59.5Z", "0001-01-01T00:00:00Z"],
)
def test_an_instant_is_read_as_protobuf_reads_it(value: str) -> None:
    theirs = Timestamp()
    theirs.FromJsonString(value)
    ours = decoder(staff_pb2.Assignment.DESCRIPTOR)({"valid_from": value}, "", Faults())
    assert ours["valid_from"] == theirs


def test_two_members_of_a_choice_are_refused() -> None:
    assert faults_of(drafts_pb2.Draft, {"allergy": {}, "handover_note": {}}) == [("ONE_OF", "allergy")]


def test_the_number_of_faults_told_is_bounded() -> None:
    assert len(faults_of(beneficiaries_pb2.Beneficiary, {f"x{n}": 1 for n in range(500)})) == MAX_VIOLATIONS


def test_an_enum_value_of_a_newer_service_is_shown_as_its_number() -> None:
    match = beneficiaries_pb2.BeneficiaryMatch(sex=77)  # type: ignore[arg-type]
    assert encoder(match.DESCRIPTOR)(match)["sex"] == 77


def patch_of(document: Any) -> tuple[Message, tuple[str, ...], list[tuple[str, str]]]:
    faults = Faults()
    patch = patcher(beneficiaries_pb2.Beneficiary.DESCRIPTOR)(document, faults)
    message = beneficiaries_pb2.Beneficiary() if faults.found else beneficiaries_pb2.Beneficiary(**patch.values)
    return message, patch.paths, [(fault.reason.name, fault.field) for fault in faults.found]


def test_the_keys_of_a_merge_patch_make_the_mask() -> None:
    message, paths, faults = patch_of(
        {
            "used_name": None,
            "birth_name": "MARTIN",
            "national_identifier": {"oid": "1.2", "value": None},
            "birth_given_names": [],
        }
    )
    assert not faults
    assert paths == (
        "used_name",
        "birth_name",
        "national_identifier.oid",
        "national_identifier.value",
        "birth_given_names",
    )
    expected_message = beneficiaries_pb2.Beneficiary(birth_name="MARTIN")
    expected_message.national_identifier.oid = "1.2"
    assert message == expected_message


def test_null_clears_a_whole_message() -> None:
    assert patch_of({"national_identifier": None})[1] == ("national_identifier",)


@pytest.mark.parametrize(
    ("document", "found"),
    [
        ({"etag": None}, [("FIELD_READ_ONLY", "etag")]),
        ({"version": {"version": 3}}, [("FIELD_READ_ONLY", "version")]),
        ({"nope": None}, [("FIELD_UNKNOWN", "nope")]),
        ({"national_identifier": {"nope": None}}, [("FIELD_UNKNOWN", "national_identifier.nope")]),
        ({"national_identifier": 3}, [("WRONG_TYPE", "national_identifier")]),
        ({"birth_given_names": [None]}, [("NULL_REFUSED", "birth_given_names[0]")]),
        (None, [("WRONG_TYPE", "")]),
    ],
)
def test_a_patch_at_fault_is_told_where_and_why(document: Any, found: list[tuple[str, str]]) -> None:
    assert patch_of(document)[2] == found


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ({"sex": "MALE"}, "Valeur inconnue. Valeurs acceptées : SEX_FEMALE, SEX_MALE, SEX_INDETERMINATE."),
        ({"national_identifier": {"value": 1}}, "Attendu : un texte entre guillemets."),
        ({"doubtful": "x"}, "Attendu : true ou false."),
    ],
)
def test_a_fault_says_what_is_accepted_wherever_it_is(document: Any, text: str) -> None:
    faults = Faults()
    patcher(beneficiaries_pb2.Beneficiary.DESCRIPTOR)(document, faults)
    assert [fault.text("fr") for fault in faults.found] == [text]


def test_fields_given_in_the_path_are_refused_in_the_body() -> None:
    faults = Faults()
    decode = decoder(stays_pb2.EndStayRequest.DESCRIPTOR, without=frozenset({"stay_id"}))
    decode({"stay_id": "x"}, "", faults)
    assert [(fault.reason.name, fault.field) for fault in faults.found] == [("FIELD_UNKNOWN", "stay_id")]


def test_zero_false_and_empty_are_values() -> None:
    assert encoder(organisation_pb2.Association.DESCRIPTOR)(organisation_pb2.Association()) == {
        "association_id": "",
        "slug": "",
        "name": "",
        "active": False,
        "etag": "",
        "provisioning_problem": "PROVISIONING_PROBLEM_UNSPECIFIED",
    }
