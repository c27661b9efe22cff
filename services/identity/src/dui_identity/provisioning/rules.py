"""Rules of provisioning: first passwords, when to try again, and what an account comes to at the identity provider."""

from __future__ import annotations

import hmac
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Final

from dui_identity.staff.rules import CLOCK_TOLERANCE, Status

#: Times that an invitation is tried; then the administrator asks for it again (`InviteAccount`).
INVITATION_ATTEMPTS: Final = 5
#: How long the link of an invitation works: `actionTokenGeneratedByAdminLifespan` of the realm.
INVITATION_HOLDS: Final = timedelta(days=2)

_FIRST_RETRY: Final = 1.0
_LONGEST_RETRY: Final = 60.0
_LONGEST_CONFLICT_RETRY: Final = 600.0
#: Somebody who has followed their invitation logs in at once: in the first hour they should not wait for us. Later, who took
#: two hours may wait a minute: hundreds of invitations that stay open for days are not asked for twice a minute.
_ANSWER_RETRY: Final = 30.0
_LONGEST_ANSWER_RETRY: Final = 600.0
_PART_OF_WAITING: Final = 120

#: Letters and digits that nobody mistakes for another when they copy them from paper.
_ALPHABET: Final = "abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_GROUPS: Final = 4
_GROUP: Final = 4
NONCE_BYTES: Final = 16
_CHECK_BYTES: Final = 4


class Kind(IntEnum):
    """What a task asks for. Each brings the identity provider in line with the rows as they are when it runs."""

    #: The association's organization.
    ORGANIZATION = 1
    #: The account's user and its membership.
    ACCOUNT = 2
    #: The same, after every session of the user has ended.
    LOCK_OUT = 3
    #: The same, then an invitation: by e-mail, or the first password of the task.
    INVITE = 4
    #: Whether the person has followed the invitation. It holds up no other task of the account.
    ANSWER = 5


#: What an association is served first: shutting out and beginning anew before a hundred new accounts. Whatever the kinds, the
#: tasks of one account keep their order. Answers come when nothing of this can be done.
URGENCY: Final = (Kind.ORGANIZATION, Kind.LOCK_OUT, Kind.INVITE, Kind.ACCOUNT)


def in_turn(waiting: Iterable[str], *, after: str) -> list[str]:
    """The associations in the order in which they are served: by their ids, beginning behind the one that came last."""
    ordered = sorted(waiting)
    first = bisect_right(ordered, after)
    return ordered[first:] + ordered[:first]


class Problem(IntEnum):
    """Why a task is not done; the numbers are those of `dui.identity.v1.ProvisioningProblem`."""

    NONE = 0
    LOGIN_TAKEN = 1
    #: No longer given; accounts of before may still have it.
    EMAIL_UNCONFIRMED = 2
    PROVIDER_UNAVAILABLE = 3
    PROVIDER_REFUSES = 4
    INVITATION_NOT_SENT = 5
    PASSWORD_LOST = 6
    INVITATION_PENDING = 7
    INVITATION_EXPIRED = 8


def in_vain(status: Status, problem: Problem) -> bool:
    """Whether somebody was invited, has not entered, and nothing more comes of it."""
    return status is Status.PROVISIONING and problem in {Problem.INVITATION_NOT_SENT, Problem.INVITATION_EXPIRED}


class LoginTaken(Exception):
    """Somebody else has the login of a new account."""


class PasswordLost(Exception):
    """The key of first passwords is not the one with which this one was given out."""


def password_key(secret: bytes) -> bytes:
    """The key of first passwords, derived from a secret of the service that has another use."""
    return hmac.digest(secret, b"dui-identity first passwords, version 1", "sha256")


def new_nonce(random: bytes, key: bytes) -> bytes:
    """What the database keeps of a first password: 16 random bytes, and 4 that tell the key. It is not the password."""
    if len(random) != NONCE_BYTES:
        message = f"{NONCE_BYTES} random bytes"
        raise ValueError(message)
    return random + _check(random, key)


def first_password(nonce: bytes, key: bytes, *, login: str) -> str:
    """The first password that belongs to a nonce: four groups of four letters and digits, 92 bits.

    It is computed by the call that shows it and again by the task that sets it, so that it is written nowhere. Raises
    PasswordLost when the key changed in between: the task must not set another one than was shown.
    """
    random = nonce[:NONCE_BYTES]
    if not hmac.compare_digest(nonce[NONCE_BYTES:], _check(random, key)):
        raise PasswordLost
    attempt = 0
    while True:
        password = _spell(hmac.digest(key, b"password|%d|" % attempt + random, "sha256"))
        if login not in password.lower():  # the realm refuses a password that holds the login
            return password
        attempt += 1


def _check(random: bytes, key: bytes) -> bytes:
    return hmac.digest(key, b"check|" + random, "sha256")[:_CHECK_BYTES]


