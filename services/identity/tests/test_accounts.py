"""The life of accounts, through the guard on a real PostgreSQL."""

from __future__ import annotations

import itertools
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from dui.identity.v1 import access_pb2, organisation_pb2, professions_pb2
from dui.identity.v1 import staff_pb2 as pb
from dui.options.v1 import options_pb2
from dui_identity.policy import release
from dui_identity.testing import Association, open_association
from dui_kit.ids import new_id
from dui_kit.settings import ServiceSettings
from dui_kit.testing import CallFailed, Harness
from dui_kit.worker.parts import WorkerContext

P, C, A, S = professions_pb2.Profession, options_pb2.Category, options_pb2.Action, pb.AccountStatus
_logins = itertools.count()


def professional(association: Association, email: str | None = None) -> str:
    return association.call(
        "ProfessionalService/CreateProfessional",
        pb.CreateProfessionalRequest(
            professional=pb.Professional(
                family_name="Petit", given_name="Noé", profession=P.PROFESSION_NURSE, email=email
            )
        ),
    ).professional.professional_id


def create(association: Association, professional_id: str, login: str = "") -> pb.CreateAccountResponse:
    account = pb.Account(professional_id=professional_id, login=login or f"noe.petit-{next(_logins)}")
    return association.call("AccountService/CreateAccount", pb.CreateAccountRequest(account=account))


def suspend(association: Association, account_id: str, as_: str = "") -> pb.Account:
    request = pb.SuspendAccountRequest(account_id=account_id, reason="absence longue")
    return association.call("AccountService/SuspendAccount", request, as_=as_).account


def end(association: Association, account_id: str, as_: str = "") -> pb.Account:
    request = pb.EndAccountRequest(account_id=account_id, reason="fin de contrat")
    return association.call("AccountService/EndAccount", request, as_=as_).account


def read(association: Association, as_: str) -> None:
    association.call("AssociationService/GetAssociation", organisation_pb2.GetAssociationRequest(), as_=as_)


def tasks(harness: Harness, account_id: str) -> list[tuple[int, bool]]:
    """Kind of the tasks of an account, and whether each has a nonce."""
    return [
        (kind, nonce is not None)
        for kind, nonce in harness.admin(
            "SELECT kind, password_nonce FROM provisioning_task WHERE account_id = %s ORDER BY sequence", (account_id,)
        )
    ]


class TestCreation:
    def test_without_an_address_a_first_password_is_shown_once_and_kept_nowhere(
        self, harness: Harness, association: Association
    ) -> None:
        request = pb.CreateAccountRequest(
            account=pb.Account(professional_id=professional(association), login="noe.petit")
        )
        reply = association.call("AccountService/CreateAccount", request, idempotency_key="one-key")
        assert reply.account.status == S.ACCOUNT_STATUS_PROVISIONING
        assert len(reply.temporary_password) == 19
        assert tasks(harness, reply.account.account_id) == [(2, True)]
        for (table,) in harness.admin("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"):
            for written in (reply.temporary_password, reply.temporary_password.encode().hex()):
                found = f"SELECT count(*) FROM {table} AS t WHERE t::text LIKE %s"  # noqa: S608
                assert harness.admin(found, (f"%{written}%",)) == [(0,)], table

    def test_with_an_address_the_person_is_invited(self, harness: Harness, association: Association) -> None:
        reply = create(association, professional(association, "noe@example.org"))
        assert not reply.HasField("temporary_password")
        assert tasks(harness, reply.account.account_id) == [(2, False), (4, False)]

    def test_one_account_for_one_professional_and_one_login_for_one_account(self, association: Association) -> None:
        person = professional(association)
        create(association, person, "noe.petit")
        with pytest.raises(CallFailed) as refused:
            create(association, person, "noe.petit2")
        assert (refused.value.reason, refused.value.field) == ("ACCOUNT_EXISTS", "account.professional_id")
        with pytest.raises(CallFailed) as refused:
            create(association, professional(association), "Noe.Petit")
        assert (refused.value.reason, refused.value.field) == ("LOGIN_TAKEN", "account.login")

    def test_somebody_who_left_and_comes_back_gets_another_account(self, association: Association) -> None:
        person = professional(association)
        first = create(association, person, "noe.petit").account
        assert end(association, first.account_id).status == S.ACCOUNT_STATUS_ENDED
        second = create(association, person, "noe.petit").account
        assert second.account_id != first.account_id

    def test_a_token_that_belongs_to_no_account_opens_nothing(self, association: Association) -> None:
        create(association, professional(association))
        with pytest.raises(CallFailed) as refused:
            read(association, as_="nobody")
        assert refused.value.reason == "ACCOUNT_INACTIVE"

    def test_a_retry_with_the_same_key_answers_the_same(self, harness: Harness, association: Association) -> None:
        request = pb.CreateAccountRequest(
            account=pb.Account(professional_id=professional(association), login="noe.petit")
        )
        first, second = (
            association.call("AccountService/CreateAccount", request, idempotency_key="one-key") for _ in range(2)
        )
        assert first == second
        assert len(tasks(harness, first.account.account_id)) == 1


