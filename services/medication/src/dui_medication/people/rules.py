"""Who signs, as they are called; and why it cannot be told who signs, or for whom."""

from __future__ import annotations

from dui_kit.errors import Code, Reason

DIRECTORY_AWAY = Reason(
    "DIRECTORY_AWAY",
    Code.UNAVAILABLE,
    fr="L'annuaire des professionnels ne répond pas : l'ordonnance est gardée en brouillon, signez-la dans un moment.",
    en="The directory of professionals does not answer: the prescription is kept as a draft, sign it in a moment.",
)
PRESCRIBER_UNKNOWN = Reason(
    "PRESCRIBER_UNKNOWN",
    Code.FAILED_PRECONDITION,
    fr="Vous n'exercez pas dans cet établissement : choisissez celui où vous prescrivez (facility_id).",
    en="You do not work at this facility: choose the one where you prescribe (facility_id).",
)
RECORD_AWAY = Reason(
    "RECORD_AWAY",
    Code.UNAVAILABLE,
    fr="Le dossier de la personne ne répond pas : l'ordonnance est gardée en brouillon, signez-la dans un moment.",
    en="The record of the person does not answer: the prescription is kept as a draft, sign it in a moment.",
)


def full_name(given: str, family: str) -> str:
    """A professional's name as prescriptions print it: « Claire LEMAIRE »."""
    return f"{given} {family.upper()}".strip()
