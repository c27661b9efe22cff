"""Brings Keycloak's realm to what the code says, or tells where it differs. Accounts and organizations are data and
are not touched, whatever they are."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from dui_keycloak import definition as definitions
from dui_keycloak.connection import Administration
from dui_keycloak.definition import ClientDefinition, Definition, ScopeDefinition
from dui_keycloak.differences import differences
from dui_keycloak.flows import build_flow, flow_alias, flow_intact, remove_other_flows
from dui_keycloak.settings import Settings

Json = dict[str, Any]


def reconcile(settings: Settings) -> list[str]:
    """Makes the realm or corrects it. Returns what was changed, a line each: nothing when run again."""
    return _Pass(Administration(settings), definitions.load(settings), write=True).run()


def check(settings: Settings) -> list[str]:
    """Where the realm differs from the code, a line each. Changes nothing."""
    return _Pass(Administration(settings), definitions.load(settings), write=False).run()


class _Pass:
    """One comparison of everything, from what others refer to, to what refers to it. The same code tells and corrects:
    `check` cannot forget what `reconcile` does."""

    def __init__(self, administration: Administration, definition: Definition, *, write: bool) -> None:
        self._api = administration
        self._wanted = definition
        self._write = write
        self._found: list[str] = []

    def run(self) -> list[str]:
        if self._api.get("") is None:
            self._found.append("realm: missing")
            if not self._write:
                return self._found
            self._api.create_realm({"enabled": False})  # nobody logs in before it is complete
        # Organizations first: with them Keycloak makes the scope that a mapper below belongs to.
        self._settings(only=("organizationsEnabled",))
        self._user_profile()
        for role in self._wanted.roles:
            self._role(role)
        for scope in self._wanted.scopes:
            self._scope(scope)
        for client in self._wanted.clients:
            self._client(client)
        self._built_in_clients()
        self._roles_of_everybody()
        self._system_role_holders()
        self._required_actions()
        self._messages()
        self._browser_flow()
        self._settings()
        return self._found

    def _differs(self, what: str, wanted: object, found: object) -> bool:
        """Notes the differences. Returns whether they are to be corrected."""
        lines = [f"{what} {line}" for line in differences(wanted, found)]
        self._found += lines
        return self._write and bool(lines)

    def _missing(self, what: str) -> bool:
        self._found.append(f"{what}: missing")
        return self._write

    def _settings(self, only: tuple[str, ...] = ()) -> None:
        wanted = {key: value for key, value in self._wanted.realm.items() if not only or key in only}
        found = self._api.get("")
        if self._differs("realm", wanted, found):
            # Keycloak replaces the attributes as a whole: keep those that the code does not know.
            attributes = {**found.get("attributes", {}), **wanted.get("attributes", {})}
            self._api.put("", {**wanted, "attributes": attributes})

    def _user_profile(self) -> None:
        if self._differs("user profile", self._wanted.user_profile, self._api.get("/users/profile")):
            self._api.put("/users/profile", self._wanted.user_profile)

    def _role(self, wanted: Json) -> None:
        path = f"/roles/{quote(wanted['name'])}"
        found = self._api.get(path)
        if found is None:
            if self._missing(f"role {wanted['name']}"):
                self._api.post("/roles", wanted)
        elif self._differs(f"role {wanted['name']}", wanted, found):
            self._api.put(path, {**found, **wanted})

    def _scope(self, wanted: ScopeDefinition) -> None:
        what = f"scope {wanted.name}"
        found = self._scope_named(wanted.name)
        if found is None:
            if self._missing(what):
                self._api.post("/client-scopes", {**wanted.representation, "protocolMappers": list(wanted.mappers)})
            return
        path = f"/client-scopes/{found['id']}"
        if self._differs(what, wanted.representation, found):
            attributes = {**found.get("attributes", {}), **wanted.representation.get("attributes", {})}
            self._api.put(path, {**found, **wanted.representation, "attributes": attributes})
        mappers = {mapper["name"]: mapper for mapper in found.get("protocolMappers", [])}
        for mapper in wanted.mappers:
            known = mappers.pop(mapper["name"], None)
            if known is None:
                if self._missing(f"{what} mapper {mapper['name']}"):
                    self._api.post(f"{path}/protocol-mappers/models", mapper)
            elif self._differs(f"{what} mapper {mapper['name']}", mapper, known):
                body = {**known, **mapper, "config": {**known["config"], **mapper["config"]}}
                self._api.put(f"{path}/protocol-mappers/models/{known['id']}", body)
        for name, mapper in mappers.items():  # a mapper that the code does not know puts a claim into tokens
            self._found.append(f"{what} mapper {name}: not in the code")
            if self._write:
                self._api.delete(f"{path}/protocol-mappers/models/{mapper['id']}")

    def _client(self, wanted: ClientDefinition) -> None:
        what = f"client {wanted.client_id}"
        found = self._api.get("/clients", clientId=wanted.client_id)
        if not found:
            if not self._missing(what):
                return
            self._api.post("/clients", wanted.representation)
        elif self._differs(what, wanted.representation, found[0]):
            attributes = {**found[0].get("attributes", {}), **wanted.representation.get("attributes", {})}
            self._api.put(f"/clients/{found[0]['id']}", {**found[0], **wanted.representation, "attributes": attributes})
        uuid = self._api.client_uuid(wanted.client_id)
        self._client_scopes(what, uuid, "default", wanted.default_scopes)
        self._client_scopes(what, uuid, "optional", wanted.optional_scopes)
        if wanted.representation["serviceAccountsEnabled"]:
            self._service_account(what, uuid, wanted)

    def _client_scopes(self, what: str, uuid: str, kind: str, wanted: tuple[str, ...]) -> None:
        path = f"/clients/{uuid}/{kind}-client-scopes"
        found = {scope["name"]: scope["id"] for scope in self._api.get(path)}
        if self._differs(f"{what} {kind} scopes", list(wanted), list(found)):
            for name in found.keys() - set(wanted):
                self._api.delete(f"{path}/{found[name]}")
            for name in set(wanted) - found.keys():
                scope = self._scope_named(name)
                if scope is None:
                    raise LookupError(f"realm.yaml gives {what} the scope {name}, which does not exist")
                self._api.put(f"{path}/{scope['id']}", {})

    def _service_account(self, what: str, uuid: str, wanted: ClientDefinition) -> None:
        account = self._api.get(f"/clients/{uuid}/service-account-user")["id"]
        management = self._api.client_uuid("realm-management")
        # The role that every account of the realm has says nothing about this one.
        everyone = f"default-roles-{self._api.get('')['realm']}"
        for path, available, names in (
            (f"/users/{account}/role-mappings/realm", "/roles", wanted.realm_roles),
            (
                f"/users/{account}/role-mappings/clients/{management}",
                f"/clients/{management}/roles",
                wanted.administration,
            ),
        ):
            has = {role["name"]: role for role in self._api.get(path) if role["name"] != everyone}
            if self._differs(f"{what} account roles", list(names), list(has)):
                roles = {role["name"]: role for role in self._api.get(available)}
                self._api.post(path, [roles[name] for name in names if name not in has])
                if surplus := [role for name, role in has.items() if name not in names]:
                    self._api.delete(path, surplus)

    def _built_in_clients(self) -> None:
        """No password grant anywhere, and no way in but ours: Keycloak's own clients come with some."""
        ours = {client.client_id for client in self._wanted.clients}
        for found in self._api.get("/clients"):
            if found["clientId"] not in ours:
                wanted = {
                    "directAccessGrantsEnabled": False,
                    "implicitFlowEnabled": False,
                    **self._wanted.built_in_clients.get(found["clientId"], {}),
                }
                if self._differs(f"client {found['clientId']}", wanted, found):
                    self._api.put(f"/clients/{found['id']}", {**found, **wanted})

    def _roles_of_everybody(self) -> None:
        """The role that every account has holds nothing: no offline token, no management of one's own account."""
        role = self._api.get(f"/roles/default-roles-{self._api.get('')['realm']}")
        held = self._api.get(f"/roles-by-id/{role['id']}/composites")
        if self._differs(f"role {role['name']}", [], [each["name"] for each in held]):
            self._api.delete(f"/roles-by-id/{role['id']}/composites", held)

    def _required_actions(self) -> None:
        wanted = {each["alias"]: {**each, "enabled": True} for each in self._wanted.required_actions}
        for found in self._api.get("/authentication/required-actions"):
            alias = found["alias"]
            action = {"defaultAction": False, **wanted.get(alias, {"enabled": False})}
            if self._differs(f"required action {alias}", action, found):
                self._api.put(f"/authentication/required-actions/{quote(alias)}", {**found, **action})

    def _messages(self) -> None:
        for language, texts in self._wanted.messages.items():
            if self._differs(f"messages {language}", texts, self._api.get(f"/localization/{language}")):
                self._api.post(f"/localization/{language}", texts)

    def _system_role_holders(self) -> None:
        """The roles of the services belong to service accounts: a person who has one is reported, and loses it."""
        services = {f"service-account-{client.client_id}" for client in self._wanted.clients}
        for role in self._wanted.roles:
            for user in self._api.get(f"/roles/{quote(role['name'])}/users") or []:
                if user["username"] not in services:
                    self._found.append(f"role {role['name']}: held by account {user['id']}, which is no service")
                    if self._write:
                        holder = f"/users/{user['id']}/role-mappings/realm"
                        self._api.delete(holder, [self._api.get(f"/roles/{quote(role['name'])}")])

    def _browser_flow(self) -> None:
        wanted = self._wanted.browser_flow
        alias = flow_alias(wanted)
        used = self._api.get("")["browserFlow"]
        if not flow_intact(self._api, wanted):
            self._found.append(f"browser flow {wanted['alias']}: missing or edited")
            if not self._write:
                return
            if used == alias:
                self._api.put("", {"browserFlow": "browser"})  # Keycloak's own, for the moment of the rebuilding
                used = "browser"
            build_flow(self._api, wanted)
        if self._differs("realm", {"browserFlow": alias}, {"browserFlow": used}):
            self._api.put("", {"browserFlow": alias})
        if self._write:
            remove_other_flows(self._api, wanted)

    def _scope_named(self, name: str) -> Json | None:
        scopes: list[Json] = self._api.get("/client-scopes")
        return next((scope for scope in scopes if scope["name"] == name), None)
