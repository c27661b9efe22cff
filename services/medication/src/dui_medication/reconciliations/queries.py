"""Reconciliations as rows, and what each change announces."""

from __future__ import annotations

from dui.medication.v1 import events_pb2
from dui.medication.v1 import reconciliations_pb2 as pb
from dui_kit.calls.call import Call
from dui_kit.calls.versioned import Versioned
from dui_kit.db.columns import AnyRow
from dui_kit.db.statements import Query
from google.protobuf.message import Message
from sqlalchemy import any_, bindparam, select
from sqlalchemy.dialects.postgresql import ARRAY, UUID

from dui_medication.reconciliations.tables import reconciliation


def _read(row: AnyRow) -> pb.Reconciliation:
    return pb.Reconciliation.FromString(row.content)


def _changed(row: AnyRow) -> events_pb2.ReconciliationChanged:
    """What is announced of a reconciliation."""
    message = _read(row)
    return events_pb2.ReconciliationChanged(
        reconciliation_id=row.reconciliation_id,
        version=row.version,
        beneficiary_id=row.beneficiary_id,
        facility_id=row.facility_id,
        transition=int(message.transition),
        status=int(message.status),
        divergences=sum(item.kind != pb.RECONCILIATION_ITEM_KIND_SAME for item in message.items),
        unintentional=sum(item.divergence == pb.DIVERGENCE_UNINTENTIONAL for item in message.items),
    )


RECONCILIATION = Versioned(reconciliation, _read, (_changed,))

_r = reconciliation.c
#: Above every id.
_LAST = "ffffffff-ffff-ffff-ffff-ffffffffffff"
_PAGE = Query(
    select(*RECONCILIATION.columns)
    .where(
        _r.tenant_id == bindparam("tenant"),
        _r.beneficiary_id == any_(bindparam("persons", type_=ARRAY(UUID(as_uuid=False)))),
        _r.reconciliation_id < bindparam("before", type_=UUID(as_uuid=False)),
    )
    .order_by(_r.reconciliation_id.desc())
    .limit(bindparam("size"))
)


def page(call: Call, request: Message) -> tuple[list[pb.Reconciliation], str]:
    """A page of the reconciliations of the person, merged records included, newest first, and the token of the next one."""
    asked = call.page(request)
    before = asked.after[0] if asked.after else _LAST
    rows = call.rows(_PAGE, persons=list(call.beneficiary_ids), before=before, size=asked.size + 1)
    kept, token = asked.cut(rows, key=lambda row: (row.reconciliation_id,))
    return [RECONCILIATION.to_message(row) for row in kept], token


def begin(call: Call, message: pb.Reconciliation) -> pb.Reconciliation:
    """Keeps a new reconciliation, which gets its id, and announces it."""
    message.reconciliation_id, message.beneficiary_id = call.new_id(), call.beneficiary_id
    message.status = pb.RECONCILIATION_STATUS_OPEN
    row = RECONCILIATION.add(call, {"reconciliation_id": message.reconciliation_id, **_values(message)})
    return RECONCILIATION.to_message(row)


def write(call: Call, row: AnyRow, message: pb.Reconciliation) -> pb.Reconciliation:
    """Keeps the next version of a locked reconciliation, and announces it."""
    return RECONCILIATION.to_message(RECONCILIATION.write(call, row, _values(message)))


def _values(message: pb.Reconciliation) -> dict[str, object]:
    return {
        "facility_id": message.facility_id,
        "closed": message.status == pb.RECONCILIATION_STATUS_CLOSED,
        "content": message.SerializeToString(),
    }
