"""The snapshot of the facts about persons: what a service asks on a denial, or to rebuild its projections."""

from __future__ import annotations

from dui.records.v1 import facts_pb2 as pb
from dui_kit.calls.call import Call
from dui_kit.calls.snapshots import page_of_facts
from dui_kit.db.tables import access_perimeter, access_person
from sqlalchemy import ColumnElement, Table, or_, select, true

_p = access_person.c


class PerimeterFactServicer:
    """Who is accompanied where. Ended facts are part of it: a projection that missed the end of one has to learn it."""

    CONTRACT = pb.DESCRIPTOR.services_by_name["PerimeterFactService"]

    def ListPerimeterFacts(self, request: pb.ListPerimeterFactsRequest, call: Call) -> pb.ListPerimeterFactsResponse:
        """A page of the facts, of one person (and of the records merged with theirs) or of all."""
        wanted: dict[Table, ColumnElement[bool]] = {access_person: true(), access_perimeter: true()}
        if request.beneficiary_id:
            group = self._group(call, request.beneficiary_id)
            wanted = {table: table.c.beneficiary_id.in_(group) for table in wanted}
        facts, token = page_of_facts(call, call.page(request), wanted)
        return pb.ListPerimeterFactsResponse(facts=facts, next_page_token=token)

    @staticmethod
    def _group(call: Call, beneficiary_id: str) -> list[str]:
        one = select(_p.surviving_id).where(_p.tenant_id == call.tenant_id, _p.beneficiary_id == beneficiary_id)
        survivor = call.session.scalar(one) or beneficiary_id
        group = select(_p.beneficiary_id).where(
            _p.tenant_id == call.tenant_id, or_(_p.beneficiary_id == survivor, _p.surviving_id == survivor)
        )
        return list(call.session.scalars(group))
