"""Settings of identity: the service's, and where the identity provider is administered."""

from __future__ import annotations

from pathlib import Path

from dui_kit.settings import ServiceSettings
from pydantic import Field


class IdentitySettings(ServiceSettings):
    """What identity is told beyond every service. The worker administers with the service's own account."""

    #: Root of the identity provider, `http://127.0.0.1:8180`; empty: nothing is provisioned, the queue waits.
    keycloak_url: str = ""
    keycloak_realm: str = "dui"

    #: PEM of the Ed25519 key that signs the heads of the access journal, and after it the public keys that it has replaced. It must
    #: not be where the database is.
    audit_signing_key_file: Path = Path(".dui/secrets/audit-signing.pem")
    #: Where signed heads are kept outside the database: append-only storage, or a disk of its own.
    audit_heads_dir: Path = Path(".dui/audit-heads")
    #: Seconds between two signed heads: the longest stretch of the journal that no signature covers yet.
    audit_export_seconds: float = Field(default=3600, gt=0)
