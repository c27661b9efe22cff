"""What may be said of a treatment that is another service's, and when it is not known."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import IntEnum

from dui_kit.errors import Code, Reason, Refusal

#: What was kept is asked anew after this long: its age is hours when medication goes away, not the months since a line changed.
REFRESH_AFTER = timedelta(hours=12)

TREATMENT_UNKNOWN = Reason(
    "TREATMENT_UNKNOWN",
    Code.UNAVAILABLE,
    fr="Le service des médicaments ne répond pas, et rien n'est gardé ici du traitement de cette personne : il n'est pas connu, "
    "ce qui ne veut pas dire qu'elle ne prend rien. Réessayez dans un moment ; d'ici là, fiez-vous aux ordonnances imprimées.",
    en="The medication service does not answer, and nothing is kept here of this person's treatment: it is not known, "
    "which does not mean that they take nothing. Try again in a moment; until then, go by the printed prescriptions.",
)
TREATMENT_KNOWN_IN_PART = Reason(
    "TREATMENT_KNOWN_IN_PART",
    Code.UNAVAILABLE,
    fr="Le service des médicaments ne répond pas, et ce qui est gardé ici n'est le traitement que d'une partie des dossiers "
    "fusionnés de cette personne : il n'est pas montré. Réessayez dans un moment ; d'ici là, fiez-vous aux ordonnances imprimées.",
    en="The medication service does not answer, and what is kept here is the treatment of only some of this person's merged "
    "records: it is not shown. Try again in a moment; until then, go by the printed prescriptions.",
)


class LineStatus(IntEnum):
    """Where a line stands; the values of `dui.medication.v1.LineStatus`."""

    ACTIVE = 1
    SUSPENDED = 2
    STOPPED = 3
    REPLACED = 4
    EXPIRED = 5


@dataclass(frozen=True, slots=True)
class Told:
    """What medication told of one record."""

    #: It has lines.
    treated: bool
    #: The records that were one person for medication when it was asked.
    together: frozenset[str]
    #: The plan of these waited for a prescriber.
    to_review: bool


def check_known(records: Collection[str], known: Collection[str]) -> None:
    """Refuses unless something is known of every record of a person: a part of a treatment looks like all of it."""
    if not known:
        raise Refusal(TREATMENT_UNKNOWN)
    if not set(records) <= set(known):
        raise Refusal(TREATMENT_KNOWN_IN_PART)


def is_to_review(told: Mapping[str, Told]) -> bool:
    """Whether the treatment of a person waits for a prescriber, by what was told of each of their records.

    Lines of one record never do. Of lines of several records medication says it, if it knew them as one person's already; before,
    nobody can have looked at them together.
    """
    treated = {record for record, each in told.items() if each.treated}
    if len(treated) < 2:
        return False
    return any(each.to_review or not treated <= each.together for record, each in told.items() if record in treated)


def status_now(
    told: LineStatus, ends_on: date | None, suspended_until: datetime | None, *, now: datetime, today: date
) -> LineStatus:
    """Where a line stands that was told before: nothing is announced when the calendar ends it, or its suspension.

    Args:
        told: where it stood.
        ends_on: its last day; None: until it is stopped.
        suspended_until: when its suspension ends by itself.
        now: the instant asked about.
        today: the day that it is then at the facility that gives it.
    """
    if told not in {LineStatus.ACTIVE, LineStatus.SUSPENDED}:
        return told
    if ends_on is not None and ends_on < today:
        return LineStatus.EXPIRED
    return LineStatus.ACTIVE if suspended_until is not None and suspended_until <= now else told


def oldest(instants: Iterable[datetime]) -> datetime:
    """The age of what was put together is that of its oldest part."""
    return min(instants)