class TestSuspension:
    def test_a_suspended_account_is_refused_at_once_whatever_its_token(self, association: Association) -> None:
        account, subject = association.person(P.PROFESSION_NURSE)
        read(association, subject)
        assert suspend(association, account).status == S.ACCOUNT_STATUS_SUSPENDED
        with pytest.raises(CallFailed) as refused:
            read(association, subject)
        assert refused.value.reason == "ACCOUNT_INACTIVE"

    def test_given_back_it_may_enter_with_a_new_token_only(self, association: Association) -> None:
        account, subject = association.person(P.PROFESSION_NURSE)
        before = time.time() - 1
        suspend(association, account)
        given_back = association.call(
            "AccountService/ReactivateAccount", pb.ReactivateAccountRequest(reason="retour", account_id=account)
        ).account
        assert given_back.status == S.ACCOUNT_STATUS_ACTIVE
        read(association, subject)
        with pytest.raises(CallFailed) as refused:
            association.call(
                "AssociationService/GetAssociation",
                organisation_pb2.GetAssociationRequest(),
                as_=subject,
                entered_at=before,
            )
        assert refused.value.reason == "SESSION_REVOKED"

    def test_who_did_it_when_and_why_is_kept_and_cannot_be_changed(
        self, harness: Harness, association: Association
    ) -> None:
        account, _ = association.person(P.PROFESSION_NURSE)
        suspend(association, account)
        end(association, account)
        history = harness.admin(
            "SELECT status, reason, author_account_id::text FROM account_status_change WHERE account_id = %s"
            " ORDER BY version",
            (account,),
        )
        author = association.administrator_account_id
        assert history == [
            (1, None, author),
            (2, None, None),
            (3, "absence longue", author),
            (4, "fin de contrat", author),
        ]
        granted = harness.admin(
            "SELECT privilege_type FROM information_schema.role_table_grants"
            " WHERE table_name = 'account_status_change' AND grantee LIKE '%%_app'"
        )
        assert sorted(granted) == [("INSERT",), ("SELECT",)]

    def test_the_identity_provider_is_asked_to_lock_out_and_to_let_in_in_that_order(
        self, harness: Harness, association: Association
    ) -> None:
        account, _ = association.person(P.PROFESSION_NURSE)
        harness.admin("DELETE FROM provisioning_task WHERE account_id = %s", (account,))
        suspend(association, account)
        association.call(
            "AccountService/ReactivateAccount", pb.ReactivateAccountRequest(reason="retour", account_id=account)
        )
        assert tasks(harness, account) == [(3, False), (2, False)]

    def test_nobody_suspends_or_ends_their_own(self, association: Association) -> None:
        association.person(P.PROFESSION_ADMINISTRATOR)
        for change in (suspend, end):
            with pytest.raises(CallFailed) as refused:
                change(association, association.administrator_account_id)
            assert refused.value.reason == "OWN_ACCOUNT"

    def test_two_administrators_cannot_end_each_other_at_the_same_moment(self, harness: Harness) -> None:
        for _ in range(4):
            association = open_association(harness)
            one, as_one = association.person(P.PROFESSION_ADMINISTRATOR)
            pairs = [(association.administrator_account_id, as_one), (one, association.administrator)]

            def attempt(pair: tuple[str, str], association: Association = association) -> str:
                try:
                    end(association, *pair)
                except CallFailed as failed:
                    return failed.reason
                return "done"

            with ThreadPoolExecutor(2) as pool:
                outcomes = list(pool.map(attempt, pairs))
            assert outcomes.count("done") == 1, outcomes
            read(association, pairs[outcomes.index("done")][1])

    def test_the_one_who_is_left_goes_on(self, association: Association) -> None:
        _, left = association.person(P.PROFESSION_ADMINISTRATOR)
        end(association, association.administrator_account_id, left)
        somebody, _ = association.person(P.PROFESSION_NURSE, by=left)
        assert suspend(association, somebody, left).status == S.ACCOUNT_STATUS_SUSPENDED

    def test_a_profession_without_the_right_changes_no_account(self, association: Association) -> None:
        account, nurse = association.person(P.PROFESSION_NURSE)
        other, _ = association.person(P.PROFESSION_NURSE)
        with pytest.raises(CallFailed) as refused:
            suspend(association, other, nurse)
        assert refused.value.reason == "RIGHT_MISSING"
        assert account


