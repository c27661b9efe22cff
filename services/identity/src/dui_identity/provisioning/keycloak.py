"""The identity provider as provisioning sees it: Keycloak's administration, through python-keycloak.

Every call is safe to repeat. Nothing here logs: what Keycloak answers may hold names and addresses.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from keycloak import KeycloakAdmin, KeycloakOpenIDConnection
from keycloak.exceptions import KeycloakAuthenticationError, KeycloakConnectionError, KeycloakError
from pydantic import SecretStr

from dui_identity.provisioning.rules import Found

_NOT_FOUND: Final = 404
_CONFLICT: Final = 409
_SERVER_ERROR: Final = 500
#: User attribute, for administrators only: the accounts that the user stands for.
_ACCOUNTS: Final = "dui_account_id"

T = TypeVar("T")


class ProviderUnavailable(Exception):
    """Keycloak does not answer, or not well: try again."""


class ProviderFails(ProviderUnavailable):
    """Keycloak answers with an error of its own."""


class MailNotSent(Exception):
    """The invitation could not be sent."""


class ProviderRefuses(Exception):
    """Keycloak answers that it will not; `status` is its HTTP status."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the identity provider answers {status}")
        self.status = status


class Keycloak:
    """Users and organizations of one realm. Not shared between threads."""

    def __init__(self, *, url: str, realm: str, client_id: str, client_secret: SecretStr, timeout: int = 5) -> None:
        """Nothing is called yet: a Keycloak that is down stops no start."""
        self._new_admin: Callable[[], KeycloakAdmin] = lambda: KeycloakAdmin(
            connection=KeycloakOpenIDConnection(
                server_url=url,
                realm_name=realm,
                client_id=client_id,
                client_secret_key=client_secret.get_secret_value(),
                timeout=timeout,
                max_retries=0,
            )
        )
        self._admin: KeycloakAdmin | None = None

    # ---------------------------------------------------------------------------------------------------- organizations

    def ensure_organization(self, *, alias: str, name: str, tenant_id: str, enabled: bool) -> str:
        """The id of the association's organization, made or brought in line; ProviderRefuses(409) when its alias is
        another tenant's.
        """
        wanted = {"name": name, "alias": alias, "enabled": enabled, "attributes": {"tenant_id": [tenant_id]}}
        found = self._organization(tenant_id)
        if found is None:
            self._call(lambda admin: admin.create_organization(wanted))
            found = self._organization(tenant_id)
            if found is None:
                raise ProviderUnavailable
        current = self._call(lambda admin: admin.get_organization(found))
        if current.get("enabled") is not enabled or current.get("name") != name:
            # Keycloak's update replaces the whole organization: what is not sent back is lost.
            self._call(lambda admin: admin.update_organization(found, {**current, **wanted}))
        return found

    def _organization(self, tenant_id: str) -> str | None:
        for organization in self._call(lambda admin: admin.get_organizations({"q": f"tenant_id:{tenant_id}"})):
            return str(organization["id"])
        return None

    def set_member(self, user_id: str, organization_id: str, *, member: bool) -> None:
        """Adds a user to an organization, or takes them out."""
        try:
            if member:
                self._call(lambda admin: admin.organization_user_add(user_id, organization_id))
            else:
                self._call(lambda admin: admin.organization_user_remove(user_id, organization_id))
        except ProviderRefuses as refusal:
            # Already a member; or not one, or no user, any more.
            if refusal.status != (_CONFLICT if member else _NOT_FOUND):
                raise

    # ------------------------------------------------------------------------------------------------------------ users

    def create_user(self, *, login: str, email: str | None, account_id: str, password: str | None) -> str | None:
        """The id of a new user, or None when the login or the address is taken.

        With a password: a first one, to be changed at the first login. Without: one is asked for by the invitation.
        """
        user: dict[str, Any] = {
            "username": login,
            "enabled": True,
            "emailVerified": False,
            "attributes": {_ACCOUNTS: [account_id]},
            "requiredActions": ["UPDATE_PASSWORD"],
        }
        if email:
            user["email"] = email
        if password is not None:
            user["credentials"] = [{"type": "password", "value": password, "temporary": True}]
        try:
            return str(self._call(lambda admin: admin.create_user(user)))
        except ProviderRefuses as refusal:
            if refusal.status == _CONFLICT:
                return None
            raise

    def find_user(self, *, login: str, email: str | None) -> Found | None:
        """The user that has this address (first) or this login."""
        queries = [{"email": email, "exact": True}] if email else []
        for query in [*queries, {"username": login, "exact": True}]:
            for user in self._call(lambda admin, query=query: admin.get_users(query)):  # type: ignore[misc]
                return _found(user)
        return None

    def get_user(self, user_id: str) -> Found | None:
        """A user by their id."""
        try:
            return _found(self._call(lambda admin: admin.get_user(user_id)))
        except ProviderRefuses as refusal:
            if refusal.status == _NOT_FOUND:
                return None
            raise

    def update_user(
        self, user_id: str, *, enabled: bool, account_id: str | None = None, email: str | None = None
    ) -> None:
        """Lets a user log in or not; remembers that they stand for an account; gives them another address, to be
        confirmed (an empty one takes it away). What is None stays as it is.
        """
        user = self._call(lambda admin: admin.get_user(user_id))
        wanted: dict[str, Any] = {**user, "enabled": enabled}
        if account_id is not None:
            attributes = dict(user.get("attributes") or {})
            attributes[_ACCOUNTS] = sorted({*attributes.get(_ACCOUNTS, []), account_id})
            wanted["attributes"] = attributes
        if email is not None and email != (user.get("email") or ""):
            wanted |= {"email": email, "emailVerified": False}
        if wanted != user:
            # Keycloak's update replaces the whole user: what is not sent back is lost.
            self._call(lambda admin: admin.update_user(user_id, wanted))

    def log_out(self, user_id: str) -> None:
        """Ends every session of a user."""
        self._unless_gone(lambda admin: admin.user_logout(user_id))

    def delete_user(self, user_id: str) -> None:
        """Removes a user."""
        self._unless_gone(lambda admin: admin.delete_user(user_id))

    def invite(self, user_id: str) -> None:
        """Sends the mail in which a person chooses their password (and so confirms their address); MailNotSent when the
        realm has no mail server, or it does not take the mail.
        """
        try:
            self._call(lambda admin: admin.send_update_account(user_id, ["UPDATE_PASSWORD"]))
        except ProviderFails as failure:
            raise MailNotSent from failure

    # ------------------------------------------------------------------------------------------------------------ calls

    def _unless_gone(self, work: Callable[[KeycloakAdmin], object]) -> None:
        try:
            self._call(work)
        except ProviderRefuses as refusal:
            if refusal.status != _NOT_FOUND:
                raise

    def _call(self, work: Callable[[KeycloakAdmin], T]) -> T:
        try:
            if self._admin is None:
                self._admin = self._new_admin()
            return work(self._admin)
        except (KeycloakConnectionError, KeycloakAuthenticationError, json.JSONDecodeError) as error:
            # A secret that was renewed, or a proxy's page instead of an answer: a new connection settles it.
            self._admin = None
            raise ProviderUnavailable from error
        except KeycloakError as error:
            status = error.response_code or _SERVER_ERROR
            if status in {401, 403}:
                self._admin = None
            if status >= _SERVER_ERROR:
                raise ProviderFails from error
            if status in {401, 429}:
                raise ProviderUnavailable from error
            raise ProviderRefuses(status) from error


def _found(user: Mapping[str, Any]) -> Found:
    return Found(
        user_id=str(user["id"]),
        login=str(user["username"]),
        email=str(user.get("email") or ""),
        email_verified=bool(user.get("emailVerified")),
        account_ids=frozenset((user.get("attributes") or {}).get(_ACCOUNTS, ())),
    )
