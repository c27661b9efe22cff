"""The RPCs of InteractionService."""

from __future__ import annotations

from datetime import timedelta

from dui.medication.v1 import interactions_pb2 as pb
from dui_kit.calls.call import Call
from dui_kit.errors import Refusal
from dui_kit.times import to_timestamp

from dui_medication.knowledge import queries
from dui_medication.knowledge.rules import (
    REFERENCE_TWICE,
    SPECIALTY_UNKNOWN,
    Finding,
    KnowledgeState,
    Line,
    Reminder,
    check,
    knowledge_state,
)
from dui_medication.knowledge.thesaurus import Interaction


def _entry(found: Interaction) -> pb.InteractionEntry:
    return pb.InteractionEntry(
        sides=[found.first.name, found.second.name],
        level=pb.InteractionLevel.ValueType(found.level),
        least_level=pb.InteractionLevel.ValueType(found.least),
        conducts=[
            pb.InteractionConduct(level=pb.InteractionLevel.ValueType(each.level), text=each.text)
            for each in found.conducts
        ],
        mechanism=found.mechanism,
    )


def _finding(found: Finding) -> pb.InteractionFinding:
    return pb.InteractionFinding(
        references=found.lines,
        substances=found.substances,
        entry=_entry(found.interaction),
        involves_new=found.new,
        involves_conditional=found.conditional,
    )


def _reminder(found: Reminder) -> pb.InteractionReminder:
    return pb.InteractionReminder(reference=found.line, substance=found.substance, entry=_entry(found.interaction))


def _state(state: KnowledgeState) -> pb.KnowledgeState:
    return pb.KnowledgeState(
        freshness=pb.KnowledgeFreshness.ValueType(state.freshness),
        edition_on=state.edition_on.isoformat() if state.edition_on else None,
    )


def _lines(request: pb.CheckInteractionsRequest, call: Call) -> dict[int, list[Line]]:
    """The lines by origin; refuses one that the answer could not speak of."""
    known = queries.substances(call, [line.cis for line in request.lines])
    found: dict[int, list[Line]] = {origin: [] for origin in pb.LineOrigin.values()}
    references: set[str] = set()
    for number, line in enumerate(request.lines):
        if line.reference in references:
            raise Refusal(REFERENCE_TWICE, field=f"lines[{number}].reference")
        if line.cis not in known:
            raise Refusal(SPECIALTY_UNKNOWN, field=f"lines[{number}].cis")
        references.add(line.reference)
        found[line.origin].append(Line(line.reference, known[line.cis]))
    return found


class InteractionServicer:
    """Checks medicines against the thesaurus; `dui knowledge import` writes it."""

    CONTRACT = pb.DESCRIPTOR.services_by_name["InteractionService"]

    def __init__(self, valid_for: timedelta) -> None:
        """`valid_for`: how long after its date an edition of the thesaurus is held to be current."""
        self._valid_for = valid_for
        self._library = queries.Library()

    def CheckInteractions(self, request: pb.CheckInteractionsRequest, call: Call) -> pb.CheckInteractionsResponse:
        """What interacts, and what could not be checked."""
        lines, knowledge = _lines(request, call), self._library.current(call)
        found = check(
            lines[pb.LINE_ORIGIN_EXISTING],
            lines[pb.LINE_ORIGIN_NEW],
            lines[pb.LINE_ORIGIN_CONDITIONAL],
            knowledge.thesaurus if knowledge else None,
            today=call.now.date(),
            valid_for=self._valid_for,
        )
        return pb.CheckInteractionsResponse(
            knowledge=_state(found.knowledge),
            clear=found.clear,
            findings=map(_finding, found.findings),
            duplicates=[
                pb.DuplicateSubstance(substance=each.substance, references=each.lines) for each in found.duplicates
            ],
            reminders=map(_reminder, found.reminders),
            unavailable=[
                pb.UncheckedSubstance(
                    reference=each.line,
                    substance=each.substance,
                    reason=pb.UncheckedReason.ValueType(each.reason),
                )
                for each in found.unavailable
            ],
            homeopathic=[
                pb.HomeopathicStock(reference=each.line, substance=each.substance) for each in found.homeopathic
            ],
        )

    def GetInteractionKnowledge(
        self, _: pb.GetInteractionKnowledgeRequest, call: Call
    ) -> pb.GetInteractionKnowledgeResponse:
        """Which edition it is, and what it can speak about."""
        knowledge, told = self._library.current(call), queries.coverage(call)
        state = knowledge_state(knowledge.thesaurus if knowledge else None, call.now.date(), self._valid_for)
        told.state.CopyFrom(_state(state))
        if knowledge:
            told.imported_at.CopyFrom(to_timestamp(knowledge.imported_at))
            told.entries = knowledge.entries
        return pb.GetInteractionKnowledgeResponse(interaction_knowledge=told)
