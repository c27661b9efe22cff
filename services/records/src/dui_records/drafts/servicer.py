"""The RPCs of DraftService."""

from __future__ import annotations

from dui.options.v1 import options_pb2
from dui.records.v1 import drafts_pb2 as pb
from dui_kit.calls.call import Call
from dui_kit.db.columns import AnyRow
from dui_kit.errors import not_found
from dui_kit.times import to_timestamp
from dui_kit.wire.contract import Rule, rule_of, value_at
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.descriptor_pool import Default
from sqlalchemy import delete, insert, select, update

from dui_records.drafts.mapping import content_of, to_proto
from dui_records.drafts.queries import about, own
from dui_records.drafts.rules import check_kind, expires_at
from dui_records.drafts.tables import draft

_d = draft.c
_POOL = Default()


def _rule_of_kind(kind: FieldDescriptor) -> Rule:
    """The rule of the RPC that adds such an entry; raises KeyError when there is none: no draft of what nobody could write."""
    name = "".join(word.capitalize() for word in kind.name.split("_"))
    service = _POOL.FindServiceByName(f"{pb.DESCRIPTOR.package}.{name}Service")
    return rule_of(service.methods_by_name[f"Create{name}"])


#: The categories of notes.
_OF_NOTES = frozenset(
    pb.HandoverNoteDraft.DESCRIPTOR.fields_by_name["category"].GetOptions().Extensions[options_pb2.accepted_categories]
)
_RULES = {kind.name: _rule_of_kind(kind) for kind in pb.Draft.DESCRIPTOR.oneofs_by_name["entry"].fields}


def _category(sent: pb.Draft) -> int:
    """The category of what a draft will become; 0 where the entry names it and does not yet."""
    rule = _RULES[sent.WhichOneof("entry") or ""]
    return int(value_at(sent, rule.category_path)) if rule.category_path else rule.category


def _check_right(sent: pb.Draft, call: Call) -> None:
    """Refuses a draft of an entry that the caller could not write."""
    category = _category(sent)
    if category or not sent.HasField("handover_note"):
        call.require(category)


def _may_export(found: pb.Draft, call: Call) -> bool:
    """Whether the caller may export what a draft will become; a note that has no category yet may become one of any."""
    category = _category(found)
    return category in call.categories if category else call.categories.issuperset(_OF_NOTES)


def _one(call: Call, draft_id: str, *, lock: bool = False) -> AnyRow:
    query = select(*_d).where(*own(call), _d.draft_id == draft_id)
    row = call.session.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        raise not_found("draft_id")
    return row


class DraftServicer:
    """Unfinished entries, their author's alone."""

    CONTRACT = pb.DESCRIPTOR.services_by_name["DraftService"]

    def CreateDraft(self, request: pb.CreateDraftRequest, call: Call) -> pb.CreateDraftResponse:
        """Keeps an unfinished entry."""
        kind = check_kind(request.draft.WhichOneof("entry"))
        _check_right(request.draft, call)
        row = call.session.execute(
            insert(draft).returning(*_d),
            {
                "tenant_id": call.tenant_id,
                "draft_id": call.new_id(),
                "beneficiary_id": call.beneficiary_id,
                "author_account_id": call.caller.account_id,
                "kind": kind,
                "content": content_of(request.draft),
                "version": 1,
                "created_at": call.now,
                "expires_at": expires_at(call.now),
            },
        ).one()
        return pb.CreateDraftResponse(draft=to_proto(row, call.etag(row.draft_id, row.version)))

    def ListDrafts(self, request: pb.ListDraftsRequest, call: Call) -> pb.ListDraftsResponse:
        """The caller's own drafts, newest first."""
        query = select(*_d).where(*own(call))
        rows, token = call.page(request).fetch(call.session, query, _d.draft_id, newest_first=True)
        return pb.ListDraftsResponse(
            drafts=[to_proto(row, call.etag(row.draft_id, row.version)) for row in rows], next_page_token=token
        )

    def GetDraft(self, request: pb.GetDraftRequest, call: Call) -> pb.GetDraftResponse:
        """One of the caller's own drafts."""
        row = _one(call, request.draft_id)
        found = to_proto(row, call.etag(row.draft_id, row.version))
        # For the journal. Nobody is refused their own words, whatever they may still write.
        call.category = _category(found)
        return pb.GetDraftResponse(draft=found)

    def ReplaceDraft(self, request: pb.ReplaceDraftRequest, call: Call) -> pb.ReplaceDraftResponse:
        """Replaces the content; the draft keeps its kind and its end."""
        row = _one(call, request.draft_id, lock=True)
        call.check_etag(row.draft_id, row.version)
        check_kind(request.draft.WhichOneof("entry"), row.kind)
        _check_right(request.draft, call)
        written = call.session.execute(
            update(draft)
            .where(*own(call), _d.draft_id == row.draft_id)
            .values(content=content_of(request.draft), version=row.version + 1)
            .returning(*_d)
        ).one()
        return pb.ReplaceDraftResponse(draft=to_proto(written, call.etag(written.draft_id, written.version)))

    def DeleteDraft(self, request: pb.DeleteDraftRequest, call: Call) -> pb.DeleteDraftResponse:
        """Deletes a draft."""
        gone = delete(draft).where(*own(call), _d.draft_id == request.draft_id).returning(_d.draft_id)
        if call.session.scalar(gone) is None:
            raise not_found("draft_id")
        return pb.DeleteDraftResponse()

    def ExportDrafts(self, request: pb.ExportDraftsRequest, call: Call) -> pb.ExportDraftsResponse:
        """Every draft about a person, for the answer to their access request."""
        rows, token = about(call, call.page(request))
        found = [
            pb.ExportedDraft(
                draft=to_proto(row, ""),
                author_account_id=row.author_account_id,
                created_at=to_timestamp(row.created_at),
            )
            for row in rows
        ]
        given = [each for each in found if _may_export(each.draft, call)]
        return pb.ExportDraftsResponse(drafts=given, next_page_token=token, withheld=len(found) - len(given))
