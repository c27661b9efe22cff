"""What holds for every service of the platform, a new one too: nobody has to think of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from dui_kit import testing
from dui_kit.db import migrate, tables
from dui_local.services import SERVICES
from isolation import Catalogue, defects
from sqlalchemy import Table

HERE = Path(__file__).parent
KIT = {table.name for table in vars(tables).values() if isinstance(table, Table)}


@pytest.fixture(scope="module", params=sorted(SERVICES))
def catalogue(request: pytest.FixtureRequest) -> Iterator[Catalogue]:
    """The database of a service as its migrations make it."""
    with testing.postgres_server() as url:
        database = testing.create_database(url, request.param)
        migrate.upgrade(f"dui_{request.param}.migrations", database.owner_url)
        yield Catalogue(database)


def test_its_database_is_closed(catalogue: Catalogue) -> None:
    assert defects(catalogue) == []


def test_it_has_every_table_of_the_kit(catalogue: Catalogue) -> None:
    found = {name for (name,) in catalogue.admin("SELECT relname FROM pg_class WHERE relkind IN ('r', 'p')")}
    assert len(KIT) > 10
    assert KIT - found == set()


@pytest.mark.parametrize("service", SERVICES)
def test_its_isolation_is_tested_call_by_call(service: str) -> None:
    assert "def test_every_rpc_has_a_case" in (HERE / f"test_isolation_{service}.py").read_text(encoding="utf-8")
