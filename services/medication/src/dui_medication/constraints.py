"""What the violation of each constraint of the database means to a caller."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from dui_kit.errors import Refusal

from dui_medication.prescriptions.rules import REPLACED_TWICE

CONSTRAINTS: Final[Mapping[str, Refusal]] = {
    "prescription_line_replaces_line_id_key": Refusal(REPLACED_TWICE, field="orders"),
}
