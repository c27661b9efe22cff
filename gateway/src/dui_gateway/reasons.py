"""Every reason for which the platform refuses a call: those of the services too, which the gateway does not import. The list beside
this file is made from their code, and a test compares the two (`tests/contract/test_reasons.py`)."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

import orjson


@dataclass(frozen=True, slots=True)
class Published:
    """A reason, the part of the platform that declares it, its gRPC code and its texts, whose `{placeholders}` are left as they
    are."""

    of: str
    reason: str
    code: str
    fr: str
    en: str


def published() -> tuple[Published, ...]:
    """All of them: first what any call may be refused for, then those of each service."""
    entries = orjson.loads(files("dui_gateway").joinpath("reasons.json").read_bytes())
    return tuple(Published(**entry) for entry in entries)