class TestLeaving:
    def test_one_call_ends_assignments_sessions_and_account(self, harness: Harness, association: Association) -> None:
        account, subject = association.person(P.PROFESSION_NURSE)
        assert end(association, account).status == S.ACCOUNT_STATUS_ENDED
        with pytest.raises(CallFailed) as refused:
            read(association, subject)
        assert refused.value.reason == "ACCOUNT_INACTIVE"
        (assignment,) = association.call(
            "AssignmentService/ListAssignments", pb.ListAssignmentsRequest(account_id=account)
        ).assignments
        assert assignment.HasField("valid_to")
        facts = harness.admin(
            "SELECT active, sessions_revoked_at IS NOT NULL FROM access_account WHERE account_id = %s", (account,)
        )
        assert facts == [(False, True)]
        assert harness.admin(
            "SELECT valid_to IS NOT NULL FROM access_assignment WHERE account_id = %s", (account,)
        ) == [(True,)]

    def test_it_is_for_good(self, association: Association) -> None:
        account, _ = association.person(P.PROFESSION_NURSE)
        end(association, account)
        for operation, request in (
            ("ReactivateAccount", pb.ReactivateAccountRequest(reason="retour", account_id=account)),
            ("InviteAccount", pb.InviteAccountRequest(account_id=account)),
            ("EndAccount", pb.EndAccountRequest(account_id=account, reason="encore")),
        ):
            with pytest.raises(CallFailed) as refused:
                association.call(f"AccountService/{operation}", request)
            assert refused.value.reason == "ACCOUNT_ENDED"
        with pytest.raises(CallFailed) as refused:
            association.call(
                "AssignmentService/CreateAssignment",
                pb.CreateAssignmentRequest(account_id=account, assignment=pb.Assignment(profession=P.PROFESSION_NURSE)),
            )
        assert refused.value.reason == "ACCOUNT_ENDED"

    def test_a_first_password_not_set_yet_is_forgotten(self, harness: Harness, association: Association) -> None:
        account = create(association, professional(association)).account.account_id
        end(association, account)
        assert tasks(harness, account) == [(3, False)]


