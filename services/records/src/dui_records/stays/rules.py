"""Stays: their dates, what may overlap, how they end, and the access that they give."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import IntEnum
from typing import Final

from dui_kit.days import day_begins, day_is_over
from dui_kit.errors import Code, Reason, Refusal

#: FINESS category of an EHPAD (nomenclature TRE_R66).
EHPAD: Final = "500"
#: How long the team keeps access after an exit, to finish the record.
CLOSING_DAYS = 30
#: How far ahead an entry may be recorded; before that, the accepted request holds the place.
LONGEST_ADVANCE = timedelta(days=31)

STAY_OVERLAPS_FACILITY = Reason(
    "STAY_OVERLAPS_FACILITY",
    Code.ALREADY_EXISTS,
    fr="La personne a déjà un séjour dans cet établissement à ces dates : terminez-le d'abord, ou changez la date d'entrée.",
    en="The person already has a stay in this facility at these dates: end it first, or change the first day.",
)
STAY_OVERLAPS_RESIDENTIAL = Reason(
    "STAY_OVERLAPS_RESIDENTIAL",
    Code.ALREADY_EXISTS,
    fr="La personne a déjà un hébergement permanent à ces dates : terminez-le d'abord, ou choisissez une autre modalité.",
    en="The person already lives in a facility at these dates: end that stay first, or choose another modality.",
)
ENTRY_TOO_FAR_AHEAD = Reason(
    "ENTRY_TOO_FAR_AHEAD",
    Code.INVALID_ARGUMENT,
    fr="Une entrée s'enregistre au plus {days} jours à l'avance : d'ici là, l'admission acceptée réserve la place.",
    en="An entry may be recorded at most {days} days ahead: until then, the accepted request holds the place.",
)
ENTRY_BEFORE_BIRTH = Reason(
    "ENTRY_BEFORE_BIRTH",
    Code.INVALID_ARGUMENT,
    fr="Le premier jour du séjour précède la naissance : corrigez-le.",
    en="The first day of the stay is before the birth: correct it.",
)
ENTRY_AFTER_DEATH = Reason(
    "ENTRY_AFTER_DEATH",
    Code.FAILED_PRECONDITION,
    fr="La personne est décédée avant ce jour : corrigez la date d'entrée, ou la date de décès de son identité.",
    en="The person died before that day: correct the first day, or the date of death of the identity.",
)
EXPECTED_END_BEFORE_START = Reason(
    "EXPECTED_END_BEFORE_START",
    Code.INVALID_ARGUMENT,
    fr="La sortie prévue précède l'entrée : corrigez-la.",
    en="The day of exit foreseen is before the first day: correct it.",
)
STAY_ENDED = Reason(
    "STAY_ENDED",
    Code.FAILED_PRECONDITION,
    fr="Ce séjour est terminé : il ne peut plus qu'être annulé, avec le motif « saisi par erreur ».",
    en="This stay has ended: it can only be cancelled, with the reason ENTERED_BY_MISTAKE.",
)
EXIT_BEFORE_ENTRY = Reason(
    "EXIT_BEFORE_ENTRY",
    Code.INVALID_ARGUMENT,
    fr="Le dernier jour précède le premier : corrigez-le.",
    en="The last day is before the first: correct it.",
)
EXIT_IN_THE_FUTURE = Reason(
    "EXIT_IN_THE_FUTURE",
    Code.INVALID_ARGUMENT,
    fr="Le dernier jour est dans le futur : indiquez plutôt la sortie prévue (« expected_end_on »).",
    en="The last day is in the future: give the exit foreseen instead (`expected_end_on`).",
)
EXIT_BEFORE_DEATH = Reason(
    "EXIT_BEFORE_DEATH",
    Code.FAILED_PRECONDITION,
    fr="Le séjour se terminerait par un décès avant la date de décès de l'identité : corrigez l'une ou l'autre.",
    en="The stay would end by a death before the date of death of the identity: correct either.",
)


class StayModality(IntEnum):
    """How a person is accompanied; the values of `dui.records.v1.StayModality`."""

    RESIDENTIAL = 1
    TEMPORARY = 2
    DAY = 3
    WORK = 4
    HOME = 5


class ExitReason(IntEnum):
    """Why a stay ended; the values of `dui.records.v1.ExitReason`, 0 while it has not."""

    NONE = 0
    RETURN_HOME = 1
    TRANSFER = 2
    HOSPITAL = 3
    DEATH = 4
    END_OF_MEASURE = 5
    OWN_WISH = 6
    ENTERED_BY_MISTAKE = 7


@dataclass(frozen=True, slots=True)
class Stay:
    """What the rules need of a stay. Days are included."""

    facility_id: str
    modality: StayModality
    started_on: date
    expected_end_on: date | None = None
    ended_on: date | None = None
    exit_reason: ExitReason = ExitReason.NONE

    @property
    def was(self) -> bool:
        """False for a stay entered by mistake."""
        return self.exit_reason is not ExitReason.ENTERED_BY_MISTAKE

    def meets(self, other: Stay) -> bool:
        """Whether the two share a day."""
        return (
            self.was
            and other.was
            and self.started_on <= (other.ended_on or date.max)
            and other.started_on <= (self.ended_on or date.max)
        )


def check_entry(stay: Stay, *, born: date, died_on: date | None, today: date) -> None:
    """Refuses dates that no stay can have. `born`: the first day that the birth can be; `today`: days.latest_day."""
    if stay.started_on > today + LONGEST_ADVANCE:
        raise Refusal(ENTRY_TOO_FAR_AHEAD, field="stay.started_on", days=LONGEST_ADVANCE.days)
    if stay.started_on < born:
        raise Refusal(ENTRY_BEFORE_BIRTH, field="stay.started_on")
    if died_on is not None and stay.started_on > died_on:
        raise Refusal(ENTRY_AFTER_DEATH, field="stay.started_on")
    check_expected_end(stay)


def check_expected_end(stay: Stay) -> None:
    """Refuses an exit foreseen before the entry."""
    if stay.expected_end_on is not None and stay.expected_end_on < stay.started_on:
        raise Refusal(EXPECTED_END_BEFORE_START, field="stay.expected_end_on")


def check_overlap(new: Stay, others: Iterable[Stay]) -> None:
    """Refuses a stay that shares a day with another one of the person in the same facility, or of the exclusive modality.

    The database refuses the same for one record (EXCLUDE constraints); this also sees the records merged with it.
    """
    for other in others:
        if not new.meets(other):
            continue
        if new.facility_id == other.facility_id:
            raise Refusal(STAY_OVERLAPS_FACILITY, field="stay.started_on")
        if new.modality is StayModality.RESIDENTIAL and other.modality is StayModality.RESIDENTIAL:
            raise Refusal(STAY_OVERLAPS_RESIDENTIAL, field="stay.started_on")


def ended(stay: Stay, ended_on: date, exit_reason: ExitReason, *, died_on: date | None, today: date) -> Stay:
    """The stay after an exit. An ended stay may still turn out to have been entered by mistake."""
    match exit_reason:
        case ExitReason.ENTERED_BY_MISTAKE:
            if not stay.was:
                raise Refusal(STAY_ENDED)
        case ExitReason.DEATH:
            check_open(stay)
            if died_on is not None and ended_on < died_on:
                raise Refusal(EXIT_BEFORE_DEATH, field="ended_on")
        case (
            ExitReason.RETURN_HOME
            | ExitReason.TRANSFER
            | ExitReason.HOSPITAL
            | ExitReason.END_OF_MEASURE
            | ExitReason.OWN_WISH
            | ExitReason.NONE
        ):
            check_open(stay)
    if ended_on < stay.started_on:
        raise Refusal(EXIT_BEFORE_ENTRY, field="ended_on")
    # A mistake about a coming entry is cancelled with its first day.
    if ended_on > today and exit_reason is not ExitReason.ENTERED_BY_MISTAKE:
        raise Refusal(EXIT_IN_THE_FUTURE, field="ended_on")
    return replace(stay, ended_on=ended_on, exit_reason=exit_reason)


def check_open(stay: Stay) -> None:
    """Refuses to go on with a stay that has ended."""
    if stay.ended_on is not None:
        raise Refusal(STAY_ENDED)


@dataclass(frozen=True, slots=True)
class Reach:
    """When a stay gives access to its team (`valid_to` excluded; None: no end known; equal to `valid_from`: never)."""

    valid_from: datetime
    valid_to: datetime | None


def reach(stay: Stay, recorded_at: datetime) -> Reach:
    """The access that a stay gives; `recorded_at` is when the stay was first recorded.

    It begins with the first day, anywhere in France, or at once for a coming entry, since it takes over from the
    accepted request, under which the team was already preparing it.
    """
    valid_from = min(day_begins(stay.started_on), recorded_at)
    if not stay.was:
        return Reach(valid_from, valid_from)
    if stay.ended_on is None:
        return Reach(valid_from, None)
    return Reach(valid_from, day_is_over(stay.ended_on + timedelta(days=CLOSING_DAYS)))
