"""Typed clients made by others' generators from the OpenAPI document alone, calling the real platform.

Needs a running stack (`DUI_STACK`, or the one of `make up`) and, for TypeScript, Node.js with npm: npm installs what
`package-lock.json` pins, into a temporary folder. `npm install` in `typescript_client/` renews that file.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest
from dui_ops.login import login_account
from dui_ops.state import State, load

TYPESCRIPT = Path(__file__).parent / "typescript_client"


@pytest.fixture(scope="module")
def state() -> State:
    """The running stack."""
    return load()


@pytest.fixture(scope="module")
def gateway(state: State) -> str:
    """The address of the gateway."""
    return str(state["urls"]["gateway"])


@pytest.fixture(scope="module")
def nurse(state: State) -> str:
    """The access token of a nurse of the demo."""
    account = next(one for one in state["accounts"] if one["role"] == "nurse")
    return login_account(state, account).access_token


@pytest.fixture(scope="module")
def facility(gateway: str, nurse: str) -> str:
    """The facility where the nurse works."""
    me = httpx.get(f"{gateway}/v1/me", headers={"Authorization": f"Bearer {nurse}"}).raise_for_status().json()
    return str(next(one["facility_id"] for one in me["assignments"] if "facility_id" in one))


@pytest.fixture(scope="module")
def document(gateway: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The OpenAPI document as the gateway serves it."""
    file = tmp_path_factory.mktemp("openapi") / "openapi.json"
    file.write_bytes(httpx.get(f"{gateway}/openapi.json").raise_for_status().content)
    return file


def run(*command: str, folder: Path, **environment: str) -> str:
    """What a program printed; fails with what it said."""
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=300, env={**os.environ, **environment}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def python_client(document: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The generated Python package."""
    folder = tmp_path_factory.mktemp("python")
    generator = Path(sysconfig.get_path("scripts")) / "openapi-python-client"
    said = run(
        *(
            str(generator),
            "generate",
            "--path",
            str(document),
            "--output-path",
            "dui_generated_client",
            "--meta",
            "none",
        ),
        *("--fail-on-warning", "--config", "config.yml"),
        folder=_configured(folder),
    )
    assert "WARNING" not in said.upper()
    sys.path.insert(0, str(folder))
    try:
        yield importlib.import_module("dui_generated_client")
    finally:
        sys.path.remove(str(folder))
        for name in [name for name in sys.modules if name.startswith("dui_generated_client")]:
            del sys.modules[name]


def _configured(folder: Path) -> Path:
    # Nothing to reformat: the code is used as generated. The generator knows files as octet streams only.
    configuration = "post_hooks: []\ncontent_type_overrides:\n  application/pdf: application/octet-stream\n"
    (folder / "config.yml").write_text(configuration, encoding="utf-8")
    return folder


def part(package: ModuleType, name: str) -> Any:
    """A module of the generated package."""
    return importlib.import_module(f"{package.__name__}.{name}")


def test_a_python_client_is_generated_and_calls(
    python_client: ModuleType, gateway: str, nurse: str, facility: str
) -> None:
    models = part(python_client, "models")
    present = part(python_client, "api.beneficiary.list_facility_beneficiaries")
    create = part(python_client, "api.handover_note.create_handover_note")
    update = part(python_client, "api.handover_note.update_handover_note")
    read = part(python_client, "api.handover_note.get_handover_note")

    with python_client.AuthenticatedClient(base_url=gateway, token=nurse) as client:
        page = present.sync(uuid.UUID(facility), client=client, page_size=5)
        assert isinstance(page, models.ListFacilityBeneficiariesResponse)
        person = page.beneficiaries[0].beneficiary_id

        note = models.HandoverNoteInput(category=models.Category.CATEGORY_NURSING, subject="Repas", data="A peu mangé.")
        key = str(uuid.uuid4())
        first = create.sync_detailed(person, client=client, body=note, idempotency_key=key)
        assert first.status_code == 201
        assert isinstance(first.parsed, models.HandoverNote)
        assert first.parsed.category == models.Category.CATEGORY_NURSING
        again = create.sync(person, client=client, body=note, idempotency_key=key)
        assert again.handover_note_id == first.parsed.handover_note_id

        path = (person, first.parsed.handover_note_id)
        change = models.HandoverNotePatch(data="N'a rien mangé.", reason="Précision")
        blind = update.sync_detailed(*path, client=client, body=change)
        assert (blind.status_code, blind.parsed.reason) == (428, "PRECONDITION_REQUIRED")
        corrected = update.sync(*path, client=client, body=change, if_match=f'"{first.parsed.etag}"')
        assert corrected.data == "N'a rien mangé."
        stale = update.sync_detailed(*path, client=client, body=change, if_match=f'"{first.parsed.etag}"')
        assert (stale.status_code, stale.parsed.reason) == (412, "ETAG_STALE")

        unchanged = read.sync_detailed(*path, client=client, if_none_match=f'"{corrected.etag}"')
        assert unchanged.status_code == 304
        nobody = read.sync_detailed(person, uuid.uuid4(), client=client, accept_language="en")
        assert (nobody.status_code, nobody.parsed.title) == (404, "Not found")


def test_a_typescript_client_is_generated_and_calls(
    document: Path, gateway: str, nurse: str, facility: str, tmp_path: Path
) -> None:
    shutil.copytree(TYPESCRIPT, tmp_path, dirs_exist_ok=True)
    run("npm", "ci", "--no-audit", "--no-fund", "--loglevel=error", folder=tmp_path)
    bin_folder = tmp_path / "node_modules/.bin"
    run(str(bin_folder / "openapi-typescript"), str(document), "-o", "schema.d.ts", folder=tmp_path)
    # The compiler is the test of the types: a wrong field name or a missing null check stops here.
    run(str(bin_folder / "tsc"), folder=tmp_path)
    said = json.loads(run("node", "out/main.js", folder=tmp_path, GATEWAY=gateway, TOKEN=nurse, FACILITY=facility))
    assert uuid.UUID(said.pop("account"))
    assert said.pop("detail")
    assert said == {
        "status": 201,
        "once": True,
        "blind": "PRECONDITION_REQUIRED",
        "corrected": "A mal dormi.",
        "version": 2,
        "refused": ["subject"],
    }
