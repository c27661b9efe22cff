"""`dui catalogue import|show`: the catalogue of medicines of the platform (docs/operations/catalogue.md)."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

from dui_medication.catalogue.importing import Report, current, write
from dui_medication.catalogue.rules import EditionRefused
from dui_medication.catalogue.source import FICTIVE_EDITION, FILES, FORMULARY, SourceError, read
from dui_medication.knowledge.importing import count_coverage

from dui_ops.database import Connection, connect
from dui_ops.operator import owner_url
from dui_ops.state import StackError


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("catalogue", help="import the catalogue of medicines", description=__doc__)
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    actions.add_parser("show", help="tell which edition the platform has").set_defaults(run=run_show)
    load = actions.add_parser("import", help="make an edition the current one, all of it or nothing")
    what = load.add_mutually_exclusive_group(required=True)
    what.add_argument("folder", nargs="?", type=Path, help=f"the files of the public database: {', '.join(FILES)}")
    what.add_argument("--fictive", action="store_true", help="the invented medicines of a training platform")
    load.add_argument("--edition", type=day, metavar="YYYY-MM-DD", help="day on which the files were published")
    load.add_argument("--dry-run", action="store_true", help="check and count, change nothing")
    load.set_defaults(run=run_import)


def day(text: str) -> date:
    """A day on the command line."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no day YYYY-MM-DD") from None


def run_show(_: argparse.Namespace) -> int:
    with database() as connection:
        found = current(connection)
    if found is None:
        sys.stdout.write("no catalogue: dui catalogue import FOLDER --edition YYYY-MM-DD\n")
        return 1
    sys.stdout.write(
        f"edition {found.number}: {found.source.name} of {found.published_on}, {found.specialties} specialties\n"
    )
    return 0


def run_import(arguments: argparse.Namespace) -> int:
    """0: the edition is the current one (or would be); 2: it was refused, and nothing changed."""
    if arguments.fictive:
        folder, edition = FORMULARY, FICTIVE_EDITION
    elif arguments.edition is None:
        raise StackError("--edition is missing: no file says of which day it is, the page of the download does")
    else:
        folder, edition = arguments.folder, arguments.edition
    report = load(folder, edition, told=_bar(), trial=arguments.dry_run)
    if not report.written and not arguments.dry_run:
        told = "is the current edition already, nothing was changed"
    else:
        told = "would be imported" if arguments.dry_run else f"is edition {report.edition} now"
    sys.stdout.write(f"{report.specialties} specialties, {report.presentations} boxes: {told}\n")
    sys.stdout.write(f"added {report.added}, withdrawn {report.withdrawn}, changed {report.changed}\n")
    return 0


def load(
    folder: Path, edition: date, *, told: Callable[[str, int, int], None] = lambda *_: None, trial: bool = False
) -> Report:
    """Imports an edition into the platform; StackError when it is refused."""
    try:
        catalogue = read(folder, edition, lambda name: told(f"reading {name}", 0, 0))
        with database() as connection:
            report = write(connection, catalogue, today=datetime.now(UTC).date(), trial=trial, told=told)
            if report.written:
                count_coverage(connection)  # by the thesaurus of interactions, if there is one
            return report
    except (SourceError, EditionRefused) as refused:
        raise StackError(f"nothing was imported: {refused}") from None


def database() -> Connection:
    """The database of medication, as its owner."""
    found = connect("medication", owner_url("medication"), options="-c timezone=UTC")
    found.autocommit = True
    return found


def _bar() -> Callable[[str, int, int], None]:
    """Progress on the terminal; nothing where there is none."""
    width = 30

    def told(what: str, done: int, whole: int) -> None:
        if sys.stderr.isatty():
            full = width * done // whole if whole else 0
            counted = f"{done}/{whole}" if whole else ""
            sys.stderr.write(f"\r\033[K{what:<28} {'█' * full}{'·' * (width - full) if whole else ''} {counted}")
            if what == "done":
                sys.stderr.write("\r\033[K")
            sys.stderr.flush()

    return told
