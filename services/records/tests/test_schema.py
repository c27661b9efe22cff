"""The migrated schema is the one that the models describe."""

from __future__ import annotations

import sys

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from dui_kit.db import tables as kit
from dui_kit.db.tables import Base
from dui_kit.testing import Harness
from dui_records.constraints import CONSTRAINTS
from sqlalchemy import MetaData, Table, create_engine, make_url, text


def described() -> MetaData:
    """The kit's tables and records'; another service's models may be loaded in the same process."""
    modules = [kit, *(module for name, module in sys.modules.items() if name.startswith("dui_records."))]
    own = {value for module in modules for value in vars(module).values() if isinstance(value, Table)}
    found = MetaData(naming_convention=Base.metadata.naming_convention)
    for table in Base.metadata.sorted_tables:
        if table in own:
            table.to_metadata(found)
    return found


def test_models_and_migrations_describe_the_same_schema(harness: Harness) -> None:
    metadata = described()
    engine = create_engine(make_url(harness.database.owner_url).set(drivername="postgresql+psycopg"))
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "target_metadata": metadata})
        found = compare_metadata(context, metadata)
        # Alembic knows neither EXCLUDE nor CHECK: their names are compared here.
        rows = connection.execute(text("SELECT conname FROM pg_constraint WHERE contype IN ('x', 'c')"))
        there = {row.conname for row in rows}
    engine.dispose()
    assert found == []
    named = {
        str(constraint.name)
        for table in metadata.tables.values()
        for constraint in table.constraints
        if type(constraint).__name__ in {"CheckConstraint", "ExcludeConstraint"}
    }
    assert named <= there
    assert len(named) >= 10


def test_every_mapped_constraint_exists(harness: Harness) -> None:
    there = {
        name
        for (name,) in harness.admin(
            "SELECT conname FROM pg_constraint UNION SELECT indexrelid::regclass::text FROM pg_index WHERE indisunique"
        )
    }
    assert set(CONSTRAINTS) <= there


def test_evidence_and_history_are_append_only_for_the_service(harness: Harness) -> None:
    app = harness.database.app_url.split("//")[1].split(":")[0]
    for table in ("insi_answer", "identity_check", "beneficiary_merge", "entry_version"):
        [(update, delete)] = harness.admin(
            "SELECT has_table_privilege(%s, %s, 'UPDATE'), has_table_privilege(%s, %s, 'DELETE')",
            (app, table, app, table),
        )
        assert (update, delete) == (False, False), table
