"""The safety net from open data: the ANSM thesaurus, the table of cross-allergies, and the ATC groups that the catalogue gives.

It is no certified software for prescription (HAS): it says what it found, with which knowledge, and what it could not check.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from dui_medication.allergies import groups as cross
from dui_medication.allergies.groups import LIKELIHOOD_LABELS, CrossTable, Likelihood
from dui_medication.allergies.rules import Answer, Hit, check_allergies
from dui_medication.knowledge import resolution, rules
from dui_medication.knowledge.names import canonical
from dui_medication.knowledge.resolution import Substance
from dui_medication.knowledge.therapeutic import therapeutic_duplicates
from dui_medication.knowledge.thesaurus import LEVEL_LABELS, Interaction, Thesaurus
from dui_medication.safety.port import (
    Alert,
    AlertLevel,
    Kind,
    KnowledgeUsed,
    SafetyAnswer,
    Situation,
    TreatmentLine,
    Unavailable,
    Why,
    alert_key,
)

THESAURUS_NAME: Final = "Thésaurus des interactions médicamenteuses de l'ANSM"
TABLE_NAME: Final = "Table des allergies croisées"
NOT_REVIEWED: Final = " (non relue par un pharmacien)"

_WHY_UNCHECKED: Final[Mapping[resolution.Reason, Why]] = {
    resolution.Reason.UNKNOWN: Why.UNKNOWN_SUBSTANCE,
    resolution.Reason.UNREADABLE: Why.UNREADABLE,
    resolution.Reason.NO_SUBSTANCE: Why.LINE_UNKNOWN,
    resolution.Reason.NO_KNOWLEDGE: Why.NO_KNOWLEDGE,
}
_WHY_GAP: Final[Mapping[cross.Reason, Why]] = {
    cross.Reason.NOT_UNDERSTOOD: Why.NOT_UNDERSTOOD,
    cross.Reason.EXCIPIENT: Why.EXCIPIENT,
    cross.Reason.CLASS_WITHOUT_TABLE: Why.CLASS_WITHOUT_TABLE,
    cross.Reason.LINE_UNKNOWN: Why.LINE_UNKNOWN,
    cross.Reason.HOMEOPATHIC: Why.HOMEOPATHIC,
    cross.Reason.NAME_SHARED: Why.NAME_SHARED,
    cross.Reason.NO_KNOWLEDGE: Why.NO_KNOWLEDGE,
}
#: The same for whatever allergy: told once, not for each.
_WHATEVER_THE_ALLERGY: Final = frozenset((Why.LINE_UNKNOWN, Why.HOMEOPATHIC, Why.NO_KNOWLEDGE))


@dataclass(frozen=True, slots=True)
class OpenSafetyNet:
    """The checks of this repository behind the port; what they know comes in here, the situation with each call."""

    thesaurus: Thesaurus | None
    table: CrossTable
    #: The substances of specialties by the words of their names, for what the allergies name (`reading.candidates`).
    names: Mapping[str, tuple[Substance, ...]]
    #: How long after its date knowledge is held to be current.
    valid_for: timedelta

    def check(self, situation: Situation) -> SafetyAnswer:
        """Interactions, allergies and duplicates; of doses it says that there is no source."""
        lines = {line.reference: line for line in situation.lines}
        if len(lines) < len(situation.lines):
            raise ValueError("two lines have one reference: an alert would not say which it is about")
        checked = rules.check(
            [_rules_line(line) for line in situation.lines if not line.new and not line.conditional],
            [_rules_line(line) for line in situation.lines if line.new],
            [_rules_line(line) for line in situation.lines if line.conditional and not line.new],
            self.thesaurus,
            today=situation.today,
            valid_for=self.valid_for,
        )
        plain = [_rules_line(line) for line in situation.lines]
        answers = check_allergies(situation.allergies or (), plain, self.table, self.thesaurus, self.names)
        coded = [(_rules_line(line), line.atc) for line in situation.lines]
        grouped = therapeutic_duplicates(coded, self.thesaurus)

        alerts = {
            *(_interaction(one.lines, one.interaction, lines) for one in checked.findings),
            *(_allergy(answer, hit, lines) for answer in answers for hit in answer.hits),
            *(_duplicate(one.lines, one.substance, lines) for one in checked.duplicates),
            *(_therapeutic(one.lines, one.group, lines) for one in grouped.duplicates),
        }
        unavailable = {*_unchecked(checked), *(gap for answer in answers for gap in _gaps(answer))}
        unavailable.add(Unavailable(Kind.DOSE, Why.NO_SOURCE))
        if situation.allergies is None:
            unavailable.add(Unavailable(Kind.ALLERGY, Why.ALLERGIES_UNKNOWN))
        if grouped.not_compared:
            unavailable.add(Unavailable(Kind.DUPLICATE, Why.NO_ATC, grouped.not_compared))
        return SafetyAnswer(
            alerts=tuple(sorted(alerts, key=_order)),
            reminders=tuple(
                sorted({_interaction((one.line,), one.interaction, lines) for one in checked.reminders}, key=_order)
            ),
            unavailable=tuple(
                sorted(unavailable, key=lambda one: (one.kind, one.allergy, one.lines, one.reason, one.text))
            ),
            knowledge=self._knowledge(checked.knowledge, situation),
        )

    def _knowledge(self, thesaurus: rules.KnowledgeState, situation: Situation) -> tuple[KnowledgeUsed, ...]:
        compiled = self.table.compiled_on
        return (
            KnowledgeUsed(THESAURUS_NAME, thesaurus.edition_on, thesaurus.freshness),
            KnowledgeUsed(
                TABLE_NAME + ("" if self.table.reviewed else NOT_REVIEWED),
                compiled,
                rules.freshness_on(situation.today, compiled, self.valid_for),
            ),
        )


def _rules_line(line: TreatmentLine) -> rules.Line:
    return rules.Line(line.reference, line.substances)


def _order(alert: Alert) -> tuple[int, int, tuple[str, ...], str, str, str]:
    return -alert.level, alert.kind, alert.lines, alert.allergy, alert.key, alert.text


def _is_new(references: tuple[str, ...], lines: Mapping[str, TreatmentLine]) -> bool:
    return any(lines[reference].new for reference in references)


def _medicines(references: tuple[str, ...], lines: Mapping[str, TreatmentLine]) -> list[str]:
    return [lines[reference].medicine for reference in references]


def _interaction(references: tuple[str, ...], entry: Interaction, lines: Mapping[str, TreatmentLine]) -> Alert:
    level, least = LEVEL_LABELS[entry.level][0], LEVEL_LABELS[entry.least][0]
    heading = level if level == least else f"{level} (dans tous les cas : {least.lower()})"
    conducts = [
        f"{LEVEL_LABELS[one.level][0]} : {one.text}" if one.text else LEVEL_LABELS[one.level][0]
        for one in entry.conducts
    ]
    sides = sorted((canonical(entry.first.name), canonical(entry.second.name)))
    levels = [f"{one.level.name} {one.text}" for one in entry.conducts]
    return Alert(
        Kind.INTERACTION,
        AlertLevel(entry.level),
        references,
        title=f"{heading} : {entry.first.name} et {entry.second.name}",
        text="\n".join([*conducts, *filter(None, [entry.mechanism])]),
        key=alert_key(Kind.INTERACTION, _medicines(references, lines), [*sides, *levels]),
        new=_is_new(references, lines),
    )


def _allergy(answer: Answer, hit: Hit, lines: Mapping[str, TreatmentLine]) -> Alert:
    allergy, references = answer.allergy, (hit.line,)
    if hit.group is None or hit.likelihood is None:
        level, way = AlertLevel.CONTRAINDICATED, f"{hit.substance} est la substance de l'allergie."
    else:
        likely = hit.likelihood is Likelihood.EXPECTED
        level = AlertLevel.CONTRAINDICATED if likely else AlertLevel.ADVISED_AGAINST
        parts = (
            f"{hit.substance}, par le groupe « {hit.group.name} ».",
            f"{LIKELIHOOD_LABELS[hit.likelihood][0]}.",
            hit.note,
            f"Source : {hit.group.source}.",
        )
        way = "\n".join(filter(None, parts))
    finding = (
        canonical(allergy.substance),
        allergy.severity.name,
        hit.term,
        canonical(hit.substance),
        hit.group.key if hit.group else "",
        hit.likelihood.name if hit.likelihood else "",
    )
    return Alert(
        Kind.ALLERGY,
        level,
        references,
        title=f"Allergie « {allergy.substance} »",
        text=way,
        key=alert_key(Kind.ALLERGY, _medicines(references, lines), finding),
        new=_is_new(references, lines),
        allergy=allergy.id,
    )


def _duplicate(references: tuple[str, ...], substance: str, lines: Mapping[str, TreatmentLine]) -> Alert:
    return Alert(
        Kind.DUPLICATE,
        AlertLevel.CAUTION,
        references,
        title=f"Même substance sur plusieurs lignes : {substance}",
        text=f"{len(references)} lignes contiennent {substance} : les doses s'ajoutent.",
        key=alert_key(Kind.DUPLICATE, _medicines(references, lines), [substance]),
        new=_is_new(references, lines),
    )


def _therapeutic(references: tuple[str, ...], group: str, lines: Mapping[str, TreatmentLine]) -> Alert:
    return Alert(
        Kind.DUPLICATE,
        AlertLevel.INFORMATION,
        references,
        title=f"Même groupe thérapeutique : {group}",
        text=f"{len(references)} lignes sont du groupe ATC {group} (index de l'OMS, niveau 4), avec des substances différentes.",
        key=alert_key(Kind.DUPLICATE, _medicines(references, lines), ["ATC", group]),
        new=_is_new(references, lines),
    )


def _unchecked(checked: rules.Checked) -> Iterator[Unavailable]:
    for one in checked.unavailable:
        yield Unavailable(Kind.INTERACTION, _WHY_UNCHECKED[one.reason], (one.line,), text=one.substance)
    for stock in checked.homeopathic:
        yield Unavailable(Kind.INTERACTION, Why.HOMEOPATHIC, (stock.line,), text=stock.substance)


def _gaps(answer: Answer) -> Iterator[Unavailable]:
    for gap in answer.gaps:
        reason = _WHY_GAP[gap.reason]
        allergy = "" if reason in _WHATEVER_THE_ALLERGY else answer.allergy.id
        yield Unavailable(Kind.ALLERGY, reason, (gap.line,) if gap.line else (), allergy, gap.text)
