"""Who signs and for whom: asked of identity and records, and what is known while records is away."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from dui.identity.v1 import directory_pb2
from dui.medication.v1 import prescriptions_pb2 as pb
from dui.records.v1 import identity_strips_pb2
from dui_kit.calls.seals import Seals
from dui_kit.settings import ServiceSettings
from dui_kit.testing import CallFailed, Harness, create_database
from dui_kit.times import to_timestamp
from dui_medication.app import build
from dui_medication.people.remote import FAILURES, RemotePeople
from dui_medication.testing import World, load, order
from google.protobuf.message import Message

PARACETAMOL = "99000001"


class _Status(grpc.RpcError):
    """A call that another service did not answer as asked."""

    def __init__(self, code: grpc.StatusCode) -> None:
        self._code = code

    def code(self) -> grpc.StatusCode:
        return self._code


class Others:
    """Stands where the clients of identity and records stand."""

    def __init__(self) -> None:
        self.record: Exception | None = None
        self.directory: Exception | None = None
        self.token: Exception | None = None
        #: Somebody else than who was asked for.
        self.confused = False
        self.read_at: datetime | None = None
        #: How often the record was asked.
        self.asked = 0

    def get(self, *, timeout: float) -> str:
        if self.token:
            raise self.token
        return "token"

    def call(self, operation: str, request: Any, _reply: type[Message], *, token: str, timeout: float) -> Any:
        if operation.endswith("GetPrescriber"):
            if self.directory:
                raise self.directory
            prescriber = directory_pb2.Prescriber(
                account_id=request.account_id, family_name="Lemaire", rpps="10003000048"
            )
            return directory_pb2.GetPrescriberResponse(prescriber=prescriber)
        self.asked += 1
        if self.record:
            raise self.record
        who = "0197a000-0000-7000-8000-000000000001" if self.confused else request.beneficiary_id
        strip = identity_strips_pb2.IdentityStrip(
            beneficiary_id=who,
            surviving_id=who,
            birth_name="Garnier",
            birth_date="1938-05-04",
            read_at=to_timestamp(self.read_at or datetime.now(UTC)),
        )
        return identity_strips_pb2.GetIdentityStripResponse(strip=strip)


@pytest.fixture
def others() -> Others:
    return Others()


@pytest.fixture
def ward(postgres: str, signing_key: Path, others: Others) -> Iterator[World]:
    del signing_key
    people = RemotePeople(ServiceSettings())
    for neighbour in (people._identity, people._records):
        neighbour._client = neighbour._token = others  # type: ignore[assignment]
    harness = Harness(build(people), create_database(postgres, "medication"))
    load(harness)
    yield World(harness, now=datetime.now(UTC) - timedelta(minutes=5))
    harness.close()


def record(ward: World) -> pb.RecordState:
    content = pb.Prescription(facility_id=ward.home, orders=[order(PARACETAMOL)])
    request = pb.CheckPrescriptionRequest(beneficiary_id=ward.person, prescription=content)
    found: pb.RecordState = ward.call("PrescriptionService/CheckPrescription", request).report.record
    return found


def refusal(ward: World) -> CallFailed:
    with pytest.raises(CallFailed) as refused:
        ward.prescribe(order(PARACETAMOL))
    return refused.value


AWAY = [
    _Status(grpc.StatusCode.UNAVAILABLE),
    _Status(grpc.StatusCode.DEADLINE_EXCEEDED),
    _Status(grpc.StatusCode.NOT_FOUND),
]


@pytest.mark.parametrize("failure", AWAY, ids=lambda failure: failure.code().name)
def test_while_the_record_is_away_what_it_said_last_is_known_with_its_age(
    ward: World, others: Others, failure: Exception
) -> None:
    signed = ward.prescribe(order(PARACETAMOL))
    assert signed.report.record.current
    others.record = failure
    again = ward.prescribe(order(PARACETAMOL))
    assert not again.report.record.current
    assert again.report.record.read_at == signed.report.record.read_at
    assert again.person.birth_name == "Garnier"


@pytest.mark.parametrize(
    "failure",
    [httpx.ConnectError("away"), httpx.ReadTimeout("slow"), httpx.DecodingError("no token")],
    ids=lambda each: type(each).__name__,
)
def test_without_a_token_of_its_own_the_service_says_what_is_away(
    ward: World, others: Others, failure: Exception
) -> None:
    others.token = failure
    assert not record(ward).HasField("read_at")
    failed = refusal(ward)
    assert (failed.code, failed.reason) == ("UNAVAILABLE", "DIRECTORY_AWAY")


def test_who_signs_is_told_by_the_directory_or_nothing_is_signed(ward: World, others: Others) -> None:
    others.directory = _Status(grpc.StatusCode.UNAVAILABLE)
    failed = refusal(ward)
    assert (failed.code, failed.reason) == ("UNAVAILABLE", "DIRECTORY_AWAY")
    others.directory = _Status(grpc.StatusCode.NOT_FOUND)
    failed = refusal(ward)
    assert (failed.reason, failed.field) == ("PRESCRIBER_UNKNOWN", "facility_id")


def test_a_record_that_does_not_answer_is_left_alone_for_a_while(ward: World, others: Others) -> None:
    others.record = AWAY[0]
    for _ in range(5):
        assert not record(ward).HasField("read_at")
    assert others.asked == FAILURES


def test_what_was_kept_under_another_key_is_as_if_it_was_not(ward: World, others: Others) -> None:
    """`DUI_SEALING_KEY` was changed while records was away: the check says that it knows nothing, and does not fail."""
    ward.prescribe(order(PARACETAMOL))
    others.record = AWAY[0]
    assert record(ward).HasField("read_at")
    [(sealed,)] = ward.harness.admin("SELECT sealed FROM identity_strip")
    context = f"identity_strip|{ward.tenant}|{ward.person}".encode()
    other = Seals("22" * 32).seal(Seals("11" * 32).open(bytes(sealed), context), context)
    ward.harness.admin("UPDATE identity_strip SET sealed = %s", (other,))
    assert not record(ward).HasField("read_at")
    assert refusal(ward).reason == "RECORD_AWAY"


def test_what_was_kept_of_one_person_is_never_taken_for_another(ward: World, others: Others) -> None:
    ward.prescribe(order(PARACETAMOL), person=ward.second)
    ward.harness.admin("UPDATE identity_strip SET beneficiary_id = %s", (ward.person,))
    others.record = AWAY[0]
    assert not record(ward).HasField("read_at")


def test_an_answer_about_somebody_else_is_not_taken(ward: World, others: Others) -> None:
    others.confused = True
    assert not record(ward).HasField("read_at")
    assert refusal(ward).reason == "RECORD_AWAY"


def test_what_was_read_later_is_kept_whichever_signature_ends_last(ward: World, others: Others) -> None:
    ward.prescribe(order(PARACETAMOL))
    newest = ward.harness.admin("SELECT read_at FROM identity_strip")
    others.read_at = datetime.now(UTC) - timedelta(hours=1)
    ward.prescribe(order(PARACETAMOL))
    assert ward.harness.admin("SELECT read_at FROM identity_strip") == newest
