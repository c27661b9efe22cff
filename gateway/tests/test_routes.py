"""From HTTP to gRPC and back: every operation has its route, and each part of a request arrives where the contract says."""

from __future__ import annotations

import json
from typing import Any

import grpc
import pytest
from dui.identity.v1 import access_pb2, organisation_pb2, professions_pb2, staff_pb2
from dui.options.v1 import options_pb2
from dui.records.v1 import allergies_pb2, beneficiaries_pb2, drafts_pb2, handover_notes_pb2, stays_pb2
from dui_gateway import contract
from dui_gateway.contract import Operation
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

ID = "0197f3a2-5c1e-7b44-9d3f-2a6b8c0e1f57"
OTHER = "0197f3a2-5c1e-7b44-9d3f-2a6b8c0e1f58"

OPERATIONS = contract.operations()


def example(operation: Operation) -> tuple[str, dict[str, Any]]:
    """A path of the operation and the smallest body that it takes."""
    path = operation.path
    for name in operation.parameters:
        enum = operation.method.input_type.fields_by_name[name].enum_type
        path = path.replace("{" + name + "}", enum.values[1].name if enum else ID)
    if not operation.body:
        return path, {}
    return path, {"data": b"{}", "content_type": "application/json"}


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_every_operation_of_the_contract_reaches_its_service(call: Any, backend: Any, operation: Operation) -> None:
    path, options = example(operation)
    answer = call(operation.verb, path, **options)
    assert answer.status_code == operation.success
    assert backend.last.rpc == operation.name
    for name in operation.parameters:
        field = operation.method.input_type.fields_by_name[name]
        assert getattr(backend.last.request, name) == (1 if field.enum_type else ID)
    assert answer.content_type == (operation.content_type or "application/json")
    assert operation.content_type or isinstance(answer.json, dict)


def test_the_body_fills_its_field_and_the_rest_comes_from_path_and_query(call: Any, backend: Any) -> None:
    backend.answers["CreateHandoverNote"] = lambda request, _: handover_notes_pb2.CreateHandoverNoteResponse(
        handover_note=handover_notes_pb2.HandoverNote(
            handover_note_id=OTHER,
            beneficiary_id=request.beneficiary_id,
            subject=request.handover_note.subject,
            etag="e1",
        )
    )
    answer = call(
        "POST",
        f"/v1/beneficiaries/{ID}/handover_notes?draft_id={OTHER}",
        json={
            "category": "CATEGORY_NURSING",
            "subject": "Chute",
            "data": "…",
            "observed_at": "2026-05-04T08:30:00+02:00",
        },
    )
    assert answer.status_code == 201
    assert answer.headers["ETag"] == '"e1"'
    assert answer.headers["Location"] == f"/v1/beneficiaries/{ID}/handover_notes/{OTHER}"
    assert answer.json["subject"] == "Chute"
    observed = Timestamp()
    observed.FromJsonString("2026-05-04T06:30:00Z")
    assert backend.last.request == handover_notes_pb2.CreateHandoverNoteRequest(
        beneficiary_id=ID,
        draft_id=OTHER,
        handover_note=handover_notes_pb2.HandoverNote(
            category=options_pb2.CATEGORY_NURSING, subject="Chute", data="…", observed_at=observed
        ),
    )


def test_the_address_of_a_created_person_is_told_though_it_was_created_under_a_facility(
    call: Any, backend: Any
) -> None:
    backend.answers["CreateBeneficiary"] = lambda _request, _: beneficiaries_pb2.CreateBeneficiaryResponse(
        beneficiary=beneficiaries_pb2.Beneficiary(beneficiary_id=OTHER, etag="e1")
    )
    answer = call("POST", f"/v1/facilities/{ID}/beneficiaries", json={"birth_name": "MARTIN"})
    assert answer.headers["Location"] == f"/v1/beneficiaries/{OTHER}"
    assert answer.headers["ETag"] == '"e1"'
    assert answer.json["beneficiary"]["beneficiary_id"] == OTHER
    assert answer.json["duplicate_candidates"] == []


def test_a_merge_patch_makes_the_mask(call: Any, backend: Any) -> None:
    answer = call(
        "PATCH",
        f"/v1/beneficiaries/{ID}/stays/{OTHER}",
        data=json.dumps({"room": None, "unit_id": OTHER}),
        content_type="application/merge-patch+json",
        headers={"If-Match": '"e1"'},
    )
    assert answer.status_code == 200
    sent = backend.last.request
    assert list(sent.update_mask.paths) == ["room", "unit_id"]
    assert sent.stay == stays_pb2.Stay(unit_id=OTHER)
    assert sent.HasField("stay")
    assert backend.last.metadata["if-match"] == "e1"


def test_an_empty_merge_patch_still_holds_the_resource(call: Any, backend: Any) -> None:
    call("PATCH", f"/v1/beneficiaries/{ID}/stays/{OTHER}", json={})
    assert backend.last.request.HasField("stay")
    assert not backend.last.request.update_mask.paths


