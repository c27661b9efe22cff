"""The administration API of Keycloak, through python-keycloak's connection (token, retries, errors are its own)."""

from __future__ import annotations

import json
from typing import Any, cast

from keycloak import KeycloakAdmin
from keycloak.exceptions import (
    KeycloakDeleteError,
    KeycloakGetError,
    KeycloakPostError,
    KeycloakPutError,
    raise_error_from_response,
)

from dui_keycloak.settings import Settings


class Administration:
    """Calls on the realm of the settings. Paths are relative to it; an empty path is the realm itself."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connect()

    def _connect(self) -> None:
        self._admin = KeycloakAdmin(
            server_url=self._settings.url,
            client_id=self._settings.admin_client_id,
            client_secret_key=self._settings.admin_client_secret,
            user_realm_name="master",
            realm_name=self._settings.realm,
            timeout=60,
        )

    def get(self, path: str, **query: object) -> Any:
        """What is at a path, or None if there is nothing (404).

        Raises:
            KeycloakError: another refusal.
        """
        answer = self._admin.connection.raw_get(self._path(path), **query)
        if answer.status_code == 404:
            return None
        return raise_error_from_response(answer, KeycloakGetError)

    def post(self, path: str, body: object) -> None:
        answer = self._admin.connection.raw_post(self._path(path), data=json.dumps(body))
        raise_error_from_response(answer, KeycloakPostError, expected_codes=[200, 201, 204])

    def put(self, path: str, body: object) -> None:
        answer = self._admin.connection.raw_put(self._path(path), data=json.dumps(body))
        raise_error_from_response(answer, KeycloakPutError, expected_codes=[200, 201, 202, 204])

    def delete(self, path: str, body: object = None) -> None:
        data = {} if body is None else {"data": json.dumps(body)}
        answer = self._admin.connection.raw_delete(self._path(path), **data)
        raise_error_from_response(answer, KeycloakDeleteError, expected_codes=[200, 204])

    def create_realm(self, representation: dict[str, Any]) -> None:
        """Makes the realm, and logs in again: the administrator's rights on a realm come with its making."""
        self._admin.create_realm({**representation, "realm": self._settings.realm})
        self._connect()

    def client_uuid(self, client_id: str) -> str:
        """Keycloak's own id of a client."""
        found = self.get("/clients", clientId=client_id)
        return cast("str", found[0]["id"])

    def _path(self, path: str) -> str:
        return f"admin/realms/{self._settings.realm}{path}"
