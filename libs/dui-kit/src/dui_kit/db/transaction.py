"""What a change needs, whoever makes it: a caller, an event or a job."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from google.protobuf.message import Message
from sqlalchemy.orm import Session


class Transaction(Protocol):
    """One transaction of one association. It commits when the call, the event or the job is done."""

    @property
    def session(self) -> Session:
        """A session in the transaction."""

    @property
    def tenant_id(self) -> str:
        """The association."""

    @property
    def now(self) -> datetime:
        """When the change is made, UTC."""

    def publish(self, event: Message) -> None:
        """Announces the change, in this transaction; an access fact also takes effect here, with the commit."""
