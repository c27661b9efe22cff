"""The RPCs of RelationService."""

from __future__ import annotations

from datetime import date, datetime

from dui.records.v1 import relations_pb2 as pb
from dui_kit.calls.call import Call
from dui_kit.days import latest_day
from dui_kit.db.columns import AnyRow

from dui_records.entries import entry
from dui_records.relations.queries import check_nobody_trusted
from dui_records.relations.rules import check_relation
from dui_records.relations.tables import relation


def _check(message: pb.Relation, now: datetime) -> None:
    call_order = message.call_order if message.HasField("call_order") else None
    check_relation(call_order, message.phone, message.ended_on, latest_day(now))


def _check_beside(call: Call, before: AnyRow | None, message: pb.Relation) -> None:
    """One trusted person at a time. Who is one already may be corrected: where two records were merged, there may be two."""
    already = before is not None and before.trusted_person and before.ended_on is None
    if message.trusted_person and not message.ended_on and not already:
        check_nobody_trusted(call)


def _values(message: pb.Relation, _: datetime) -> dict[str, object]:
    return {
        "family_name": message.family_name.strip(),
        "given_name": message.given_name.strip() or None,
        "kind": message.kind,
        "legal_role": message.legal_role,
        "trusted_person": message.trusted_person,
        "phone": message.phone or None,
        "email": message.email or None,
        "address": message.address.strip() or None,
        "call_order": message.call_order if message.HasField("call_order") else None,
        "ended_on": date.fromisoformat(message.ended_on) if message.ended_on else None,
    }


def _read(row: AnyRow) -> pb.Relation:
    return pb.Relation(
        relation_id=row.relation_id,
        beneficiary_id=row.beneficiary_id,
        family_name=row.family_name,
        given_name=row.given_name,
        kind=row.kind,
        legal_role=row.legal_role,
        trusted_person=row.trusted_person,
        phone=row.phone,
        email=row.email,
        address=row.address,
        call_order=row.call_order,
        ended_on=row.ended_on.isoformat() if row.ended_on else None,
        reason=row.reason,
    )


RELATION = entry.Kind(relation, _read, check=_check, values=_values, check_beside=_check_beside)


class RelationServicer:
    """The entourage of a person."""

    CONTRACT = pb.DESCRIPTOR.services_by_name["RelationService"]

    def CreateRelation(self, request: pb.CreateRelationRequest, call: Call) -> pb.CreateRelationResponse:
        """Adds a relation."""
        return pb.CreateRelationResponse(relation=entry.create(call, RELATION, request.relation))

    def GetRelation(self, request: pb.GetRelationRequest, call: Call) -> pb.GetRelationResponse:
        """Reads a relation."""
        return pb.GetRelationResponse(relation=entry.get(call, RELATION, request.relation_id))

    def ListRelations(self, request: pb.ListRelationsRequest, call: Call) -> pb.ListRelationsResponse:
        """The relations of a person, newest first."""
        relations, token = entry.page(call, RELATION, request)
        return pb.ListRelationsResponse(relations=relations, next_page_token=token)

    def UpdateRelation(self, request: pb.UpdateRelationRequest, call: Call) -> pb.UpdateRelationResponse:
        """Corrects a relation."""
        corrected = entry.correct(call, RELATION, request.relation_id, request.relation, request.update_mask)
        return pb.UpdateRelationResponse(relation=corrected)

    def ListRelationVersions(
        self, request: pb.ListRelationVersionsRequest, call: Call
    ) -> pb.ListRelationVersionsResponse:
        """Every version, newest first."""
        versions, token = entry.history(call, RELATION, request.relation_id, request)
        return pb.ListRelationVersionsResponse(versions=versions, next_page_token=token)
