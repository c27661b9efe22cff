"""`dui projections rebuild SERVICE`: makes a service's projections of who may do what from zero, while it works.

Each owner's snapshot is read, replaces the rows in one transaction, and the tail of the owner's stream is applied over it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys

import grpc
import httpx
import nats
import nats.errors
import psycopg
from dui_kit.clients import Client
from dui_kit.credentials import ServiceToken
from dui_kit.database import make_engine
from dui_kit.facts import FACTS_OF
from dui_kit.settings import ServiceSettings
from dui_kit.worker.rebuild import Rebuilt, all_tenants, identity_snapshot, rebuild, records_snapshot

from dui_ops import operator
from dui_ops.stack import StackError


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("projections", help="rebuild a service's projections", description=__doc__)
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    again = actions.add_parser("rebuild", help="from the owners' snapshots and the tail of their streams")
    again.add_argument("service", help="whose projections: `records`")
    again.add_argument("--tenant", metavar="ID", help="one association only, by its id")
    again.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    rebuild_projections(arguments.service, arguments.tenant)
    return 0


def rebuild_projections(service: str, tenant: str | None = None) -> None:
    """Rebuilds and prints what was done; StackError when the platform does not answer."""
    os.environ.update(operator.environment(service))
    # The owner that is the service itself leaves its own target empty: it has no projection of its own facts to rebuild.
    settings = ServiceSettings()
    try:
        done = asyncio.run(_rebuild(service, settings, tenant))
    except grpc.RpcError as error:
        raise StackError(f"an owner does not answer: {getattr(error, 'details', lambda: '')()}") from None
    except psycopg.errors.UndefinedTable:
        raise StackError(f"the database of {service} lacks a table: run its migrations first") from None
    except (OSError, nats.errors.Error, httpx.HTTPError, psycopg.OperationalError) as error:
        raise StackError(f"the platform does not answer ({type(error).__name__})") from None
    for tenant_id, each in done:
        sys.stdout.write(f"{tenant_id}  {each.owner}: {each.snapshot} facts, {each.tail} of the tail\n")


async def _rebuild(service: str, settings: ServiceSettings, wanted: str | None) -> list[tuple[str, Rebuilt]]:
    token = ServiceToken(settings)
    identity, records = Client(settings.identity_target), Client(settings.records_target)
    snapshots = {
        owner: snapshot
        for owner, target, snapshot in (
            ("identity", settings.identity_target, identity_snapshot(identity, token)),
            ("records", settings.records_target, records_snapshot(records, token)),
        )
        if target and owner != service
    }
    if missing := set(FACTS_OF) - set(snapshots) - {service}:
        raise StackError(f"DUI_{missing.pop().upper()}_TARGET is not set")
    engine = make_engine(settings.database_url.get_secret_value(), pool_size=1, name="dui-rebuild")
    client = await nats.connect(operator.nats_url(), connect_timeout=3, max_reconnect_attempts=1)
    try:
        tenants = [wanted] if wanted else await asyncio.to_thread(_tenants, service, settings, identity, token)
        return [
            (tenant_id, each)
            for tenant_id in tenants
            for each in await rebuild(service, engine, client.jetstream(), tenant_id, snapshots)
        ]
    finally:
        await client.close()
        engine.dispose()
        for remote in (identity, records):
            remote.close()


def _tenants(service: str, settings: ServiceSettings, identity: Client, token: ServiceToken) -> list[str]:
    if service == "identity":
        # It knows them itself; its relay role may read their list.
        with psycopg.connect(settings.database_relay_url.get_secret_value()) as connection:
            return [row[0] for row in connection.execute("SELECT tenant_id::text FROM access_tenant ORDER BY 1")]
    return all_tenants(identity, token)
