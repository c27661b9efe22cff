"""The notes of the persons present in a facility."""

from __future__ import annotations

from datetime import date, datetime

from dui_kit.calls.call import Call
from dui_kit.calls.pages import Page
from dui_kit.db.columns import AnyRow
from dui_kit.ids import smallest_id
from sqlalchemy import Select, and_, func, select, tuple_

from dui_records.beneficiaries.tables import answers_for, beneficiary
from dui_records.handover_notes.tables import handover_note
from dui_records.stays.queries import present
from dui_records.stays.tables import stay

_n = handover_note.c
_own = beneficiary.alias("own")
_member = beneficiary.alias("member")


def of_facility(
    call: Call,
    page: Page,
    *,
    facility_id: str,
    unit_id: str | None,
    since: datetime,
    day: date,
    visible: Select[tuple[str, int]],
) -> tuple[list[AnyRow], str]:
    """A page of the notes that the caller may read about the persons present, newest first; and the next page's token.

    Persons present, then the records merged with theirs, then their notes since an instant: each step by an index. `visible`:
    the persons and the categories open for each; somebody may be a nurse for one person and not for another.
    """
    opened = visible.cte("opened")
    reachable = select(opened.c.beneficiary_id)
    survivors = (
        select(answers_for(_own).label("beneficiary_id"), stay.c.beneficiary_id.label("present_id"))
        .select_from(stay)
        .join(_own, and_(_own.c.tenant_id == stay.c.tenant_id, _own.c.beneficiary_id == stay.c.beneficiary_id))
        .where(present(call, facility_id=facility_id, unit_id=unit_id, day=day, visible=reachable))
        .cte("survivors")
    )
    # The array is what the index is searched with, whatever the statistics say of a table with few merged records.
    merged = (
        select(_member.c.beneficiary_id, survivors.c.present_id)
        .join(survivors, _member.c.surviving_id == survivors.c.beneficiary_id)
        .where(
            _member.c.tenant_id == call.tenant_id,
            _member.c.surviving_id == func.any(func.array(select(survivors.c.beneficiary_id).scalar_subquery())),
        )
    )
    # A person is here twice when two of their merged records have a stay: what is open for either is, and a note comes once.
    records = select(survivors).union(merged).cte("records")
    persons = select(records.c.beneficiary_id).distinct().subquery()
    readable = select(records.c.beneficiary_id, opened.c.category).join(
        opened, opened.c.beneficiary_id == records.c.present_id
    )
    statement = (
        select(*_n)
        .join(persons, persons.c.beneficiary_id == _n.beneficiary_id)
        .where(
            _n.tenant_id == call.tenant_id,
            _n.handover_note_id >= smallest_id(since),
            tuple_(_n.beneficiary_id, _n.category).in_(readable),
        )
    )
    rows, token = page.fetch(call.session, statement, _n.handover_note_id, newest_first=True)
    return list(rows), token
