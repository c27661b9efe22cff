"""`python -m dui_keycloak import | check`: makes or corrects the realm; tells where it differs from the code."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from keycloak.exceptions import KeycloakError

from dui_keycloak.reconcile import check, reconcile
from dui_keycloak.settings import SettingsError, from_environment


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 0: done, or no difference; 1: `check` found differences; 2: could not be done."""
    parser = argparse.ArgumentParser(prog="python -m dui_keycloak", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("import", help="make the realm, or correct it; accounts and organizations are not touched")
    commands.add_parser("check", help="tell where the realm differs from the code; exit code 1 if it does")
    command = parser.parse_args(argv).command
    try:
        settings = from_environment()
        lines = reconcile(settings) if command == "import" else check(settings)
    except (SettingsError, KeycloakError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.writelines(f"{line}\n" for line in lines)
    if command == "import":
        sys.stdout.write(f"{len(lines)} corrected\n" if lines else "nothing to correct\n")
        return 0
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
