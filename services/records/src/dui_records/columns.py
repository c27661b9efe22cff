"""What ties a row of this service to its person."""

from __future__ import annotations

from sqlalchemy import ForeignKeyConstraint


def of_person(table: str) -> ForeignKeyConstraint:
    """The person whom a row is about. The tenant is part of the key: foreign-key checks bypass row-level security."""
    return ForeignKeyConstraint(
        ["tenant_id", "beneficiary_id"],
        ["beneficiary.tenant_id", "beneficiary.beneficiary_id"],
        name=f"{table}_beneficiary_id_fkey",
    )
