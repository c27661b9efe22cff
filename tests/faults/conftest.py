"""Makes the helpers of this folder importable by its tests, and runs them after all others: they leave the stack shaken."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests of this folder come last."""
    items.sort(key=lambda item: Path(__file__).parent in item.path.parents)
