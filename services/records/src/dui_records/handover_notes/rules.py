"""What a handover note must be, and who corrects it."""

from __future__ import annotations

from datetime import datetime, timedelta

from dui_kit.errors import Code, Reason, Refusal

#: How far the clock of a device may be ahead of ours.
CLOCK_TOLERANCE = timedelta(minutes=5)
#: How far back a facility reads its handover by default, and at most.
DEFAULT_PERIOD = timedelta(hours=24)
LONGEST_PERIOD = timedelta(days=31)

OBSERVED_IN_THE_FUTURE = Reason(
    "OBSERVED_IN_THE_FUTURE",
    Code.INVALID_ARGUMENT,
    fr="L'heure de l'observation est dans le futur : corrigez-la.",
    en="The time of the observation is in the future: correct it.",
)
NOT_THE_AUTHOR = Reason(
    "NOT_THE_AUTHOR",
    Code.PERMISSION_DENIED,
    fr="Seul l'auteur corrige sa transmission : ajoutez la vôtre.",
    en="Only its author corrects a handover note: add one of your own.",
)
PERIOD_TOO_LONG = Reason(
    "PERIOD_TOO_LONG",
    Code.INVALID_ARGUMENT,
    fr="Les transmissions d'un établissement se lisent sur {days} jours au plus : choisissez une date plus récente.",
    en="The notes of a facility are read over {days} days at most: choose a later instant.",
)


def check_note(observed_at: datetime | None, now: datetime) -> None:
    """Refuses a note about what has not happened yet."""
    if observed_at is not None and observed_at > now + CLOCK_TOLERANCE:
        raise Refusal(OBSERVED_IN_THE_FUTURE, field="handover_note.observed_at")


def check_author(author_account_id: str | None, account_id: str | None) -> None:
    """Refuses that somebody changes what another one signed; their own note tells their own view."""
    if author_account_id is None or author_account_id != account_id:
        raise Refusal(NOT_THE_AUTHOR)


def period_begins(since: datetime | None, now: datetime) -> datetime:
    """From when the notes of a facility are read."""
    if since is None:
        return now - DEFAULT_PERIOD
    if since < now - LONGEST_PERIOD:
        raise Refusal(PERIOD_TOO_LONG, field="since", days=LONGEST_PERIOD.days)
    return since
