"""The knowledge of interactions."""

from __future__ import annotations

from alembic import op
from dui_kit.db.schema import roles

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_EDITION = """
CREATE TABLE reference.thesaurus_edition (
    edition integer NOT NULL,
    edition_on date NOT NULL,
    digest bytea NOT NULL,
    imported_at timestamptz NOT NULL,
    entries integer NOT NULL,
    interactions bytea NOT NULL,
    substances bytea NOT NULL,
    CONSTRAINT thesaurus_edition_pkey PRIMARY KEY (edition)
)"""

_COVERAGE = """
CREATE TABLE reference.interaction_coverage (
    catalogue_edition integer NOT NULL,
    thesaurus_edition integer NOT NULL,
    content bytea NOT NULL,
    CONSTRAINT interaction_coverage_pkey PRIMARY KEY (catalogue_edition, thesaurus_edition)
)"""


def upgrade() -> None:
    """The owner writes it, the service reads it."""
    _, app, _ = roles(op)
    op.execute(_EDITION)
    op.execute(_COVERAGE)
    op.execute(f"GRANT SELECT ON reference.thesaurus_edition, reference.interaction_coverage TO {app}")
