"""Drafts: what they may be, and how long they live."""

from __future__ import annotations

from datetime import datetime, timedelta

from dui_kit.errors import Code, Reason, Refusal

#: A draft is deleted after this long; replacing it does not prolong it, or it would become a note.
LIFETIME = timedelta(days=7)

DRAFT_WITHOUT_ENTRY = Reason(
    "DRAFT_WITHOUT_ENTRY",
    Code.INVALID_ARGUMENT,
    fr="Dites ce que le brouillon deviendra : handover_note, allergy ou medical_event.",
    en="Say what the draft will become: handover_note, allergy or medical_event.",
)
DRAFT_KIND_FIXED = Reason(
    "DRAFT_KIND_FIXED",
    Code.INVALID_ARGUMENT,
    fr="Un brouillon ne change pas de nature : supprimez-le et créez-en un autre.",
    en="A draft does not change its kind: delete it and make another one.",
)


def expires_at(now: datetime) -> datetime:
    """When a draft made now is deleted."""
    return now + LIFETIME


def check_kind(kind: str | None, before: str | None = None) -> str:
    """The kind of a draft; refuses none, and another one than it had `before`."""
    if not kind:
        raise Refusal(DRAFT_WITHOUT_ENTRY, field="draft")
    if before is not None and kind != before:
        raise Refusal(DRAFT_KIND_FIXED, field="draft")
    return kind
