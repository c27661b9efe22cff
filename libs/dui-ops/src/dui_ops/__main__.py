"""The `dui` command. Its subcommands are the modules of `dui_ops.commands`."""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys
from collections.abc import Sequence

from dui_ops import commands
from dui_ops.login import LoginError
from dui_ops.state import StackError


def parser() -> argparse.ArgumentParser:
    """The command line, with every subcommand found in `dui_ops.commands`."""
    root = argparse.ArgumentParser(prog="dui", description="Operator's commands of the DUI platform.")
    subparsers = root.add_subparsers(required=True, metavar="COMMAND")
    for module in sorted(pkgutil.iter_modules(commands.__path__), key=lambda each: each.name):
        importlib.import_module(f"{commands.__name__}.{module.name}").register(subparsers)
    return root


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a subcommand. Returns its exit code; 2 when the stack or a login refuses, with the reason on stderr."""
    arguments = parser().parse_args(argv)
    try:
        code: int = arguments.run(arguments)
    except (StackError, LoginError) as error:
        sys.stderr.write(f"dui: {error}\n")
        return 2
    return code


if __name__ == "__main__":
    sys.exit(main())
