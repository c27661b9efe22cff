"""The persons whom a caller may reach, as SQL: list RPCs join it."""

from __future__ import annotations

from sqlalchemy import Integer, Select, and_, cast, func, or_, select, true
from sqlalchemy.dialects.postgresql import ARRAY

from dui_kit.call import Call
from dui_kit.contract import ADMISSION_CATEGORIES
from dui_kit.tables import access_assignment, access_perimeter, access_policy


def visible_beneficiaries(call: Call, *, facility_id: str | None = None) -> Select[tuple[str]]:
    """The ids of the persons whom the caller may reach for the call's rule, as a subquery for `IN`: list RPCs join it.

    With a category rule, only persons for whom that category is open; with `any_category`, any of `call.categories`.
    """
    visible = visible_categories(call, facility_id=facility_id).subquery()
    return select(visible.c.beneficiary_id)


def visible_categories(call: Call, *, facility_id: str | None = None) -> Select[tuple[str, int]]:
    """The persons whom the caller may reach and the categories that are open for each: what is open for one need not be for
    another. Of the rule's category, or with `any_category` of all `call.categories`."""
    wanted = [call.rule.category] if call.rule.category else sorted(call.categories)
    asked = func.unnest(cast(wanted, ARRAY(Integer))).table_valued("category").render_derived()
    category = asked.c.category
    bit = 1 << call.rule.action
    q, s, p = access_perimeter.c, access_assignment.c, access_policy.c
    now = func.now()
    statement = (
        select(q.beneficiary_id, category)
        .select_from(access_perimeter)
        .join(
            access_assignment,
            and_(
                s.tenant_id == q.tenant_id,
                s.account_id == call.caller.account_id,
                s.valid_from <= now,
                or_(s.valid_to.is_(None), s.valid_to > now),
                or_(s.facility_id.is_(None), s.facility_id == q.facility_id),
                or_(s.unit_id.is_(None), q.unit_id.is_(None), s.unit_id == q.unit_id),
            ),
        )
        .join(access_policy, and_(p.tenant_id == s.tenant_id, p.profession == s.profession))
        .join(asked, true())
        .where(
            q.tenant_id == call.tenant_id,
            q.valid_from <= now,
            or_(q.valid_to.is_(None), q.valid_to > now),
            p.rights[category].op("&")(bit) != 0,
            or_(q.admission_only.is_(False), category.in_(sorted(ADMISSION_CATEGORIES))),
        )
    )
    if facility_id is not None:
        statement = statement.where(q.facility_id == facility_id)
    return statement
