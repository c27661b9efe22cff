"""What medication asks records and identity, over gRPC, and what it does when they are away."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography.exceptions import InvalidTag
from dui.identity.v1 import directory_pb2, directory_pb2_grpc
from dui.medication.v1 import prescriptions_pb2 as pb
from dui.medication.v1 import reviews_pb2
from dui.records.v1 import identity_strips_pb2, identity_strips_pb2_grpc
from dui_kit.calls.credentials import ServiceToken
from dui_kit.testing import CallFailed, Harness, create_database
from dui_kit.times import to_timestamp
from dui_medication.app import build
from dui_medication.people.remote import RemotePeople
from dui_medication.settings import MedicationSettings
from dui_medication.testing import World, load, order, today
from pydantic import SecretStr

PARACETAMOL = "99000001"


@dataclass
class Neighbours(directory_pb2_grpc.DirectoryServiceServicer, identity_strips_pb2_grpc.IdentityStripServiceServicer):
    """Both services at one address, as far as medication asks them."""

    away: bool = False
    unknown: bool = False
    asked: list[tuple[str, str]] = field(default_factory=list)

    def _check(self, context: Any) -> None:
        self.asked.append((context.invocation_metadata()[0].key, dict(context.invocation_metadata())["authorization"]))
        if self.away:
            context.abort(grpc.StatusCode.UNAVAILABLE, "away")

    def GetPrescriber(self, request: Any, context: Any) -> directory_pb2.GetPrescriberResponse:
        self._check(context)
        if self.unknown:
            context.abort(grpc.StatusCode.NOT_FOUND, "not there")
        prescriber = directory_pb2.Prescriber(
            account_id=request.account_id,
            facility_id=request.facility_id,
            family_name="Lemaire",
            given_name="Claire",
            rpps="10003000048",
            facility_name="EHPAD",
            finess_et="750100042",
        )
        return directory_pb2.GetPrescriberResponse(prescriber=prescriber)

    def GetIdentityStrip(self, request: Any, context: Any) -> identity_strips_pb2.GetIdentityStripResponse:
        self._check(context)
        strip = identity_strips_pb2.IdentityStrip(
            beneficiary_id=request.beneficiary_id,
            surviving_id=request.beneficiary_id,
            birth_name="Garnier",
            birth_given_names=["Odette"],
            birth_date="1938-05-04",
            read_at=to_timestamp(datetime.now(UTC)),
        )
        return identity_strips_pb2.GetIdentityStripResponse(strip=strip)


@pytest.fixture(scope="module")
def neighbours() -> Iterator[tuple[Neighbours, str]]:
    found = Neighbours()
    server = grpc.server(ThreadPoolExecutor(2))
    directory_pb2_grpc.add_DirectoryServiceServicer_to_server(found, server)
    identity_strips_pb2_grpc.add_IdentityStripServiceServicer_to_server(found, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield found, f"127.0.0.1:{port}"
    server.stop(None)


@pytest.fixture(scope="module")
def ward(neighbours: tuple[Neighbours, str], postgres: str, signing_key: Path) -> Iterator[World]:
    """Medication that asks over the wire."""
    del signing_key
    _, target = neighbours
    settings = MedicationSettings(identity_target=target, records_target=target, sealing_key=SecretStr("11" * 32))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ServiceToken, "get", lambda _self, **_: "of-medication")
        harness = Harness(build(RemotePeople(settings)), create_database(postgres, "medication"))
        load(harness)
        yield World(harness, now=datetime.now(UTC) - timedelta(minutes=5))
        harness.close()


@pytest.fixture(autouse=True)
def _there(neighbours: tuple[Neighbours, str]) -> None:
    found, _ = neighbours
    found.away = found.unknown = False
    found.asked.clear()


def check(ward: World) -> pb.SafetyReport:
    content = pb.Prescription(facility_id=ward.home, orders=[order(PARACETAMOL)])
    request = pb.CheckPrescriptionRequest(beneficiary_id=ward.person, prescription=content)
    report: pb.SafetyReport = ward.call("PrescriptionService/CheckPrescription", request).report
    return report


def test_the_record_is_asked_at_each_check_with_the_service_s_own_token(
    ward: World, neighbours: tuple[Neighbours, str]
) -> None:
    assert check(ward).record.current
    assert check(ward).record.current
    assert [token for _, token in neighbours[0].asked] == ["Bearer of-medication"] * 2


def test_what_the_record_said_at_a_signature_is_used_while_it_is_away_and_its_age_is_told(
    ward: World, neighbours: tuple[Neighbours, str]
) -> None:
    before = datetime.now(UTC)
    ward.prescribe(order(PARACETAMOL))
    neighbours[0].away = True
    found = check(ward).record
    assert not found.current
    assert found.read_at.ToDatetime(UTC) >= before - timedelta(seconds=1)
    assert "ALLERGIES_UNKNOWN" not in {each.code for each in check(ward).unavailable}


def test_of_somebody_whose_record_was_never_read_nothing_is_known_while_it_is_away(
    ward: World, neighbours: tuple[Neighbours, str]
) -> None:
    neighbours[0].away = True
    content = pb.Prescription(facility_id=ward.home, orders=[order(PARACETAMOL)])
    request = pb.CheckPrescriptionRequest(beneficiary_id=ward.second, prescription=content)
    report = ward.call("PrescriptionService/CheckPrescription", request).report
    assert not report.record.HasField("read_at")
    assert "ALLERGIES_UNKNOWN" in {each.code for each in report.unavailable}


def test_what_is_kept_is_sealed_for_its_person(ward: World) -> None:
    ward.prescribe(order(PARACETAMOL, starts_on=today().isoformat()))
    [(person, sealed)] = ward.harness.admin(
        "SELECT beneficiary_id::text, sealed FROM identity_strip WHERE tenant_id = %s", (ward.tenant,)
    )
    assert person == ward.person
    assert b"Garnier" not in bytes(sealed)
    seals = ward.harness.toolbox.seals
    opened = seals.open(bytes(sealed), f"identity_strip|{ward.tenant}|{ward.person}".encode())
    assert b"Garnier" in opened
    with pytest.raises(InvalidTag):
        seals.open(bytes(sealed), f"identity_strip|{ward.tenant}|{ward.second}".encode())


def test_without_the_directory_nothing_is_signed_and_the_draft_stays(
    ward: World, neighbours: tuple[Neighbours, str]
) -> None:
    draft = ward.draft(order(PARACETAMOL))
    neighbours[0].unknown = True
    with pytest.raises(CallFailed) as unknown:
        ward.sign(draft)
    assert unknown.value.reason == "PRESCRIBER_UNKNOWN"
    neighbours[0].away = True
    with pytest.raises(CallFailed) as away:
        ward.sign(draft)
    assert (away.value.code, away.value.reason) == ("UNAVAILABLE", "DIRECTORY_AWAY")
    neighbours[0].away = neighbours[0].unknown = False
    assert ward.sign(draft).status == pb.PRESCRIPTION_STATUS_SIGNED


def test_a_review_is_named_by_the_directory_and_kept_without_a_name_when_it_cannot_tell(
    ward: World, neighbours: tuple[Neighbours, str]
) -> None:
    lines = ward.prescribe(order(PARACETAMOL), order(PARACETAMOL, "12:00"), order(PARACETAMOL, "20:00")).line_ids
    names = []
    for line_id, unknown, away in zip(lines, (False, True, False), (False, False, True), strict=True):
        neighbours[0].unknown, neighbours[0].away = unknown, away
        of = {"beneficiary_id": ward.person, "prescription_line_id": line_id}
        line = ward.call("PrescriptionService/GetPrescriptionLine", pb.GetPrescriptionLineRequest(**of))
        assert line.prescription_line.prescriber_name == "Claire LEMAIRE"
        request = reviews_pb2.ReviewPrescriptionLineRequest(**of, review=pb.LineReview(outcome=1))
        options = {"as_": "pharmacist", "if_match": line.prescription_line.etag}
        done = ward.call("ReviewService/ReviewPrescriptionLine", request, **options).prescription_line
        assert done.review.outcome == pb.REVIEW_OUTCOME_ACCEPTED
        names.append(done.review.reviewer_name)
    assert names == ["Claire LEMAIRE", "", ""]
