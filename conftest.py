"""Rules of every test run."""

from __future__ import annotations

from collections import Counter

import pytest


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuses a run in which two tests have one id: pytest-xdist would run one of them and be silent about the other."""
    doubled = [name for name, count in Counter(item.nodeid for item in items).items() if count > 1]
    if doubled:
        message = f"tests that cannot be told apart: {doubled[:5]}"
        raise pytest.UsageError(message)
