"""A real PostgreSQL and a real NATS for the worker's tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from dui.journal.v1 import journal_pb2
from dui_kit import testing
from dui_kit.calls.outbox import Outbox, journal_step
from dui_kit.db import schema
from dui_kit.db.statements import run
from dui_kit.ids import new_id
from dui_kit.settings import ServiceSettings
from dui_kit.worker.testing import Nats, nats_running
from google.protobuf.message import Message
from pydantic import SecretStr
from sqlalchemy import create_engine
from sqlalchemy.engine import make_url


@pytest.fixture
def nats_server(tmp_path: Path) -> Iterator[Nats]:
    with nats_running(tmp_path / "nats") as server:
        yield server


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    with testing.postgres_server() as url:
        yield url


@dataclass
class Store:
    """The database of one service with the kit's tables and a table of effects."""

    service: str
    urls: testing.Database
    nats_url: str = ""
    nats_owner_url: str = ""

    def admin(self, statement: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.urls.admin_url, autocommit=True) as connection:
            cursor = connection.execute(statement.encode(), parameters)
            return cursor.fetchall() if cursor.description else []

    def tenant(self) -> str:
        """A new association that the service knows."""
        tenant_id = new_id()
        self.admin("INSERT INTO access_tenant (tenant_id, active, version) VALUES (%s, true, 1)", (tenant_id,))
        return tenant_id

    def write(self, tenant_id: str, *events: Message, traceparent: str | None = None) -> None:
        """One transaction of the service that announces events."""
        with psycopg.connect(self.urls.app_url) as connection:
            connection.execute("SELECT set_config('dui.tenant', %s, true)", (tenant_id,))
            outbox = Outbox(self.service, tenant_id, traceparent)
            for event in events:
                outbox.add(event)
            outbox.write(connection)

    def journal(self, tenant_id: str, count: int) -> None:
        """One transaction of the service that writes journal entries."""
        with psycopg.connect(self.urls.app_url) as connection:
            connection.execute("SELECT set_config('dui.tenant', %s, true)", (tenant_id,))
            for _ in range(count):
                run(connection, journal_step(tenant_id, journal_pb2.JournalEntry(entry_id=new_id(), subject="s")))

    def effects(self, tenant_id: str) -> list[tuple[str, int]]:
        """What consumers of this service have done, in the order in which they did it."""
        return [
            (row[0], row[1])
            for row in self.admin(
                "SELECT aggregate_id, version FROM effect WHERE tenant_id = %s ORDER BY place", (tenant_id,)
            )
        ]

    def unpublished(self) -> int:
        return int(self.admin("SELECT count(*) FROM outbox WHERE published_at IS NULL")[0][0])

    def settings(self, **more: Any) -> ServiceSettings:
        return ServiceSettings(
            database_url=SecretStr(self.urls.app_url),
            database_relay_url=SecretStr(self.urls.relay_url),
            nats_url=SecretStr(self.nats_url),
            nats_owner_url=SecretStr(self.nats_owner_url),
            **more,
        )


@pytest.fixture
def make_store(postgres_url: str, nats_server: Nats) -> Callable[[str], Store]:
    def make(service: str) -> Store:
        urls = testing.create_database(postgres_url, service)
        engine = create_engine(make_url(urls.owner_url).set(drivername="postgresql+psycopg"))
        with engine.begin() as connection:
            op = Operations(MigrationContext.configure(connection))
            op.execute("CREATE TABLE alembic_version (version_num varchar(32))")
            schema.create_kit_tables(op)
            op.execute(
                "CREATE TABLE effect (place bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, tenant_id uuid NOT NULL, "
                "aggregate_id text NOT NULL, version int NOT NULL)"
            )
            schema.protect(op, "effect", app="SELECT, INSERT")
        engine.dispose()
        return Store(service, urls, nats_server.url, nats_server.url)

    return make


@pytest.fixture
def store(make_store: Callable[[str], Store]) -> Store:
    """A service that owns facts and consumes its own events."""
    return make_store("records")
