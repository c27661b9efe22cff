"""Lines of treatment as rows: read, locked, added, changed; what each change announces."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import IntEnum
from functools import partial
from typing import assert_never
from zoneinfo import ZoneInfo

from dui.medication.v1 import events_pb2
from dui.medication.v1 import prescriptions_pb2 as pb
from dui_kit.calls.call import Call, etag_of
from dui_kit.calls.stamps import stamp_version
from dui_kit.calls.versioned import Versioned
from dui_kit.db.columns import AnyRow
from dui_kit.db.statements import Query
from dui_kit.db.tables import access_facility, access_person
from dui_kit.errors import not_found
from dui_kit.times import from_timestamp, to_timestamp
from google.protobuf.message import Message
from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    any_,
    bindparam,
    case,
    cast,
    func,
    literal,
    literal_column,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY, UUID

from dui_medication.posology import rules as posology
from dui_medication.prescriptions.mapping import course_of, posology_of
from dui_medication.prescriptions.rules import ENDING_AHEAD, FAR_AWAY, LineState, LineStatus, Work, status_at
from dui_medication.prescriptions.tables import prescription_line

_l, _f = prescription_line.c, access_facility.c
_FAR = datetime.max.replace(tzinfo=UTC)
_whose, _seen = access_person.alias("whose"), access_person.alias("seen")
#: Above every id.
LAST_ID = "ffffffff-ffff-ffff-ffff-ffffffffffff"
#: Lines that are looked at together: several times what may be in force, so that those are always among them.
MOST = 1000


def _read(row: AnyRow) -> pb.PrescriptionLine:
    message = pb.PrescriptionLine.FromString(row.content)
    message.status = row.status
    return message


class Change(IntEnum):
    """What becomes of a line; the values of `dui.medication.v1.LineChange`."""

    SIGNED = 1
    STOPPED = 2
    REPLACED = 3
    SUSPENDED = 4
    RESUMED = 5
    REVIEWED = 6
    REVIEW_ANSWERED = 7


def _changed(change: Change, row: AnyRow) -> events_pb2.PrescriptionLineChanged:
    """What is announced of a line."""
    message = _read(row)
    order = message.order
    reason = message.pauses[-1].reason if change is Change.SUSPENDED else message.stop_reason
    return events_pb2.PrescriptionLineChanged(
        prescription_line_id=row.prescription_line_id,
        version=row.version,
        beneficiary_id=row.beneficiary_id,
        facility_id=row.facility_id,
        prescription_id=row.prescription_id,
        change=int(change),
        status=row.status,
        cis=order.cis,
        starts_on=order.starts_on,
        ends_on=order.ends_on if order.HasField("ends_on") else None,
        nursing_act_required=order.nursing_act_required,
        reason=int(reason),
        replaced_by_line_id=message.replaced_by_line_id or None,
        review_outcome=int(message.review.outcome),
    )


#: The table, by what becomes of a line: each change is announced as what it is.
LINES = {change: Versioned(prescription_line, _read, (partial(_changed, change),)) for change in Change}
LINE = LINES[Change.SIGNED]

#: A line with the clock of the facility whose team gives it.
_LINES: Select[tuple[object, ...]] = select(*LINE.columns, _f.time_zone).select_from(
    prescription_line.join(
        access_facility, and_(_f.tenant_id == _l.tenant_id, _f.facility_id == _l.facility_id), isouter=True
    )
)
_persons = bindparam("persons", type_=ARRAY(UUID(as_uuid=False)))
_mine = _l.beneficiary_id == any_(_persons)
#: Active or suspended, in the words of the index of the lines that end.
_IN_FORCE = _l.status.in_([literal_column("1"), literal_column("2")])
_PLAN = Query(
    _LINES.where(
        _l.tenant_id == bindparam("tenant"),
        _mine,
        _l.last_on >= bindparam("since"),
        _l.created_at < bindparam("before"),
    )
    # What is in force comes first: were there ever too many, those left out would be the ones that ended first.
    .order_by(_l.last_on.desc(), _l.status, _l.prescription_line_id)
    .limit(bindparam("most"))
)
_ONE = Query(_LINES.where(_l.tenant_id == bindparam("tenant"), _mine, _l.prescription_line_id == bindparam("id")))
_LOCKED = Query(
    _LINES.where(
        _l.tenant_id == bindparam("tenant"), _mine, _l.prescription_line_id == bindparam("id")
    ).with_for_update(of=prescription_line)
)
#: Of each record of the person a page: of all together, an index has no order, and every line of years would be sorted.
_who = func.unnest(cast(_persons, ARRAY(UUID(as_uuid=False)))).table_valued("id").render_derived(name="who")
_newest = (
    select(*LINE.columns)
    .where(_l.tenant_id == bindparam("tenant"), _l.beneficiary_id == _who.c.id)
    .where(_l.prescription_line_id < bindparam("before"))
    .order_by(_l.prescription_line_id.desc())
    .limit(bindparam("size"))
    .lateral("newest")
)
_n = _newest.c
_PAGE = Query(
    select(*_n, _f.time_zone)
    .select_from(
        _who.join(_newest, true()).outerjoin(
            access_facility, and_(_f.tenant_id == _n.tenant_id, _f.facility_id == _n.facility_id)
        )
    )
    .order_by(_n.prescription_line_id.desc())
    .limit(bindparam("size"))
)
_OF_PRESCRIPTION = Query(
    _LINES.where(
        _l.tenant_id == bindparam("tenant"), _l.prescription_id == bindparam("prescription_id"), _mine
    ).order_by(_l.prescription_line_id)
)


@dataclass(frozen=True, slots=True)
class Line:
    """A line as it stands at an instant."""

    row: AnyRow
    #: Its content, with its status of now; without version and etag.
    message: pb.PrescriptionLine
    status: LineStatus
    zone: ZoneInfo

    def shown(self) -> pb.PrescriptionLine:
        """The line, as its readers get it."""
        stamp_version(self.message.version, self.row)
        self.message.etag = etag_of(self.row.prescription_line_id, self.row.version)
        return self.message

    @property
    def in_force(self) -> bool:
        """It is, or will be, given, unless it is suspended."""
        return self.status in {LineStatus.ACTIVE, LineStatus.SUSPENDED}


def line_of(row: AnyRow, now: datetime) -> Line:
    """The line of a row, at an instant."""
    message = _read(row)
    zone = ZoneInfo(row.time_zone or "Europe/Paris")
    open_pause = message.pauses[-1] if message.pauses and row.status == LineStatus.SUSPENDED else None
    until = from_timestamp(open_pause.until) if open_pause is not None and open_pause.HasField("until") else None
    state = LineState(LineStatus(row.status), row.last_on, until)
    status = status_at(state, now, now.astimezone(zone).date())
    message.status = pb.LineStatus.ValueType(status)
    return Line(row, message, status, zone)


def of_person(call: Call, line_id: str, *, lock: bool = False, field: str = "prescription_line_id") -> Line:
    """A line of the person of the call; NOT_FOUND when it is anybody else's."""
    row = call.row(_LOCKED if lock else _ONE, id=line_id, persons=list(call.beneficiary_ids))
    if row is None:
        raise not_found(field)
    return line_of(row, call.now)