class TestReading:
    def test_everybody_sees_their_own_account_and_what_they_may_do(self, association: Association) -> None:
        account, subject = association.person(P.PROFESSION_CARE_ASSISTANT)
        mine = association.call("AccountService/GetMyAccount", pb.GetMyAccountRequest(), as_=subject)
        assert mine.account.account_id == account
        assert mine.professional.given_name == "Camille"
        rights = {right.category: set(right.actions) for right in mine.rights}
        assert rights[C.CATEGORY_NURSING] == {A.ACTION_READ, A.ACTION_WRITE}
        assert C.CATEGORY_MEDICAL not in rights

    def test_accounts_are_listed_by_login_page_by_page(self, association: Association) -> None:
        for login in ("zoe", "adam", "mia"):
            create(association, professional(association), login)
        logins, token = [], ""
        while True:
            page = association.call(
                "AccountService/ListAccounts", pb.ListAccountsRequest(page_size=2, page_token=token)
            )
            logins += [one.login for one in page.accounts]
            token = page.next_page_token
            if not token:
                break
        assert len(logins) == 4
        assert logins == sorted(logins)

    def test_another_associations_account_does_not_exist(self, harness: Harness, association: Association) -> None:
        other, _ = open_association(harness).person(P.PROFESSION_NURSE)
        for operation, request in (
            ("GetAccount", pb.GetAccountRequest(account_id=other)),
            ("SuspendAccount", pb.SuspendAccountRequest(account_id=other, reason="x")),
            ("EndAccount", pb.EndAccountRequest(account_id=other, reason="x")),
            ("InviteAccount", pb.InviteAccountRequest(account_id=new_id())),
        ):
            with pytest.raises(CallFailed) as refused:
                association.call(f"AccountService/{operation}", request)
            assert (refused.value.reason, refused.value.field) == ("NOT_FOUND", "account_id")


class TestInvitingAgain:
    def invite(self, association: Association, account: str, **options: Any) -> pb.InviteAccountResponse:
        request = pb.InviteAccountRequest(account_id=account)
        return association.call("AccountService/InviteAccount", request, **options)

    def test_with_an_address_a_mail_is_sent_and_without_one_a_first_password_is_shown_once(
        self, harness: Harness, association: Association
    ) -> None:
        account, _ = association.person(P.PROFESSION_NURSE, email="camille@example.org")
        without, _ = association.person(P.PROFESSION_NURSE)
        harness.admin("DELETE FROM provisioning_task")
        assert not self.invite(association, account).HasField("temporary_password")
        assert tasks(harness, account) == [(4, False)]
        reply = self.invite(association, without, idempotency_key="one-key")
        assert len(reply.temporary_password) == 19
        assert tasks(harness, without) == [(4, True)]
        assert self.invite(association, without, idempotency_key="one-key") == reply

    def test_what_was_open_is_closed_at_once(self, association: Association) -> None:
        account, subject = association.person(P.PROFESSION_NURSE)
        read(association, subject)
        before = time.time() - 1
        self.invite(association, account)
        with pytest.raises(CallFailed) as refused:
            association.call(
                "AssociationService/GetAssociation",
                organisation_pb2.GetAssociationRequest(),
                as_=subject,
                entered_at=before,
            )
        assert refused.value.reason == "SESSION_REVOKED"

    def test_nobody_invites_themselves_or_somebody_who_is_suspended(self, association: Association) -> None:
        account, _ = association.person(P.PROFESSION_NURSE)
        suspend(association, account)
        for whom, reason in ((account, "ACCOUNT_SUSPENDED"), (association.administrator_account_id, "OWN_ACCOUNT")):
            with pytest.raises(CallFailed) as refused:
                self.invite(association, whom)
            assert refused.value.reason == reason

    def test_it_takes_a_second_factor(self, association: Association) -> None:
        account, _ = association.person(P.PROFESSION_NURSE)
        with pytest.raises(CallFailed) as refused:
            self.invite(association, account, acr=1)
        assert refused.value.reason == "STEP_UP_REQUIRED"


