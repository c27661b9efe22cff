"""A line of a prescription in the words that paper shows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, tzinfo

from dui.medication.v1 import catalogue_pb2, interactions_pb2
from dui.medication.v1 import prescriptions_pb2 as pb
from dui_kit.times import from_timestamp
from dui_kit.wire.contract import label_fr

from dui_medication.printing.texts import printable
from dui_medication.printing.values import day, decimal, instant, plural

NURSING = "Acte infirmier requis"
HELPED = "Aide à la prise possible (CASF, L313-26)"
NURSING_UNSAID = "Acte infirmier : non précisé par le prescripteur"
OVERLAP = "voulu par le prescripteur avec une prescription de stupéfiants en cours (CSP, R5132-33)"
NOT_RENEWABLE = "NON RENOUVELABLE"
UNNAMED = "Médicament sans nom"
#: What happened to a line since, for whoever would still deliver it.
_OVER = {pb.LINE_STATUS_SUSPENDED, pb.LINE_STATUS_STOPPED, pb.LINE_STATUS_REPLACED, pb.LINE_STATUS_EXPIRED}


@dataclass(frozen=True, slots=True)
class Fact:
    """A label in bold and what follows it."""

    label: str
    text: str


@dataclass(frozen=True, slots=True)
class PrintedLine:
    """What stands in the place of a line."""

    number: str
    of: str
    label: str
    #: What happened to it since it was signed; empty: nothing.
    state: str
    kind: str
    dosage: str
    amounts: list[Fact]
    course: str
    tags: list[str]
    alarms: list[str]
    facts: list[Fact]
    checks: list[Fact]


def printed_line(line: pb.PrescriptionLine, number: int, total: int, zone: tzinfo | None) -> PrintedLine:
    """The words of a line, which is number so many of the prescription; `zone` is the clock by which it tells times."""
    order, view = line.order, line.view
    narcotic = view.poison_list == catalogue_pb2.POISON_LIST_NARCOTIC
    amounts = [Fact("En toutes lettres", view.amounts_in_words)] if view.amounts_in_words else []
    if order.overlap_stated:
        amounts.append(Fact("Chevauchement", OVERLAP))
    tags = [_renewals(order, view), _substitution(order)]
    alarms = ["STUPÉFIANT" if narcotic else "", "FICTIF – FORMATION" if view.fictive else ""]
    return PrintedLine(
        number=str(number),
        of=f"sur {total}",
        label=view.label if printable(view.label).strip() else UNNAMED,
        state=_state(line, zone),
        kind=_kind(order, view),
        dosage=view.dosage_text or "Posologie non précisée",
        amounts=amounts,
        course=_course(order),
        tags=list(filter(None, tags)),
        alarms=list(filter(None, alarms)),
        facts=_facts(order, view),
        checks=[*map(override_fact, line.overrides), *(unavailable_fact(each) for each in line.unavailable)],
    )


def override_fact(override: pb.SignedOverride) -> Fact:
    """An alert that the prescriber went beyond, and why."""
    alert = override.alert
    level = label_fr(interactions_pb2.InteractionLevel.DESCRIPTOR, alert.level)
    title = alert.title or f"alerte {alert.key}".strip()
    # A title of an interaction begins with its level.
    told = [label_fr(pb.AlertKind.DESCRIPTOR, alert.kind), "" if title.startswith(level) else level, title]
    what = " – ".join(filter(None, told))
    why = " – ".join(filter(None, [label_fr(pb.OverrideReason.DESCRIPTOR, override.reason), override.text]))
    return Fact("Alerte levée par le prescripteur", f"{what}.\nMotif : {why or 'non précisé'}")


def unavailable_fact(check: pb.UnavailableCheck, number: str = "") -> Fact:
    """What could not be checked; `number` is that of the line that it is about, where the place does not tell."""
    about, said = f"ligne {number}" if number else "", check.text.removeprefix("Contrôle indisponible : ")
    kind = label_fr(pb.AlertKind.DESCRIPTOR, check.kind).lower()
    return Fact("Contrôle indisponible", " – ".join(filter(None, [about, kind, said or check.code])))


def _handling(view: pb.OrderView) -> str:
    """What the form says of crushing and opening; nothing where it says nothing."""
    return " ; ".join(each.text for each in view.handling if each.text and each.code != "UNKNOWN")


def _kind(order: pb.LineOrder, view: pb.OrderView) -> str:
    """What it is, under its name: substances where the name is not theirs, route, list."""
    substances = ", ".join(view.substances)
    told = [
        f"DCI : {substances}" if substances and order.naming == pb.NAMING_SPECIALTY else "",
        "Préparation ou médicament hors catalogue" if order.preparation else "",
        f"Voie : {order.route}" if order.route else "",
        label_fr(catalogue_pb2.PoisonList.DESCRIPTOR, view.poison_list),
    ]
    return " – ".join(filter(None, told))


def _course(order: pb.LineOrder) -> str:
    if not order.starts_on:
        return "Dates non précisées"
    first = day(order.starts_on) + (f" à {order.first_at}" if order.first_at else "")
    if not order.ends_on:
        return f"À partir du {first}, jusqu'à l'arrêt par un prescripteur"
    return f"Du {first} au {day(order.ends_on)} inclus{_days(order)}"


def _days(order: pb.LineOrder) -> str:
    try:
        days = (date.fromisoformat(order.ends_on) - date.fromisoformat(order.starts_on)).days + 1
    except ValueError:
        return ""
    return f" ({plural(days, 'jour', 'jours')})"


def _renewals(order: pb.LineOrder, view: pb.OrderView) -> str:
    """Liste II may be renewed unless the prescription forbids it, liste I only if it says so (CSP, R5132-22), a narcotic never:
    of every listed medicine the paper says which."""
    if order.renewals > 0:
        return f"À RENOUVELER {order.renewals} FOIS"
    return NOT_RENEWABLE if view.poison_list else ""


def _substitution(order: pb.LineOrder) -> str:
    why = label_fr(pb.NoSubstitution.DESCRIPTOR, order.no_substitution)
    return f"NON SUBSTITUABLE ({why})" if order.no_substitution else ""


def _facts(order: pb.LineOrder, view: pb.OrderView) -> list[Fact]:
    basis = label_fr(pb.RestrictionBasis.DESCRIPTOR, order.restriction_basis)
    told = [
        ("Indication", order.indication),
        ("Consignes", order.instructions),
        ("Administration", _who_gives(order)),
        ("Dose rapportée au poids", f"{decimal(view.dose_mg_per_kg)} mg/kg par prise" if view.dose_mg_per_kg else ""),
        (
            "Écrasement, ouverture, déglutition",
            _handling(view),
        ),
        ("Surveillance", " ; ".join(view.monitoring)),
        ("Prescription restreinte", " – ".join(filter(None, [basis, order.restriction_text]))),
        ("Remplace", "une ligne antérieure du traitement" if order.replaces_line_id else ""),
    ]
    return [Fact(label, text) for label, text in told if text.strip()]


def _who_gives(order: pb.LineOrder) -> str:
    if not order.HasField("nursing_act_required"):
        return NURSING_UNSAID
    return NURSING if order.nursing_act_required else HELPED


def _state(line: pb.PrescriptionLine, zone: tzinfo | None) -> str:
    """That it is no longer in force: the paper is printed after it was signed, perhaps long after."""
    if line.status not in _OVER:
        return ""
    since, reason, text = None, line.stop_reason, line.stop_text
    if line.HasField("stopped_at"):
        since = line.stopped_at
    elif line.status == pb.LINE_STATUS_SUSPENDED and line.pauses:
        since, reason, text = line.pauses[-1].since, line.pauses[-1].reason, line.pauses[-1].text
    when = f" le {instant(from_timestamp(since).astimezone(zone))}" if since is not None else ""
    why = " – ".join(filter(None, [label_fr(pb.StopReason.DESCRIPTOR, reason), text]))
    status = label_fr(pb.LineStatus.DESCRIPTOR, line.status).upper()
    return f"LIGNE {status}{when} : NE PLUS DÉLIVRER" + (f"\n{why}" if why else "")