def test_a_custom_verb_keeps_the_id_and_needs_no_body_when_the_path_says_all(call: Any, backend: Any) -> None:
    assert call("POST", f"/v1/accounts/{ID}:reactivate").status_code == 200
    assert backend.last.request == staff_pb2.ReactivateAccountRequest(account_id=ID)


@pytest.mark.parametrize(
    "path",
    [f"/v1/accounts/{ID}:nothing", f"/v1/accounts/{ID}:suspend:end", "/v1/accounts/:end"],
)
def test_an_unknown_verb_is_not_an_id(call: Any, backend: Any, path: str) -> None:
    assert call("POST", path, json={}).status_code in {404, 405}
    assert not backend.received


def test_an_enum_in_the_path_is_named(call: Any, backend: Any) -> None:
    answer = call(
        "PUT", "/v1/policy/PROFESSION_NURSE/CATEGORY_NURSING", json={"actions": ["ACTION_READ", "ACTION_WRITE"]}
    )
    assert answer.status_code == 200
    assert backend.last.request == access_pb2.SetPolicyOverrideRequest(
        profession=professions_pb2.PROFESSION_NURSE,
        category=options_pb2.CATEGORY_NURSING,
        actions=[options_pb2.ACTION_READ, options_pb2.ACTION_WRITE],
    )
    refused = call("PUT", "/v1/policy/PROFESSION_PLUMBER/CATEGORY_NURSING", json={})
    assert refused.status_code == 400
    assert refused.json["errors"][0]["field"] == "profession"


def test_query_parameters_are_typed(call: Any, backend: Any) -> None:
    call("GET", f"/v1/journal_entries?account_id={ID}&denied_only=true&page_size=20&page_token=abc")
    sent = backend.last.request
    assert (sent.account_id, sent.denied_only, sent.break_glass_only, sent.page_size, sent.page_token) == (
        ID,
        True,
        False,
        20,
        "abc",
    )
    call("GET", f"/v1/facilities/{ID}/handover_notes?since=2026-05-04T08:30:00Z")
    assert backend.last.request.since.ToJsonString() == "2026-05-04T08:30:00Z"


@pytest.mark.parametrize(
    ("query", "field", "reason"),
    [
        ("page_size=many", "page_size", "WRONG_TYPE"),
        ("page_size=99999999999", "page_size", "WRONG_TYPE"),
        ("page_size=4294967297", "page_size", "WRONG_TYPE"),
        ("denied_only=yes", "denied_only", "WRONG_TYPE"),
        ("page_size=1&page_size=2", "page_size", "PARAMETER_REPEATED"),
        ("pageSize=1", "pageSize", "PARAMETER_UNKNOWN"),
        ("<script>=1", "?", "PARAMETER_UNKNOWN"),
        ("page_token=a%00b", "page_token", "TEXT_CONTROL_CHARACTER"),
    ],
)
def test_a_bad_query_is_told(call: Any, backend: Any, query: str, field: str, reason: str) -> None:
    answer = call("GET", f"/v1/journal_entries?{query}")
    assert answer.status_code == 400
    assert answer.json["reason"] == reason
    assert [error["field"] for error in answer.json["errors"]] == [field]
    assert not backend.received


def test_a_nul_in_the_path_is_refused(call: Any, backend: Any) -> None:
    assert call("GET", "/v1/beneficiaries/a%00b").status_code == 400
    assert not backend.received


def test_an_operation_without_query_parameters_refuses_any(call: Any) -> None:
    assert call("GET", "/v1/me?page_size=1").json["reason"] == "PARAMETER_UNKNOWN"


def test_the_answer_has_an_etag_and_is_not_sent_again_when_it_is_known(call: Any, backend: Any) -> None:
    backend.answers["GetFacility"] = lambda request, _: organisation_pb2.GetFacilityResponse(
        facility=organisation_pb2.Facility(facility_id=request.facility_id, name="Les Tilleuls", etag="e7")
    )
    first = call("GET", f"/v1/facilities/{ID}")
    assert first.json == {
        "facility_id": ID,
        "name": "Les Tilleuls",
        "finess_et": "",
        "category_code": "",
        "category_label": "",
        "time_zone": "",
        "etag": "e7",
    }
    assert first.headers["ETag"] == '"e7"'
    for known in ('"e7"', 'W/"e7"', '"other", "e7"', "*"):
        again = call("GET", f"/v1/facilities/{ID}", headers={"If-None-Match": known})
        assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", '"e7"')
    # The service still saw every read: the journal tells who looked.
    assert len(backend.received) == 5
    assert call("GET", f"/v1/facilities/{ID}", headers={"If-None-Match": '"e6"'}).status_code == 200


def test_a_choice_of_the_contract_travels(call: Any, backend: Any) -> None:
    backend.answers["ReplaceDraft"] = lambda request, _: drafts_pb2.ReplaceDraftResponse(draft=request.draft)
    body = {"allergy": {"substance": "Pénicilline", "kind": "ALLERGY_KIND_UNSPECIFIED"}}
    answer = call("PUT", f"/v1/beneficiaries/{ID}/drafts/{OTHER}", json=body)
    assert backend.last.request.draft.WhichOneof("entry") == "allergy"
    assert answer.json["allergy"]["substance"] == "Pénicilline"
    assert "handover_note" not in answer.json


