"""The journal as people read it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dui.identity.v1 import journal_pb2 as pb
from dui.journal.v1 import journal_pb2
from dui_kit.calls.call import Call
from dui_kit.db.database import raw
from dui_kit.errors import Refusal, not_found
from dui_kit.signing import known_keys
from dui_kit.times import from_micros, micros
from dui_kit.wire.contract import operation_labels
from sqlalchemy import text

from dui_identity.journal.rules import VERIFICATION_UNDER_WAY
from dui_identity.journal.verify import Limits, verify

#: What a call verifies: half a second's work, and well within its deadline on a machine that is slow or busy. `dui audit
#: verify` reads the whole chain.
VERIFIED_BY_CALL = Limits(entries=10_000, heads=500, seconds=1.0)

# LIMIT: the names are looked up for the rows of the page, whatever the planner thinks of the number of accounts.
_COLUMNS = """e.appended_at, e.chain_index, e.service, e.content, p.family_name, p.given_name
FROM journal_entry e LEFT JOIN LATERAL (
    SELECT family_name, given_name
    FROM account a JOIN professional USING (tenant_id, professional_id)
    WHERE a.tenant_id = e.tenant_id AND a.account_id = e.account_id
    LIMIT 1
) p ON true"""
_ENTRIES = """SELECT {columns}
WHERE e.tenant_id = :tenant{filters}
ORDER BY e.appended_at DESC, e.chain_index DESC LIMIT :limit"""
_AFTER = " AND (e.appended_at, e.chain_index) < (:at, :index)"
# CASE, not coalesce: PostgreSQL does not take coalesce for leakproof, and under row-level security the join would read
# every person of the association.
_SAME_PERSON = """SELECT m.beneficiary_id::text FROM (
    SELECT CASE WHEN surviving_id IS NULL THEN beneficiary_id ELSE surviving_id END AS id
    FROM access_person WHERE tenant_id = :tenant AND beneficiary_id = :id
) o JOIN access_person m ON m.tenant_id = :tenant AND (m.beneficiary_id = o.id OR m.surviving_id = o.id)"""
# For each id of the person its newest entries, in the order of the index; then the newest of them all.
_ACCESSES = """WITH found AS (
    SELECT DISTINCT s.appended_at, s.chain_index FROM unnest(CAST(:ids AS uuid[])) AS b(id) CROSS JOIN LATERAL (
        SELECT appended_at, chain_index FROM journal_subject s
        WHERE s.tenant_id = :tenant AND s.beneficiary_id = b.id{after}
        ORDER BY appended_at DESC, chain_index DESC LIMIT :limit
    ) s ORDER BY 1 DESC, 2 DESC LIMIT :limit
)
SELECT {columns}
JOIN found f ON f.appended_at = e.appended_at AND f.chain_index = e.chain_index
WHERE e.tenant_id = :tenant ORDER BY e.appended_at DESC, e.chain_index DESC"""


class JournalServicer:
    """Reads and verifies the journal."""

    CONTRACT = pb.DESCRIPTOR.services_by_name["JournalService"]

    def __init__(self, key_file: Path, heads_dir: Path) -> None:
        """`key_file`: the key of the heads, private or public; `heads_dir`: where they are exported."""
        self._key_file = key_file
        self._heads_dir = heads_dir
        # It computes all the while: several at once would take the threads and the time of everybody else's calls.
        self._verifying = threading.Lock()

    def ListJournalEntries(self, request: pb.ListJournalEntriesRequest, call: Call) -> pb.ListJournalEntriesResponse:
        """The journal, newest first."""
        page = call.page(request)
        filters = ""
        if request.HasField("account_id"):
            filters += " AND e.account_id = :account"
        if request.denied_only:
            filters += " AND e.denied"
        if request.break_glass_only:
            filters += " AND e.break_glass"
        statement = _ENTRIES.format(columns=_COLUMNS, filters=filters + (_AFTER if page.after else ""))
        rows = _rows(
            call,
            statement,
            {
                "tenant": call.tenant_id,
                "account": request.account_id or None,
                "limit": page.size + 1,
                **_after(page.after),
            },
        )
        kept, token = page.cut(rows, key=lambda row: (micros(row[0]), row[1]))
        return pb.ListJournalEntriesResponse(entries=map(_to_proto, kept), next_page_token=token)

    def ListRecordAccesses(self, request: pb.ListRecordAccessesRequest, call: Call) -> pb.ListRecordAccessesResponse:
        """Who saw a record: under its own id, and under those of the records merged into it or that it is part of."""
        page = call.page(request)
        ids = [row[0] for row in _rows(call, _SAME_PERSON, {"tenant": call.tenant_id, "id": request.beneficiary_id})]
        if not ids:
            raise not_found("beneficiary_id")
        after = " AND (appended_at, chain_index) < (:at, :index)" if page.after else ""
        rows = _rows(
            call,
            _ACCESSES.format(columns=_COLUMNS, after=after),
            {"tenant": call.tenant_id, "ids": ids, "limit": page.size + 1, **_after(page.after)},
        )
        kept, token = page.cut(rows, key=lambda row: (micros(row[0]), row[1]))
        return pb.ListRecordAccessesResponse(entries=map(_to_proto, kept), next_page_token=token)

    def VerifyJournal(self, request: pb.VerifyJournalRequest, call: Call) -> pb.VerifyJournalResponse:
        """Verifies the chain, or its newest stretch when it is long, against the signed heads; one at a time."""
        del request
        if not self._verifying.acquire(blocking=False):
            raise Refusal(VERIFICATION_UNDER_WAY)
        try:
            report = verify(
                raw(call.session),
                call.tenant_id,
                known_keys(self._key_file),
                self._heads_dir,
                limits=VERIFIED_BY_CALL,
            )
        finally:
            self._verifying.release()
        reply = pb.VerifyJournalResponse(
            valid=report.valid,
            entries=report.entries,
            signed_head_index=report.anchor.chain_index if report.anchor else 0,
            defects=[
                pb.JournalDefect(code=each.code, chain_index=each.chain_index, detail=each.detail)
                for each in report.defects
            ],
            whole=report.whole,
            first_index=report.first_index,
            last_index=report.chain_index,
            end_index=report.end_index,
            subjects_compared=report.subjects_compared,
        )
        if report.anchor:
            reply.signed_head_at.FromJsonString(report.anchor.signed_at.replace("+00:00", "Z"))
        return reply


def _rows(call: Call, statement: str, parameters: dict[str, object]) -> Sequence[Any]:
    return call.session.execute(text(statement), parameters).all()


def _after(key: tuple[str | int | None, ...] | None) -> dict[str, object]:
    if key is None:
        return {}
    at, index = key
    return {"at": from_micros(int(at or 0)), "index": index}


def _to_proto(row: Sequence[Any]) -> pb.AccessRecord:
    _, chain_index, service, content, family_name, given_name = row
    entry = journal_pb2.JournalEntry.FromString(content)
    record = pb.AccessRecord(
        entry_id=entry.entry_id,
        chain_index=chain_index,
        occurred_at=entry.occurred_at,
        service=service,
        operation=entry.operation,
        operation_label=operation_labels().get(entry.operation, ""),
        category=entry.category,
        action=entry.action,
        outcome=entry.outcome,
        reason=entry.reason,
        break_glass=entry.break_glass,
        stale_access=entry.stale_access,
        trace_id=entry.trace_id,
        repeated_call=entry.repeated_call,
    )
    for name in ("account_id", "beneficiary_id", "facility_id", "resource_id", "calling_service"):
        if entry.HasField(name):
            setattr(record, name, getattr(entry, name))
    if family_name is not None:
        record.professional_name = f"{given_name} {family_name}"
    return record
