"""The orders of a prescription, each with its medicine as the catalogue has it: what is wrong with them, and their words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from dui.medication.v1 import catalogue_pb2
from dui.medication.v1 import prescriptions_pb2 as pb
from dui_kit.calls.call import Call
from dui_kit.errors import Refusal, Violation

from dui_medication.catalogue import queries as catalogue
from dui_medication.catalogue.conditions import RestrictionBasis
from dui_medication.catalogue.handling import Crushing, handling_of, monitoring_of
from dui_medication.catalogue.inn import Part, inn_label
from dui_medication.catalogue.mapping import specialty_of_row
from dui_medication.catalogue.rules import PoisonList
from dui_medication.knowledge.names import canonical
from dui_medication.limits.rules import LimitedLine, Sheet, sheet_of
from dui_medication.limits.weights import dose_per_kg, strength_of
from dui_medication.posology import units, wording
from dui_medication.posology.rules import Course, Posology, check, last_day
from dui_medication.prescriptions.mapping import course_of, period_of, posology_of
from dui_medication.prescriptions.rules import OrderFacts, order_violations


@dataclass(frozen=True, slots=True)
class Ordered:
    """An order with its medicine."""

    #: Where it stands: `orders[0]`.
    reference: str
    order: pb.LineOrder
    #: None: a preparation, which the catalogue does not have.
    specialty: catalogue_pb2.Specialty | None
    posology: Posology
    course: Course
    #: Its composition, as it is named on prescriptions.
    parts: Sequence[Part]

    @property
    def period(self) -> Course:
        """The days that renewals repeat: to the last one that is said, or that its steps have."""
        said = period_of(self.order)
        if said.ends_on is not None:
            return said
        return replace(said, ends_on=last_day(self.posology, said))

    @property
    def substances(self) -> list[str]:
        """The names by which it is prescribed, each once."""
        return list(dict.fromkeys(part.plain_name for part in self.parts))

    @property
    def label(self) -> str:
        """What the medicine is called on the prescription."""
        if self.specialty is None:
            return self.order.preparation.strip()
        if self.order.naming == pb.NAMING_SPECIALTY:
            return self.specialty.name
        return inn_label(self.specialty.name, self.parts, self.specialty.form)

    @property
    def limited(self) -> LimitedLine:
        """What the law looks at."""
        medicine = self.specialty or catalogue_pb2.Specialty()
        return LimitedLine(
            reference=self.reference,
            poison_list=PoisonList(medicine.poison_list),
            max_duration=medicine.max_duration,
            secured=medicine.secured_prescription,
            conditions=tuple(medicine.conditions),
            starts_on=self.course.starts_on,
            ends_on=self.period.ends_on,
            renewals=self.order.renewals,
            substances=frozenset(map(canonical, self.substances)),
            overlap_stated=self.order.overlap_stated,
            restriction_basis=RestrictionBasis(self.order.restriction_basis),
            restriction_text=self.order.restriction_text,
        )

    @property
    def sheet(self) -> Sheet:
        """What the law asks of the paper."""
        return sheet_of(self.limited)

    def doses(self) -> list[Decimal]:
        """The quantities of a dose, each once, smallest first."""
        found = {self.posology.as_needed.quantity} if self.posology.as_needed else set()
        for step in self.posology.steps:
            found |= {each.quantity for each in step.doses}
            if step.interval:
                found.add(step.interval.quantity)
            if step.infusion:
                found.add(step.infusion.rate * step.infusion.hours)
        return sorted(found)

    def violations(self, path: str, today: date) -> Iterator[Violation]:
        """What is wrong with it, the law apart."""
        routes = tuple(self.specialty.routes) if self.specialty else ()
        facts = OrderFacts(
            has_medicine=bool(self.order.preparation.strip()) != bool(self.order.cis),
            route=self.order.route,
            routes=routes,
            by_specialty=self.order.naming == pb.NAMING_SPECIALTY,
            not_substitutable=bool(self.order.no_substitution),
            starts_on=self.course.starts_on,
            renewals=self.order.renewals,
        )
        yield from order_violations(facts, path, today)
        try:
            check(self.posology, self.course, prefix=path)
            for quantity in self.doses()[-1:]:
                units.check_dose(quantity, self.posology.unit, f"{path}.dosage")
        except Refusal as refusal:
            yield from refusal.violations
        try:
            units.check_unit(self.posology.unit, self.specialty.form if self.specialty else "", f"{path}.dosage.unit")
        except Refusal as refusal:
            yield from refusal.violations

    def view(self, weight: Decimal | None) -> pb.OrderView:
        """Its words. To be asked of an order without violations."""
        medicine = self.specialty or catalogue_pb2.Specialty()
        view = pb.OrderView(
            label=self.label,
            substances=self.substances,
            dosage_text=self._told(),
            poison_list=medicine.poison_list,
            monitoring=[watched.fr for watched in monitoring_of(self.substances, medicine.conditions, medicine.routes)],
            catalogue_edition=medicine.edition,
            fictive=medicine.fictive,
        )
        handling = handling_of(medicine.form, medicine.name, medicine.routes)
        if handling.crushing is not Crushing.UNKNOWN:  # what is said of every medicine is read of none
            view.handling.add(code=Crushing(handling.crushing).name, text=handling.fr)
        if self.sheet.in_words:
            view.amounts_in_words = self._in_words()
        per_kg = None if weight is None else self._per_kg(weight)
        if per_kg is not None:
            view.dose_mg_per_kg = f"{per_kg.normalize():f}"
        return view

    def _told(self) -> str:
        """The posology in French, with its renewals."""
        text = wording.posology_text(self.posology, period_of(self.order))
        if self.order.renewals and self.course.ends_on is not None:
            times = "une fois" if self.order.renewals == 1 else f"{self.order.renewals} fois"
            text += f", à renouveler {times}, soit jusqu'au {wording.day_text(self.course.ends_on)}"
        return text

    def _in_words(self) -> str:
        """Doses, number of intakes and strength in full letters (CSP, R5132-29)."""
        told = wording.posology_text(self.posology, period_of(self.order), in_words=True)
        strengths = [
            words
            for part in self.parts
            if (named := part.named(self.specialty.name if self.specialty else ""))
            and (words := wording.strength_in_words(named[1]))
        ]
        return f"{told} ; dosage : {' + '.join(strengths)}" if strengths else told

    def _per_kg(self, weight: Decimal) -> Decimal | None:
        """Milligrams a kilogram of the largest dose, by the strength on the box; where there is one substance, and it is plain."""
        if len(self.parts) > 1 or not self.doses():
            return None
        named = self.parts[0].named(self.specialty.name) if self.specialty and self.parts else None
        strength = strength_of(named[1], self.parts[0].per) if named else None
        unit = units.UNITS[self.posology.unit]
        return dose_per_kg(self.doses()[-1], unit.word, weight, strength)


def parts_of(specialty: catalogue_pb2.Specialty | None) -> list[Part]:
    """The composition of a specialty, as it is named on prescriptions."""
    return [
        Part(each.substance, each.strength, [(moiety.substance, moiety.strength) for moiety in each.moieties], each.per)
        for each in (specialty.components if specialty else ())
    ]


def medicines(call: Call, codes: Sequence[str]) -> Mapping[str, catalogue_pb2.Specialty]:
    """The specialties of some codes, each as the last edition that has it does."""
    return {row.cis: specialty_of_row(row) for row in catalogue.specialties(call, codes)}


def ordered(orders: Sequence[pb.LineOrder], known: Mapping[str, catalogue_pb2.Specialty]) -> list[Ordered]:
    """The orders of a message whose formats were checked, with their medicines."""
    return [
        Ordered(
            f"orders[{number}]",
            order,
            medicine := known.get(order.cis),
            posology_of(order.dosage),
            course_of(order),
            parts_of(medicine),
        )
        for number, order in enumerate(orders)
    ]
