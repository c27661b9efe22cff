"""`python -m dui_local up | down | logs | seed | run`: the local stack from the command line. (`dui status` asks it.)"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from dui_ops.state import Account, StackError, State, home, load

from dui_local import ports, run, stack
from dui_local.layout import Layout
from dui_local.services import DEFAULT_PORTS


def parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser(prog="python -m dui_local", description=__doc__)
    commands = root.add_subparsers(required=True, metavar="COMMAND")
    up = commands.add_parser("up", help="start the stack and return when it is ready")
    up.add_argument("--foreground", action="store_true", help="stay, and stop the stack on Ctrl-C")
    up.add_argument("--infra", action="store_true", help="only PostgreSQL, NATS and Keycloak with its realm")
    up.set_defaults(run=_up)
    commands.add_parser("down", help="stop the stack").set_defaults(run=_down)
    logs = commands.add_parser("logs", help="show the end of the logs")
    logs.add_argument("-f", "--follow", action="store_true", help="go on with what comes")
    logs.add_argument("program", nargs="*", help="all, if none is named")
    logs.set_defaults(run=_logs)
    commands.add_parser("seed", help="load the demo data (again)").set_defaults(run=_seed)
    ephemeral = commands.add_parser("run", help="run a command with a stack of its own")
    ephemeral.add_argument("--infra", action="store_true", help="only PostgreSQL, NATS and Keycloak with its realm")
    ephemeral.add_argument("command", nargs="+", metavar="-- CMD", help="the command and its arguments, after --")
    ephemeral.set_defaults(run=lambda arguments: run.run(arguments.command, infra=arguments.infra))
    return root


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0 done, 1 not healthy, 2 could not be done (the reason is on stderr)."""
    arguments = parser().parse_args(argv)
    try:
        code: int = arguments.run(arguments)
    except StackError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except KeyboardInterrupt:
        return 130
    return code


def _up(arguments: argparse.Namespace) -> int:
    layout, progress = Layout(home()), stack.Progress()
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    try:
        state = stack.up(
            layout, ports.configured(DEFAULT_PORTS), progress, infra=arguments.infra, tied=arguments.foreground
        )
        if not arguments.infra:
            stack.seed(state, progress)
        sys.stdout.write(summary(state, infra=arguments.infra))
        sys.stdout.flush()
        if arguments.foreground:
            signal.pause()
    finally:
        if arguments.foreground:
            stack.down(layout, progress)
    return 0


def _down(_arguments: argparse.Namespace) -> int:
    if not stack.down(Layout(home()), stack.Progress()):
        sys.stderr.write("no stack was running\n")
    return 0


def _logs(arguments: argparse.Namespace) -> int:
    state = load()
    known = state["programs"]
    if unknown := [name for name in arguments.program if name not in known]:
        raise StackError(f"no program named {', '.join(unknown)} (known: {', '.join(known)})")
    files = [known[name]["log"] for name in arguments.program or known]
    existing = [file for file in files if Path(file).exists()]
    if not existing:
        raise StackError("nothing has been logged yet")
    sys.stdout.flush()
    os.execvp("tail", ["tail", "-n", "40", *(["-F"] if arguments.follow else []), *existing])  # noqa: S606


def _seed(_arguments: argparse.Namespace) -> int:
    stack.seed(load(), stack.Progress())
    return 0


def summary(state: State, *, infra: bool) -> str:
    """What a person needs to begin: addresses and demo accounts."""
    urls, keycloak = state["urls"], state["keycloak"]
    lines = [
        "",
        f"Keycloak           {urls['keycloak']}   ({keycloak['admin_username']} / {keycloak['admin_password']})",
    ]
    if not infra:
        lines += [f"Gateway            {urls['gateway']}", f"API documentation  {urls['docs']}"]
        if state["accounts"]:
            lines += [
                "",
                "Demo accounts (uv run dui token ACCOUNT prints an access token):",
                *_table(state["accounts"]),
            ]
    return "\n".join(lines) + "\n"


def _table(accounts: Sequence[Account]) -> list[str]:
    head = ("account", "password", "one-time code secret", "profession", "association")
    rows = [head] + [
        (each["username"], each["password"], each["otp_secret"] or "-", each["profession"], each["association"]["name"])
        for each in accounts
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    return [
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


if __name__ == "__main__":
    sys.exit(main())