def test_a_deletion_answers_an_empty_object(call: Any) -> None:
    answer = call("DELETE", f"/v1/beneficiaries/{ID}/drafts/{OTHER}")
    assert (answer.status_code, answer.json) == (200, {})


def test_only_what_the_contract_names_is_forwarded(call: Any, backend: Any) -> None:
    call(
        "POST",
        f"/v1/beneficiaries/{ID}/allergies",
        json={"substance": "Latex"},
        headers={
            "Idempotency-Key": "key-1",
            "Accept-Language": "en-GB, fr;q=0.5",
            "X-Dui-Tenant": OTHER,
            "X-Dui-Subject": "somebody",
            "X-Dui-Request-Id": "mine",
            "X-Tenant-Id": OTHER,
            "Cookie": "a=b",
            "X-Forwarded-For": "10.0.0.1",
            "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
        },
    )
    metadata = backend.last.metadata
    known = {"authorization", "accept-language", "idempotency-key", "traceparent", "user-agent"}
    assert set(metadata) <= known
    assert metadata["idempotency-key"] == "key-1"
    assert metadata["accept-language"] == "en"
    assert metadata["traceparent"].startswith("00-4bf92f3577b34da6a3ce929d0e0e4736-")
    assert OTHER not in str(metadata)


def test_a_read_carries_no_write_headers(call: Any, backend: Any) -> None:
    call("GET", "/v1/me", headers={"Idempotency-Key": "k", "If-Match": '"e"'})
    assert {"idempotency-key", "if-match"}.isdisjoint(backend.last.metadata)


@pytest.mark.parametrize("key", ["", " ", "a b", "é", "x" * 101, "a\tb"])
def test_a_bad_idempotency_key_is_refused(call: Any, backend: Any, key: str) -> None:
    answer = call("POST", f"/v1/accounts/{ID}:invite", headers={"Idempotency-Key": key})
    assert (answer.status_code, answer.json["reason"]) == (400, "IDEMPOTENCY_KEY_INVALID")
    assert not backend.received


@pytest.mark.parametrize(
    ("header", "sent"), [('"abc"', "abc"), ('W/"abc"', "abc"), ("abc", "abc"), (' "a-b_c=" ', "a-b_c=")]
)
def test_if_match_is_forwarded_without_quotes(call: Any, backend: Any, header: str, sent: str) -> None:
    call("PATCH", f"/v1/facilities/{ID}", json={"name": "X"}, headers={"If-Match": header})
    assert backend.last.metadata["if-match"] == sent


@pytest.mark.parametrize("header", ["*", '"a", "b"', '""', '"é"', "a b", '"' + "x" * 200 + '"'])
def test_an_if_match_that_names_no_single_version_is_refused(call: Any, backend: Any, header: str) -> None:
    answer = call("PATCH", f"/v1/facilities/{ID}", json={"name": "X"}, headers={"If-Match": header})
    assert (answer.status_code, answer.json["reason"]) == (400, "IF_MATCH_INVALID")
    assert not backend.received


def test_every_call_has_a_deadline(call: Any, backend: Any) -> None:
    call("GET", "/v1/me")
    assert 3 < backend.last.time_remaining < 5.5


class Flaky:
    """Answers UNAVAILABLE a number of times, then well."""

    def __init__(self, times: int, answer: Message) -> None:
        self.times = times
        self.answer = answer

    def __call__(self, _request: Any, context: grpc.ServicerContext) -> Any:
        if self.times:
            self.times -= 1
            context.abort(grpc.StatusCode.UNAVAILABLE, "draining")
        return self.answer


def test_a_read_is_sent_again_when_nobody_answered(call: Any, backend: Any) -> None:
    backend.answers["GetMyAccount"] = Flaky(2, staff_pb2.GetMyAccountResponse())
    assert call("GET", "/v1/me").status_code == 200
    assert len(backend.received) == 3


def test_a_write_is_sent_again_only_with_an_idempotency_key(call: Any, backend: Any) -> None:
    path = f"/v1/beneficiaries/{ID}/allergies"
    backend.answers["CreateAllergy"] = Flaky(1, allergies_pb2.CreateAllergyResponse())
    assert call("POST", path, json={}).status_code == 503
    assert len(backend.received) == 1
    backend.answers["CreateAllergy"] = Flaky(1, allergies_pb2.CreateAllergyResponse())
    assert call("POST", path, json={}, headers={"Idempotency-Key": "k1"}).status_code == 201
    assert len(backend.received) == 3
    assert {received.metadata.get("idempotency-key") for received in backend.received[1:]} == {"k1"}


def test_retries_end(call: Any, backend: Any) -> None:
    backend.answers["GetMyAccount"] = Flaky(10, staff_pb2.GetMyAccountResponse())
    answer = call("GET", "/v1/me")
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]
    assert len(backend.received) == 3
