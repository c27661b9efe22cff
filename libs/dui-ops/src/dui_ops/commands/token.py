"""`dui token ACCOUNT`: an access token of a demo account, for curl and for tests."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict

from dui_ops.login import login_account
from dui_ops.state import load


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("token", help="print an access token of a demo account", description=__doc__)
    parser.add_argument("account", help="username of the demo account (`make up` lists them)")
    parser.add_argument("--acr", choices=["1", "2"], default="1", help="1: password; 2: password and one-time code")
    parser.add_argument("--json", action="store_true", help="print all tokens and the claims, as JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    tokens = login_account(load(), arguments.account, acr=arguments.acr)
    output = json.dumps(asdict(tokens), indent=2) if arguments.json else tokens.access_token
    sys.stdout.write(output + "\n")
    return 0
