"""What other capabilities ask of the policy, and how it is announced."""

from __future__ import annotations

from hashlib import sha256

from dui.access.v1 import facts_pb2
from dui.options.v1 import options_pb2
from dui_kit.db.transaction import Transaction
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import distinct_on

from dui_identity.policy.defaults import PROFESSIONS, default_policy
from dui_identity.policy.events import policy_changed
from dui_identity.policy.rules import ADMINISTER, Policy, with_overrides
from dui_identity.policy.tables import PolicyOverride, PolicyPublication

#: What somebody must always be able to administer, or an association could not put anything right by itself.
GUARDED = (options_pb2.CATEGORY_ACCOUNT, options_pb2.CATEGORY_POLICY)


def policy_in_force(transaction: Transaction) -> Policy:
    """The policy of an association: the platform's defaults with its overrides."""
    last = (
        select(PolicyOverride.profession, PolicyOverride.category, PolicyOverride.actions)
        .where(PolicyOverride.tenant_id == transaction.tenant_id)
        .ext(distinct_on(PolicyOverride.profession, PolicyOverride.category))
        .order_by(PolicyOverride.profession, PolicyOverride.category, PolicyOverride.sequence.desc())
    )
    return with_overrides(
        default_policy(),
        [
            ((profession, category), frozenset(actions))
            for profession, category, actions in transaction.session.execute(last)
            if actions is not None
        ],
    )


def guardians(policy: Policy) -> tuple[frozenset[int], ...]:
    """For each thing that must stay administered, the professions that may."""
    return tuple(policy.professions_that_may(ADMINISTER, category) for category in GUARDED)


def announce_policy(transaction: Transaction, policy: Policy) -> None:
    """Publishes the rights of each profession that are not as they were last announced.

    The association's row must be locked: versions are given one after another.
    """
    known = {
        row.profession: row
        for row in transaction.session.scalars(
            select(PolicyPublication).where(PolicyPublication.tenant_id == transaction.tenant_id)
        )
    }
    for profession in PROFESSIONS.values():
        row = known.get(profession)
        fact = policy_changed(policy, profession, version=row.version + 1 if row else 1)
        digest = _digest(fact)
        if row is None:
            transaction.session.add(
                PolicyPublication(tenant_id=transaction.tenant_id, profession=profession, version=1, digest=digest)
            )
        elif row.digest != digest:
            row.version += 1
            row.digest = digest
        else:
            continue
        transaction.publish(fact)


def _digest(fact: facts_pb2.PolicyChanged) -> bytes:
    rights = facts_pb2.PolicyChanged(rights=fact.rights)
    return sha256(rights.SerializeToString(deterministic=True)).digest()
