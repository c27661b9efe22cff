"""Looking for persons. Every condition is leakproof (`=`, ranges, collation "C"), so that an index serves it under
row-level security, and every query is bounded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from functools import cache
from typing import Any

from dui_kit.calls.call import Call
from dui_kit.calls.pages import Page
from dui_kit.db.columns import AnyRow
from dui_kit.db.statements import Query
from sqlalchemy import Select, Text, and_, bindparam, case, cast, func, not_, or_, select, tuple_, union_all

from dui_records.beneficiaries.tables import answers_for, beneficiary
from dui_records.recognition.rules import ALIKE, Likeness, likeness, swapped_date
from dui_records.stays.queries import present
from dui_records.stays.tables import stay

#: A statement and its values, for `call.together`.
Asked = tuple[Query, Mapping[str, object]]

#: Candidates read for each kind of likeness, and candidates told.
BRANCH_LIMIT = 100
CANDIDATES = 20

_b = beneficiary.c
_own = beneficiary.alias("own")
_survivor = beneficiary.alias("survivor")
_MATCH = ("beneficiary_id", "birth_name", "birth_given_names", "birth_date", "sex", "identity_status")
_COMPARED = ("birth_name_key", "birth_given_key", "family_key", "national_identifier")


# --------------------------------------------------------------------------------------------------------- RNIV search


@cache
def _search(*, prefixed: bool, continued: bool) -> Query:
    """A merged record is found by its own traits and answers with the surviving one, unless that one is found too."""

    def matches(table: Any) -> Any:
        dated = table.c.birth_date == bindparam("birth_date")
        if not prefixed:
            return dated
        return and_(dated, table.c.birth_name_key >= bindparam("low"), table.c.birth_name_key < bindparam("high"))

    statement = (
        select(
            beneficiary.c.birth_name_key,
            beneficiary.c.beneficiary_id.label("found_id"),
            *(func.coalesce(_survivor.c[name], _b[name]).label(name) for name in _MATCH),
        )
        .outerjoin(
            _survivor, and_(_survivor.c.tenant_id == _b.tenant_id, _survivor.c.beneficiary_id == _b.surviving_id)
        )
        .where(
            _b.tenant_id == bindparam("tenant"),
            matches(beneficiary),
            or_(_b.surviving_id.is_(None), not_(matches(_survivor))),
        )
        .order_by(_b.birth_name_key, _b.beneficiary_id)
        .limit(bindparam("size"))
    )
    if continued:
        statement = statement.where(
            tuple_(_b.birth_name_key, _b.beneficiary_id)
            > tuple_(
                bindparam("after_key", type_=_b.birth_name_key.type),
                bindparam("after_id", type_=_b.beneficiary_id.type),
            )
        )
    return Query(statement)


def search(call: Call, birth_date: str, bounds: tuple[str, str] | None, page: Page) -> tuple[list[AnyRow], str]:
    """A page of the persons born on a date, whose birth name lies within bounds, by name; and the next page's token."""
    values: dict[str, object] = {"birth_date": birth_date, "size": page.size + 1}
    if bounds:
        values |= {"low": bounds[0], "high": bounds[1]}
    if page.after:
        values |= {"after_key": page.after[0], "after_id": page.after[1]}
    rows = call.rows(_search(prefixed=bounds is not None, continued=page.after is not None), **values)
    kept, token = page.cut(rows, key=lambda row: (row.birth_name_key, row.found_id))
    return list(kept), token


# ----------------------------------------------------------------------------------------------------------- duplicates


def _likeness_of(row: AnyRow) -> Likeness:
    return Likeness(
        row.birth_name_key, row.birth_given_key, row.family_key, row.birth_date, row.sex, row.national_identifier
    )


@cache
def _alike(*, identified: bool, swapped: bool) -> Query:
    branches = [
        and_(_b.birth_date == bindparam("birth_date"), _b.birth_name_key == bindparam("birth_name_key")),
        _b.birth_date == bindparam("birth_date"),
        and_(_b.birth_name_key == bindparam("birth_name_key"), _b.birth_given_key == bindparam("birth_given_key")),
    ]
    if identified:
        branches.append(_b.national_identifier == bindparam("national_identifier"))
    if swapped:
        branches.append(_b.birth_date == bindparam("swapped"))
    columns = [_b[name] for name in (*_MATCH, *_COMPARED)]
    known = (_b.tenant_id == bindparam("tenant"), _b.surviving_id.is_(None), _b.beneficiary_id != bindparam("own"))
    parts = [select(*columns).where(*known, branch).limit(BRANCH_LIMIT).subquery() for branch in branches]
    found = union_all(*(select(part) for part in parts)).subquery()
    return Query(select(found))


