"""After another release: its defaults reach the associations, for every cell that they did not change."""

from __future__ import annotations

from dui_kit.worker.parts import Job, WorkerContext

from dui_identity.organisation.queries import association_of
from dui_identity.policy.queries import announce_policy, policy_in_force

#: Seconds between two looks: nothing changes but with a release, of which the worker's start is the sign.
EVERY_SECONDS = 3600.0


def announce_everywhere(context: WorkerContext) -> None:
    """Announces what differs from what was last announced, association after association."""
    for tenant_id in context.tenants():
        if context.stopping():
            return
        with context.transaction(tenant_id) as call:
            association_of(call, lock=True)
            announce_policy(call, policy_in_force(call))


JOB = Job("policy-release", EVERY_SECONDS, announce_everywhere)
