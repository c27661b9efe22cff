"""Rules of professionals, accounts and assignments."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Final

from dui_kit.errors import Code, Reason, Refusal

#: Somebody's clock may be this far from ours.
CLOCK_TOLERANCE: Final = timedelta(minutes=5)

# What everybody can type on a shared workstation. No `@`: a login that looks like an address is taken for somebody's.
_LOGIN: Final = re.compile(r"[a-z0-9][a-z0-9._-]{1,78}[a-z0-9]")

LOGIN_MALFORMED = Reason(
    "LOGIN_MALFORMED",
    Code.INVALID_ARGUMENT,
    fr="Identifiant de connexion : 3 à 80 lettres sans accent, chiffres, points, tirets ; ni @ ni espace.",
    en="Login: 3 to 80 unaccented letters, digits, dots, hyphens; neither @ nor a space.",
)
LOGIN_TAKEN = Reason(
    "LOGIN_TAKEN",
    Code.ALREADY_EXISTS,
    fr="Cet identifiant de connexion est déjà pris : choisissez-en un autre.",
    en="This login is taken: choose another one.",
)
RPPS_TAKEN = Reason(
    "RPPS_TAKEN",
    Code.ALREADY_EXISTS,
    fr="Un professionnel de l'association porte déjà ce numéro RPPS : modifiez sa fiche plutôt.",
    en="A professional of the association already has this RPPS number: change their entry instead.",
)
EMAIL_TAKEN = Reason(
    "EMAIL_TAKEN",
    Code.ALREADY_EXISTS,
    fr="Un professionnel de l'association a déjà cette adresse électronique : un compte, c'est une personne.",
    en="A professional of the association already has this e-mail address: one account is one person.",
)
ACCOUNT_EXISTS = Reason(
    "ACCOUNT_EXISTS",
    Code.ALREADY_EXISTS,
    fr="Ce professionnel a déjà un compte : utilisez celui-ci.",
    en="This professional already has an account: use that one.",
)
ACCOUNT_NOT_ACTIVE = Reason(
    "ACCOUNT_NOT_ACTIVE",
    Code.FAILED_PRECONDITION,
    fr="Le compte n'est pas actif : seul un compte actif peut être suspendu.",
    en="The account is not active: only an active account can be suspended.",
)
ACCOUNT_NOT_SUSPENDED = Reason(
    "ACCOUNT_NOT_SUSPENDED",
    Code.FAILED_PRECONDITION,
    fr="Le compte n'est pas suspendu : il n'y a rien à rétablir.",
    en="The account is not suspended: there is nothing to give back.",
)
ACCOUNT_SUSPENDED = Reason(
    "ACCOUNT_SUSPENDED",
    Code.FAILED_PRECONDITION,
    fr="Le compte est suspendu : rétablissez-le avant d'inviter la personne.",
    en="The account is suspended: give it back before you invite the person.",
)
ACCOUNT_ENDED = Reason(
    "ACCOUNT_ENDED",
    Code.FAILED_PRECONDITION,
    fr="Le compte est clos pour de bon : créez-en un autre si la personne revient.",
    en="The account is ended for good: make another one if the person comes back.",
)
EMAIL_MISSING = Reason(
    "EMAIL_MISSING",
    Code.FAILED_PRECONDITION,
    fr="Cette personne travaille aussi pour une autre association : ajoutez son adresse électronique à sa fiche avant de "
    "l'inviter.",
    en="This person also works for another association: add their e-mail address to their entry before you invite them.",
)
OWN_ACCOUNT = Reason(
    "OWN_ACCOUNT",
    Code.FAILED_PRECONDITION,
    fr="On ne suspend, ne clôt ni ne réinvite son propre compte : demandez à un autre administrateur.",
    en="Nobody suspends, ends or invites their own account: ask another administrator.",
    about_rights=True,
)
OWN_ASSIGNMENT = Reason(
    "OWN_ASSIGNMENT",
    Code.FAILED_PRECONDITION,
    fr="On ne se donne pas d'affectation à soi-même : demandez à un autre administrateur.",
    en="Nobody assigns themselves: ask another administrator.",
    about_rights=True,
)
LAST_ADMINISTRATOR = Reason(
    "LAST_ADMINISTRATOR",
    Code.FAILED_PRECONDITION,
    fr="Plus personne ne pourrait administrer les comptes et la politique d'accès : donnez d'abord ce droit à quelqu'un.",
    en="Nobody could administer accounts and the access policy any more: give somebody that right first.",
    about_rights=True,
)
ENDS_BEFORE_START = Reason(
    "ENDS_BEFORE_START",
    Code.INVALID_ARGUMENT,
    fr="La fin de l'affectation doit suivre son début.",
    en="The assignment must end after it starts.",
)
END_IN_PAST = Reason(
    "END_IN_PAST",
    Code.INVALID_ARGUMENT,
    fr="L'accès était ouvert jusqu'à maintenant : laissez la fin vide pour y mettre fin tout de suite.",
    en="Access was open until now: leave the end empty to end it at once.",
)
END_LATER = Reason(
    "END_LATER",
    Code.INVALID_ARGUMENT,
    fr="Cette affectation finit déjà plus tôt : pour la prolonger, créez-en une autre à sa suite.",
    en="This assignment already ends earlier: to prolong it, make another one after it.",
)
ASSIGNMENT_ENDED = Reason(
    "ASSIGNMENT_ENDED",
    Code.FAILED_PRECONDITION,
    fr="Cette affectation est déjà terminée.",
    en="This assignment has already ended.",
)
ASSIGNMENT_OVERLAPS = Reason(
    "ASSIGNMENT_OVERLAPS",
    Code.ALREADY_EXISTS,
    fr="La même affectation existe déjà sur cette période : terminez-la, ou choisissez une autre période.",
    en="The same assignment already exists in this period: end it, or choose another period.",
)
UNIT_WITHOUT_FACILITY = Reason(
    "UNIT_WITHOUT_FACILITY",
    Code.INVALID_ARGUMENT,
    fr="Donnez l'établissement de l'unité.",
    en="Give the facility of the unit.",
)
UNIT_NOT_IN_FACILITY = Reason(
    "UNIT_NOT_IN_FACILITY",
    Code.INVALID_ARGUMENT,
    fr="Cette unité n'est pas de cet établissement : vérifiez l'un ou l'autre.",
    en="This unit is not of this facility: check one or the other.",
)


class Status(IntEnum):
    """Life of an account; the numbers are those of `dui.identity.v1.AccountStatus`."""

    PROVISIONING = 1
    ACTIVE = 2
    SUSPENDED = 3
    ENDED = 4


def clean_login(login: str, *, field: str) -> str:
    """The login as it is kept, in lower case; Refusal when it cannot be one."""
    cleaned = login.strip().lower()
    if not _LOGIN.fullmatch(cleaned):
        raise Refusal(LOGIN_MALFORMED, field=field)
    return cleaned


def clean_email(email: str) -> str:
    """The address as it is kept and compared: without spaces around, in lower case."""
    return email.strip().lower()


def check_suspend(status: Status, *, own: bool) -> None:
    """Refuses to suspend one's own account, or one that may not enter anyway."""
    if own:
        raise Refusal(OWN_ACCOUNT, field="account_id")
    _check_not_ended(status)
    if status is not Status.ACTIVE:
        raise Refusal(ACCOUNT_NOT_ACTIVE, field="account_id")


