"""`python -m dui_identity serve | worker | migrate | streams | check`."""

from __future__ import annotations

from dui_kit.main import main

from dui_identity.app import build

main("identity", build)
