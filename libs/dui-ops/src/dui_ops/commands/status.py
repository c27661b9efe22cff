"""`dui status`: asks every part of the local stack how it is; exits with 0 when all are well, else with 1."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict

from dui_ops import probes
from dui_ops.state import load


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "status", help="tell whether every part of the stack is healthy", description=__doc__
    )
    parser.add_argument("--json", action="store_true", help="print the answers as JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    state = load()
    results = probes.programs(state) + probes.answers(state)
    if arguments.json:
        sys.stdout.write(json.dumps([asdict(each) for each in results], indent=2) + "\n")
    else:
        width = max(len(each.name) for each in results)
        for each in results:
            sys.stdout.write(f"{'ok  ' if each.ok else 'FAIL'}  {each.name:<{width}}  {each.detail}\n")
    return 0 if all(each.ok for each in results) else 1
