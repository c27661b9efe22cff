"""`dui catalogue`, on a real database."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from dui_kit.db import migrate
from dui_kit.testing import create_database, postgres_server
from dui_medication.catalogue.source import FICTIVE_MARK, FORMULARY
from dui_ops.__main__ import main


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    with postgres_server() as url:
        yield url


@pytest.fixture(autouse=True)
def database(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database of medication without a catalogue, which the commands find by their settings."""
    made = create_database(postgres, "medication")
    migrate.upgrade("dui_medication.migrations", made.owner_url)
    monkeypatch.setenv("DUI_MEDICATION_DATABASE_OWNER_URL", made.owner_url)


def run(*arguments: str) -> object:
    """The exit code of a command line."""
    try:
        return main(["catalogue", *arguments])
    except SystemExit as refused:  # by argparse
        return refused.code


def test_an_operator_imports_looks_and_imports_again(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["catalogue", "show"]) == 1
    assert "no catalogue" in capsys.readouterr().out
    assert main(["catalogue", "import", "--fictive", "--dry-run"]) == 0
    assert "46 specialties, 92 boxes: would be imported\nadded 46" in capsys.readouterr().out
    assert main(["catalogue", "show"]) == 1
    capsys.readouterr()
    assert main(["catalogue", "import", "--fictive"]) == 0
    assert "is edition 1 now" in capsys.readouterr().out
    assert main(["catalogue", "import", "--fictive"]) == 0
    assert "is the current edition already, nothing was changed" in capsys.readouterr().out
    assert main(["catalogue", "show"]) == 0
    assert "edition 1: FICTIVE of 2026-01-28, 46 specialties" in capsys.readouterr().out


def test_what_cannot_be_imported_is_told_in_a_sentence_and_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(FORMULARY, tmp_path / "edition"))
    (folder / FICTIVE_MARK).unlink()
    for arguments, told in (
        ([str(folder), "--edition", "2026-01-28"], "nothing was imported: CIS_bdpm has 46 specialties"),
        ([str(folder)], "--edition is missing"),
        ([str(tmp_path / "nowhere"), "--edition", "2026-01-28"], "CIS_bdpm.txt (or CIS_bdpm.txt.gz) is not in"),
        (["--fictive", "--edition", "2026-13-01"], "is no day YYYY-MM-DD"),
        ([], "is required"),
    ):
        assert run("import", *arguments) == 2
        assert told in capsys.readouterr().err
    assert main(["catalogue", "show"]) == 1


def test_without_the_database_it_says_which_and_where(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DUI_MEDICATION_DATABASE_OWNER_URL", "postgresql://nobody@127.0.0.1:1/medication")
    assert main(["catalogue", "show"]) == 2
    assert "the database of medication" in capsys.readouterr().err
    monkeypatch.delenv("DUI_MEDICATION_DATABASE_OWNER_URL")
    monkeypatch.setenv("DUI_RECORDS_DATABASE_OWNER_URL", "postgresql://nobody@127.0.0.1:1/records")
    assert main(["catalogue", "show"]) == 2
    assert "DUI_MEDICATION_DATABASE_OWNER_URL is not set" in capsys.readouterr().err
