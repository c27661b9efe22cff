"""Settings of the medication service: those of every service, how old knowledge may be, and the key that signs."""

from __future__ import annotations

from pathlib import Path

from dui_kit.settings import ServiceSettings
from pydantic import Field


class MedicationSettings(ServiceSettings):
    """Environment variables `DUI_*`; see dui_kit.settings."""

    #: Days after its date for which an edition of the thesaurus of interactions is held to be current; the ANSM publishes about one
    #: a year.
    knowledge_valid_days: int = Field(default=500, ge=1)
    #: PEM of the Ed25519 key that seals prescriptions, and after it the public keys that it has replaced. It must not be where the
    #: database is.
    prescription_signing_key_file: Path = Path(".dui/secrets/prescription-signing.pem")
