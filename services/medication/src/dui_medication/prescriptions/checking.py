"""A prescription in its situation: what is wrong, what the law limits, what the safety net says, and what of it may be signed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from dui.medication.v1 import catalogue_pb2
from dui.medication.v1 import interactions_pb2 as interactions
from dui.medication.v1 import prescriptions_pb2 as pb
from dui_kit.calls.call import Call
from dui_kit.calls.places import facility_of
from dui_kit.calls.visibility import Place, may_decide_at
from dui_kit.days import parse_day
from dui_kit.errors import Refusal, Violation
from dui_kit.identifiers import parse_partial_date
from dui_kit.times import to_timestamp

from dui_medication.allergies import rules as allergies
from dui_medication.allergies.loading import packaged_table
from dui_medication.allergies.queries import names_of
from dui_medication.allergies.reading import candidates
from dui_medication.knowledge.composition import substances_of_specialty
from dui_medication.knowledge.names import canonical
from dui_medication.knowledge.queries import Library
from dui_medication.knowledge.rules import SPECIALTY_UNKNOWN
from dui_medication.limits import rules as limits
from dui_medication.limits.rules import Covered, LimitedLine
from dui_medication.people.remote import Strip
from dui_medication.people.rules import PRESCRIBER_UNKNOWN, RECORD_AWAY
from dui_medication.prescriptions.facilities import followed_at
from dui_medication.prescriptions.lines import Line
from dui_medication.prescriptions.orders import Ordered, medicines, ordered
from dui_medication.prescriptions.rules import (
    ALERT_NOT_OVERRIDDEN,
    FACILITY_NOT_FOLLOWING,
    LINE_ENDED,
    PERSON_DEAD,
    PLAN_TO_REVIEW,
    REPLACED_TWICE,
    REPLACES_LATER,
    RESUMED_AGAINST_ALERT,
    WEIGHT_INVALID,
    WEIGHT_WITHOUT_DAY,
    too_many,
    twice,
)
from dui_medication.safety.open_net import OpenSafetyNet
from dui_medication.safety.port import (
    WHY_LABELS,
    Alert,
    Person,
    SafetyAnswer,
    SafetyNet,
    Situation,
    TreatmentLine,
    Unavailable,
    Why,
    blocking,
)
from dui_medication.treatment_plans.queries import Plan

_LIGHTEST, _HEAVIEST = Decimal("0.3"), Decimal(500)
#: Fields of the limits → of the contract.
_FIELDS = {"weight": "weight_kg"}

#: Makes the net of a call: what it knows may depend on the words of the allergies.
NetOf = Callable[[Call, Sequence[str]], SafetyNet]


@dataclass(frozen=True, slots=True)
class Examined:
    """What an examination found."""

    ordered: Sequence[Ordered]
    #: The words of each order; of one that is wrong, only its name.
    views: Sequence[pb.OrderView]
    report: pb.SafetyReport
    #: Everything that stands against signing, with its field.
    faults: tuple[Violation, ...]

    def refuse_faults(self) -> None:
        """Refuses all of it at once."""
        if self.faults:
            raise Refusal.of(self.faults)


def open_net(valid_for: timedelta) -> NetOf:
    """The safety net of this repository. `valid_for`: how long after its date knowledge is held to be current."""
    library, table = Library(), packaged_table()

    def net(call: Call, texts: Sequence[str]) -> SafetyNet:
        knowledge = library.current(call)
        names = names_of(call, candidates(texts)) if texts else {}
        return OpenSafetyNet(knowledge.thesaurus if knowledge else None, table, names, valid_for)

    return net


class Checker:
    """Examines prescriptions."""

    def __init__(self, net: NetOf) -> None:
        """`net`: the port of a certified base, or the open one."""
        self._net = net

    def examine(self, call: Call, prescription: pb.Prescription, plan: Plan, strip: Strip | None) -> Examined:
        """A prescription as it is being written or signed, beside the treatment that the person has."""
        standing = [line for line in plan.lines if line.row.prescription_line_id not in _replaced(prescription)]
        codes = [order.cis for order in prescription.orders if order.cis]
        codes += [line.message.order.cis for line in plan.lines if line.message.order.cis]
        known = medicines(call, codes)
        new = ordered(prescription.orders, known)
        zones = followed_at(call)
        home = facility_of(call, prescription.facility_id, field="facility_id")
        whole = list(_prescription_faults(call, prescription, plan, home.day(call.now)))
        if strip is None:
            whole.append(Violation(RECORD_AWAY))
        elif strip.content.died_on:
            whole.append(Violation(PERSON_DEAD, "beneficiary_id"))
        if plan.to_review:
            whole.insert(0, Violation(PLAN_TO_REVIEW))
        faults = list(whole)
        wrong: dict[str, list[Violation]] = {}
        for each in new:
            zone = zones.get(each.order.facility_id or prescription.facility_id, home.time_zone)
            wrong[each.reference] = list(_order_faults(each, prescription, zones, call.now.astimezone(zone).date()))
            faults += wrong[each.reference]
        weight = Decimal(prescription.weight_kg) if prescription.HasField("weight_kg") else None
        sound = [each for each in new if not wrong[each.reference]]
        found = self._limits(prescription, sound, standing, known, strip, weight, home.day(call.now))
        faults += limits.violations(found, _path)
        answer = self._answer(call, new, standing, known, strip, weight)
        overrides = {each.alert_key for each in prescription.overrides}
        must = {alert.key for alert in blocking(answer.alerts)}
        faults += [
            Violation(ALERT_NOT_OVERRIDDEN, _first_order(alert.lines), (("key", alert.key),))
            for alert in answer.alerts
            if alert.key in must - overrides
        ]
        said = {each.id: each.substance for each in _allergies(strip) or ()}
        report = _report(answer, strip, said, must=must, overrides=overrides)
        report.limits.extend(_entry(violation) for each in (whole, *wrong.values()) for violation in each)
        report.limits.extend(map(_limit, found))
        report.limits.extend(_about_medicines(new))
        report.signable = not faults and bool(new)
        views = [_view(each, weight, wrong=bool(wrong[each.reference])) for each in new]
        return Examined(new, views, report, tuple(faults))

    def check_again(self, call: Call, line: Line, plan: Plan, strip: Strip | None) -> None:
        """Refuses to give a line again when an alert stands against it that was not gone beyond when it was signed.

        A new prescription in its place can say why.
        """
        if strip is None:
            raise Refusal(RECORD_AWAY)
        if strip.content.died_on:
            raise Refusal(PERSON_DEAD, field="beneficiary_id")
        own = line.row.prescription_line_id
        others = [each for each in plan.lines if each.row.prescription_line_id != own]
        known = medicines(call, [each.message.order.cis for each in (line, *others) if each.message.order.cis])
        new = ordered([line.message.order], known)
        answer = self._answer(call, new, others, known, strip, None)
        settled = {each.alert.key for each in line.message.overrides}
        for alert in blocking(answer.alerts):
            if alert.key not in settled:
                raise Refusal(RESUMED_AGAINST_ALERT, field="prescription_line_id", key=alert.key)

    def _limits(
        self,
        prescription: pb.Prescription,
        sound: Sequence[Ordered],
        standing: Sequence[Line],
        known: Mapping[str, catalogue_pb2.Specialty],
        strip: Strip | None,
        weight: Decimal | None,
        today: date,
    ) -> Sequence[limits.Limit]:
        """What the law limits of the orders that are right otherwise."""
        weighed_on = parse_day(prescription.weighed_on)
        person = limits.Person(_birth_date(strip), weight, weighed_on)
        found = limits.limits_of([each.limited for each in sound], person, list(_narcotics(standing, known)), today)
        # An age that is not known for want of the record is told as that.
        return [each for each in found if strip is not None or each.kind is not limits.LimitKind.AGE]

    def _answer(
        self,
        call: Call,
        new: Sequence[Ordered],
        standing: Sequence[Line],
        known: Mapping[str, catalogue_pb2.Specialty],
        strip: Strip | None,
        weight: Decimal | None,
    ) -> SafetyAnswer:
        lines = [_treatment_line(each.reference, each.order, each.specialty, new=True) for each in new]
        lines += [
            _treatment_line(
                line.row.prescription_line_id,
                line.message.order,
                known.get(line.message.order.cis),
                new=False,
            )
            for line in standing
        ]
        allergic = _allergies(strip)
        net = self._net(call, [each.substance for each in allergic or ()])
        age = _age_months(strip, call.now)
        return net.check(Situation(tuple(lines), allergic, call.now.date(), Person(age_months=age, weight_kg=weight)))


# ------------------------------------------------------------------------------------------------------------------ faults


def _replaced(prescription: pb.Prescription) -> set[str]:
    return {order.replaces_line_id for order in prescription.orders if order.replaces_line_id}


def _prescription_faults(call: Call, prescription: pb.Prescription, plan: Plan, today: date) -> Iterator[Violation]:
    """What is wrong with a prescription as a whole, and with what it replaces. Fields are those of the prescription."""
    if not may_decide_at(call, Place(prescription.facility_id)):
        yield Violation(PRESCRIBER_UNKNOWN, "facility_id")
    if prescription.HasField("weight_kg") != prescription.HasField("weighed_on"):
        missing = "weighed_on" if prescription.HasField("weight_kg") else "weight_kg"
        yield Violation(WEIGHT_WITHOUT_DAY, missing)
    if prescription.HasField("weight_kg") and not _LIGHTEST <= Decimal(prescription.weight_kg) <= _HEAVIEST:
        yield Violation(WEIGHT_INVALID, "weight_kg")
    yield from twice([each.alert_key for each in prescription.overrides])
    current = {line.row.prescription_line_id for line in plan.lines}
    yield from too_many(len(current - _replaced(prescription)) + len(prescription.orders))
    met: set[str] = set()
    for number, order in enumerate(prescription.orders):
        field = f"orders[{number}].replaces_line_id"
        if order.replaces_line_id and order.replaces_line_id not in current:
            yield Violation(LINE_ENDED, field)
        elif order.replaces_line_id in met:
            yield Violation(REPLACED_TWICE, field)
        elif order.replaces_line_id and date.fromisoformat(order.starts_on) > today:
            yield Violation(REPLACES_LATER, f"orders[{number}].starts_on")
        if order.replaces_line_id:
            met.add(order.replaces_line_id)


def _order_faults(
    each: Ordered, prescription: pb.Prescription, zones: Mapping[str, ZoneInfo], today: date
) -> Iterator[Violation]:
    path = each.reference
    if each.order.cis and each.specialty is None:
        yield Violation(SPECIALTY_UNKNOWN, f"{path}.cis")
    if (each.order.facility_id or prescription.facility_id) not in zones:
        yield Violation(FACILITY_NOT_FOLLOWING, f"{path}.facility_id")
    yield from each.violations(path, today)


def _path(limit: limits.Limit) -> str:
    """The field of a limit, in the prescription."""
    field = _FIELDS.get(limit.field, limit.field)
    return f"{limit.reference}.{field}" if limit.reference else field


def _first_order(references: Sequence[str]) -> str:
    return next((each for each in references if each.startswith("orders[")), "orders")


# --------------------------------------------------------------------------------------------------------------- situation


def _treatment_line(
    reference: str, order: pb.LineOrder, specialty: catalogue_pb2.Specialty | None, *, new: bool
) -> TreatmentLine:
    return TreatmentLine(
        reference=reference,
        substances=substances_of_specialty(specialty) if specialty else (),
        cis=order.cis,
        atc=specialty.atc_code or None if specialty else None,
        new=new,
        conditional=order.dosage.HasField("as_needed"),
    )


def _narcotics(standing: Sequence[Line], known: Mapping[str, catalogue_pb2.Specialty]) -> Iterator[Covered]:
    """The lines of other prescriptions that are under the rules of narcotics."""
    for line in standing:
        order = line.message.order
        specialty = known.get(order.cis)
        (each,) = ordered([order], {order.cis: specialty} if specialty else {})
        limited: LimitedLine = each.limited
        if limited.under_overlap_rule:
            yield Covered(
                line.row.prescription_line_id,
                frozenset(map(canonical, each.substances)),
                each.course.ends_on,
                each.course.starts_on,
            )


def _allergies(strip: Strip | None) -> tuple[allergies.Allergy, ...] | None:
    if strip is None:
        return None
    return tuple(
        allergies.Allergy(
            each.allergy_id,
            allergies.Kind(each.kind),
            each.substance,
            allergies.Status(each.status),
            allergies.Severity(each.severity),
        )
        for each in strip.content.allergies
    )


def _birth_date(strip: Strip | None) -> date | None:
    """The latest day on which the person may be born: who may be a child is weighed as one. None: it is not known."""
    if strip is None or not strip.content.birth_date:
        return None
    return parse_partial_date(strip.content.birth_date).latest


def _age_months(strip: Strip | None, now: datetime) -> int | None:
    born = _birth_date(strip)
    if born is None:
        return None
    return (now.year - born.year) * 12 + now.month - born.month - (now.day < born.day)


# ------------------------------------------------------------------------------------------------------------------ report


def _view(each: Ordered, weight: Decimal | None, *, wrong: bool) -> pb.OrderView:
    return pb.OrderView(label=each.label) if wrong else each.view(weight)


def _report(
    answer: SafetyAnswer, strip: Strip | None, said: Mapping[str, str], *, must: set[str], overrides: set[str]
) -> pb.SafetyReport:
    """What was found. `said`: the allergies by their ids, in the words of the record."""
    return pb.SafetyReport(
        knowledge=[
            pb.KnowledgeUsed(
                name=each.name,
                freshness=interactions.KnowledgeFreshness.ValueType(each.freshness),
                edition_on=each.edition_on.isoformat() if each.edition_on else None,
            )
            for each in answer.knowledge
        ],
        record=pb.RecordState(
            read_at=to_timestamp(strip.read_at) if strip else None, current=strip.current if strip else False
        ),
        alerts=[
            _alert(each, blocking=each.key in must, overridden=each.key in must & overrides) for each in answer.alerts
        ],
        reminders=[_alert(each) for each in answer.reminders],
        unavailable=[
            pb.UnavailableCheck(
                kind=pb.AlertKind.ValueType(each.kind),
                references=each.lines,
                code=each.reason.name,
                text=f"Contrôle indisponible : {_about(each, said)}{WHY_LABELS[each.reason][0]}",
                allergy_id=each.allergy or None,
            )
            for each in answer.unavailable
        ],
    )


def _alert(found: Alert, *, blocking: bool = False, overridden: bool = False) -> pb.Alert:
    return pb.Alert(
        key=found.key,
        kind=pb.AlertKind.ValueType(found.kind),
        level=interactions.InteractionLevel.ValueType(found.level),
        references=found.lines,
        title=found.title,
        text=found.text,
        blocking=blocking,
        overridden=overridden,
    )


def _about(each: Unavailable, said: Mapping[str, str]) -> str:
    """What could not be checked: an allergy in the words of the record with what of it was not understood, or a substance."""
    if each.allergy in said:
        unread = f", non compris « {each.text.lower()} »" if each.reason is Why.NOT_UNDERSTOOD and each.text else ""
        return f"allergie « {said[each.allergy]} »{unread}. "
    return f"« {each.text} ». " if each.text else ""


def _entry(violation: Violation) -> pb.LimitFinding:
    """Something to correct."""
    reference = violation.field.partition(".")[0]
    return pb.LimitFinding(
        kind=pb.LIMIT_KIND_ENTRY,
        reference=reference if reference.startswith("orders[") else "",
        code=violation.reason.name,
        text=violation.text("fr"),
        field=violation.field,
        blocking=True,
    )


def _limit(limit: limits.Limit) -> pb.LimitFinding:
    return pb.LimitFinding(
        kind=pb.LimitKind.ValueType(limit.kind),
        reference=limit.reference,
        code=limit.reason.name,
        text=limit.text("fr"),
        field=_path(limit) if limit.blocking else "",
        blocking=limit.blocking,
        last_day=limit.last_day.isoformat() if limit.last_day else None,
    )


def _about_medicines(new: Sequence[Ordered]) -> Iterator[pb.LimitFinding]:
    """What a prescriber has to know of the medicines themselves: warnings."""
    for each in new:
        said = []
        if each.specialty is None:
            if each.order.preparation:
                said.append(
                    ("NOT_IN_CATALOGUE", "Hors catalogue : aucune limite ni interaction n'a pu être contrôlée.")
                )
        else:
            if not each.specialty.current:
                said.append(("WITHDRAWN", "Cette spécialité n'est plus dans l'édition en cours du catalogue."))
            elif not each.specialty.marketed:
                said.append(("NOT_MARKETED", "Cette spécialité n'est pas commercialisée."))
            for shortage in each.specialty.shortages:
                if shortage.kind in {catalogue_pb2.SHORTAGE_KIND_OUT_OF_STOCK, catalogue_pb2.SHORTAGE_KIND_TENSION}:
                    said.append(("SHORTAGE", "Cette spécialité est en rupture ou en tension d'approvisionnement."))
                    break
        for code, text in said:
            yield pb.LimitFinding(kind=pb.LIMIT_KIND_MEDICINE, reference=each.reference, code=code, text=text)
