"""Tables of the knowledge of interactions: the same for every association, in the schema `reference`."""

from __future__ import annotations

from dui_kit.db.columns import instant_column
from dui_kit.db.tables import Base
from sqlalchemy import Column, Date, Integer, LargeBinary, Table

from dui_medication.schemas import REFERENCE

#: One import of the thesaurus; the one with the highest number is current.
thesaurus_edition = Table(
    "thesaurus_edition",
    Base.metadata,
    Column("edition", Integer, primary_key=True, autoincrement=False),
    Column("edition_on", Date, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    instant_column("imported_at"),
    Column("entries", Integer, nullable=False),
    #: The two files as they came, compressed (zlib).
    Column("interactions", LargeBinary, nullable=False),
    Column("substances", LargeBinary, nullable=False),
    schema=REFERENCE,
)

#: How much of an edition of the catalogue an edition of the thesaurus can speak about: counted when either is imported.
interaction_coverage = Table(
    "interaction_coverage",
    Base.metadata,
    Column("catalogue_edition", Integer, primary_key=True, autoincrement=False),
    Column("thesaurus_edition", Integer, primary_key=True, autoincrement=False),
    #: The serialised `InteractionKnowledge`, of which only the shares and the names are set.
    Column("content", LargeBinary, nullable=False),
    schema=REFERENCE,
)
