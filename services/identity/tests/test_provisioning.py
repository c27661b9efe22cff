"""The queue to the identity provider, on a real PostgreSQL. The provider is in memory, so that it can fail on command;
the real one has its tests in tests/integration.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from dui.identity.v1 import organisation_pb2, professions_pb2
from dui.identity.v1 import staff_pb2 as pb
from dui_identity.provisioning.keycloak import MailNotSent, ProviderRefuses, ProviderUnavailable
from dui_identity.provisioning.rules import Credentials, Found, Kind, password_key
from dui_identity.provisioning.worker import LOOKED_AT_AT_ONCE, SERVED_AT_ONCE, Provisioner, Work
from dui_identity.testing import Association, open_association
from dui_kit.settings import ServiceSettings
from dui_kit.testing import CallFailed, Harness
from dui_kit.worker.parts import WorkerContext
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
    #: Organizations that have asked them to join.
    asked: set[str] = field(default_factory=set)
    devices: dict[str, datetime] = field(default_factory=dict)
    logged_out: int = 0
    invited: int = 0

    def enrol(self) -> str:
        """Adds a device."""
        name = f"device-{next(_numbers)}"
        self.devices[name] = datetime.now(UTC)
        return name

    def follow(self) -> str:
        """Does what the link of the invitation asks for; the device that was enrolled."""
        assert self.invited
        self.verified, self.password = True, "chosen"
        return self.enrol()

    def join(self) -> None:
        """Says yes to every association that asked."""
        self.organizations |= self.asked
        self.asked.clear()


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

    def is_member(self, user_id: str, organization_id: str) -> bool:
        self.fail("is_member")
        return organization_id in self.users[user_id].organizations

    def ask_to_join(self, user_id: str, organization_id: str) -> None:
        self.fail("ask_to_join")
        user = self.users[user_id]
        assert user.enabled
        assert organization_id not in user.asked, "not withdrawn: Keycloak answers 409"
        user.asked.add(organization_id)

    def withdraw(self, email: str, organization_id: str) -> None:
        self.fail("withdraw")
        for user in self.users.values():
            if user.email == email:
                user.asked.discard(organization_id)

    def create_user(self, *, login: str, email: str | None, account_id: str, password: str | None) -> str | None:
        self.fail("create_user")
        if any(user.login == login for user in self.users.values()):
            return None
        user = User(f"user-{next(_numbers)}", login, email or "", password=password, account_ids={account_id})
        self.users[user.user_id] = user
        self.fail("create_user, answer")
        return user.user_id

    def find_users(self, *, login: str, email: str | None) -> list[Found]:
        self.fail("find_users")
        return [
            self._found(user)
            for user in self.users.values()
            if user.login == login or (email is not None and user.email == email)
        ]

    def get_user(self, user_id: str) -> Found | None:
        self.fail("get_user")
        user = self.users.get(user_id)
        return None if user is None else self._found(user)

    def update_user(
        self, user_id: str, *, enabled: bool, account_id: str | None = None, email: str | None = None
    ) -> None:
        self.fail("update_user")
        user = self.users[user_id]
        if email == "" and user.email and user.organizations:
            raise ProviderRefuses(400)  # as Keycloak does
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

    def set_first_password(self, user_id: str, password: str) -> None:
        self.fail("set_first_password")
        self.users[user_id].password = password

    def credentials(self, user_id: str) -> Credentials:
        self.fail("credentials")
        user = self.users[user_id]
        return Credentials(user.password is not None, dict(user.devices))

    def remove_device(self, user_id: str, device_id: str) -> None:
        self.fail("remove_device")
        self.users[user_id].devices.pop(device_id, None)

    @staticmethod
    def _found(user: User) -> Found:
        return Found(user.user_id, user.login, user.email, user.verified, frozenset(user.account_ids))


@dataclass
class World:
    harness: Harness
    provider: Provider
    secret: bytes = SECRET

    def work(
        self, *, late: bool = True, at_most: int = 1_000, meanwhile: Callable[[int], object] = lambda _: None
    ) -> list[tuple[str, Kind]]:
        """One run of the job, to its end or until it has done `at_most` tasks: association and kind of each. First, everything
        that waits for another try becomes due. `meanwhile` is called before each task, with the number of those done."""
        if late:
            self.harness.admin("UPDATE provisioning_task SET due_at = now() - interval '1 second'")
        done: list[tuple[str, Kind]] = []

        class Watched(Provisioner):
            def _do(self, context: WorkerContext, work: Work) -> None:
                meanwhile(len(done))
                done.append((work.tenant_id, work.kind))
                super()._do(context, work)

        stopping = lambda: len(done) >= at_most  # noqa: E731
        context = WorkerContext("identity", self.harness.engine, ServiceSettings(), tuple, stopping)
        Watched(self.provider, password_key(self.secret)).run(context)
        return done

    def add(self, association: Association, account_id: str, kind: Kind, count: int) -> None:
        """Puts tasks into the queue that are due at once."""
        self.harness.admin(
            "INSERT INTO provisioning_task (tenant_id, account_id, kind, attempts, problem, due_at, created_at) "
            "SELECT %s, %s, %s, 6, 0, now() - interval '1 second', now() FROM generate_series(1, %s)",
            (association.tenant_id, account_id, kind.value, count),
        )

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


def state(association: Association, account_id: str) -> tuple[int, int]:
    """Status and problem of an account."""
    found = account(association, account_id)
    return found.status, found.provisioning_problem


def invite(association: Association, account_id: str) -> pb.InviteAccountResponse:
    return association.call("AccountService/InviteAccount", pb.InviteAccountRequest(account_id=account_id))


def change_address(association: Association, account_id: str, email: str | None) -> None:
    professional = association.call(
        "ProfessionalService/GetProfessional",
        pb.GetProfessionalRequest(professional_id=account(association, account_id).professional_id),
    ).professional
    association.call(
        "ProfessionalService/UpdateProfessional",
        pb.UpdateProfessionalRequest(
            professional_id=professional.professional_id,
            professional=pb.Professional(email=email),
            update_mask=FieldMask(paths=["email"]),
        ),
        if_match=professional.etag,
    )


def suspend(association: Association, account_id: str) -> None:
    association.call("AccountService/SuspendAccount", pb.SuspendAccountRequest(account_id=account_id, reason="absence"))


def reactivate(association: Association, account_id: str) -> None:
    association.call(
        "AccountService/ReactivateAccount", pb.ReactivateAccountRequest(reason="retour", account_id=account_id)
    )


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

    def test_with_an_address_the_person_is_invited_and_enters_once_they_have_followed_the_link(
        self, world: World
    ) -> None:
        association = open_association(world.harness)
        account_id = create(association, "noe.petit", "noe@example.org").account.account_id
        world.work()
        user = world.user("noe.petit")
        assert (user.password, user.invited, user.email) == (None, 1, "noe@example.org")
        pending = (S.ACCOUNT_STATUS_PROVISIONING, Problem.PROVISIONING_PROBLEM_INVITATION_PENDING)
        assert state(association, account_id) == pending
        world.work()
        assert (user.invited, state(association, account_id)) == (1, pending)
        facts = "SELECT subject, active FROM access_account WHERE account_id = %s"
        assert world.harness.admin(facts, (account_id,)) == [(user.user_id, False)]
        user.follow()
        world.work()
        assert state(association, account_id) == (S.ACCOUNT_STATUS_ACTIVE, 0)
        assert world.harness.admin(facts, (account_id,)) == [(user.user_id, True)]
        assert world.waiting(account_id) == 0
        history = world.harness.admin(
            "SELECT status FROM account_status_change WHERE account_id = %s ORDER BY version", (account_id,)
        )
        assert history == [(S.ACCOUNT_STATUS_PROVISIONING,), (S.ACCOUNT_STATUS_ACTIVE,)]

    def test_an_invitation_that_nobody_follows_ends_and_is_sent_again_on_request(self, world: World) -> None:
        association = open_association(world.harness)
        account_id = create(association, "noe.petit", "noe@example.org").account.account_id
        world.work()
        world.harness.admin("UPDATE provisioning_task SET created_at = now() - interval '47 hours' WHERE kind = 5")
        world.work()
        assert state(association, account_id)[1] == Problem.PROVISIONING_PROBLEM_INVITATION_PENDING
        world.harness.admin("UPDATE provisioning_task SET created_at = now() - interval '49 hours' WHERE kind = 5")
        world.work()
        expired = (S.ACCOUNT_STATUS_PROVISIONING, Problem.PROVISIONING_PROBLEM_INVITATION_EXPIRED)
        assert state(association, account_id) == expired
        assert world.waiting(account_id) == 0
        invite(association, account_id)
        world.work()
        world.user("noe.petit").follow()
        world.work()
        assert world.user("noe.petit").invited == 2
        assert state(association, account_id) == (S.ACCOUNT_STATUS_ACTIVE, 0)

    def test_another_address_follows(self, world: World) -> None:
        association = open_association(world.harness)
        account_id = create(association, "noe.petit", "noe@example.org").account.account_id
        world.work()
        world.user("noe.petit").follow()
        world.work()
        change_address(association, account_id, "noe.petit@example.org")
        world.work()
        user = world.user("noe.petit")
        assert (user.email, user.verified, user.invited) == ("noe.petit@example.org", False, 1)
        assert state(association, account_id) == (S.ACCOUNT_STATUS_ACTIVE, 0)

    def test_who_was_invited_at_a_wrong_address_is_invited_at_the_right_one(self, world: World) -> None:
        association = open_association(world.harness)
        account_id = create(association, "noe.petit", "neo@example.org").account.account_id
        world.work()
        change_address(association, account_id, "noe@example.org")
        world.work()
        user = world.user("noe.petit")
        assert (user.email, user.invited) == ("noe@example.org", 2)
        user.follow()
        world.work()
        assert state(association, account_id) == (S.ACCOUNT_STATUS_ACTIVE, 0)
        assert world.waiting(account_id) == 0

    def test_without_a_mail_server_a_first_password_is_the_way_out(self, world: World) -> None:
        association = open_association(world.harness)
        account_id = create(association, "noe.petit", "noe@example.org").account.account_id

        def fail(name: str) -> None:
            if name == "invite":
                raise MailNotSent

        world.provider.fail = fail
        for _ in range(6):
            world.work()
        assert state(association, account_id)[1] == Problem.PROVISIONING_PROBLEM_INVITATION_NOT_SENT
        change_address(association, account_id, None)
        reply = invite(association, account_id)
        world.work()
        assert world.user("noe.petit").password == reply.temporary_password
        assert state(association, account_id) == (S.ACCOUNT_STATUS_ACTIVE, 0)
        assert world.waiting(account_id) == 0


class TestTheFirstAdministrator:
    def open(self, world: World, slug: str, email: str | None) -> organisation_pb2.CreateAssociationResponse:
        request = organisation_pb2.CreateAssociationRequest(
            association=organisation_pb2.Association(slug=slug, name="Association"),
            administrator=organisation_pb2.FirstAdministrator(
                family_name="Durand", given_name="Dominique", login=f"admin.{slug}", email=email
            ),
        )
        reply = world.harness.call("dui.identity.v1.AssociationService/CreateAssociation", request)
        assert isinstance(reply, organisation_pb2.CreateAssociationResponse)
        return reply

    def problem(self, world: World, account_id: str) -> int:
        found = world.harness.admin("SELECT problem FROM account WHERE account_id = %s", (account_id,))
        return int(found[0][0])

    def test_whose_invitation_was_not_sent_is_invited_again_by_the_operator(self, world: World) -> None:
        slug = f"asso-{next(_numbers)}"

        def fail(name: str) -> None:
            if name == "invite":
                raise MailNotSent

        world.provider.fail = fail
        account_id = self.open(world, slug, "wrong@example.org").administrator_account_id
        for _ in range(6):
            world.work()
        assert self.problem(world, account_id) == Problem.PROVISIONING_PROBLEM_INVITATION_NOT_SENT
        world.provider.fail = answers
        assert not self.open(world, slug, "right@example.org").HasField("temporary_password")
        world.work()
        user = world.user(f"admin.{slug}")
        assert (user.email, user.invited) == ("right@example.org", 1)
        assert self.problem(world, account_id) == Problem.PROVISIONING_PROBLEM_INVITATION_PENDING
        self.open(world, slug, "other@example.org")  # said again while the link holds: nothing changes
        world.work()
        assert (user.email, user.invited) == ("right@example.org", 1)

    def test_or_gets_a_first_password(self, world: World) -> None:
        slug = f"asso-{next(_numbers)}"
        account_id = self.open(world, slug, "admin@example.org").administrator_account_id
        world.work()
        world.harness.admin("UPDATE provisioning_task SET created_at = now() - interval '49 hours' WHERE kind = 5")
        world.work()
        assert self.problem(world, account_id) == Problem.PROVISIONING_PROBLEM_INVITATION_EXPIRED
        password = self.open(world, slug, None).temporary_password
        world.work()
        assert world.user(f"admin.{slug}").password == password
        assert world.harness.admin("SELECT status FROM account WHERE account_id = %s", (account_id,)) == [(2,)]
        assert not self.open(world, slug, None).HasField("temporary_password")  # they may enter


class TestOutages:
    @pytest.mark.parametrize(
        "broken",
        ["ensure_organization", "find_users", "create_user", "create_user, answer", "set_member", "update_user"],
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

    def test_an_association_that_keycloak_refuses_says_so_and_so_do_its_accounts(self, world: World) -> None:
        association = open_association(world.harness)
        account_id = create(association, "noe.petit").account.account_id

        def refuse(name: str) -> None:
            if name == "ensure_organization":
                raise ProviderRefuses(409)

        def told() -> int:
            """What the operator is told who asks again."""
            request = organisation_pb2.CreateAssociationRequest(
                association=organisation_pb2.Association(slug=association.slug, name="Association"),
                administrator=organisation_pb2.FirstAdministrator(
                    family_name="Durand", given_name="Dominique", login="admin.bis"
                ),
            )
            reply = world.harness.call("dui.identity.v1.AssociationService/CreateAssociation", request)
            assert isinstance(reply, organisation_pb2.CreateAssociationResponse)
            return reply.association.provisioning_problem

        world.provider.fail = refuse
        world.work()
        refused = Problem.PROVISIONING_PROBLEM_PROVIDER_REFUSES
        assert state(association, account_id) == (S.ACCOUNT_STATUS_PROVISIONING, refused)
        assert told() == refused
        mine = association.call("AssociationService/GetAssociation", organisation_pb2.GetAssociationRequest())
        assert mine.association.provisioning_problem == refused
        world.provider.fail = answers
        world.work()
        assert state(association, account_id) == (S.ACCOUNT_STATUS_ACTIVE, 0)
        assert told() == 0

    def test_an_invitation_that_is_not_sent_is_tried_five_times(self, world: World) -> None:
        association = open_association(world.harness)
        account_id = create(association, "noe.petit", "noe@example.org").account.account_id
        tried = itertools.count(1)

        def fail(name: str) -> None:
            if name == "invite":
                next(tried)
                raise MailNotSent

        world.provider.fail = fail
        for _ in range(8):
            world.work()
        assert next(tried) == 6
        not_sent = (S.ACCOUNT_STATUS_PROVISIONING, Problem.PROVISIONING_PROBLEM_INVITATION_NOT_SENT)
        assert state(association, account_id) == not_sent
        world.provider.fail = answers
        invite(association, account_id)
        world.work()
        assert world.user("noe.petit").invited == 1
        assert state(association, account_id)[1] == Problem.PROVISIONING_PROBLEM_INVITATION_PENDING

    def test_an_invitation_replaces_one_that_was_not_sent_yet(self, world: World) -> None:
        """Otherwise it would wait behind it."""
        association = open_association(world.harness)
        account_id = create(association, "noe.petit", "noe@example.org").account.account_id

        def fail(name: str) -> None:
            if name == "invite":
                raise MailNotSent

        world.provider.fail = fail
        world.work()
        change_address(association, account_id, None)
        reply = invite(association, account_id)
        world.work()
        assert world.user("noe.petit").password == reply.temporary_password
        assert state(association, account_id) == (S.ACCOUNT_STATUS_ACTIVE, 0)
        assert world.waiting(account_id) == 0

    def test_a_task_that_was_replaced_while_it_failed_says_nothing(self, world: World) -> None:
        association = open_association(world.harness)
        account_id = create(association, "noe.petit", "noe@example.org").account.account_id
        replaced: list[bool] = []
        told: list[int] = []

        def fail(name: str) -> None:
            if replaced:
                told.append(state(association, account_id)[1])
            elif name == "invite":
                replaced.append(True)
                invite(association, account_id)  # an administrator, at this moment
                raise MailNotSent

        world.provider.fail = fail
        world.work(late=False)
        assert set(told) == {0, Problem.PROVISIONING_PROBLEM_INVITATION_PENDING}
        assert world.user("noe.petit").invited == 1
        assert world.waiting(account_id) == 1

    def test_what_is_said_of_an_invitation_holds_whatever_else_is_done(self, world: World) -> None:
        association = open_association(world.harness)
        account_id = create(association, "noe.petit", "noe@example.org").account.account_id
        world.work()
        world.user("noe.petit").follow()
        world.work()

        def fail(name: str) -> None:
            if name == "invite":
                raise MailNotSent

        world.provider.fail = fail
        invite(association, account_id)
        for _ in range(8):
            world.work()
        suspend(association, account_id)
        reactivate(association, account_id)
        world.work()
        not_sent = (S.ACCOUNT_STATUS_ACTIVE, Problem.PROVISIONING_PROBLEM_INVITATION_NOT_SENT)
        assert state(association, account_id) == not_sent


class TestBeginningAnew:
    def active(self, world: World, email: str | None = "noe@example.org") -> tuple[Association, str, str]:
        """An association, an account that its person has entered, and the device that they use."""
        association = open_association(world.harness)
        account_id = create(association, "noe.petit", email).account.account_id
        world.work()
        user = world.user("noe.petit")
        device = user.follow() if email else user.enrol()
        world.work()
        assert state(association, account_id) == (S.ACCOUNT_STATUS_ACTIVE, 0)
        return association, account_id, device

    def test_a_lost_device_ends_with_the_sessions_and_the_link_of_a_mail_enrols_another(self, world: World) -> None:
        association, account_id, lost = self.active(world)
        user = world.user("noe.petit")
        out = user.logged_out
        invite(association, account_id)
        assert world.harness.admin(
            "SELECT sessions_revoked_at IS NOT NULL FROM access_account WHERE account_id = %s", (account_id,)
        ) == [(True,)]
        world.work()
        assert lost not in user.devices
        assert user.logged_out == out + 1
        assert user.password == "chosen"  # what asks for no second factor stays open to them
        pending = (S.ACCOUNT_STATUS_ACTIVE, Problem.PROVISIONING_PROBLEM_INVITATION_PENDING)
        assert state(association, account_id) == pending
        world.work()
        assert state(association, account_id) == pending
        user.follow()
        world.work()
        assert state(association, account_id) == (S.ACCOUNT_STATUS_ACTIVE, 0)

    def test_without_an_address_a_first_password_is_handed_over_again(self, world: World) -> None:
        association, account_id, lost = self.active(world, email=None)
        reply = invite(association, account_id)
        world.work()
        user = world.user("noe.petit")
        assert (user.password, user.devices) == (reply.temporary_password, {})
        assert lost not in user.devices
        assert state(association, account_id) == (S.ACCOUNT_STATUS_ACTIVE, 0)

    def test_whoever_waits_for_an_answer_is_shut_out_without_waiting(self, world: World) -> None:
        association, account_id, _ = self.active(world)
        invite(association, account_id)
        world.work()
        suspend(association, account_id)
        world.work()
        assert world.user("noe.petit").enabled is False
        end(association, account_id)
        world.work()
        assert "noe.petit" not in {user.login for user in world.provider.users.values()}
        assert world.waiting(account_id) == 0


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


class TestTurns:
    """What one association has to ask holds up no other, and what is urgent does not wait for answers."""

    def invited(self, world: World) -> tuple[Association, str]:
        """An association, and somebody of it who has not answered their invitation."""
        association = open_association(world.harness)
        account_id = create(
            association, f"invited-{next(_numbers)}", f"i{next(_numbers)}@example.org"
        ).account.account_id
        world.work()
        return association, account_id

    def test_while_hundreds_have_not_answered_one_association_the_account_of_another_is_made(
        self, world: World
    ) -> None:
        crowded, invited = self.invited(world)
        other = open_association(world.harness)
        world.work()
        world.add(crowded, invited, Kind.ANSWER, 300)
        noe = create(other, "noe.petit").account.account_id
        done = world.work(late=False, at_most=3)
        assert done[0] == (other.tenant_id, Kind.ACCOUNT)
        assert state(other, noe) == (S.ACCOUNT_STATUS_ACTIVE, 0)

        # Also when it is asked for while the worker is at them.
        def meanwhile(number: int) -> None:
            if number == 10:
                create(other, "lea.roux")

        done = world.work(late=False, at_most=20, meanwhile=meanwhile)
        assert (other.tenant_id, Kind.ACCOUNT) in done[10:13]
        assert world.user("lea.roux").enabled

    def test_somebody_of_another_association_is_shut_out_at_once(self, world: World) -> None:
        crowded, invited = self.invited(world)
        other = open_association(world.harness)
        robbed = create(other, "noe.petit").account.account_id
        world.work()
        world.add(crowded, invited, Kind.ANSWER, 300)
        world.user("noe.petit").enrol()

        def meanwhile(number: int) -> None:
            if number == 5:
                invite(other, robbed)

        done = world.work(late=False, at_most=8, meanwhile=meanwhile)
        assert (other.tenant_id, Kind.INVITE) in done
        assert (world.user("noe.petit").devices, world.user("noe.petit").logged_out) == ({}, 1)

    def test_hundreds_of_urgent_tasks_of_one_association_hold_up_no_other(self, world: World) -> None:
        crowded, invited = self.invited(world)
        other, waiting = self.invited(world)
        world.add(crowded, invited, Kind.ACCOUNT, 300)
        create(other, "noe.petit")
        done = world.work(at_most=8)
        assert done.index((other.tenant_id, Kind.ACCOUNT)) <= 1
        # Nor do they keep another one from hearing of an answer.
        assert (other.tenant_id, Kind.ANSWER) in done
        assert state(other, waiting)[1] == Problem.PROVISIONING_PROBLEM_INVITATION_PENDING

    def test_every_association_has_its_turn_when_more_wait_than_one_round_serves(self, world: World) -> None:
        crowds = [self.invited(world) for _ in range(LOOKED_AT_AT_ONCE + 2)]
        for association, account_id in crowds:
            world.add(association, account_id, Kind.ANSWER, 20)
        done = world.work(late=False, at_most=len(crowds))
        assert {tenant_id for tenant_id, _ in done} == {association.tenant_id for association, _ in crowds}
        for association, account_id in crowds:
            world.add(association, account_id, Kind.ACCOUNT, 20)
        done = world.work(late=False, at_most=len(crowds))
        assert {kind for _, kind in done} == {Kind.ACCOUNT}
        assert len(crowds) <= SERVED_AT_ONCE

    def test_of_one_association_what_shuts_out_comes_first_and_looks_for_answers_last(self, world: World) -> None:
        association, invited = self.invited(world)
        gone = create(association, "noe.petit").account.account_id
        lost = create(association, "lea.roux").account.account_id
        world.work()
        world.add(association, invited, Kind.ANSWER, 300)
        for number in range(3):
            create(association, f"new-{number}")
        invite(association, lost)
        suspend(association, gone)
        done = [kind for _, kind in world.work(late=False, at_most=7)]
        assert done == [Kind.LOCK_OUT, Kind.INVITE, Kind.ACCOUNT, Kind.ACCOUNT, Kind.ACCOUNT, Kind.ANSWER, Kind.ANSWER]

    def test_the_tasks_of_one_account_are_done_in_their_order_whatever_their_kinds(self, world: World) -> None:
        association = open_association(world.harness)
        account_id = create(association, "noe.petit").account.account_id
        suspended = create(association, "lea.roux").account.account_id
        world.work()
        for _ in range(2):
            suspend(association, suspended)
            reactivate(association, suspended)
        world.add(association, account_id, Kind.ACCOUNT, 1)
        suspend(association, account_id)
        one, other = Kind.LOCK_OUT, Kind.ACCOUNT
        # Of the one: lock out, give back, lock out, give back. Of the other: an address, then lock out.
        assert [kind for _, kind in world.work(late=False)] == [one, other, one, other, other, one]
        assert (world.user("lea.roux").enabled, world.user("noe.petit").enabled) == (True, False)

    def test_of_many_who_have_not_answered_each_is_looked_at_before_one_is_a_second_time(self, world: World) -> None:
        """Who was invited last hears as soon as who was first, however many became due again meanwhile."""
        association, first = self.invited(world)
        last = create(association, "noe.petit", "noe@example.org").account.account_id
        world.work()
        world.user("noe.petit").follow()
        due = "UPDATE provisioning_task SET due_at = now() - make_interval(secs => %s) WHERE account_id = %s"
        world.harness.admin(due, (60, last))
        world.harness.admin(due, (30, first))
        world.work(late=False, at_most=1)
        assert state(association, last) == (S.ACCOUNT_STATUS_ACTIVE, 0)


class TestOnePersonInTwoAssociations:
    def asked(self, world: World) -> tuple[Association, str, Association, str]:
        """The same address in two associations, its holder having entered the first in between."""
        first, second = open_association(world.harness), open_association(world.harness)
        one = create(first, "lea.roux", "lea@example.org").account.account_id
        world.work()
        world.user("lea.roux").follow()
        world.work()
        two = create(second, "l.roux", "lea@example.org").account.account_id
        world.work()
        return first, one, second, two

    def both(self, world: World) -> tuple[Association, str, Association, str]:
        """The same, and the person said yes."""
        found = self.asked(world)
        world.user("lea.roux").join()
        world.work()
        return found

    def test_nobody_is_enrolled_or_named_before_they_say_yes(self, world: World) -> None:
        first, one, second, two = self.asked(world)
        user = world.user("lea.roux")
        assert user.asked == {f"org-{second.tenant_id}"}
        for _ in range(3):
            world.work()
        assert user.organizations == {f"org-{first.tenant_id}"}
        assert (user.account_ids, user.invited, user.logged_out) == ({one}, 1, 1)
        found = account(second, two)
        assert (found.status, found.login) == (S.ACCOUNT_STATUS_PROVISIONING, "l.roux")
        subject = "SELECT subject FROM account WHERE account_id = %s"
        assert world.harness.admin(subject, (two,)) == [(None,)]

    def test_it_looks_the_same_as_the_invitation_of_somebody_new(self, world: World) -> None:
        _, _, second, two = self.asked(world)
        new = create(second, "max.petit", "max@example.org").account.account_id
        world.work()
        pending = (S.ACCOUNT_STATUS_PROVISIONING, Problem.PROVISIONING_PROBLEM_INVITATION_PENDING)
        assert state(second, two) == state(second, new) == pending

        def fail(name: str) -> None:
            if name in {"invite", "ask_to_join"}:
                raise MailNotSent

        world.provider.fail = fail
        for account_id in (two, new):
            invite(second, account_id)
        for _ in range(6):
            world.work()
        not_sent = (S.ACCOUNT_STATUS_PROVISIONING, Problem.PROVISIONING_PROBLEM_INVITATION_NOT_SENT)
        assert state(second, two) == state(second, new) == not_sent

    def test_it_is_one_user_with_one_subject_and_one_login(self, world: World) -> None:
        first, one, second, two = self.both(world)
        user = world.user("lea.roux")
        assert user.organizations == {f"org-{first.tenant_id}", f"org-{second.tenant_id}"}
        assert user.account_ids == {one, two}
        assert account(second, two).login == "lea.roux"
        assert state(second, two) == (S.ACCOUNT_STATUS_ACTIVE, 0)
        assert user.invited == 1  # they have their password
        subjects = world.harness.admin("SELECT DISTINCT subject FROM account WHERE account_id IN (%s, %s)", (one, two))
        assert subjects == [(user.user_id,)]

    def test_an_answer_that_was_seen_and_not_written_down_is_seen_again(self, world: World) -> None:
        _, _, second, two = self.asked(world)
        user = world.user("lea.roux")
        user.join()
        user.account_ids.add(two)  # an attempt cut short
        world.work()
        assert state(second, two) == (S.ACCOUNT_STATUS_ACTIVE, 0)
        assert user.logged_out == 1

    def test_who_does_not_answer_is_asked_again_on_request(self, world: World) -> None:
        _, _, second, two = self.asked(world)
        world.harness.admin("UPDATE provisioning_task SET created_at = now() - interval '49 hours' WHERE kind = 5")
        world.work()
        expired = (S.ACCOUNT_STATUS_PROVISIONING, Problem.PROVISIONING_PROBLEM_INVITATION_EXPIRED)
        assert state(second, two) == expired
        invite(second, two)
        world.work()
        world.user("lea.roux").join()
        world.work()
        assert state(second, two) == (S.ACCOUNT_STATUS_ACTIVE, 0)

    def test_an_account_that_ends_takes_its_question_back(self, world: World) -> None:
        first, _, second, two = self.asked(world)
        end(second, two)
        world.work()
        user = world.user("lea.roux")
        assert (user.asked, user.organizations) == (set(), {f"org-{first.tenant_id}"})
        assert user.enabled
        assert world.waiting(two) == 0

    def test_who_leaves_the_other_one_before_they_answer_gets_a_login_of_their_own(self, world: World) -> None:
        first, one, second, two = self.asked(world)
        end(first, one)
        for _ in range(3):
            world.work()
        user = world.user("l.roux")
        assert (user.email, user.invited) == ("lea@example.org", 1)
        user.follow()
        world.work()
        assert state(second, two) == (S.ACCOUNT_STATUS_ACTIVE, 0)

    def test_who_is_suspended_by_the_other_one_can_answer(self, world: World) -> None:
        first, second = open_association(world.harness), open_association(world.harness)
        one = create(first, "lea.roux", "lea@example.org").account.account_id
        world.work()
        user = world.user("lea.roux")
        user.follow()
        world.work()
        suspend(first, one)
        world.work()
        assert user.enabled is False
        create(second, "l.roux", "lea@example.org")
        world.work()
        assert (user.enabled, user.organizations, user.asked) == (True, set(), {f"org-{second.tenant_id}"})

    def test_an_address_that_another_association_holds_unconfirmed_is_in_nobodys_way(self, world: World) -> None:
        first, second = open_association(world.harness), open_association(world.harness)
        one = create(first, "lea.roux", "lea@example.org").account.account_id
        world.work()
        two = create(second, "l.roux", "lea@example.org").account.account_id
        world.work()
        pending = (S.ACCOUNT_STATUS_PROVISIONING, Problem.PROVISIONING_PROBLEM_INVITATION_PENDING)
        assert state(first, one) == state(second, two) == pending
        world.user("l.roux").follow()
        world.work()
        assert state(second, two) == (S.ACCOUNT_STATUS_ACTIVE, 0)
        assert state(first, one) == pending
        assert world.user("l.roux").organizations == {f"org-{second.tenant_id}"}

    def test_a_login_that_its_administrator_holds_is_never_joined_by_an_address_put_on_it(self, world: World) -> None:
        """The first association knows the first password: what carries an address it typed is not the person's."""
        first, second = open_association(world.harness), open_association(world.harness)
        one = create(first, "trap").account.account_id
        world.work()
        trap = world.user("trap")
        trap.enrol()
        change_address(first, one, "lea@example.org")
        world.work()
        assert trap.email == "lea@example.org"
        create(second, "l.roux", "lea@example.org")
        world.work()
        assert trap.asked == set()
        assert world.user("l.roux").invited == 1

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
        user = world.user("lea.roux")
        out = user.logged_out
        suspend(first, one)
        world.work()
        assert (user.enabled, user.logged_out, user.organizations) == (True, out, {f"org-{second.tenant_id}"})
        suspend(second, two)
        world.work()
        assert (user.enabled, user.logged_out, user.organizations) == (False, out + 1, set())
        end(second, two)
        world.work()
        assert world.user("lea.roux").enabled is False  # the first association may still give them back
        reactivate(first, one)
        world.work()
        assert (user.enabled, user.organizations) == (True, {f"org-{first.tenant_id}"})
        end(first, one)
        world.work()
        assert "lea.roux" not in {user.login for user in world.provider.users.values()}

    def test_neither_association_takes_over_the_address_or_a_device(self, world: World) -> None:
        _, _, second, two = self.both(world)
        user = world.user("lea.roux")
        devices, out = dict(user.devices), user.logged_out
        change_address(second, two, "attacker@example.org")
        invite(second, two)
        world.work()
        # The mail goes to the address that its holder confirmed, and takes nothing from them.
        assert (user.email, user.verified, user.invited) == ("lea@example.org", True, 2)
        assert (user.devices, user.logged_out, user.password) == (devices, out, "chosen")
        change_address(second, two, None)
        with pytest.raises(CallFailed) as refused:
            invite(second, two)
        assert refused.value.reason == "EMAIL_MISSING"

    def test_a_lost_device_of_somebody_who_works_for_two_ends_once_they_have_another(self, world: World) -> None:
        _, _, second, two = self.both(world)
        user = world.user("lea.roux")
        (lost,) = user.devices
        user.devices[lost] = datetime(2026, 1, 1, tzinfo=UTC)
        invite(second, two)
        world.work()
        assert lost in user.devices
        new = user.follow()
        world.work()
        assert set(user.devices) == {new}
        assert state(second, two) == (S.ACCOUNT_STATUS_ACTIVE, 0)

    def test_a_first_password_given_out_before_they_joined_another_one_is_not_set(self, world: World) -> None:
        first, one, second, two = self.asked(world)
        user = world.user("lea.roux")
        change_address(first, one, None)
        reply = invite(first, one)
        user.join()
        due = "UPDATE provisioning_task SET due_at = now() + make_interval(hours => %s) WHERE account_id = %s"
        world.harness.admin(due, (1, one))
        world.harness.admin(due, (-1, two))
        world.work(late=False)
        assert state(second, two) == (S.ACCOUNT_STATUS_ACTIVE, 0)
        world.work()
        assert reply.temporary_password
        assert user.password == "chosen"
        assert state(first, one)[1] == Problem.PROVISIONING_PROBLEM_PASSWORD_LOST
        assert world.waiting(one) == 0  # another invitation does not wait behind it

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
        assert account(second, again.account_id).login == "lea-bis"
        world.user("lea.roux").join()
        world.work()
        assert account(second, again.account_id).status == S.ACCOUNT_STATUS_ACTIVE
        assert account(first, one).status == S.ACCOUNT_STATUS_ACTIVE
        subject = world.user("lea.roux").user_id
        mine = second.call("AccountService/GetAccount", pb.GetAccountRequest(account_id=again.account_id))
        assert mine.account.login == "lea.roux"
        with pytest.raises(CallFailed) as refused:  # no assignment yet: the old one ended
            second.call("AssociationService/GetAssociation", organisation_pb2.GetAssociationRequest(), as_=subject)
        assert refused.value.reason == "NOT_ASSIGNED"
