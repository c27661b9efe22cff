"""Provisioning against the real Keycloak, with the realm of deploy/keycloak and identity's own service account.

Needs a running stack (`DUI_STACK`, or the one of `make up`): its Keycloak and its PostgreSQL server are used; the rows are in a
database of this run. Only the processes of identity are not: the queue's job is run here, so that a test says when.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from dui.identity.v1 import organisation_pb2, professions_pb2
from dui.identity.v1 import staff_pb2 as pb
from dui_identity.app import build
from dui_identity.provisioning.keycloak import Keycloak, ProviderRefuses, ProviderUnavailable
from dui_identity.provisioning.rules import password_key
from dui_identity.provisioning.worker import Provisioner
from dui_identity.settings import IdentitySettings
from dui_kit.settings import ServiceSettings
from dui_kit.testing import Harness, create_database
from dui_kit.worker.contract import WorkerContext
from dui_ops.login import LoginError, Tokens, login
from dui_ops.stack import State, load
from keycloak import KeycloakAdmin, KeycloakOpenIDConnection
from keycloak.exceptions import KeycloakGetError
from pydantic import SecretStr

P, S, Problem = professions_pb2.Profession, pb.AccountStatus, pb.ProvisioningProblem
KEY = "33" * 32
#: What a person chooses at their first login.
CHOSEN = "Une-phrase-de-passe-42"


@dataclass(slots=True)
class Platform:
    """Identity's rows, the real Keycloak, and the job between them."""

    state: State
    harness: Harness
    provider: Keycloak
    admin: KeycloakAdmin

    def work(self) -> None:
        """One run of the job, with everything that waits due."""
        self.harness.admin("UPDATE provisioning_task SET due_at = now() - interval '1 second'")
        context = WorkerContext(self.harness.engine, ServiceSettings(), tuple)
        Provisioner(self.provider, password_key(bytes.fromhex(KEY)), "identity").run(context)

    def user(self, login_: str) -> dict[str, Any] | None:
        """A user as Keycloak has it."""
        found = self.admin.get_users({"username": login_, "exact": True})
        return dict(found[0]) if found else None

    def first_login(self, login_: str) -> None:
        """Does what a person does at their first login: choose a password. (An administrator's shortcut for the pages.)"""
        user = self.user(login_)
        assert user is not None
        self.admin.set_user_password(user["id"], CHOSEN, temporary=False)
        self.admin.update_user(user["id"], {**user, "requiredActions": []})

    def log_in(self, login_: str, slug: str, password: str = CHOSEN) -> Tokens:
        """A login through the pages of the realm."""
        return login(issuer=self.state["urls"]["issuer"], username=login_, password=password, organization=slug)

    def refresh(self, tokens: Tokens) -> httpx.Response:
        """Asks for new tokens with a refresh token."""
        return httpx.post(
            f"{self.state['urls']['issuer']}/protocol/openid-connect/token",
            data={"grant_type": "refresh_token", "client_id": "dui-cli", "refresh_token": tokens.refresh_token},
        )


def keycloak_of(state: State, *, url: str | None = None, secret: str | None = None) -> Keycloak:
    service = state["services"]["identity"]
    return Keycloak(
        url=url or state["keycloak"]["url"],
        realm=state["keycloak"]["realm"],
        client_id=service["client_id"],
        client_secret=SecretStr(secret or service["client_secret"]),
    )


@pytest.fixture(scope="module")
def platform() -> Iterator[Platform]:
    state = load()
    service = state["services"]["identity"]
    harness = Harness(
        build(IdentitySettings(cursor_key=SecretStr(KEY))),
        create_database(state["postgres"]["superuser_url"], "provisioning"),
    )
    admin = KeycloakAdmin(
        connection=KeycloakOpenIDConnection(
            server_url=state["keycloak"]["url"],
            realm_name=state["keycloak"]["realm"],
            client_id=service["client_id"],
            client_secret_key=service["client_secret"],
        )
    )
    yield Platform(state, harness, keycloak_of(state), admin)
    harness.close()


@dataclass(slots=True)
class Association:
    """An association of one test, with an administrator who may act."""

    platform: Platform
    slug: str
    tenant_id: str
    subject: str

    def call(self, operation: str, request: Any) -> Any:
        return self.platform.harness.call(
            f"dui.identity.v1.{operation}", request, as_=self.subject, tenant=self.tenant_id, acr=2
        )

    def account(self, login_: str, email: str | None = None) -> pb.CreateAccountResponse:
        """A nurse with an account."""
        professional = self.call(
            "ProfessionalService/CreateProfessional",
            pb.CreateProfessionalRequest(
                professional=pb.Professional(
                    family_name="Petit", given_name="Noé", profession=P.PROFESSION_NURSE, email=email
                )
            ),
        ).professional
        request = pb.CreateAccountRequest(
            account=pb.Account(professional_id=professional.professional_id, login=login_)
        )
        reply = self.call("AccountService/CreateAccount", request)
        assert isinstance(reply, pb.CreateAccountResponse)
        return reply

    def read(self, account_id: str) -> pb.Account:
        reply = self.call("AccountService/GetAccount", pb.GetAccountRequest(account_id=account_id))
        assert isinstance(reply, pb.GetAccountResponse)
        return reply.account

    def suspend(self, account_id: str) -> None:
        self.call("AccountService/SuspendAccount", pb.SuspendAccountRequest(account_id=account_id, reason="absence"))

    def reactivate(self, account_id: str) -> None:
        self.call("AccountService/ReactivateAccount", pb.ReactivateAccountRequest(account_id=account_id))

    def end(self, account_id: str) -> None:
        self.call("AccountService/EndAccount", pb.EndAccountRequest(account_id=account_id, reason="départ"))


