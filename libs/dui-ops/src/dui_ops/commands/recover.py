"""`dui recover`: after NATS lost messages, or a service's database was restored from a backup (docs/operations/recovery.md)."""

from __future__ import annotations

import argparse
import sys
from datetime import datetime

from dui.journal.v1.journal_pb2 import JournalEntry
from dui_kit.worker.recovery import Kept, RanSinceNeededError, Reached, WorkerLeadsError, go_on, resend

from dui_ops import operator
from dui_ops.commands.projections import rebuild_projections
from dui_ops.database import Connection, connect
from dui_ops.state import StackError

_REACHED = "SELECT tenant_id::text, last_sequence, last_entry_id::text FROM journal_source WHERE service = %s"
# An entry is appended after it was written; the clocks of two services do not differ by an hour.
_CHAINED = """SELECT content FROM journal_entry
WHERE tenant_id = %s AND service = %s AND sequence = %s AND appended_at >= %s::timestamptz - interval '1 hour'"""


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
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no instant: write it like 2026-11-23T08:00+01:00") from None
    if instant.tzinfo is None:
        raise argparse.ArgumentTypeError(f"{text!r} has no zone: write it like 2026-11-23T08:00+01:00")
    return instant


def _streams(arguments: argparse.Namespace) -> int:
    with _relay(arguments.service) as connection:
        resent = resend(connection, arguments.since)
    sys.stdout.write(f"{arguments.service}: {resent.events} events and {resent.entries} journal entries go out again\n")
    return 0


def _database(arguments: argparse.Namespace) -> int:
    service = arguments.service
    try:
        with connect("identity", operator.owner_url("identity")) as identity, _relay(service) as connection:
            rows = identity.execute(_REACHED, (service,)).fetchall()
            reached = {tenant_id: Reached(sequence, entry_id) for tenant_id, sequence, entry_id in rows}
            behind, kept = go_on(connection, reached, ran_since=arguments.ran_since)
            if not all(_is_chained(identity, service, entry) for entry in kept):
                raise StackError(
                    "entries were written before that instant and are not in the chain: give an earlier one"
                )
    except WorkerLeadsError:
        raise StackError(f"a worker of {service} runs: stop it first") from None
    except RanSinceNeededError:
        raise StackError(
            f"{service} ran since its database was set back: tell since when with --ran-since, rather too early than too late"
        ) from None
    sys.stdout.write(f"{service}: the journals of {behind} of {len(reached)} associations were behind\n")
    # What it knew of others is as old as the backup: somebody who was suspended since would get in again.
    rebuild_projections(arguments.service)
    return 0


def _is_chained(identity: Connection, service: str, entry: Kept) -> bool:
    """Whether the chain has this very entry under its number."""
    found = identity.execute(_CHAINED, (entry.tenant_id, service, entry.sequence, entry.created_at)).fetchone()
    return found is not None and JournalEntry.FromString(found[0]).entry_id == entry.entry_id


def _relay(service: str) -> Connection:
    url = operator.environment(service).get("DUI_DATABASE_RELAY_URL")
    if not url:
        raise StackError("DUI_DATABASE_RELAY_URL is not set")
    return connect(service, url)
