"""The RPCs of AllergyService."""

from __future__ import annotations

from datetime import datetime

from dui.records.v1 import allergies_pb2 as pb
from dui_kit.calls.call import Call
from dui_kit.days import latest_day
from dui_kit.db.columns import AnyRow

from dui_records.allergies.events import allergy_changed
from dui_records.allergies.rules import AllergyStatus, check_allergy, known_status
from dui_records.allergies.tables import allergy
from dui_records.entries import entry


def _check(message: pb.Allergy, now: datetime) -> None:
    check_allergy(message.noticed_on, latest_day(now))


def _values(message: pb.Allergy, _: datetime) -> dict[str, object]:
    return {
        "kind": message.kind,
        "substance": message.substance.strip(),
        "reaction": message.reaction.strip() or None,
        "severity": message.severity,
        "status": int(known_status(AllergyStatus(message.status))),
        "noticed_on": message.noticed_on or None,
    }


def _read(row: AnyRow) -> pb.Allergy:
    return pb.Allergy(
        allergy_id=row.allergy_id,
        beneficiary_id=row.beneficiary_id,
        kind=row.kind,
        substance=row.substance,
        reaction=row.reaction,
        severity=row.severity,
        status=row.status,
        noticed_on=row.noticed_on,
        reason=row.reason,
    )


ALLERGY = entry.Kind(allergy, _read, events=(allergy_changed,), check=_check, values=_values)


class AllergyServicer:
    """Allergies of a person."""

    CONTRACT = pb.DESCRIPTOR.services_by_name["AllergyService"]

    def CreateAllergy(self, request: pb.CreateAllergyRequest, call: Call) -> pb.CreateAllergyResponse:
        """Adds an allergy."""
        return pb.CreateAllergyResponse(allergy=entry.create(call, ALLERGY, request.allergy, request.draft_id))

    def GetAllergy(self, request: pb.GetAllergyRequest, call: Call) -> pb.GetAllergyResponse:
        """Reads an allergy."""
        return pb.GetAllergyResponse(allergy=entry.get(call, ALLERGY, request.allergy_id))

    def ListAllergies(self, request: pb.ListAllergiesRequest, call: Call) -> pb.ListAllergiesResponse:
        """The allergies of a person, newest first."""
        allergies, token = entry.page(call, ALLERGY, request)
        return pb.ListAllergiesResponse(allergies=allergies, next_page_token=token)

    def UpdateAllergy(self, request: pb.UpdateAllergyRequest, call: Call) -> pb.UpdateAllergyResponse:
        """Corrects an allergy."""
        corrected = entry.correct(call, ALLERGY, request.allergy_id, request.allergy, request.update_mask)
        return pb.UpdateAllergyResponse(allergy=corrected)

    def ListAllergyVersions(self, request: pb.ListAllergyVersionsRequest, call: Call) -> pb.ListAllergyVersionsResponse:
        """Every version, newest first."""
        versions, token = entry.history(call, ALLERGY, request.allergy_id, request)
        return pb.ListAllergyVersionsResponse(versions=versions, next_page_token=token)