def since(call: Call, day: date, before: datetime | None = None) -> list[Line]:
    """The lines of the person, merged records included, of which a dose may be due on `day` or later, oldest first; with `before`
    only those that were signed before that. `MOST` of them, those in force first."""
    persons = list(call.beneficiary_ids)
    rows = call.rows(_PLAN, persons=persons, since=day, before=before or _FAR, most=MOST)
    return [line_of(row, call.now) for row in sorted(rows, key=lambda row: str(row.prescription_line_id))]


def page(call: Call, request: Message) -> tuple[list[Line], str]:
    """A page of the lines of the person, newest first, and the token of the next one."""
    asked = call.page(request)
    before = asked.after[0] if asked.after else LAST_ID
    rows = call.rows(_PAGE, persons=list(call.beneficiary_ids), before=before, size=asked.size + 1)
    kept, token = asked.cut(rows, key=lambda row: (row.prescription_line_id,))
    return [line_of(row, call.now) for row in kept], token


def of_facility(
    call: Call, request: Message, *, facility_id: str, work: Work, today: date, visible: Select[tuple[str]]
) -> tuple[list[Line], str]:
    """A page of the lines in force at a facility, of persons among `visible`, that wait for something: the oldest first; of those
    that end, the soonest first."""
    query = _LINES.where(
        _l.tenant_id == call.tenant_id, _l.facility_id == facility_id, _l.last_on >= today, _is_reached(call, visible)
    )
    order: tuple[ColumnElement[object], ...] = (_l.prescription_line_id,)
    match work:
        case Work.TO_REVIEW | Work.TO_ANSWER:
            query = query.where(_l.work == int(work))
        case Work.ENDING:
            query = query.where(_IN_FORCE, _l.last_on <= today + ENDING_AHEAD)
            order = (_l.last_on, *order)
        case _:
            assert_never(work)
    rows, token = call.page(request).fetch(call.session, query, *order)
    return [line_of(row, call.now) for row in rows], token


