"""Every refusal of records names a remedy in French and in English, and holds no placeholder that nobody fills."""

from __future__ import annotations

import importlib
import pkgutil
import string

import dui_records
from dui_kit.errors import Reason


def reasons() -> dict[str, Reason]:
    found = {}
    for module in pkgutil.walk_packages(dui_records.__path__, "dui_records."):
        if module.name.endswith("rules"):
            for value in vars(importlib.import_module(module.name)).values():
                if isinstance(value, Reason):
                    found[value.name] = value
    return found


def test_every_reason_speaks_both_languages() -> None:
    known = reasons()
    assert len(known) > 40
    for name, reason in known.items():
        assert name == name.upper()
        assert len(reason.fr) > 20, name
        assert len(reason.en) > 20, name
        assert reason.fr != reason.en, name
        fields = [{field for _, field, _, _ in string.Formatter().parse(t) if field} for t in (reason.fr, reason.en)]
        assert fields[0] == fields[1], name
        assert fields[0] <= {"year", "days", "limit"}, name
