"""What a medical event must be."""

from __future__ import annotations

import re
from datetime import date

from dui_kit.errors import Code, Reason, Refusal
from dui_kit.identifiers import parse_partial_date

from dui_records.entries.rules import check_past_date

#: Category (a letter, two characters), then the subdivisions of the WHO and of the French edition (ATIH), which may be
#: written with a point and hold `+`.
_ICD10 = re.compile(r"[A-Z][0-9][0-9A-Z](?:\.?[0-9+][0-9A-Z+]{0,3})?", re.ASCII)

ICD10_INVALID = Reason(
    "ICD10_INVALID",
    Code.INVALID_ARGUMENT,
    fr="Code CIM-10 attendu, par exemple E11.9 ; laissez le champ vide si le code n'est pas connu.",
    en="Give an ICD-10 code, for example E11.9; leave the field out when it is not known.",
)
END_BEFORE_START = Reason(
    "END_BEFORE_START",
    Code.INVALID_ARGUMENT,
    fr="La fin précède le début : corrigez l'une ou l'autre date.",
    en="The end is before the start: correct either date.",
)


def check_medical_event(icd10_code: str, started_on: str, ended_on: str, today: date) -> None:
    """Refuses a code that ICD-10 cannot have, and dates out of order. Unknown parts of a date get the benefit of doubt."""
    if icd10_code and not _ICD10.fullmatch(icd10_code):
        raise Refusal(ICD10_INVALID, field="medical_event.icd10_code")
    check_past_date(started_on, "medical_event.started_on", today)
    check_past_date(ended_on, "medical_event.ended_on", today)
    if started_on and ended_on and parse_partial_date(ended_on).latest < parse_partial_date(started_on).earliest:
        raise Refusal(END_BEFORE_START, field="medical_event.ended_on")
