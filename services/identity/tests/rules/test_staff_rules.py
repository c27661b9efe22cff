"""Rules of accounts and assignments."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from dui.identity.v1 import staff_pb2
from dui_identity.staff import rules
from dui_identity.staff.rules import Administrator, Period, Status
from dui_kit.errors import Refusal
from hypothesis import given
from hypothesis import strategies as st

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def refusal(of: Callable[[], object]) -> tuple[str, str]:
    with pytest.raises(Refusal) as refused:
        of()
    return refused.value.reason.name, refused.value.violations[0].field


class TestLogins:
    @pytest.mark.parametrize(
        ("typed", "kept"), [("Marie.Dupont", "marie.dupont"), (" m-d_2 ", "m-d_2"), ("abc", "abc")]
    )
    def test_a_login_is_kept_in_lower_case(self, typed: str, kept: str) -> None:
        assert rules.clean_login(typed, field="account.login") == kept

    @pytest.mark.parametrize("typed", ["", "ab", "marie@example.org", "éva.m", "m d", ".marie", "marie.", "a" * 81])
    def test_what_nobody_could_type_or_could_be_an_address_is_refused(self, typed: str) -> None:
        assert refusal(lambda: rules.clean_login(typed, field="account.login")) == ("LOGIN_MALFORMED", "account.login")

    def test_addresses_are_compared_in_lower_case(self) -> None:
        assert rules.clean_email(" Marie@Example.org ") == "marie@example.org"


class TestTheLifeOfAnAccount:
    def test_its_numbers_are_those_of_the_contract(self) -> None:
        names = {name.removeprefix("ACCOUNT_STATUS_"): number for name, number in staff_pb2.AccountStatus.items()}
        assert {status.name: status.value for status in Status} == {k: v for k, v in names.items() if v}

    @pytest.mark.parametrize(
        ("status", "suspend", "reactivate", "end", "assign"),
        [
            (Status.PROVISIONING, "ACCOUNT_NOT_ACTIVE", "ACCOUNT_NOT_SUSPENDED", "", ""),
            (Status.ACTIVE, "", "ACCOUNT_NOT_SUSPENDED", "", ""),
            (Status.SUSPENDED, "ACCOUNT_NOT_ACTIVE", "", "", ""),
            (Status.ENDED, "ACCOUNT_ENDED", "ACCOUNT_ENDED", "ACCOUNT_ENDED", "ACCOUNT_ENDED"),
        ],
    )
    def test_each_status_allows_its_own_changes(
        self, status: Status, suspend: str, reactivate: str, end: str, assign: str
    ) -> None:
        for expected, change in (
            (suspend, lambda: rules.check_suspend(status, own=False)),
            (reactivate, lambda: rules.check_reactivate(status)),
            (end, lambda: rules.check_end(status, own=False)),
            (assign, lambda: rules.check_assignable(status, own=False)),
        ):
            if expected:
                assert refusal(change) == (expected, "account_id")
            else:
                change()

    @pytest.mark.parametrize("status", list(Status))
    def test_nobody_suspends_or_ends_their_own(self, status: Status) -> None:
        assert refusal(lambda: rules.check_suspend(status, own=True))[0] == "OWN_ACCOUNT"
        assert refusal(lambda: rules.check_end(status, own=True))[0] == "OWN_ACCOUNT"

    @pytest.mark.parametrize(
        ("status", "email", "own", "elsewhere", "reason"),
        [
            (Status.PROVISIONING, "marie@example.org", False, False, None),
            (Status.ACTIVE, "marie@example.org", False, True, None),
            (Status.ACTIVE, None, False, False, None),
            # A first password would be the way of one association into the other.
            (Status.ACTIVE, None, False, True, "EMAIL_MISSING"),
            (Status.SUSPENDED, "marie@example.org", False, False, "ACCOUNT_SUSPENDED"),
            (Status.ENDED, "marie@example.org", False, False, "ACCOUNT_ENDED"),
            (Status.ACTIVE, "marie@example.org", True, False, "OWN_ACCOUNT"),
        ],
    )
    def test_who_may_be_invited(
        self, status: Status, email: str | None, own: bool, elsewhere: bool, reason: str | None
    ) -> None:
        def invite() -> None:
            rules.check_invite(status, email, own=own, relied_on_elsewhere=elsewhere)

        if reason is None:
            invite()
        else:
            assert refusal(invite)[0] == reason


class TestPeriods:
    def test_an_assignment_starts_now_unless_told(self) -> None:
        assert rules.new_period(None, None, now=NOW) == Period(NOW, None)
        assert rules.new_period(NOW + DAY, NOW + 2 * DAY, now=NOW) == Period(NOW + DAY, NOW + 2 * DAY)

    @pytest.mark.parametrize("end", [NOW - DAY, NOW])
    def test_it_cannot_end_before_it_starts_nor_at_that_instant(self, end: datetime) -> None:
        assert refusal(lambda: rules.new_period(NOW, end, now=NOW)) == ("ENDS_BEFORE_START", "assignment.valid_to")

    @pytest.mark.parametrize(
        ("period", "at", "holds"),
        [
            (Period(NOW, None), NOW, True),
            (Period(NOW, NOW + DAY), NOW + DAY, False),
            (Period(NOW, NOW + DAY), NOW, True),
            (Period(NOW + DAY, None), NOW, False),
        ],
    )
    def test_its_end_is_excluded(self, period: Period, at: datetime, holds: bool) -> None:
        assert period.holds_at(at) is holds

    @pytest.mark.parametrize(
        ("period", "wanted", "end"),
        [
            (Period(NOW - DAY, None), None, NOW),
            (Period(NOW + DAY, None), None, NOW + DAY),  # never was in force
            (Period(NOW - DAY, NOW + 2 * DAY), NOW + DAY, NOW + DAY),
            (Period(NOW - DAY, None), NOW - timedelta(minutes=4), NOW),  # a clock that is late
            (Period(NOW + DAY, None), NOW + DAY, NOW + DAY),
        ],
    )
    def test_it_ends_at_once_or_at_an_instant_to_come(
        self, period: Period, wanted: datetime | None, end: datetime
    ) -> None:
        assert rules.end_period(period, wanted, now=NOW) == Period(period.start, end)

    @pytest.mark.parametrize(
        ("period", "wanted", "reason"),
        [
            (Period(NOW - DAY, NOW), None, "ASSIGNMENT_ENDED"),
            (Period(NOW - DAY, None), NOW - timedelta(minutes=6), "END_IN_PAST"),
            (Period(NOW + DAY, None), NOW + timedelta(hours=1), "ENDS_BEFORE_START"),
            (Period(NOW - DAY, NOW + DAY), NOW + 2 * DAY, "END_LATER"),
        ],
    )
    def test_the_past_is_not_rewritten(self, period: Period, wanted: datetime | None, reason: str) -> None:
        assert refusal(lambda: rules.end_period(period, wanted, now=NOW))[0] == reason

    instants = st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31)).map(lambda d: d.replace(tzinfo=UTC))  # noqa: DTZ001

    @given(start=instants, end=st.none() | instants, wanted=st.none() | instants)
    def test_an_ended_assignment_never_holds_after_its_end_nor_gives_back_the_past(
        self, start: datetime, end: datetime | None, wanted: datetime | None
    ) -> None:
        if end is not None and end < start:
            return
        try:
            ended = rules.end_period(Period(start, end), wanted, now=NOW)
        except Refusal:
            return
        assert ended.end is not None
        assert ended.start == start <= ended.end
        assert ended.end >= NOW
        assert not ended.holds_at(ended.end)


class TestPlaces:
    def test_a_unit_is_named_with_its_facility(self) -> None:
        rules.check_place(None, None)
        rules.check_place("facility", None)
        rules.check_place("facility", "unit")
        assert refusal(lambda: rules.check_place(None, "unit")) == ("UNIT_WITHOUT_FACILITY", "assignment.facility_id")


class TestTheLastAdministrator:
    ACCOUNTS, POLICY, BOTH = 1, 2, 3
    GUARDED = (frozenset({ACCOUNTS, BOTH}), frozenset({POLICY, BOTH}))

    def check(self, *professions: int) -> None:
        people = [Administrator(f"account-{n}", f"assignment-{n}", p) for n, p in enumerate(professions)]
        rules.check_still_administered(people, self.GUARDED)

    def test_one_who_may_do_everything_is_enough(self) -> None:
        self.check(self.BOTH)

    def test_two_who_share_it_are_enough(self) -> None:
        self.check(self.ACCOUNTS, self.POLICY)

    @pytest.mark.parametrize("professions", [(), (ACCOUNTS,), (POLICY, POLICY), (9,)])
    def test_a_change_that_leaves_a_part_to_nobody_is_refused(self, professions: tuple[int, ...]) -> None:
        assert refusal(lambda: self.check(*professions))[0] == "LAST_ADMINISTRATOR"
