"""The directory of the professionals, for the services whose documents they sign."""

from __future__ import annotations

from dui.identity.v1 import directory_pb2 as pb
from dui_kit.calls.call import Call
from dui_kit.errors import not_found

from dui_identity.staff.queries import working_at


class DirectoryServicer:
    """Says who somebody is at a place."""

    CONTRACT = pb.DESCRIPTOR.services_by_name["DirectoryService"]

    def GetPrescriber(self, request: pb.GetPrescriberRequest, call: Call) -> pb.GetPrescriberResponse:
        """Who prescribes at a facility."""
        rows = working_at(call, request.account_id, request.facility_id)
        if not rows:
            raise not_found("account_id")
        first = rows[0]
        prescriber = pb.Prescriber(
            account_id=request.account_id,
            facility_id=request.facility_id,
            family_name=first.family_name,
            given_name=first.given_name,
            professions=dict.fromkeys(row.profession for row in rows),
            qualification=first.qualification,
            rpps=first.rpps,
            facility_name=first.name,
            finess_et=first.finess_et,
            town=first.town,
        )
        return pb.GetPrescriberResponse(prescriber=prescriber)
