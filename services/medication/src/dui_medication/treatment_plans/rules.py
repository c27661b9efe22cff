"""When a treatment plan may be worked with as it is, and how far doses are looked ahead."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import date, timedelta

from dui_kit.errors import Code, Reason, Refusal

#: Days that one look at the doses due covers at most, the first one included.
MAX_DAYS = 8
#: How long a line that ended stays in sight.
ENDED_DAYS = 14
MOST_ENDED = 50
#: Nobody's treatment here is of another time, and a calendar can be counted on beyond these days.
_FIRST, _LAST = date(2000, 1, 1), date(2199, 12, 31)

PERIOD_INVALID = Reason(
    "PERIOD_INVALID",
    Code.INVALID_ARGUMENT,
    fr="La période va du premier au dernier jour, {days} jours au plus, de 2000 à 2199 : corrigez from_on et to_on.",
    en="A period goes from its first to its last day, {days} days at most, 2000 to 2199: correct from_on and to_on.",
)
TOO_MANY_LINES = Reason(
    "TOO_MANY_LINES",
    Code.FAILED_PRECONDITION,
    fr="Cette personne a trop de lignes de traitement dans cette période pour que toutes ses prises soient données : "
    "demandez moins de jours (from_on, to_on).",
    en="This person has too many lines of treatment in that time for all doses to be told: ask for fewer days (from_on, to_on).",
)
PLAN_CHANGED = Reason(
    "PLAN_CHANGED",
    Code.FAILED_PRECONDITION,
    fr="Le plan de traitement n'est pas celui que vous avez relu : relisez-le, puis confirmez toutes ses lignes.",
    en="The treatment plan is not the one that you have read: read it again, then confirm all of its lines.",
)
NOTHING_TO_CONFIRM = Reason(
    "NOTHING_TO_CONFIRM",
    Code.FAILED_PRECONDITION,
    fr="Ce plan de traitement n'attend pas de confirmation.",
    en="This treatment plan does not wait for a confirmation.",
)


def is_to_review(records: Mapping[str, int], *, treated: bool, confirmed: Iterable[Mapping[str, int]]) -> bool:
    """Whether a plan waits for a prescriber: records were merged, and nobody has looked since at what the person then takes. It
    counts that there is a treatment, not whose: what is merged with it may be an allergy.

    Args:
        records: the records of the person, each with its version, which grows when it is merged or taken apart.
        treated: a line is in force.
        confirmed: the records, with their versions of then, that each confirmation was about.
    """
    return treated and len(records) > 1 and dict(records) not in [dict(each) for each in confirmed]


def check_confirmed(lines: Collection[str], read: Collection[str]) -> None:
    """Refuses a confirmation of another plan than the one in force: by ids of lines."""
    if set(lines) != set(read):
        raise Refusal(PLAN_CHANGED, field="line_ids")


def period(from_on: date | None, to_on: date | None, today: date) -> tuple[date, date]:
    """The days asked for; Refusal when there are too many, or the last comes before the first."""
    first = from_on or today
    last = to_on or first
    if not timedelta(0) <= last - first < timedelta(days=MAX_DAYS) or first < _FIRST or last > _LAST:
        raise Refusal(PERIOD_INVALID, field="to_on", days=MAX_DAYS)
    return first, last


def widest(from_on: date | None, to_on: date | None, earliest: date, latest: date) -> tuple[date, date]:
    """The days asked for wherever it is: where none is told, the first one is today, which is `earliest` to `latest` from place to
    place. Refusal when no place has such a period."""
    if from_on is not None:
        return period(from_on, to_on, from_on)
    last = to_on or latest
    if not earliest <= last < latest + timedelta(days=MAX_DAYS):
        raise Refusal(PERIOD_INVALID, field="to_on", days=MAX_DAYS)
    return earliest, last
