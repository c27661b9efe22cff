"""From rows of the catalogue to messages."""

from __future__ import annotations

from dui.medication.v1 import catalogue_pb2 as pb
from dui_kit.db.columns import AnyRow


def specialty_of_row(row: AnyRow) -> pb.Specialty:
    """A specialty as an edition has it, with the first one that has it so."""
    found = pb.Specialty.FromString(row.content)
    found.edition, found.current = row.first_edition, row.last_edition is None
    return found
