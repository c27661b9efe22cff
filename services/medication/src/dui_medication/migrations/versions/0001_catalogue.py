"""The kit's tables, and the catalogue of medicines."""

from __future__ import annotations

from alembic import op
from dui_kit.db.schema import create_kit_tables, roles

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_EDITION = """
CREATE TABLE reference.catalogue_edition (
    edition integer NOT NULL,
    source smallint NOT NULL,
    published_on date NOT NULL,
    digest bytea NOT NULL,
    imported_at timestamptz NOT NULL,
    specialties integer NOT NULL,
    presentations integer NOT NULL,
    added integer NOT NULL,
    withdrawn integer NOT NULL,
    changed integer NOT NULL,
    CONSTRAINT catalogue_edition_pkey PRIMARY KEY (edition)
)"""

_SPECIALTY = """
CREATE TABLE reference.specialty (
    cis text COLLATE "C" NOT NULL,
    first_edition integer NOT NULL,
    last_edition integer,
    digest bytea NOT NULL,
    marketed boolean NOT NULL,
    match bytea NOT NULL,
    content bytea NOT NULL,
    CONSTRAINT specialty_pkey PRIMARY KEY (cis, first_edition)
)"""

_WORD = """
CREATE TABLE reference.specialty_word (
    cis text COLLATE "C" NOT NULL,
    word text COLLATE "C" NOT NULL,
    place smallint NOT NULL,
    marketed boolean NOT NULL,
    name_key text COLLATE "C" NOT NULL,
    CONSTRAINT specialty_word_pkey PRIMARY KEY (cis, word)
)"""

_PRESENTATION = """
CREATE TABLE reference.presentation (
    cip13 text COLLATE "C" NOT NULL,
    cis text COLLATE "C" NOT NULL,
    label text NOT NULL,
    marketed boolean NOT NULL,
    CONSTRAINT presentation_pkey PRIMARY KEY (cip13)
)"""

_INDEXES = (
    "CREATE UNIQUE INDEX specialty_current_key ON reference.specialty (cis) WHERE last_edition IS NULL",
    "CREATE INDEX specialty_word_alike_idx ON reference.specialty_word USING gin (word gin_trgm_ops)",
    "CREATE INDEX specialty_word_idx ON reference.specialty_word (word, place, name_key, cis, marketed)",
    "CREATE INDEX specialty_first_edition_idx ON reference.specialty (first_edition, cis)",
    "CREATE INDEX specialty_last_edition_idx ON reference.specialty (last_edition, cis)",
)


def upgrade() -> None:
    """Reference data belong to no association: the owner writes them, the service reads them."""
    create_kit_tables(op)
    # A trusted extension: the owner of the database may create it.
    op.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    _, app, _ = roles(op)
    op.execute("CREATE SCHEMA reference")
    op.execute(f"GRANT USAGE ON SCHEMA reference TO {app}")
    for statement in (_EDITION, _SPECIALTY, _WORD, _PRESENTATION, *_INDEXES):
        op.execute(statement)
    op.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA reference TO {app}")
