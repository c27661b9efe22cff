"""The job that deletes drafts that expired."""

from __future__ import annotations

from dui_kit.worker import Job, WorkerContext

from dui_medication.prescriptions.queries import BATCH, delete_expired


def _run(context: WorkerContext) -> None:
    for tenant_id in context.tenants():
        deleted = BATCH
        # A full batch means that there may be more; each is a transaction, so that none lasts.
        while deleted == BATCH and not context.stopping():
            with context.transaction(tenant_id) as call:
                deleted = delete_expired(call)


#: Readers ignore expired drafts at once; this gives their storage back.
DELETE_EXPIRED_DRAFTS = Job(name="delete-expired-prescription-drafts", every_seconds=600, run=_run)
