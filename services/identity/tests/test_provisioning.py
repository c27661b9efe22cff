"""The queue to the identity provider, on a real PostgreSQL. The provider is in memory, so that it can fail on command;
the real one has its tests in tests/integration.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from dui.identity.v1 import organisation_pb2, professions_pb2
from dui.identity.v1 import staff_pb2 as pb
from dui_identity.provisioning.keycloak import MailNotSent, ProviderRefuses, ProviderUnavailable
from dui_identity.provisioning.rules import Found, password_key
from dui_identity.provisioning.worker import Provisioner
from dui_identity.testing import Association, open_association
from dui_kit.settings import ServiceSettings
from dui_kit.testing import CallFailed, Harness
from dui_kit.worker.contract import WorkerContext
from google.protobuf.field_mask_pb2 import FieldMask

P, S, Problem = professions_pb2.Profession, pb.AccountStatus, pb.ProvisioningProblem
SECRET = bytes.fromhex("22" * 32)
_numbers = itertools.count(1)


def answers(_: str) -> None:
    """A provider that is well."""


def unavailable(_: str) -> None:
    """A provider that is down."""
    raise ProviderUnavailable


@dataclass
class User:
    user_id: str
    login: str
    email: str
    verified: bool = False
    enabled: bool = True
    password: str | None = None
    account_ids: set[str] = field(default_factory=set)
    organizations: set[str] = field(default_factory=set)
    logged_out: int = 0
    invited: int = 0


class Provider:
    """Users and organizations in memory. `fail` is asked before each request, with its name."""

    def __init__(self) -> None:
        self.users: dict[str, User] = {}
        self.organizations: dict[str, dict[str, Any]] = {}
        self.fail: Callable[[str], None] = answers

    def ensure_organization(self, *, alias: str, name: str, tenant_id: str, enabled: bool) -> str:
        self.fail("ensure_organization")
        self.organizations[tenant_id] = {"alias": alias, "name": name, "enabled": enabled}
        return f"org-{tenant_id}"

    def set_member(self, user_id: str, organization_id: str, *, member: bool) -> None:
        self.fail("set_member")
        places = self.users[user_id].organizations
        (places.add if member else places.discard)(organization_id)

    def create_user(self, *, login: str, email: str | None, account_id: str, password: str | None) -> str | None:
        self.fail("create_user")
        if any(user.login == login or (email and user.email == email) for user in self.users.values()):
            return None
        user = User(f"user-{next(_numbers)}", login, email or "", password=password, account_ids={account_id})
        self.users[user.user_id] = user
        self.fail("create_user, answer")
        return user.user_id

    def find_user(self, *, login: str, email: str | None) -> Found | None:
        self.fail("find_user")
        for match in (lambda user: email and user.email == email, lambda user: user.login == login):
            for user in self.users.values():
                if match(user):
                    return self._found(user)
        return None

    def get_user(self, user_id: str) -> Found | None:
        self.fail("get_user")
        user = self.users.get(user_id)
        return None if user is None else self._found(user)

    def update_user(
        self, user_id: str, *, enabled: bool, account_id: str | None = None, email: str | None = None
    ) -> None:
        self.fail("update_user")
        user = self.users[user_id]
        user.enabled = enabled
        if account_id is not None:
            user.account_ids.add(account_id)
        if email is not None and email != user.email:
            user.email, user.verified = email, False

    def log_out(self, user_id: str) -> None:
        self.fail("log_out")
        self.users[user_id].logged_out += 1

    def delete_user(self, user_id: str) -> None:
        self.fail("delete_user")
        self.users.pop(user_id, None)

    def invite(self, user_id: str) -> None:
        self.fail("invite")
        self.users[user_id].invited += 1

    @staticmethod
    def _found(user: User) -> Found:
        return Found(user.user_id, user.login, user.email, user.verified, frozenset(user.account_ids))


@dataclass
class World:
    harness: Harness
    provider: Provider
    secret: bytes = SECRET

    def work(self, *, late: bool = True) -> None:
        """One run of the job; first, everything that waits for another try becomes due."""
        if late:
            self.harness.admin("UPDATE provisioning_task SET due_at = now() - interval '1 second'")
        context = WorkerContext(self.harness.engine, ServiceSettings(), tuple)
        Provisioner(self.provider, password_key(self.secret), "identity").run(context)

    def user(self, login: str) -> User:
        (found,) = [user for user in self.provider.users.values() if user.login == login]
        return found

    def waiting(self, account_id: str) -> int:
        found = self.harness.admin("SELECT count(*) FROM provisioning_task WHERE account_id = %s", (account_id,))
        return int(found[0][0])


@pytest.fixture
def world(harness: Harness) -> World:
    harness.admin("DELETE FROM provisioning_task")
    return World(harness, Provider())


def create(association: Association, login: str, email: str | None = None) -> pb.CreateAccountResponse:
    professional = association.call(
        "ProfessionalService/CreateProfessional",
        pb.CreateProfessionalRequest(
            professional=pb.Professional(
                family_name="Petit", given_name="Noé", profession=P.PROFESSION_NURSE, email=email
            )
        ),
    ).professional
    return association.call(
        "AccountService/CreateAccount",
        pb.CreateAccountRequest(account=pb.Account(professional_id=professional.professional_id, login=login)),
    )


def account(association: Association, account_id: str) -> pb.Account:
    return association.call("AccountService/GetAccount", pb.GetAccountRequest(account_id=account_id)).account


def suspend(association: Association, account_id: str) -> None:
    association.call("AccountService/SuspendAccount", pb.SuspendAccountRequest(account_id=account_id, reason="absence"))


def reactivate(association: Association, account_id: str) -> None:
    association.call("AccountService/ReactivateAccount", pb.ReactivateAccountRequest(account_id=account_id))


def end(association: Association, account_id: str) -> None:
    association.call("AccountService/EndAccount", pb.EndAccountRequest(account_id=account_id, reason="départ"))


class TestSettingUp:
    def test_the_password_that_was_shown_is_the_one_that_is_set(self, world: World) -> None:
        association = open_association(world.harness)
        reply = create(association, "noe.petit")
        world.work()
        user = world.user("noe.petit")
        assert user.password == reply.temporary_password
        assert user.organizations == {f"org-{association.tenant_id}"}
        found = account(association, reply.account.account_id)
        assert (found.status, found.provisioning_problem) == (S.ACCOUNT_STATUS_ACTIVE, 0)
        assert world.waiting(reply.account.account_id) == 0
        facts = world.harness.admin(
            "SELECT subject, active FROM access_account WHERE account_id = %s", (reply.account.account_id,)
        )
        assert facts == [(user.user_id, True)]

    def test_the_association_is_made_there_first_and_follows_its_status(self, world: World) -> None:
        association = open_association(world.harness)
        world.work()
        assert world.provider.organizations[association.tenant_id]["enabled"] is True
        world.harness.call(
            "dui.identity.v1.AssociationService/SetAssociationStatus",
            organisation_pb2.SetAssociationStatusRequest(tenant_id=association.tenant_id, active=False),
        )
        world.work()
        assert world.provider.organizations[association.tenant_id]["enabled"] is False

    def test_with_an_address_the_person_is_invited_and_has_no_password(self, world: World) -> None:
        association = open_association(world.harness)
        create(association, "noe.petit", "noe@example.org")
        world.work()
        user = world.user("noe.petit")
        assert (user.password, user.invited, user.email) == (None, 1, "noe@example.org")

    def test_another_address_follows(self, world: World) -> None:
        association = open_association(world.harness)
        reply = create(association, "noe.petit", "noe@example.org")
        world.work()
        world.user("noe.petit").verified = True
        professional = association.call(
            "ProfessionalService/GetProfessional",
            pb.GetProfessionalRequest(professional_id=reply.account.professional_id),
        ).professional
        association.call(
            "ProfessionalService/UpdateProfessional",
            pb.UpdateProfessionalRequest(
                professional_id=professional.professional_id,
                professional=pb.Professional(email="noe.petit@example.org"),
                update_mask=FieldMask(paths=["email"]),
            ),
            if_match=professional.etag,
        )
        world.work()
        user = world.user("noe.petit")
        assert (user.email, user.verified) == ("noe.petit@example.org", False)


class TestOutages:
    @pytest.mark.parametrize(
        "broken",
        ["ensure_organization", "find_user", "create_user", "create_user, answer", "set_member", "update_user"],
    )
    def test_whatever_fails_is_tried_again_and_done_once(self, world: World, broken: str) -> None:
        association = open_association(world.harness)
        reply = create(association, "noe.petit")

        def fail(name: str) -> None:
            if name == broken:
                raise ProviderUnavailable

        world.provider.fail = fail
        world.work()
        found = account(association, reply.account.account_id)
        assert found.status == S.ACCOUNT_STATUS_PROVISIONING
        if broken != "ensure_organization":
            assert found.provisioning_problem == Problem.PROVISIONING_PROBLEM_PROVIDER_UNAVAILABLE
        world.provider.fail = answers
        world.work()
        assert world.user("noe.petit").password == reply.temporary_password
        found = account(association, reply.account.account_id)
        assert (found.status, found.provisioning_problem) == (S.ACCOUNT_STATUS_ACTIVE, 0)

    def test_it_waits_longer_each_time(self, world: World) -> None:
        association = open_association(world.harness)
        world.provider.fail = unavailable
        for attempts in (1, 2, 3):
            world.work()
            found = world.harness.admin(
                "SELECT attempts, round(extract(epoch from due_at - now())) FROM provisioning_task"
                " WHERE tenant_id = %s AND account_id IS NULL",
                (association.tenant_id,),
            )
            assert found[0][0] == attempts
            assert 0 <= found[0][1] <= 2 ** (attempts - 1)
        world.provider.fail = lambda name: pytest.fail(f"{name}: asked before its time")
        world.work(late=False)

    def test_what_keycloak_refuses_is_said_and_stops_nobody_else(self, world: World) -> None:
        association = open_association(world.harness)
        world.work()
        broken = create(association, "noe.petit").account.account_id
        fine = create(association, "lea.roux").account.account_id

        def fail(name: str) -> None:
            if name == "create_user" and "noe.petit" not in [user.login for user in world.provider.users.values()]:
                world.provider.fail = answers
                raise ProviderRefuses(400)

        world.provider.fail = fail
        world.work()
        assert account(association, broken).provisioning_problem == Problem.PROVISIONING_PROBLEM_PROVIDER_REFUSES
        assert account(association, fine).status == S.ACCOUNT_STATUS_ACTIVE

    def test_a_changed_key_never_sets_another_password_than_was_shown(self, world: World) -> None:
        association = open_association(world.harness)
        reply = create(association, "noe.petit").account
        world.secret = bytes(32)
        world.work()
        found = account(association, reply.account_id)
        assert found.status == S.ACCOUNT_STATUS_PROVISIONING
        assert found.provisioning_problem == Problem.PROVISIONING_PROBLEM_PASSWORD_LOST
        assert not [user for user in world.provider.users.values() if user.login == "noe.petit"]

    def test_an_invitation_that_is_not_sent_keeps_nobody_out_and_is_tried_five_times(self, world: World) -> None:
        association = open_association(world.harness)
        reply = create(association, "noe.petit", "noe@example.org").account
        tried = itertools.count(1)

        def fail(name: str) -> None:
            if name == "invite":
                next(tried)
                raise MailNotSent

        world.provider.fail = fail
        for _ in range(8):
            world.work()
        assert next(tried) == 6
        found = account(association, reply.account_id)
        assert found.status == S.ACCOUNT_STATUS_ACTIVE
        assert found.provisioning_problem == Problem.PROVISIONING_PROBLEM_INVITATION_NOT_SENT
        suspend(association, reply.account_id)
        reactivate(association, reply.account_id)
        world.work()
        still = account(association, reply.account_id).provisioning_problem
        assert still == Problem.PROVISIONING_PROBLEM_INVITATION_NOT_SENT
        world.provider.fail = answers
        association.call("AccountService/InviteAccount", pb.InviteAccountRequest(account_id=reply.account_id))
        world.work()
        assert world.user("noe.petit").invited == 1
        assert account(association, reply.account_id).provisioning_problem == 0


class TestLockingOut:
    def test_a_suspended_user_is_logged_out_disabled_and_no_member_until_given_back(self, world: World) -> None:
        association = open_association(world.harness)
        reply = create(association, "noe.petit").account
        world.work()
        suspend(association, reply.account_id)
        world.work()
        user = world.user("noe.petit")
        assert (user.enabled, user.organizations, user.logged_out) == (False, set(), 1)
        reactivate(association, reply.account_id)
        world.work()
        assert (user.enabled, user.organizations) == (True, {f"org-{association.tenant_id}"})
        assert user.logged_out == 1

    def test_suspended_and_given_back_before_the_worker_looked_the_sessions_end_all_the_same(
        self, world: World
    ) -> None:
        association = open_association(world.harness)
        reply = create(association, "noe.petit").account
        world.work()
        suspend(association, reply.account_id)
        reactivate(association, reply.account_id)
        world.work()
        user = world.user("noe.petit")
        assert (user.enabled, user.logged_out) == (True, 1)

    def test_who_leaves_is_removed(self, world: World) -> None:
        association = open_association(world.harness)
        reply = create(association, "noe.petit").account
        world.work()
        end(association, reply.account_id)
        world.work()
        assert "noe.petit" not in {user.login for user in world.provider.users.values()}
        world.work()
        assert world.waiting(reply.account_id) == 0

    @pytest.mark.parametrize("broken", ["create_user", "create_user, answer"])
    def test_who_left_before_they_were_set_up_leaves_nothing(self, world: World, broken: str) -> None:
        association = open_association(world.harness)
        reply = create(association, "noe.petit").account

        def fail(name: str) -> None:
            if name == broken:
                raise ProviderUnavailable

        world.provider.fail = fail
        world.work()
        end(association, reply.account_id)
        world.provider.fail = answers
        world.work()
        assert "noe.petit" not in {user.login for user in world.provider.users.values()}
        assert world.waiting(reply.account_id) == 0
        assert account(association, reply.account_id).status == S.ACCOUNT_STATUS_ENDED

    def test_a_user_removed_by_hand_is_for_the_operator(self, world: World) -> None:
        association = open_association(world.harness)
        reply = create(association, "noe.petit").account
        world.work()
        world.provider.users.clear()
        suspend(association, reply.account_id)
        world.work()
        found = account(association, reply.account_id)
        assert found.provisioning_problem == Problem.PROVISIONING_PROBLEM_PROVIDER_REFUSES
        end(association, reply.account_id)
        world.work()
        assert world.waiting(reply.account_id) == 0


class TestOnePersonInTwoAssociations:
    def both(self, world: World, *, verified: bool = True) -> tuple[Association, str, Association, str]:
        """The same address in two associations, the holder having confirmed it in between."""
        first, second = open_association(world.harness), open_association(world.harness)
        one = create(first, "lea.roux", "lea@example.org").account.account_id
        world.work()
        world.user("lea.roux").verified = verified
        two = create(second, "l.roux", "lea@example.org").account.account_id
        world.work()
        return first, one, second, two

    def test_it_is_one_user_with_one_subject_and_one_login(self, world: World) -> None:
        first, one, second, two = self.both(world)
        user = world.user("lea.roux")
        assert user.organizations == {f"org-{first.tenant_id}", f"org-{second.tenant_id}"}
        assert user.account_ids == {one, two}
        assert account(second, two).login == "lea.roux"
        assert user.invited == 1  # they have their password
        subjects = world.harness.admin("SELECT DISTINCT subject FROM account WHERE account_id IN (%s, %s)", (one, two))
        assert subjects == [(user.user_id,)]

    def test_who_can_log_in_already_is_not_invited(self, world: World) -> None:
        def fail(name: str) -> None:
            if name == "invite":
                raise MailNotSent

        user = User("user-before", "max.roux", "max@example.org", verified=True)
        world.provider.users[user.user_id] = user
        world.provider.fail = fail
        association = open_association(world.harness)
        reply = create(association, "max.roux", "max@example.org").account
        for _ in range(8):
            world.work()
        found = account(association, reply.account_id)
        assert (found.status, found.provisioning_problem) == (S.ACCOUNT_STATUS_ACTIVE, 0)
        world.provider.fail = answers
        association.call("AccountService/InviteAccount", pb.InviteAccountRequest(account_id=reply.account_id))
        world.work()
        assert user.invited == 1  # when an administrator asks for it

    def test_an_address_not_confirmed_yet_waits_and_then_goes_on_by_itself(self, world: World) -> None:
        _, _, second, two = self.both(world, verified=False)
        found = account(second, two)
        assert found.status == S.ACCOUNT_STATUS_PROVISIONING
        assert found.provisioning_problem == Problem.PROVISIONING_PROBLEM_EMAIL_UNCONFIRMED
        world.user("lea.roux").verified = True
        world.work()
        assert account(second, two).status == S.ACCOUNT_STATUS_ACTIVE

    def test_the_same_login_without_the_address_is_somebody_else(self, world: World) -> None:
        first, second = open_association(world.harness), open_association(world.harness)
        create(first, "lea.roux")
        world.work()
        two = create(second, "lea.roux").account.account_id
        world.work()
        found = account(second, two)
        assert found.status == S.ACCOUNT_STATUS_PROVISIONING
        assert found.provisioning_problem == Problem.PROVISIONING_PROBLEM_LOGIN_TAKEN
        assert len(world.user("lea.roux").organizations) == 1
        end(second, two)
        world.work()
        assert world.user("lea.roux").enabled

    def test_suspended_in_one_they_work_on_in_the_other(self, world: World) -> None:
        first, one, second, two = self.both(world)
        suspend(first, one)
        world.work()
        user = world.user("lea.roux")
        assert (user.enabled, user.logged_out, user.organizations) == (True, 0, {f"org-{second.tenant_id}"})
        suspend(second, two)
        world.work()
        assert (user.enabled, user.logged_out, user.organizations) == (False, 1, set())
        end(second, two)
        world.work()
        assert world.user("lea.roux").enabled is False  # the first association may still give them back
        reactivate(first, one)
        world.work()
        assert (user.enabled, user.organizations) == (True, {f"org-{first.tenant_id}"})
        end(first, one)
        world.work()
        assert "lea.roux" not in {user.login for user in world.provider.users.values()}

    def test_neither_association_takes_over_the_address(self, world: World) -> None:
        _, _, second, two = self.both(world)
        found = account(second, two)
        professional = second.call(
            "ProfessionalService/GetProfessional", pb.GetProfessionalRequest(professional_id=found.professional_id)
        ).professional
        second.call(
            "ProfessionalService/UpdateProfessional",
            pb.UpdateProfessionalRequest(
                professional_id=professional.professional_id,
                professional=pb.Professional(email="attacker@example.org"),
                update_mask=FieldMask(paths=["email"]),
            ),
            if_match=professional.etag,
        )
        second.call("AccountService/InviteAccount", pb.InviteAccountRequest(account_id=two))
        world.work()
        user = world.user("lea.roux")
        assert (user.email, user.verified, user.invited) == ("lea@example.org", True, 1)

    def test_somebody_who_left_and_comes_back_has_a_new_account(self, world: World) -> None:
        first, one, second, two = self.both(world)
        end(second, two)
        world.work()
        again = second.call(
            "AccountService/CreateAccount",
            pb.CreateAccountRequest(
                account=pb.Account(professional_id=account(second, two).professional_id, login="lea-bis")
            ),
        ).account
        world.work()
        assert account(second, again.account_id).status == S.ACCOUNT_STATUS_ACTIVE
        assert account(first, one).status == S.ACCOUNT_STATUS_ACTIVE
        subject = world.user("lea.roux").user_id
        mine = second.call("AccountService/GetAccount", pb.GetAccountRequest(account_id=again.account_id))
        assert mine.account.login == "lea.roux"
        with pytest.raises(CallFailed) as refused:  # no assignment yet: the old one ended
            second.call("AssociationService/GetAssociation", organisation_pb2.GetAssociationRequest(), as_=subject)
        assert refused.value.reason == "NOT_ASSIGNED"
