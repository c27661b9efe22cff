"""Tables of the catalogue: the same for every association, in the schema `reference`, which the service may only read."""

from __future__ import annotations

from dui_kit.db.columns import instant_column, key_column
from dui_kit.db.tables import Base
from sqlalchemy import Boolean, Column, Date, Index, Integer, LargeBinary, SmallInteger, Table, Text, text

from dui_medication.schemas import REFERENCE

#: One import; the one with the highest number is current.
catalogue_edition = Table(
    "catalogue_edition",
    Base.metadata,
    Column("edition", Integer, primary_key=True, autoincrement=False),
    Column("source", SmallInteger, nullable=False),
    Column("published_on", Date, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    instant_column("imported_at"),
    Column("specialties", Integer, nullable=False),
    Column("presentations", Integer, nullable=False),
    Column("added", Integer, nullable=False),
    Column("withdrawn", Integer, nullable=False),
    Column("changed", Integer, nullable=False),
    schema=REFERENCE,
)

_CURRENT = text("last_edition IS NULL")

#: A specialty as the editions from the first to the last had it. What an edition does not change it does not write again.
specialty = Table(
    "specialty",
    Base.metadata,
    Column("cis", Text(collation="C"), primary_key=True),
    Column("first_edition", Integer, primary_key=True, autoincrement=False),
    #: NULL: the current edition has it.
    Column("last_edition", Integer),
    #: Of `content`.
    Column("digest", LargeBinary, nullable=False),
    Column("marketed", Boolean, nullable=False),
    #: The serialised `SpecialtyMatch` and `Specialty`.
    Column("match", LargeBinary, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Index("specialty_current_key", "cis", unique=True, postgresql_where=_CURRENT),
    Index("specialty_first_edition_idx", "first_edition", "cis"),
    Index("specialty_last_edition_idx", "last_edition", "cis"),
    schema=REFERENCE,
)

#: The words that the specialties of the current edition are found by. Their beginnings are a range of the first index: trigrams
#: would find them too, in 7 ms for three letters instead of 1, since all that begins with one letter shares a trigram.
specialty_word = Table(
    "specialty_word",
    Base.metadata,
    Column("cis", Text(collation="C"), primary_key=True),
    Column("word", Text(collation="C"), primary_key=True),
    #: How good a specialty is that is found by this word, 0 the best (`rules.Place`).
    Column("place", SmallInteger, nullable=False),
    Column("marketed", Boolean, nullable=False),
    #: What lists are sorted by.
    key_column("name_key"),
    Index("specialty_word_idx", "word", "place", "name_key", "cis", "marketed"),
    #: For a word that begins nothing: the one that looks most like it.
    Index("specialty_word_alike_idx", "word", postgresql_using="gin", postgresql_ops={"word": "gin_trgm_ops"}),
    schema=REFERENCE,
)

#: Which specialty a box is of. A code is never given again, and boxes stay on shelves: those that an edition lacks are kept.
presentation = Table(
    "presentation",
    Base.metadata,
    Column("cip13", Text(collation="C"), primary_key=True),
    Column("cis", Text(collation="C"), nullable=False),
    Column("label", Text, nullable=False),
    Column("marketed", Boolean, nullable=False),
    schema=REFERENCE,
)
