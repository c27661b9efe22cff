"""What the violation of each constraint of the database means to a caller: two calls at one moment get it too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from dui_kit.errors import Refusal

from dui_identity.organisation import rules as organisation
from dui_identity.staff import rules as staff

CONSTRAINTS: Final[Mapping[str, Refusal]] = {
    "association_slug_key": Refusal(organisation.SLUG_TAKEN, field="association.slug"),
    "facility_finess_et_key": Refusal(organisation.FINESS_TAKEN, field="facility.finess_et"),
    "unit_name_key": Refusal(organisation.UNIT_NAME_TAKEN, field="unit.name"),
    "professional_rpps_key": Refusal(staff.RPPS_TAKEN, field="professional.rpps"),
    "professional_email_key": Refusal(staff.EMAIL_TAKEN, field="professional.email"),
    "account_professional_id_key": Refusal(staff.ACCOUNT_EXISTS, field="account.professional_id"),
    "account_login_key": Refusal(staff.LOGIN_TAKEN, field="account.login"),
    "assignment_overlap_excl": Refusal(staff.ASSIGNMENT_OVERLAPS, field="assignment.valid_from"),
}
