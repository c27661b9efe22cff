"""What proves that one association gets nothing of another: the catalogue of a database, and the rows of a tenant."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import psycopg
from dui_kit.ids import new_id
from dui_kit.testing import CallFailed, Database, Harness
from dui_kit.wire.contract import Rule
from google.protobuf.message import Message
from psycopg import sql
from psycopg.types.json import Jsonb

#: Tables that belong to no association, and why.
WITHOUT_TENANT = {"alembic_version": "the revision of the schema"}
#: Unique constraints without `tenant_id`, and why: another association's row may be felt, never seen.
UNIQUE_WITHOUT_TENANT = {
    "association_slug_key": "the short name of an association is its name in logins, for the whole platform",
    "outbox_pkey": "an id of ours, made here and never taken from a caller",
    "journal_outbox_pkey": "an id of ours, made here and never taken from a caller",
    "inbox_pkey": "ids of events of ours, never taken from a caller",
    "account_login_key": "a login is typed before anybody knows the association",
}


def tenant_tables(harness: Harness) -> list[str]:
    """Every table and partitioned table that has `tenant_id`; partitions follow their parent."""
    return [
        row[0]
        for row in harness.admin(
            "SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'"
            " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY 1"
        )
    ]


@dataclass
class Catalogue:
    """A database without its service: what `defects` asks of it."""

    database: Database

    def admin(self, statement: str, parameters: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        """A statement as the superuser."""
        with psycopg.connect(self.database.admin_url, autocommit=True) as connection:
            return connection.execute(statement.encode(), parameters).fetchall()


def defects(harness: Harness | Catalogue) -> list[str]:
    """Every way in which the database would let one association reach another; empty when there is none."""
    app = psycopg.conninfo.conninfo_to_dict(harness.database.app_url)["user"]
    found = [
        f"{table}: {problem}"
        for table, problem in harness.admin(
            """
            SELECT c.relname, CASE
              WHEN NOT c.relrowsecurity THEN 'no row-level security'
              WHEN NOT c.relforcerowsecurity THEN 'row-level security is not forced'
              ELSE 'no policy of the app role keeps to the tenant' END
            FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
            WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
              AND (NOT c.relrowsecurity OR NOT c.relforcerowsecurity OR (NOT c.relispartition AND (
                NOT EXISTS (SELECT 1 FROM pg_policies p WHERE p.tablename = c.relname AND %(app)s = ANY (p.roles)
                  AND p.qual LIKE '%%tenant_id =%%dui.tenant%%' AND p.with_check LIKE '%%tenant_id =%%dui.tenant%%')
                OR EXISTS (SELECT 1 FROM pg_policies p WHERE p.tablename = c.relname
                  AND (%(app)s = ANY (p.roles) OR 'public' = ANY (p.roles))
                  AND coalesce(p.qual, '') NOT LIKE '%%tenant_id =%%dui.tenant%%'))))
            """,
            {"app": app},  # type: ignore[arg-type]
        )
    ]
    found += [
        f"{table}: no tenant_id"
        for (table,) in harness.admin(
            "SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'm', 'v')"
            " AND NOT EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id')"
        )
        if table not in WITHOUT_TENANT
    ]
    found += [
        f"{name}: a key that leaves tenant_id out ({kind})"
        for name, kind in harness.admin(
            """
            SELECT k.conname, k.contype::text FROM pg_constraint k
            JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attname = 'tenant_id'
            WHERE k.connamespace = 'public'::regnamespace AND k.contype IN ('p', 'u', 'f', 'x') AND NOT a.attnum = ANY (k.conkey)
            UNION ALL
            SELECT i.relname, 'unique index' FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
            JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attname = 'tenant_id'
            WHERE x.indisunique AND i.relnamespace = 'public'::regnamespace AND NOT a.attnum = ANY (x.indkey)
            """
        )
        if name not in UNIQUE_WITHOUT_TENANT
    ]
    found += [
        f"reference.{table}: {problem}"
        for table, problem in harness.admin(
            """
            SELECT c.relname, CASE WHEN a.attname IS NULL THEN 'somebody may write what all associations read'
              ELSE 'reference data belong to no association' END
            FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
            WHERE c.relnamespace = to_regnamespace('reference') AND c.relkind IN ('r', 'p') AND (a.attname IS NOT NULL
              OR EXISTS (SELECT FROM aclexplode(c.relacl) g WHERE g.grantee <> c.relowner
                AND (g.privilege_type <> 'SELECT' OR g.grantee::regrole::text <> %(app)s)))
            """,
            {"app": app},  # type: ignore[arg-type]
        )
    ]
    [(superuser, bypass, owned)] = harness.admin(
        "SELECT rolsuper, rolbypassrls, (SELECT count(*) FROM pg_class WHERE relowner = r.oid) FROM pg_roles r WHERE rolname = %s",
        (app,),
    )
    if superuser or bypass or owned:
        found.append(
            f"the app role goes around row-level security: superuser {superuser}, bypass {bypass}, owns {owned}"
        )
    return found


def rows_of(harness: Harness, tenant_id: str) -> dict[str, tuple[int, str | None]]:
    """Number and digest of the rows that an association has in every table."""
    found = {}
    for table in tenant_tables(harness):
        query = f"SELECT count(*), md5(string_agg(t::text, '' ORDER BY t::text)) FROM {table} t WHERE tenant_id = %s"  # noqa: S608
        [found[table]] = harness.admin(query, (tenant_id,))
    return found


#: A value of each type, for rows of which only the owner matters.
_VALUES: dict[str, Callable[[], object]] = {
    "uuid": new_id,
    "text": lambda: "x",
    "boolean": lambda: True,
    "smallint": lambda: 1,
    "integer": lambda: 1,
    "bigint": lambda: 1,
    "numeric": lambda: 1,
    "bytea": lambda: b"x",
    "jsonb": lambda: Jsonb({}),
    "date": date.today,
    "timestamp with time zone": lambda: datetime.now(UTC),
}


def fill(harness: Harness, tenant_id: str, given: Mapping[str, Mapping[str, object]]) -> None:
    """Gives an association one row in each table where it has none: what the worker and other services would write there.

    `given`: by table, the columns of which a CHECK asks more than their type. Foreign keys lead to rows that are there.
    """
    empty = [table for table, (count, _) in rows_of(harness, tenant_id).items() if not count]
    while empty:
        table = empty.pop(0)
        row = {"tenant_id": tenant_id, **given.get(table, {})}
        keys = harness.admin(
            "SELECT confrelid::regclass::text,"
            " ARRAY(SELECT attname::text FROM unnest(conkey) WITH ORDINALITY k(n, i)"
            "  JOIN pg_attribute ON attrelid = conrelid AND attnum = n ORDER BY i),"
            " ARRAY(SELECT attname::text FROM unnest(confkey) WITH ORDINALITY k(n, i)"
            "  JOIN pg_attribute ON attrelid = confrelid AND attnum = n ORDER BY i)"
            " FROM pg_constraint WHERE conrelid = %s::regclass AND contype = 'f' AND confrelid <> conrelid",
            (table,),
        )
        if any(other in empty for other, _, _ in keys):
            empty.append(table)  # after those that it refers to
            continue
        for other, own, theirs in keys:
            [found] = harness.admin(
                f"SELECT {', '.join(theirs)} FROM {other} WHERE tenant_id = %s LIMIT 1",  # noqa: S608
                (tenant_id,),
            )
            row |= dict(zip(own, found, strict=True))
        for column, kind in harness.admin(
            "SELECT attname, format_type(atttypid, NULL) FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0"
            " AND NOT attisdropped AND attnotnull AND NOT atthasdef AND attidentity = ''",
            (table,),
        ):
            if column not in row:
                row[column] = [] if kind.endswith("[]") else _VALUES[kind]()
        marks = ", ".join(["%s"] * len(row))
        harness.admin(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))  # noqa: S608


def service_of(rule: Rule) -> str:
    """A service that may make a system call."""
    return next(iter(rule.callers), "records")


def told_for(harness: Harness, rule: Rule, request: Message, tenant_id: str) -> str:
    """What a service is told that asks for one association with ids of another one; empty: nothing. Only of calls that name an
    association: the others are about none, or about all of them."""
    if "tenant_id" not in request.DESCRIPTOR.fields_by_name:
        return ""
    foreign: Any = type(request)()
    foreign.CopyFrom(request)
    foreign.tenant_id = tenant_id
    try:
        return str(harness.call(rule.operation, foreign, service=service_of(rule)))
    except CallFailed as refusal:
        if refusal.reason != "NOT_FOUND":  # anything else would prove nothing
            raise
        return ""


def reach_in(harness: Harness, table: str, *, of: str, as_tenant: str) -> list[str]:
    """What the app role, in one association, can do to a table's rows of another one; empty: nothing."""
    done = []
    columns = [
        column
        for (column,) in harness.admin(
            "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped"
            " AND attgenerated = '' AND attidentity = ''",
            (table,),
        )
    ]
    named = sql.SQL(", ").join(map(sql.Identifier, columns))
    [(row,)] = harness.admin(f"SELECT to_jsonb(t) FROM {table} t WHERE tenant_id = %s LIMIT 1", (of,))  # noqa: S608
    name = sql.Identifier(table)
    attempts: dict[str, tuple[sql.Composed, tuple[Any, ...]]] = {
        "reads": (sql.SQL("SELECT 1 FROM {} WHERE tenant_id = %s LIMIT 1").format(name), (of,)),
        "writes": (
            sql.SQL("INSERT INTO {} ({}) SELECT {} FROM jsonb_populate_record(NULL::{}, %s)").format(
                name, named, named, name
            ),
            (Jsonb(row),),
        ),
        "changes": (
            sql.SQL("UPDATE {} SET tenant_id = tenant_id WHERE tenant_id = %s RETURNING 1").format(name),
            (of,),
        ),
        "gives away": (sql.SQL("UPDATE {} SET tenant_id = %s RETURNING 1").format(name), (of,)),
        "deletes": (sql.SQL("DELETE FROM {} WHERE tenant_id = %s RETURNING 1").format(name), (of,)),
    }
    with psycopg.connect(harness.database.app_url) as connection:
        for what, (statement, parameters) in attempts.items():
            try:
                connection.execute("SELECT set_config('dui.tenant', %s, true)", (as_tenant,))
                cursor = connection.execute(statement, parameters)
                if what == "writes" or cursor.fetchone() is not None:
                    done.append(f"{what} {table}")
            except psycopg.errors.InsufficientPrivilege:
                pass  # refused: by the policy, or because the role has no such right at all
            except psycopg.errors.IntegrityError:
                done.append(f"{what} {table}")  # past the policy, which is checked first: only the row's key stopped it
            finally:
                connection.rollback()
    return done
