"""A filled Keycloak database to begin a test run with: its first start takes most of the time of a fresh stack.

The first run keeps a copy of the database as it is once the realm is there, with the few secrets that stand in it; later
runs of the same account begin with that copy. The realm is reconciled all the same. A stack that stays (`up`) never uses
it: its secrets are its own.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from dui_ops.state import StackError, State

from dui_local.layout import shared_cache

_PREFIX = "keycloak-template-"


@dataclass(frozen=True, slots=True)
class Template:
    """A folder of the shared cache (0700) with the copy and its secrets; it need not exist yet."""

    folder: Path

    @property
    def exists(self) -> bool:
        return self.folder.is_dir()

    def secrets(self) -> dict[str, str]:
        """The secrets that stand in the copy, by name; none if there is no copy."""
        if not self.exists:
            return {}
        known: dict[str, str] = json.loads((self.folder / "secrets.json").read_text(encoding="utf-8"))
        return known

    def restore(self, state: State, password: str) -> None:
        """Fills the empty database of Keycloak."""
        command = [
            *_tool(state, "pg_restore"),
            "--no-owner",
            "--no-privileges",
            "--exit-on-error",
            str(self.folder / "dump"),
        ]
        _run(command, password)

    def keep(self, state: State, secrets: Mapping[str, str]) -> None:
        """Makes the copy, from a Keycloak that has its realm. Another run may have been faster: then its copy stays."""
        with tempfile.TemporaryDirectory(dir=self.folder.parent, prefix="template-") as draft:
            folder = Path(draft) / "copy"
            folder.mkdir(mode=0o700)
            _run(
                [*_tool(state, "pg_dump"), "--format=custom", f"--file={folder / 'dump'}"], secrets["keycloak/database"]
            )
            inside = {name: value for name, value in secrets.items() if _stands_in_the_database(name)}
            (folder / "secrets.json").write_text(json.dumps(inside), encoding="utf-8")
            for file in folder.iterdir():
                file.chmod(0o600)
            if not self.exists:
                folder.rename(self.folder)
        for old in self.folder.parent.glob(f"{_PREFIX}*"):  # of another version or another realm
            if old != self.folder:
                shutil.rmtree(old, ignore_errors=True)


def template(distribution: Path, services: Iterable[str]) -> Template:
    """The template for a distribution of Keycloak, the realm of the code and the services."""
    digest = hashlib.sha256(distribution.name.encode())
    digest.update(resources.files("dui_keycloak").joinpath("realm.yaml").read_bytes())
    digest.update(" ".join(sorted(services)).encode())
    return Template(shared_cache() / f"{_PREFIX}{digest.hexdigest()[:16]}")


def _stands_in_the_database(name: str) -> bool:
    return name in {"keycloak/admin", "keycloak/bootstrap"} or name.endswith("/client")


def _tool(state: State, name: str) -> list[str]:
    address = ["-h", "127.0.0.1", "-p", str(state["ports"]["postgres"]), "-U", "keycloak", "-d", "keycloak"]
    return [str(Path(state["postgres"]["bin"]) / name), *address]


def _run(command: list[str], password: str) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True, env={"PGPASSWORD": password})
    if done.returncode != 0:
        raise StackError(f"{Path(command[0]).name} failed: {done.stderr.strip()[:300]}")