def _is_reached(call: Call, visible: Select[tuple[str]]) -> ColumnElement[bool]:
    """Whether a line is of one of the persons `visible`: of their record, or of one that was merged into it, or it into that."""
    surviving = case((_whose.c.surviving_id.is_(None), _whose.c.beneficiary_id), else_=_whose.c.surviving_id)
    together = or_(_seen.c.beneficiary_id == surviving, _seen.c.surviving_id == surviving)
    return (
        select(literal(value=True))
        .select_from(_whose.join(_seen, and_(_seen.c.tenant_id == _whose.c.tenant_id, together)))
        .where(_whose.c.tenant_id == call.tenant_id, _whose.c.beneficiary_id == _l.beneficiary_id)
        .where(_seen.c.beneficiary_id.in_(visible))
        # Asked of line after line, in their order, until the page is full: as a join, all lines that wait would be read first.
        .offset(0)
        .correlate(prescription_line)
        .exists()
    )


def of_prescription(call: Call, prescription_id: str) -> list[Line]:
    """The lines that a prescription made, in their order."""
    rows = call.rows(_OF_PRESCRIPTION, prescription_id=prescription_id, persons=list(call.beneficiary_ids))
    return [line_of(row, call.now) for row in rows]


def add(call: Call, message: pb.PrescriptionLine) -> None:
    """A new line, which is announced; its id and those of what it belongs to are in the message."""
    LINE.add(
        call,
        {
            "prescription_line_id": message.prescription_line_id,
            "prescription_id": message.prescription_id,
            "facility_id": message.facility_id,
            "status": int(LineStatus.ACTIVE),
            "last_on": last_day(message.order),
            "work": int(Work.TO_REVIEW),
            "replaces_line_id": message.order.replaces_line_id or None,
            "content": message.SerializeToString(),
        },
    )


def last_day(order: pb.LineOrder) -> date:
    """Last day on which a dose of an order may be due: its own, or that of its steps."""
    return posology.last_day(posology_of(order.dosage), course_of(order)) or FAR_AWAY


def stop(call: Call, line: Line, reason: int, text: str) -> Line:
    """Ends a locked line now."""
    line.message.stop_reason = pb.StopReason.ValueType(reason)
    if text.strip():
        line.message.stop_text = text.strip()
    return _end(call, line, LineStatus.STOPPED, Change.STOPPED)


def replace(call: Call, line: Line, by_line_id: str) -> Line:
    """Ends a locked line now: another one stands in its place."""
    line.message.replaced_by_line_id = by_line_id
    return _end(call, line, LineStatus.REPLACED, Change.REPLACED)


def suspend(call: Call, line: Line, reason: int, text: str, until: datetime | None) -> Line:
    """Suspends a locked line from now on."""
    pause = line.message.pauses.add(since=to_timestamp(call.now), reason=pb.StopReason.ValueType(reason))
    if until is not None:
        pause.until.CopyFrom(to_timestamp(until))
    if text.strip():
        pause.text = text.strip()
    return _write(call, line, Change.SUSPENDED, status=int(LineStatus.SUSPENDED))


def resume(call: Call, line: Line) -> Line:
    """Gives a locked, suspended line again from now on."""
    line.message.pauses[-1].until.CopyFrom(to_timestamp(call.now))
    return _write(call, line, Change.RESUMED, status=int(LineStatus.ACTIVE))


def review(call: Call, line: Line, said: pb.LineReview) -> Line:
    """Keeps what a pharmacist said of a locked line. What is not accepted waits for an answer."""
    line.message.review.CopyFrom(said)
    accepted = said.outcome == pb.REVIEW_OUTCOME_ACCEPTED
    return _write(call, line, Change.REVIEWED, work=None if accepted else int(Work.TO_ANSWER))


def answer(call: Call, line: Line, text: str, name: str) -> Line:
    """Keeps why a prescriber, who has this name, leaves a locked line as it is in spite of what a pharmacist said of it."""
    review = line.message.review
    review.answer_text = text.strip()
    review.answered_by_account_id = call.caller.account_id or ""
    review.answered_by_name = name
    review.answered_at.CopyFrom(to_timestamp(call.now))
    return _write(call, line, Change.REVIEW_ANSWERED, work=None)


def _end(call: Call, line: Line, status: LineStatus, change: Change) -> Line:
    line.message.stopped_at.CopyFrom(to_timestamp(call.now))
    last_on = min(line.row.last_on, call.now.astimezone(line.zone).date())
    return _write(call, line, change, status=int(status), last_on=last_on, work=None)


def _write(call: Call, line: Line, change: Change, **values: object) -> Line:
    """The next version of a locked line, which is announced."""
    for name in ("status", "version", "etag"):  # these are the row's, and the calendar's
        line.message.ClearField(name)
    row = LINES[change].write(call, line.row, {"content": line.message.SerializeToString(), **values})
    return line_of(row, call.now)
