"""Reading, finishing and deleting drafts. An expired draft is gone for every reader, before the job deletes it."""

from __future__ import annotations

from collections.abc import Sequence

from dui_kit.calls.call import Call
from dui_kit.calls.pages import Page
from dui_kit.db.columns import AnyRow
from dui_kit.db.transaction import Transaction
from dui_kit.errors import not_found
from sqlalchemy import ColumnElement, delete, select

from dui_records.drafts.tables import draft

_d = draft.c
#: Drafts that one run of the job deletes in one transaction.
BATCH = 1000


def own(call: Call) -> list[ColumnElement[bool]]:
    """The caller's own drafts about the person of the call; anybody else's are NOT_FOUND."""
    return [
        _d.tenant_id == call.tenant_id,
        _d.beneficiary_id.in_(call.beneficiary_ids),
        _d.author_account_id == call.caller.account_id,
        _d.expires_at > call.now,
    ]


def finish(call: Call, kind: str, draft_id: str) -> None:
    """Takes away the draft that an entry finishes, in the transaction of the entry."""
    gone = delete(draft).where(*own(call), _d.draft_id == draft_id, _d.kind == kind).returning(_d.draft_id)
    if call.session.scalar(gone) is None:
        raise not_found("draft_id")


def about(call: Call, page: Page) -> tuple[Sequence[AnyRow], str]:
    """A page of the drafts about the person of the call, whoever writes them, oldest first; and the token of the next one."""
    query = select(*_d).where(
        _d.tenant_id == call.tenant_id, _d.beneficiary_id.in_(call.beneficiary_ids), _d.expires_at > call.now
    )
    return page.fetch(call.session, query, _d.draft_id)


def delete_expired(transaction: Transaction) -> int:
    """Deletes up to a batch of the drafts of an association that expired; returns how many."""
    own = _d.tenant_id == transaction.tenant_id
    expired = select(_d.draft_id).where(own, _d.expires_at <= transaction.now).limit(BATCH)
    gone = transaction.session.scalars(delete(draft).where(own, _d.draft_id.in_(expired)).returning(_d.draft_id))
    return len(gone.all())
