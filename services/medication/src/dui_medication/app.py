"""The composition root of medication: the whole wiring on one screen."""

from __future__ import annotations

from datetime import timedelta

from dui_kit.service import Service

from dui_medication.catalogue.servicer import CatalogueServicer
from dui_medication.constraints import CONSTRAINTS
from dui_medication.knowledge.servicer import InteractionServicer
from dui_medication.settings import MedicationSettings


def build() -> Service:
    """The medication service."""
    settings = MedicationSettings()
    return Service(
        name="medication",
        settings=settings,
        servicers=[
            CatalogueServicer(),
            InteractionServicer(timedelta(days=settings.knowledge_valid_days)),
        ],
        migrations="dui_medication.migrations",
        constraints=CONSTRAINTS,
    )
