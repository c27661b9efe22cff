"""Migrations: run by the owner role, with bounded locks, one at a time."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from alembic import command, context
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, pool, text
from sqlalchemy.engine import Engine, make_url

from dui_kit.db.tables import Base

#: Any number that nothing else locks: two migration jobs wait for each other.
_LOCK = 7_315_001
LOCK_TIMEOUT = "5s"


def _config(package: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(str(files(package)))))
    return config


def _engine(url: str) -> Engine:
    return create_engine(
        make_url(url).set(drivername="postgresql+psycopg"),
        poolclass=pool.NullPool,
        connect_args={"options": f"-c lock_timeout={LOCK_TIMEOUT} -c timezone=UTC", "application_name": "dui-migrate"},
    )


def upgrade(package: str, owner_url: str, revision: str = "head") -> None:
    """Brings the schema of the service to `revision`, as the owner role; waits for another migration to end."""
    config = _config(package)
    config.attributes["url"] = owner_url
    command.upgrade(config, revision)


def revision_of(package: str, url: str) -> tuple[str | None, str | None]:
    """The revision that the database has, and the one that this code expects."""
    expected = ScriptDirectory.from_config(_config(package)).get_current_head()
    engine = _engine(url)
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision(), expected


def run() -> None:
    """What a service's `migrations/env.py` calls."""
    engine = _engine(context.config.attributes["url"])
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _LOCK})
        connection.commit()
        context.configure(connection=connection, target_metadata=Base.metadata, transaction_per_migration=True)
        with context.begin_transaction():
            context.run_migrations()
