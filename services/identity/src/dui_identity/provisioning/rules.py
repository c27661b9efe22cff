"""Rules of provisioning: first passwords, when to try again, and what an account comes to at the identity provider."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum
from typing import Final

from dui_identity.staff.rules import Status

#: Times that an invitation is tried; then the administrator asks for it again (`InviteAccount`).
INVITATION_ATTEMPTS: Final = 5

_FIRST_RETRY: Final = 1.0
_LONGEST_RETRY: Final = 60.0
_LONGEST_CONFLICT_RETRY: Final = 600.0

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
    #: The same, then an invitation by e-mail.
    INVITE = 4


class Problem(IntEnum):
    """Why a task is not done; the numbers are those of `dui.identity.v1.ProvisioningProblem`."""

    NONE = 0
    LOGIN_TAKEN = 1
    EMAIL_UNCONFIRMED = 2
    PROVIDER_UNAVAILABLE = 3
    PROVIDER_REFUSES = 4
    INVITATION_NOT_SENT = 5
    PASSWORD_LOST = 6


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


def retry_delay(problem: Problem, attempts: int) -> timedelta:
    """How long to wait after the `attempts`-th failure: twice as long each time.

    An outage is looked at again within a minute; what a person must first settle, every ten minutes.
    """
    outage = problem is Problem.PROVIDER_UNAVAILABLE
    longest = _LONGEST_RETRY if outage else _LONGEST_CONFLICT_RETRY
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
    """A user that already has the login or the address of a new account."""

    user_id: str
    login: str
    email: str
    email_verified: bool
    #: Accounts for which the platform made or joined this user.
    account_ids: frozenset[str]


def adopt(found: Found, *, account_id: str, email: str | None) -> Problem:
    """Whether an existing user becomes the new account's: NONE when so, otherwise what stands in the way.

    It is ours when an attempt cut short made it; it is the same person when it has the same address, confirmed by its
    holder. The same login alone proves nothing.
    """
    if account_id in found.account_ids:
        return Problem.NONE
    if not email or found.email.lower() != email.lower():
        return Problem.LOGIN_TAKEN
    return Problem.NONE if found.email_verified else Problem.EMAIL_UNCONFIRMED
