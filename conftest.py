"""Rules of every test run."""

from __future__ import annotations

import os
from collections import Counter

import pytest

# `initdb` is started by a fork in a process that may already serve gRPC: the handlers gRPC runs around a fork (read when it
# is first imported) crash the child now and then. No test forks without replacing the program at once.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuses a run in which two tests have one id: pytest-xdist would run one of them and be silent about the other."""
    doubled = [name for name, count in Counter(item.nodeid for item in items).items() if count > 1]
    if doubled:
        message = f"tests that cannot be told apart: {doubled[:5]}"
        raise pytest.UsageError(message)
