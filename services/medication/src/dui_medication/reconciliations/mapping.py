"""Reconciliations between their message and their rules: what is compared, what came of it, what was decided about it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from hashlib import blake2b

from dui.medication.v1 import catalogue_pb2
from dui.medication.v1 import reconciliations_pb2 as pb
from dui_kit.times import to_timestamp

from dui_medication.knowledge.names import canonical
from dui_medication.prescriptions.lines import Line
from dui_medication.prescriptions.orders import parts_of
from dui_medication.prescriptions.rules import LineStatus
from dui_medication.reconciliations.comparing import Item, ItemKind, Planned, Source, Taken, compare
from dui_medication.reconciliations.rules import (
    Decided,
    Decision,
    Divergence,
    Reviewed,
    Sources,
    changes_plan,
    decisions_for,
    sources_of,
)

Specialties = Mapping[str, catalogue_pb2.Specialty]


def tidy(message: pb.Reconciliation) -> None:
    """What was sent as it is kept: no space around texts, no blank ones, each source once."""
    message.comment = message.comment.strip()
    if not message.comment:
        message.ClearField("comment")
    _tidy_sources(message)
    for each in message.taken:
        each.label = each.label.strip()
        each.posology_text = each.posology_text.strip()
        if not each.posology_text:
            each.ClearField("posology_text")
        _tidy_sources(each)


def _tidy_sources(message: pb.Reconciliation | pb.TakenMedicine) -> None:
    known = sorted(set(message.sources) - {pb.TAKEN_SOURCE_UNSPECIFIED})
    del message.sources[:]
    message.sources.extend(known)


# --------------------------------------------------------------------------------------------------------------- comparing


def fill(message: pb.Reconciliation, lines: Sequence[Line], known: Specialties, now: datetime) -> None:
    """Compares what a reconciliation says is taken with the lines in force; decisions about what has not changed are kept.

    `known`: the specialties of both, by CIS; `now`: as of when the lines were read.
    """
    found = compare(
        [_taken(number, each, known) for number, each in enumerate(message.taken)],
        [_planned(line, known, now) for line in lines],
    )
    keys = _keys(found)
    named = {
        reference: key
        for key, item in zip(keys, found, strict=True)
        for reference in (item.taken and item.taken.reference, item.planned and item.planned.line_id)
        if reference
    }
    by_id = {line.row.prescription_line_id: line for line in lines}
    before = {item.item_key: item for item in message.items}
    items = []
    for key, item in zip(keys, found, strict=True):
        made = pb.ReconciliationItem(
            item_key=key,
            kind=pb.ReconciliationItemKind.ValueType(item.kind),
            related_item_keys=[named[reference] for reference in item.related],
            accepted_decisions=[pb.ReconciliationDecision.ValueType(each) for each in sorted(decisions_for(item))],
        )
        if item.taken:
            made.taken.CopyFrom(message.taken[int(item.taken.reference)])
            if item.taken.cis:
                made.taken_specialty_name = known[item.taken.cis].name
        if item.planned:
            _show_line(made, by_id[item.planned.line_id])
        if key in before:
            _keep_decision(made, before[key])
        items.append(made)
    del message.items[:]
    message.items.extend(items)
    message.compared_at.CopyFrom(to_timestamp(now))
    message.few_sources = sources_in(message).few
    count_undecided(message)


def _taken(number: int, each: pb.TakenMedicine, known: Specialties) -> Taken:
    return Taken(
        # Of one width, so that they sort as the list does.
        reference=f"{number:04}",
        label=each.label,
        cis=each.cis or None,
        substances=_substances(known.get(each.cis)),
        posology_text=each.posology_text,
        sources=frozenset(map(Source, each.sources)),
    )


def _planned(line: Line, known: Specialties, now: datetime) -> Planned:
    order, view = line.message.order, line.message.view
    return Planned(
        line_id=line.row.prescription_line_id,
        label=view.label,
        cis=order.cis or None,
        substances=_substances(known.get(order.cis)),
        # Of what nobody gives now there is no posology that could be the same: somebody has to decide.
        posology_text=view.dosage_text if _is_given(line, now) else "",
    )


def _is_given(line: Line, now: datetime) -> bool:
    """Whether the line is given now, or from tomorrow on: what was just prescribed begins in the morning."""
    tomorrow = now.astimezone(line.zone).date() + timedelta(days=1)
    return line.status is LineStatus.ACTIVE and date.fromisoformat(line.message.order.starts_on) <= tomorrow


def _substances(specialty: catalogue_pb2.Specialty | None) -> tuple[str, ...]:
    """By the names that it is prescribed by. One without a canonical form stays as it is: left out, the others would seem whole."""
    names = (part.plain_name for part in parts_of(specialty))
    return tuple(dict.fromkeys(canonical(name) or name for name in names))


def _keys(items: Iterable[Item]) -> list[str]:
    """The key of each item: the same as long as what is taken and the line are; of twins, each its own."""
    met: Counter[str] = Counter()
    keys = []
    for item in items:
        taken = (item.taken.label, item.taken.cis or "", item.taken.posology_text) if item.taken else ()
        medicines = json.dumps([taken, item.planned.line_id if item.planned else ""])
        keys.append(blake2b(f"{met[medicines]}|{medicines}".encode(), digest_size=8).hexdigest())
        met[medicines] += 1
    return keys


def _show_line(item: pb.ReconciliationItem, line: Line) -> None:
    item.prescription_line_id = line.row.prescription_line_id
    item.planned_label = line.message.view.label
    item.planned_posology_text = line.message.view.dosage_text
    item.planned_status = line.message.status
    item.planned_starts_on = line.message.order.starts_on


def _keep_decision(item: pb.ReconciliationItem, old: pb.ReconciliationItem) -> None:
    """A decision about the two medicines holds as long as they stand to each other as they did: not when a line that was suspended
    is given again."""
    if old.decision and (item.kind, item.planned_status) == (old.kind, old.planned_status):
        record(
            item,
            Decided(Decision(old.decision), Divergence(old.divergence), old.decision_text),
            account_id=old.decided_by_account_id,
        )
        item.decided_at.CopyFrom(old.decided_at)


# ---------------------------------------------------------------------------------------------------------------- deciding


def item_of(message: pb.ReconciliationItem) -> Item:
    """What rules look at of an item that was compared before."""
    taken = planned = None
    if message.HasField("taken"):
        said = message.taken
        sources = frozenset(map(Source, said.sources))
        taken = Taken(message.item_key, said.label, said.cis or None, (), said.posology_text, sources)
    if message.HasField("prescription_line_id"):
        planned = Planned(message.prescription_line_id, message.planned_label, None, (), message.planned_posology_text)
    return Item(ItemKind(message.kind), taken, planned)


def reviewed_of(message: pb.ReconciliationItem) -> Reviewed:
    """An item with what was decided about it."""
    decided = None
    if message.decision:
        decided = Decided(Decision(message.decision), Divergence(message.divergence), message.decision_text)
    return Reviewed(item_of(message), decided)


def record(item: pb.ReconciliationItem, decided: Decided, *, account_id: str) -> None:
    """Writes a decision into its item."""
    item.decision = pb.ReconciliationDecision.ValueType(decided.decision)
    item.divergence = pb.Divergence.ValueType(decided.divergence)
    item.decision_text = decided.text
    item.decided_by_account_id = account_id
    item.changes_plan = changes_plan(item_of(item), decided.decision)


def count_undecided(message: pb.Reconciliation) -> None:
    """Counts the divergences without a decision."""
    reviewed = map(reviewed_of, message.items)
    message.undecided = sum(each.item.diverges and each.decided is None for each in reviewed)


def sources_in(message: pb.Reconciliation) -> Sources:
    """What the list of what is taken rests on."""
    taken = [_taken(number, each, {}) for number, each in enumerate(message.taken)]
    return sources_of(taken, map(Source, message.sources))
