"""`python -m dui_medication serve | worker | migrate | streams | check`."""

from __future__ import annotations

from dui_kit.main import main

from dui_medication.app import build

main("medication", build)
