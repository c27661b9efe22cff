"""How much of a set of medicines the thesaurus can speak about: a number to show beside every answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dui_medication.knowledge.names import canonical
from dui_medication.knowledge.resolution import Homeopathic, How, Resolved, Unresolved, resolve
from dui_medication.knowledge.rules import Line
from dui_medication.knowledge.thesaurus import Thesaurus


@dataclass(frozen=True, slots=True)
class Share:
    """A part of a whole."""

    part: int
    whole: int

    @property
    def ratio(self) -> float:
        """Between 0 and 1; 0 of nothing, since nothing was covered."""
        return self.part / self.whole if self.whole else 0.0


@dataclass(frozen=True, slots=True)
class Coverage:
    """What was resolved. Homeopathic stocks and medicines are counted apart: they are in no share but `with_…`."""

    #: Distinct substances (by all their names) that resolve, of those that are not homeopathic.
    substances: Share
    substances_with_homeopathy: Share
    #: Medicines all of whose substances resolve, of those that are not homeopathic.
    medicines: Share
    medicines_with_homeopathy: Share
    #: Substances of the edition that the medicines hold.
    names_met: Share
    #: Distinct substances by how they resolved.
    how: Mapping[How, int]
    #: The names that were not found, with the number of medicines that hold them; the most frequent first.
    unresolved: tuple[tuple[str, int], ...]


def coverage(medicines: Iterable[Line], thesaurus: Thesaurus, *, most: int = 20) -> Coverage:
    """Resolves every substance of every medicine. `most`: how many unresolved names to tell.

    A medicine is homeopathic when one of its substances is; one without substances counts as not resolved.
    """
    answers: dict[tuple[str, ...], Resolved | Homeopathic | Unresolved] = {}
    missing: Counter[str] = Counter()
    resolved = ordinary = stocks = 0
    for medicine in medicines:
        of_medicine = []
        for substance in medicine.substances:
            key = tuple(sorted({canonical(name) for name in substance.names}))
            if key not in answers:
                answers[key] = resolve(substance, thesaurus)
            of_medicine.append(answers[key])
        if any(isinstance(answer, Homeopathic) for answer in of_medicine):
            stocks += 1
            continue
        ordinary += 1
        resolved += bool(of_medicine) and all(isinstance(answer, Resolved) for answer in of_medicine)
        missing.update({canonical(answer.label) for answer in of_medicine if isinstance(answer, Unresolved)})

    found = [answer for answer in answers.values() if isinstance(answer, Resolved)]
    homeopathic = sum(isinstance(answer, Homeopathic) for answer in answers.values())
    met = {name for answer in found for name in answer.found} & thesaurus.substances
    how = Counter(answer.how for answer in found)
    return Coverage(
        substances=Share(len(found), len(answers) - homeopathic),
        substances_with_homeopathy=Share(len(found), len(answers)),
        medicines=Share(resolved, ordinary),
        medicines_with_homeopathy=Share(resolved, ordinary + stocks),
        names_met=Share(len(met), len(thesaurus.substances)),
        how={way: how[way] for way in How},
        unresolved=tuple(sorted(missing.items(), key=lambda pair: (-pair[1], pair[0]))[:most]),
    )