def _spell(digest: bytes) -> str:
    number = int.from_bytes(digest, "big")
    characters = []
    for _ in range(_GROUPS * _GROUP):
        number, index = divmod(number, len(_ALPHABET))
        characters.append(_ALPHABET[index])
    return "-".join("".join(characters[start : start + _GROUP]) for start in range(0, len(characters), _GROUP))


def retry_delay(problem: Problem, attempts: int, *, waited: timedelta) -> timedelta:
    """How long to wait after the `attempts`-th failure of a task that is `waited` old: twice as long each time.

    An outage is looked at again within a minute; whether an invitation was followed, within half of one in the first hour,
    then within a 120th of its age; what a person must first settle, every ten minutes.
    """
    match problem:
        case Problem.PROVIDER_UNAVAILABLE:
            longest = _LONGEST_RETRY
        case Problem.INVITATION_PENDING:
            longest = min(max(_ANSWER_RETRY, waited.total_seconds() / _PART_OF_WAITING), _LONGEST_ANSWER_RETRY)
        case _:
            longest = _LONGEST_CONFLICT_RETRY
    return timedelta(seconds=min(_FIRST_RETRY * 2 ** min(attempts - 1, 20), longest))


class Elsewhere(IntEnum):
    """What the same person has in other associations of the platform."""

    NOTHING = 0
    #: Only suspended accounts, or ones not set up yet.
    DORMANT = 1
    ACTIVE = 2


class UserEnd(IntEnum):
    """What becomes of a user when one association locks them out."""

    KEEP = 1
    DISABLE = 2
    DELETE = 3


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the identity provider should hold of one account."""

    #: Member of the association's organization.
    member: bool
    #: What becomes of a user who is not a member; None while they are.
    end: UserEnd | None
    #: Every session ends.
    log_out: bool
    #: The user is this association's alone, so it may change their address and their state.
    exclusive: bool


def wanted(status: Status, elsewhere: Elsewhere, *, lock_out: bool) -> Wanted:
    """What an account of this status comes to, given what the same person has in other associations.

    An association never disables, deletes, logs out or renames a person whom another one still relies on: it only takes
    its own membership away, and its own access facts refuse the tokens that are left.
    """
    exclusive = elsewhere is Elsewhere.NOTHING
    log_out = lock_out and elsewhere is not Elsewhere.ACTIVE
    match status:
        case Status.PROVISIONING | Status.ACTIVE:
            return Wanted(member=True, end=None, log_out=log_out, exclusive=exclusive)
        case Status.SUSPENDED:
            end = UserEnd.KEEP if elsewhere is Elsewhere.ACTIVE else UserEnd.DISABLE
            return Wanted(member=False, end=end, log_out=log_out, exclusive=exclusive)
        case Status.ENDED:
            end = {
                Elsewhere.NOTHING: UserEnd.DELETE,
                Elsewhere.DORMANT: UserEnd.DISABLE,
                Elsewhere.ACTIVE: UserEnd.KEEP,
            }[elsewhere]
            return Wanted(member=False, end=end, log_out=log_out, exclusive=exclusive)


@dataclass(frozen=True, slots=True)
class Found:
    """A user of the identity provider."""

    user_id: str
    login: str
    email: str
    #: Its holder has followed a link that was sent to it.
    email_verified: bool
    #: Accounts for which the platform made or joined this user.
    account_ids: frozenset[str]


def user_of(found: Iterable[Found], *, account_id: str, login: str, email: str | None) -> Found | None:
    """Of the users that have the login or the address of a new account, the one that it is about; None: one is to be made.

    It is the account's own when an attempt cut short made it. It is the login that the person already has when it has their
    address, confirmed: then they are asked whether they join. An address that nobody confirmed is nobody's, and tells
    nothing. LoginTaken: somebody else has the login; the same login proves nothing.
    """
    users = list(found)
    for user in users:
        if account_id in user.account_ids:
            return user
    for user in users:
        if email and user.email_verified and user.email.lower() == email.lower():
            return user
    if any(user.login == login for user in users):
        raise LoginTaken
    return None


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a user can log in with."""

    password: bool
    #: Devices that make one-time codes, by id, and when each was enrolled.
    devices: Mapping[str, datetime]


def followed(user: Found, credentials: Credentials, *, invited_at: datetime | None) -> bool:
    """Whether somebody has done what their invitation asks for: confirmed their address, enrolled a device, chosen a password.

    A device counts when it was enrolled since the invitation; with None, any does.
    """
    devices = set(credentials.devices) - set(devices_before(credentials, invited_at))
    return user.email_verified and credentials.password and bool(devices)


def devices_before(credentials: Credentials, invited_at: datetime | None) -> list[str]:
    """The devices that an invitation replaces. (The other clock is somebody else's.)"""
    if invited_at is None:
        return []
    return [device for device, at in credentials.devices.items() if at < invited_at - CLOCK_TOLERANCE]
