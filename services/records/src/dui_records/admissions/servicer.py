"""The RPCs of AdmissionService."""

from __future__ import annotations

from datetime import date

from dui.records.v1 import stays_pb2 as pb
from dui_kit.calls import places
from dui_kit.calls.call import Call
from dui_kit.calls.visibility import visible_beneficiaries
from dui_kit.days import parse_day
from sqlalchemy import select

from dui_records.admissions import queries, rules
from dui_records.admissions.queries import ADMISSION
from dui_records.admissions.tables import OPEN, admission
from dui_records.beneficiaries.queries import lock_group

_a = admission.c


class AdmissionServicer:
    """Requests to enter a facility."""

    CONTRACT = pb.DESCRIPTOR.services_by_name["AdmissionService"]

    def CreateAdmission(self, request: pb.CreateAdmissionRequest, call: Call) -> pb.CreateAdmissionResponse:
        """Records a request, for any facility of the association: one may ask for another facility than one's own."""
        asked = request.admission
        requested_on, wished_entry_on = date.fromisoformat(asked.requested_on), parse_day(asked.wished_entry_on)
        facility = places.facility_of(call, asked.facility_id, field="admission.facility_id")
        rules.check_request(requested_on, wished_entry_on, lock_group(call).died_on, facility.day(call.now))
        row = ADMISSION.add(
            call,
            {
                "status": int(rules.AdmissionStatus.REQUESTED),
                "facility_id": asked.facility_id,
                "modality": asked.modality,
                "requested_on": requested_on,
                "wished_entry_on": wished_entry_on,
                "origin": asked.origin.strip() or None,
            },
        )
        return pb.CreateAdmissionResponse(admission=ADMISSION.to_message(row))

    def GetAdmission(self, request: pb.GetAdmissionRequest, call: Call) -> pb.GetAdmissionResponse:
        """Reads a request."""
        row = ADMISSION.of_person(call, request.admission_id)
        return pb.GetAdmissionResponse(admission=ADMISSION.to_message(row))

    def ListAdmissions(self, request: pb.ListAdmissionsRequest, call: Call) -> pb.ListAdmissionsResponse:
        """The requests of a person, newest first (ids grow with time)."""
        query = select(*ADMISSION.columns).where(
            _a.tenant_id == call.tenant_id, _a.beneficiary_id.in_(call.beneficiary_ids)
        )
        rows, token = call.page(request).fetch(call.session, query, _a.admission_id, newest_first=True)
        return pb.ListAdmissionsResponse(admissions=[ADMISSION.to_message(row) for row in rows], next_page_token=token)

    def ListAdmissionVersions(
        self, request: pb.ListAdmissionVersionsRequest, call: Call
    ) -> pb.ListAdmissionVersionsResponse:
        """Every version of a request, newest first."""
        versions, token = ADMISSION.history(call, ADMISSION.of_person(call, request.admission_id), request)
        return pb.ListAdmissionVersionsResponse(versions=versions, next_page_token=token)

    def ListFacilityAdmissions(
        self, request: pb.ListFacilityAdmissionsRequest, call: Call
    ) -> pb.ListFacilityAdmissionsResponse:
        """The waiting list, oldest first."""
        query = select(*ADMISSION.columns).where(
            _a.tenant_id == call.tenant_id,
            _a.facility_id == request.facility_id,
            OPEN,
            _a.beneficiary_id.in_(visible_beneficiaries(call, facility_id=request.facility_id)),
        )
        rows, token = call.page(request).fetch(call.session, query, _a.requested_on, _a.admission_id)
        call.saw(row.beneficiary_id for row in rows)
        return pb.ListFacilityAdmissionsResponse(
            admissions=[ADMISSION.to_message(row) for row in rows], next_page_token=token
        )

    def AcceptAdmission(self, request: pb.AcceptAdmissionRequest, call: Call) -> pb.AcceptAdmissionResponse:
        """The facility accepts."""
        row = ADMISSION.of_person(call, request.admission_id, lock=True)
        queries.check_decides_at(call, row.facility_id)
        row = queries.decide(call, row, rules.Decision.ACCEPT)
        return pb.AcceptAdmissionResponse(admission=ADMISSION.to_message(row))

    def RefuseAdmission(self, request: pb.RefuseAdmissionRequest, call: Call) -> pb.RefuseAdmissionResponse:
        """The facility refuses."""
        row = ADMISSION.of_person(call, request.admission_id, lock=True)
        queries.check_decides_at(call, row.facility_id)
        row = queries.decide(call, row, rules.Decision.REFUSE, request.decision_reason.strip())
        return pb.RefuseAdmissionResponse(admission=ADMISSION.to_message(row))

    def WithdrawAdmission(self, request: pb.WithdrawAdmissionRequest, call: Call) -> pb.WithdrawAdmissionResponse:
        """The person no longer asks; whoever accompanies them may record it."""
        row = ADMISSION.of_person(call, request.admission_id, lock=True)
        row = queries.decide(call, row, rules.Decision.WITHDRAW, request.decision_reason.strip() or None)
        return pb.WithdrawAdmissionResponse(admission=ADMISSION.to_message(row))
