"""What every correction of an entry must say."""

from __future__ import annotations

from datetime import date

from dui_kit.errors import Code, Reason, Refusal
from dui_kit.identifiers import parse_partial_date

#: Nobody alive was born before; older dates are typing errors.
EARLIEST_YEAR = 1880

REASON_REQUIRED = Reason(
    "REASON_REQUIRED",
    Code.INVALID_ARGUMENT,
    fr="Dites pourquoi vous corrigez : remplissez « reason ». L'ancienne version reste lisible.",
    en="Say why you correct: fill `reason`. The old version stays readable.",
)
DATE_IN_THE_FUTURE = Reason(
    "DATE_IN_THE_FUTURE",
    Code.INVALID_ARGUMENT,
    fr="Cette date est dans le futur : corrigez-la.",
    en="This date is in the future: correct it.",
)
DATE_TOO_OLD = Reason(
    "DATE_TOO_OLD",
    Code.INVALID_ARGUMENT,
    fr="Cette date est antérieure à {year} : corrigez-la.",
    en="This date is before {year}: correct it.",
)


def check_reason(reason: str) -> None:
    """Refuses a correction without a reason."""
    if not reason.strip():
        raise Refusal(REASON_REQUIRED, field="reason")


def check_past_date(text: str, field: str, today: date) -> None:
    """Refuses a date, whole or partial, that nobody alive can have lived; an empty text is no date."""
    if not text:
        return
    known = parse_partial_date(text)
    if known.year < EARLIEST_YEAR:
        raise Refusal(DATE_TOO_OLD, field=field, year=EARLIEST_YEAR)
    if known.earliest > today:
        raise Refusal(DATE_IN_THE_FUTURE, field=field)
