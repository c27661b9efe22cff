"""A small thesaurus of real names, to read allergies with."""

from __future__ import annotations

from datetime import date

import pytest
from dui_medication.knowledge.edition import Entry, IndexLine, build
from dui_medication.knowledge.names import canonical
from dui_medication.knowledge.thesaurus import Thesaurus

SUBSTANCES = ("metformine", "nitrofurantoïne", "potassium", "clindamycine", "valproïque (acide)", "insuline")


@pytest.fixture(scope="session")
def small() -> Thesaurus:
    """Some substances that are in no group, and a class of interactions."""
    index = [IndexLine(name, ("hypokaliémiants",) if name == "clindamycine" else ()) for name in SUBSTANCES]
    entry = Entry("HYPOKALIÉMIANTS", "METFORMINE", (("A prendre en compte", ""),), "", "", "")
    synonyms = {canonical("furadoïne"): (canonical("nitrofurantoïne"),)}
    return build(date(2026, 3, 1), [entry], index, synonyms)
