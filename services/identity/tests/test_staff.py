"""Professionals and assignments, through the guard on a real PostgreSQL."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from dui.identity.v1 import organisation_pb2, professions_pb2
from dui.identity.v1 import staff_pb2 as pb
from dui_identity.testing import Association, open_association
from dui_kit.ids import new_id
from dui_kit.testing import CallFailed, Harness
from dui_kit.times import to_timestamp
from google.protobuf.field_mask_pb2 import FieldMask

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
