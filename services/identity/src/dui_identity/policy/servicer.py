"""Who may do what: reading and overriding the policy."""

from __future__ import annotations

from dui.identity.v1 import access_pb2
from dui_kit.calls.call import Call

from dui_identity.organisation.queries import association_of
from dui_identity.policy import rules
from dui_identity.policy.queries import announce_policy, policy_in_force
from dui_identity.policy.rules import Policy
from dui_identity.policy.tables import PolicyOverride
from dui_identity.staff.queries import assignments_in_force, check_administered


class PolicyServicer:
    """Reads and overrides the policy of the association."""

    CONTRACT = access_pb2.DESCRIPTOR.services_by_name["PolicyService"]

    def GetPolicy(self, request: access_pb2.GetPolicyRequest, call: Call) -> access_pb2.GetPolicyResponse:  # noqa: ARG002
        """Every cell that grants something, and every overridden one."""
        policy = policy_in_force(call)
        cells = {cell for cell, actions in policy.cells.items() if actions} | policy.overridden
        return access_pb2.GetPolicyResponse(grants=[_grant(policy, cell) for cell in sorted(cells)])

    def SetPolicyOverride(
        self, request: access_pb2.SetPolicyOverrideRequest, call: Call
    ) -> access_pb2.SetPolicyOverrideResponse:
        """Overrides a cell."""
        actions = rules.check_actions(request.actions)
        policy = self._decide(call, (request.profession, request.category), actions)
        return access_pb2.SetPolicyOverrideResponse(grant=_grant(policy, (request.profession, request.category)))

    def ResetPolicyOverride(
        self, request: access_pb2.ResetPolicyOverrideRequest, call: Call
    ) -> access_pb2.ResetPolicyOverrideResponse:
        """Takes an override back."""
        policy = self._decide(call, (request.profession, request.category), None)
        return access_pb2.ResetPolicyOverrideResponse(grant=_grant(policy, (request.profession, request.category)))

    @staticmethod
    def _decide(call: Call, cell: rules.Cell, actions: frozenset[int] | None) -> Policy:
        association_of(call, lock=True)
        before = policy_in_force(call)
        if actions is None:
            rules.check_reset(before, cell)
        call.session.add(
            PolicyOverride(
                tenant_id=call.tenant_id,
                profession=cell[0],
                category=cell[1],
                actions=None if actions is None else sorted(actions),
                author_account_id=call.caller.account_id,
                decided_at=call.now,
            )
        )
        call.session.flush()
        policy = policy_in_force(call)
        own = {row.profession for row in assignments_in_force(call, str(call.caller.account_id))}
        rules.check_not_own(before, policy, cell, own)
        check_administered(call, policy)
        announce_policy(call, policy)
        return policy


def _grant(policy: Policy, cell: rules.Cell) -> access_pb2.Grant:
    profession, category = cell
    return access_pb2.Grant(
        profession=profession,  # type: ignore[arg-type]
        category=category,  # type: ignore[arg-type]
        actions=sorted(policy.actions(profession, category)),  # type: ignore[arg-type]
        overridden=cell in policy.overridden,
    )
