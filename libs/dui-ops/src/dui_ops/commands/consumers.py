"""`dui consumers`: what waits for each consumer. One that is stuck is the one whose numbers do not go down."""

from __future__ import annotations

import argparse
import sys

from dui_kit.worker.streams import backlogs

from dui_ops.jetstream import ask


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("consumers", help="what waits for each consumer", description=__doc__)
    parser.set_defaults(run=run)


def run(_: argparse.Namespace) -> int:
    found = ask(backlogs)
    width = max((len(each.consumer) for each in found), default=0)
    for each in found:
        sys.stdout.write(f"{each.consumer:<{width}}  {each.pending:>8} pending  {each.unsettled:>6} unsettled\n")
    sys.stdout.write(f"{len(found)} consumers\n")
    return 0
