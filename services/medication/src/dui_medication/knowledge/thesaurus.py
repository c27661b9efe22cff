"""The thesaurus of drug interactions of the ANSM, one edition of it, ready to be asked about two substances.

An interaction stands between two sides, each a substance, a class of substances, or something that no prescription
shows (alcohol, grapefruit, « médicaments administrés par voie orale »). A substance stands on its own side and on those
of its classes. What an edition says about two substances is what it says about any pair of their sides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import IntEnum
from typing import Final

from dui_medication.knowledge.names import barest, is_mineral


class Level(IntEnum):
    """How serious an interaction is: the four official levels; a greater value is more serious."""

    #: À prendre en compte.
    APEC = 1
    #: Précaution d'emploi.
    PE = 2
    #: Association déconseillée.
    AD = 3
    #: Contre-indication.
    CI = 4


#: What a prescriber reads: French, English.
LEVEL_LABELS: Final[Mapping[Level, tuple[str, str]]] = {
    Level.APEC: ("À prendre en compte", "To be taken into account"),
    Level.PE: ("Précaution d'emploi", "Precaution for use"),
    Level.AD: ("Association déconseillée", "Combination not recommended"),
    Level.CI: ("Contre-indication", "Contraindication"),
}


class SideKind(IntEnum):
    """What a side of an interaction is."""

    SUBSTANCE = 1
    CLASS = 2
    #: Nothing that the index of substances knows: food, drink, a route of administration.
    OUTSIDE = 3


@dataclass(frozen=True, slots=True)
class Side:
    """One side of an interaction, as the thesaurus names it."""

    name: str
    kind: SideKind


@dataclass(frozen=True, slots=True)
class Conduct:
    """One level of an interaction, and what to do."""

    level: Level
    #: The condition that the level holds under and the conduct; may be empty. Often several levels differ by it alone
    #: (dose, route, indication), which no rule here judges: all are told.
    text: str
    #: The level in the words of the thesaurus; empty when it was read from the text of the entry.
    wording: str


@dataclass(frozen=True, slots=True)
class Interaction:
    """One entry of the thesaurus; each pair of sides has at most one."""

    first: Side
    second: Side
    #: Most serious first; never empty.
    conducts: tuple[Conduct, ...]
    mechanism: str

    @property
    def level(self) -> Level:
        """The most serious level: whether a milder one applies depends on what only the prescriber knows."""
        return self.conducts[0].level

    @property
    def least(self) -> Level:
        """The mildest level, which holds in any case. Where it differs from `level`, an alert says both.

        Two sedatives are « contre-indication entre l'oxybate de sodium et les opiacés », and « à prendre en compte » in
        all other cases: alone, the first would be an alert that nobody reads any more.
        """
        return self.conducts[-1].level


def order_of(interaction: Interaction) -> tuple[int, str, str]:
    """Sorts the worst level first, then by the names of the sides."""
    return -interaction.level, interaction.first.name, interaction.second.name


@dataclass(frozen=True, slots=True, eq=False)
class Thesaurus:
    """One edition, immutable. Made by `edition.build`; all keys are canonical names (`names.canonical`)."""

    edition_on: date
    #: Every name that a substance can be resolved to, with its spelling in the thesaurus.
    spellings: Mapping[str, str]
    #: The names of those that the edition lists as substances.
    substances: frozenset[str]
    #: The sides that a name stands on, itself included where it has interactions of its own.
    sides: Mapping[str, tuple[str, ...]]
    #: By pair of sides, in order.
    interactions: Mapping[tuple[str, str], Interaction]
    #: By side: its interactions with something that no prescription shows.
    outside: Mapping[str, tuple[Interaction, ...]]
    #: The names that are one substance but for its salt, by their barest form; minerals left out (see `names`).
    families: Mapping[str, tuple[str, ...]]
    #: Reviewed names that lead to others, also to some that this edition lacks.
    synonyms: Mapping[str, tuple[str, ...]]

    def between(self, one: str, other: str) -> tuple[Interaction, ...]:
        """What the edition says about two resolved names, the worst first; the order of the two does not matter.

        Nothing about a substance and itself: two lines with one substance are a duplicate, not an interaction. Two
        members of a class that interacts with itself (« AMINOSIDES » and « AUTRES AMINOSIDES ») do interact.

        Raises ValueError for a name that is not of this edition: an answer would read as "no interaction".
        """
        ones, others = self._sides_of(one), self._sides_of(other)
        if one == other:
            return ()
        pairs = {(left, right) if left <= right else (right, left) for left in ones for right in others}
        return tuple(sorted((self.interactions[pair] for pair in pairs if pair in self.interactions), key=order_of))

    def beyond(self, name: str) -> tuple[Interaction, ...]:
        """The interactions of a resolved name with what no prescription shows: to be told, since nobody can check them."""
        return tuple(
            sorted({entry for side in self._sides_of(name) for entry in self.outside.get(side, ())}, key=order_of)
        )

    def named(self, form: str) -> frozenset[str]:
        """The names of this edition that a canonical form leads to; empty if it knows none.

        The index has split single substances over spellings: edition 2020 puts the hypotensive class on PERINDOPRIL
        TERT-BUTYLAMINE and all others on PERINDOPRIL. So every name of the family counts, whichever was met. Of a
        mineral's salt, the mineral counts too: potassium citrate is listed with the citrates, and raises potassium.
        """
        found = set(self.families.get(form, ()))
        if form in self.spellings:
            bare = barest(form)
            found |= {form} | set(self.families.get(bare, ()))
            if is_mineral(bare) and bare in self.spellings:
                found.add(bare)
        for name in self.synonyms.get(form, ()):
            if name in self.spellings:
                found |= {name} | set(self.families.get(barest(name), ()))
        return frozenset(found)

    def _sides_of(self, name: str) -> tuple[str, ...]:
        if name not in self.spellings:
            message = f"« {name} » is no name of the edition of {self.edition_on.isoformat()}: resolve it first"
            raise ValueError(message)
        return self.sides.get(name, ())
