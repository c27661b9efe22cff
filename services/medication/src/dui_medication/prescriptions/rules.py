"""What may be done with a prescription and with its lines, and when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import IntEnum

from dui_kit.errors import Code, Reason, Refusal, Violation

#: A draft is deleted after this long; changing it does not prolong it, or it would become a note.
DRAFT_LIFETIME = timedelta(days=7)
#: Nobody knows today what a person needs later than this.
MAX_AHEAD = timedelta(days=366)
MAX_RENEWALS = 12
#: Serialised, of an order and of a draft. With its words a line is twice its order, and all lines of a plan have to fit into one
#: answer (4 MiB); so has a prescription with its signatures. A usual order is some hundred bytes.
MAX_ORDER_BYTES = 8_000
MAX_BYTES = 400_000
#: Lines of one plan that are in force. Nobody takes so many medicines; all of them are read whenever a dose is looked for.
MAX_IN_FORCE = 200
#: How long before its last day a line is among those that end: time for a prescriber to look at it.
ENDING_AHEAD = timedelta(days=7)
#: The last day of a line whose end is not known: what plans are read by.
FAR_AWAY = date(9999, 12, 31)

ORDERS_MISSING = Reason(
    "ORDERS_MISSING",
    Code.INVALID_ARGUMENT,
    fr="Une ordonnance sans médicament ne se signe pas : ajoutez-en un dans « orders ».",
    en="A prescription without a medicine cannot be signed: add one to `orders`.",
)
MEDICINE_MISSING = Reason(
    "MEDICINE_MISSING",
    Code.INVALID_ARGUMENT,
    fr="Dites quel médicament : « cis » (choisi dans le catalogue) ou « preparation » (hors catalogue), un seul des deux.",
    en="Say which medicine: `cis` (chosen in the catalogue) or `preparation` (not in it), one of the two.",
)
ROUTE_UNFIT = Reason(
    "ROUTE_UNFIT",
    Code.INVALID_ARGUMENT,
    fr="Cette voie n'est pas celle de la spécialité : choisissez parmi {routes}.",
    en="That route is not one of the specialty's: choose among {routes}.",
)
NOT_SUBSTITUTABLE_NAMING = Reason(
    "NOT_SUBSTITUTABLE_NAMING",
    Code.INVALID_ARGUMENT,
    fr="« Non substituable » ne vaut que pour une spécialité prescrite en son nom : mettez naming à NAMING_SPECIALTY.",
    en="A specialty that may not be substituted is prescribed by its name: set naming to NAMING_SPECIALTY.",
)
START_IN_THE_PAST = Reason(
    "START_IN_THE_PAST",
    Code.INVALID_ARGUMENT,
    fr="Le traitement ne peut pas commencer avant aujourd'hui ({today}) : ce qui a déjà été donné ne se prescrit pas après coup.",
    en="A treatment cannot begin before today ({today}): what was given already is not prescribed afterwards.",
)
START_TOO_FAR = Reason(
    "START_TOO_FAR",
    Code.INVALID_ARGUMENT,
    fr="Le traitement commencerait dans plus d'un an : vérifiez la date.",
    en="The treatment would begin in more than a year: check the date.",
)
RENEWALS_INVALID = Reason(
    "RENEWALS_INVALID",
    Code.INVALID_ARGUMENT,
    fr="Le nombre de renouvellements va de 0 à {limit}.",
    en="The number of renewals is 0 to {limit}.",
)
WEIGHT_INVALID = Reason(
    "WEIGHT_INVALID",
    Code.INVALID_ARGUMENT,
    fr="Le poids va de 0,3 à 500 kg : vérifiez-le.",
    en="A weight is between 0.3 and 500 kg: check it.",
)
WEIGHT_WITHOUT_DAY = Reason(
    "WEIGHT_WITHOUT_DAY",
    Code.INVALID_ARGUMENT,
    fr="Un poids se donne avec le jour de la pesée (weighed_on), et un jour avec le poids (weight_kg).",
    en="A weight comes with its day (weighed_on), and a day with its weight (weight_kg).",
)
OVERRIDE_TWICE = Reason(
    "OVERRIDE_TWICE",
    Code.INVALID_ARGUMENT,
    fr="Cette alerte est déjà levée plus haut : gardez un seul motif.",
    en="This alert is overridden above already: keep one reason.",
)
ORDER_TOO_LARGE = Reason(
    "ORDER_TOO_LARGE",
    Code.INVALID_ARGUMENT,
    fr="Cette ligne est trop longue pour être gardée : raccourcissez ses textes, ou répartissez les étapes de sa posologie sur "
    "plusieurs lignes.",
    en="This line is too long to be kept: shorten its texts, or spread the steps of its dosage over several lines.",
)
PRESCRIPTION_TOO_LARGE = Reason(
    "PRESCRIPTION_TOO_LARGE",
    Code.INVALID_ARGUMENT,
    fr="L'ordonnance est trop longue pour être gardée : répartissez les médicaments sur plusieurs ordonnances.",
    en="The prescription is too long to be kept: spread the medicines over several prescriptions.",
)
ALREADY_SIGNED = Reason(
    "PRESCRIPTION_SIGNED",
    Code.FAILED_PRECONDITION,
    fr="Cette ordonnance est signée : elle ne change plus. Arrêtez ou remplacez ses lignes.",
    en="This prescription is signed: it changes no more. Stop or replace its lines.",
)
NOT_SIGNED = Reason(
    "PRESCRIPTION_NOT_SIGNED",
    Code.FAILED_PRECONDITION,
    fr="Cette ordonnance n'est pas signée : signez-la d'abord.",
    en="This prescription is not signed: sign it first.",
)
PRESCRIBER_WITHOUT_RPPS = Reason(
    "PRESCRIBER_WITHOUT_RPPS",
    Code.FAILED_PRECONDITION,
    fr="Votre numéro RPPS n'est pas enregistré : une ordonnance ne peut pas être signée sans lui. Demandez-le à l'administrateur.",
    en="Your RPPS number is not recorded: a prescription cannot be signed without. Ask the administrator.",
)
ALERT_NOT_OVERRIDDEN = Reason(
    "ALERT_NOT_OVERRIDDEN",
    Code.FAILED_PRECONDITION,
    fr="L'alerte {key} bloque la signature : changez cette ligne, ou levez l'alerte dans « overrides » avec un motif et un texte. "
    "Le contrôle (prescriptions:check) dit laquelle.",
    en="The alert {key} stands against signing: change this line, or override the alert in `overrides` with a reason and a text. "
    "The check (prescriptions:check) tells which it is.",
)
PERSON_DEAD = Reason(
    "PERSON_DEAD",
    Code.FAILED_PRECONDITION,
    fr="Le dossier porte une date de décès : rien ne peut être prescrit. Si c'est une erreur, faites corriger l'identité.",
    en="The record has a date of death: nothing can be prescribed. If that is a mistake, have the identity corrected.",
)
PLAN_TO_REVIEW = Reason(
    "PLAN_TO_REVIEW",
    Code.FAILED_PRECONDITION,
    fr="Deux dossiers ont été fusionnés : relisez le plan de traitement et confirmez-le (treatment_plan:confirm) avant de signer.",
    en="Two records were merged: read the treatment plan and confirm it (treatment_plan:confirm) before you sign.",
)
FACILITY_NOT_FOLLOWING = Reason(
    "FACILITY_NOT_FOLLOWING",
    Code.FAILED_PRECONDITION,
    fr="La personne n'a pas de séjour dans cet établissement : indiquez un établissement qui l'accompagne (facility_id).",
    en="The person has no stay at this facility: name one that accompanies them (facility_id).",
)
PLAN_FULL = Reason(
    "PLAN_FULL",
    Code.FAILED_PRECONDITION,
    fr="Le plan de traitement aurait plus de {limit} lignes en cours : arrêtez ou remplacez celles qui ne servent plus.",
    en="The treatment plan would have more than {limit} lines in force: stop or replace those that are no longer needed.",
)
REPLACES_LATER = Reason(
    "REPLACES_LATER",
    Code.INVALID_ARGUMENT,
    fr="La ligne remplacée s'arrête à la signature : ce qui la remplace commence aujourd'hui, sinon rien n'est donné d'ici là.",
    en="The line that is replaced ends with the signature: what stands in its place begins today, or there is nothing in between.",
)
RESUMED_AGAINST_ALERT = Reason(
    "RESUMED_AGAINST_ALERT",
    Code.FAILED_PRECONDITION,
    fr="L'alerte {key} s'oppose à la reprise (allergie ou interaction connue depuis) : remplacez cette ligne par une nouvelle "
    "ordonnance, où l'alerte peut être levée avec un motif.",
    en="The alert {key} stands against giving it again (an allergy or an interaction known since): replace this line by a new "
    "prescription, in which the alert can be overridden with a reason.",
)
DRAFT_OF_ANOTHER_RECORD = Reason(
    "DRAFT_OF_ANOTHER_RECORD",
    Code.FAILED_PRECONDITION,
    fr="Ce brouillon a été commencé dans un dossier qui vient d'être fusionné ou séparé : supprimez-le et écrivez-le de nouveau.",
    en="This draft was begun in a record that was merged or taken apart since: delete it and write it anew.",
)
LINE_ENDED = Reason(
    "LINE_ENDED",
    Code.FAILED_PRECONDITION,
    fr="Cette ligne n'est plus en cours : relisez le plan de traitement.",
    en="This line is no longer in force: read the treatment plan again.",
)
LINE_NOT_SUSPENDED = Reason(
    "LINE_NOT_SUSPENDED",
    Code.FAILED_PRECONDITION,
    fr="Cette ligne n'est pas suspendue : il n'y a rien à reprendre.",
    en="This line is not suspended: there is nothing to resume.",
)
LINE_SUSPENDED = Reason(
    "LINE_SUSPENDED",
    Code.FAILED_PRECONDITION,
    fr="Cette ligne est déjà suspendue : reprenez-la ou arrêtez-la.",
    en="This line is suspended already: resume it or stop it.",
)
SUSPENSION_OVER = Reason(
    "SUSPENSION_OVER",
    Code.INVALID_ARGUMENT,
    fr="La suspension finirait avant maintenant : corrigez « until », ou laissez-le vide jusqu'à la reprise.",
    en="The suspension would end before now: correct `until`, or leave it out until the line is resumed.",
)
STOP_REASON_TEXT = Reason(
    "STOP_REASON_TEXT",
    Code.INVALID_ARGUMENT,
    fr="Avec le motif « autre », dites lequel dans « text ».",
    en="With the reason OTHER, say which in `text`.",
)
REPLACED_TWICE = Reason(
    "LINE_REPLACED_TWICE",
    Code.FAILED_PRECONDITION,
    fr="Cette ligne est déjà remplacée : relisez le plan de traitement.",
    en="This line is replaced already: read the treatment plan again.",
)


class LineStatus(IntEnum):
    """Where a line stands; the values of `dui.medication.v1.LineStatus`."""

    ACTIVE = 1
    SUSPENDED = 2
    STOPPED = 3
    REPLACED = 4
    EXPIRED = 5


class Act(IntEnum):
    """What is signed."""

    PRESCRIPTION = 1
    STOP = 2
    SUSPEND = 3
    RESUME = 4


class StopReason(IntEnum):
    """Why a line ends or pauses; the values of `dui.medication.v1.StopReason`."""

    UNSPECIFIED = 0
    NO_LONGER_NEEDED = 1
    INEFFECTIVE = 2
    ADVERSE_EFFECT = 3
    ALLERGY = 4
    INTERACTION = 5
    REFUSED = 6
    ABSENCE = 7
    PROCEDURE = 8
    MISTAKE = 9
    OTHER = 10


class Work(IntEnum):
    """What a line in force waits for; the values of `dui.medication.v1.LineWork`. The first two are stored."""

    TO_REVIEW = 1
    TO_ANSWER = 2
    ENDING = 3


@dataclass(frozen=True, slots=True)
class LineState:
    """What of a line its status depends on."""

    #: As it is stored: ACTIVE, SUSPENDED, STOPPED or REPLACED.
    stored: LineStatus
    #: Last day on which a dose may be due.
    last_on: date
    #: When the suspension ends by itself; None: when it is resumed, or there is none.
    suspended_until: datetime | None = None


def status_at(state: LineState, now: datetime, today: date) -> LineStatus:
    """Where a line stands at an instant, which is `today` at its facility: lines expire, and suspensions end, by themselves."""
    if state.stored in {LineStatus.STOPPED, LineStatus.REPLACED}:
        return state.stored
    if state.last_on < today:
        return LineStatus.EXPIRED
    over = state.suspended_until is not None and state.suspended_until <= now
    return LineStatus.ACTIVE if over else state.stored


def check_in_force(status: LineStatus, field: str = "prescription_line_id") -> None:
    """Refuses what is done to a line that is over."""
    if status not in {LineStatus.ACTIVE, LineStatus.SUSPENDED}:
        raise Refusal(LINE_ENDED, field=field)


def check_reason(reason: int, text: str) -> None:
    """Refuses a reason that says nothing."""
    if reason == StopReason.OTHER and not text.strip():
        raise Refusal(STOP_REASON_TEXT, field="text")


def check_suspend(status: LineStatus, until: datetime | None, now: datetime) -> None:
    """Refuses to suspend what is over or suspended, or until an instant that has passed."""
    check_in_force(status)
    if status is LineStatus.SUSPENDED:
        raise Refusal(LINE_SUSPENDED, field="prescription_line_id")
    if until is not None and until <= now:
        raise Refusal(SUSPENSION_OVER, field="until")


def check_resume(status: LineStatus) -> None:
    """Refuses to resume what is not suspended."""
    check_in_force(status)
    if status is not LineStatus.SUSPENDED:
        raise Refusal(LINE_NOT_SUSPENDED, field="prescription_line_id")


@dataclass(frozen=True, slots=True)
class OrderFacts:
    """What of an order these rules look at."""

    has_medicine: bool
    route: str
    #: The routes of the specialty; empty: the catalogue tells none.
    routes: tuple[str, ...]
    by_specialty: bool
    not_substitutable: bool
    starts_on: date
    renewals: int


def order_violations(order: OrderFacts, prefix: str, today: date) -> list[Violation]:
    """What is wrong with an order, its posology and the law apart."""
    found: list[Violation] = []
    if not order.has_medicine:
        found.append(Violation(MEDICINE_MISSING, f"{prefix}.cis"))
    known = {route.casefold() for route in order.routes}
    if known and order.route.strip().casefold() not in known:
        found.append(Violation(ROUTE_UNFIT, f"{prefix}.route", (("routes", ", ".join(order.routes)),)))
    if order.not_substitutable and not order.by_specialty:
        found.append(Violation(NOT_SUBSTITUTABLE_NAMING, f"{prefix}.no_substitution"))
    if order.starts_on < today:
        found.append(Violation(START_IN_THE_PAST, f"{prefix}.starts_on", (("today", today.isoformat()),)))
    elif order.starts_on > today + MAX_AHEAD:
        found.append(Violation(START_TOO_FAR, f"{prefix}.starts_on"))
    if not 0 <= order.renewals <= MAX_RENEWALS:
        found.append(Violation(RENEWALS_INVALID, f"{prefix}.renewals", (("limit", MAX_RENEWALS),)))
    return found


def twice(keys: Sequence[str]) -> list[Violation]:
    """What is wrong with two reasons for going beyond one alert."""
    return [
        Violation(OVERRIDE_TWICE, f"overrides[{number}].alert_key")
        for number, key in enumerate(keys)
        if key in keys[:number]
    ]


def check_size(serialised: int, orders: Sequence[int]) -> None:
    """Refuses a draft of more bytes than can be signed and shown; `orders`: the bytes of each."""
    for number, order in enumerate(orders):
        if order > MAX_ORDER_BYTES:
            raise Refusal(ORDER_TOO_LARGE, field=f"prescription.orders[{number}]")
    if serialised > MAX_BYTES:
        raise Refusal(PRESCRIPTION_TOO_LARGE, field="orders")


def too_many(in_force: int) -> list[Violation]:
    """What is wrong with a plan of so many lines, those that are being signed included."""
    return [Violation(PLAN_FULL, "orders", (("limit", MAX_IN_FORCE),))] if in_force > MAX_IN_FORCE else []
