"""Professionals and assignments, through the guard on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from dui.identity.v1 import organisation_pb2, professions_pb2
from dui.identity.v1 import staff_pb2 as pb
from dui_identity.testing import Association, open_association
from dui_kit.ids import new_id
from dui_kit.testing import CallFailed, Harness
from dui_kit.times import to_timestamp
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

P = professions_pb2.Profession
NOW = datetime.now(UTC)
DAY = timedelta(days=1)


def professional(**changes: str | int) -> pb.Professional:
    return pb.Professional(
        **{"family_name": "Lefèvre", "given_name": "Anaïs", "profession": P.PROFESSION_NURSE, **changes}  # type: ignore[arg-type]
    )


def create(association: Association, **changes: str | int) -> pb.Professional:
    request = pb.CreateProfessionalRequest(professional=professional(**changes))
    return association.call("ProfessionalService/CreateProfessional", request).professional


class TestProfessionals:
    def test_neither_rpps_nor_address_is_required(self, association: Association) -> None:
        first, second = create(association), create(association)
        assert first.professional_id != second.professional_id
        assert not first.HasField("rpps")

    @pytest.mark.parametrize(
        ("values", "again", "reason"),
        [
            ({"rpps": "10003000048"}, {"rpps": "10003000048"}, "RPPS_TAKEN"),
            ({"email": "Anais@example.org"}, {"email": "anais@EXAMPLE.org"}, "EMAIL_TAKEN"),
        ],
    )
    def test_when_given_they_are_unique_in_the_association_and_only_there(
        self,
        harness: Harness,
        association: Association,
        values: dict[str, str],
        again: dict[str, str],
        reason: str,
    ) -> None:
        create(association, **values)
        with pytest.raises(CallFailed) as refused:
            create(association, **again)
        assert refused.value.reason == reason
        assert create(open_association(harness), **again).professional_id

    def test_a_wrong_rpps_is_refused_by_its_field(self, association: Association) -> None:
        with pytest.raises(CallFailed) as refused:
            create(association, rpps="10003000049")
        assert (refused.value.field, refused.value.reason) == ("professional.rpps", "FORMAT_INVALID")

    def test_they_are_listed_by_name_without_accents(self, association: Association) -> None:
        for name in ("Élie", "Dubois", "Fabre"):
            create(association, family_name=name)
        names, token = [], ""
        while True:
            page = association.call(
                "ProfessionalService/ListProfessionals", pb.ListProfessionalsRequest(page_size=2, page_token=token)
            )
            names += [one.family_name for one in page.professionals]
            token = page.next_page_token
            if not token:
                break
        assert names == ["Dubois", "Durand", "Élie", "Fabre"]

    def test_a_change_needs_the_etag_and_clears_what_the_patch_clears(self, association: Association) -> None:
        created = create(association, rpps="10003000048", qualification="Cadre de santé")
        request = pb.UpdateProfessionalRequest(
            professional_id=created.professional_id,
            professional=pb.Professional(family_name="Lefèvre-Roy"),
            update_mask=FieldMask(paths=["family_name", "qualification"]),
        )
        changed = association.call(
            "ProfessionalService/UpdateProfessional", request, if_match=created.etag
        ).professional
        assert (changed.family_name, changed.rpps, changed.HasField("qualification")) == (
            "Lefèvre-Roy",
            "10003000048",
            False,
        )
        with pytest.raises(CallFailed) as refused:
            association.call("ProfessionalService/UpdateProfessional", request, if_match=created.etag)
        assert refused.value.reason == "ETAG_STALE"

    def test_another_address_is_asked_for_at_the_identity_provider_of_an_account_only(
        self, harness: Harness, association: Association
    ) -> None:
        created = create(association)
        for email, expected in (("a@example.org", 0), ("b@example.org", 1)):
            if expected:
                association.call(
                    "AccountService/CreateAccount",
                    pb.CreateAccountRequest(
                        account=pb.Account(professional_id=created.professional_id, login="anais.l")
                    ),
                )
                harness.admin("DELETE FROM provisioning_task WHERE tenant_id = %s", (association.tenant_id,))
            created = association.call(
                "ProfessionalService/UpdateProfessional",
                pb.UpdateProfessionalRequest(
                    professional_id=created.professional_id,
                    professional=pb.Professional(email=email),
                    update_mask=FieldMask(paths=["email"]),
                ),
                if_match=created.etag,
            ).professional
            waiting = harness.admin(
                "SELECT count(*) FROM provisioning_task WHERE tenant_id = %s AND account_id IS NOT NULL"
                " AND account_id <> %s",
                (association.tenant_id, association.administrator_account_id),
            )
            assert waiting == [(expected,)]

    def test_another_associations_professional_does_not_exist(self, harness: Harness, association: Association) -> None:
        other = create(open_association(harness))
        with pytest.raises(CallFailed) as refused:
            association.call(
                "ProfessionalService/GetProfessional",
                pb.GetProfessionalRequest(professional_id=other.professional_id),
            )
        assert refused.value.reason == "NOT_FOUND"
        with pytest.raises(CallFailed) as refused:
            association.call(
                "AccountService/CreateAccount",
                pb.CreateAccountRequest(account=pb.Account(professional_id=other.professional_id, login="anais")),
            )
        assert (refused.value.reason, refused.value.field) == ("NOT_FOUND", "account.professional_id")


class TestAssignments:
    def assign(self, association: Association, account_id: str, **values: object) -> pb.Assignment:
        request = pb.CreateAssignmentRequest(
            account_id=account_id,
            assignment=pb.Assignment(**{"profession": P.PROFESSION_NURSE, **values}),  # type: ignore[arg-type]
        )
        return association.call("AssignmentService/CreateAssignment", request).assignment

    def test_it_opens_what_the_profession_may_and_its_end_closes_it(self, association: Association) -> None:
        account, subject = association.person(P.PROFESSION_NURSE)
        assert association.call("AccountService/GetMyAccount", pb.GetMyAccountRequest(), as_=subject).assignments
        (only,) = association.call(
            "AssignmentService/ListAssignments", pb.ListAssignmentsRequest(account_id=account)
        ).assignments
        ended = association.call(
            "AssignmentService/EndAssignment",
            pb.EndAssignmentRequest(account_id=account, assignment_id=only.assignment_id),
        ).assignment
        assert ended.HasField("valid_to")
        with pytest.raises(CallFailed) as refused:
            association.call("AssociationService/GetAssociation", organisation_pb2.GetAssociationRequest(), as_=subject)
        assert refused.value.reason == "NOT_ASSIGNED"
        with pytest.raises(CallFailed) as refused:
            association.call(
                "AssignmentService/EndAssignment",
                pb.EndAssignmentRequest(account_id=account, assignment_id=only.assignment_id),
            )
        assert refused.value.reason == "ASSIGNMENT_ENDED"

    def test_the_same_work_twice_at_once_is_refused_and_one_after_the_other_is_not(
        self, association: Association
    ) -> None:
        account, _ = association.person(P.PROFESSION_EDUCATOR)
        facility, unit = association.place()
        period = {"valid_from": to_timestamp(NOW), "valid_to": to_timestamp(NOW + DAY)}
        self.assign(association, account, facility_id=facility, **period)
        with pytest.raises(CallFailed) as refused:
            self.assign(association, account, facility_id=facility, valid_from=to_timestamp(NOW + DAY / 2))
        assert refused.value.reason == "ASSIGNMENT_OVERLAPS"
        self.assign(association, account, facility_id=facility, valid_from=to_timestamp(NOW + DAY))
        self.assign(association, account, facility_id=facility, unit_id=unit, **period)
        self.assign(association, account, facility_id=facility, profession=P.PROFESSION_EDUCATOR, **period)

    def test_of_two_calls_at_the_same_moment_one_passes(self, association: Association) -> None:
        account, _ = association.person(P.PROFESSION_EDUCATOR)

        def once(_: int) -> str:
            try:
                self.assign(association, account, valid_from=to_timestamp(NOW))
            except CallFailed as failed:
                return failed.reason
            return "done"

        with ThreadPoolExecutor(4) as pool:
            assert sorted(pool.map(once, range(4))) == ["ASSIGNMENT_OVERLAPS"] * 3 + ["done"]

    @pytest.mark.parametrize(
        ("values", "field", "reason"),
        [
            ({"unit_id": new_id()}, "assignment.facility_id", "UNIT_WITHOUT_FACILITY"),
            ({"facility_id": new_id()}, "assignment.facility_id", "NOT_FOUND"),
            (
                {"valid_from": to_timestamp(NOW), "valid_to": to_timestamp(NOW - DAY)},
                "assignment.valid_to",
                "ENDS_BEFORE_START",
            ),
            ({"profession": 0}, "assignment.profession", "FIELD_REQUIRED"),
        ],
    )
    def test_what_cannot_be_is_refused_by_its_field(
        self, association: Association, values: dict[str, object], field: str, reason: str
    ) -> None:
        account, _ = association.person(P.PROFESSION_EDUCATOR)
        with pytest.raises(CallFailed) as refused:
            self.assign(association, account, **values)
        assert (refused.value.field, refused.value.reason) == (field, reason)

    def test_a_unit_of_another_facility_is_refused(self, association: Association) -> None:
        account, _ = association.person(P.PROFESSION_EDUCATOR)
        facility, _ = association.place()
        _, unit = association.place("010780054")
        with pytest.raises(CallFailed) as refused:
            self.assign(association, account, facility_id=facility, unit_id=unit)
        assert (refused.value.field, refused.value.reason) == ("assignment.unit_id", "UNIT_NOT_IN_FACILITY")

    def test_they_are_listed_newest_first_page_by_page(self, association: Association) -> None:
        account, _ = association.person(P.PROFESSION_EDUCATOR)
        for days in (2, 3, 1):
            start = NOW + days * DAY
            self.assign(association, account, valid_from=to_timestamp(start), valid_to=to_timestamp(start + DAY / 2))
        seen, token = [], ""
        while True:
            page = association.call(
                "AssignmentService/ListAssignments",
                pb.ListAssignmentsRequest(account_id=account, page_size=2, page_token=token),
            )
            seen += [one.valid_from.ToMicroseconds() for one in page.assignments]
            token = page.next_page_token
            if not token:
                break
        assert len(seen) == 4
        assert seen == sorted(seen, reverse=True)

    def test_nobody_assigns_themselves_and_who_gave_it_is_kept(self, association: Association) -> None:
        own = association.call("AccountService/GetMyAccount", pb.GetMyAccountRequest()).account.account_id
        wanted = pb.Assignment(profession=P.PROFESSION_DOCTOR)
        request = pb.CreateAssignmentRequest(account_id=own, assignment=wanted)
        with pytest.raises(CallFailed) as refused:
            association.call("AssignmentService/CreateAssignment", request)
        assert (refused.value.field, refused.value.reason) == ("account_id", "OWN_ASSIGNMENT")

    def test_the_last_administrator_keeps_their_assignment(self, association: Association) -> None:
        account = association.administrator_account_id
        (only,) = association.call(
            "AssignmentService/ListAssignments", pb.ListAssignmentsRequest(account_id=account)
        ).assignments
        request = pb.EndAssignmentRequest(account_id=account, assignment_id=only.assignment_id)
        with pytest.raises(CallFailed) as refused:
            association.call("AssignmentService/EndAssignment", request)
        assert refused.value.reason == "LAST_ADMINISTRATOR"
        # Nor does it pass by leaving later, or by leaving it to somebody who leaves too.
        later = to_timestamp(datetime.now(UTC) + timedelta(seconds=2))
        other, _ = association.person(P.PROFESSION_ADMINISTRATOR)
        (theirs,) = association.call(
            "AssignmentService/ListAssignments", pb.ListAssignmentsRequest(account_id=other)
        ).assignments
        association.call(
            "AssignmentService/EndAssignment",
            pb.EndAssignmentRequest(
                account_id=other, assignment_id=theirs.assignment_id, valid_to=to_timestamp(NOW + 9 * DAY)
            ),
        )
        for leaving in (request, pb.EndAssignmentRequest(valid_to=later)):
            leaving.MergeFrom(request)
            with pytest.raises(CallFailed) as refused:
                association.call("AssignmentService/EndAssignment", leaving)
            assert refused.value.reason == "LAST_ADMINISTRATOR"
        association.person(P.PROFESSION_ADMINISTRATOR)
        assert association.call("AssignmentService/EndAssignment", request).assignment.HasField("valid_to")

    def test_nobody_gives_or_takes_rights_where_their_own_assignment_does_not_hold(
        self, association: Association
    ) -> None:
        """An administrator of one facility: theirs are the people of this facility, and nobody who also works elsewhere."""
        facility, unit = association.place()
        elsewhere, _ = association.place("010780054")
        _, local = association.person(P.PROFESSION_ADMINISTRATOR, facility_id=facility)
        nurse, _ = association.person(P.PROFESSION_NURSE, facility_id=elsewhere)
        new, _ = association.person(P.PROFESSION_NURSE, facility_id=facility, by=local)
        professional_of = {
            account.account_id: account.professional_id
            for account in association.call("AccountService/ListAccounts", pb.ListAccountsRequest()).accounts
        }

        def assigned(account_id: str) -> pb.Assignment:
            request = pb.ListAssignmentsRequest(account_id=account_id)
            return association.call("AssignmentService/ListAssignments", request).assignments[0]

        def beyond(operation: str, request: object, **more: str) -> None:
            with pytest.raises(CallFailed) as refused:
                association.call(operation, request, as_=local, **more)  # type: ignore[arg-type]
            assert refused.value.reason == "BEYOND_REACH"

        for place in ({}, {"facility_id": elsewhere}):
            beyond(
                "AssignmentService/CreateAssignment",
                pb.CreateAssignmentRequest(
                    account_id=new, assignment=pb.Assignment(profession=P.PROFESSION_DOCTOR, **place)
                ),
            )
        for account in (nurse, association.administrator_account_id):
            beyond("AccountService/SuspendAccount", pb.SuspendAccountRequest(account_id=account, reason="essai"))
            beyond("AccountService/EndAccount", pb.EndAccountRequest(account_id=account, reason="essai"))
            beyond("AccountService/InviteAccount", pb.InviteAccountRequest(account_id=account))
            beyond(
                "AssignmentService/EndAssignment",
                pb.EndAssignmentRequest(account_id=account, assignment_id=assigned(account).assignment_id),
            )
        association.call("AccountService/SuspendAccount", pb.SuspendAccountRequest(account_id=nurse, reason="essai"))
        beyond("AccountService/ReactivateAccount", pb.ReactivateAccountRequest(account_id=nurse, reason="essai"))
        theirs = association.call(
            "ProfessionalService/GetProfessional", pb.GetProfessionalRequest(professional_id=professional_of[nurse])
        ).professional
        beyond(
            "ProfessionalService/UpdateProfessional",
            pb.UpdateProfessionalRequest(
                professional_id=theirs.professional_id,
                professional=pb.Professional(email="moi@example.org"),
                update_mask=FieldMask(paths=["email"]),
            ),
            if_match=theirs.etag,
        )
        # Within the facility all of it is theirs.
        association.call(
            "AssignmentService/CreateAssignment",
            pb.CreateAssignmentRequest(
                account_id=new,
                assignment=pb.Assignment(profession=P.PROFESSION_DOCTOR, facility_id=facility, unit_id=unit),
            ),
            as_=local,
        )
        association.call("AccountService/EndAccount", pb.EndAccountRequest(account_id=new, reason="départ"), as_=local)

    def test_an_assignment_of_somebody_else_is_not_found(self, association: Association) -> None:
        account, _ = association.person(P.PROFESSION_EDUCATOR)
        other, _ = association.person(P.PROFESSION_EDUCATOR)
        (only,) = association.call(
            "AssignmentService/ListAssignments", pb.ListAssignmentsRequest(account_id=account)
        ).assignments
        for request in (
            pb.EndAssignmentRequest(account_id=other, assignment_id=only.assignment_id),
            pb.EndAssignmentRequest(account_id=account, assignment_id=new_id()),
        ):
            with pytest.raises(CallFailed) as refused:
                association.call("AssignmentService/EndAssignment", request)
            assert refused.value.reason == "NOT_FOUND"
        with pytest.raises(CallFailed) as refused:
            self.assign(association, new_id())
        assert (refused.value.reason, refused.value.field) == ("NOT_FOUND", "account_id")


class Reach:
    """An association with two facilities and an administrator of the first."""

    def __init__(self, association: Association) -> None:
        self.association = association
        self.facility, _ = association.place()
        self.elsewhere, _ = association.place("010780054")
        self.local_account, self.local = association.person(P.PROFESSION_ADMINISTRATOR, facility_id=self.facility)

    def professional(self, *, by: str = "") -> str:
        request = pb.CreateProfessionalRequest(professional=professional())
        return self.association.call(
            "ProfessionalService/CreateProfessional", request, as_=by
        ).professional.professional_id

    def account(self, professional_id: str, *, by: str = "") -> str:
        wanted = pb.Account(professional_id=professional_id, login=f"login-{new_id()}")
        request = pb.CreateAccountRequest(account=wanted)
        return self.association.call("AccountService/CreateAccount", request, as_=by).account.account_id

    def assign(self, account_id: str, facility_id: str | None, *, by: str = "", **period: Any) -> str:
        wanted = pb.Assignment(profession=P.PROFESSION_NURSE, facility_id=facility_id, **period)
        request = pb.CreateAssignmentRequest(account_id=account_id, assignment=wanted)
        return self.association.call("AssignmentService/CreateAssignment", request, as_=by).assignment.assignment_id

    def end_assignment(self, account_id: str, assignment_id: str) -> None:
        request = pb.EndAssignmentRequest(account_id=account_id, assignment_id=assignment_id)
        self.association.call("AssignmentService/EndAssignment", request)

    def end_account(self, account_id: str) -> None:
        self.association.call("AccountService/EndAccount", pb.EndAccountRequest(account_id=account_id, reason="départ"))

    def change_address(self, professional_id: str, *, by: str) -> None:
        found = self.association.call(
            "ProfessionalService/GetProfessional", pb.GetProfessionalRequest(professional_id=professional_id)
        ).professional
        request = pb.UpdateProfessionalRequest(
            professional_id=professional_id,
            professional=pb.Professional(email=f"{new_id()}@example.org"),
            update_mask=FieldMask(paths=["email"]),
        )
        self.association.call("ProfessionalService/UpdateProfessional", request, as_=by, if_match=found.etag)

    def invite(self, account_id: str, *, by: str) -> str:
        request = pb.InviteAccountRequest(account_id=account_id)
        return str(self.association.call("AccountService/InviteAccount", request, as_=by).temporary_password)

    def refused(self, professional_id: str, account_id: str | None, *, by: str = "") -> bool:
        """Whether an administrator of a facility is refused every decision about somebody, each as beyond their reach."""
        by = by or self.local
        decisions: list[Callable[[], object]] = [lambda: self.change_address(professional_id, by=by)]
        if account_id is None:
            decisions.append(lambda: self.account(professional_id, by=by))
        else:
            requests: dict[str, Message] = {
                "InviteAccount": pb.InviteAccountRequest(account_id=account_id),
                "SuspendAccount": pb.SuspendAccountRequest(account_id=account_id, reason="essai"),
                "ReactivateAccount": pb.ReactivateAccountRequest(account_id=account_id, reason="essai"),
                "EndAccount": pb.EndAccountRequest(account_id=account_id, reason="essai"),
            }
            decisions += [
                partial(self.association.call, f"AccountService/{name}", request, as_=by)
                for name, request in requests.items()
            ]
        for decide in decisions:
            with pytest.raises(CallFailed) as refused:
                decide()
            assert refused.value.reason == "BEYOND_REACH"
        return True


class TestReachOverWhoIsAssignedNowhere:
    """An administrator of one facility has no say about those who work nowhere at the moment, but for their own."""

    @pytest.fixture
    def reach(self, association: Association) -> Reach:
        return Reach(association)

    def test_a_future_colleague_without_an_account_is_not_theirs(self, reach: Reach) -> None:
        assert reach.refused(reach.professional(), None)

    def test_an_account_that_is_not_assigned_yet_is_not_theirs_nor_becomes_it_by_an_assignment(
        self, reach: Reach
    ) -> None:
        director = reach.professional()
        account = reach.account(director)
        assert reach.refused(director, account)
        with pytest.raises(CallFailed) as refused:
            reach.assign(account, reach.facility, by=reach.local)
        assert (refused.value.reason, refused.value.field) == ("BEYOND_REACH", "account_id")
        # Once the association has assigned them there, they are.
        reach.assign(account, reach.facility)
        assert reach.invite(account, by=reach.local)

    def test_an_account_that_the_association_opened_for_their_entry_is_not_theirs_either(self, reach: Reach) -> None:
        entry = reach.professional(by=reach.local)
        reach.change_address(entry, by=reach.local)
        assert reach.refused(entry, reach.account(entry))

    def test_whose_assignment_elsewhere_has_ended_is_not_theirs(self, reach: Reach) -> None:
        person = reach.professional()
        account = reach.account(person)
        reach.end_assignment(account, reach.assign(account, reach.elsewhere))
        assert reach.refused(person, account)

    def test_who_is_between_two_contracts_elsewhere_does_not_become_theirs_by_an_assignment(self, reach: Reach) -> None:
        person = reach.professional()
        account = reach.account(person)
        over = reach.assign(account, reach.elsewhere)
        reach.assign(account, reach.facility, by=reach.local)
        reach.end_assignment(account, over)
        assert reach.refused(person, account)

    def test_who_left_the_association_from_elsewhere_is_not_theirs_to_take_back(self, reach: Reach) -> None:
        person = reach.professional()
        account = reach.account(person)
        reach.assign(account, reach.elsewhere)
        reach.end_account(account)
        assert reach.refused(person, None)

    def test_who_worked_at_their_facility_only_stays_theirs(self, reach: Reach) -> None:
        person = reach.professional()
        account = reach.account(person)
        reach.end_assignment(account, reach.assign(account, reach.facility))
        reach.change_address(person, by=reach.local)
        reach.invite(account, by=reach.local)
        request = pb.EndAccountRequest(account_id=account, reason="départ")
        reach.association.call("AccountService/EndAccount", request, as_=reach.local)
        again = reach.account(person, by=reach.local)
        reach.assign(again, reach.facility, by=reach.local)

    def test_of_somebody_who_comes_back_a_new_account_by_the_association_is_not_theirs_before_it_is_assigned(
        self, reach: Reach
    ) -> None:
        person = reach.professional()
        account = reach.account(person)
        reach.assign(account, reach.facility)
        reach.end_account(account)
        assert reach.refused(person, reach.account(person))

    def test_the_ordinary_way_of_two_administrators_of_one_facility(self, reach: Reach) -> None:
        colleague_account, colleague = reach.association.person(P.PROFESSION_ADMINISTRATOR, facility_id=reach.facility)
        person = reach.professional(by=reach.local)
        reach.change_address(person, by=colleague)
        account = reach.account(person, by=colleague)
        reach.invite(account, by=reach.local)
        reach.assign(account, reach.facility, by=colleague)
        reach.invite(account, by=reach.local)
        assert colleague_account != reach.local_account

    def test_what_they_made_is_not_an_administrators_of_another_facility(self, reach: Reach) -> None:
        _, other = reach.association.person(P.PROFESSION_ADMINISTRATOR, facility_id=reach.elsewhere)
        entry = reach.professional(by=reach.local)
        assert reach.refused(entry, None, by=other)
        assert reach.refused(entry, reach.account(entry, by=reach.local), by=other)

    def test_what_somebody_made_who_left_is_the_whole_associations(self, reach: Reach) -> None:
        _, colleague = reach.association.person(P.PROFESSION_ADMINISTRATOR, facility_id=reach.facility)
        entry = reach.professional(by=reach.local)
        reach.end_account(reach.local_account)
        assert reach.refused(entry, None, by=colleague)
        reach.account(entry)

    def test_an_entry_of_before_the_platform_kept_who_made_it_is_the_whole_associations(
        self, reach: Reach, harness: Harness
    ) -> None:
        entry = reach.professional(by=reach.local)
        harness.admin("UPDATE professional SET author_account_id = NULL WHERE professional_id = %s", (entry,))
        assert reach.refused(entry, None)
        reach.account(entry)
