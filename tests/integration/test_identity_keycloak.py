"""Provisioning against the real Keycloak, with the realm of deploy/keycloak and identity's own service account.

Needs a running stack (`DUI_STACK`, or the one of `make up`): its Keycloak and its PostgreSQL server are used; the rows are in a
database of this run. Only the processes of identity are not: the queue's job is run here, so that a test says when.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from dui.identity.v1 import organisation_pb2, professions_pb2
from dui.identity.v1 import staff_pb2 as pb
from dui_identity.app import build
from dui_identity.provisioning.keycloak import Keycloak, ProviderRefuses, ProviderUnavailable
from dui_identity.provisioning.rules import INVITATION_HOLDS, password_key
from dui_identity.provisioning.worker import Provisioner
from dui_identity.settings import IdentitySettings
from dui_keycloak.connection import Administration
from dui_kit.settings import ServiceSettings
from dui_kit.testing import CallFailed, Harness, create_database
from dui_kit.worker.parts import WorkerContext
from dui_local.realm import settings as settings_of
from dui_ops.login import Browser, Enrolment, LoginError, Tokens, login
from dui_ops.state import State, load
from google.protobuf.field_mask_pb2 import FieldMask
from keycloak import KeycloakAdmin, KeycloakOpenIDConnection
from keycloak.exceptions import KeycloakGetError
from mails import Mailbox, follow, mail_server
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
        context = WorkerContext("identity", self.harness.engine, ServiceSettings(), tuple)
        Provisioner(self.provider, password_key(bytes.fromhex(KEY))).run(context)

    def user(self, login_: str) -> dict[str, Any] | None:
        """A user as Keycloak has it."""
        found = self.admin.get_users({"username": login_, "exact": True})
        return dict(found[0]) if found else None

    def first_login(self, opened: Opened, slug: str) -> Enrolment:
        """Does what a person does at their first login: enrol a device and choose a password."""
        enrolment = Enrolment(CHOSEN)
        self.log_in(opened.login, slug, opened.temporary_password, enrolment=enrolment)
        return enrolment

    def log_in(
        self,
        login_: str,
        slug: str,
        password: str = CHOSEN,
        *,
        device: Enrolment | None = None,
        enrolment: Enrolment | None = None,
    ) -> Tokens:
        """A login through the pages of the realm; with a device, at level 2."""
        return login(
            issuer=self.state["urls"]["issuer"],
            username=login_,
            password=password,
            organization=slug,
            otp_secret=device.otp_secret if device else None,
            acr="2" if device else "1",
            enrolment=enrolment,
        )

    def organizations(self, login_: str, slug: str) -> list[str]:
        """The associations that a token names which is asked for one of them."""
        try:
            return list(self.log_in(login_, slug).claims.get("organization", {}))
        except LoginError:
            return []

    def refresh(self, tokens: Tokens) -> httpx.Response:
        """Asks for new tokens with a refresh token."""
        return httpx.post(
            f"{self.state['urls']['issuer']}/protocol/openid-connect/token",
            data={"grant_type": "refresh_token", "client_id": "dui-cli", "refresh_token": tokens.refresh_token},
        )


@dataclass(frozen=True, slots=True)
class Opened:
    """An account as it was opened."""

    account_id: str
    login: str
    temporary_password: str


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
        build(IdentitySettings(sealing_key=SecretStr(KEY))),
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

    def call(self, operation: str, request: Any, **headers: Any) -> Any:
        return self.platform.harness.call(
            f"dui.identity.v1.{operation}", request, as_=self.subject, tenant=self.tenant_id, acr=2, **headers
        )

    def account(self, email: str | None = None, login_: str = "") -> Opened:
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
            account=pb.Account(professional_id=professional.professional_id, login=login_ or new_login())
        )
        reply = self.call("AccountService/CreateAccount", request)
        return Opened(reply.account.account_id, reply.account.login, reply.temporary_password)

    def read(self, account_id: str) -> pb.Account:
        reply = self.call("AccountService/GetAccount", pb.GetAccountRequest(account_id=account_id))
        assert isinstance(reply, pb.GetAccountResponse)
        return reply.account

    def state(self, account_id: str) -> tuple[int, int]:
        """Status and problem of an account."""
        found = self.read(account_id)
        return found.status, found.provisioning_problem

    def invite(self, account_id: str) -> str:
        """Invites again; the first password, if one is to be handed over."""
        reply = self.call("AccountService/InviteAccount", pb.InviteAccountRequest(account_id=account_id))
        return str(reply.temporary_password)

    def change_address(self, account_id: str, email: str | None) -> None:
        professional_id = self.read(account_id).professional_id
        found = self.call(
            "ProfessionalService/GetProfessional", pb.GetProfessionalRequest(professional_id=professional_id)
        ).professional
        request = pb.UpdateProfessionalRequest(
            professional_id=professional_id,
            professional=pb.Professional(email=email),
            update_mask=FieldMask(paths=["email"]),
        )
        self.call("ProfessionalService/UpdateProfessional", request, if_match=found.etag)

    def suspend(self, account_id: str) -> None:
        self.call("AccountService/SuspendAccount", pb.SuspendAccountRequest(account_id=account_id, reason="absence"))

    def reactivate(self, account_id: str) -> None:
        self.call(
            "AccountService/ReactivateAccount", pb.ReactivateAccountRequest(reason="retour", account_id=account_id)
        )

    def end(self, account_id: str) -> None:
        self.call("AccountService/EndAccount", pb.EndAccountRequest(account_id=account_id, reason="départ"))


def new_login() -> str:
    return f"test-{secrets.token_hex(5)}"


def open_association(platform: Platform, name: str = "") -> Association:
    slug = f"essai-{secrets.token_hex(5)}"
    reply = platform.harness.call(
        "dui.identity.v1.AssociationService/CreateAssociation",
        organisation_pb2.CreateAssociationRequest(
            association=organisation_pb2.Association(slug=slug, name=name or f"Association {slug}"),
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


PENDING = (S.ACCOUNT_STATUS_PROVISIONING, Problem.PROVISIONING_PROBLEM_INVITATION_PENDING)
ACTIVE = (S.ACCOUNT_STATUS_ACTIVE, 0)


class TestSettingUp:
    def test_the_first_password_lets_in_to_enrol_a_device_and_choose_another_one_and_nothing_else(
        self, platform: Platform, association: Association
    ) -> None:
        opened = association.account()
        platform.work()
        assert association.state(opened.account_id) == ACTIVE
        with pytest.raises(LoginError, match=r"must do something first.*totpSecret"):
            platform.log_in(opened.login, association.slug, opened.temporary_password)
        with pytest.raises(LoginError, match=r"(?i)invalid"):
            platform.log_in(opened.login, association.slug, "not-the-password")
        device = platform.first_login(opened, association.slug)
        assert platform.log_in(opened.login, association.slug, device=device).claims["acr"] == "2"
        with pytest.raises(LoginError, match=r"(?i)invalid"):
            platform.log_in(opened.login, association.slug, opened.temporary_password)

    def test_a_first_login_that_was_left_half_way_lets_nobody_add_a_device_with_the_password_that_was_chosen(
        self, platform: Platform, association: Association
    ) -> None:
        """The device comes before the password: whoever can choose the password has a device already."""
        opened = association.account()
        platform.work()

        class LeavesBeforeThePassword(Enrolment):
            def answer(self, form: str) -> dict[str, str] | None:
                return super().answer(form) if "totpSecret" in form else None

        left = LeavesBeforeThePassword(CHOSEN)
        with pytest.raises(LoginError, match="password-new"):
            platform.log_in(opened.login, association.slug, opened.temporary_password, enrolment=left)
        assert left.otp_secret
        with pytest.raises(LoginError, match="password-new"):
            platform.log_in(opened.login, association.slug, opened.temporary_password)

    def test_the_token_names_the_association_and_the_subject_that_identity_announced(
        self, platform: Platform, association: Association
    ) -> None:
        opened = association.account()
        platform.work()
        platform.first_login(opened, association.slug)
        claims = platform.log_in(opened.login, association.slug).claims
        (organization,) = claims["organization"].values()
        assert organization["tenant_id"] == [association.tenant_id]
        assert list(claims["organization"]) == [association.slug]
        announced = platform.harness.admin(
            "SELECT subject FROM access_account WHERE account_id = %s AND active", (opened.account_id,)
        )
        assert announced == [(claims["sub"],)]

    def test_two_associations_may_have_the_same_name(self, platform: Platform) -> None:
        name = f"Les Amis {secrets.token_hex(4)}"
        for each in (open_association(platform, name), open_association(platform, name)):
            opened = each.account()
            platform.work()
            platform.first_login(opened, each.slug)
            assert platform.organizations(opened.login, each.slug) == [each.slug]

    def test_an_invitation_needs_a_mail_server_and_the_administrator_is_told_that_there_is_none(
        self, platform: Platform, association: Association
    ) -> None:
        email = f"{new_login()}@example.org"
        opened = association.account(email)
        platform.work()
        not_sent = (S.ACCOUNT_STATUS_PROVISIONING, Problem.PROVISIONING_PROBLEM_INVITATION_NOT_SENT)
        assert association.state(opened.account_id) == not_sent
        user = platform.user(opened.login)
        assert user is not None
        assert (user["email"], user["emailVerified"]) == (email, False)
        assert set(user["requiredActions"]) == {"CONFIGURE_TOTP", "UPDATE_PASSWORD"}

    def test_what_the_platform_keeps_of_a_person_there_is_what_the_login_needs(
        self, platform: Platform, association: Association
    ) -> None:
        opened = association.account()
        platform.work()
        user = platform.user(opened.login)
        assert user is not None
        assert not user.get("firstName")
        assert not user.get("lastName")
        assert user["attributes"] == {"dui_account_id": [opened.account_id]}

    def test_everything_may_be_asked_twice(self, platform: Platform, association: Association) -> None:
        opened = association.account()
        organization = platform.provider.ensure_organization(
            alias=association.slug,
            name=f"Association {association.slug}",
            tenant_id=association.tenant_id,
            enabled=True,
        )
        # An attempt whose answer was lost: the user is there, identity does not know.
        made = platform.provider.create_user(
            login=opened.login, email=None, account_id=opened.account_id, password=opened.temporary_password
        )
        assert made is not None
        platform.work()
        assert association.read(opened.account_id).status == S.ACCOUNT_STATUS_ACTIVE
        user = platform.user(opened.login)
        assert user is not None
        assert user["id"] == made
        for _ in range(2):
            platform.provider.set_member(made, organization, member=True)
            assert platform.provider.is_member(made, organization)
        for _ in range(2):
            platform.provider.set_member(made, organization, member=False)
            assert not platform.provider.is_member(made, organization)
        for _ in range(2):
            platform.provider.log_out(made)
        for _ in range(2):
            platform.provider.remove_device(made, "11111111-2222-7333-8444-555555555555")
            platform.provider.withdraw("nobody@example.org", organization)
        for _ in range(2):
            platform.provider.delete_user(made)
        platform.provider.set_member(made, organization, member=False)
        assert platform.provider.get_user(made) is None


class TestLockingOut:
    def test_a_suspended_person_is_out_with_their_sessions_until_given_back(
        self, platform: Platform, association: Association
    ) -> None:
        opened = association.account()
        platform.work()
        platform.first_login(opened, association.slug)
        tokens = platform.log_in(opened.login, association.slug)
        association.suspend(opened.account_id)
        platform.work()
        assert platform.refresh(tokens).status_code == 400
        with pytest.raises(LoginError):
            platform.log_in(opened.login, association.slug)
        association.reactivate(opened.account_id)
        platform.work()
        again = platform.log_in(opened.login, association.slug)
        assert again.claims["sub"] == tokens.claims["sub"]

    def test_who_leaves_is_removed(self, platform: Platform, association: Association) -> None:
        opened = association.account()
        platform.work()
        association.end(opened.account_id)
        platform.work()
        assert platform.user(opened.login) is None
        waiting = platform.harness.admin(
            "SELECT count(*) FROM provisioning_task WHERE account_id = %s", (opened.account_id,)
        )
        assert waiting == [(0,)]

    def test_a_suspended_association_gives_no_token_until_it_reopens(
        self, platform: Platform, association: Association
    ) -> None:
        opened = association.account()
        platform.work()
        platform.first_login(opened, association.slug)
        platform.log_in(opened.login, association.slug)
        operation = "dui.identity.v1.AssociationService/SetAssociationStatus"
        for active in (False, True):
            platform.harness.call(
                operation,
                organisation_pb2.SetAssociationStatusRequest(tenant_id=association.tenant_id, active=active),
            )
            platform.work()
            assert bool(platform.organizations(opened.login, association.slug)) is active


class TestBeginningAnew:
    def test_without_an_address_a_first_password_replaces_password_device_and_sessions(
        self, platform: Platform, association: Association
    ) -> None:
        opened = association.account()
        platform.work()
        lost = platform.first_login(opened, association.slug)
        tokens = platform.log_in(opened.login, association.slug)
        handed_over = association.invite(opened.account_id)
        platform.work()
        assert platform.refresh(tokens).status_code == 400
        with pytest.raises(LoginError, match=r"(?i)invalid"):
            platform.log_in(opened.login, association.slug)
        enrolled = Enrolment("Une-autre-phrase-de-passe-43")
        platform.log_in(opened.login, association.slug, handed_over, enrolment=enrolled)
        platform.log_in(opened.login, association.slug, enrolled.new_password, device=enrolled)
        with pytest.raises(LoginError):
            platform.log_in(opened.login, association.slug, enrolled.new_password, device=lost)
        assert association.state(opened.account_id) == ACTIVE

    def test_an_address_that_is_taken_away_leaves_the_person_a_member(
        self, platform: Platform, association: Association
    ) -> None:
        """The way out where there is no mail server."""
        opened = association.account(new_address())
        platform.work()
        association.change_address(opened.account_id, None)
        handed_over = association.invite(opened.account_id)
        platform.work()
        assert association.state(opened.account_id) == ACTIVE
        user = platform.user(opened.login)
        assert user is not None
        assert not user.get("email")
        enrolled = Enrolment(CHOSEN)
        claims = platform.log_in(opened.login, association.slug, handed_over, enrolment=enrolled).claims
        assert list(claims["organization"]) == [association.slug]


@pytest.fixture
def mailbox(platform: Platform) -> Iterator[Mailbox]:
    with mail_server(platform.state) as found:
        yield found


def new_address() -> str:
    return f"{new_login()}@example.org"


@pytest.mark.alone
class TestInvitations:
    def entered(
        self, platform: Platform, association: Association, mailbox: Mailbox, email: str
    ) -> tuple[Opened, Enrolment]:
        """An account whose person has followed their invitation."""
        opened = association.account(email)
        platform.work()
        enrolment = Enrolment(CHOSEN)
        follow(mailbox.next(email).link, enrolment)
        platform.work()
        assert association.state(opened.account_id) == ACTIVE
        return opened, enrolment

    def test_who_follows_the_link_enrols_a_device_chooses_a_password_and_enters(
        self, platform: Platform, association: Association, mailbox: Mailbox
    ) -> None:
        email = new_address()
        opened = association.account(email)
        platform.work()
        mail = mailbox.next(email)
        assert "Mettre à jour votre compte" in mail.subject
        platform.work()
        assert association.state(opened.account_id) == PENDING
        assert mailbox.read(email)
        enrolment = Enrolment(CHOSEN)
        done = follow(mail.link, enrolment)
        assert (done.status, enrolment.otp_secret is not None) == (200, True)
        assert "Votre compte a été mis à jour" in done.text
        platform.work()
        assert association.state(opened.account_id) == ACTIVE
        claims = platform.log_in(opened.login, association.slug, device=enrolment).claims
        assert (claims["acr"], list(claims["organization"])) == ("2", [association.slug])
        assert follow(mail.link).status == 400  # the link is used up

    def test_the_link_holds_for_as_long_as_the_platform_waits_for_the_answer(self, platform: Platform) -> None:
        realm = Administration(settings_of(platform.state)).get("")
        assert realm["actionTokenGeneratedByAdminLifespan"] == INVITATION_HOLDS.total_seconds()

    def test_a_lost_device_is_worth_nothing_at_once_and_the_password_alone_enrols_no_other(
        self, platform: Platform, association: Association, mailbox: Mailbox
    ) -> None:
        email = new_address()
        opened, lost = self.entered(platform, association, mailbox, email)
        with Browser(platform.state["urls"]["issuer"]) as browser:
            tokens = browser.login(
                username=opened.login,
                password=CHOSEN,
                otp_secret=lost.otp_secret,
                organization=association.slug,
                acr="2",
            )
            association.invite(opened.account_id)
            platform.work()
            with pytest.raises(LoginError, match="invalid_grant"):
                browser.refresh(tokens)
        assert association.state(opened.account_id)[1] == Problem.PROVISIONING_PROBLEM_INVITATION_PENDING
        with pytest.raises(LoginError, match="no second factor"):
            platform.log_in(opened.login, association.slug, device=lost)
        assert platform.log_in(opened.login, association.slug).claims["acr"] == "1"  # their work goes on
        enrolled = Enrolment("Une-autre-phrase-de-passe-43")
        follow(mailbox.next(email).link, enrolled)
        platform.work()
        assert association.state(opened.account_id) == ACTIVE
        claims = platform.log_in(opened.login, association.slug, enrolled.new_password, device=enrolled).claims
        assert claims["acr"] == "2"

    def test_who_works_for_one_association_joins_another_only_by_saying_yes(
        self, platform: Platform, association: Association, mailbox: Mailbox
    ) -> None:
        email = new_address()
        first, device = self.entered(platform, association, mailbox, email)
        other = open_association(platform, "Les Amis de l'Horizon")
        second = other.account(email)
        for _ in range(2):
            platform.work()
        found = other.read(second.account_id)
        assert (found.status, found.provisioning_problem) == PENDING
        assert found.login == second.login != first.login
        assert platform.organizations(first.login, other.slug) == []
        mail = mailbox.next(email)
        assert "Les Amis de l'Horizon" in mail.subject
        assert mailbox.read(email)
        said_yes = follow(mail.link)
        assert said_yes.sent_to.startswith(platform.state["urls"]["gateway"])  # the application
        platform.work()
        joined = other.read(second.account_id)
        assert (joined.status, joined.provisioning_problem, joined.login) == (*ACTIVE, first.login)
        here = platform.log_in(first.login, association.slug, device=device)
        there = platform.log_in(first.login, other.slug)
        assert here.claims["sub"] == there.claims["sub"]
        assert list(there.claims["organization"]) == [other.slug]

        other.invite(second.account_id)
        platform.work()
        mailbox.next(email)
        log = Path(platform.state["programs"]["keycloak"]["log"]).read_text(encoding="utf-8")
        assert first.login not in log

        other.suspend(second.account_id)
        platform.work()
        assert platform.organizations(first.login, association.slug) == [association.slug]
        assert platform.organizations(first.login, other.slug) == []
        assert association.state(first.account_id) == ACTIVE

    def test_who_works_for_two_is_invited_by_one_and_loses_nothing_of_the_other(
        self, platform: Platform, association: Association, mailbox: Mailbox
    ) -> None:
        email = new_address()
        first, old = self.entered(platform, association, mailbox, email)
        other = open_association(platform)
        second = other.account(email)
        platform.work()
        follow(mailbox.next(email).link)
        platform.work()
        assert other.state(second.account_id) == ACTIVE
        other.invite(second.account_id)
        platform.work()
        assert platform.log_in(first.login, association.slug, device=old).claims["acr"] == "2"
        mail = mailbox.next(email)
        enrolled = Enrolment(CHOSEN + "-bis")
        assert follow(mail.link, enrolled).status == 200
        # The one of a moment ago counts as enrolled since: clocks may be minutes apart.
        assert platform.log_in(first.login, other.slug, enrolled.new_password, device=old).claims["acr"] == "2"
        user = platform.user(first.login)
        assert user is not None
        assert len(platform.provider.credentials(user["id"]).devices) == 2

    def test_a_session_of_before_is_renewed_for_the_other_association_and_opens_nothing_in_the_one_that_ended_it(
        self, platform: Platform, association: Association, mailbox: Mailbox
    ) -> None:
        email = new_address()
        first, _ = self.entered(platform, association, mailbox, email)
        other = open_association(platform)
        second = other.account(email)
        platform.work()
        follow(mailbox.next(email).link)
        platform.work()
        sessions = {where.slug: platform.log_in(first.login, where.slug) for where in (association, other)}
        entered = sessions[other.slug].claims["acr_times"]["1"]
        while time.time() < entered + 1:  # Keycloak counts in seconds
            time.sleep(0.05)
        other.suspend(second.account_id)
        platform.work()
        other.reactivate(second.account_id)
        platform.work()
        answers = {}
        for where in (association, other):
            renewed = platform.refresh(sessions[where.slug])
            assert renewed.status_code == 200, "the session is the other association's too"
            claims = jwt.decode(renewed.json()["access_token"], options={"verify_signature": False})
            assert claims["iat"] > entered
            try:
                platform.harness.call(
                    "dui.identity.v1.AccountService/GetMyAccount",
                    pb.GetMyAccountRequest(),
                    as_=claims["sub"],
                    tenant=where.tenant_id,
                    entered_at=claims["acr_times"]["1"],
                )
                answers[where.slug] = "open"
            except CallFailed as refused:
                answers[where.slug] = refused.reason
        assert answers == {association.slug: "open", other.slug: "SESSION_REVOKED"}

    def test_a_question_is_taken_back_with_the_account_and_asked_again_on_request(
        self, platform: Platform, association: Association, mailbox: Mailbox
    ) -> None:
        email = new_address()
        first, _ = self.entered(platform, association, mailbox, email)
        other = open_association(platform)
        second = other.account(email)
        platform.work()
        stale = mailbox.next(email)
        other.invite(second.account_id)
        platform.work()
        assert follow(stale.link).status == 400  # replaced
        again = mailbox.next(email)
        other.end(second.account_id)
        platform.work()
        assert follow(again.link).status == 400  # withdrawn
        assert platform.organizations(first.login, other.slug) == []
        assert platform.organizations(first.login, association.slug) == [association.slug]

    def test_who_is_suspended_by_one_association_can_join_another(
        self, platform: Platform, association: Association, mailbox: Mailbox
    ) -> None:
        email = new_address()
        first, _ = self.entered(platform, association, mailbox, email)
        association.suspend(first.account_id)
        platform.work()
        other = open_association(platform)
        second = other.account(email)
        platform.work()
        follow(mailbox.next(email).link)
        platform.work()
        assert other.state(second.account_id) == ACTIVE
        assert platform.organizations(first.login, other.slug) == [other.slug]
        assert platform.organizations(first.login, association.slug) == []

    def test_a_mail_server_that_refuses_is_told_to_the_administrator_and_names_nobody_in_the_log(
        self, platform: Platform, association: Association, mailbox: Mailbox
    ) -> None:
        mailbox.refuses = True
        email = new_address()
        opened = association.account(email)
        platform.work()
        not_sent = (S.ACCOUNT_STATUS_PROVISIONING, Problem.PROVISIONING_PROBLEM_INVITATION_NOT_SENT)
        assert association.state(opened.account_id) == not_sent
        log = Path(platform.state["programs"]["keycloak"]["log"]).read_text(encoding="utf-8")
        assert "Failed to send execute actions email" in log  # it is told
        assert email not in log
        assert opened.login not in log

    def test_an_address_that_another_association_typed_first_is_in_nobodys_way(
        self, platform: Platform, association: Association, mailbox: Mailbox
    ) -> None:
        email = new_address()
        squatter = association.account(email)
        platform.work()
        other = open_association(platform)
        mailbox.next(email)  # an invitation that they did not expect, and leave alone
        opened, device = self.entered(platform, other, mailbox, email)
        assert association.state(squatter.account_id) == PENDING
        assert platform.log_in(opened.login, other.slug, device=device).claims["acr"] == "2"


class TestOnePersonInTwoAssociations:
    def test_the_same_login_in_another_association_is_refused_visibly(
        self, platform: Platform, association: Association
    ) -> None:
        other = open_association(platform)
        opened = association.account()
        platform.work()
        second = other.account(login_=opened.login).account_id
        platform.work()
        assert other.read(second).provisioning_problem == Problem.PROVISIONING_PROBLEM_LOGIN_TAKEN
        other.end(second)
        platform.work()
        assert platform.user(opened.login) is not None


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
                provider.find_users(login="anybody", email=None)

    def test_while_it_is_down_nothing_is_lost(self, platform: Platform, association: Association) -> None:
        opened = association.account()
        working, platform.provider = platform.provider, keycloak_of(platform.state, url="http://127.0.0.1:9")
        try:
            platform.work()
        finally:
            platform.provider = working
        found = association.read(opened.account_id)
        assert found.provisioning_problem == Problem.PROVISIONING_PROBLEM_PROVIDER_UNAVAILABLE
        platform.work()
        assert association.state(opened.account_id) == ACTIVE

    @pytest.mark.parametrize(
        "read", ["get_clients", "get_events", "get_idps", "get_client_scopes", "get_authentication_flows", "get_keys"]
    )
    def test_the_service_account_reaches_nothing_of_the_realm_but_users_and_organizations(
        self, platform: Platform, read: str
    ) -> None:
        with pytest.raises(KeycloakGetError) as refused:
            getattr(platform.admin, read)()
        assert refused.value.response_code == 403
