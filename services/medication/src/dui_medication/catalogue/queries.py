"""Looking into the catalogue. It has no tenant, so its searches may use trigrams; every query is bounded."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cache
from typing import Any

from dui_kit.calls.call import Call
from dui_kit.calls.pages import Page
from dui_kit.db.columns import AnyRow
from dui_kit.db.statements import Query
from sqlalchemy import ColumnElement, FromClause, Integer, Text, and_, any_, bindparam, exists, func, select, tuple_
from sqlalchemy.dialects.postgresql import ARRAY, distinct_on

from dui_medication.catalogue.tables import catalogue_edition, presentation, specialty, specialty_word

_s = specialty.c
_w = specialty_word.c
_e = catalogue_edition.c
_current = _s.last_edition.is_(None)
#: Above every edition.
_NO_EDITION = 2**31 - 1
#: Above every letter, in collation "C".
_LAST = "\U0010ffff"


# ---------------------------------------------------------------------------------------------------------------- search


def _begins(table: FromClause, number: int) -> ColumnElement[bool]:
    """A word of the table begins with that word of the search: a range of the index."""
    low, high = (bindparam(f"{side}{number}", type_=_w.word.type) for side in ("low", "high"))
    return and_(table.c.word >= low, table.c.word < high)


@cache
def _search(words: int, *, marketed_only: bool, continued: bool) -> Query:
    """The first word finds specialties; of these, each other word has to begin a word too."""
    found = select(func.min(_w.place).label("place"), _w.name_key, _w.cis).where(_begins(specialty_word, 0))
    for number in range(1, words):
        other = specialty_word.alias()
        found = found.where(exists().where(other.c.cis == _w.cis, _begins(other, number)))
    if marketed_only:
        found = found.where(_w.marketed)
    found = found.group_by(_w.name_key, _w.cis)
    place = func.min(_w.place)
    if continued:
        after = tuple_(
            bindparam("place"), bindparam("name", type_=_w.name_key.type), bindparam("cis", type_=_w.cis.type)
        )
        found = found.having(tuple_(place, _w.name_key, _w.cis) > after)
    best = found.order_by(place, _w.name_key, _w.cis).limit(bindparam("size")).subquery()
    return Query(
        select(best.c.place, best.c.name_key, best.c.cis, _s.match)
        .select_from(best.join(specialty, and_(_s.cis == best.c.cis, _current)))
        .order_by(best.c.place, best.c.name_key, best.c.cis)
    )


def search(call: Call, words: Sequence[str], page: Page, *, marketed_only: bool) -> tuple[Sequence[AnyRow], str]:
    """A page of the specialties that the words of `searched_words` find, the best first, and the token of the next one."""
    values: dict[str, object] = {"size": page.size + 1}
    for number, word in enumerate(words):
        values |= {f"low{number}": word, f"high{number}": word + _LAST}
    if page.after:
        values |= dict(zip(("place", "name", "cis"), page.after, strict=True))
    query = _search(len(words), marketed_only=marketed_only, continued=page.after is not None)
    return page.cut(call.rows(query, **values), key=lambda row: (row.place, row.name_key, row.cis))


#: pg_trgm takes words for alike that share three of ten trigrams; that makes PIRACETAM of PARACETAMOLE.
_ALIKE = 0.4
_typed = bindparam("typed", type_=Text())
_likeness = func.similarity(_w.word, _typed)
_NEAREST = Query(
    select(_w.word, func.max(_likeness).label("likeness"))
    .where(_w.word.bool_op("%")(_typed))
    .group_by(_w.word)
    .order_by(func.max(_likeness).desc(), _w.word)
    .limit(1)
)


def nearest(call: Call, word: str) -> str | None:
    """The word of the catalogue that looks most like one with a slip in it; None: none looks alike."""
    row = call.row(_NEAREST, typed=word)
    return None if row is None or row.likeness < _ALIKE else str(row.word)


# --------------------------------------------------------------------------------------------------------------- reading

_SPECIALTY = Query(
    select(_s.first_edition, _s.last_edition, _s.content)
    .where(_s.cis == bindparam("cis"), _s.first_edition <= bindparam("edition"))
    .order_by(_s.first_edition.desc())
    .limit(1)
)
_PRESENTATION = Query(
    select(presentation.c.label, presentation.c.marketed, _s.first_edition, _s.last_edition, _s.content)
    .select_from(presentation.join(specialty, presentation.c.cis == _s.cis))
    .where(presentation.c.cip13 == bindparam("cip13"))
    .order_by(_s.first_edition.desc())
    .limit(1)
)
_LAST_EDITION = Query(select(_e.edition).order_by(_e.edition.desc()).limit(1))
_EDITIONS = Query(
    select(*_e).where(_e.edition < bindparam("before")).order_by(_e.edition.desc()).limit(bindparam("size"))
)


def specialty_of(call: Call, cis: str, edition: int | None) -> AnyRow | None:
    """A specialty as an edition has it; without one, as the last edition that has it does. None: it never had."""
    row = call.row(_SPECIALTY, cis=cis, edition=_NO_EDITION if edition is None else edition)
    if row is None or edition is None or row.last_edition is None or row.last_edition >= edition:
        return row
    return None


#: Of each specialty the last version, also of one that was withdrawn: somebody may take it still.
_SPECIALTIES = Query(
    select(_s.cis, _s.first_edition, _s.last_edition, _s.content)
    .where(_s.cis == any_(bindparam("codes", type_=ARRAY(Text()))))
    .order_by(_s.cis, _s.first_edition.desc())
    .ext(distinct_on(_s.cis))
)


def specialties(call: Call, codes: Collection[str]) -> list[AnyRow]:
    """Some specialties, each as the last edition that has it does; one that no edition has is left out."""
    return call.rows(_SPECIALTIES, codes=sorted(set(codes))) if codes else []


def specialty_of_box(call: Call, cip13: str) -> AnyRow | None:
    """A box, and its specialty as the last edition that has it does. None: no edition had the box."""
    return call.row(_PRESENTATION, cip13=cip13)


def last_edition(call: Call) -> int | None:
    """The number of the current edition; None: nothing was imported."""
    row = call.row(_LAST_EDITION)
    return None if row is None else int(row.edition)


def editions(call: Call, page: Page) -> tuple[Sequence[AnyRow], str]:
    """A page of the editions, newest first, and the token of the next one."""
    before = page.after[0] if page.after else _NO_EDITION
    return page.cut(call.rows(_EDITIONS, before=before, size=page.size + 1), key=lambda row: (row.edition,))


@cache
def _changes(*, continued: bool) -> Query:
    new, old = specialty.alias("new"), specialty.alias("old")
    begun = select(new.c.cis, new.c.match).where(new.c.first_edition == bindparam("edition"))
    ended = select(old.c.cis, old.c.match).where(old.c.last_edition == bindparam("before"))
    if continued:
        begun, ended = begun.where(new.c.cis > bindparam("after")), ended.where(old.c.cis > bindparam("after"))
    # Each side is cut at the size of the page: what is beyond it on one side is beyond it on both.
    size = bindparam("size", type_=Integer())
    here = begun.order_by(new.c.cis).limit(size).subquery()
    gone = ended.order_by(old.c.cis).limit(size).subquery()
    cis = func.coalesce(here.c.cis, gone.c.cis)
    return Query(
        select(cis.label("cis"), here.c.match.label("new_match"), gone.c.match.label("old_match"))
        .select_from(here.outerjoin(gone, here.c.cis == gone.c.cis, full=True))
        .order_by(cis)
        .limit(size)
    )


def changes(call: Call, edition: int, page: Page) -> tuple[Sequence[AnyRow], str]:
    """A page of what an edition changed, by CIS, and the token of the next one."""
    values: dict[str, Any] = {"edition": edition, "before": edition - 1, "size": page.size + 1}
    if page.after:
        values["after"] = page.after[0]
    return page.cut(call.rows(_changes(continued=page.after is not None), **values), key=lambda row: (row.cis,))
