"""After another release: its defaults reach the associations, for every cell that they did not change."""

from __future__ import annotations

from datetime import UTC, datetime

from dui_kit.database import raw
from dui_kit.outbox import Outbox
from dui_kit.worker.contract import ConsumerCall, Job, WorkerContext

from dui_identity.organisation.queries import association_of
from dui_identity.policy.queries import announce_policy, policy_in_force

#: Seconds between two looks: nothing changes but with a release, of which the worker's start is the sign.
EVERY_SECONDS = 3600.0


def announce_everywhere(context: WorkerContext) -> None:
    """Announces what differs from what was last announced, association after association."""
    for tenant_id in context.tenants():
        if context.stopping():
            return
        with context.tenant_session(tenant_id) as session:
            call = ConsumerCall(session, tenant_id, datetime.now(UTC), Outbox("identity", tenant_id))
            association_of(session, tenant_id, lock=True)
            announce_policy(session, call.publish, tenant_id, policy_in_force(session, tenant_id))
            session.flush()
            call.outbox.write(raw(session))


JOB = Job("policy-release", EVERY_SECONDS, announce_everywhere)
