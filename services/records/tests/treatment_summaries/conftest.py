"""Records that ask a medication of the tests."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from dui_kit.calls.credentials import ServiceToken
from dui_kit.testing import Harness
from dui_records.app import build
from dui_records.settings import RecordsSettings
from dui_records.testing import World
from dui_records.testing_treatments import TOKEN, FakeMedication
from dui_records.treatment_summaries.remote import RemoteTreatments


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    """The identity provider gives records its token."""
    monkeypatch.setattr(ServiceToken, "get", lambda _self, **_: TOKEN.removeprefix("Bearer "))


@pytest.fixture
def fake() -> Iterator[FakeMedication]:
    """A medication on a free port."""
    found = FakeMedication()
    found.start()
    yield found
    found.stop()


@pytest.fixture
def treatments(fake: FakeMedication) -> Iterator[RemoteTreatments]:
    """The way to it."""
    found = RemoteTreatments(RecordsSettings(medication_target=f"127.0.0.1:{fake.port}"))
    yield found
    found.close()


@pytest.fixture
def ward(harness: Harness, treatments: RemoteTreatments) -> Iterator[World]:
    """An association whose records ask the fake medication."""
    connected = Harness(build(treatments=treatments), harness.database)
    yield World(connected, now=datetime.now(UTC) - timedelta(minutes=5))
    connected.close()
