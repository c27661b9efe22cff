"""`python -m dui_records serve | worker | migrate | streams | check`."""

from __future__ import annotations

from dui_kit.main import main

from dui_records.app import build

main("records", build)
