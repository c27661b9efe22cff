"""Requests to enter a facility: their states, and the access that each state gives."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import Enum, IntEnum, auto

from dui_kit.errors import Code, Reason, Refusal

#: How long the team that prepared an admission may finish its file once the request is closed.
CLOSING_PERIOD = timedelta(days=30)

ADMISSION_CLOSED = Reason(
    "ADMISSION_CLOSED",
    Code.FAILED_PRECONDITION,
    fr="Cette demande n'est plus ouverte à cette décision : relisez-la, ou enregistrez une nouvelle demande.",
    en="This request is no longer open to this decision: read it again, or record a new request.",
)
ADMISSION_NOT_ACCEPTED = Reason(
    "ADMISSION_NOT_ACCEPTED",
    Code.FAILED_PRECONDITION,
    fr="L'entrée demande une admission acceptée et pas encore réalisée : acceptez d'abord la demande.",
    en="An entry needs an accepted request that did not lead to an entry yet: accept the request first.",
)
ADMISSION_ALREADY_OPEN = Reason(
    "ADMISSION_ALREADY_OPEN",
    Code.ALREADY_EXISTS,
    fr="Une demande pour cet établissement et cette modalité est déjà ouverte : complétez-la ou retirez-la.",
    en="A request for this facility and modality is already open: go on with it or withdraw it.",
)
REQUEST_IN_THE_FUTURE = Reason(
    "REQUEST_IN_THE_FUTURE",
    Code.INVALID_ARGUMENT,
    fr="La date de la demande est dans le futur : corrigez-la.",
    en="The date of the request is in the future: correct it.",
)
WISHED_ENTRY_BEFORE_REQUEST = Reason(
    "WISHED_ENTRY_BEFORE_REQUEST",
    Code.INVALID_ARGUMENT,
    fr="L'entrée souhaitée précède la demande : corrigez l'une ou l'autre date.",
    en="The hoped-for entry is before the request: correct either date.",
)
BENEFICIARY_DECEASED = Reason(
    "BENEFICIARY_DECEASED",
    Code.FAILED_PRECONDITION,
    fr="La personne est décédée à cette date : corrigez la date, ou la date de décès de son identité.",
    en="The person was dead at that date: correct the date, or the date of death of the identity.",
)
NOT_OF_THIS_FACILITY = Reason(
    "NOT_OF_THIS_FACILITY",
    Code.PERMISSION_DENIED,
    fr="Cette décision appartient à l'établissement ou à l'unité concernés, où aucune affectation ne vous en donne le droit.",
    en="This decision is for the facility or the unit concerned, where no assignment gives you the right to take it.",
)


class AdmissionStatus(IntEnum):
    """State of a request; the values of `dui.records.v1.AdmissionStatus`."""

    REQUESTED = 1
    ACCEPTED = 2
    REFUSED = 3
    WITHDRAWN = 4
    ENTERED = 5


class Decision(Enum):
    """What may happen to a request."""

    ACCEPT = auto()
    REFUSE = auto()
    WITHDRAW = auto()
    ENTER = auto()
    #: The stay that it led to was entered by mistake.
    REOPEN = auto()


_OPEN = (AdmissionStatus.REQUESTED, AdmissionStatus.ACCEPTED)


def decided(status: AdmissionStatus, decision: Decision) -> AdmissionStatus:
    """The state after a decision; Refusal when the state is not open to it.

    A stay entered by mistake puts its request back to REQUESTED, not to ACCEPTED: access to care data ends with it.
    """
    sources: tuple[AdmissionStatus, ...]
    match decision:
        case Decision.ACCEPT:
            sources, result, reason = (AdmissionStatus.REQUESTED,), AdmissionStatus.ACCEPTED, ADMISSION_CLOSED
        case Decision.REFUSE:
            sources, result, reason = _OPEN, AdmissionStatus.REFUSED, ADMISSION_CLOSED
        case Decision.WITHDRAW:
            sources, result, reason = _OPEN, AdmissionStatus.WITHDRAWN, ADMISSION_CLOSED
        case Decision.ENTER:
            sources, result, reason = (AdmissionStatus.ACCEPTED,), AdmissionStatus.ENTERED, ADMISSION_NOT_ACCEPTED
        case Decision.REOPEN:
            sources, result, reason = (AdmissionStatus.ENTERED,), AdmissionStatus.REQUESTED, ADMISSION_CLOSED
    if status not in sources:
        raise Refusal(reason)
    return result


@dataclass(frozen=True, slots=True)
class Reach:
    """What a request opens to the facility: the categories of an admission or all of care, until when (None: open)."""

    admission_only: bool
    valid_to: datetime | None


def reach(status: AdmissionStatus, decided_at: datetime | None) -> Reach:
    """The access that a state gives; `decided_at` is when the state was reached, None for a new request.

    An accepted request opens care, so that the team can prepare the entry. The stay takes over at the entry.
    """
    match status:
        case AdmissionStatus.REQUESTED:
            return Reach(admission_only=True, valid_to=None)
        case AdmissionStatus.ACCEPTED:
            return Reach(admission_only=False, valid_to=None)
        case AdmissionStatus.REFUSED | AdmissionStatus.WITHDRAWN:
            return Reach(admission_only=True, valid_to=None if decided_at is None else decided_at + CLOSING_PERIOD)
        case AdmissionStatus.ENTERED:
            return Reach(admission_only=True, valid_to=decided_at)


def check_request(requested_on: date, wished_entry_on: date | None, died_on: date | None, today: date) -> None:
    """Refuses dates that no request can have. `today`: the latest day that it is anywhere (days.latest_day)."""
    if requested_on > today:
        raise Refusal(REQUEST_IN_THE_FUTURE, field="admission.requested_on")
    if wished_entry_on is not None and wished_entry_on < requested_on:
        raise Refusal(WISHED_ENTRY_BEFORE_REQUEST, field="admission.wished_entry_on")
    if died_on is not None and requested_on > died_on:
        raise Refusal(BENEFICIARY_DECEASED, field="admission.requested_on")
