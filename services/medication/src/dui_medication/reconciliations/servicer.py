"""The RPCs of ReconciliationService."""

from __future__ import annotations

from dui.medication.v1 import reconciliations_pb2 as pb
from dui_kit.calls.call import Call
from dui_kit.calls.places import facility_of
from dui_kit.db.columns import AnyRow
from dui_kit.errors import Refusal, Violation, not_found
from dui_kit.times import to_timestamp

from dui_medication.knowledge.rules import SPECIALTY_UNKNOWN
from dui_medication.prescriptions.facilities import followed_at
from dui_medication.prescriptions.orders import medicines
from dui_medication.prescriptions.rules import FACILITY_NOT_FOLLOWING
from dui_medication.reconciliations import mapping, queries
from dui_medication.reconciliations.queries import RECONCILIATION
from dui_medication.reconciliations.rules import (
    MOST_NAMED,
    Decided,
    Decision,
    Divergence,
    check_close,
    check_decision,
    check_open,
)
from dui_medication.treatment_plans.queries import plan_of


class ReconciliationServicer:
    """Reconciliations of a person."""

    CONTRACT = pb.DESCRIPTOR.services_by_name["ReconciliationService"]

    def CreateReconciliation(
        self, request: pb.CreateReconciliationRequest, call: Call
    ) -> pb.CreateReconciliationResponse:
        """Compares what the person takes with the plan of now."""
        message = request.reconciliation
        _check_place(call, message.facility_id)
        _compare(call, message)
        return pb.CreateReconciliationResponse(reconciliation=queries.begin(call, message))

    def GetReconciliation(self, request: pb.GetReconciliationRequest, call: Call) -> pb.GetReconciliationResponse:
        """A reconciliation as it stands."""
        row = _of_person(call, request.reconciliation_id)
        return pb.GetReconciliationResponse(reconciliation=RECONCILIATION.to_message(row))

    def ListReconciliations(self, request: pb.ListReconciliationsRequest, call: Call) -> pb.ListReconciliationsResponse:
        """The reconciliations of a person, newest first."""
        found, token = queries.page(call, request)
        return pb.ListReconciliationsResponse(reconciliations=found, next_page_token=token)

    def UpdateReconciliation(
        self, request: pb.UpdateReconciliationRequest, call: Call
    ) -> pb.UpdateReconciliationResponse:
        """Compares anew; the decisions about what has not changed are kept."""
        row, current = _to_change(call, request.reconciliation_id)
        changed = call.apply_mask(current, request.reconciliation, request.update_mask, prefix="reconciliation")
        if changed.facility_id != current.facility_id:
            _check_place(call, changed.facility_id)
        _compare(call, changed)
        return pb.UpdateReconciliationResponse(reconciliation=queries.write(call, row, changed))

    def DecideReconciliationItem(
        self, request: pb.DecideReconciliationItemRequest, call: Call
    ) -> pb.DecideReconciliationItemResponse:
        """Keeps a decision about a divergence, or another one in its place."""
        row, message = _to_change(call, request.reconciliation_id)
        found = next((item for item in message.items if item.item_key == request.item_key), None)
        if found is None:
            raise not_found("item_key")
        decided = Decided(Decision(request.decision), Divergence(request.divergence), request.text.strip())
        check_decision(mapping.item_of(found), decided, closed=row.closed)
        mapping.record(found, decided, account_id=call.caller.account_id or "")
        found.decided_at.CopyFrom(to_timestamp(call.now))
        mapping.count_undecided(message)
        return pb.DecideReconciliationItemResponse(reconciliation=queries.write(call, row, message))

    def CloseReconciliation(self, request: pb.CloseReconciliationRequest, call: Call) -> pb.CloseReconciliationResponse:
        """From now on it changes no more."""
        row, message = _to_change(call, request.reconciliation_id)
        reviewed = [mapping.reviewed_of(item) for item in message.items]
        check_close(reviewed, mapping.sources_in(message), closed=row.closed)
        message.status = pb.RECONCILIATION_STATUS_CLOSED
        message.closed_at.CopyFrom(to_timestamp(call.now))
        return pb.CloseReconciliationResponse(reconciliation=queries.write(call, row, message))

    def ListReconciliationVersions(
        self, request: pb.ListReconciliationVersionsRequest, call: Call
    ) -> pb.ListReconciliationVersionsResponse:
        """Every version, newest first."""
        row = _of_person(call, request.reconciliation_id)
        versions, token = RECONCILIATION.history(call, row, request)
        return pb.ListReconciliationVersionsResponse(versions=versions, next_page_token=token)


def _check_place(call: Call, facility_id: str) -> None:
    """Refuses a facility that is not the association's, or where the person has no stay."""
    facility_of(call, facility_id, field="reconciliation.facility_id")
    if facility_id not in followed_at(call):
        raise Refusal(FACILITY_NOT_FOLLOWING, field="reconciliation.facility_id")


def _of_person(call: Call, reconciliation_id: str, *, lock: bool = False) -> AnyRow:
    row = RECONCILIATION.of_person(call, reconciliation_id, lock=lock)
    call.facility_id = row.facility_id
    return row


def _to_change(call: Call, reconciliation_id: str) -> tuple[AnyRow, pb.Reconciliation]:
    """A reconciliation that is open, locked, and that the caller has read as it is now; with its content."""
    row = _of_person(call, reconciliation_id, lock=True)
    call.check_etag(row.reconciliation_id, row.version)
    check_open(closed=row.closed)
    return row, RECONCILIATION.read(row)


def _compare(call: Call, message: pb.Reconciliation) -> None:
    """Fills in the comparison with the plan of now. What is taken under a code has to be in the catalogue: else it would seem to be
    another medicine than the plan's."""
    mapping.tidy(message)
    plan = plan_of(call)
    codes = {each.cis for each in message.taken} | {line.message.order.cis for line in plan.lines}
    known = medicines(call, sorted(codes - {""}))
    unknown = [number for number, each in enumerate(message.taken) if each.cis and each.cis not in known]
    if unknown:
        fields = [f"reconciliation.taken[{number}].cis" for number in unknown[:MOST_NAMED]]
        raise Refusal.of(tuple(Violation(SPECIALTY_UNKNOWN, field) for field in fields))
    mapping.fill(message, plan.lines, known, call.now)
