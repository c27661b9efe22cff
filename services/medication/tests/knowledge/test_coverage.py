"""How much of a set of medicines the thesaurus can speak about."""

from __future__ import annotations

import pytest
from dui_medication.knowledge.coverage import Share, coverage
from dui_medication.knowledge.resolution import How, Substance
from dui_medication.knowledge.rules import Line
from dui_medication.knowledge.thesaurus import Thesaurus


def medicine(id_: str, *names: str) -> Line:
    return Line(id_, tuple(Substance((name,)) for name in names))


def test_homeopathy_is_counted_apart_and_what_is_missing_is_named_with_its_frequency(fictive: Thesaurus) -> None:
    stock = "BRILINE POUR PRÉPARATIONS HOMÉOPATHIQUES"
    counted = coverage(
        [
            medicine("1", "ZOLANUM"),
            medicine("2", "Zolanum", "BRILINE (CHLORHYDRATE DE)"),
            medicine("3", "ZOLANE", "INCONNUMAB"),
            medicine("4", "INCONNUMAB", "AUTRUMAB"),
            medicine("5", stock),
            medicine("6"),
        ],
        fictive,
    )
    assert counted.substances == Share(3, 5)
    assert counted.substances_with_homeopathy == Share(3, 6)
    assert counted.medicines == Share(2, 5)
    assert counted.medicines_with_homeopathy == Share(2, 6)
    assert counted.names_met == Share(2, 12)
    assert counted.how == {How.EXACT: 1, How.SALT_REMOVED: 1, How.SYNONYM: 1}
    assert counted.unresolved == (("INCONNUMAB", 2), ("AUTRUMAB", 1))


def test_as_many_missing_names_are_told_as_asked_for(fictive: Thesaurus) -> None:
    medicines = [medicine("1", "INCONNUMAB"), medicine("2", "AUTRUMAB")]
    assert coverage(medicines, fictive, most=1).unresolved == (("AUTRUMAB", 1),)


def test_a_share_of_nothing_is_nothing(fictive: Thesaurus) -> None:
    assert coverage([], fictive).medicines.ratio == 0.0
    assert Share(1, 4).ratio == pytest.approx(0.25)
