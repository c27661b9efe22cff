"""Two medicines of one therapeutic group: a duplicate that no common substance shows.

The groups are those of the ATC index of the WHO Collaborating Centre for Drug Statistics Methodology (whocc.no): the first
five characters of a code are its fourth level, the chemical or pharmacological subgroup (C10AA, HMG-CoA reductase
inhibitors); the seven are the substance. The catalogue gives codes for medicines of major therapeutic interest only, so
the answer says which lines were not compared. A combination has a group of its own (C10BA): beside the single substance
(C10AA) it is none of these duplicates.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from dui_medication.knowledge.identity import forms_of, telling
from dui_medication.knowledge.rules import Line
from dui_medication.knowledge.thesaurus import Thesaurus

_ATC: Final = re.compile(r"[A-Z]\d\d[A-Z]{2}(?:\d\d)?")
_FOURTH_LEVEL: Final = 5


@dataclass(frozen=True, slots=True)
class TherapeuticDuplicate:
    """Lines with different substances of one ATC group of the fourth level."""

    #: The five characters of the group.
    group: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TherapeuticCheck:
    """The answer, in an order that depends on the lines alone."""

    duplicates: tuple[TherapeuticDuplicate, ...]
    #: The lines without a code that could be compared.
    not_compared: tuple[str, ...]


def therapeutic_duplicates(lines: Iterable[tuple[Line, str | None]], thesaurus: Thesaurus | None) -> TherapeuticCheck:
    """Compares lines, each with the ATC code of its medicine, by group.

    A line is told when another one of its group has none of its substances: one substance on two lines is another finding
    (`rules.Duplicate`).
    """
    groups: defaultdict[str, list[tuple[str, str, frozenset[str]]]] = defaultdict(list)
    not_compared = []
    for line, code in lines:
        written = (code or "").strip().upper()
        if _ATC.fullmatch(written):
            # Of each substance by itself: what two lines share of a salt is not what they share of a substance.
            forms = frozenset[str]().union(*(telling(forms_of((one,), thesaurus)) for one in line.substances))
            groups[written[:_FOURTH_LEVEL]].append((line.id, written, forms))
        else:
            not_compared.append(line.id)
    found = []
    for group, members in groups.items():
        told: set[str] = set()
        for (one, code, forms), (other, other_code, other_forms) in combinations(members, 2):
            # Without a composition on either side, the code of the substance tells.
            differ = forms.isdisjoint(other_forms) if forms and other_forms else code != other_code
            if differ:
                told |= {one, other}
        if told:
            found.append(TherapeuticDuplicate(group, tuple(sorted(told))))
    return TherapeuticCheck(tuple(sorted(found, key=lambda one: one.group)), tuple(sorted(not_compared)))
