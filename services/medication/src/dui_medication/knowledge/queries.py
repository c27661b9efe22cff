"""The knowledge of interactions as a process holds it, and the medicines that it is asked about."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime

from dui.medication.v1 import interactions_pb2 as pb
from dui_kit.calls.call import Call
from dui_kit.db.statements import Query
from sqlalchemy import bindparam, func, select

from dui_medication.catalogue import queries as catalogue
from dui_medication.catalogue.tables import catalogue_edition
from dui_medication.knowledge.composition import substances_in
from dui_medication.knowledge.loading import packaged_synonyms, read_edition
from dui_medication.knowledge.resolution import Substance
from dui_medication.knowledge.tables import interaction_coverage, thesaurus_edition
from dui_medication.knowledge.thesaurus import Thesaurus

_t = thesaurus_edition.c
_c = interaction_coverage.c
_CURRENT = Query(select(_t.edition, _t.edition_on, _t.imported_at, _t.entries).order_by(_t.edition.desc()).limit(1))
_FILES = Query(select(_t.interactions, _t.substances).where(_t.edition == bindparam("edition")))
#: The newest catalogue with the newest thesaurus.
_COVERAGE = Query(
    select(_c.content)
    .where(
        _c.catalogue_edition == select(func.max(catalogue_edition.c.edition)).scalar_subquery(),
        _c.thesaurus_edition == select(func.max(_t.edition)).scalar_subquery(),
    )
    .limit(1)
)


@dataclass(frozen=True, slots=True)
class Knowledge:
    """The edition that the platform has."""

    edition_on: date
    imported_at: datetime
    entries: int
    thesaurus: Thesaurus


class Library:
    """The current edition, read from the database once in a process: 2 MB, and most of a second to read."""

    def __init__(self) -> None:
        """Nothing is read yet."""
        self._held: tuple[int, Thesaurus] | None = None
        self._lock = threading.Lock()

    def current(self, call: Call) -> Knowledge | None:
        """The knowledge of now; None: nothing was imported."""
        row = call.row(_CURRENT)
        if row is None:
            return None
        held = self._held
        if held is None or held[0] != row.edition:
            with self._lock:
                held = self._held
                if held is None or held[0] != row.edition:
                    files = call.row(_FILES, edition=row.edition)
                    if files is None:
                        return None
                    held = self._held = (row.edition, _read(files.interactions, files.substances, row.edition_on))
        return Knowledge(row.edition_on, row.imported_at, row.entries, held[1])


def _read(interactions: bytes, substances: bytes, edition_on: date) -> Thesaurus:
    return read_edition(
        zlib.decompress(interactions),
        zlib.decompress(substances),
        edition_on=edition_on,
        synonyms=packaged_synonyms(),
    )


def substances(call: Call, codes: Collection[str]) -> dict[str, tuple[Substance, ...]]:
    """The substances of each specialty, by CIS; one that no edition of the catalogue has is left out."""
    return {row.cis: substances_in(row.content) for row in catalogue.specialties(call, codes)}


def coverage(call: Call) -> pb.InteractionKnowledge:
    """How much of the catalogue the thesaurus can speak about; empty when that was not counted."""
    row = call.row(_COVERAGE)
    return pb.InteractionKnowledge() if row is None else pb.InteractionKnowledge.FromString(row.content)
