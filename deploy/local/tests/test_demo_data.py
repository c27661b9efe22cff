"""The people of the demo: the same for the demo data, others for each run of the demo."""

from __future__ import annotations

from datetime import date

from dui_local.demo_data import People, Person, associations

TODAY = date(2026, 11, 24)


def first(variant: str) -> Person:
    return People(associations()[0], variant).person((25, 55), TODAY)


def test_the_same_association_has_the_same_people() -> None:
    assert first("") == first("")


def test_each_run_of_the_demo_admits_somebody_else() -> None:
    assert len({first(f"-{run}").nir for run in range(20)} | {first("").nir}) == 21
