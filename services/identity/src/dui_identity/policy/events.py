"""Facts that the policy publishes."""

from __future__ import annotations

from dui.access.v1 import facts_pb2

from dui_identity.policy.rules import Policy


def policy_changed(policy: Policy, profession: int, *, version: int) -> facts_pb2.PolicyChanged:
    """The fact of what one profession may do."""
    return facts_pb2.PolicyChanged(
        policy_id=f"profession-{profession}",
        version=version,
        profession=profession,
        rights=[
            facts_pb2.Right(category=category, actions=sorted(actions))
            for category, actions in policy.rights(profession).items()
        ],
    )
