"""Adding to the queue, in the transaction of the decision."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete
from sqlalchemy.orm import Session

from dui_identity.provisioning.rules import Kind, Problem
from dui_identity.provisioning.tables import ProvisioningTask


def enqueue(
    session: Session,
    *,
    tenant_id: str,
    account_id: str | None,
    kind: Kind,
    now: datetime,
    password_nonce: bytes | None = None,
) -> None:
    """Asks for something at the identity provider; the row of the account (or association) must be locked."""
    session.add(
        ProvisioningTask(
            tenant_id=tenant_id,
            account_id=account_id,
            kind=kind,
            password_nonce=password_nonce,
            attempts=0,
            problem=Problem.NONE,
            due_at=now,
            created_at=now,
        )
    )


def forget(session: Session, *, tenant_id: str, account_id: str) -> None:
    """Takes back what is still to be done for an account, first password included."""
    session.execute(
        delete(ProvisioningTask).where(
            ProvisioningTask.tenant_id == tenant_id, ProvisioningTask.account_id == account_id
        )
    )
