"""Between messages and rows of a draft."""

from __future__ import annotations

from dui.records.v1 import drafts_pb2 as pb
from dui_kit.db.columns import AnyRow
from dui_kit.times import to_timestamp


def content_of(sent: pb.Draft) -> bytes:
    """What is kept of a draft: its entry; the rest has columns."""
    kept = pb.Draft()
    kept.CopyFrom(sent)
    for field in ("draft_id", "beneficiary_id", "expires_at", "etag"):
        kept.ClearField(field)
    return kept.SerializeToString()


def to_proto(row: AnyRow, etag: str = "") -> pb.Draft:
    """The draft of a row."""
    message = pb.Draft.FromString(row.content)
    message.draft_id = row.draft_id
    message.beneficiary_id = row.beneficiary_id
    message.expires_at.CopyFrom(to_timestamp(row.expires_at))
    message.etag = etag
    return message