class TestThePolicy:
    def grants(self, association: Association) -> dict[tuple[int, int], access_pb2.Grant]:
        reply = association.call("PolicyService/GetPolicy", access_pb2.GetPolicyRequest())
        return {(grant.profession, grant.category): grant for grant in reply.grants}

    def override(self, association: Association, profession: int, category: int, *actions: int) -> access_pb2.Grant:
        request = access_pb2.SetPolicyOverrideRequest(
            profession=profession,  # type: ignore[arg-type]
            category=category,  # type: ignore[arg-type]
            actions=actions,  # type: ignore[arg-type]
        )
        return association.call("PolicyService/SetPolicyOverride", request, acr=2).grant

    def reset(self, association: Association, profession: int, category: int) -> access_pb2.Grant:
        request = access_pb2.ResetPolicyOverrideRequest(
            profession=profession,  # type: ignore[arg-type]
            category=category,  # type: ignore[arg-type]
        )
        return association.call("PolicyService/ResetPolicyOverride", request, acr=2).grant

    def test_an_override_takes_effect_at_once_until_it_is_taken_back(
        self, harness: Harness, association: Association
    ) -> None:
        cell = (P.PROFESSION_NURSE, C.CATEGORY_ORGANISATION)
        _, nurse = association.person(P.PROFESSION_NURSE)
        assert not self.grants(association)[cell].overridden
        grant = self.override(association, *cell)
        assert grant.overridden
        assert not grant.actions
        with pytest.raises(CallFailed) as refused:
            read(association, nurse)
        assert refused.value.reason == "RIGHT_MISSING"
        assert self.grants(association)[cell] == grant
        restored = self.reset(association, *cell)
        assert (list(restored.actions), restored.overridden) == ([A.ACTION_READ], False)
        read(association, nurse)
        versions = harness.admin(
            "SELECT aggregate_version FROM outbox WHERE tenant_id = %s AND aggregate_id = %s ORDER BY event_id",
            (association.tenant_id, f"profession-{cell[0]}"),
        )
        assert versions == [(1,), (2,), (3,)]
        history = harness.admin(
            "SELECT actions, author_account_id::text FROM policy_override WHERE tenant_id = %s ORDER BY sequence",
            (association.tenant_id,),
        )
        assert history == [([], association.administrator_account_id), (None, association.administrator_account_id)]

    def test_nobody_widens_the_rights_of_a_profession_that_they_have(
        self, harness: Harness, association: Association
    ) -> None:
        for category in (C.CATEGORY_MEDICAL, C.CATEGORY_IDENTITY):
            with pytest.raises(CallFailed) as refused:
                self.override(association, P.PROFESSION_ADMINISTRATOR, category, A.ACTION_READ)
            assert (refused.value.reason, refused.value.field) == ("OWN_PROFESSION", "profession")
        # Having it at a single facility is having it.
        facility, _ = association.place()
        both, subject = association.person(P.PROFESSION_ADMINISTRATOR)
        association.call(
            "AssignmentService/CreateAssignment",
            pb.CreateAssignmentRequest(
                account_id=both,
                assignment=pb.Assignment(profession=P.PROFESSION_NURSE, facility_id=facility),
            ),
        )
        request = access_pb2.SetPolicyOverrideRequest(
            profession=P.PROFESSION_NURSE,
            category=C.CATEGORY_SOCIAL,
            actions=[A.ACTION_READ, A.ACTION_WRITE, A.ACTION_EXPORT],
        )
        with pytest.raises(CallFailed) as refused:
            association.call("PolicyService/SetPolicyOverride", request, as_=subject)
        assert refused.value.reason == "OWN_PROFESSION"
        denied = harness.admin(
            "SELECT count(*) FROM journal_outbox WHERE tenant_id = %s AND payload::text LIKE %s",
            (association.tenant_id, "%" + b"OWN_PROFESSION".hex() + "%"),
        )
        assert denied == [(3,)]
        # Who does not have it may; and taking rights away from oneself is nobody's gain.
        association.call("PolicyService/SetPolicyOverride", request)
        self.override(association, P.PROFESSION_ADMINISTRATOR, C.CATEGORY_ORGANISATION, A.ACTION_READ)

    def test_it_holds_in_its_association_only(self, harness: Harness, association: Association) -> None:
        other = open_association(harness)
        self.override(association, P.PROFESSION_NURSE, C.CATEGORY_ORGANISATION)
        _, nurse = other.person(P.PROFESSION_NURSE)
        read(other, nurse)

    def test_the_same_setting_again_announces_nothing(self, harness: Harness, association: Association) -> None:
        cell = (P.PROFESSION_NURSE, C.CATEGORY_ORGANISATION)
        self.override(association, *cell, A.ACTION_READ)
        found = harness.admin(
            "SELECT count(*) FROM outbox WHERE tenant_id = %s AND aggregate_id = %s",
            (association.tenant_id, f"profession-{cell[0]}"),
        )
        assert found == [(1,)]

    @pytest.mark.parametrize("category", [C.CATEGORY_POLICY, C.CATEGORY_ACCOUNT])
    def test_nobody_left_to_administer_is_refused(self, association: Association, category: int) -> None:
        with pytest.raises(CallFailed) as refused:
            self.override(association, P.PROFESSION_ADMINISTRATOR, category, A.ACTION_READ)
        assert refused.value.reason == "LAST_ADMINISTRATOR"
        self.override(association, P.PROFESSION_DIRECTION, category, A.ACTION_READ, A.ACTION_ADMINISTER)
        with pytest.raises(CallFailed) as refused:  # the right alone is nobody: somebody must hold it
            self.override(association, P.PROFESSION_ADMINISTRATOR, category, A.ACTION_READ)
        assert refused.value.reason == "LAST_ADMINISTRATOR"
        association.person(P.PROFESSION_DIRECTION)
        self.override(association, P.PROFESSION_ADMINISTRATOR, category, A.ACTION_READ)

    def test_taking_back_what_gives_the_last_right_is_refused(self, association: Association) -> None:
        self.override(association, P.PROFESSION_DIRECTION, C.CATEGORY_POLICY, A.ACTION_READ, A.ACTION_ADMINISTER)
        _, director = association.person(P.PROFESSION_DIRECTION)
        self.override(association, P.PROFESSION_ADMINISTRATOR, C.CATEGORY_POLICY, A.ACTION_READ)
        request = access_pb2.ResetPolicyOverrideRequest(profession=P.PROFESSION_DIRECTION, category=C.CATEGORY_POLICY)
        with pytest.raises(CallFailed) as refused:
            association.call("PolicyService/ResetPolicyOverride", request, as_=director, acr=2)
        assert refused.value.reason == "LAST_ADMINISTRATOR"

    def test_a_second_factor_and_a_real_cell_are_asked_for(self, association: Association) -> None:
        request = access_pb2.SetPolicyOverrideRequest(profession=P.PROFESSION_NURSE, category=C.CATEGORY_MEDICAL)
        with pytest.raises(CallFailed) as refused:
            association.call("PolicyService/SetPolicyOverride", request, acr=1)
        assert refused.value.reason == "STEP_UP_REQUIRED"
        with pytest.raises(CallFailed) as refused:
            self.override(association, P.PROFESSION_NURSE, C.CATEGORY_MEDICAL, A.ACTION_READ, A.ACTION_READ)
        assert refused.value.reason == "ACTION_REPEATED"
        with pytest.raises(CallFailed) as refused:
            self.reset(association, P.PROFESSION_NURSE, C.CATEGORY_MEDICAL)
        assert refused.value.reason == "OVERRIDE_MISSING"


