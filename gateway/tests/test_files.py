"""Files through the contract: their bytes go out as they are, under the media type that the contract says, and nothing runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import orjson
import pytest
from dui.options.v1 import options_pb2
from dui_gateway import contract, openapi
from dui_gateway.contract import ContractError, Operation
from dui_kit.errors import not_found
from google.api import annotations_pb2, field_behavior_pb2, http_pb2, httpbody_pb2
from google.protobuf import any_pb2, descriptor_pb2
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool

ID = "0197f3a2-5c1e-7b44-9d3f-2a6b8c0e1f57"
PAPER = f"/v1/beneficiaries/{ID}/paper"
# Every byte: what is no text, no JSON and no UTF-8 either.
CONTENT = b"%PDF-1.7\n" + bytes(range(256)) + b"\n%%EOF\n"
KNOWN = (
    descriptor_pb2.DESCRIPTOR,
    any_pb2.DESCRIPTOR,
    http_pb2.DESCRIPTOR,
    annotations_pb2.DESCRIPTOR,
    field_behavior_pb2.DESCRIPTOR,
    httpbody_pb2.DESCRIPTOR,
    options_pb2.DESCRIPTOR,
)
HTTP_BODY = ".google.api.HttpBody"


def paper(
    *,
    path: str = "/v1/beneficiaries/{beneficiary_id}/paper",
    content_type: str = "application/pdf",
    response_body: str = "paper",
    fields: dict[str, str] | None = None,
    output: str = ".dui.records.v1.GetPaperResponse",
    repeated: bool = False,
) -> Operation:
    """An operation of a contract to come that answers with a file. `fields` of the response: a message, or nothing for bytes."""
    file = FileDescriptorProto(name="paper.proto", package="dui.records.v1", syntax="proto3")
    file.dependency.extend(known.name for known in KNOWN)
    request = file.message_type.add(name="GetPaperRequest")
    request.field.add(name="beneficiary_id", number=1, label=1, type=FieldDescriptorProto.TYPE_STRING)
    response = file.message_type.add(name="GetPaperResponse")
    wanted = {"paper": HTTP_BODY} if fields is None else fields
    for number, (name, kind) in enumerate(wanted.items(), start=1):
        form = FieldDescriptorProto.TYPE_MESSAGE if kind else FieldDescriptorProto.TYPE_BYTES
        response.field.add(name=name, number=number, label=3 if repeated else 1, type=form, type_name=kind or None)
    method = file.service.add(name="PaperService").method.add(
        name="GetPaper", input_type=".dui.records.v1.GetPaperRequest", output_type=output
    )
    options = method.options.Extensions
    options[annotations_pb2.http].get = path
    options[annotations_pb2.http].response_body = response_body
    options[options_pb2.access].category = options_pb2.CATEGORY_MEDICATION
    options[options_pb2.access].action = options_pb2.ACTION_READ
    options[options_pb2.access].perimeter = options_pb2.PERIMETER_BENEFICIARY
    if content_type:
        options[options_pb2.content_type] = content_type
    pool = DescriptorPool()
    for known in KNOWN:
        pool.AddSerializedFile(known.serialized_pb)
    pool.Add(file)
    return contract.operation_of(pool.FindServiceByName("dui.records.v1.PaperService").methods_by_name["GetPaper"])


Serve = Callable[[Operation], Any]


@pytest.fixture
def serve(make: Any, caller_of: Any, backend: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """A gateway whose contract has one operation more."""

    def served(operation: Operation, content_type: str | None = None, content: bytes = CONTENT) -> Any:
        contract.check(operation)
        everything = (*contract.operations(), operation)
        monkeypatch.setattr(contract, "operations", lambda: everything)

        def answer(_request: Any, _context: grpc.ServicerContext) -> Any:
            reply: Any = operation.response()
            body = getattr(reply, operation.response_body) if operation.response_body else reply
            body.content_type = operation.content_type if content_type is None else content_type
            body.data = content
            return reply

        backend.answers["GetPaper"] = answer
        return caller_of(make())

    return served


WHOLE = paper(response_body="", output=HTTP_BODY)


@pytest.mark.parametrize("operation", [paper(), WHOLE], ids=["response_body", "response"])
def test_the_bytes_of_a_file_go_out_as_they_are(serve: Any, backend: Any, operation: Operation) -> None:
    answer = serve(operation)("GET", PAPER)
    assert (answer.status_code, answer.data) == (200, CONTENT)
    assert answer.headers["Content-Type"] == "application/pdf"
    assert answer.headers["Content-Length"] == str(len(CONTENT))
    assert backend.last.request.beneficiary_id == ID
    assert backend.last.metadata["authorization"].startswith("Bearer ")


def test_a_file_stays_in_no_cache_runs_nothing_and_is_not_taken_for_something_else(serve: Any) -> None:
    headers = serve(paper())("GET", PAPER).headers
    assert headers["Content-Disposition"] == 'inline; filename="paper.pdf"'
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert len(headers.getlist("Content-Security-Policy")) == 1
    policy = headers["Content-Security-Policy"].split("; ")
    assert {"default-src 'none'", "sandbox", "frame-ancestors 'none'"} <= set(policy)
    assert "ETag" not in headers
    assert headers["X-Request-Id"]


def test_a_page_of_another_origin_may_read_the_name_of_a_file(
    make: Any, caller_of: Any, serve: Any, backend: Any
) -> None:
    serve(paper())
    call = caller_of(make(cors_origins="https://app.example"))
    answer = call("GET", PAPER, headers={"Origin": "https://app.example"})
    assert answer.data == CONTENT
    assert "Content-Disposition" in answer.headers["Access-Control-Expose-Headers"].split(", ")


@pytest.mark.parametrize(
    ("path", "content_type", "name"),
    [
        ("/v1/beneficiaries/{beneficiary_id}/papers/{paper_id}/document", "application/pdf", "document.pdf"),
        ("/v1/beneficiaries/{beneficiary_id}", "image/png", "beneficiaries.png"),
        ("/v1/papers/{paper_id}:print", "application/pdf", "print.pdf"),
        ("/v1/papers/{paper_id}/data", "application/vnd.example", "data"),
    ],
)
def test_the_name_of_a_file_comes_from_the_contract_and_tells_of_nobody(
    path: str, content_type: str, name: str
) -> None:
    assert dataclasses.replace(paper(), path=path, content_type=content_type).filename == name


def test_a_file_of_two_megabytes_comes_through(serve: Any) -> None:
    content = bytes(2_000_000)
    assert serve(paper(), content=content)("GET", PAPER).data == content


def test_a_refusal_of_a_file_is_a_problem_document(serve: Any, backend: Any, make: Any) -> None:
    call = serve(paper())

    def refuse(_request: Any, _context: grpc.ServicerContext) -> Any:
        raise not_found("beneficiary_id")

    backend.answers["GetPaper"] = refuse
    answer = call("GET", PAPER)
    assert (answer.status_code, answer.content_type) == (404, "application/problem+json")
    assert answer.json["reason"] == "NOT_FOUND"
    assert "Content-Disposition" not in answer.headers
    unknown = make().test_client().get(PAPER)
    assert (unknown.status_code, unknown.content_type) == (401, "application/problem+json")


@pytest.mark.parametrize("told", ["text/html", "", "application/pdf; charset=utf-8", "application/PDF"])
def test_a_file_of_another_kind_than_the_contract_says_does_not_go_out(serve: Any, told: str) -> None:
    answer = serve(paper(), content_type=told)("GET", PAPER)
    assert (answer.status_code, answer.content_type) == (500, "application/problem+json")
    assert answer.json["reason"] == "INTERNAL"
    assert b"PDF" not in answer.data


def test_the_document_says_that_the_answer_is_a_file() -> None:
    operation = paper()
    document = openapi.document((*contract.operations(), operation), "https://login.example/realms/dui")
    responses = document["paths"][operation.path]["get"]["responses"]
    success = responses["200"]
    assert success["content"] == {"application/pdf": {"schema": {"type": "string", "format": "binary"}}}
    reference = success["headers"]["Content-Disposition"]["$ref"]
    assert document["components"]["headers"][reference.rpartition("/")[2]]["description"]
    assert "304" not in responses
    assert responses["404"] == {"$ref": "#/components/responses/Problem404"}
    assert {"HttpBody", "GetPaperResponse", "Any"}.isdisjoint(document["components"]["schemas"])


@pytest.mark.parametrize(
    ("operation", "why"),
    [
        (paper(content_type=""), "need each other"),
        (paper(fields={"paper": ".dui.records.v1.GetPaperRequest"}), "need each other"),
        (paper(content_type="pdf"), "no media type"),
        (paper(content_type='application/pdf"; x="'), "no media type"),
        (paper(response_body="", content_type=""), r"GetPaperResponse\.paper has a type"),
        (paper(fields={"paper": HTTP_BODY}, repeated=True), "is not a message"),
        (paper(fields={"paper": ""}, response_body="", content_type=""), r"GetPaperResponse\.paper has a type"),
        (paper(fields={"paper": ""}), "is not a message"),
        (
            paper(
                fields={"paper": HTTP_BODY, "request": ".dui.records.v1.GetPaperRequest"},
                response_body="request",
                content_type="",
            ),
            r"GetPaperResponse\.paper has a type",
        ),
    ],
)
def test_a_file_anywhere_else_in_the_contract_stops_the_gateway(operation: Operation, why: str) -> None:
    with pytest.raises(ContractError, match=why):
        contract.check(operation)


def test_an_answer_in_json_is_as_before_beside_a_file(serve: Any) -> None:
    answer = serve(paper())("GET", "/v1/me")
    assert answer.content_type == "application/json"
    assert isinstance(orjson.loads(answer.data), dict)
    assert "sandbox" not in answer.headers["Content-Security-Policy"]
