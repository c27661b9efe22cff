"""Relations, allergies, medical history, handover notes and drafts: what they must be."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from dui.records.v1 import allergies_pb2
from dui_kit.errors import Reason, Refusal
from dui_records.allergies import rules as allergies
from dui_records.drafts import rules as drafts
from dui_records.entries import rules as entries
from dui_records.handover_notes import rules as notes
from dui_records.medical_events import rules as history
from dui_records.relations import rules as relations

NOW = datetime(2026, 5, 4, 10, tzinfo=UTC)
TODAY = date(2026, 5, 4)


def refused(reason: Reason, field: str = "") -> pytest.RaisesExc[Refusal]:
    return pytest.RaisesExc(Refusal, check=lambda e: e.reason is reason and e.violations[0].field == field)


def test_a_correction_says_why() -> None:
    entries.check_reason("Erreur de saisie")
    for nothing in ("", "  "):
        with refused(entries.REASON_REQUIRED, "reason"):
            entries.check_reason(nothing)


def test_what_happened_is_neither_in_the_future_nor_older_than_anybody() -> None:
    for fine in ("", "2026", "2026-05", "2026-05-04", "1880"):
        entries.check_past_date(fine, "f", TODAY)
    for future in ("2026-05-05", "2026-06", "2027"):
        with refused(entries.DATE_IN_THE_FUTURE, "f"):
            entries.check_past_date(future, "f", TODAY)
    with refused(entries.DATE_TOO_OLD, "f"):
        entries.check_past_date("1879", "f", TODAY)


def test_somebody_to_call_has_a_telephone_and_a_rank() -> None:
    relations.check_relation(None, "", "", TODAY)
    relations.check_relation(1, "0612345678", "2026-05-04", TODAY)
    relations.check_relation(20, "0612345678", "", TODAY)
    for rank in (0, 21, -1):
        with refused(relations.CALL_ORDER_INVALID, "relation.call_order"):
            relations.check_relation(rank, "0612345678", "", TODAY)
    with refused(relations.CALL_WITHOUT_PHONE, "relation.phone"):
        relations.check_relation(1, "", "", TODAY)
    with refused(entries.DATE_IN_THE_FUTURE, "relation.ended_on"):
        relations.check_relation(None, "", "2026-05-05", TODAY)


def test_an_allergy_of_which_nothing_is_said_was_reported() -> None:
    assert {f"ALLERGY_STATUS_{s.name}": s.value for s in allergies.AllergyStatus} == dict(
        allergies_pb2.AllergyStatus.items()
    )
    status = allergies.AllergyStatus
    assert [allergies.known_status(s) for s in status] == [
        status.REPORTED,
        status.REPORTED,
        status.CONFIRMED,
        status.REFUTED,
    ]
    with refused(entries.DATE_IN_THE_FUTURE, "allergy.noticed_on"):
        allergies.check_allergy("2027", TODAY)


@pytest.mark.parametrize("code", ["", "E11", "E11.9", "I10", "F00.1", "S52.50", "J961", "M4782", "Z51.30", "C7A"])
def test_icd10_codes_are_accepted(code: str) -> None:
    history.check_medical_event(code, "", "", TODAY)


@pytest.mark.parametrize("code", ["e11", "E1", "11E", "E11.", "diabète", "E11.98765"])
def test_what_is_no_icd10_code_is_refused(code: str) -> None:
    with refused(history.ICD10_INVALID, "medical_event.icd10_code"):
        history.check_medical_event(code, "", "", TODAY)


def test_a_history_ends_after_it_began_as_far_as_its_dates_tell() -> None:
    history.check_medical_event("", "2019-06", "2019", TODAY)
    history.check_medical_event("", "2019-06-30", "2019-06", TODAY)
    with refused(history.END_BEFORE_START, "medical_event.ended_on"):
        history.check_medical_event("", "2019-06", "2019-05", TODAY)
    with refused(entries.DATE_IN_THE_FUTURE, "medical_event.started_on"):
        history.check_medical_event("", "2027", "", TODAY)
    with refused(entries.DATE_IN_THE_FUTURE, "medical_event.ended_on"):
        history.check_medical_event("", "", "2027", TODAY)


def test_a_note_is_about_what_happened_give_or_take_a_clock() -> None:
    notes.check_note(None, NOW)
    notes.check_note(NOW + timedelta(minutes=5), NOW)
    with refused(notes.OBSERVED_IN_THE_FUTURE, "handover_note.observed_at"):
        notes.check_note(NOW + timedelta(minutes=5, seconds=1), NOW)


def test_only_its_author_corrects_a_note() -> None:
    notes.check_author("me", "me")
    for author, account in (("me", "you"), (None, None), ("me", None), (None, "me")):
        with refused(notes.NOT_THE_AUTHOR):
            notes.check_author(author, account)


def test_a_facility_reads_its_notes_over_a_day_by_default_and_a_month_at_most() -> None:
    assert notes.period_begins(None, NOW) == NOW - timedelta(hours=24)
    assert notes.period_begins(NOW - timedelta(days=31), NOW) == NOW - timedelta(days=31)
    with refused(notes.PERIOD_TOO_LONG, "since"):
        notes.period_begins(NOW - timedelta(days=31, seconds=1), NOW)


def test_a_draft_is_of_one_kind_and_lives_a_week() -> None:
    assert drafts.expires_at(NOW) == NOW + timedelta(days=7)
    assert drafts.check_kind("allergy") == drafts.check_kind("allergy", "allergy") == "allergy"
    with refused(drafts.DRAFT_WITHOUT_ENTRY, "draft"):
        drafts.check_kind(None)
    with refused(drafts.DRAFT_KIND_FIXED, "draft"):
        drafts.check_kind("allergy", "handover_note")
