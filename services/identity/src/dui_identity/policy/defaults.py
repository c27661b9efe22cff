"""The platform's default policy, read once from its data file with the names of the contract."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from dui.identity.v1 import professions_pb2
from dui.options.v1 import options_pb2

from dui_identity.policy.rules import Policy, read_defaults

#: Numbers of the professions of the contract, by their name without prefix.
PROFESSIONS = {
    name.removeprefix("PROFESSION_"): number for name, number in professions_pb2.Profession.items() if number
}
_CATEGORIES = {name.removeprefix("CATEGORY_"): number for name, number in options_pb2.Category.items() if number}


@cache
def default_policy() -> Policy:
    """The policy of an association that changed nothing."""
    text = (files(__package__) / "defaults.toml").read_text(encoding="utf-8")
    return read_defaults(text, PROFESSIONS, _CATEGORIES)