class TestAnotherRelease:
    def test_its_defaults_reach_an_association_where_it_changed_nothing(
        self, harness: Harness, association: Association
    ) -> None:
        kept = (P.PROFESSION_EDUCATOR, C.CATEGORY_ALERT)
        TestThePolicy().override(association, *kept, A.ACTION_READ, A.ACTION_WRITE)
        context = WorkerContext("identity", harness.engine, ServiceSettings(), lambda: [association.tenant_id])

        def announced(profession: int) -> list[int]:
            rows = harness.admin(
                "SELECT aggregate_version FROM outbox WHERE tenant_id = %s AND aggregate_id = %s ORDER BY 1",
                (association.tenant_id, f"profession-{profession}"),
            )
            return [version for (version,) in rows]

        release.JOB.run(context)
        assert announced(P.PROFESSION_NURSE) == [1]
        # An older release announced other rights of nurses.
        harness.admin(
            "UPDATE policy_publication SET digest = '' WHERE tenant_id = %s AND profession = %s",
            (association.tenant_id, int(P.PROFESSION_NURSE)),
        )
        for _ in range(2):
            release.JOB.run(context)
        assert announced(P.PROFESSION_NURSE) == [1, 2]
        assert announced(P.PROFESSION_EDUCATOR) == [1, 2]
        assert announced(P.PROFESSION_DOCTOR) == [1]
        rights = harness.admin(
            "SELECT version FROM access_policy WHERE tenant_id = %s AND profession = %s",
            (association.tenant_id, int(P.PROFESSION_NURSE)),
        )
        assert rights == [(2,)]
