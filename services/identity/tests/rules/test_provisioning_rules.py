"""Rules of provisioning: first passwords, delays, and what becomes of a user."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from dui.identity.v1 import staff_pb2
from dui_identity.provisioning import rules
from dui_identity.provisioning.rules import (
    URGENCY,
    Credentials,
    Elsewhere,
    Found,
    Kind,
    LoginTaken,
    PasswordLost,
    Problem,
    UserEnd,
)
from dui_identity.staff.rules import Status
from hypothesis import given
from hypothesis import strategies as st

KEY = rules.password_key(b"k" * 32)


class TestFirstPasswords:
    @given(random=st.binary(min_size=16, max_size=16))
    def test_the_call_and_the_task_compute_the_same_one(self, random: bytes) -> None:
        nonce = rules.new_nonce(random, KEY)
        password = rules.first_password(nonce, KEY, login="marie.dupont")
        assert password == rules.first_password(nonce, KEY, login="marie.dupont")
        assert re.fullmatch(r"(?:[a-zA-Z2-9]{4}-){3}[a-zA-Z2-9]{4}", password)
        assert not set(password) & set("ilo01IO")

    def test_what_the_database_keeps_is_not_enough_to_know_it(self) -> None:
        nonce = rules.new_nonce(bytes(16), KEY)
        other = rules.password_key(b"x" * 32)
        with pytest.raises(PasswordLost):
            rules.first_password(nonce, other, login="marie")

    def test_a_changed_nonce_is_noticed(self) -> None:
        nonce = rules.new_nonce(bytes(16), KEY)
        with pytest.raises(PasswordLost):
            rules.first_password(b"\x01" + nonce[1:], KEY, login="marie")

    def test_two_nonces_give_two_passwords(self) -> None:
        found = {rules.first_password(rules.new_nonce(bytes([n]) * 16, KEY), KEY, login="marie") for n in range(100)}
        assert len(found) == 100

    def test_it_never_holds_the_login(self) -> None:
        nonce = rules.new_nonce(bytes(16), KEY)
        login = rules.first_password(nonce, KEY, login="marie").replace("-", "")[:3].lower()
        assert login not in rules.first_password(nonce, KEY, login=login).lower()

    def test_a_nonce_takes_16_random_bytes(self) -> None:
        with pytest.raises(ValueError, match="16"):
            rules.new_nonce(b"short", KEY)


class TestTryingAgain:
    def test_an_outage_is_looked_at_within_a_minute_for_as_long_as_it_takes(self) -> None:
        delays = [
            rules.retry_delay(Problem.PROVIDER_UNAVAILABLE, attempts, waited=timedelta(days=1))
            for attempts in (1, 2, 3, 7, 1000)
        ]
        assert delays == [timedelta(seconds=seconds) for seconds in (1, 2, 4, 60, 60)]

    @pytest.mark.parametrize(
        ("waited", "seconds"),
        [
            (timedelta(0), 30),
            (timedelta(hours=1), 30),
            (timedelta(hours=2), 60),
            (timedelta(hours=10), 300),
            (timedelta(hours=20), 600),
            (timedelta(days=2), 600),
        ],
    )
    def test_an_answer_is_seen_within_half_a_minute_in_the_first_hour_and_later_more_seldom(
        self, waited: timedelta, seconds: int
    ) -> None:
        assert rules.retry_delay(Problem.INVITATION_PENDING, 1000, waited=waited) == timedelta(seconds=seconds)

    @given(attempts=st.integers(1, 10_000), hours=st.floats(0, 48))
    def test_who_answers_waits_no_longer_than_a_120th_of_what_they_took(self, attempts: int, hours: float) -> None:
        waited = timedelta(hours=hours)
        delay = rules.retry_delay(Problem.INVITATION_PENDING, attempts, waited=waited)
        # Both are rounded to a microsecond.
        assert timedelta(seconds=1) <= delay <= max(timedelta(seconds=30), waited / 120) + timedelta(microseconds=1)
        assert delay <= timedelta(minutes=10)

    def test_what_a_person_must_settle_is_looked_at_every_ten_minutes(self) -> None:
        assert rules.retry_delay(Problem.LOGIN_TAKEN, 30, waited=timedelta(0)) == timedelta(minutes=10)

    def test_problems_are_numbered_as_in_the_contract(self) -> None:
        names = {
            name.removeprefix("PROVISIONING_PROBLEM_"): number
            for name, number in staff_pb2.ProvisioningProblem.items()
            if number
        }
        assert {problem.name: problem.value for problem in Problem if problem} == names


class TestTurns:
    def test_the_one_that_came_last_is_the_last_of_the_next_round(self) -> None:
        assert rules.in_turn({"c", "a", "b"}, after="") == ["a", "b", "c"]
        assert rules.in_turn({"c", "a", "b"}, after="a") == ["b", "c", "a"]
        assert rules.in_turn({"c", "a", "b"}, after="bb") == ["c", "a", "b"]
        assert rules.in_turn({"c", "a", "b"}, after="c") == ["a", "b", "c"]
        assert rules.in_turn((), after="c") == []

    @given(waiting=st.sets(st.text(max_size=3), min_size=1), newcomer=st.text(max_size=3), at_once=st.integers(1, 5))
    def test_whoever_comes_is_served_before_anybody_is_served_a_second_time(
        self, waiting: set[str], newcomer: str, at_once: int
    ) -> None:
        """All the others always have more to do."""
        last, served = "", list[str]()
        everybody = waiting
        for round_ in range(2 * len(waiting) + 2):
            if round_ == 2:
                everybody, served = waiting | {newcomer}, []
            turn = rules.in_turn(everybody, after=last)[:at_once]
            served += turn
            last = turn[-1]
        assert set(served[: len(everybody)]) == everybody

    def test_every_kind_is_urgent_or_an_answer(self) -> None:
        assert sorted((*URGENCY, Kind.ANSWER)) == sorted(Kind)
        assert URGENCY.index(Kind.LOCK_OUT) < URGENCY.index(Kind.INVITE) < URGENCY.index(Kind.ACCOUNT)


class TestWhatBecomesOfAUser:
    @pytest.mark.parametrize(
        ("status", "elsewhere", "member", "end"),
        [
            (Status.PROVISIONING, Elsewhere.NOTHING, True, None),
            (Status.ACTIVE, Elsewhere.ACTIVE, True, None),
            (Status.SUSPENDED, Elsewhere.NOTHING, False, UserEnd.DISABLE),
            (Status.SUSPENDED, Elsewhere.DORMANT, False, UserEnd.DISABLE),
            (Status.SUSPENDED, Elsewhere.ACTIVE, False, UserEnd.KEEP),
            (Status.ENDED, Elsewhere.NOTHING, False, UserEnd.DELETE),
            (Status.ENDED, Elsewhere.DORMANT, False, UserEnd.DISABLE),
            (Status.ENDED, Elsewhere.ACTIVE, False, UserEnd.KEEP),
        ],
    )
    def test_one_association_never_takes_away_what_another_relies_on(
        self, status: Status, elsewhere: Elsewhere, member: bool, end: UserEnd | None
    ) -> None:
        plan = rules.wanted(status, elsewhere, lock_out=True)
        assert (plan.member, plan.end) == (member, end)
        assert plan.exclusive is (elsewhere is Elsewhere.NOTHING)
        assert plan.log_out is (elsewhere is not Elsewhere.ACTIVE)
        assert rules.wanted(status, elsewhere, lock_out=False).log_out is False


class TestAUserWhoIsThereAlready:
    MARIE = Found("id", "marie", "marie@example.org", email_verified=True, account_ids=frozenset({"elsewhere"}))
    SQUATTER = Found("no", "squatter", "marie@example.org", email_verified=False, account_ids=frozenset({"elsewhere"}))

    def user_of(self, *found: Found, email: str | None = "marie@example.org") -> Found | None:
        return rules.user_of(found, account_id="mine", login="marie.roux", email=email)

    def test_an_attempt_cut_short_is_taken_up(self) -> None:
        found = Found("id", "marie.roux", "", email_verified=False, account_ids=frozenset({"mine"}))
        assert self.user_of(self.MARIE, found) is found

    def test_the_same_confirmed_address_is_the_same_person(self) -> None:
        assert self.user_of(self.MARIE, email="Marie@example.org") is self.MARIE

    def test_an_address_that_nobody_confirmed_is_in_nobodys_way(self) -> None:
        assert self.user_of(self.SQUATTER) is None
        assert self.user_of(self.SQUATTER, self.MARIE) is self.MARIE

    @pytest.mark.parametrize("email", [None, "other@example.org"])
    def test_the_same_login_proves_nothing(self, email: str | None) -> None:
        other = Found("id", "marie.roux", "marie@example.org", email_verified=True, account_ids=frozenset())
        with pytest.raises(LoginTaken):
            self.user_of(other, email=email)

    def test_without_an_address_nobody_is_found(self) -> None:
        assert self.user_of(Found("id", "x", "", email_verified=True, account_ids=frozenset()), email=None) is None


class TestWhatAnInvitationAsksFor:
    INVITED = datetime(2026, 11, 24, 12, tzinfo=UTC)
    BEFORE, SINCE = INVITED - timedelta(days=30), INVITED + timedelta(minutes=3)

    @pytest.mark.parametrize(
        ("verified", "password", "devices", "followed"),
        [
            (True, True, {"new": SINCE}, True),
            (True, True, {"old": BEFORE, "new": SINCE}, True),
            (True, True, {"old": BEFORE}, False),
            (True, True, {}, False),
            (True, False, {"new": SINCE}, False),
            (False, True, {"new": SINCE}, False),  # enrolled, but not by the link of a mail
        ],
    )
    def test_an_address_confirmed_a_password_and_a_device_enrolled_since(
        self, verified: bool, password: bool, devices: dict[str, datetime], followed: bool
    ) -> None:
        user = Found("id", "marie", "marie@example.org", email_verified=verified, account_ids=frozenset())
        assert rules.followed(user, Credentials(password, devices), invited_at=self.INVITED) is followed

    def test_the_devices_of_before_are_the_ones_that_it_replaces(self) -> None:
        credentials = Credentials(True, {"old": self.BEFORE, "new": self.SINCE})
        assert rules.devices_before(credentials, self.INVITED) == ["old"]
        assert rules.devices_before(credentials, None) == []

    def test_a_clock_that_is_some_minutes_late_makes_no_new_device_an_old_one(self) -> None:
        credentials = Credentials(True, {"new": self.INVITED - timedelta(minutes=4)})
        assert rules.devices_before(credentials, self.INVITED) == []
