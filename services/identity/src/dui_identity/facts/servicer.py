"""The snapshot of the access facts: what a service asks on a denial, or to rebuild its projections."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from dui.access.v1 import facts_pb2
from dui.identity.v1 import access_pb2 as pb
from dui_kit.call import Call
from dui_kit.errors import not_found

from dui_identity.break_glass.queries import open_glass_after, open_glass_of
from dui_identity.organisation.events import facility_changed, unit_changed
from dui_identity.organisation.queries import all_tenants, facilities_after, place_of, tenant_fact, units_after
from dui_identity.policy.queries import policy_facts
from dui_identity.staff.events import account_changed, assignment_changed
from dui_identity.staff.queries import accounts_after, assignments_after, of_subject

#: An item of the snapshot: its kind, its id within it, and the fact.
_Item = tuple[int, str, facts_pb2.AccessFact]
_Fact = facts_pb2.AccessFact


class AccessFactServicer:
    """`dui.identity.v1.AccessFactService`."""

    def ListAccessFacts(self, request: pb.ListAccessFactsRequest, call: Call) -> pb.ListAccessFactsResponse:
        """Everything of an association, page by page; or in one answer what decides for one subject."""
        tenant = tenant_fact(call.session, call.tenant_id)
        if tenant is None:
            raise not_found("tenant_id")
        if request.subject:
            facts = [_Fact(tenant=tenant), *_of_subject(call, request.subject)]
            if request.facility_id:
                facts += _of_facility(call, request.facility_id)
            return pb.ListAccessFactsResponse(facts=facts)
        page = call.page(request)
        kind, after = (int(page.after[0] or 0), str(page.after[1])) if page.after else (0, "")
        wanted = page.size + 1
        items: list[_Item] = []
        for index, read in enumerate(_KINDS):
            if index >= kind and len(items) < wanted:
                found = read(call, after if index == kind and after else None, wanted - len(items))
                items.extend((index, key, fact) for key, fact in found)
        rows, token = page.cut(items, key=lambda item: (item[0], item[1]))
        return pb.ListAccessFactsResponse(facts=[fact for _, _, fact in rows], next_page_token=token)

    def ListTenants(self, request: pb.ListTenantsRequest, call: Call) -> pb.ListTenantsResponse:  # noqa: ARG002
        """Every association, suspended ones included."""
        return pb.ListTenantsResponse(tenant_ids=sorted(all_tenants(call.session)))


def _of_subject(call: Call, subject: str) -> Iterator[facts_pb2.AccessFact]:
    accounts, assignments = of_subject(call.session, call.tenant_id, subject)
    for account in accounts:
        yield _Fact(account=account_changed(account))
    for assignment in assignments:
        yield _Fact(assignment=assignment_changed(assignment))
    ids = [account.account_id for account in accounts]
    for glass in open_glass_of(call.session, call.tenant_id, call.now, ids):
        yield _Fact(break_glass=glass)
    for policy in policy_facts(call.session, call.tenant_id):
        yield _Fact(policy=policy)


def _of_facility(call: Call, facility_id: str) -> Iterator[facts_pb2.AccessFact]:
    facility, units = place_of(call.session, call.tenant_id, facility_id)
    if facility is not None:
        yield _Fact(facility=facility_changed(facility))
        for unit in units:
            yield _Fact(unit=unit_changed(unit))


_Read = Callable[[Call, str | None, int], Iterable[tuple[str, facts_pb2.AccessFact]]]


def _tenants(call: Call, after: str | None, limit: int) -> Iterator[tuple[str, facts_pb2.AccessFact]]:
    fact = tenant_fact(call.session, call.tenant_id)
    if fact is not None and after is None and limit:
        yield fact.tenant_id, _Fact(tenant=fact)


def _policies(call: Call, after: str | None, limit: int) -> Iterator[tuple[str, facts_pb2.AccessFact]]:
    facts = [fact for fact in policy_facts(call.session, call.tenant_id) if fact.profession > int(after or 0)]
    for fact in facts[:limit]:
        yield str(fact.profession), _Fact(policy=fact)


def _accounts(call: Call, after: str | None, limit: int) -> Iterator[tuple[str, facts_pb2.AccessFact]]:
    for row in accounts_after(call.session, call.tenant_id, after, limit):
        yield row.account_id, _Fact(account=account_changed(row))


def _assignments(call: Call, after: str | None, limit: int) -> Iterator[tuple[str, facts_pb2.AccessFact]]:
    for row in assignments_after(call.session, call.tenant_id, after, limit):
        yield row.assignment_id, _Fact(assignment=assignment_changed(row))


def _glasses(call: Call, after: str | None, limit: int) -> Iterator[tuple[str, facts_pb2.AccessFact]]:
    for key, fact in open_glass_after(call.session, call.tenant_id, call.now, after, limit):
        yield key, _Fact(break_glass=fact)


def _facilities(call: Call, after: str | None, limit: int) -> Iterator[tuple[str, facts_pb2.AccessFact]]:
    for row in facilities_after(call.session, call.tenant_id, after, limit):
        yield row.facility_id, _Fact(facility=facility_changed(row))


def _units(call: Call, after: str | None, limit: int) -> Iterator[tuple[str, facts_pb2.AccessFact]]:
    for row in units_after(call.session, call.tenant_id, after, limit):
        yield row.unit_id, _Fact(unit=unit_changed(row))


#: The kinds of a snapshot in their order, which page tokens rely on: add at the end.
_KINDS: tuple[_Read, ...] = (_tenants, _policies, _accounts, _assignments, _glasses, _facilities, _units)
