"""What holds for every service of the platform, a new one too: nobody has to think of it."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from dui_kit import testing
from dui_kit.db import migrate, tables
from dui_local.services import SERVICES, composition
from isolation import Catalogue, defects
from sqlalchemy import MetaData, Table, create_engine, make_url

HERE = Path(__file__).parent
KIT = {table.name for table in vars(tables).values() if isinstance(table, Table)}


@pytest.fixture(scope="module", params=sorted(SERVICES))
def service(request: pytest.FixtureRequest) -> str:
    """The name of each service."""
    return str(request.param)


@pytest.fixture(scope="module")
def catalogue(service: str) -> Iterator[Catalogue]:
    """The database of a service as its migrations make it."""
    with testing.postgres_server() as url:
        database = testing.create_database(url, service)
        migrate.upgrade(f"dui_{service}.migrations", database.owner_url)
        yield Catalogue(database)


def test_its_database_is_closed(catalogue: Catalogue) -> None:
    assert defects(catalogue) == []


def test_it_has_every_table_of_the_kit(catalogue: Catalogue) -> None:
    found = {name for (name,) in catalogue.admin("SELECT relname FROM pg_class WHERE relkind IN ('r', 'p')")}
    assert len(KIT) > 10
    assert KIT - found == set()


def _described(service: str) -> MetaData:
    """The kit's tables and the service's; another service's models may be loaded in the same process."""
    package = importlib.import_module(f"dui_{service}")
    for module in pkgutil.walk_packages(package.__path__, f"dui_{service}."):
        if module.name.endswith(".tables"):
            importlib.import_module(module.name)
    modules = [each for name, each in sys.modules.items() if name.startswith(f"dui_{service}.")]
    declared = {value for module in modules for value in vars(module).values() if isinstance(value, Table)}
    mapped = {
        mapper.local_table
        for mapper in tables.Base.registry.mappers
        if mapper.class_.__module__.startswith(f"dui_{service}.")
    }
    found = MetaData(naming_convention=tables.Base.metadata.naming_convention)
    for table in tables.Base.metadata.sorted_tables:
        if table in declared or table in mapped or table.name in KIT:
            table.to_metadata(found)
    return found


def test_its_models_and_its_migrations_describe_the_same_schema(service: str, catalogue: Catalogue) -> None:
    metadata = _described(service)
    assert len(metadata.tables) > len(KIT)
    # Months of the journal, which identity adds by itself.
    partitions = {name for (name,) in catalogue.admin("SELECT relname FROM pg_class WHERE relispartition")}
    engine = create_engine(make_url(catalogue.database.owner_url).set(drivername="postgresql+psycopg"))
    with engine.connect() as connection:
        options = {
            "compare_type": True,
            "target_metadata": metadata,
            "include_schemas": True,
            "include_name": lambda name, kind, _: (
                name in {None, "reference"} if kind == "schema" else name not in partitions
            ),
        }
        found = compare_metadata(MigrationContext.configure(connection, opts=options), metadata)
    engine.dispose()
    assert found == []
    # Alembic knows neither EXCLUDE nor CHECK: their names are compared here.
    there = {name for (name,) in catalogue.admin("SELECT conname FROM pg_constraint WHERE contype IN ('x', 'c')")}
    named = {
        str(constraint.name)
        for table in metadata.tables.values()
        for constraint in table.constraints
        if type(constraint).__name__ in {"CheckConstraint", "ExcludeConstraint"}
    }
    assert named <= there


def test_every_constraint_that_has_a_refusal_exists(service: str, catalogue: Catalogue) -> None:
    there = {
        name
        for (name,) in catalogue.admin(
            "SELECT conname FROM pg_constraint UNION SELECT indexrelid::regclass::text FROM pg_index WHERE indisunique"
        )
    }
    assert set(composition(service).constraints) <= there


def test_its_isolation_is_tested_call_by_call(service: str) -> None:
    assert "def test_every_rpc_has_a_case" in (HERE / f"test_isolation_{service}.py").read_text(encoding="utf-8")
