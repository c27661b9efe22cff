"""Admissions and stays: states, overlaps, days and access."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from dui.records.v1 import stays_pb2 as pb
from dui_kit import days
from dui_kit.errors import Reason, Refusal
from dui_records.admissions import rules as admissions
from dui_records.admissions.rules import AdmissionStatus, Decision
from dui_records.stays import rules
from dui_records.stays.rules import ExitReason, Stay, StayModality
from hypothesis import given
from hypothesis import strategies as st

NOW = datetime(2026, 5, 4, 10, tzinfo=UTC)
TODAY = date(2026, 5, 4)
HOME, ESAT = "home", "esat"


def refused(reason: Reason, field: str = "") -> pytest.RaisesExc[Refusal]:
    return pytest.RaisesExc(Refusal, check=lambda e: e.reason is reason and e.violations[0].field == field)


def test_the_codes_of_the_rules_are_those_of_the_contract() -> None:
    for ours, theirs, prefix in (
        (AdmissionStatus, pb.AdmissionStatus, "ADMISSION_STATUS_"),
        (StayModality, pb.StayModality, "STAY_MODALITY_"),
        (ExitReason, pb.ExitReason, "EXIT_REASON_"),
    ):
        assert {prefix + code.name: code.value for code in ours if code} == {k: v for k, v in theirs.items() if v}


# ----------------------------------------------------------------------------------------------------------- admissions

S, D = AdmissionStatus, Decision
ALLOWED = {
    (S.REQUESTED, D.ACCEPT): S.ACCEPTED,
    (S.REQUESTED, D.REFUSE): S.REFUSED,
    (S.REQUESTED, D.WITHDRAW): S.WITHDRAWN,
    (S.ACCEPTED, D.REFUSE): S.REFUSED,
    (S.ACCEPTED, D.WITHDRAW): S.WITHDRAWN,
    (S.ACCEPTED, D.ENTER): S.ENTERED,
    (S.ENTERED, D.REOPEN): S.REQUESTED,
}


@pytest.mark.parametrize("status", list(S))
@pytest.mark.parametrize("decision", list(D))
def test_a_request_goes_only_where_its_state_leads(status: AdmissionStatus, decision: Decision) -> None:
    if (status, decision) in ALLOWED:
        assert admissions.decided(status, decision) is ALLOWED[status, decision]
        return
    reason = admissions.ADMISSION_NOT_ACCEPTED if decision is D.ENTER else admissions.ADMISSION_CLOSED
    with refused(reason):
        admissions.decided(status, decision)


def test_only_an_accepted_request_opens_care() -> None:
    opens = {status: admissions.reach(status, NOW) for status in S}
    assert [status for status, reach in opens.items() if not reach.admission_only] == [S.ACCEPTED]
    assert opens[S.REQUESTED].valid_to is None
    assert opens[S.ACCEPTED].valid_to is None
    assert opens[S.ENTERED].valid_to == NOW
    assert opens[S.REFUSED].valid_to == opens[S.WITHDRAWN].valid_to == datetime(2026, 6, 3, 10, tzinfo=UTC)
    assert admissions.reach(S.REFUSED, None).valid_to is None


def test_dates_of_a_request() -> None:
    admissions.check_request(TODAY, TODAY, TODAY, TODAY)
    admissions.check_request(TODAY, None, None, TODAY)
    tomorrow = TODAY + timedelta(days=1)
    with refused(admissions.REQUEST_IN_THE_FUTURE, "admission.requested_on"):
        admissions.check_request(tomorrow, None, None, TODAY)
    with refused(admissions.WISHED_ENTRY_BEFORE_REQUEST, "admission.wished_entry_on"):
        admissions.check_request(TODAY, TODAY - timedelta(days=1), None, TODAY)
    with refused(admissions.BENEFICIARY_DECEASED, "admission.requested_on"):
        admissions.check_request(TODAY, None, TODAY - timedelta(days=1), TODAY)


# ---------------------------------------------------------------------------------------------------------------- stays


def stay(
    first: int = 0,
    last: int | None = None,
    *,
    facility: str = HOME,
    modality: StayModality = StayModality.RESIDENTIAL,
    reason: ExitReason = ExitReason.RETURN_HOME,
) -> Stay:
    """A stay from one day to another, counted from today."""
    end = None if last is None else TODAY + timedelta(days=last)
    return Stay(
        facility, modality, TODAY + timedelta(days=first), ended_on=end, exit_reason=reason if end else ExitReason.NONE
    )


def test_dates_of_an_entry() -> None:
    born = date(1950, 1, 1)
    rules.check_entry(stay(31), born=born, died_on=None, today=TODAY)
    rules.check_entry(stay(0), born=TODAY, died_on=TODAY, today=TODAY)
    with refused(rules.ENTRY_TOO_FAR_AHEAD, "stay.started_on"):
        rules.check_entry(stay(32), born=born, died_on=None, today=TODAY)
    with refused(rules.ENTRY_BEFORE_BIRTH, "stay.started_on"):
        rules.check_entry(stay(-1), born=TODAY, died_on=None, today=TODAY)
    with refused(rules.ENTRY_AFTER_DEATH, "stay.started_on"):
        rules.check_entry(stay(0), born=born, died_on=TODAY - timedelta(days=1), today=TODAY)
    foreseen = Stay(HOME, StayModality.DAY, TODAY, expected_end_on=TODAY - timedelta(days=1))
    with refused(rules.EXPECTED_END_BEFORE_START, "stay.expected_end_on"):
        rules.check_entry(foreseen, born=born, died_on=None, today=TODAY)


def test_two_stays_in_one_facility_do_not_share_a_day() -> None:
    rules.check_overlap(stay(0), [stay(-10, -1)])
    for other in (stay(-10, 0), stay(-10), stay(5), stay(0, 0, modality=StayModality.DAY)):
        with refused(rules.STAY_OVERLAPS_FACILITY, "stay.started_on"):
            rules.check_overlap(stay(0), [other])


def test_one_lives_in_one_place() -> None:
    with refused(rules.STAY_OVERLAPS_RESIDENTIAL, "stay.started_on"):
        rules.check_overlap(stay(0), [stay(-10, facility="other home")])
    rules.check_overlap(stay(0), [stay(-10, facility="respite", modality=StayModality.TEMPORARY)])


def test_an_esat_a_foyer_and_a_savs_at_once_are_normal() -> None:
    foyer = stay(-10)
    esat = stay(-9, facility=ESAT, modality=StayModality.WORK)
    savs = stay(-8, facility="savs", modality=StayModality.HOME)
    for new, others in ((foyer, [esat, savs]), (esat, [foyer, savs]), (savs, [foyer, esat])):
        rules.check_overlap(new, others)


def test_a_stay_entered_by_mistake_overlaps_nothing() -> None:
    rules.check_overlap(stay(0), [stay(-10, 10, reason=ExitReason.ENTERED_BY_MISTAKE)])


day = st.integers(-20, 20)


@given(day, st.integers(0, 10) | st.none(), day, st.integers(0, 10) | st.none())
def test_two_stays_meet_exactly_when_they_share_a_day(a: int, length: int | None, b: int, other: int | None) -> None:
    one = stay(a, None if length is None else a + length)
    two = stay(b, None if other is None else b + other)

    def days_of(first: int, span: int | None) -> set[int]:
        return set(range(first, 60 if span is None else first + span + 1))

    assert one.meets(two) == two.meets(one) == bool(days_of(a, length) & days_of(b, other))


@pytest.mark.parametrize("reason", [reason for reason in ExitReason if reason])
def test_an_open_stay_ends(reason: ExitReason) -> None:
    got = rules.ended(stay(-10), TODAY, reason, died_on=None, today=TODAY)
    assert (got.ended_on, got.exit_reason) == (TODAY, reason)


@pytest.mark.parametrize("reason", [r for r in ExitReason if r is not ExitReason.ENTERED_BY_MISTAKE])
def test_an_ended_stay_does_not_end_again(reason: ExitReason) -> None:
    with refused(rules.STAY_ENDED):
        rules.ended(stay(-10, -1), TODAY, reason, died_on=None, today=TODAY)


def test_an_ended_stay_may_turn_out_to_be_a_mistake_once() -> None:
    mistake = ExitReason.ENTERED_BY_MISTAKE
    got = rules.ended(stay(-10, -1), TODAY, mistake, died_on=None, today=TODAY)
    assert not got.was
    with refused(rules.STAY_ENDED):
        rules.ended(got, TODAY, mistake, died_on=None, today=TODAY)


def test_days_of_an_exit() -> None:
    home = ExitReason.RETURN_HOME
    with refused(rules.EXIT_BEFORE_ENTRY, "ended_on"):
        rules.ended(stay(0), TODAY - timedelta(days=1), home, died_on=None, today=TODAY)
    with refused(rules.EXIT_IN_THE_FUTURE, "ended_on"):
        rules.ended(stay(0), TODAY + timedelta(days=1), home, died_on=None, today=TODAY)
    with refused(rules.EXIT_BEFORE_DEATH, "ended_on"):
        rules.ended(stay(-10), TODAY - timedelta(days=1), ExitReason.DEATH, died_on=TODAY, today=TODAY)
    coming = rules.ended(stay(5), TODAY + timedelta(days=5), ExitReason.ENTERED_BY_MISTAKE, died_on=None, today=TODAY)
    assert not coming.was


def test_the_team_keeps_access_30_days_after_the_last_day_anywhere_in_france() -> None:
    reach = rules.reach(stay(-10, 0), NOW)
    # In French Polynesia (UTC-10) 3 June is over on 4 June at 10:00 UTC; in Wallis (UTC+12) 24 April begins on the 23rd.
    assert reach.valid_to == datetime(2026, 6, 4, 10, tzinfo=UTC)
    assert reach.valid_from == datetime(2026, 4, 23, 12, tzinfo=UTC)


def test_a_coming_stay_gives_access_at_once_and_a_mistake_never() -> None:
    assert rules.reach(stay(5), NOW) == rules.Reach(NOW, None)
    never = rules.reach(stay(-10, 0, reason=ExitReason.ENTERED_BY_MISTAKE), NOW)
    assert never.valid_to == never.valid_from


# ----------------------------------------------------------------------------------------------------------------- days


@given(st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 (bounds)
def test_days_hold_everywhere_in_france(now: datetime) -> None:
    """Whatever the hour and the place, no local day is after the latest one, and a day contains the instant."""
    for zone in ("Pacific/Tahiti", "America/Cayenne", "Europe/Paris", "Indian/Reunion", "Pacific/Wallis"):
        local = now.astimezone(ZoneInfo(zone)).date()
        assert days.latest_day(now) - timedelta(days=1) <= local <= days.latest_day(now)
        assert days.day_begins(local) <= now < days.day_is_over(local)
