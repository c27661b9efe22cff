"""The snapshot of the access facts: what a service asks on a denial, or to rebuild its projections."""

from __future__ import annotations

from dui.identity.v1 import access_pb2 as pb
from dui_kit.calls.call import Call
from dui_kit.calls.snapshots import facts_in, page_of_facts
from dui_kit.db.tables import (
    access_account,
    access_assignment,
    access_break_glass,
    access_facility,
    access_policy,
    access_tenant,
    access_unit,
)
from dui_kit.errors import not_found
from sqlalchemy import ColumnElement, Table, select, true

from dui_identity.organisation.queries import all_tenants


class AccessFactServicer:
    """Snapshots of the access facts."""

    CONTRACT = pb.DESCRIPTOR.services_by_name["AccessFactService"]

    def ListAccessFacts(self, request: pb.ListAccessFactsRequest, call: Call) -> pb.ListAccessFactsResponse:
        """Everything of an association, page by page; or in one answer what decides for one subject."""
        if request.subject:
            facts = facts_in(call, _of_subject(call, request.subject, request.facility_id))
            token = ""
        else:
            facts, token = page_of_facts(call, call.page(request), _everything(call))
        if not facts:
            raise not_found("tenant_id")
        return pb.ListAccessFactsResponse(facts=facts, next_page_token=token)

    def ListTenants(self, request: pb.ListTenantsRequest, call: Call) -> pb.ListTenantsResponse:  # noqa: ARG002
        """Every association, suspended ones included."""
        return pb.ListTenantsResponse(tenant_ids=sorted(all_tenants(call)))


def _everything(call: Call) -> dict[Table, ColumnElement[bool]]:
    return {
        access_tenant: true(),
        access_policy: true(),
        access_account: true(),
        access_assignment: true(),
        access_break_glass: access_break_glass.c.valid_to > call.now,
        access_facility: true(),
        access_unit: true(),
    }


def _of_subject(call: Call, subject: str, facility_id: str) -> dict[Table, ColumnElement[bool]]:
    """The accounts of a subject (a second one when they left and came back) and what decides for them; of places, one
    facility with its units."""
    own = access_account.c.tenant_id == call.tenant_id, access_account.c.subject == subject
    accounts = call.session.scalars(select(access_account.c.account_id).where(*own)).all()
    wanted: dict[Table, ColumnElement[bool]] = {
        access_tenant: true(),
        access_policy: true(),
        access_account: access_account.c.subject == subject,
        access_assignment: access_assignment.c.account_id.in_(accounts),
        access_break_glass: access_break_glass.c.account_id.in_(accounts) & (access_break_glass.c.valid_to > call.now),
    }
    if facility_id:
        wanted[access_facility] = access_facility.c.facility_id == facility_id
        wanted[access_unit] = access_unit.c.facility_id == facility_id
    return wanted
