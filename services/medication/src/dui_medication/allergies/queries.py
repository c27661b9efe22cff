"""The specialties whose names an allergy may hold: « Augmentin » is what is in every box whose name begins so."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping

from dui_kit.calls.call import Call
from dui_kit.db.statements import Query
from sqlalchemy import Text, and_, bindparam, cast, func, or_, select, true
from sqlalchemy.dialects.postgresql import ARRAY

from dui_medication.catalogue import queries as catalogue
from dui_medication.catalogue.rules import Place
from dui_medication.catalogue.tables import specialty_word
from dui_medication.knowledge.composition import substances_in
from dui_medication.knowledge.resolution import Substance

_w = specialty_word.c
#: Specialties of one name that are looked at: a name that begins more of them is that of a substance, which is known as such.
MOST = 60
_asked = func.unnest(cast(bindparam("names", type_=ARRAY(Text())), ARRAY(Text()))).table_valued("name").render_derived()
_name = _asked.c.name.collate("C")
#: A name that goes on with a space or not at all, found by its first word.
_found = (
    select(_w.cis)
    .where(
        _w.word == func.split_part(_name, " ", 1),
        _w.place == bindparam("place"),
        or_(_w.name_key == _name, and_(_w.name_key >= _name + " ", _w.name_key < _name + "!")),
    )
    .limit(bindparam("most"))
    .lateral()
)
_BEGIN = Query(select(_asked.c.name, _found.c.cis).select_from(_asked.join(_found, true())))


def names_of(call: Call, names: Collection[str]) -> Mapping[str, tuple[Substance, ...]]:
    """Which of some canonical names begin the names of specialties, each with the substances of all of these; one of which the
    composition of a specialty is not known is left out (`reading.candidates`)."""
    if not names:
        return {}
    rows = call.rows(_BEGIN, names=sorted(names), place=int(Place.NAME), most=MOST)
    many = {name for name, count in Counter(row.name for row in rows).items() if count >= MOST}
    rows = [row for row in rows if row.name not in many]
    composed = {row.cis: substances_in(row.content) for row in catalogue.specialties(call, {row.cis for row in rows})}
    found: defaultdict[str, dict[Substance, None]] = defaultdict(dict)
    unknown: set[str] = set()
    for row in rows:
        if not composed.get(row.cis):
            unknown.add(row.name)
        found[row.name].update(dict.fromkeys(composed.get(row.cis, ())))
    return {name: tuple(substances) for name, substances in found.items() if name not in unknown}
