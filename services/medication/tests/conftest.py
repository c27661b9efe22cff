"""A real PostgreSQL with the fictive formulary, and an association."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from dui_kit.testing import Harness, create_database, postgres_server

os.environ.setdefault("DUI_SEALING_KEY", "11" * 32)

from dui_medication.app import build
from dui_medication.testing import World, load


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """Superuser URL of a server."""
    with postgres_server() as url:
        yield url


@pytest.fixture(scope="session")
def harness(postgres: str) -> Iterator[Harness]:
    """Medication on a fresh database, with the fictive formulary."""
    harness = Harness(build(), create_database(postgres, "medication"))
    load(harness)
    yield harness
    harness.close()


@pytest.fixture
def empty(postgres: str) -> Iterator[Harness]:
    """Medication on a database of the test alone, without a catalogue."""
    harness = Harness(build(), create_database(postgres, "medication"))
    yield harness
    harness.close()


@pytest.fixture
def world(harness: Harness) -> World:
    """An association of its own for each test."""
    return World(harness, now=datetime.now(UTC) - timedelta(minutes=5))
