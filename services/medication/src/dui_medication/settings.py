"""Settings of the medication service: those of every service, and how old knowledge may be."""

from __future__ import annotations

from dui_kit.settings import ServiceSettings
from pydantic import Field


class MedicationSettings(ServiceSettings):
    """Environment variables `DUI_*`; see dui_kit.settings."""

    #: Days after its date for which an edition of the thesaurus of interactions is held to be current; the ANSM publishes about one
    #: a year.
    knowledge_valid_days: int = Field(default=500, ge=1)
