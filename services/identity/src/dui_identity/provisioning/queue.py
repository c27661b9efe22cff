"""Adding to the queue, in the transaction of the decision."""

from __future__ import annotations

from dui_kit.db.transaction import Transaction
from sqlalchemy import delete, select, text

from dui_identity.provisioning.rules import Kind, Problem
from dui_identity.provisioning.tables import ProvisioningTask

#: What the same person has in other associations of the platform: a value of `Elsewhere`.
ELSEWHERE = text("SELECT subject_elsewhere(:subject, :tenant)")


def enqueue(
    transaction: Transaction, *, account_id: str | None, kind: Kind, password_nonce: bytes | None = None
) -> None:
    """Asks for something at the identity provider; the row of the account (or association) must be locked.

    An invitation replaces the one before, whether it waits to be sent or for its answer.
    """
    if kind is Kind.INVITE:
        task = ProvisioningTask
        mine = (task.tenant_id == transaction.tenant_id, task.account_id == account_id)
        transaction.session.execute(delete(task).where(*mine, task.kind.in_((Kind.INVITE, Kind.ANSWER))))
    transaction.session.add(
        ProvisioningTask(
            tenant_id=transaction.tenant_id,
            account_id=account_id,
            kind=kind,
            password_nonce=password_nonce,
            attempts=0,
            problem=Problem.NONE,
            due_at=transaction.now,
            created_at=transaction.now,
        )
    )
    # One insert after another: their serial numbers are their order.
    transaction.session.flush()


def forget(transaction: Transaction, *, account_id: str) -> None:
    """Takes back what is still to be done for an account, first password included."""
    transaction.session.execute(
        delete(ProvisioningTask).where(
            ProvisioningTask.tenant_id == transaction.tenant_id, ProvisioningTask.account_id == account_id
        )
    )


def association_problem(transaction: Transaction) -> int:
    """What stands in the way of the association's organization: then none of its accounts can be set up."""
    task = ProvisioningTask
    mine = (task.tenant_id == transaction.tenant_id, task.account_id.is_(None))
    return (
        transaction.session.scalar(select(task.problem).where(*mine).order_by(task.sequence).limit(1)) or Problem.NONE
    )


def relied_on_elsewhere(transaction: Transaction, subject: str | None) -> bool:
    """Whether another association has an account of the same person."""
    question = {"subject": subject, "tenant": transaction.tenant_id}
    return bool(subject and transaction.session.scalar(ELSEWHERE, question))
