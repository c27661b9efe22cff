"""The contract as protoc writes it, and where it lies in the repository; modules of this folder are importable by its tests."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def image(root: Path) -> Path:
    """The descriptor set of the contract as it is now."""
    return root / "libs/dui-protos/src/dui/descriptors.binpb"
