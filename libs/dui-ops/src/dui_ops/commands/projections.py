"""`dui projections rebuild SERVICE`: makes a service's projections of who may do what from zero, while it works.

Each owner's snapshot is read, replaces the rows in one transaction, and the tail of the owner's stream is applied over it.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

import psycopg
from dui_kit.db.database import make_engine
from dui_kit.facts import KNOWN_TENANTS, OWNERS
from dui_kit.settings import ServiceSettings
from dui_kit.worker.rebuild import Rebuilt, Snapshot, rebuild
from nats.js import JetStreamContext
from sqlalchemy.exc import DBAPIError

from dui_ops import operator
from dui_ops.associations import known, resolve, slugs
from dui_ops.calls import Account, RemoteOwner
from dui_ops.database import connect
from dui_ops.jetstream import ask
from dui_ops.state import StackError


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("projections", help="rebuild a service's projections", description=__doc__)
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    again = actions.add_parser("rebuild", help="from the owners' snapshots and the tail of their streams")
    again.add_argument("service", help="whose projections: `records`")
    again.add_argument("--tenant", help="this association only, by its slug or its id")
    again.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    rebuild_projections(arguments.service, arguments.tenant)
    return 0


def rebuild_projections(service: str, tenant: str | None = None) -> None:
    """Rebuilds and prints what was done, for every association or for the one named by its slug or its id; StackError when
    the platform does not answer."""
    settings = operator.settings(operator.environment(service))
    tenant_id = resolve(tenant, slugs(known())) if tenant else None
    connect(service, settings.database_url.get_secret_value()).close()  # a pool would say less of why it cannot
    try:
        done = ask(lambda js: _rebuild(service, settings, tenant_id, js))
    except (DBAPIError, psycopg.Error) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        if isinstance(cause, psycopg.errors.UndefinedTable):
            raise StackError(f"the database of {service} lacks a table: run its migrations first") from None
        raise StackError(f"the database of {service} does not do what it is asked ({type(cause).__name__})") from None
    for tenant_id, each in done:
        sys.stdout.write(f"{tenant_id}  {each.owner}: {each.snapshot} facts, {each.tail} of the tail\n")


async def _rebuild(
    service: str, settings: ServiceSettings, wanted: str | None, js: JetStreamContext
) -> list[tuple[str, Rebuilt]]:
    account = Account(settings)
    # The owner that is the service itself leaves its own target empty: it has no projection of its own facts to rebuild.
    if missing := [owner for owner in OWNERS if owner != service and not settings.target(owner)]:
        raise StackError(f"DUI_{missing[0].upper()}_TARGET is not set")
    owners = {owner: RemoteOwner(owner, settings.target(owner), account) for owner in OWNERS if owner != service}
    snapshots: dict[str, Snapshot] = {name: owner.all for name, owner in owners.items()}
    engine = make_engine(settings.database_url.get_secret_value(), pool_size=1, name="dui-rebuild")
    try:
        tenants = [wanted] if wanted else await asyncio.to_thread(_tenants, service, settings, owners.get("identity"))
        return [
            (tenant_id, each)
            for tenant_id in tenants
            for each in await rebuild(service, engine, js, tenant_id, snapshots)
        ]
    finally:
        engine.dispose()
        for owner in owners.values():
            owner.close()


def _tenants(service: str, settings: ServiceSettings, identity: RemoteOwner | None) -> list[str]:
    if identity is None:
        # It knows them itself; its relay role may read their list.
        with connect(service, settings.database_relay_url.get_secret_value()) as connection:
            return [row[0] for row in connection.execute(KNOWN_TENANTS)]
    return identity.tenants()
