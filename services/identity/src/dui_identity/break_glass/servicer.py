"""Breaking the glass, and reviewing it."""

from __future__ import annotations

from dui.identity.v1 import access_pb2 as pb
from dui_kit.calls.call import Call
from dui_kit.db.tables import access_person
from dui_kit.errors import not_found
from dui_kit.times import to_timestamp
from sqlalchemy import func, select

from dui_identity.break_glass import rules
from dui_identity.break_glass.events import break_glass_changed
from dui_identity.break_glass.tables import BreakGlass


class BreakGlassServicer:
    """Opens records in an emergency; the officer reviews each."""

    CONTRACT = pb.DESCRIPTOR.services_by_name["BreakGlassService"]

    def BreakGlass(self, request: pb.BreakGlassRequest, call: Call) -> pb.BreakGlassResponse:
        """Opens one person's record for 4 hours. A review still to be made stops nobody."""
        person = access_person.c
        # A merged record is opened where it is now: that is what the other services look at.
        beneficiary_id = call.session.scalar(
            select(func.coalesce(person.surviving_id, person.beneficiary_id)).where(
                person.tenant_id == call.tenant_id, person.beneficiary_id == request.beneficiary_id
            )
        )
        if beneficiary_id is None:
            raise not_found("beneficiary_id")
        valid_from, valid_to = rules.open_period(call.now)
        row = BreakGlass(
            tenant_id=call.tenant_id,
            break_glass_id=call.new_id(),
            account_id=call.caller.account_id,
            beneficiary_id=beneficiary_id,
            reason=request.reason,
            reason_text=rules.clean_reason(request.reason_text),
            valid_from=valid_from,
            valid_to=valid_to,
        )
        call.session.add(row)
        call.session.flush()
        call.publish(break_glass_changed(row))
        return pb.BreakGlassResponse(break_glass=_break_glass(row))

    def ListBreakGlasses(self, request: pb.ListBreakGlassesRequest, call: Call) -> pb.ListBreakGlassesResponse:
        """The emergencies of the association, newest first."""
        query = select(BreakGlass).where(BreakGlass.tenant_id == call.tenant_id)
        if request.pending_only:
            query = query.where(BreakGlass.verdict.is_(None))
        rows, token = call.page(request).fetch(
            call.session, query, BreakGlass.valid_from, BreakGlass.break_glass_id, newest_first=True
        )
        call.saw(row.beneficiary_id for row in rows)
        return pb.ListBreakGlassesResponse(break_glasses=[_break_glass(row) for row in rows], next_page_token=token)

    def ReviewBreakGlass(self, request: pb.ReviewBreakGlassRequest, call: Call) -> pb.ReviewBreakGlassResponse:
        """Says what an emergency was, once."""
        row = call.session.scalars(
            select(BreakGlass)
            .where(BreakGlass.tenant_id == call.tenant_id, BreakGlass.break_glass_id == request.break_glass_id)
            .with_for_update()
        ).one_or_none()
        if row is None:
            raise not_found("break_glass_id")
        rules.check_review(own=row.account_id == call.caller.account_id, reviewed=row.verdict is not None)
        row.verdict = request.verdict
        row.reviewer_account_id = call.caller.account_id
        row.reviewed_at = call.now
        row.review_comment = request.comment.strip() or None
        call.session.flush()
        call.saw([row.beneficiary_id])
        return pb.ReviewBreakGlassResponse(break_glass=_break_glass(row))


def _break_glass(row: BreakGlass) -> pb.BreakGlass:
    found = pb.BreakGlass(
        break_glass_id=row.break_glass_id,
        account_id=row.account_id,
        beneficiary_id=row.beneficiary_id,
        reason=row.reason,  # type: ignore[arg-type]
        reason_text=row.reason_text,
        valid_from=to_timestamp(row.valid_from),
        valid_to=to_timestamp(row.valid_to),
        verdict=row.verdict or 0,  # type: ignore[arg-type]
        reviewer_account_id=row.reviewer_account_id,
        review_comment=row.review_comment,
    )
    if row.reviewed_at is not None:
        found.reviewed_at.CopyFrom(to_timestamp(row.reviewed_at))
    return found
