"""Break-glass access and the snapshot of the facts, through the guard on a real PostgreSQL."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from dui.access.v1 import facts_pb2
from dui.identity.v1 import access_pb2 as pb
from dui.identity.v1 import professions_pb2, staff_pb2
from dui_identity.testing import Association, open_association
from dui_kit.db.database import raw, tenant_session
from dui_kit.facts import apply_fact, unwrap
from dui_kit.ids import new_id
from dui_kit.testing import CallFailed, Harness
from dui_kit.worker.rebuild import PROJECTIONS

P = professions_pb2.Profession
TEXT = "Malaise, seul médecin d'astreinte"


def person(association: Association, surviving_id: str | None = None) -> str:
    """A person whom records has announced."""
    found = new_id()
    fact = facts_pb2.PersonChanged(beneficiary_id=found, version=1, surviving_id=surviving_id)
    association.harness.facts(association.tenant_id, [fact])
    return found


def break_glass(
    association: Association, doctor: str, beneficiary_id: str, *, acr: int = 2, text: str = TEXT
) -> pb.BreakGlass:
    request = pb.BreakGlassRequest(
        beneficiary_id=beneficiary_id, reason=pb.BREAK_GLASS_REASON_VITAL_EMERGENCY, reason_text=text
    )
    return association.call("BreakGlassService/BreakGlass", request, as_=doctor, acr=acr).break_glass


class TestBreakingTheGlass:
    def test_a_doctor_opens_one_record_for_four_hours(self, harness: Harness, association: Association) -> None:
        account, doctor = association.person(P.PROFESSION_DOCTOR)
        beneficiary = person(association)
        opened = break_glass(association, doctor, beneficiary)
        assert (opened.account_id, opened.beneficiary_id) == (account, beneficiary)
        assert opened.valid_to.ToDatetime() - opened.valid_from.ToDatetime() == timedelta(hours=4)
        assert opened.verdict == pb.REVIEW_VERDICT_UNSPECIFIED
        (event,) = harness.admin(
            "SELECT payload FROM outbox WHERE event_type LIKE '%%BreakGlassChanged' AND tenant_id = %s",
            (association.tenant_id,),
        )
        assert TEXT.encode() not in bytes(event[0])
        (entry,) = harness.admin(
            "SELECT payload FROM journal_outbox WHERE tenant_id = %s AND position(%s in payload) > 0",
            (association.tenant_id, b"BreakGlassService/BreakGlass"),
        )
        assert beneficiary.encode() in bytes(entry[0])

    def test_a_merged_record_is_opened_where_it_is_now(self, association: Association) -> None:
        _, doctor = association.person(P.PROFESSION_DOCTOR)
        survivor = person(association)
        assert break_glass(association, doctor, person(association, survivor)).beneficiary_id == survivor

    def test_a_review_still_to_be_made_stops_nobody(self, association: Association) -> None:
        _, doctor = association.person(P.PROFESSION_DOCTOR)
        beneficiary = person(association)
        first, second = (break_glass(association, doctor, beneficiary) for _ in range(2))
        assert first.break_glass_id != second.break_glass_id

    def test_what_is_missing_is_named(self, harness: Harness, association: Association) -> None:
        _, doctor = association.person(P.PROFESSION_DOCTOR)
        _, educator = association.person(P.PROFESSION_EDUCATOR)
        beneficiary = person(association)
        foreign = person(open_association(harness))
        cases = [
            (educator, beneficiary, 2, TEXT, "RIGHT_MISSING"),
            (doctor, beneficiary, 1, TEXT, "STEP_UP_REQUIRED"),
            (doctor, beneficiary, 2, "...", "REASON_TEXT_BLANK"),
            (doctor, new_id(), 2, TEXT, "NOT_FOUND"),
            (doctor, foreign, 2, TEXT, "NOT_FOUND"),
        ]
        for subject, whom, acr, text, reason in cases:
            with pytest.raises(CallFailed) as refused:
                break_glass(association, subject, whom, acr=acr, text=text)
            assert refused.value.reason == reason

    def test_a_code_older_than_half_an_hour_opens_nothing(self, association: Association) -> None:
        _, doctor = association.person(P.PROFESSION_DOCTOR)
        request = pb.BreakGlassRequest(
            beneficiary_id=person(association), reason=pb.BREAK_GLASS_REASON_CONTINUITY_OF_CARE, reason_text=TEXT
        )
        now = time.time()
        with pytest.raises(CallFailed) as refused:
            association.call("BreakGlassService/BreakGlass", request, as_=doctor, acr=2, proved_at=now - 1801)
        assert refused.value.reason == "STEP_UP_REQUIRED"
        assert association.call("BreakGlassService/BreakGlass", request, as_=doctor, acr=2, proved_at=now - 1700)
        # What asks for a password goes on.
        association.call(
            "AccountService/GetMyAccount", staff_pb2.GetMyAccountRequest(), as_=doctor, acr=2, proved_at=now - 40_000
        )

    def test_what_was_said_cannot_be_changed_even_by_the_service(self, harness: Harness) -> None:
        granted = harness.admin(
            "SELECT column_name FROM information_schema.column_privileges WHERE table_name = 'break_glass'"
            " AND privilege_type = 'UPDATE' AND grantee LIKE '%%_app' ORDER BY 1"
        )
        assert granted == [("review_comment",), ("reviewed_at",), ("reviewer_account_id",), ("verdict",)]


class TestTheReview:
    def review(self, association: Association, officer: str, break_glass_id: str) -> pb.BreakGlass:
        request = pb.ReviewBreakGlassRequest(
            break_glass_id=break_glass_id, verdict=pb.REVIEW_VERDICT_JUSTIFIED, comment="Vu avec le médecin"
        )
        return association.call("BreakGlassService/ReviewBreakGlass", request, as_=officer).break_glass

    def test_the_officer_finds_what_is_to_be_reviewed_and_reviews_it_once(self, association: Association) -> None:
        _, doctor = association.person(P.PROFESSION_DOCTOR)
        account, officer = association.person(P.PROFESSION_DATA_PROTECTION_OFFICER)
        first, second = (break_glass(association, doctor, person(association)) for _ in range(2))
        reviewed = self.review(association, officer, first.break_glass_id)
        assert (reviewed.verdict, reviewed.reviewer_account_id) == (pb.REVIEW_VERDICT_JUSTIFIED, account)
        assert (reviewed.review_comment, reviewed.HasField("reviewed_at")) == ("Vu avec le médecin", True)
        with pytest.raises(CallFailed) as refused:
            self.review(association, officer, first.break_glass_id)
        assert refused.value.reason == "ALREADY_REVIEWED"
        pending = association.call(
            "BreakGlassService/ListBreakGlasses", pb.ListBreakGlassesRequest(pending_only=True), as_=officer
        ).break_glasses
        assert [one.break_glass_id for one in pending] == [second.break_glass_id]

    def test_they_are_listed_newest_first_page_by_page(self, association: Association) -> None:
        _, doctor = association.person(P.PROFESSION_DOCTOR)
        _, officer = association.person(P.PROFESSION_DATA_PROTECTION_OFFICER)
        made = [break_glass(association, doctor, person(association)).break_glass_id for _ in range(3)]
        seen, token = [], ""
        while True:
            page = association.call(
                "BreakGlassService/ListBreakGlasses",
                pb.ListBreakGlassesRequest(page_size=2, page_token=token),
                as_=officer,
            )
            seen += [one.break_glass_id for one in page.break_glasses]
            token = page.next_page_token
            if not token:
                break
        assert seen == made[::-1]

    def test_nobody_reviews_their_own_nor_another_associations(
        self, harness: Harness, association: Association
    ) -> None:
        account, doctor = association.person(P.PROFESSION_DOCTOR)
        opened = break_glass(association, doctor, person(association))
        association.call(
            "AssignmentService/CreateAssignment",
            staff_pb2.CreateAssignmentRequest(
                account_id=account,
                assignment=staff_pb2.Assignment(profession=P.PROFESSION_DATA_PROTECTION_OFFICER),
            ),
        )
        with pytest.raises(CallFailed) as refused:
            self.review(association, doctor, opened.break_glass_id)
        assert refused.value.reason == "OWN_BREAK_GLASS"
        other = open_association(harness)
        _, officer = other.person(P.PROFESSION_DATA_PROTECTION_OFFICER)
        with pytest.raises(CallFailed) as refused:
            self.review(other, officer, opened.break_glass_id)
        assert refused.value.reason == "NOT_FOUND"

    def test_who_may_not_read_the_journal_sees_none(self, association: Association) -> None:
        _, doctor = association.person(P.PROFESSION_DOCTOR)
        with pytest.raises(CallFailed) as refused:
            association.call("BreakGlassService/ListBreakGlasses", pb.ListBreakGlassesRequest(), as_=doctor)
        assert refused.value.reason == "RIGHT_MISSING"


class TestTheSnapshot:
    OPERATION = "dui.identity.v1.AccessFactService/ListAccessFacts"
    TABLES = PROJECTIONS["identity"]

    def projections(self, harness: Harness, tenant_id: str) -> dict[str, list[tuple[str]]]:
        return {
            table: harness.admin(f"SELECT t::text FROM {table} AS t WHERE tenant_id = %s ORDER BY 1", (tenant_id,))  # noqa: S608
            for table in self.TABLES
        }

    def test_a_projection_rebuilt_from_it_is_the_one_that_the_events_made(
        self, harness: Harness, association: Association
    ) -> None:
        _, doctor = association.person(P.PROFESSION_DOCTOR)
        nurse, _ = association.person(P.PROFESSION_NURSE)
        break_glass(association, doctor, person(association))
        association.call("AccountService/EndAccount", staff_pb2.EndAccountRequest(account_id=nurse, reason="départ"))
        association.place()
        before = self.projections(harness, association.tenant_id)
        assert all(before.values())
        facts, token = [], ""
        while True:
            page = harness.call(
                self.OPERATION,
                pb.ListAccessFactsRequest(tenant_id=association.tenant_id, page_size=7, page_token=token),
            )
            assert len(page.facts) <= 7
            facts += page.facts
            token = page.next_page_token
            if not token:
                break
        for table in self.TABLES:
            harness.admin(f"DELETE FROM {table} WHERE tenant_id = %s", (association.tenant_id,))  # noqa: S608
        with tenant_session(harness.engine, association.tenant_id) as session:
            for fact in facts:
                apply_fact(raw(session), association.tenant_id, unwrap(fact))
        assert self.projections(harness, association.tenant_id) == before

    def test_for_one_subject_it_is_what_decides_for_them_and_nobody_else(
        self, harness: Harness, association: Association
    ) -> None:
        account, doctor = association.person(P.PROFESSION_DOCTOR)
        association.person(P.PROFESSION_NURSE)
        break_glass(association, doctor, person(association))
        reply = harness.call(
            self.OPERATION, pb.ListAccessFactsRequest(tenant_id=association.tenant_id, subject=doctor, page_size=200)
        )
        kinds: dict[str, int] = {}
        for fact in reply.facts:
            kind = fact.WhichOneof("fact") or ""
            kinds[kind] = kinds.get(kind, 0) + 1
            assert getattr(unwrap(fact), "account_id", account) == account
        assert kinds == {"tenant": 1, "account": 1, "assignment": 1, "break_glass": 1, "policy": 22}
        stranger = harness.call(
            self.OPERATION, pb.ListAccessFactsRequest(tenant_id=association.tenant_id, subject="nobody")
        )
        assert {fact.WhichOneof("fact") for fact in stranger.facts} == {"tenant", "policy"}

    def test_an_unknown_association_is_not_found(self, harness: Harness) -> None:
        with pytest.raises(CallFailed) as refused:
            harness.call(self.OPERATION, pb.ListAccessFactsRequest(tenant_id=new_id()))
        assert refused.value.reason == "NOT_FOUND"

    def test_no_person_reads_it(self, association: Association) -> None:
        with pytest.raises(CallFailed) as refused:
            association.call(
                "AccessFactService/ListAccessFacts", pb.ListAccessFactsRequest(tenant_id=association.tenant_id)
            )
        assert refused.value.reason == "SERVICE_ONLY"
