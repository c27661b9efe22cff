"""Identity on a real PostgreSQL, called through its guard; one database for all tests, one association for each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from dui_identity.app import build
from dui_identity.settings import IdentitySettings
from dui_identity.testing import Association, open_association
from dui_kit.testing import Harness, create_database, postgres_server
from pydantic import SecretStr

KEY = "22" * 32


@pytest.fixture(scope="session")
def harness() -> Iterator[Harness]:
    """The service."""
    with postgres_server() as url:
        found = Harness(build(IdentitySettings(sealing_key=SecretStr(KEY))), create_database(url, "identity"))
        yield found
        found.close()


@pytest.fixture
def association(harness: Harness) -> Association:
    """An association of this test alone."""
    return open_association(harness)
