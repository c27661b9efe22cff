"""The RPC of PerimeterFactService.

Records applies its own facts to its own projection in the transaction of each change, so that the projection is the
snapshot: one source, with the versions that were announced.
"""

from __future__ import annotations

from dui.access.v1 import facts_pb2
from dui.records.v1 import facts_pb2 as pb
from dui_kit.call import Call
from dui_kit.columns import AnyRow
from dui_kit.tables import access_perimeter, access_person
from dui_kit.times import to_timestamp
from sqlalchemy import or_, select

_p = access_person.c
_q = access_perimeter.c


def _person(row: AnyRow) -> facts_pb2.AccessFact:
    return facts_pb2.AccessFact(
        person=facts_pb2.PersonChanged(
            beneficiary_id=row.beneficiary_id, version=row.version, surviving_id=row.surviving_id
        )
    )


def _perimeter(row: AnyRow) -> facts_pb2.AccessFact:
    return facts_pb2.AccessFact(
        perimeter=facts_pb2.PerimeterChanged(
            fact_id=row.fact_id,
            version=row.version,
            beneficiary_id=row.beneficiary_id,
            facility_id=row.facility_id,
            unit_id=row.unit_id,
            admission_only=row.admission_only,
            valid_from=to_timestamp(row.valid_from),
            valid_to=to_timestamp(row.valid_to) if row.valid_to else None,
        )
    )


class PerimeterFactServicer:
    """Who is accompanied where: persons first, then perimeters, each by id. Ended facts are part of it: a projection that
    missed the end of one has to learn it."""

    def ListPerimeterFacts(self, request: pb.ListPerimeterFactsRequest, call: Call) -> pb.ListPerimeterFactsResponse:
        """A page of the facts, of one person (and of the records merged with theirs) or of all."""
        page = call.page(request)
        persons = select(access_person).where(_p.tenant_id == call.tenant_id)
        perimeters = select(access_perimeter).where(_q.tenant_id == call.tenant_id)
        if request.beneficiary_id:
            group = self._group(call, request.beneficiary_id)
            persons = persons.where(_p.beneficiary_id.in_(group))
            perimeters = perimeters.where(_q.beneficiary_id.in_(group))
        kind, after = page.after or (0, "")
        limit = page.size + 1
        found: list[tuple[int, str, facts_pb2.AccessFact]] = []
        if kind == 0:
            query = persons.order_by(_p.beneficiary_id).limit(limit)
            query = query.where(_p.beneficiary_id > after) if after else query
            found += [(0, row.beneficiary_id, _person(row)) for row in call.session.execute(query)]
        if len(found) < limit:
            query = perimeters.order_by(_q.fact_id).limit(limit - len(found))
            query = query.where(_q.fact_id > after) if after and kind == 1 else query
            found += [(1, row.fact_id, _perimeter(row)) for row in call.session.execute(query)]
        kept, token = page.cut(found, key=lambda item: item[:2])
        return pb.ListPerimeterFactsResponse(facts=[fact for _, _, fact in kept], next_page_token=token)

    @staticmethod
    def _group(call: Call, beneficiary_id: str) -> list[str]:
        one = select(_p.surviving_id).where(_p.tenant_id == call.tenant_id, _p.beneficiary_id == beneficiary_id)
        survivor = call.session.scalar(one) or beneficiary_id
        group = select(_p.beneficiary_id).where(
            _p.tenant_id == call.tenant_id, or_(_p.beneficiary_id == survivor, _p.surviving_id == survivor)
        )
        return list(call.session.scalars(group))