def new_login() -> str:
    return f"test-{secrets.token_hex(5)}"


def open_association(platform: Platform) -> Association:
    slug = f"essai-{secrets.token_hex(5)}"
    reply = platform.harness.call(
        "dui.identity.v1.AssociationService/CreateAssociation",
        organisation_pb2.CreateAssociationRequest(
            association=organisation_pb2.Association(slug=slug, name=f"Association {slug}"),
            administrator=organisation_pb2.FirstAdministrator(
                family_name="Durand", given_name="Dominique", login=f"admin-{slug}"
            ),
        ),
    )
    platform.work()
    user = platform.user(f"admin-{slug}")
    assert user is not None
    return Association(platform, slug, reply.association.association_id, user["id"])


@pytest.fixture
def association(platform: Platform) -> Association:
    return open_association(platform)


class TestSettingUp:
    def test_the_first_password_lets_in_to_choose_another_one_and_nothing_else(
        self, platform: Platform, association: Association
    ) -> None:
        name = new_login()
        reply = association.account(name)
        platform.work()
        assert association.read(reply.account.account_id).status == S.ACCOUNT_STATUS_ACTIVE
        with pytest.raises(LoginError, match="must do something first"):
            platform.log_in(name, association.slug, reply.temporary_password)
        with pytest.raises(LoginError, match=r"(?i)invalid"):
            platform.log_in(name, association.slug, "not-the-password")

    def test_the_token_names_the_association_and_the_subject_that_identity_announced(
        self, platform: Platform, association: Association
    ) -> None:
        name = new_login()
        reply = association.account(name)
        platform.work()
        platform.first_login(name)
        claims = platform.log_in(name, association.slug).claims
        (organization,) = claims["organization"].values()
        assert organization["tenant_id"] == [association.tenant_id]
        assert list(claims["organization"]) == [association.slug]
        announced = platform.harness.admin(
            "SELECT subject FROM access_account WHERE account_id = %s AND active", (reply.account.account_id,)
        )
        assert announced == [(claims["sub"],)]

    def test_an_invitation_needs_a_mail_server_and_the_administrator_is_told_that_there_is_none(
        self, platform: Platform, association: Association
    ) -> None:
        name = new_login()
        reply = association.account(name, f"{name}@example.org")
        platform.work()
        found = association.read(reply.account.account_id)
        assert found.status == S.ACCOUNT_STATUS_ACTIVE
        assert found.provisioning_problem == Problem.PROVISIONING_PROBLEM_INVITATION_NOT_SENT
        user = platform.user(name)
        assert user is not None
        assert (user["email"], user["emailVerified"]) == (f"{name}@example.org", False)
        assert user["requiredActions"] == ["UPDATE_PASSWORD"]

    def test_what_the_platform_keeps_of_a_person_there_is_what_the_login_needs(
        self, platform: Platform, association: Association
    ) -> None:
        name = new_login()
        reply = association.account(name)
        platform.work()
        user = platform.user(name)
        assert user is not None
        assert not user.get("firstName")
        assert not user.get("lastName")
        assert user["attributes"] == {"dui_account_id": [reply.account.account_id]}

    def test_everything_may_be_asked_twice(self, platform: Platform, association: Association) -> None:
        name = new_login()
        reply = association.account(name)
        organization = platform.provider.ensure_organization(
            alias=association.slug,
            name=f"Association {association.slug}",
            tenant_id=association.tenant_id,
            enabled=True,
        )
        # An attempt whose answer was lost: the user is there, identity does not know.
        made = platform.provider.create_user(
            login=name, email=None, account_id=reply.account.account_id, password=reply.temporary_password
        )
        assert made is not None
        platform.work()
        assert association.read(reply.account.account_id).status == S.ACCOUNT_STATUS_ACTIVE
        user = platform.user(name)
        assert user is not None
        assert user["id"] == made
        for _ in range(2):
            platform.provider.set_member(made, organization, member=True)
        for _ in range(2):
            platform.provider.set_member(made, organization, member=False)
        for _ in range(2):
            platform.provider.log_out(made)
        for _ in range(2):
            platform.provider.delete_user(made)
        platform.provider.set_member(made, organization, member=False)
        assert platform.provider.get_user(made) is None


