"""From the name of a substance on a prescription to the names that the thesaurus knows it by.

The result says how it was found, or why it was not. Not found has two causes that are told apart and answered alike:

- UNREADABLE: no name that could be compared (empty, cut, in other letters). Nothing is known about it.
- UNKNOWN: a name that this edition has nothing under. The thesaurus lists only substances that interact, so this often
  means that there is nothing to say. But it means the same for a substance that came after the edition, and for one that
  the thesaurus writes in a way that is not in our table; nothing here can tell the three apart.

Both are "contrôle indisponible". To answer "no interaction" would be to answer for what was not looked up.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum

from dui_medication.knowledge.names import acid_of, barer, canonical, is_homeopathic, is_readable
from dui_medication.knowledge.thesaurus import Thesaurus


class How(IntEnum):
    """How a name was resolved, the surest first."""

    EXACT = 1
    #: Without its salt, its water or its grade.
    SALT_REMOVED = 2
    #: By the reviewed table (`synonyms.toml`).
    SYNONYM = 3


class Reason(IntEnum):
    """Why a substance could not be checked."""

    UNKNOWN = 1
    UNREADABLE = 2
    #: The line names no substance at all.
    NO_SUBSTANCE = 3
    #: There is no thesaurus to check against.
    NO_KNOWLEDGE = 4


#: What a prescriber reads: French, English.
REASON_LABELS = {
    Reason.UNKNOWN: (
        "Contrôle indisponible : le thésaurus de cette édition ne connaît pas cette substance.",
        "Not checked: this edition of the thesaurus does not know this substance.",
    ),
    Reason.UNREADABLE: (
        "Contrôle indisponible : le nom de la substance n'a pas pu être lu.",
        "Not checked: the name of the substance could not be read.",
    ),
    Reason.NO_SUBSTANCE: (
        "Contrôle indisponible : la composition de cette ligne n'est pas connue.",
        "Not checked: the composition of this line is not known.",
    ),
    Reason.NO_KNOWLEDGE: (
        "Contrôle indisponible : aucun thésaurus des interactions n'est chargé.",
        "Not checked: no thesaurus of interactions is loaded.",
    ),
}


@dataclass(frozen=True, slots=True)
class Substance:
    """A substance of a medicine under all its names: what is in the box (SA) and its active moiety (FT)."""

    names: tuple[str, ...]

    @property
    def label(self) -> str:
        """The name to show; empty if it has none."""
        return self.names[0] if self.names else ""


@dataclass(frozen=True, slots=True)
class Resolved:
    """Found: the canonical names of the thesaurus that are this substance, in order; usually one."""

    label: str
    found: tuple[str, ...]
    how: How


@dataclass(frozen=True, slots=True)
class Homeopathic:
    """A homeopathic stock: no matter that the thesaurus speaks of, so neither checked nor missing; told apart."""

    label: str


@dataclass(frozen=True, slots=True)
class Unresolved:
    """Not found."""

    label: str
    reason: Reason


def resolve_name(name: str, thesaurus: Thesaurus) -> Resolved | Homeopathic | Unresolved:
    """Looks one name up: as written, then barer and barer, the acid of an anion last. The first form that leads wins."""
    if is_homeopathic(name):
        return Homeopathic(name)
    if not is_readable(name):
        return Unresolved(name, Reason.UNREADABLE)
    form = canonical(name)
    forms = (form, *barer(form))
    for candidate in (*forms, *(acid for bare in forms if (acid := acid_of(bare)) is not None)):
        if found := thesaurus.named(candidate):
            return Resolved(name, tuple(sorted(found)), _how(candidate, form, thesaurus))
    return Unresolved(name, Reason.UNKNOWN)


def resolve(substance: Substance, thesaurus: Thesaurus) -> Resolved | Homeopathic | Unresolved:
    """Looks a substance up by all its names. Any may lead; all that do count: LYMÉCYCLINE is listed, and TÉTRACYCLINE too."""
    answers = [resolve_name(name, thesaurus) for name in substance.names]
    resolved = [answer for answer in answers if isinstance(answer, Resolved)]
    if resolved:
        found = sorted({name for answer in resolved for name in answer.found})
        return Resolved(substance.label, tuple(found), min(answer.how for answer in resolved))
    if any(isinstance(answer, Homeopathic) for answer in answers):
        return Homeopathic(substance.label)
    unread = all(isinstance(answer, Unresolved) and answer.reason is Reason.UNREADABLE for answer in answers)
    return Unresolved(substance.label, Reason.UNREADABLE if unread else Reason.UNKNOWN)


def _how(candidate: str, form: str, thesaurus: Thesaurus) -> How:
    listed = candidate in thesaurus.spellings or candidate in thesaurus.families
    if not listed:
        return How.SYNONYM
    return How.EXACT if candidate == form and candidate in thesaurus.spellings else How.SALT_REMOVED


def substances_of(components: Iterable[tuple[str, Sequence[str]]]) -> tuple[Substance, ...]:
    """The substances of a medicine, each under all its names, from its components: what is in the box (SA), and the active moieties
    (FT) that are linked to it.

    With one moiety both names are one substance, and either may resolve. What is linked to several moieties holds several
    substances (sacubitril and valsartan): each name then stands for itself, the compound's too, so that none is taken for
    resolved because another one is.
    """
    found: dict[tuple[str, ...], None] = {}
    for substance, moieties in components:
        names = tuple(dict.fromkeys((substance, *moieties)))
        if len(set(moieties)) <= 1:
            found[names] = None
        else:
            found |= {(name,): None for name in names}
    return tuple(Substance(names) for names in found)
