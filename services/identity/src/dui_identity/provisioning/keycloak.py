"""The identity provider as provisioning sees it: Keycloak's administration, through python-keycloak.

Every call is safe to repeat. Nothing here logs: what Keycloak answers may hold names and addresses.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from keycloak import KeycloakAdmin, KeycloakOpenIDConnection
from keycloak.exceptions import (
    KeycloakAuthenticationError,
    KeycloakConnectionError,
    KeycloakDeleteError,
    KeycloakError,
    KeycloakGetError,
    KeycloakPostError,
    raise_error_from_response,
)
from pydantic import SecretStr

from dui_identity.provisioning.rules import Credentials, Found

_NO_CONTENT: Final = 204
_NOT_FOUND: Final = 404
_CONFLICT: Final = 409
_SERVER_ERROR: Final = 500
#: User attribute, for administrators only: the accounts that the user stands for. One value, with spaces in between: of an
#: attribute with several Keycloak complains in its log when it sends a mail, and names the user there.
_ACCOUNTS: Final = "dui_account_id"
#: What a person does before they enter for the first time, and again when they are invited again.
_ACTIONS: Final = ("CONFIGURE_TOTP", "UPDATE_PASSWORD")

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
        self._base = f"admin/realms/{realm}"

    # ---------------------------------------------------------------------------------------------------- organizations

    def ensure_organization(self, *, alias: str, name: str, tenant_id: str, enabled: bool) -> str:
        """The id of the association's organization, made or brought in line; ProviderRefuses(409) when its alias is
        another tenant's.

        Names are unique at Keycloak and not among associations: theirs is shown with the alias behind it, in the mail that
        asks somebody to join.
        """
        shown = f"{name} ({alias})"
        wanted = {"name": shown, "alias": alias, "enabled": enabled, "attributes": {"tenant_id": [tenant_id]}}
        found = self._organization(tenant_id)
        if found is None:
            self._call(lambda admin: admin.create_organization(wanted))
            found = self._organization(tenant_id)
            if found is None:
                raise ProviderUnavailable
        current = self._call(lambda admin: admin.get_organization(found))
        if current.get("enabled") is not enabled or current.get("name") != shown:
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

    def is_member(self, user_id: str, organization_id: str) -> bool:
        """Whether a user belongs to an organization."""
        try:
            self._get(f"organizations/{organization_id}/members/{user_id}")
        except ProviderRefuses as refusal:
            if refusal.status == _NOT_FOUND:
                return False
            raise
        return True

    def ask_to_join(self, user_id: str, organization_id: str) -> None:
        """Sends a user the mail that asks whether they join an organization; MailNotSent as for `invite`. What the address was
        asked before must have been withdrawn.
        """
        path = f"{self._base}/organizations/{organization_id}/members/invite-existing-user"

        def ask(admin: KeycloakAdmin) -> None:
            # The one request of the administration API that takes a form.
            admin.connection.add_param_headers("Content-Type", "application/x-www-form-urlencoded")
            try:
                answer = admin.connection.raw_post(path, data={"id": user_id})
            finally:
                admin.connection.add_param_headers("Content-Type", "application/json")
            raise_error_from_response(answer, KeycloakPostError, expected_codes=[_NO_CONTENT])

        self._mail(ask)

    def withdraw(self, email: str, organization_id: str) -> None:
        """Takes back what an address was asked by `ask_to_join`: its link works no more."""
        path = f"organizations/{organization_id}/invitations"
        for invitation in self._get(path, email=email):
            if str(invitation["email"]).lower() == email.lower():
                self._delete(f"{path}/{invitation['id']}")

    # ------------------------------------------------------------------------------------------------------------ users

    def create_user(self, *, login: str, email: str | None, account_id: str, password: str | None) -> str | None:
        """The id of a new user, or None when the login is taken.

        With a password: a first one, to be changed at the first login. Without: one is asked for by the invitation.
        """
        user: dict[str, Any] = {
            "username": login,
            "enabled": True,
            "emailVerified": False,
            "attributes": {_ACCOUNTS: [account_id]},
            "requiredActions": list(_ACTIONS),
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

    def find_users(self, *, login: str, email: str | None) -> list[Found]:
        """The users that have this login or this address, the oldest first."""
        queries = [{"username": login, "exact": True}, *([{"email": email, "exact": True}] if email else [])]
        users: dict[str, Mapping[str, Any]] = {}
        for query in queries:
            for user in self._call(lambda admin, query=query: admin.get_users(query)):  # type: ignore[misc]
                users[str(user["id"])] = user
        return [
            _found(user) for user in sorted(users.values(), key=lambda user: int(user.get("createdTimestamp") or 0))
        ]

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
            attributes[_ACCOUNTS] = [" ".join(sorted({*_accounts(user), account_id}))]
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
        """Sends the mail by which a person enrols a device and chooses their password (and so confirms their address);
        MailNotSent when the realm has no mail server, or it does not take the mail.
        """
        self._mail(lambda admin: admin.send_update_account(user_id, list(_ACTIONS)))

    def set_first_password(self, user_id: str, password: str) -> None:
        """Gives a user a first password: to be changed at the next login, where a device is enrolled too."""
        # The password of before goes first: with it, nobody is to find that a device may be enrolled.
        self._call(lambda admin: admin.set_user_password(user_id, password, temporary=True))
        user = self._call(lambda admin: admin.get_user(user_id))
        self._call(lambda admin: admin.update_user(user_id, {**user, "requiredActions": list(_ACTIONS)}))

    def credentials(self, user_id: str) -> Credentials:
        """What a user can log in with."""
        found = self._call(lambda admin: admin.get_credentials(user_id))
        return Credentials(
            password=any(each["type"] == "password" for each in found),
            devices={
                str(each["id"]): datetime.fromtimestamp(each["createdDate"] / 1000, UTC)
                for each in found
                if each["type"] == "otp"
            },
        )

    def remove_device(self, user_id: str, device_id: str) -> None:
        """Takes a device from a user: its codes are worth nothing any more."""
        self._unless_gone(lambda admin: admin.delete_credential(user_id, device_id))

    # ------------------------------------------------------------------------------------------------------------ calls

    def _get(self, path: str, **query: str) -> Any:
        def get(admin: KeycloakAdmin) -> Any:
            return raise_error_from_response(
                admin.connection.raw_get(f"{self._base}/{path}", **query), KeycloakGetError
            )

        return self._call(get)

    def _delete(self, path: str) -> None:
        def delete(admin: KeycloakAdmin) -> None:
            answer = admin.connection.raw_delete(f"{self._base}/{path}")
            raise_error_from_response(answer, KeycloakDeleteError, expected_codes=[_NO_CONTENT])

        self._unless_gone(delete)

    def _mail(self, send: Callable[[KeycloakAdmin], object]) -> None:
        try:
            self._call(send)
        except ProviderFails as failure:
            raise MailNotSent from failure

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
        account_ids=_accounts(user),
    )


def _accounts(user: Mapping[str, Any]) -> frozenset[str]:
    values = (user.get("attributes") or {}).get(_ACCOUNTS, ())
    return frozenset(account_id for value in values for account_id in value.split())