class TestLockingOut:
    def test_a_suspended_person_is_out_with_their_sessions_until_given_back(
        self, platform: Platform, association: Association
    ) -> None:
        name = new_login()
        account_id = association.account(name).account.account_id
        platform.work()
        platform.first_login(name)
        tokens = platform.log_in(name, association.slug)
        association.suspend(account_id)
        platform.work()
        assert platform.refresh(tokens).status_code == 400
        with pytest.raises(LoginError):
            platform.log_in(name, association.slug)
        association.reactivate(account_id)
        platform.work()
        again = platform.log_in(name, association.slug)
        assert again.claims["sub"] == tokens.claims["sub"]

    def test_who_leaves_is_removed(self, platform: Platform, association: Association) -> None:
        name = new_login()
        account_id = association.account(name).account.account_id
        platform.work()
        association.end(account_id)
        platform.work()
        assert platform.user(name) is None
        waiting = platform.harness.admin("SELECT count(*) FROM provisioning_task WHERE account_id = %s", (account_id,))
        assert waiting == [(0,)]

    def test_a_suspended_association_gives_no_token_until_it_reopens(
        self, platform: Platform, association: Association
    ) -> None:
        name = new_login()
        association.account(name)
        platform.work()
        platform.first_login(name)
        platform.log_in(name, association.slug)
        operation = "dui.identity.v1.AssociationService/SetAssociationStatus"
        for active in (False, True):
            platform.harness.call(
                operation,
                organisation_pb2.SetAssociationStatusRequest(tenant_id=association.tenant_id, active=active),
            )
            platform.work()
            try:
                claims = platform.log_in(name, association.slug).claims
            except LoginError:
                claims = {}
            assert bool(claims.get("organization")) is active


class TestOnePersonInTwoAssociations:
    def test_a_confirmed_address_joins_both_under_one_subject(
        self, platform: Platform, association: Association
    ) -> None:
        other = open_association(platform)
        name = new_login()
        email = f"{name}@example.org"
        first = association.account(name, email).account.account_id
        platform.work()
        second = other.account(f"{name}-bis", email).account.account_id
        platform.work()
        waiting = other.read(second)
        assert waiting.status == S.ACCOUNT_STATUS_PROVISIONING
        assert waiting.provisioning_problem == Problem.PROVISIONING_PROBLEM_EMAIL_UNCONFIRMED
        platform.first_login(name)
        user = platform.user(name)
        assert user is not None
        platform.admin.update_user(user["id"], {**user, "emailVerified": True})
        platform.work()
        joined = other.read(second)
        assert (joined.status, joined.login) == (S.ACCOUNT_STATUS_ACTIVE, name)
        here, there = platform.log_in(name, association.slug), platform.log_in(name, other.slug)
        assert here.claims["sub"] == there.claims["sub"] == user["id"]
        assert list(there.claims["organization"]) == [other.slug]

        other.suspend(second)
        platform.work()
        assert platform.log_in(name, association.slug).claims["organization"]
        try:
            claims = platform.log_in(name, other.slug).claims
        except LoginError:
            claims = {}
        assert not claims.get("organization")
        assert association.read(first).status == S.ACCOUNT_STATUS_ACTIVE

    def test_the_same_login_in_another_association_is_refused_visibly(
        self, platform: Platform, association: Association
    ) -> None:
        other = open_association(platform)
        name = new_login()
        association.account(name)
        platform.work()
        second = other.account(name).account.account_id
        platform.work()
        assert other.read(second).provisioning_problem == Problem.PROVISIONING_PROBLEM_LOGIN_TAKEN
        other.end(second)
        platform.work()
        assert platform.user(name) is not None


class TestFailures:
    def test_an_alias_that_another_tenant_has_is_refused(self, platform: Platform, association: Association) -> None:
        with pytest.raises(ProviderRefuses) as refused:
            platform.provider.ensure_organization(
                alias=association.slug, name="Other", tenant_id=secrets.token_hex(16), enabled=True
            )
        assert refused.value.status == 409

    def test_a_keycloak_that_is_down_or_does_not_know_us_is_an_outage(self, platform: Platform) -> None:
        for provider in (
            keycloak_of(platform.state, url="http://127.0.0.1:9"),
            keycloak_of(platform.state, secret="not-the-secret"),
        ):
            with pytest.raises(ProviderUnavailable):
                provider.find_user(login="anybody", email=None)

    def test_while_it_is_down_nothing_is_lost(self, platform: Platform, association: Association) -> None:
        name = new_login()
        reply = association.account(name)
        working, platform.provider = platform.provider, keycloak_of(platform.state, url="http://127.0.0.1:9")
        try:
            platform.work()
        finally:
            platform.provider = working
        found = association.read(reply.account.account_id)
        assert found.provisioning_problem == Problem.PROVISIONING_PROBLEM_PROVIDER_UNAVAILABLE
        platform.work()
        found = association.read(reply.account.account_id)
        assert (found.status, found.provisioning_problem) == (S.ACCOUNT_STATUS_ACTIVE, 0)

    def test_the_service_account_cannot_touch_the_clients_of_the_realm(self, platform: Platform) -> None:
        with pytest.raises(KeycloakGetError) as refused:
            platform.admin.get_clients()
        assert refused.value.response_code == 403
