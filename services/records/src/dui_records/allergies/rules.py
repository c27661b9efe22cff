"""What an allergy must be."""

from __future__ import annotations

from datetime import date
from enum import IntEnum

from dui_records.entries.rules import check_past_date


class AllergyStatus(IntEnum):
    """How sure an allergy is; the values of `dui.records.v1.AllergyStatus`."""

    UNSPECIFIED = 0
    REPORTED = 1
    CONFIRMED = 2
    REFUTED = 3


def check_allergy(noticed_on: str, today: date) -> None:
    """Refuses an allergy noticed in the future."""
    check_past_date(noticed_on, "allergy.noticed_on", today)


def known_status(status: AllergyStatus) -> AllergyStatus:
    """The status that is recorded: what is not said was reported, so that no reader takes silence for doubt."""
    return AllergyStatus.REPORTED if status is AllergyStatus.UNSPECIFIED else status
