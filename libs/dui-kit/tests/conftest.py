"""A real PostgreSQL for the kit's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from dui_kit.testing import postgres_server


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """Superuser URL of a server."""
    with postgres_server() as url:
        yield url
