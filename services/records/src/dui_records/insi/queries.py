"""Keeping what INSi answered."""

from __future__ import annotations

from dui_kit.calls.call import Call
from sqlalchemy import insert

from dui_records.insi.rules import InsiAnswer, evidence
from dui_records.insi.tables import insi_answer


def keep(call: Call, answer_id: str, beneficiary_id: str, answer: InsiAnswer) -> None:
    """Keeps an answer as evidence, whatever it says."""
    call.session.execute(
        insert(insi_answer),
        {
            "tenant_id": call.tenant_id,
            "insi_answer_id": answer_id,
            "beneficiary_id": beneficiary_id,
            "code": answer.code.value,
            "reference": answer.reference,
            "identity": evidence(answer),
            "answered_at": call.now,
            "author_account_id": call.caller.account_id,
            "recorded_at": call.now,
        },
    )
