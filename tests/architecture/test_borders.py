"""The borders between packages, as `.importlinter` draws them."""

from __future__ import annotations

import ast
import configparser
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import dui_kit
import pytest
from contract_files import ROOT
from dui_local.services import SERVICES

#: What the gateway may use of the kit: `wire` (how callers are known, how refusals are told, how calls are watched), and the
#: plain parts.
FOR_THE_GATEWAY = {"errors", "identifiers", "ids", "times", "wire"}
#: Plain Python for rules; the gateway has no use for it so far.
PLAIN = {"days"}


def _contract(name: str) -> configparser.SectionProxy:
    configuration = configparser.ConfigParser()
    configuration.read(ROOT / ".importlinter", encoding="utf-8")
    return configuration[f"importlinter:contract:{name}"]


def test_the_borders_hold() -> None:
    linter = Path(sys.prefix) / "bin" / "lint-imports"
    done = subprocess.run([str(linter), "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]


def test_a_new_part_of_the_kit_is_closed_to_the_gateway_until_somebody_opens_it() -> None:
    closed = {name.removeprefix("dui_kit.") for name in _contract("gateway")["forbidden_modules"].split()}
    parts = {module.name for module in pkgutil.iter_modules(dui_kit.__path__)}
    assert closed | FOR_THE_GATEWAY | PLAIN == parts
    assert closed & FOR_THE_GATEWAY == set()


def test_every_package_of_the_workspace_is_watched() -> None:
    configuration = configparser.ConfigParser()
    configuration.read(ROOT / ".importlinter", encoding="utf-8")
    watched = set(configuration["importlinter"]["root_packages"].split())
    roots = ("libs/*/src/*", "services/*/src/*", "gateway/src/*", "deploy/*/src/*")
    packages = {path.parent.name for pattern in roots for path in ROOT.glob(f"{pattern}/__init__.py")}
    assert packages - {"dui"} == watched


def test_every_rule_of_a_service_is_under_the_contract_of_rules() -> None:
    sources = _contract("rules")["source_modules"].split()
    for path in (ROOT / "services").glob("*/src/*/**/rules.py"):
        package = path.relative_to(ROOT / "services").parts[2]
        assert f"{package}.**.rules" in sources


@pytest.mark.parametrize("service", SERVICES)
def test_a_capability_reaches_another_one_by_its_rules_queries_and_events(service: str) -> None:
    """And by its mapping, which says what the rows of its queries mean. Never its servicer or its worker; its tables only from
    `queries`, which may join them. Tables that others build theirs from are in `entries`."""
    package = ROOT / "services" / service / "src" / f"dui_{service}"
    broken = []
    for path in package.glob("*/*.py"):
        capability, module = path.relative_to(package).parts[0], path.stem
        for other, reached in _reached(path, f"dui_{service}"):
            if other == capability or not (package / other).is_dir():
                continue
            if reached in {"servicer", "worker"} or (
                reached == "tables" and module != "queries" and other != "entries"
            ):
                broken.append(f"{capability}/{module}.py imports {other}.{reached}")
    assert broken == []


def _reached(path: Path, package: str) -> list[tuple[str, str]]:
    """The modules of the package that a file imports: folder and module."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{package}."):
            folder, *rest = (node.module or "").split(".")[1:]
            found += [(folder, rest[0])] if rest else [(folder, alias.name) for alias in node.names]
    return found


#: Contracts that speak of every service; the others are about the gateway, the kit's parts and the libraries.
OF_SERVICES = ("rules", "rules-reach-rules", "nothing-goes-back-up", "services", "kit", "platform", "keycloak")
_LISTS = ("root_packages", "modules", "source_modules", "forbidden_modules", "ignore_imports")


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_stands_in_every_border(service: str) -> None:
    """What a contract forbids to one service, or of it, holds for all: a module that others have there has to be listed."""
    configuration = configparser.ConfigParser()
    configuration.read(ROOT / ".importlinter", encoding="utf-8")
    missing = []
    for name, section in configuration.items():
        for key in _LISTS:
            listed = [line.strip() for line in section.get(key, "").splitlines()]
            own = {re.sub(rf"^dui_({'|'.join(SERVICES)})\b", f"dui_{service}", line) for line in listed}
            lines = [line for line in sorted(own) if line not in listed and _exists(line.partition(" -> ")[0])]
            if lines:
                missing.append(f"[{name}]\n{key} =\n" + "".join(f"    {line}\n" for line in lines))
    assert not missing, "to be added to .importlinter:\n\n" + "\n".join(missing)
    for name in OF_SERVICES:
        assert f"dui_{service}" in " ".join(_contract(name).values())


def _exists(module: str) -> bool:
    """Whether a module, or one that a pattern `package.**.name` stands for, is there."""
    package, _, name = module.partition(".**.")
    source = ROOT / "services" / package.removeprefix("dui_") / "src" / package
    return any(source.rglob(f"{name}.py")) if name else source.exists()
