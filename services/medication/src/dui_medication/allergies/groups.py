"""Groups of substances that cross-react, as `cross_allergies.toml` has them, ready to be asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import IntEnum
from typing import Final


class Likelihood(IntEnum):
    """How likely it is that somebody allergic to one reacts to the other; a greater value is likelier."""

    #: Reported, or not ruled out by the source.
    POSSIBLE = 1
    #: In a large part of those tested, or the source asks to avoid the whole group.
    EXPECTED = 2


#: What a prescriber reads: French, English.
LIKELIHOOD_LABELS: Final[Mapping[Likelihood, tuple[str, str]]] = {
    Likelihood.POSSIBLE: ("Réaction croisée possible", "Cross-reaction possible"),
    Likelihood.EXPECTED: ("Réaction croisée à craindre", "Cross-reaction to be expected"),
}


class Reason(IntEnum):
    """Why an allergy, or a line, could not be compared."""

    NOT_UNDERSTOOD = 1
    #: An excipient, a food, a material: the catalogue knows active substances only.
    EXCIPIENT = 2
    CLASS_WITHOUT_TABLE = 3
    LINE_UNKNOWN = 4
    HOMEOPATHIC = 5
    #: A substance of the line has the name among other words: the same or another, no rule here tells.
    NAME_SHARED = 7
    #: There is no thesaurus to read names with.
    NO_KNOWLEDGE = 6


#: What a prescriber reads: French, English.
REASON_LABELS: Final[Mapping[Reason, tuple[str, str]]] = {
    Reason.NOT_UNDERSTOOD: (
        "Contrôle indisponible : le texte de l'allergie n'a pas été compris en entier.",
        "Not checked: the text of the allergy was not wholly understood.",
    ),
    Reason.EXCIPIENT: (
        "Contrôle indisponible : le catalogue ne dit rien des excipients, des aliments ni des matériaux.",
        "Not checked: the catalogue says nothing of excipients, foods or materials.",
    ),
    Reason.CLASS_WITHOUT_TABLE: (
        "Contrôle indisponible : aucune table ne dit quelles substances sont de cette classe.",
        "Not checked: no table says which substances are of this class.",
    ),
    Reason.LINE_UNKNOWN: (
        "Contrôle indisponible : la composition de cette ligne n'est pas connue.",
        "Not checked: the composition of this line is not known.",
    ),
    Reason.HOMEOPATHIC: (
        "Contrôle indisponible : les souches homéopathiques ne sont pas comparées.",
        "Not checked: homeopathic stocks are not compared.",
    ),
    Reason.NAME_SHARED: (
        "Contrôle indisponible : une substance de cette ligne porte un nom voisin, à vérifier.",
        "Not checked: a substance of this line has a name that contains this one; have a look.",
    ),
    Reason.NO_KNOWLEDGE: (
        "Contrôle indisponible : aucun thésaurus n'est chargé pour lire les noms des substances.",
        "Not checked: no thesaurus is loaded to read the names of substances with.",
    ),
}


@dataclass(frozen=True, slots=True)
class Cross:
    """Another group that members of a group cross-react with."""

    group: str
    likelihood: Likelihood
    #: What the source says about it, for the reader; may be empty.
    note: str


@dataclass(frozen=True, slots=True)
class Group:
    """Substances that cross-react, under a name."""

    key: str
    name: str
    spellings: tuple[str, ...]
    #: As the catalogue writes them, those of the groups that this one includes too.
    members: tuple[str, ...]
    #: The same as canonical names (`identity.forms_of_name`).
    forms: frozenset[str]
    #: Between its members; None: a member says nothing about another (they share a word, not an allergy).
    between: Likelihood | None
    #: Somebody allergic to a member is not held to be so to the group: it counts when a text names the group alone.
    only_by_name: bool
    #: What the name says is, or may be, an excipient, a food or a material as well.
    excipient: bool
    crosses: tuple[Cross, ...]
    source: str
    note: str

    @property
    def when_named(self) -> Likelihood:
        """How likely a member is to be meant by a text that names the group; a vague word (« iode ») says little."""
        return (self.between or Likelihood.POSSIBLE) if self.only_by_name else Likelihood.EXPECTED


@dataclass(frozen=True, slots=True)
class Word:
    """What a spelling of the table means."""

    groups: tuple[str, ...] = ()
    #: Substances, as the catalogue writes them.
    means: tuple[str, ...] = ()
    #: It cannot be checked, or not wholly.
    reason: Reason | None = None


@dataclass(frozen=True, slots=True, eq=False)
class CrossTable:
    """The whole table, immutable. Made by `loading.read_table`."""

    compiled_on: date
    reviewed: bool
    groups: Mapping[str, Group]
    #: By spelling, canonical and in the singular (`singular`).
    words: Mapping[str, Word]
    #: The groups that a canonical name of a substance is a member of.
    groups_of: Mapping[str, tuple[str, ...]]


#: A word of three letters keeps its last: « ANS », « TES ».
_SHORTEST: Final = 3


def singular(form: str) -> str:
    """A canonical text with its plurals taken off, to compare with others in the same form."""
    return " ".join(word[:-1] if len(word) > _SHORTEST and word.endswith("S") else word for word in form.split())
