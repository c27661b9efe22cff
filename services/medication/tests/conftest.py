"""A real PostgreSQL with the fictive formulary, and an association."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from dui_kit.testing import Harness, create_database, postgres_server

os.environ.setdefault("DUI_SEALING_KEY", "11" * 32)

from dui_medication.app import build
from dui_medication.testing import KnownPeople, World, inform, load


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """Superuser URL of a server."""
    with postgres_server() as url:
        yield url


@pytest.fixture(scope="session")
def signing_key(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The key that seals prescriptions."""
    file = tmp_path_factory.mktemp("secrets") / "prescription-signing.pem"
    key = Ed25519PrivateKey.generate()
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DUI_PRESCRIPTION_SIGNING_KEY_FILE", str(file))
        yield file


@pytest.fixture(scope="session")
def people() -> KnownPeople:
    """What records and identity say in these tests."""
    return KnownPeople()


@pytest.fixture(scope="session")
def harness(postgres: str, signing_key: Path, people: KnownPeople) -> Iterator[Harness]:
    """Medication on a fresh database, with the fictive formulary."""
    del signing_key
    harness = Harness(build(people), create_database(postgres, "medication"))
    load(harness)
    yield harness
    harness.close()


@pytest.fixture(scope="session")
def informed(postgres: str, signing_key: Path, people: KnownPeople) -> Iterator[Harness]:
    """Medication with the formulary and a current thesaurus."""
    del signing_key
    harness = Harness(build(people), create_database(postgres, "medication"))
    load(harness)
    inform(harness, datetime.now(UTC).date() - timedelta(days=30))
    yield harness
    harness.close()


@pytest.fixture
def ward(informed: Harness, people: KnownPeople) -> World:
    """An association of its own for each test, whose platform has a current thesaurus."""
    people.__init__()  # type: ignore[misc] # what a test sets, the next one does not see
    return World(informed, now=datetime.now(UTC) - timedelta(minutes=5))


@pytest.fixture
def empty(postgres: str) -> Iterator[Harness]:
    """Medication on a database of the test alone, without a catalogue."""
    harness = Harness(build(), create_database(postgres, "medication"))
    yield harness
    harness.close()


@pytest.fixture
def world(harness: Harness, people: KnownPeople) -> World:
    """An association of its own for each test."""
    people.__init__()  # type: ignore[misc] # what a test sets, the next one does not see
    return World(harness, now=datetime.now(UTC) - timedelta(minutes=5))
