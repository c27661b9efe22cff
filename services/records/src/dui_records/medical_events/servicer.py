"""The RPCs of MedicalEventService."""

from __future__ import annotations

from datetime import datetime

from dui.records.v1 import medical_events_pb2 as pb
from dui_kit.calls.call import Call
from dui_kit.days import latest_day
from dui_kit.db.columns import AnyRow

from dui_records.entries import entry
from dui_records.medical_events.rules import check_medical_event
from dui_records.medical_events.tables import medical_event


def _check(message: pb.MedicalEvent, now: datetime) -> None:
    check_medical_event(message.icd10_code, message.started_on, message.ended_on, latest_day(now))


def _values(message: pb.MedicalEvent, _: datetime) -> dict[str, object]:
    return {
        "kind": message.kind,
        "label": message.label.strip(),
        "icd10_code": message.icd10_code or None,
        "started_on": message.started_on or None,
        "ended_on": message.ended_on or None,
        "comment": message.comment.strip() or None,
    }


def _read(row: AnyRow) -> pb.MedicalEvent:
    return pb.MedicalEvent(
        medical_event_id=row.medical_event_id,
        beneficiary_id=row.beneficiary_id,
        kind=row.kind,
        label=row.label,
        icd10_code=row.icd10_code,
        started_on=row.started_on,
        ended_on=row.ended_on,
        comment=row.comment,
        reason=row.reason,
    )


MEDICAL_EVENT = entry.Kind(medical_event, _read, check=_check, values=_values)


class MedicalEventServicer:
    """Medical history of a person."""

    CONTRACT = pb.DESCRIPTOR.services_by_name["MedicalEventService"]

    def CreateMedicalEvent(self, request: pb.CreateMedicalEventRequest, call: Call) -> pb.CreateMedicalEventResponse:
        """Adds an item."""
        added = entry.create(call, MEDICAL_EVENT, request.medical_event, request.draft_id)
        return pb.CreateMedicalEventResponse(medical_event=added)

    def GetMedicalEvent(self, request: pb.GetMedicalEventRequest, call: Call) -> pb.GetMedicalEventResponse:
        """Reads an item."""
        return pb.GetMedicalEventResponse(medical_event=entry.get(call, MEDICAL_EVENT, request.medical_event_id))

    def ListMedicalEvents(self, request: pb.ListMedicalEventsRequest, call: Call) -> pb.ListMedicalEventsResponse:
        """The medical events of a person, newest first."""
        events, token = entry.page(call, MEDICAL_EVENT, request)
        return pb.ListMedicalEventsResponse(medical_events=events, next_page_token=token)

    def UpdateMedicalEvent(self, request: pb.UpdateMedicalEventRequest, call: Call) -> pb.UpdateMedicalEventResponse:
        """Corrects an item."""
        corrected = entry.correct(
            call, MEDICAL_EVENT, request.medical_event_id, request.medical_event, request.update_mask
        )
        return pb.UpdateMedicalEventResponse(medical_event=corrected)

    def ListMedicalEventVersions(
        self, request: pb.ListMedicalEventVersionsRequest, call: Call
    ) -> pb.ListMedicalEventVersionsResponse:
        """Every version, newest first."""
        versions, token = entry.history(call, MEDICAL_EVENT, request.medical_event_id, request)
        return pb.ListMedicalEventVersionsResponse(versions=versions, next_page_token=token)
