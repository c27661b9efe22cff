"""Rules of organisation."""

from __future__ import annotations

import pytest
from dui_identity.organisation import rules
from dui_kit.errors import Refusal


@pytest.mark.parametrize(
    ("code", "short"),
    [
        ("500", "EHPAD"),
        ("183", "IME"),
        ("246", "ESAT"),
        ("446", "SAVS"),
        ("445", "SAMSAH"),
        ("182", "SESSAD"),
        ("255", "MAS"),
    ],
)
def test_a_category_has_its_french_name(code: str, short: str) -> None:
    assert rules.category_label(code).endswith(f"({short})")


def test_the_refusal_of_an_unknown_category_says_which_are_known() -> None:
    with pytest.raises(Refusal) as refused:
        rules.category_label("999")
    assert "183" in refused.value.violations[0].text("fr")
    assert refused.value.violations[0].field == "facility.category_code"


@pytest.mark.parametrize("name", ["Europe/Paris", "Indian/Reunion", "America/Martinique", "Pacific/Noumea"])
def test_the_zone_of_a_place_is_accepted(name: str) -> None:
    rules.check_time_zone(name)


@pytest.mark.parametrize("name", ["UTC", "CET", "Etc/GMT-4", "Europe/Lutece", "localtime", ""])
def test_what_is_no_place_is_refused(name: str) -> None:
    with pytest.raises(Refusal, match="TIME_ZONE_UNKNOWN"):
        rules.check_time_zone(name)


def test_names_have_single_spaces_and_say_something() -> None:
    assert rules.clean_name("  Les   Tilleuls ", field="facility.name") == "Les Tilleuls"
    with pytest.raises(Refusal, match="NAME_BLANK"):
        rules.clean_name(" \t", field="facility.name")
