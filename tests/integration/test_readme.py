"""The calls of the README answer what it says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import httpx
from dui_local.demo_story import SLUG
from dui_ops.login import login_account
from dui_ops.state import load

README = Path(__file__).resolve().parents[2] / "README.md"


def test_the_search_of_the_readme_finds_somebody_of_the_demo_data() -> None:
    [body] = re.findall(
        r"-d '(\{.*?\})' http://127\.0\.0\.1:8080/v1/beneficiaries:search", README.read_text(encoding="utf-8")
    )
    state = load()
    token = login_account(state, f"secretary.{SLUG}").access_token
    url = f"{state['urls']['gateway']}/v1/beneficiaries:search"
    answer = httpx.post(url, json=json.loads(body), headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 200, answer.text
    assert [match["birth_name"] for match in answer.json()["matches"]] == ["Dupré"]
