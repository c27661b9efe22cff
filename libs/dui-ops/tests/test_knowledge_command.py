"""`dui knowledge`, on a real database, with the package that `make install` fetches."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from dui_kit.db import migrate
from dui_kit.testing import create_database, postgres_server
from dui_local.seed import THESAURUS
from dui_ops.__main__ import main


def test_an_operator_imports_and_looks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with postgres_server() as url:
        made = create_database(url, "medication")
        migrate.upgrade("dui_medication.migrations", made.owner_url)
        monkeypatch.setenv("DUI_MEDICATION_DATABASE_OWNER_URL", made.owner_url)
        assert main(["knowledge", "show"]) == 1
        assert main(["catalogue", "import", "--fictive"]) == 0
        assert main(["knowledge", "import", str(THESAURUS), "--dry-run"]) == 0
        assert main(["knowledge", "show"]) == 1
        capsys.readouterr()
        assert main(["knowledge", "import", str(THESAURUS)]) == 0
        imported = capsys.readouterr().out
        assert "edition of 2020-10-20" in imported
        assert "is the current one now" in imported
        counted = imported.split("\n", 1)[1]
        assert "specialties of which it knows every substance" in counted
        # Looking tells what was counted at the import, and writes nothing.
        with psycopg.connect(made.owner_url, autocommit=True) as connection:
            connection.execute("UPDATE reference.interaction_coverage SET content = content")
            before = connection.execute("SELECT xmin FROM reference.interaction_coverage").fetchall()
            assert main(["knowledge", "show"]) == 0
            assert capsys.readouterr().out.split("\n", 1)[1] == counted
            assert connection.execute("SELECT xmin FROM reference.interaction_coverage").fetchall() == before
        assert main(["knowledge", "import", str(THESAURUS), "--edition", "2016-01-01"]) == 2
        assert "nothing was imported" in capsys.readouterr().err
        nothing = tmp_path / "other.whl"
        nothing.write_bytes(b"PK")
        assert main(["knowledge", "import", str(nothing)]) == 2
        assert "this is not the package" in capsys.readouterr().err
