"""The migrated schema is the one that the models describe."""

from __future__ import annotations

import sys

import psycopg
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from dui_kit.db import migrate
from dui_kit.db import tables as kit
from dui_kit.db.tables import Base
from dui_kit.testing import Harness, create_database
from dui_records.constraints import CONSTRAINTS
from dui_records.recognition.rules import name_keys
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


def test_names_without_a_latin_letter_that_are_there_get_the_sound_that_new_ones_have(postgres: str) -> None:
    """Records of several associations, as they were written before migration 0005; names: birth name and name in use."""
    database = create_database(postgres, "records")
    migrate.upgrade("dui_records.migrations", database.owner_url, "0004")
    names = [("Шевченко", "Шевченко"), ("李", "Durand"), ("Durand", "حسن"), ("Le Goff", "Le Goff")]
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        for birth_name, used_name in names:
            keys = name_keys(birth_name, "Camille", used_name, None)
            before = [code if code.isascii() else "" for code in (keys.birth_name_sound, keys.family_sound)]
            admin.execute(
                "INSERT INTO beneficiary (tenant_id, beneficiary_id, version, recorded_at, birth_name, birth_given_names,"
                " birth_date, sex, used_name, identity_status, doubtful, fictitious, birth_name_key, birth_given_key,"
                " birth_name_sound, family_key, given_key, family_sound, homonym_key, person_version, opened_facility_id,"
                " opened_at) VALUES (uuidv7(), uuidv7(), 1, now(), %s, '{Camille}', '1950', 2, %s, 1, false, false, %s,"
                " 'CAMILLE', %s, %s, 'CAMILLE', %s, %s, 1, uuidv7(), now())",
                (birth_name, used_name, keys.birth_name_key, before[0], keys.family_key, before[1], keys.homonym_key),
            )
        migrate.upgrade("dui_records.migrations", database.owner_url, "0005")
        rows = admin.execute(
            "SELECT birth_name_sound, family_sound FROM beneficiary ORDER BY beneficiary_id"
        ).fetchall()
    assert rows == [("ШЕВЧЕНКО", "ШЕВЧЕНКО"), ("李", "D653"), ("D653", "حسن"), ("L210", "L210")]
