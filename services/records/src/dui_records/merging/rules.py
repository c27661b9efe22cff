"""Merging two records of one person, and taking one out again.

Each record remembers the record that it was merged into (`merged_into_id`), and the one that answers now
(`surviving_id`, the end of that chain). Nothing else moves, so that taking a record out restores exactly what it was:
itself, with the records that had been merged into it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dui_kit.errors import Code, Reason, Refusal

MERGE_WITH_ITSELF = Reason(
    "MERGE_WITH_ITSELF",
    Code.INVALID_ARGUMENT,
    fr="Un dossier ne peut pas être fusionné avec lui-même : choisissez l'autre dossier.",
    en="A record cannot be merged with itself: choose the other record.",
)
ALREADY_MERGED = Reason(
    "ALREADY_MERGED",
    Code.FAILED_PRECONDITION,
    fr="Ce dossier est déjà fusionné dans un autre : utilisez le dossier conservé, ou séparez-le d'abord.",
    en="This record is already merged into another one: use the surviving record, or take it out first.",
)
NOT_MERGED_HERE = Reason(
    "NOT_MERGED_HERE",
    Code.FAILED_PRECONDITION,
    fr="Ce dossier n'est pas fusionné dans celui-ci : relisez la liste des dossiers fusionnés.",
    en="This record is not merged into that one: read the list of merged records again.",
)
MERGE_OF_FICTITIOUS = Reason(
    "MERGE_OF_FICTITIOUS",
    Code.FAILED_PRECONDITION,
    fr="Une personne fictive ne peut pas être fusionnée avec une personne réelle.",
    en="A fictitious person cannot be merged with a real one.",
)
OUT_OF_REACH = Reason(
    "MERGE_OUT_OF_REACH",
    Code.PERMISSION_DENIED,
    fr="Fusionner ou séparer demande d'accéder aux deux dossiers, ou à toute l'association : demandez-le à la direction.",
    en="To merge or take apart asks for access to both records, or to the whole association: ask the direction.",
)
MERGED_MEANWHILE = Reason(
    "MERGED_MEANWHILE",
    Code.ABORTED,
    fr="Une fusion ou une séparation vient d'avoir lieu sur ce dossier : relisez-le, puis recommencez.",
    en="This record was just merged or taken apart: read it again, then try again.",
)


@dataclass(frozen=True, slots=True)
class Record:
    """Where a record stands."""

    beneficiary_id: str
    merged_into_id: str | None = None
    surviving_id: str | None = None
    fictitious: bool = False


Records = Mapping[str, Record]


def _standing_for(records: Records, beneficiary_id: str) -> list[str]:
    """The record and those merged into it, directly or not; in the order of their ids after the first."""
    found = [beneficiary_id]
    for parent in found:
        found.extend(sorted(r.beneficiary_id for r in records.values() if r.merged_into_id == parent))
    return found


def group_of(records: Records, beneficiary_id: str) -> frozenset[str]:
    """The ids under which a record answers: its own, and those of all that are merged into the same one."""
    survivor = records[beneficiary_id].surviving_id or beneficiary_id
    return frozenset(r.beneficiary_id for r in records.values() if survivor in {r.beneficiary_id, r.surviving_id})


def merge(records: Records, surviving_id: str, merged_id: str) -> list[Record]:
    """The records that change when `merged_id` becomes part of `surviving_id`.

    `records` holds both and all that are merged into either, read under their locks.
    """
    if surviving_id == merged_id:
        raise Refusal(MERGE_WITH_ITSELF, field="merged_beneficiary_id")
    surviving, merged = records[surviving_id], records[merged_id]
    if surviving.surviving_id is not None:
        raise Refusal(ALREADY_MERGED, field="beneficiary_id")
    if merged.surviving_id is not None:
        raise Refusal(ALREADY_MERGED, field="merged_beneficiary_id")
    if surviving.fictitious != merged.fictitious:
        raise Refusal(MERGE_OF_FICTITIOUS, field="merged_beneficiary_id")
    return [
        Record(
            member,
            surviving_id if member == merged_id else records[member].merged_into_id,
            surviving_id,
            records[member].fictitious,
        )
        for member in _standing_for(records, merged_id)
    ]


def unmerge(records: Records, surviving_id: str, merged_id: str) -> list[Record]:
    """The records that change when `merged_id` is taken out of `surviving_id`: it answers again for itself and for
    those that had been merged into it."""
    merged = records[merged_id]
    if merged.surviving_id is None or merged.surviving_id != surviving_id:
        raise Refusal(NOT_MERGED_HERE, field="merged_beneficiary_id")
    return [
        Record(
            member,
            None if member == merged_id else records[member].merged_into_id,
            None if member == merged_id else merged_id,
            records[member].fictitious,
        )
        for member in _standing_for(records, merged_id)
    ]


def check_group(surviving_id: str | None, known: Iterable[str], locked: Iterable[str]) -> None:
    """Refuses to go on when a merge or an unmerge happened between the decision on the call and the lock on the person."""
    if surviving_id is not None or set(known) != set(locked):
        raise Refusal(MERGED_MEANWHILE)