#: Somebody of the association has nearly the same name: one lookup in beneficiary_homonym_idx.
_HOMONYM = Query(
    select(_b.beneficiary_id)
    .where(_b.tenant_id == bindparam("tenant"), _b.homonym_key == bindparam("homonym_key"), _b.surviving_id.is_(None))
    .limit(1)
)


def alike(call: Call, beneficiary_id: str, one: Likeness) -> list[AnyRow]:
    """Records that may be about the same person as `one`, the likeliest first, at most 20; never `beneficiary_id`."""
    (candidates,) = call.together(_candidates(beneficiary_id, one))
    return likeliest(one, candidates)


def questions(beneficiary_id: str, one: Likeness, homonym_key: str) -> tuple[Asked, Asked]:
    """What asks, for `call.together`, who may be the same person as `one` and who has nearly the same name, before the record
    is there."""
    return _candidates(beneficiary_id, one), (_HOMONYM, {"homonym_key": homonym_key})


def _candidates(beneficiary_id: str, one: Likeness) -> Asked:
    swapped = swapped_date(one.birth_date)
    values: dict[str, object] = {
        "own": beneficiary_id,
        "birth_date": one.birth_date,
        "birth_name_key": one.birth_name_key,
        "birth_given_key": one.birth_given_key,
    }
    if one.national_identifier:
        values["national_identifier"] = one.national_identifier
    if swapped:
        values["swapped"] = swapped
    return _alike(identified=bool(one.national_identifier), swapped=swapped is not None), values


def likeliest(one: Likeness, rows: Sequence[AnyRow]) -> list[AnyRow]:
    """Of the candidates, those that may be the same person as `one`, the likeliest first, at most 20."""
    found = {row.beneficiary_id: row for row in rows}
    scored = [(likeness(one, _likeness_of(row)), beneficiary_id, row) for beneficiary_id, row in found.items()]
    scored.sort(key=lambda item: (-item[0], item[1]))
    return [row for score, _, row in scored[:CANDIDATES] if score >= ALIKE]


_COMPARED_ONE = Query(
    select(*(_b[name] for name in (*_MATCH, *_COMPARED, "surviving_id"))).where(
        _b.tenant_id == bindparam("tenant"), _b.beneficiary_id == bindparam("id")
    )
)


def compared(call: Call, beneficiary_id: str) -> tuple[str, Likeness] | None:
    """What a record is compared by, and its id; those of the surviving record when it was merged. None: no such record."""
    row = call.row(_COMPARED_ONE, id=beneficiary_id)
    if row is not None and row.surviving_id is not None:
        return compared(call, row.surviving_id)
    return None if row is None else (row.beneficiary_id, _likeness_of(row))


# ------------------------------------------------------------------------------------------------------- facility list


def present_by_name(
    call: Call, page: Page, *, facility_id: str, unit_id: str | None, day: date, visible: Select[tuple[str]]
) -> tuple[list[AnyRow], str]:
    """A page of the persons who have a stay in force, by name in use; homonyms sound alike by family name in this list.

    The whole list is compared, whatever the page: a facility has some hundreds of persons, which stay_present_idx gives.
    """
    key = cast(_survivor.c.beneficiary_id, Text)
    # '' is what the version before this one still writes, for any name without a Latin letter, until it has ended (migration 0005).
    sound = case((_survivor.c.family_sound == "", _survivor.c.family_key), else_=_survivor.c.family_sound)
    listed = (
        select(
            stay.c.stay_id,
            stay.c.unit_id,
            _survivor.c.beneficiary_id,
            func.coalesce(_survivor.c.used_name, _survivor.c.birth_name).label("family_name"),
            func.coalesce(_survivor.c.used_given_name, _survivor.c.birth_given_names[1]).label("given_name"),
            _survivor.c.family_key,
            _survivor.c.given_key,
            _survivor.c.birth_date,
            _survivor.c.sex,
            # Two stays of one person (merged records) are not homonyms: the ids have to differ. (No min of uuid in SQL.)
            (func.min(key).over(partition_by=sound) != func.max(key).over(partition_by=sound)).label("homonym"),
        )
        .select_from(stay)
        .join(_own, and_(_own.c.tenant_id == stay.c.tenant_id, _own.c.beneficiary_id == stay.c.beneficiary_id))
        .join(
            _survivor,
            and_(
                _survivor.c.tenant_id == stay.c.tenant_id,
                _survivor.c.beneficiary_id == answers_for(_own),
            ),
        )
        .where(present(call, facility_id=facility_id, unit_id=unit_id, day=day, visible=visible))
        .subquery()
    )
    rows, token = page.fetch(call.session, select(listed), listed.c.family_key, listed.c.given_key, listed.c.stay_id)
    return list(rows), token
