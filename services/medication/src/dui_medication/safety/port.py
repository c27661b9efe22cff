"""The port that a prescription is checked through, whatever checks it.

One interface, `SafetyNet`: the whole situation in, alerts and what could not be checked out. The implementation of this
repository is `open_net.OpenSafetyNet`, a safety net from open data; a certified base (HAS) is another class with the same
method, put in its place where the service is put together. Nothing here calls anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import IntEnum
from hashlib import blake2b
from typing import Final, Protocol

from dui_medication.allergies.rules import Allergy
from dui_medication.knowledge.names import canonical
from dui_medication.knowledge.resolution import Substance
from dui_medication.knowledge.rules import Freshness


class Kind(IntEnum):
    """What an alert, or what could not be checked, is about."""

    INTERACTION = 1
    ALLERGY = 2
    DUPLICATE = 3
    DOSE = 4


class AlertLevel(IntEnum):
    """How serious an alert is, on the scale of the ANSM (`thesaurus.Level`); a greater value is more serious."""

    #: À prendre en compte.
    INFORMATION = 1
    #: Précaution d'emploi.
    CAUTION = 2
    #: Déconseillé.
    ADVISED_AGAINST = 3
    #: Contre-indiqué.
    CONTRAINDICATED = 4


class Why(IntEnum):
    """Why something could not be checked."""

    UNKNOWN_SUBSTANCE = 1
    UNREADABLE = 2
    LINE_UNKNOWN = 3
    NO_KNOWLEDGE = 4
    HOMEOPATHIC = 5
    NOT_UNDERSTOOD = 6
    EXCIPIENT = 7
    CLASS_WITHOUT_TABLE = 8
    NAME_SHARED = 9
    #: No ATC code, so no therapeutic group.
    NO_ATC = 10
    #: Nobody gives the data that it would take.
    NO_SOURCE = 11
    #: The record of allergies was not had.
    ALLERGIES_UNKNOWN = 12


@dataclass(frozen=True, slots=True)
class TreatmentLine:
    """A line of the treatment, old or new."""

    reference: str
    substances: tuple[Substance, ...]
    #: Code of the specialty; empty when the medicine is in no catalogue.
    cis: str = ""
    atc: str | None = None
    #: Being prescribed now: the others were there before.
    new: bool = False
    #: Given only if needed (« si besoin »). A line may be both new and conditional.
    conditional: bool = False

    @property
    def medicine(self) -> str:
        """The same for the same medicine, whatever the line."""
        return self.cis or " + ".join(sorted(canonical(substance.label) for substance in self.substances))


@dataclass(frozen=True, slots=True)
class Person:
    """What is known of the person; None: not known, which is not "normal" to any check."""

    age_months: int | None = None
    weight_kg: Decimal | None = None
    pregnant: bool | None = None


@dataclass(frozen=True, slots=True)
class Situation:
    """All that a prescription is checked in."""

    lines: tuple[TreatmentLine, ...]
    #: None: the record was not had. Empty: it has none, which is not "no allergy" either.
    allergies: tuple[Allergy, ...] | None
    today: date
    person: Person = field(default_factory=Person)


@dataclass(frozen=True, slots=True)
class Alert:
    """A finding, for the prescriber. In French, as the sources are."""

    kind: Kind
    level: AlertLevel
    #: References of the lines, in order.
    lines: tuple[str, ...]
    title: str
    text: str
    #: `alert_key`: the same when the same medicines raise the same finding again.
    key: str
    #: A new line is involved.
    new: bool
    #: Id of the allergy; empty for other kinds.
    allergy: str = ""


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Something that was not checked."""

    kind: Kind
    reason: Why
    lines: tuple[str, ...] = ()
    #: Id of the allergy; empty when it is about lines or about everything.
    allergy: str = ""
    #: What it is about: a substance, the words of an allergy; may be empty.
    text: str = ""


@dataclass(frozen=True, slots=True)
class KnowledgeUsed:
    """Something that the answer rests on."""

    name: str
    #: None when it is absent.
    edition_on: date | None
    freshness: Freshness


@dataclass(frozen=True, slots=True)
class SafetyAnswer:
    """The answer; every part in an order that depends on the situation, not on the order that its parts came in."""

    #: The most serious first.
    alerts: tuple[Alert, ...]
    #: Interactions with what no prescription shows (alcohol, grapefruit): to be told, nothing to be overridden.
    reminders: tuple[Alert, ...]
    unavailable: tuple[Unavailable, ...]
    knowledge: tuple[KnowledgeUsed, ...]


class SafetyNet(Protocol):
    """Checks a prescription in its situation. The one interface of a certified base."""

    def check(self, situation: Situation) -> SafetyAnswer:
        """What was found and what could not be checked; ValueError when two lines or two allergies share their reference."""
        ...


def alert_key(kind: Kind, medicines: Iterable[str], finding: Iterable[str]) -> str:
    """The key of an alert: of its kind, the medicines of its lines (`TreatmentLine.medicine`) and what was found.

    No reference of a line or an allergy goes in, so that an override still matches when a draft becomes a prescription. How
    serious it is does: what was overridden as a precaution comes back as a contraindication.
    """
    parts = ("1", kind.name, *sorted(medicines), "", *finding)
    return blake2b("\x1f".join(parts).encode(), digest_size=16).hexdigest()


def blocking(alerts: Iterable[Alert]) -> tuple[Alert, ...]:
    """The alerts of new lines that need an override to go on: interactions from « déconseillé » on, and every allergy."""
    return tuple(alert for alert in alerts if alert.new and _blocks(alert))


def _blocks(alert: Alert) -> bool:
    match alert.kind:
        case Kind.INTERACTION:
            return alert.level >= AlertLevel.ADVISED_AGAINST
        case Kind.ALLERGY:
            return True
        case Kind.DUPLICATE | Kind.DOSE:
            return False


#: What a prescriber reads: French, English.
WHY_LABELS: Final[Mapping[Why, tuple[str, str]]] = {
    Why.UNKNOWN_SUBSTANCE: (
        "Substance inconnue du thésaurus de cette édition.",
        "Substance not in this edition of the thesaurus.",
    ),
    Why.UNREADABLE: ("Nom de substance illisible.", "Name of the substance not readable."),
    Why.LINE_UNKNOWN: ("Composition de la ligne inconnue.", "Composition of the line not known."),
    Why.NO_KNOWLEDGE: ("Aucun thésaurus n'est chargé.", "No thesaurus is loaded."),
    Why.HOMEOPATHIC: ("Souche homéopathique, non comparée.", "Homeopathic stock, not compared."),
    Why.NOT_UNDERSTOOD: ("Texte de l'allergie non compris en entier.", "Text of the allergy not wholly understood."),
    Why.EXCIPIENT: (
        "Excipient, aliment ou matériau : le catalogue n'en dit rien.",
        "Excipient, food or material: the catalogue says nothing of it.",
    ),
    Why.CLASS_WITHOUT_TABLE: (
        "Classe dont aucune table ne dit les substances.",
        "Class without a table of its substances.",
    ),
    Why.NAME_SHARED: (
        "Nom voisin d'une substance de la ligne, à vérifier.",
        "Name close to a substance of the line: have a look.",
    ),
    Why.NO_ATC: ("Pas de code ATC : groupe thérapeutique non comparé.", "No ATC code: therapeutic group not compared."),
    Why.NO_SOURCE: ("Doses maximales : aucune source ouverte.", "Dose ceilings: there is no open source."),
    Why.ALLERGIES_UNKNOWN: (
        "Le dossier des allergies n'a pas pu être lu.",
        "The record of allergies could not be read.",
    ),
}
