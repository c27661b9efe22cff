"""`dui recover`: after NATS lost messages, or a service's database was restored from a backup (docs/operations/recovery.md)."""

from __future__ import annotations

import argparse
import sys
from datetime import datetime

import psycopg
from dui_kit.worker.recovery import WorkerLeadsError, go_on, resend

from dui_ops import operator
from dui_ops.commands.projections import rebuild_projections
from dui_ops.stack import StackError

_REACHED = "SELECT tenant_id::text, last_sequence FROM journal_source WHERE service = %s"


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("recover", help="after NATS or a database lost data", description=__doc__)
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    streams = actions.add_parser("streams", help="NATS lost messages: send again what a service published")
    streams.add_argument("service", help="whose events and journal entries: `records`")
    streams.add_argument(
        "--since", type=_instant, required=True, metavar="INSTANT", help="with its zone: 2026-11-23T08:00+01:00"
    )
    streams.set_defaults(run=_streams)
    database = actions.add_parser(
        "database",
        help="a database was restored: its journal goes on after what identity has, its projections are rebuilt",
    )
    database.add_argument("service", help="whose database; neither its servers nor its worker may run")
    database.add_argument(
        "--ran-since",
        type=_instant,
        metavar="INSTANT",
        help="it ran since it was restored: what it has written of the journal since then gets new numbers",
    )
    database.set_defaults(run=_database)


def _instant(text: str) -> datetime:
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise argparse.ArgumentTypeError(f"{text!r} has no zone: 2026-11-23T08:00+01:00")
    return instant


def _streams(arguments: argparse.Namespace) -> int:
    with _relay(arguments.service) as connection:
        resent = resend(connection, arguments.since)
    sys.stdout.write(f"{arguments.service}: {resent.events} events and {resent.entries} journal entries go out again\n")
    return 0


def _database(arguments: argparse.Namespace) -> int:
    try:
        with psycopg.connect(operator.owner_urls()["identity"]) as identity:
            reached: dict[str, int] = dict(identity.execute(_REACHED, (arguments.service,)).fetchall())
    except KeyError:
        raise StackError(
            "DUI_IDENTITY_DATABASE_OWNER_URL is not set: identity tells where the journal stands"
        ) from None
    except psycopg.Error as error:
        raise StackError(f"the database of identity does not answer ({type(error).__name__})") from None
    try:
        with _relay(arguments.service) as connection:
            behind = go_on(connection, reached, ran_since=arguments.ran_since)
    except WorkerLeadsError:
        raise StackError(f"a worker of {arguments.service} runs: stop it first") from None
    sys.stdout.write(f"{arguments.service}: the journals of {behind} of {len(reached)} associations were behind\n")
    # What it knew of others is as old as the backup: somebody who was suspended since would get in again.
    rebuild_projections(arguments.service)
    return 0


def _relay(service: str) -> psycopg.Connection[tuple[object, ...]]:
    url = operator.environment(service).get("DUI_DATABASE_RELAY_URL")
    if not url:
        raise StackError("DUI_DATABASE_RELAY_URL is not set")
    try:
        return psycopg.connect(url)
    except psycopg.Error as error:
        raise StackError(f"the database of {service} does not answer ({type(error).__name__})") from None
