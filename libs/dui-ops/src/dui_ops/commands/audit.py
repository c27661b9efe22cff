"""`dui audit verify`: proves that the access journal is whole, or tells what is wrong with it.

It reads the whole chain of each association, the signed heads in the database and in the folder outside it, and the counters
of every service. Exit code 0: whole; 1: a defect was found; 2: it could not be verified.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg
from dui_identity.journal.rules import Defect
from dui_identity.journal.verify import Report, compare_counters, verify
from dui_kit.signing import known_keys

from dui_ops import operator
from dui_ops.associations import resolve
from dui_ops.database import Connection, connect
from dui_ops.state import StackError

Counters = Mapping[str, tuple[int, int]]

_TENANTS = """SELECT t.tenant_id::text, coalesce(a.slug, t.tenant_id::text) FROM (
    SELECT tenant_id FROM association UNION SELECT tenant_id FROM journal_head UNION SELECT tenant_id FROM journal_signed_head
) t LEFT JOIN association a ON a.tenant_id = t.tenant_id"""
_COUNTERS = "SELECT tenant_id::text, last_sequence, published_sequence FROM journal_counter"
_SOURCES = "SELECT service, last_sequence FROM journal_source WHERE tenant_id = %s"


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("audit", help="prove that the access journal is whole", description=__doc__)
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    check = actions.add_parser("verify", help="verify the chain of every association, or of one", description=__doc__)
    check.add_argument("--tenant", help="this association only, by its slug or its id")
    check.add_argument(
        "--wait", type=float, default=15.0, metavar="SECONDS", help="time for entries under way to arrive"
    )
    check.set_defaults(run=run)


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the proof is read."""

    databases: Mapping[str, str]
    key_file: Path
    heads: Path


def run(arguments: argparse.Namespace) -> int:
    settings = operator.environment("identity")
    try:
        sources = Sources(
            operator.owner_urls(),
            Path(settings["DUI_AUDIT_SIGNING_KEY_FILE"]),
            Path(settings["DUI_AUDIT_HEADS_DIR"]),
        )
    except KeyError as missing:
        raise StackError(f"{missing.args[0]} is not set: the signed heads cannot be checked without it") from None
    try:
        return audit(sources, arguments.tenant, arguments.wait)
    except (psycopg.Error, OSError, ValueError) as error:
        raise StackError(f"the journal could not be verified: {' '.join(str(error).split())[:200]}") from None


def audit(sources: Sources, wanted: str | None, wait: float) -> int:
    """Verifies and prints; returns the exit code."""
    keys = known_keys(sources.key_file)
    # What was handed over before the chain is read must be in it; and it can have nothing that has no number after that.
    before = _counters(sources.databases)
    with connect("identity", sources.databases["identity"], options="-c timezone=UTC") as connection:
        tenants: dict[str, str] = dict(connection.execute(_TENANTS).fetchall())
        for tenant_id in {*before, *(path.stem for path in sources.heads.glob("*.heads"))}:
            tenants.setdefault(tenant_id, tenant_id)
        chosen = tenants if wanted is None else {(id_ := resolve(wanted, tenants)): tenants[id_]}
        width = max(map(len, chosen.values()), default=0)
        reports = {}
        for tenant_id in chosen:
            _wait_for(connection, tenant_id, before.get(tenant_id, {}), wait)
            reports[tenant_id] = verify(connection, tenant_id, keys, sources.heads)
            connection.rollback()
    after = _counters(sources.databases)
    bad = 0
    for tenant_id, slug in sorted(chosen.items(), key=lambda item: item[1]):
        report = reports[tenant_id]
        handed_over = {service: acknowledged for service, (_, acknowledged) in before.get(tenant_id, {}).items()}
        given = {service: number for service, (number, _) in after.get(tenant_id, {}).items()}
        defects = [*report.defects, *compare_counters(report, given=given, handed_over=handed_over)]
        bad += bool(defects)
        sys.stdout.write(f"{'FAIL' if defects else 'ok  '}  {slug:<{width}}  {_summary(report)}\n")
        for defect in defects:
            sys.stdout.write(f"      {_line(defect)}\n")
    sys.stdout.write(f"{len(chosen)} journals verified, {bad} with defects\n")
    return 1 if bad else 0


def _counters(databases: Mapping[str, str]) -> dict[str, dict[str, tuple[int, int]]]:
    """Association → service → (numbers given, numbers that JetStream has acknowledged)."""
    found: dict[str, dict[str, tuple[int, int]]] = {}
    for service, url in databases.items():
        with connect(service, url) as connection:
            for tenant_id, given, acknowledged in connection.execute(_COUNTERS):
                found.setdefault(tenant_id, {})[service] = (given, acknowledged)
    return found


def _wait_for(connection: Connection, tenant_id: str, counters: Counters, seconds: float) -> None:
    """Waits until the chain has what the services have handed over, or until the time is over."""
    end = time.monotonic() + seconds
    while True:
        present: dict[str, int] = dict(connection.execute(_SOURCES, (tenant_id,)).fetchall())
        connection.rollback()
        if all(present.get(service, 0) >= handed_over for service, (_, handed_over) in counters.items()):
            return
        if time.monotonic() > end:
            return
        time.sleep(0.2)


def _summary(report: Report) -> str:
    text = f"{report.entries} entries"
    if report.anchor is None:
        return f"{text}, no signed head yet"
    return f"{text}, signed up to {report.anchor.chain_index} at {report.anchor.signed_at}"


def _line(defect: Defect) -> str:
    where = f" at {defect.chain_index}" if defect.chain_index else ""
    return f"{defect.code}{where}: {defect.detail}"
