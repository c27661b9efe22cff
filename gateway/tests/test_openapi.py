"""The OpenAPI document says what the gateway does: valid, complete, and the same as what the codec accepts."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from dui.options.v1 import options_pb2
from dui_gateway import contract, openapi, schemas
from dui_gateway.codec import encoder
from dui_gateway.contract import Operation
from dui_kit.calls import validate
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from jsonschema import Draft202012Validator

_F = options_pb2.Format
OPERATIONS = contract.operations()
DOCUMENT = openapi.document(OPERATIONS, "https://login.example/realms/dui")


def resolver(schema: dict[str, Any]) -> Draft202012Validator:
    return Draft202012Validator({**schema, "components": DOCUMENT["components"]})


def operation_of(operation: Operation) -> dict[str, Any]:
    found: dict[str, Any] = DOCUMENT["paths"][operation.path][operation.verb.lower()]
    return found


def test_every_reference_leads_somewhere() -> None:
    def walk(value: Any) -> None:
        if isinstance(value, dict):
            if "$ref" in value:
                target: Any = DOCUMENT
                for part in value["$ref"].removeprefix("#/").split("/"):
                    target = target[part]
                assert target, value["$ref"]
            for below in value.values():
                walk(below)
        elif isinstance(value, list):
            for below in value:
                walk(below)

    walk(DOCUMENT)


def test_every_schema_is_a_json_schema_and_its_examples_fit() -> None:
    for name, schema in DOCUMENT["components"]["schemas"].items():
        Draft202012Validator.check_schema(schema)
        for field, below in schema.get("properties", {}).items():
            for example in below.get("examples", []):
                kept = {key: value for key, value in below.items() if key != "examples"}
                assert not list(resolver(kept).iter_errors(example)), (name, field, example)


@pytest.mark.parametrize("number", sorted(schemas.FORMATS))
def test_the_examples_of_a_format_are_what_the_services_accept(number: int) -> None:
    accepts = validate.FORMATS[number][0]
    for example in schemas.FORMATS[number]["examples"]:
        assert accepts(example), example


@pytest.mark.parametrize(
    ("number", "texts"),
    [
        (
            _F.FORMAT_DECIMAL,
            ["0", "0.5", "0,5", ".5", "5.", "05", "-1", "1e3", "999999999.999999", "1000000000", "0.0000001"],
        ),
        (_F.FORMAT_TIME_OF_DAY, ["00:00", "23:59", "24:00", "8:00", "08h00", "08:60", "08:00:00"]),
    ],
)
def test_a_pattern_that_says_all_takes_what_the_services_take(number: int, texts: list[str]) -> None:
    accepts, schema = validate.FORMATS[number][0], schemas.FORMATS[number]
    taken = [text for text in texts if Draft202012Validator({"type": "string", **schema}).is_valid(text)]
    assert taken == [text for text in texts if accepts(text)]
    assert 0 < len(taken) < len(texts)


def test_a_format_that_needs_words_has_them_after_those_of_the_field() -> None:
    file = FileDescriptorProto(name="line.proto", package="test", syntax="proto3")
    file.dependency.append(options_pb2.DESCRIPTOR.name)
    field = file.message_type.add(name="Line").field.add(name="quantity", number=1, label=1)
    field.type = FieldDescriptorProto.TYPE_STRING
    field.options.Extensions[options_pb2.format] = _F.FORMAT_DECIMAL
    pool = DescriptorPool()
    for known in (descriptor_pb2.DESCRIPTOR, options_pb2.DESCRIPTOR):
        pool.AddSerializedFile(known.serialized_pb)
    pool.Add(file)
    line = pool.FindMessageTypeByName("test.Line")
    found = schemas.Schemas()
    found.sent(line)
    found.shown(line)
    sent = found.found["LineInput"]["properties"]["quantity"]
    read = found.found["Line"]["properties"]["quantity"]
    assert sent["pattern"] == r"^(0|[1-9][0-9]{0,8})(\.[0-9]{1,6})?$"
    assert sent["description"] == read["description"]
    assert "a point and no comma" in sent["description"]


def test_every_format_of_the_contract_is_described() -> None:
    assert set(schemas.FORMATS) == set(validate.FORMATS)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_every_operation_is_described_in_words(operation: Operation) -> None:
    described = operation_of(operation)
    assert described["operationId"] == operation.name[0].lower() + operation.name[1:]
    assert len(described["summary"]) > 5
    assert "**Access**" in described["description"]
    assert all(parameter.get("$ref") or parameter["description"] for parameter in described["parameters"])


def test_operation_ids_are_unique() -> None:
    ids = [operation["operationId"] for path in DOCUMENT["paths"].values() for operation in path.values()]
    assert len(ids) == len(set(ids)) == len(OPERATIONS)


@pytest.mark.parametrize(
    "operation", [one for one in OPERATIONS if not one.content_type], ids=lambda operation: operation.name
)
def test_an_empty_answer_fits_its_schema(operation: Operation) -> None:
    response = operation_of(operation)["responses"][str(operation.success)]
    schema = response["content"]["application/json"]["schema"]
    resolver(schema).validate(encoder(operation.result)(GetMessageClass(operation.result)()))


def test_a_value_of_a_newer_service_fits_the_schema() -> None:
    jsonschema.validate(
        77,
        {**DOCUMENT["components"]["schemas"]["Beneficiary"]["properties"]["sex"], "components": DOCUMENT["components"]},
    )


def errors(name: str, value: Any) -> list[str]:
    return [error.validator for error in resolver({"$ref": f"#/components/schemas/{name}"}).iter_errors(value)]


def test_what_is_sent_is_closed_and_holds_nothing_that_the_platform_sets() -> None:
    good = {"birth_name": "MARTIN", "birth_given_names": ["Jeanne"], "birth_date": "1950-03", "sex": "SEX_FEMALE"}
    assert not errors("BeneficiaryInput", good)
    assert errors("BeneficiaryInput", good | {"beneficiary_id": "x"}) == ["additionalProperties"]
    assert errors("BeneficiaryInput", good | {"birth_nam": "x"}) == ["additionalProperties"]
    assert errors("BeneficiaryInput", good | {"birth_name": " "}) == ["pattern"]
    assert errors("BeneficiaryInput", good | {"birth_name": "A\0"}) == ["pattern"]
    assert errors("BeneficiaryInput", good | {"birth_name": "x" * 101}) == ["maxLength"]
    assert errors("BeneficiaryInput", good | {"sex": "SEX_UNSPECIFIED"}) == ["not"]
    assert errors("BeneficiaryInput", {}) == ["required"] * 4


def test_a_patch_may_clear_but_not_set_what_never_changes() -> None:
    assert not errors("StayPatch", {"room": None})
    assert errors("StayPatch", {"started_on": "2026-05-04"}) == ["additionalProperties"]
    assert errors("StayPatch", {}) == ["minProperties"]


def test_one_member_of_a_choice_at_most() -> None:
    assert not errors("DraftInput", {"allergy": {}})
    assert errors("DraftInput", {"allergy": {}, "handover_note": {}}) == ["not"]


def test_the_platform_sets_are_read_only() -> None:
    properties = DOCUMENT["components"]["schemas"]["Beneficiary"]["properties"]
    assert properties["identity_status"]["readOnly"] is True
    assert "readOnly" not in properties["birth_name"]


def test_enums_have_french_labels() -> None:
    enum = DOCUMENT["components"]["schemas"]["Category"]
    assert enum["x-enum-labels-fr"]["CATEGORY_NURSING"] == "Soins infirmiers"


def test_a_read_documents_what_a_read_may_answer() -> None:
    described = DOCUMENT["paths"]["/v1/facilities/{facility_id}"]
    assert set(described["get"]["responses"]) == {"200", "304", "400", "401", "403", "404", "429", "500", "503", "504"}
    assert {"409", "412", "413", "415", "422", "428"} <= set(described["patch"]["responses"])
    assert set(described["patch"]["requestBody"]["content"]) == {"application/merge-patch+json", "application/json"}


@pytest.mark.parametrize("name", sorted(DOCUMENT["components"]["responses"]))
def test_a_problem_has_examples_that_a_caller_could_get(name: str) -> None:
    content = DOCUMENT["components"]["responses"][name]["content"]["application/problem+json"]
    assert content["examples"]
    for reason, example in content["examples"].items():
        value = example["value"]
        resolver(content["schema"]).validate(value)
        assert (value["reason"], value["status"]) == (reason, int(name.removeprefix("Problem")))
        assert value["type"] == f"urn:dui:problem:{reason.lower()}"
        assert example["description"] != value["detail"]


def test_the_version_is_that_of_the_project() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
    assert DOCUMENT["info"]["version"] == project["project"]["version"]


def test_a_reader_learns_how_to_get_a_token() -> None:
    words = DOCUMENT["components"]["securitySchemes"]["bearer"]["description"]
    for named in ("dui-web", "PKCE", "organization:ALIAS", "dui token ACCOUNT", "--acr 2"):
        assert named in words


@pytest.mark.parametrize(
    ("verb", "path", "needed"),
    [
        ("patch", "/v1/facilities/{facility_id}", True),
        ("put", "/v1/beneficiaries/{beneficiary_id}/drafts/{draft_id}", True),
        ("delete", "/v1/beneficiaries/{beneficiary_id}/drafts/{draft_id}", False),
        ("put", "/v1/policy/{profession}/{category}", False),
        ("post", "/v1/beneficiaries/{beneficiary_id}/allergies", False),
    ],
)
def test_a_version_is_asked_for_where_the_service_asks_for_it(verb: str, path: str, needed: bool) -> None:
    described = DOCUMENT["paths"][path][verb]
    assert ({"$ref": "#/components/parameters/IfMatch"} in described["parameters"]) is needed
    assert {"412", "428"} & set(described["responses"]) == ({"412", "428"} if needed else set())


def test_access_is_told() -> None:
    described = DOCUMENT["paths"]["/v1/beneficiaries/{beneficiary_id}:breakGlass"]["post"]
    assert described["x-dui-access"] == {
        "category": "CATEGORY_MEDICAL",
        "action": "ACTION_BREAK_GLASS",
        "perimeter": "PERIMETER_ASSOCIATION",
        "acr": 2,
    }
    assert "second factor" in described["description"]


def test_the_document_is_served_and_not_sent_twice(shared_app: Any) -> None:
    client = shared_app.test_client()
    answer = client.get("/openapi.json")
    assert answer.status_code == 200
    assert answer.json["openapi"] == "3.1.0"
    again = client.get("/openapi.json", headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


def test_the_documentation_page_runs_only_its_own_files(shared_app: Any) -> None:
    client = shared_app.test_client()
    page = client.get("/docs")
    assert page.status_code == 200
    policy = page.headers["Content-Security-Policy"]
    assert "script-src 'self';" in policy
    assert "default-src 'none'" in policy
    text = page.get_data(as_text=True)
    assert "http://" not in text
    assert "https://" not in text
    for line in text.splitlines():
        if "<script" in line:
            assert 'src="/docs/' in line
    for name in ("swagger-ui-bundle.js", "swagger-ui.css", "docs.js", "docs.css", "icon.svg"):
        assert f"/docs/{name}" in text
        asset = client.get(f"/docs/{name}")
        assert (asset.status_code, bool(asset.data)) == (200, True)
        assert asset.headers["X-Content-Type-Options"] == "nosniff"
    assert client.get("/docs/../app.py").status_code == 404
    assert client.get("/docs/secret.js").status_code == 404