def check_reactivate(status: Status) -> None:
    """Refuses to give back an account that is not suspended."""
    _check_not_ended(status)
    if status is not Status.SUSPENDED:
        raise Refusal(ACCOUNT_NOT_SUSPENDED, field="account_id")


def check_end(status: Status, *, own: bool) -> None:
    """Refuses to end one's own account, or one that is ended."""
    if own:
        raise Refusal(OWN_ACCOUNT, field="account_id")
    _check_not_ended(status)


def check_invite(status: Status, email: str | None, *, own: bool, relied_on_elsewhere: bool) -> None:
    """Refuses to invite oneself (who finds an open session would have the account), somebody who left or is shut out, and to
    give a first password to somebody on whom another association relies: they take part by a link that is sent to them.
    """
    if own:
        raise Refusal(OWN_ACCOUNT, field="account_id")
    _check_not_ended(status)
    if status is Status.SUSPENDED:
        raise Refusal(ACCOUNT_SUSPENDED, field="account_id")
    if not email and relied_on_elsewhere:
        raise Refusal(EMAIL_MISSING, field="account_id")


def check_assignable(status: Status, *, own: bool) -> None:
    """Refuses to assign oneself, or somebody who left."""
    if own:
        raise Refusal(OWN_ASSIGNMENT, field="account_id")
    _check_not_ended(status)


def _check_not_ended(status: Status) -> None:
    if status is Status.ENDED:
        raise Refusal(ACCOUNT_ENDED, field="account_id")


@dataclass(frozen=True, slots=True)
class Period:
    """From when to when (excluded) an assignment holds; `end` None: no end known."""

    start: datetime
    end: datetime | None

    def holds_at(self, instant: datetime) -> bool:
        """Whether the assignment is in force at an instant."""
        return self.start <= instant and (self.end is None or instant < self.end)


def new_period(start: datetime | None, end: datetime | None, *, now: datetime) -> Period:
    """The period of a new assignment, which starts now unless told; Refusal when it ends before it starts."""
    period = Period(start or now, end)
    if period.end is not None and period.end <= period.start:
        raise Refusal(ENDS_BEFORE_START, field="assignment.valid_to")
    return period


def check_place(facility_id: str | None, unit_id: str | None) -> None:
    """Refuses a unit without its facility."""
    if unit_id and not facility_id:
        raise Refusal(UNIT_WITHOUT_FACILITY, field="assignment.facility_id")


def end_period(period: Period, wanted: datetime | None, *, now: datetime) -> Period:
    """The period once ended, at once or at an instant to come, never later than it would have ended.

    One that has not started becomes empty: it never was in force. The past is not rewritten: access was open until now.
    """
    if period.end is not None and period.end <= now:
        raise Refusal(ASSIGNMENT_ENDED, field="assignment_id")
    if wanted is None:
        return Period(period.start, max(now, period.start))
    if wanted < now - CLOCK_TOLERANCE:
        raise Refusal(END_IN_PAST, field="valid_to")
    if period.end is not None and wanted > period.end:
        raise Refusal(END_LATER, field="valid_to")
    end = max(wanted, now)
    if end < period.start:
        raise Refusal(ENDS_BEFORE_START, field="valid_to")
    return Period(period.start, end)


@dataclass(frozen=True, slots=True)
class Administrator:
    """An active account that an assignment in force lets administer something."""

    account_id: str
    assignment_id: str
    profession: int


def check_still_administered(administrators: Iterable[Administrator], guarded: Iterable[Collection[int]]) -> None:
    """Refuses a change that would leave an association without anybody to undo it.

    `administrators` are those who remain after the change; each item of `guarded` is the set of professions of which one
    at least must remain (those that may administer accounts, those that may administer the policy).
    """
    remaining = {administrator.profession for administrator in administrators}
    if not all(remaining.intersection(professions) for professions in guarded):
        raise Refusal(LAST_ADMINISTRATOR)
