"""What migrations need: roles, row-level security, and the kit's own tables.

A service has three roles: `<service>_owner` runs migrations, `<service>_app` reads and writes under row-level security,
`<service>_relay` sees only what it publishes. Migrations run as the owner; the other names follow from its name.
"""

from __future__ import annotations

from typing import Protocol

from sqlalchemy import Connection, text

from dui_kit.db import tables

#: The tenant of the transaction. `nullif`: on a pooled connection the setting stays defined, as an empty string.
TENANT = "nullif(current_setting('dui.tenant', true), '')::uuid"


class Operations(Protocol):
    """What is used of `alembic.op`, which is a module."""

    def execute(self, sqltext: str) -> None:
        """Runs a statement."""

    def get_bind(self) -> Connection:
        """The connection of the migration."""


_KIT_TABLES: tuple[tuple[str, str, str | None], ...] = (
    # table, rights of the app role, rights of the relay role
    ("outbox", "SELECT, INSERT", "SELECT, UPDATE, DELETE"),
    ("journal_outbox", "INSERT", "SELECT, UPDATE, DELETE"),
    ("journal_counter", "SELECT", "SELECT, INSERT, UPDATE"),
    ("inbox", "SELECT, INSERT, DELETE", None),
    ("idempotency", "SELECT, INSERT, DELETE", None),
    ("entry_version", "SELECT, INSERT", None),
    ("access_tenant", "SELECT, INSERT, UPDATE, DELETE", "SELECT"),
    ("access_heartbeat", "SELECT, INSERT, UPDATE, DELETE", None),
    ("access_account", "SELECT, INSERT, UPDATE, DELETE", None),
    ("access_assignment", "SELECT, INSERT, UPDATE, DELETE", None),
    ("access_policy", "SELECT, INSERT, UPDATE, DELETE", None),
    ("access_break_glass", "SELECT, INSERT, UPDATE, DELETE", None),
    ("access_person", "SELECT, INSERT, UPDATE, DELETE", None),
    ("access_perimeter", "SELECT, INSERT, UPDATE, DELETE", None),
)
_PLACE_TABLES = (
    ("access_facility", "SELECT, INSERT, UPDATE, DELETE", None),
    ("access_unit", "SELECT, INSERT, UPDATE, DELETE", None),
)
_REACH_TABLES = (("journal_reached", "SELECT, INSERT, UPDATE, DELETE", "SELECT, INSERT, UPDATE"),)


def roles(op: Operations) -> tuple[str, str, str]:
    """Names of the owner, app and relay roles; raises RuntimeError when the migration does not run as an owner."""
    owner = op.get_bind().execute(text("select current_user")).scalar_one()
    if not owner.endswith("_owner"):
        message = f"migrations run as <service>_owner, not as {owner}: check DUI_DATABASE_OWNER_URL"
        raise RuntimeError(message)
    service = owner.removesuffix("_owner")
    return owner, f"{service}_app", f"{service}_relay"


def protect(op: Operations, table: str, *, app: str, relay: str | None = None) -> None:
    """Forces row-level security on a table that has `tenant_id`, and grants the rights named (`"SELECT, INSERT"`).

    The owner has an explicit policy: FORCE would otherwise make its backfills touch no row and its dumps empty (they need
    `pg_dump --enable-row-security`).
    """
    owner, app_role, relay_role = roles(op)
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY {table}_owner ON {table} TO {owner} USING (true) WITH CHECK (true)")
    op.execute(
        f"CREATE POLICY {table}_tenant ON {table} TO {app_role} "
        f"USING (tenant_id = {TENANT}) WITH CHECK (tenant_id = {TENANT})"
    )
    op.execute(f"GRANT {app} ON {table} TO {app_role}")
    if relay:
        op.execute(f"CREATE POLICY {table}_relay ON {table} TO {relay_role} USING (true) WITH CHECK (true)")
        op.execute(f"GRANT {relay} ON {table} TO {relay_role}")


def create_kit_tables(op: Operations) -> None:
    """Every table of the kit, for the first migration of a new service.

    A later change of them is a new function here, called in a new migration of every service and at the end of this one. It
    must do no harm to tables that were made by a later version of the functions before it (`IF NOT EXISTS`).
    """
    create_kit_tables_1(op)
    create_kit_tables_2(op)
    create_kit_tables_3(op)
    change_kit_tables_4(op)


def create_kit_tables_1(op: Operations) -> None:
    """The kit's tables as of their first version."""
    _, app_role, relay_role = roles(op)
    op.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    op.execute(f"GRANT USAGE ON SCHEMA public TO {app_role}, {relay_role}")
    # `check` compares the revision of the schema with the one that the code expects.
    op.execute(
        "DO $$ BEGIN IF to_regclass('alembic_version') IS NOT NULL THEN "
        f"GRANT SELECT ON alembic_version TO {app_role}; END IF; END $$"
    )
    _create(op, _KIT_TABLES)


def create_kit_tables_2(op: Operations) -> None:
    """The projections of facilities and units."""
    _create(op, _PLACE_TABLES)


def create_kit_tables_3(op: Operations) -> None:
    """How far the journal stands in the chain."""
    _create(op, _REACH_TABLES)


def change_kit_tables_4(op: Operations) -> None:
    """Rights by column: a service writes entries and events and neither numbers them nor calls them published; its relay
    numbers and marks them, and changes nothing else. The counter knows the entry under its number. And the open emergencies
    of an account are found by index."""
    _, app, relay = roles(op)
    op.execute(f"REVOKE INSERT ON journal_outbox, outbox FROM {app}")
    op.execute(f"GRANT INSERT (entry_id, tenant_id, payload) ON journal_outbox TO {app}")
    columns = "event_id, tenant_id, subject, event_type, aggregate_id, aggregate_version, payload, traceparent"
    op.execute(f"GRANT INSERT ({columns}) ON outbox TO {app}")
    op.execute(f"REVOKE UPDATE ON journal_outbox, outbox FROM {relay}")
    op.execute(f"GRANT UPDATE (sequence) ON journal_outbox TO {relay}")
    op.execute(f"GRANT UPDATE (published_at) ON outbox TO {relay}")
    op.execute("ALTER TABLE journal_counter ADD COLUMN IF NOT EXISTS published_entry_id uuid")
    op.execute(
        "UPDATE journal_counter c SET published_entry_id = o.entry_id FROM journal_outbox o"
        " WHERE o.tenant_id = c.tenant_id AND o.sequence = c.published_sequence"
    )
    op.execute(
        "CREATE INDEX IF NOT EXISTS access_break_glass_account_id_idx ON access_break_glass (tenant_id, account_id)"
    )


def _create(op: Operations, wanted: tuple[tuple[str, str, str | None], ...]) -> None:
    known = tables.Base.metadata.tables
    tables.Base.metadata.create_all(op.get_bind(), tables=[known[name] for name, _, _ in wanted])
    for name, app, relay in wanted:
        protect(op, name, app=app, relay=relay)
