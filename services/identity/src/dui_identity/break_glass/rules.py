"""Rules of break-glass access: one person, four hours, a reason, and a review that somebody else makes."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from dui_kit.errors import Code, Reason, Refusal

#: How long a record stays open: half a shift; whoever still needs it breaks the glass again.
DURATION: Final = timedelta(hours=4)

REASON_TEXT_BLANK = Reason(
    "REASON_TEXT_BLANK",
    Code.INVALID_ARGUMENT,
    fr="Dites en quelques mots pourquoi vous ouvrez ce dossier : la revue s'appuie sur ce texte.",
    en="Say in a few words why you open this record: the review rests on this text.",
)
ALREADY_REVIEWED = Reason(
    "ALREADY_REVIEWED",
    Code.FAILED_PRECONDITION,
    fr="Cet accès en urgence a déjà été revu : la première revue fait foi.",
    en="This emergency was already reviewed: the first review stands.",
)
OWN_BREAK_GLASS = Reason(
    "OWN_BREAK_GLASS",
    Code.PERMISSION_DENIED,
    fr="On ne revoit pas son propre accès en urgence : un autre responsable doit le faire.",
    en="Nobody reviews their own emergency: another officer has to.",
)


def open_period(now: datetime) -> tuple[datetime, datetime]:
    """From when to when (excluded) the record is open."""
    return now, now + DURATION


def clean_reason(text: str) -> str:
    """The reason in words, without blanks around; Refusal when nothing is said."""
    cleaned = text.strip()
    if sum(character.isalnum() for character in cleaned) < 3:
        raise Refusal(REASON_TEXT_BLANK, field="reason_text")
    return cleaned


def check_review(*, own: bool, reviewed: bool) -> None:
    """Refuses the review of one's own emergency, and a second review."""
    if own:
        raise Refusal(OWN_BREAK_GLASS, field="break_glass_id")
    if reviewed:
        raise Refusal(ALREADY_REVIEWED, field="break_glass_id")
