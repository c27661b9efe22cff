"""The migrated schema is the one that the models describe, and the doors between associations are the five we know."""

from __future__ import annotations

import re

import dui_identity.journal.tables  # noqa: F401 -- its models are part of the schema
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from dui_identity.constraints import CONSTRAINTS
from dui_identity.testing import Association, open_association
from dui_kit.db import tables as kit
from dui_kit.db.migrate import revision_of
from dui_kit.db.tables import Base
from dui_kit.testing import Harness
from sqlalchemy import CheckConstraint, MetaData, Table, create_engine, make_url, text
from sqlalchemy.dialects.postgresql import ExcludeConstraint

#: Months of the journal, which the service adds by itself.
PARTITION = re.compile(r"journal_[a-z]+_\d{4}_\d{2}")


def described() -> MetaData:
    """The kit's tables and identity's; another service's models may be loaded in the same process."""
    own = {
        mapper.local_table for mapper in Base.registry.mappers if mapper.class_.__module__.startswith("dui_identity.")
    }
    shared = {value for value in vars(kit).values() if isinstance(value, Table)}
    found = MetaData(naming_convention=Base.metadata.naming_convention)
    for table in Base.metadata.sorted_tables:
        if table in own | shared:
            table.to_metadata(found)
    return found


def test_models_and_migrations_describe_the_same_schema(harness: Harness) -> None:
    metadata = described()
    engine = create_engine(make_url(harness.database.owner_url).set(drivername="postgresql+psycopg"))
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "include_name": lambda name, *_: not PARTITION.match(name or "")}
        )
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
        if isinstance(constraint, CheckConstraint | ExcludeConstraint)
    }
    assert {"assignment_overlap_excl", "assignment_place_check", "break_glass_reviewer_check"} <= named <= there


def test_every_mapped_constraint_exists(harness: Harness) -> None:
    there = {
        name
        for (name,) in harness.admin(
            "SELECT conname FROM pg_constraint UNION SELECT indexrelid::regclass::text FROM pg_index WHERE indisunique"
        )
    }
    assert set(CONSTRAINTS) <= there


def test_only_five_functions_cross_associations_and_only_the_service_may_call_them(harness: Harness) -> None:
    found = harness.admin(
        "SELECT p.proname, p.proconfig[1], array_agg(a.grantee::regrole::text ORDER BY 1) FROM pg_proc AS p,"
        " aclexplode(p.proacl) AS a WHERE p.prosecdef AND p.pronamespace = 'public'::regnamespace"
        " AND a.grantee <> p.proowner GROUP BY 1, 2 ORDER BY 1"
    )
    app = harness.database.app_url.split("//")[1].split(":")[0]
    path = "search_path=pg_catalog, pg_temp"
    names = ("all_tenants", "due_tenants", "due_work", "subject_elsewhere", "tenant_of_slug")
    expected = [(name, path, [app]) for name in names]
    assert [row for row in found if not row[0].startswith("journal_")] == expected


def test_they_tell_ids_and_numbers_only_and_not_of_the_association_that_asks(
    harness: Harness, association: Association
) -> None:
    other = open_association(harness)
    with harness.engine.connect() as connection:
        here = {"subject": association.administrator, "tenant": association.tenant_id}
        ask = text("SELECT subject_elsewhere(:subject, :tenant)")
        assert connection.execute(ask, here).scalar_one() == 0
        assert connection.execute(ask, here | {"tenant": other.tenant_id}).scalar_one() == 2
        # Without a tenant the tables themselves show nothing.
        assert connection.execute(text("SELECT count(*) FROM account")).scalar_one() == 0
        assert connection.execute(text("SELECT count(*) FROM association")).scalar_one() == 0


def test_the_service_itself_can_tell_whether_its_schema_is_the_expected_one(harness: Harness) -> None:
    found, expected = revision_of("dui_identity.migrations", harness.database.app_url)
    assert expected is not None
    assert found == expected
