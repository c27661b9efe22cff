"""The substances of a specialty of the catalogue, as the knowledge of interactions asks for them."""

from __future__ import annotations

from dui.medication.v1 import catalogue_pb2

from dui_medication.knowledge.resolution import Substance, substances_of


def substances_of_specialty(specialty: catalogue_pb2.Specialty) -> tuple[Substance, ...]:
    """The substances of a specialty."""
    return substances_of(
        (each.substance, [moiety.substance for moiety in each.moieties]) for each in specialty.components
    )


def substances_in(content: bytes) -> tuple[Substance, ...]:
    """The substances of a serialised `Specialty`."""
    return substances_of_specialty(catalogue_pb2.Specialty.FromString(content))
