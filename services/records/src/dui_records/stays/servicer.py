"""The RPCs of StayService."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from dui.records.v1 import stays_pb2 as pb
from dui_kit.calls import places
from dui_kit.calls.call import Call
from dui_kit.days import parse_day
from dui_kit.identifiers import parse_partial_date
from sqlalchemy import select

from dui_records.admissions import queries as admissions
from dui_records.admissions.queries import ADMISSION
from dui_records.admissions.rules import Decision
from dui_records.beneficiaries import queries as beneficiaries
from dui_records.beneficiaries.mapping import identity_of_row
from dui_records.beneficiaries.rules import died
from dui_records.stays import rules
from dui_records.stays.mapping import stay_of_row
from dui_records.stays.queries import STAY, lasting
from dui_records.stays.tables import stay

_s = stay.c


class StayServicer:
    """Stays: from entry to exit. Locks are taken in one order everywhere: the person, the stay, the request."""

    CONTRACT = pb.DESCRIPTOR.services_by_name["StayService"]

    def CreateStay(self, request: pb.CreateStayRequest, call: Call) -> pb.CreateStayResponse:
        """Admits a person. The lock on the person makes the check of overlaps hold across merged records."""
        person = beneficiaries.lock_group(call)
        asked = request.stay
        admission = ADMISSION.of_person(call, asked.admission_id, field="stay.admission_id", lock=True)
        admissions.check_decides_at(call, admission.facility_id, asked.unit_id or None)
        facility = places.facility_of(
            call, admission.facility_id, field="stay.admission_id", unit_id=asked.unit_id, unit_field="stay.unit_id"
        )
        new = rules.Stay(
            facility_id=facility.facility_id,
            modality=rules.StayModality(admission.modality),
            started_on=date.fromisoformat(asked.started_on),
            expected_end_on=parse_day(asked.expected_end_on),
        )
        born = parse_partial_date(person.birth_date).earliest
        rules.check_entry(new, born=born, died_on=person.died_on, today=facility.day(call.now))
        rules.check_overlap(new, lasting(call, new))
        admissions.decide(call, admission, Decision.ENTER)
        row = STAY.add(
            call,
            {
                "admission_id": admission.admission_id,
                "facility_id": new.facility_id,
                "modality": int(new.modality),
                "unit_id": asked.unit_id or None,
                "room": asked.room.strip() or None,
                "started_on": new.started_on,
                "expected_end_on": new.expected_end_on,
                "exit_reason": int(new.exit_reason),
            },
        )
        beneficiaries.close_opening(call, person, new.facility_id)
        return pb.CreateStayResponse(stay=STAY.to_message(row))

    def GetStay(self, request: pb.GetStayRequest, call: Call) -> pb.GetStayResponse:
        """Reads a stay."""
        return pb.GetStayResponse(stay=STAY.to_message(STAY.of_person(call, request.stay_id)))

    def ListStays(self, request: pb.ListStaysRequest, call: Call) -> pb.ListStaysResponse:
        """The stays of a person, by first day, newest first."""
        query = select(*STAY.columns).where(_s.tenant_id == call.tenant_id, _s.beneficiary_id.in_(call.beneficiary_ids))
        rows, token = call.page(request).fetch(call.session, query, _s.started_on, _s.stay_id, newest_first=True)
        return pb.ListStaysResponse(stays=[STAY.to_message(row) for row in rows], next_page_token=token)

    def ListStayVersions(self, request: pb.ListStayVersionsRequest, call: Call) -> pb.ListStayVersionsResponse:
        """Every version of a stay, newest first."""
        versions, token = STAY.history(call, STAY.of_person(call, request.stay_id), request)
        return pb.ListStayVersionsResponse(versions=versions, next_page_token=token)

    def UpdateStay(self, request: pb.UpdateStayRequest, call: Call) -> pb.UpdateStayResponse:
        """Changes the unit, the room or the exit foreseen of a stay that has not ended."""
        row = STAY.of_person(call, request.stay_id, lock=True)
        admissions.check_decides_at(call, row.facility_id, row.unit_id)
        call.check_etag(row.stay_id, row.version)
        rules.check_open(stay_of_row(row))
        patched = call.apply_mask(STAY.to_message(row), request.stay, request.update_mask, prefix="stay")
        if patched.unit_id != (row.unit_id or ""):
            places.facility_of(
                call, row.facility_id, field="stay_id", unit_id=patched.unit_id, unit_field="stay.unit_id"
            )
            admissions.check_decides_at(call, row.facility_id, patched.unit_id or None)
        expected_end_on = parse_day(patched.expected_end_on)
        rules.check_expected_end(replace(stay_of_row(row), expected_end_on=expected_end_on))
        row = STAY.write(
            call,
            row,
            {
                "unit_id": patched.unit_id or None,
                "room": patched.room.strip() or None,
                "expected_end_on": expected_end_on,
            },
        )
        return pb.UpdateStayResponse(stay=STAY.to_message(row))

    def EndStay(self, request: pb.EndStayRequest, call: Call) -> pb.EndStayResponse:
        """The person leaves. A death that the identity does not know yet becomes a new version of it; a stay entered by
        mistake gives its request back."""
        person = beneficiaries.lock_group(call)
        row = STAY.of_person(call, request.stay_id, lock=True)
        admissions.check_decides_at(call, row.facility_id, row.unit_id)
        today = places.facility_of(call, row.facility_id, field="stay_id").day(call.now)
        reason = rules.ExitReason(request.exit_reason)
        last_day = date.fromisoformat(request.ended_on)
        after = rules.ended(stay_of_row(row), last_day, reason, died_on=person.died_on, today=today)
        row = STAY.write(call, row, {"ended_on": after.ended_on, "exit_reason": int(after.exit_reason)})
        if reason is rules.ExitReason.DEATH and person.died_on is None:
            beneficiaries.write(call, person, died(identity_of_row(person), last_day, today))
        if reason is rules.ExitReason.ENTERED_BY_MISTAKE:
            admission = ADMISSION.of_person(call, row.admission_id, field="stay_id", lock=True)
            if not admissions.another_is_open(call, admission):
                admissions.decide(call, admission, Decision.REOPEN)
        return pb.EndStayResponse(stay=STAY.to_message(row))
