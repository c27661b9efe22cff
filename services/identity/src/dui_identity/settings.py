"""Settings of identity: the service's, and where the identity provider is administered."""

from __future__ import annotations

from dui_kit.settings import ServiceSettings


class IdentitySettings(ServiceSettings):
    """What identity is told beyond every service. The worker administers with the service's own account."""

    #: Root of the identity provider, `http://127.0.0.1:8180`; empty: nothing is provisioned, the queue waits.
    keycloak_url: str = ""
    keycloak_realm: str = "dui"
