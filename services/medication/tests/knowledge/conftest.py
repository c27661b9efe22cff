"""An invented thesaurus, and the tests that take minutes or a network."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from dui_medication.knowledge.edition import Entry, IndexLine, build
from dui_medication.knowledge.names import canonical
from dui_medication.knowledge.thesaurus import Thesaurus

EDITION = date(2025, 3, 1)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves what is slow to `make proofs`: `make test` selects by other markers."""
    if "slow" in str(config.option.markexpr):
        return
    for item in items:
        if Path(__file__).parent in item.path.parents and item.get_closest_marker("slow") is not None:
            item.add_marker(pytest.mark.skip(reason="slow: make proofs"))


def entry(
    main: str, other: str, *levels: tuple[str, str], about: str = "", text: str = "", mechanism: str = "M."
) -> Entry:
    return Entry(main, other, levels, mechanism, about, text)


CI, AD, PE, APEC = "CONTRE-INDICATION", "Association DECONSEILLEE", "Précaution d'emploi", "A prendre en compte"

INDEX = (
    IndexLine("zolanum", ("rêveurs", "autres rêveurs")),
    IndexLine("morphéol", ("rêveurs", "autres rêveurs")),
    IndexLine("somnidrine", ("rêveurs", "autres rêveurs", "brouillards")),
    IndexLine("briline", ()),
    IndexLine("luridex", ("éclaircissants (sauf briline)",)),
    IndexLine("clarisol", ("éclaircissants (sauf briline)",)),
    # One substance whose classes the index has shared out between two names.
    IndexLine("perdanol", ("brouillards",)),
    IndexLine("perdanol tert-butylamine", ("éclaircissants (sauf briline)",)),
    IndexLine("acide fictique", ()),
    IndexLine("potassium", ("élévateurs", "autres élévateurs")),
    IndexLine("potassium (citrate de)", ("citrates",)),
    IndexLine("régulol", ("élévateurs", "autres élévateurs")),
)
ENTRIES = (
    entry("ZOLANUM", "BRILINE", (CI, "")),
    entry("BRILINE", "ZOLANUM", (CI, "")),
    entry("LURIDEX", "RÊVEURS", (AD, "à forte dose"), (PE, "à faible dose")),
    entry("RÊVEURS", "LURIDEX", (AD, "à forte dose"), (PE, "à faible dose")),
    entry("RÊVEURS", "AUTRES RÊVEURS", (APEC, "")),
    entry("RÊVEURS", "ÉCLAIRCISSANTS (SAUF BRILINE)", (PE, "surveiller")),
    entry("ÉCLAIRCISSANTS (SAUF BRILINE)", "RÊVEURS", (PE, "surveiller")),
    entry("BROUILLARDS", "ACIDE FICTIQUE", (AD, "")),
    entry("ACIDE FICTIQUE", "BROUILLARDS", (AD, "")),
    entry("ÉLÉVATEURS", "AUTRES ÉLÉVATEURS", (CI, "")),
    entry("CITRATES", "BRILINE", (APEC, "")),
    entry("BRILINE", "CITRATES", (APEC, "")),
    entry("ZOLANUM", "ALCOOL (BOISSON OU EXCIPIENT)", (AD, "")),
    entry("RÊVEURS", "MÉDICAMENTS ADMINISTRÉS PAR VOIE ORALE", (PE, "à distance")),
)
SYNONYMS = {
    canonical("zolane"): (canonical("zolanum"),),
    canonical("luribrile"): (canonical("luridex"), canonical("briline")),
}


@pytest.fixture(scope="session")
def fictive() -> Thesaurus:
    """An edition of invented substances."""
    return build(EDITION, ENTRIES, INDEX, SYNONYMS)
