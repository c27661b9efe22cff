"""What `make tools` and `make test` say of a machine that lacks something."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "check-tools.sh"


def check(*arguments: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Runs it; `path`: the only folder where it finds programs."""
    environment = {"PATH": str(path)} if path else None
    shell = shutil.which("sh")
    assert shell is not None
    command = [shell, str(SCRIPT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A folder with what the script itself uses, and nothing that it looks for."""
    for name in ("sed", "head", "cat"):
        found = shutil.which(name)
        assert found is not None
        (tmp_path / name).symlink_to(found)
    return tmp_path


def test_a_machine_with_everything_is_told_nothing() -> None:
    for arguments in ((), ("--tests",)):
        done = check(*arguments)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_what_is_missing_is_named_with_its_remedy(bare: Path) -> None:
    done = check(path=bare)
    assert done.returncode == 1
    assert [line.split(",")[0] for line in done.stderr.splitlines()[:3]] == [
        "missing: Python 3.11 or later",
        "missing: a JDK",
        "missing: Maven (mvn) - Keycloak is fetched with it",
    ]
    assert "apt-get install" in done.stderr
    assert "Node" not in done.stderr  # `make up` runs without it


def test_tests_need_node(bare: Path) -> None:
    done = check("--tests", path=bare)
    assert done.returncode == 1
    assert done.stderr.startswith("missing: Node.js 20 or later with npm (found: none)")
    assert "brew install node" in done.stderr
