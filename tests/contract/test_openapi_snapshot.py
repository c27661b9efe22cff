"""`docs/openapi.json` is what the gateway serves: a change of the public API is seen in review.

Renew it with `python -m dui_gateway openapi > docs/openapi.json`.
"""

from __future__ import annotations

import difflib
from pathlib import Path

from dui_gateway import contract, openapi
from dui_gateway.settings import GatewaySettings


def test_the_kept_document_is_current(root: Path) -> None:
    kept = (root / "docs/openapi.json").read_text(encoding="utf-8")
    issuer = GatewaySettings.model_fields["oidc_issuer"].default
    now = openapi.text(contract.operations(), issuer)
    changes = list(
        difflib.unified_diff(kept.splitlines(), now.splitlines(), "docs/openapi.json", "now", lineterm="", n=1)
    )
    assert not changes, "\n".join(changes[:40])
