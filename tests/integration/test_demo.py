"""`make demo` on a running platform: what it prints is in order, at local time, and in words for people."""

from __future__ import annotations

import contextlib
import io
import json
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from dui_kit.worker.testing import free_port
from dui_local import demo, demo_story
from dui_ops.state import State, load

#: The facility of case 1 is near Paris, the servers keep UTC.
PARIS = ZoneInfo("Europe/Paris")
_ENTRY = re.compile(r"^ {7}(?P<at>\d\d:\d\d:\d\d)  (?P<who>.{24})  (?P<what>.{55})  (?P<verdict>.+)$", re.MULTILINE)


@pytest.fixture(scope="module")
def state() -> State:
    """The running stack."""
    return load()


@dataclass(frozen=True)
class Told:
    """What one run printed, and between which instants."""

    text: str
    begun: datetime
    ended: datetime


@pytest.fixture(scope="module")
def told(state: State) -> Told:
    """One run for all."""
    begun, printed = datetime.now(PARIS), io.StringIO()
    with contextlib.redirect_stdout(printed):
        demo.play(state)
    return Told(printed.getvalue(), begun, datetime.now(PARIS))


def test_the_story_is_told_in_order_at_local_time(state: State, told: Told) -> None:
    accounts = {each["role"]: each for each in state["accounts"] if each["username"].endswith(f".{demo_story.SLUG}")}
    for role in ("secretary", "nurse", "educator", "doctor", "dpo"):
        assert f"(compte {accounts[role]['username']})" in told.text
    entries = list(_ENTRY.finditer(told.text))
    assert f"{len(entries)} en tout, à l'heure de l'établissement (Europe/Paris)" in told.text
    assert {int(entry["at"][:2]) for entry in entries} <= {told.begun.hour, told.ended.hour}
    doctor = accounts["doctor"]["name"]
    assert [(entry["what"].strip(), entry["verdict"]) for entry in entries if entry["who"].strip() == doctor] == [
        ("Liste des antécédents · Médical", "refusé (hors de son périmètre)"),
        ("Accès en urgence à un dossier · Médical", "refusé (sans second facteur)"),
        ("Accès en urgence à un dossier · Médical", "autorisé"),
        ("Liste des allergies · Alertes de sécurité", "autorisé, glace brisée"),
        ("Saisie d'un antécédent · Médical", "autorisé, glace brisée"),
    ]
    # The order of the people is that of the story.
    names = [accounts[role]["name"] for role in ("secretary", "nurse", "educator", "doctor")]
    seen = list(dict.fromkeys(entry["who"].strip() for entry in entries))
    assert [name for name in seen if name in names] == names


def test_an_identity_is_validated_on_a_document_and_insi_says_that_it_is_not_connected(told: Told) -> None:
    assert "vérifie la carte d'identité présentée : identité validée\n" in told.text
    assert "téléservice INSi (HTTP 409, INSI_NOT_CONNECTED)\n" in told.text


def test_what_must_not_be_signed_is_blocked_and_its_source_told(told: Told) -> None:
    """ANSM: antivitamines K + miconazole, contre-indication. What nobody can check is said to be so, not passed over."""
    assert "ajoute un gel de miconazole → bloqué : Contre-indication : antivitamines K et miconazole\n" in told.text
    assert "ajoute amoxicilline–acide clavulanique → bloqué : Allergie « Amoxicilline »\n" in told.text
    assert "Thésaurus des interactions médicamenteuses de l'ANSM, 2020-10-20 (ancienne édition)\n" in told.text
    assert "Contrôle indisponible : allergie « un sirop pour la toux, dans l'enfance »" in told.text


def test_a_prescription_goes_all_its_way(told: Told) -> None:
    """Signed, verified, printed, reviewed, planned, answered, and reconciled after the hospital."""
    assert re.search(r"fait vérifier la signature : valide \(clé [0-9a-f]{16}\)\n", told.text)
    assert re.search(r"imprime l'ordonnance : PDF de \d+ Ko\n", told.text)
    assert "ouvre la liste des lignes à analyser : 12, dont les 12 de cette ordonnance\n" in told.text
    assert "lit le plan de traitement : 12 lignes, dont 11 où l'aide à la prise suffit (CASF L313-26)\n" in told.text
    assert "ouvre la liste des réponses à donner à la pharmacie : 1\n" in told.text
    assert "retrouve dans le dossier le résumé du traitement : 12 lignes, à jour\n" in told.text
    assert "compare la lettre de sortie au plan : 13 lignes, 3 divergences\n" in told.text
    assert "clôt la conciliation à " in told.text


def test_a_nurse_needs_no_word_of_http(told: Told) -> None:
    """What happened is said in words; what a programmer looks for stands behind, in parentheses."""
    refusals = [line for line in told.text.splitlines() if "→ refusé" in line]
    assert len(refusals) == 10
    for line in refusals:
        words, programmers = line.rsplit(" (", 1)
        assert re.fullmatch(r"HTTP 4\d\d, [A-Z_]+\)", programmers)
        assert not re.search(r"\d{3}", words)
    assert "If-Match" not in re.sub(r"\([^)]*\)", "", told.text)


def test_a_platform_that_is_away_is_told_in_one_sentence(
    state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway = f"http://127.0.0.1:{free_port()}"
    copy = tmp_path / "state.json"
    copy.write_text(json.dumps(state | {"urls": state["urls"] | {"gateway": gateway}}), encoding="utf-8")
    monkeypatch.setenv("DUI_STACK", str(copy))
    assert demo.main() == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == (
        f"The demo stopped: the gateway does not answer at {gateway}: start it (`make up` starts the local stack)\n"
    )
