"""The persons whom a caller may reach, as SQL (list RPCs join it), and the places where they may decide."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Integer, Select, and_, bindparam, cast, func, or_, select, true
from sqlalchemy.dialects.postgresql import ARRAY

from dui_kit.calls.call import Call
from dui_kit.db.statements import Query
from dui_kit.db.tables import access_assignment, access_perimeter, access_policy
from dui_kit.errors import Refusal
from dui_kit.wire.contract import ADMISSION_CATEGORIES
from dui_kit.wire.texts import BEYOND_REACH

_s, _p = access_assignment.c, access_policy.c


def _in_force() -> ColumnElement[bool]:
    return and_(_s.valid_from <= func.now(), or_(_s.valid_to.is_(None), _s.valid_to > func.now()))


_RIGHTS = Query(
    select(_s.facility_id, _s.unit_id)
    .join(access_policy, and_(_p.tenant_id == _s.tenant_id, _p.profession == _s.profession))
    .where(
        _s.tenant_id == bindparam("tenant"),
        _s.account_id == bindparam("account_id"),
        _in_force(),
        _p.rights[bindparam("category", type_=Integer())].op("&")(bindparam("bit")) != 0,
    )
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where an assignment holds: a unit, a whole facility (`unit_id` None), or the whole association (`facility_id` None)."""

    facility_id: str | None
    unit_id: str | None = None

    def covers(self, other: Place) -> bool:
        """Whether all of another place is in this one."""
        if self.facility_id is None:
            return True
        return self.facility_id == other.facility_id and self.unit_id in {None, other.unit_id}


def places_of_right(call: Call, *, account_id: str | None = None) -> list[Place]:
    """The places of the assignments in force, of the caller or another account, that give the right of the call's rule."""
    found = call.rows(
        _RIGHTS,
        account_id=account_id or call.caller.account_id,
        category=call.rule.category,
        bit=1 << call.rule.action,
    )
    return [Place(row.facility_id, row.unit_id) for row in found]


def may_decide_at(call: Call, place: Place) -> bool:
    """Whether the caller has the right of the call's rule at a facility; at its unit, when the decision names one. That the
    caller reaches the person is another question."""
    decided = places_of_right(call)
    return any(own.covers(place) or (place.unit_id is None and own.facility_id == place.facility_id) for own in decided)


def check_covers(call: Call, places: Iterable[Place], *, field: str) -> None:
    """Refuses unless the caller's right covers all of each place: nobody gives or takes rights beyond their own assignment."""
    own = places_of_right(call)
    if not all(any(each.covers(place) for each in own) for place in places):
        raise Refusal(BEYOND_REACH, field=field)


def visible_beneficiaries(
    call: Call, *, facility_id: str | None = None, unit_id: str | None = None
) -> Select[tuple[str]]:
    """The ids of the persons whom the caller may reach for the call's rule, as a subquery for `IN`: list RPCs join it.

    With a category rule, only persons for whom that category is open; with `any_category`, any of `call.categories`. `facility_id`,
    `unit_id`: only those who are followed there; whoever is in no unit is in the list of none.
    """
    visible = visible_categories(call, facility_id=facility_id, unit_id=unit_id).subquery()
    return select(visible.c.beneficiary_id)


def visible_categories(
    call: Call, *, facility_id: str | None = None, unit_id: str | None = None
) -> Select[tuple[str, int]]:
    """The persons whom the caller may reach and the categories that are open for each: what is open for one need not be for
    another. Of the rule's category, or with `any_category` of all `call.categories`."""
    wanted = [call.rule.category] if call.rule.category else sorted(call.categories)
    asked = func.unnest(cast(wanted, ARRAY(Integer))).table_valued("category").render_derived()
    category = asked.c.category
    bit = 1 << call.rule.action
    q = access_perimeter.c
    now = func.now()
    statement = (
        select(q.beneficiary_id, category)
        .select_from(access_perimeter)
        .join(
            access_assignment,
            and_(
                _s.tenant_id == q.tenant_id,
                _s.account_id == call.caller.account_id,
                _in_force(),
                or_(_s.facility_id.is_(None), _s.facility_id == q.facility_id),
                or_(_s.unit_id.is_(None), q.unit_id.is_(None), _s.unit_id == q.unit_id),
            ),
        )
        .join(access_policy, and_(_p.tenant_id == _s.tenant_id, _p.profession == _s.profession))
        .join(asked, true())
        .where(
            q.tenant_id == call.tenant_id,
            q.valid_from <= now,
            or_(q.valid_to.is_(None), q.valid_to > now),
            _p.rights[category].op("&")(bit) != 0,
            or_(q.admission_only.is_(False), category.in_(sorted(ADMISSION_CATEGORIES))),
        )
    )
    if facility_id is not None:
        statement = statement.where(q.facility_id == facility_id)
    if unit_id is not None:
        statement = statement.where(q.unit_id == unit_id)
    return statement
