"""Writing an edition of the catalogue, by an operator: all of it or nothing, and again without harm."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import psycopg
from dui.medication.v1 import catalogue_pb2 as pb
from dui.medication.v1 import events_pb2
from dui_kit.calls.outbox import announce_to_all

from dui_medication.catalogue.rules import Edition, SearchKeys, Source, check_follows, search_keys
from dui_medication.catalogue.source import Catalogue, digest_of

Connection = psycopg.Connection[tuple[Any, ...]]

#: Any number that nothing else locks: two imports wait for each other.
_LOCK = 7_315_002

_CURRENT = """SELECT edition, source, published_on, digest, specialties FROM reference.catalogue_edition
ORDER BY edition DESC LIMIT 1"""
_STAGED = """CREATE TEMPORARY TABLE staged ON COMMIT DROP AS
SELECT cis, digest, marketed, match, content FROM reference.specialty WITH NO DATA"""
_COUNT = """SELECT
    count(*) FILTER (WHERE there.cis IS NULL),
    count(*) FILTER (WHERE staged.cis IS NULL),
    count(*) FILTER (WHERE there.digest <> staged.digest)
FROM staged FULL JOIN (SELECT cis, digest FROM reference.specialty WHERE last_edition IS NULL) there USING (cis)"""
_CLOSE = """UPDATE reference.specialty s SET last_edition = %(before)s WHERE s.last_edition IS NULL
AND NOT EXISTS (SELECT FROM staged WHERE staged.cis = s.cis AND staged.digest = s.digest)"""
_OPEN = """INSERT INTO reference.specialty (cis, digest, marketed, match, content, first_edition)
SELECT cis, digest, marketed, match, content, %(edition)s FROM staged
WHERE NOT EXISTS (SELECT FROM reference.specialty s WHERE s.cis = staged.cis AND s.last_edition IS NULL)"""
_STAGED_WORDS = """CREATE TEMPORARY TABLE staged_word ON COMMIT DROP AS
SELECT cis, word, place, marketed, name_key FROM reference.specialty_word WITH NO DATA"""
#: Those of specialties that this edition changed, or no longer has.
_GONE_WORDS = """DELETE FROM reference.specialty_word w WHERE NOT EXISTS (
    SELECT FROM reference.specialty s WHERE s.cis = w.cis AND s.first_edition < %(edition)s AND s.last_edition IS NULL
)"""
_WORDS = """INSERT INTO reference.specialty_word (cis, word, place, marketed, name_key)
SELECT w.cis, w.word, w.place, w.marketed, w.name_key FROM staged_word w
JOIN reference.specialty s ON s.cis = w.cis AND s.first_edition = %(edition)s"""
_STAGED_BOXES = """CREATE TEMPORARY TABLE staged_box ON COMMIT DROP AS
SELECT cip13, cis, label, marketed FROM reference.presentation WITH NO DATA"""
_BOXES = """INSERT INTO reference.presentation AS p (cip13, cis, label, marketed)
SELECT cip13, cis, label, marketed FROM staged_box
ON CONFLICT (cip13) DO UPDATE SET cis = excluded.cis, label = excluded.label, marketed = excluded.marketed
WHERE (p.cis, p.label, p.marketed) IS DISTINCT FROM (excluded.cis, excluded.label, excluded.marketed)"""
_GONE_BOXES = """UPDATE reference.presentation p SET marketed = false
WHERE p.marketed AND NOT EXISTS (SELECT FROM staged_box b WHERE b.cip13 = p.cip13)"""
_EDITION = """INSERT INTO reference.catalogue_edition
(edition, source, published_on, digest, imported_at, specialties, presentations, added, withdrawn, changed)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"""


@dataclass(frozen=True, slots=True)
class Current:
    """The edition that the platform has."""

    number: int
    source: Source
    published_on: date
    digest: bytes
    specialties: int


def current(connection: Connection) -> Current | None:
    """The current edition; None: nothing was imported."""
    row = connection.execute(_CURRENT).fetchone()
    return None if row is None else Current(row[0], Source(row[1]), row[2], bytes(row[3]), row[4])


@dataclass(frozen=True, slots=True)
class Report:
    """What an import did, or would do."""

    #: False: the edition is the current one already, or it was a trial.
    written: bool
    edition: int
    specialties: int
    presentations: int
    added: int
    withdrawn: int
    changed: int


def write(
    connection: Connection,
    catalogue: Catalogue,
    *,
    today: date,
    trial: bool = False,
    told: Callable[[str, int, int], None] = lambda _what, _done, _all: None,
) -> Report:
    """Makes a catalogue the current one and tells every association, in one transaction; EditionRefused when it may not follow
    the current one.

    Args:
        connection: as the owner of the database, outside a transaction.
        trial: count what would change, and leave everything as it is.
        told: hears what is done, how far it is, and how much there is to do.
    """
    with connection.transaction(force_rollback=trial), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        before = current(connection)
        number = 1 if before is None else before.number + 1
        new = Edition(catalogue.source, catalogue.published_on, catalogue.digest)
        there = None if before is None else Edition(before.source, before.published_on, before.digest)
        if not check_follows(there, new, today):
            return Report(False, number - 1, len(catalogue.specialties), catalogue.presentations, 0, 0, 0)
        cursor.execute(_STAGED)
        with cursor.copy("COPY staged (cis, digest, marketed, match, content) FROM STDIN") as copy:
            for done, specialty in enumerate(catalogue.specialties.values(), 1):
                copy.write_row(_row(specialty))
                if done % 500 == 0 or done == len(catalogue.specialties):
                    told("specialties", done, len(catalogue.specialties))
        cursor.execute(_STAGED_WORDS)
        with cursor.copy("COPY staged_word (cis, word, place, marketed, name_key) FROM STDIN") as copy:
            for cis, specialty in catalogue.specialties.items():
                keys = keys_of(specialty)
                for word, place in keys.words.items():
                    copy.write_row((cis, word, int(place), specialty.marketed, keys.name))
        cursor.execute(_STAGED_BOXES)
        with cursor.copy("COPY staged_box (cip13, cis, label, marketed) FROM STDIN") as copy:
            for cis, specialty in catalogue.specialties.items():
                for box in specialty.presentations:
                    copy.write_row((box.cip13, cis, box.label, box.marketed))
        for table in ("staged", "staged_word", "staged_box"):
            cursor.execute(f"ANALYZE {table}")
        [(added, withdrawn, changed)] = cursor.execute(_COUNT).fetchall()
        told("writing", 0, 0)
        cursor.execute(_CLOSE, {"before": number - 1})
        cursor.execute(_OPEN, {"edition": number})
        cursor.execute(_GONE_WORDS, {"edition": number})
        cursor.execute(_WORDS, {"edition": number})
        cursor.execute(_BOXES)
        cursor.execute(_GONE_BOXES)
        counted = (len(catalogue.specialties), catalogue.presentations, added, withdrawn, changed)
        cursor.execute(_EDITION, (number, int(new.source), new.published_on, new.digest, datetime.now(UTC), *counted))
        changed_to = events_pb2.CatalogueEditionChanged(
            source=new.source.name, version=number, published_on=new.published_on.isoformat()
        )
        announce_to_all(connection, "medication", changed_to)
        told("done", 0, 0)
    if not trial:
        for table in ("specialty", "specialty_word", "presentation"):
            connection.execute(f"ANALYZE reference.{table}")
    return Report(not trial, number, *counted)


def match_of(specialty: pb.Specialty) -> pb.SpecialtyMatch:
    """What a list shows of a specialty."""
    lacking = {pb.SHORTAGE_KIND_OUT_OF_STOCK, pb.SHORTAGE_KIND_TENSION}
    return pb.SpecialtyMatch(
        cis=specialty.cis,
        name=specialty.name,
        substances=acting(specialty),
        routes=specialty.routes,
        poison_list=specialty.poison_list,
        marketed=specialty.marketed,
        short_of_supply=any(shortage.kind in lacking for shortage in specialty.shortages),
        fictive=specialty.fictive,
    )


def acting(specialty: pb.Specialty) -> list[str]:
    """What acts in a specialty: its active moieties, and the substances of which the source names none."""
    names = [
        name
        for component in specialty.components
        for name in ([moiety.substance for moiety in component.moieties] or [component.substance])
    ]
    return list(dict.fromkeys(names))


def keys_of(specialty: pb.Specialty) -> SearchKeys:
    """What a specialty is found by: its name, what acts in it, and the substances that carry that."""
    substances = [*acting(specialty), *(component.substance for component in specialty.components)]
    return search_keys(specialty.name, dict.fromkeys(substances), homeopathic=specialty.homeopathic)


def _row(specialty: pb.Specialty) -> tuple[object, ...]:
    """The columns of `staged`."""
    return (
        specialty.cis,
        digest_of(specialty),
        specialty.marketed,
        match_of(specialty).SerializeToString(deterministic=True),
        specialty.SerializeToString(deterministic=True),
    )
