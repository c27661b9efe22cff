"""The realm of the stack's Keycloak: the one of dui_keycloak, with this stack's secrets and addresses."""

from __future__ import annotations

from dui_keycloak.reconcile import reconcile as reconcile_realm
from dui_keycloak.settings import Settings
from dui_ops.state import State


def settings(state: State) -> Settings:
    """How to reach the stack's Keycloak as its administrator, and what its realm is to know of the stack."""
    keycloak, urls = state["keycloak"], state["urls"]
    return Settings(
        url=keycloak["url"],
        realm=keycloak["realm"],
        admin_client_id=keycloak["admin_client_id"],
        admin_client_secret=keycloak["admin_client_secret"],
        client_secrets={name: service["client_secret"] for name, service in state["services"].items()},
        web_redirect_uris=(f"{urls['gateway']}/*", "http://127.0.0.1:5173/*"),
        web_origins=(urls["gateway"], "http://127.0.0.1:5173"),
    )


def reconcile(state: State) -> None:
    """Makes the realm, or brings it to what the code says. Accounts and organizations are not touched."""
    reconcile_realm(settings(state))
