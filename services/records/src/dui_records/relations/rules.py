"""What a relation must be."""

from __future__ import annotations

from datetime import date

from dui_kit.errors import Code, Reason, Refusal

from dui_records.entries.rules import check_past_date

LAST_CALL_ORDER = 20

TRUSTED_PERSON_EXISTS = Reason(
    "TRUSTED_PERSON_EXISTS",
    Code.ALREADY_EXISTS,
    fr="Une personne de confiance est déjà désignée : mettez d'abord fin à sa désignation.",
    en="A trusted person is already designated: end that designation first.",
)
CALL_ORDER_INVALID = Reason(
    "CALL_ORDER_INVALID",
    Code.INVALID_ARGUMENT,
    fr="L'ordre d'appel va de 1 à {limit} ; laissez-le vide pour ne pas appeler.",
    en="The order of call goes from 1 to {limit}; leave it out for somebody not to be called.",
)
CALL_WITHOUT_PHONE = Reason(
    "CALL_WITHOUT_PHONE",
    Code.INVALID_ARGUMENT,
    fr="Une personne à appeler doit avoir un téléphone : ajoutez-le, ou retirez l'ordre d'appel.",
    en="Somebody to be called needs a telephone: add it, or leave the order of call out.",
)


def check_relation(call_order: int | None, phone: str, ended_on: str, today: date) -> None:
    """Refuses a contact that nobody could call, and an end in the future."""
    if call_order is not None:
        if not 1 <= call_order <= LAST_CALL_ORDER:
            raise Refusal(CALL_ORDER_INVALID, field="relation.call_order", limit=LAST_CALL_ORDER)
        if not phone:
            raise Refusal(CALL_WITHOUT_PHONE, field="relation.phone")
    check_past_date(ended_on, "relation.ended_on", today)
