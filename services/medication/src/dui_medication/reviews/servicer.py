"""The RPCs of ReviewService."""

from __future__ import annotations

from dui.medication.v1 import reviews_pb2 as pb
from dui_kit.calls import places
from dui_kit.calls.call import Call
from dui_kit.calls.visibility import visible_beneficiaries
from dui_kit.times import to_timestamp

from dui_medication.people.remote import People, name_of_caller
from dui_medication.prescriptions import lines
from dui_medication.prescriptions.rules import Work, check_in_force
from dui_medication.reviews.rules import Outcome, check_answer, check_review


class ReviewServicer:
    """The pharmaceutical review, what prescribers answer, and the lines of a facility that wait for either."""

    CONTRACT = pb.DESCRIPTOR.services_by_name["ReviewService"]

    def __init__(self, people: People) -> None:
        """`people`: the way to the directory of professionals."""
        self._people = people

    def ReviewPrescriptionLine(
        self, request: pb.ReviewPrescriptionLineRequest, call: Call
    ) -> pb.ReviewPrescriptionLineResponse:
        """Says of a line that it may be given, or not."""
        line = _as_it_was_read(call, request.prescription_line_id)
        said = request.review
        check_review(Outcome(said.outcome), problem=said.problem, intervention=said.intervention, text=said.text)
        said.reviewer_account_id = call.caller.account_id or ""
        said.reviewer_name = name_of_caller(self._people, call, line.row.facility_id)
        said.reviewed_at.CopyFrom(to_timestamp(call.now))
        return pb.ReviewPrescriptionLineResponse(prescription_line=lines.review(call, line, said).shown())

    def AnswerLineReview(self, request: pb.AnswerLineReviewRequest, call: Call) -> pb.AnswerLineReviewResponse:
        """A prescriber keeps a line as it is, and says why."""
        line = _as_it_was_read(call, request.prescription_line_id)
        review = line.message.review
        check_answer(review.outcome, answered=review.HasField("answered_at"))
        name = name_of_caller(self._people, call, line.row.facility_id)
        return pb.AnswerLineReviewResponse(prescription_line=lines.answer(call, line, request.text, name).shown())

    def ListFacilityLines(self, request: pb.ListFacilityLinesRequest, call: Call) -> pb.ListFacilityLinesResponse:
        """The lines in force at a facility that wait for somebody."""
        facility = places.facility_of(call, request.facility_id, field="facility_id", unit_id=request.unit_id)
        found, token = lines.of_facility(
            call,
            request,
            facility_id=facility.facility_id,
            work=Work(request.work),
            today=facility.day(call.now),
            visible=visible_beneficiaries(call, facility_id=facility.facility_id, unit_id=request.unit_id or None),
        )
        call.saw(line.row.beneficiary_id for line in found)
        return pb.ListFacilityLinesResponse(prescription_lines=[line.shown() for line in found], next_page_token=token)


def _as_it_was_read(call: Call, line_id: str) -> lines.Line:
    """A line in force that something is said of: locked, and read before as it is now."""
    line = lines.of_person(call, line_id, lock=True)
    call.check_etag(line.row.prescription_line_id, line.row.version)
    check_in_force(line.status)
    return line
