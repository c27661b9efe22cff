"""What the realm must be told from outside: where Keycloak is, who administers it, addresses and secrets."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_SECRET_PREFIX = "DUI_KEYCLOAK_CLIENT_SECRET_"  # noqa: S105 (a name, not a secret)


class SettingsError(Exception):
    """A setting is missing or wrong; the message names it."""


@dataclass(frozen=True, slots=True)
class Settings:
    """`client_secrets` has one entry per service: it makes the client `dui-<service>` with its service account."""

    url: str
    admin_client_id: str
    admin_client_secret: str = field(repr=False)
    client_secrets: Mapping[str, str] = field(repr=False)
    web_redirect_uris: tuple[str, ...]
    web_origins: tuple[str, ...]
    realm: str = "dui"

    def __post_init__(self) -> None:
        """SettingsError when an address would let tokens go anywhere, or travel in the clear."""
        for name, values in (("redirect", self.web_redirect_uris), ("origin", self.web_origins)):
            if not values:
                raise SettingsError(f"no {name} of the web application is set")
            for value in values:
                _check_address(value, path=name == "redirect")


def _check_address(value: str, *, path: bool) -> None:
    """https, or http on this machine (RFC 8252 §7.3); one host; a star at most at the end of a redirect's path."""
    parts = urlsplit(value)
    local = parts.scheme == "http" and parts.hostname in {"127.0.0.1", "::1", "localhost"}
    if not parts.hostname or "*" in parts.hostname or not (local or parts.scheme == "https"):
        raise SettingsError(f"{value}: the web application is at https:// and a host, or at http:// on this machine")
    if "*" in value.removesuffix("/*" if path else "") or (not path and parts.path):
        raise SettingsError(f"{value}: a redirect may end with /*, and an origin is a host alone")


def from_environment(environment: Mapping[str, str] = os.environ) -> Settings:
    """Reads the settings.

    DUI_KEYCLOAK_URL, DUI_KEYCLOAK_REALM (dui), DUI_KEYCLOAK_ADMIN_CLIENT_ID and _ADMIN_CLIENT_SECRET (a client of the
    master realm that may manage realms), DUI_KEYCLOAK_CLIENT_SECRET_<SERVICE> for each service, DUI_WEB_REDIRECT_URIS
    and DUI_WEB_ORIGINS (separated by commas).

    Raises:
        SettingsError: a required one is missing.
    """

    def required(name: str) -> str:
        if value := environment.get(name):
            return value
        raise SettingsError(f"{name} is not set")

    def several(name: str) -> tuple[str, ...]:
        return tuple(part.strip() for part in required(name).split(",") if part.strip())

    secrets = {
        name.removeprefix(_SECRET_PREFIX).lower().replace("_", "-"): value
        for name, value in sorted(environment.items())
        if name.startswith(_SECRET_PREFIX) and value
    }
    if not secrets:
        raise SettingsError(f"no {_SECRET_PREFIX}<SERVICE> is set: no service could log in")
    return Settings(
        url=required("DUI_KEYCLOAK_URL"),
        realm=environment.get("DUI_KEYCLOAK_REALM", "dui"),
        admin_client_id=required("DUI_KEYCLOAK_ADMIN_CLIENT_ID"),
        admin_client_secret=required("DUI_KEYCLOAK_ADMIN_CLIENT_SECRET"),
        client_secrets=secrets,
        web_redirect_uris=several("DUI_WEB_REDIRECT_URIS"),
        web_origins=several("DUI_WEB_ORIGINS"),
    )
