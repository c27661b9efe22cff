"""The RPCs of HandoverNoteService. The category of a note decides who may read and write it."""

from __future__ import annotations

from datetime import datetime

from dui.records.v1 import handover_notes_pb2 as pb
from dui_kit.calls import places
from dui_kit.calls.call import Call
from dui_kit.calls.stamps import stamp
from dui_kit.calls.visibility import visible_categories
from dui_kit.db.columns import AnyRow
from dui_kit.times import from_timestamp

from dui_records.entries import entry
from dui_records.handover_notes.events import handover_note_changed
from dui_records.handover_notes.queries import of_facility
from dui_records.handover_notes.rules import check_author, check_note, period_begins
from dui_records.handover_notes.tables import handover_note


def _observed_at(message: pb.HandoverNote) -> datetime | None:
    return from_timestamp(message.observed_at) if message.HasField("observed_at") else None


def _check(message: pb.HandoverNote, now: datetime) -> None:
    check_note(_observed_at(message), now)


def _values(message: pb.HandoverNote, now: datetime) -> dict[str, object]:
    return {
        "category": message.category,
        "subject": message.subject.strip(),
        "data": message.data.strip(),
        "action": message.action.strip() or None,
        "result": message.result.strip() or None,
        "priority": message.priority,
        "observed_at": _observed_at(message) or now,
    }


def _read(row: AnyRow) -> pb.HandoverNote:
    note = pb.HandoverNote(
        handover_note_id=row.handover_note_id,
        beneficiary_id=row.beneficiary_id,
        category=row.category,
        subject=row.subject,
        data=row.data,
        action=row.action,
        result=row.result,
        priority=row.priority,
        reason=row.reason,
    )
    stamp(note.observed_at, row.observed_at)
    return note


def _check_corrector(call: Call, row: AnyRow) -> None:
    check_author(row.author_account_id, call.caller.account_id)


HANDOVER_NOTE = entry.Kind(
    handover_note,
    _read,
    events=(handover_note_changed,),
    check=_check,
    values=_values,
    category=handover_note.c.category,
    check_corrector=_check_corrector,
)


class HandoverNoteServicer:
    """Handover notes about a person, and those of a facility."""

    CONTRACT = pb.DESCRIPTOR.services_by_name["HandoverNoteService"]

    def CreateHandoverNote(self, request: pb.CreateHandoverNoteRequest, call: Call) -> pb.CreateHandoverNoteResponse:
        """Adds a note."""
        added = entry.create(call, HANDOVER_NOTE, request.handover_note, request.draft_id)
        return pb.CreateHandoverNoteResponse(handover_note=added)

    def GetHandoverNote(self, request: pb.GetHandoverNoteRequest, call: Call) -> pb.GetHandoverNoteResponse:
        """Reads a note of a category that the caller may read."""
        return pb.GetHandoverNoteResponse(handover_note=entry.get(call, HANDOVER_NOTE, request.handover_note_id))

    def ListHandoverNotes(self, request: pb.ListHandoverNotesRequest, call: Call) -> pb.ListHandoverNotesResponse:
        """The notes of a person that the caller may read, newest first."""
        notes, token = entry.page(call, HANDOVER_NOTE, request)
        return pb.ListHandoverNotesResponse(handover_notes=notes, next_page_token=token)

    def UpdateHandoverNote(self, request: pb.UpdateHandoverNoteRequest, call: Call) -> pb.UpdateHandoverNoteResponse:
        """Corrects a note; its new category has to be one that the caller may write, like the one before."""
        corrected = entry.correct(
            call, HANDOVER_NOTE, request.handover_note_id, request.handover_note, request.update_mask
        )
        return pb.UpdateHandoverNoteResponse(handover_note=corrected)

    def ListHandoverNoteVersions(
        self, request: pb.ListHandoverNoteVersionsRequest, call: Call
    ) -> pb.ListHandoverNoteVersionsResponse:
        """The versions, newest first; without those of a category that the caller may not read."""
        versions, token = entry.history(call, HANDOVER_NOTE, request.handover_note_id, request)
        return pb.ListHandoverNoteVersionsResponse(versions=versions, next_page_token=token)

    def ListFacilityHandoverNotes(
        self, request: pb.ListFacilityHandoverNotesRequest, call: Call
    ) -> pb.ListFacilityHandoverNotesResponse:
        """What is read aloud at the handover."""
        facility = places.facility_of(call, request.facility_id, field="facility_id", unit_id=request.unit_id)
        since = from_timestamp(request.since) if request.HasField("since") else None
        rows, token = of_facility(
            call,
            call.page(request),
            facility_id=request.facility_id,
            unit_id=request.unit_id or None,
            since=period_begins(since, call.now),
            day=facility.day(call.now),
            visible=visible_categories(call, facility_id=request.facility_id),
        )
        call.saw(row.beneficiary_id for row in rows)
        notes = [HANDOVER_NOTE.to_message(row) for row in rows]
        return pb.ListFacilityHandoverNotesResponse(handover_notes=notes, next_page_token=token)
