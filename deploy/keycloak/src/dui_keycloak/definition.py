"""The realm as the code wants it: `realm.yaml` with the settings filled in."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from typing import Any

import yaml

from dui_keycloak.settings import Settings

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ClientDefinition:
    """A client: `representation` is Keycloak's; scopes and service account roles are set by calls of their own.

    `administration` are roles of the client `realm-management`: what its account may administer in this realm.
    """

    representation: Json
    default_scopes: tuple[str, ...]
    optional_scopes: tuple[str, ...]
    realm_roles: tuple[str, ...] = ()
    administration: tuple[str, ...] = ()

    @property
    def client_id(self) -> str:
        return str(self.representation["clientId"])


@dataclass(frozen=True, slots=True)
class ScopeDefinition:
    """A client scope and its mappers. A scope that is Keycloak's own says nothing but the mappers it must have."""

    representation: Json
    mappers: tuple[Json, ...]

    @property
    def name(self) -> str:
        return str(self.representation["name"])


@dataclass(frozen=True, slots=True)
class Definition:
    """Everything that `reconcile` compares with Keycloak."""

    realm: Json
    user_profile: Json
    roles: tuple[Json, ...]
    scopes: tuple[ScopeDefinition, ...]
    clients: tuple[ClientDefinition, ...]
    #: What Keycloak's own clients are held to, by client id.
    built_in_clients: dict[str, Json]
    #: Actions that may be asked of a person; every other one is off.
    required_actions: tuple[Json, ...]
    #: Texts on Keycloak's pages, by language and key.
    messages: dict[str, dict[str, str]]
    browser_flow: Json


def load(settings: Settings) -> Definition:
    """Reads `realm.yaml` and fills in the settings."""
    source: Json = yaml.safe_load(resources.files(__package__).joinpath("realm.yaml").read_text(encoding="utf-8"))
    return Definition(
        realm=source["realm"],
        user_profile=source["user_profile"],
        roles=tuple(source["roles"]),
        scopes=tuple(_scope(each) for each in source["client_scopes"]),
        clients=(
            *(_public_client(each, settings) for each in source["clients"]),
            *(
                _service_client(name, secret, source["service_client"], source["service_administration"])
                for name, secret in settings.client_secrets.items()
            ),
        ),
        built_in_clients={name: _built_in(name, own, settings) for name, own in source["built_in_clients"].items()},
        required_actions=tuple(source["required_actions"]),
        messages=source["messages"],
        browser_flow=source["browser_flow"],
    )


def _scope(source: Json) -> ScopeDefinition:
    mappers = tuple({"protocol": "openid-connect", **mapper} for mapper in source["mappers"])
    return ScopeDefinition({key: value for key, value in source.items() if key != "mappers"}, mappers)


def _public_client(source: Json, settings: Settings) -> ClientDefinition:
    representation = _own(source)
    if source["clientId"] == "dui-web":
        representation["redirectUris"] = list(settings.web_redirect_uris)
        representation["webOrigins"] = list(settings.web_origins)
    return ClientDefinition(representation, tuple(source["default_scopes"]), tuple(source["optional_scopes"]))


def _built_in(name: str, own: Json, settings: Settings) -> Json:
    # The links in mails belong to the client `account`: who has followed one goes on to the application.
    return {**own, "rootUrl": "", "baseUrl": f"{settings.web_origins[0]}/"} if name == "account" else own


def _service_client(name: str, secret: str, source: Json, administration: dict[str, list[str]]) -> ClientDefinition:
    return ClientDefinition(
        representation={**_own(source), "clientId": f"dui-{name}", "name": f"DUI service {name}", "secret": secret},
        default_scopes=tuple(source["default_scopes"]),
        optional_scopes=tuple(source["optional_scopes"]),
        realm_roles=tuple(source["realm_roles"]),
        administration=tuple(administration.get(name, ())),
    )


def _own(source: Json) -> Json:
    apart = {"default_scopes", "optional_scopes", "realm_roles"}
    return {key: value for key, value in source.items() if key not in apart}
