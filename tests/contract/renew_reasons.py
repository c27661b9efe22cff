"""Writes the list of the reasons of refusal that the gateway publishes, after one was added or its texts changed."""

from __future__ import annotations

import json
from dataclasses import asdict

from reasons_in_code import ROOT, Declared, declared

LIST = ROOT / "gateway/src/dui_gateway/reasons.json"


def listed(reasons: list[Declared]) -> str:
    """The list as it is kept: each reason once, without the place where it stands."""
    found: dict[str, dict[str, str]] = {}
    for reason in reasons:
        entry = asdict(reason)
        del entry["place"]
        found.setdefault(reason.reason, entry)
    return json.dumps(list(found.values()), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    LIST.write_text(listed(declared()), encoding="utf-8")
