"""What the violation of each constraint of the database means to a caller."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from dui_kit.errors import Refusal

from dui_records.admissions.rules import ADMISSION_ALREADY_OPEN, ADMISSION_NOT_ACCEPTED
from dui_records.relations.rules import TRUSTED_PERSON_EXISTS
from dui_records.stays.rules import STAY_OVERLAPS_FACILITY, STAY_OVERLAPS_RESIDENTIAL

CONSTRAINTS: Final[Mapping[str, Refusal]] = {
    "stay_facility_overlap": Refusal(STAY_OVERLAPS_FACILITY, field="stay.started_on"),
    "stay_residential_overlap": Refusal(STAY_OVERLAPS_RESIDENTIAL, field="stay.started_on"),
    "stay_admission_key": Refusal(ADMISSION_NOT_ACCEPTED, field="stay.admission_id"),
    "admission_open_key": Refusal(ADMISSION_ALREADY_OPEN, field="admission.facility_id"),
    "relation_trusted_person_key": Refusal(TRUSTED_PERSON_EXISTS, field="relation.trusted_person"),
}
