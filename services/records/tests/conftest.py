"""A real PostgreSQL, and a small world: two associations, their facilities and people who work there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from dui_kit.testing import Harness, create_database, postgres_server

os.environ.setdefault("DUI_SEALING_KEY", "11" * 32)

from dui_records.app import build
from dui_records.testing import World


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """Superuser URL of a server."""
    with postgres_server() as url:
        yield url


@pytest.fixture(scope="session")
def harness(postgres: str) -> Iterator[Harness]:
    """Records on a fresh database, not connected to INSi."""
    harness = Harness(build(), create_database(postgres, "records"))
    yield harness
    harness.close()


@pytest.fixture
def world(harness: Harness) -> World:
    """An association of its own for each test: nothing that another test wrote is in it."""
    return World(harness, now=datetime.now(UTC) - timedelta(minutes=5))


@pytest.fixture
def elsewhere(harness: Harness) -> World:
    """Another association."""
    return World(harness, now=datetime.now(UTC) - timedelta(minutes=5))
