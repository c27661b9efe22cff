"""Rules of the access policy: the platform's defaults, an association's overrides, and what they come to."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from dui_kit.errors import Code, Reason, Refusal

#: A cell: a profession and a category, as their numbers in the contract.
Cell = tuple[int, int]

OVERRIDE_MISSING = Reason(
    "OVERRIDE_MISSING",
    Code.FAILED_PRECONDITION,
    fr="Cette case suit déjà le réglage de la plateforme : il n'y a rien à rétablir.",
    en="This cell already follows the platform's default: there is nothing to reset.",
)
ACTION_REPEATED = Reason(
    "ACTION_REPEATED",
    Code.INVALID_ARGUMENT,
    fr="Chaque action une fois au plus, et aucune « non précisée ».",
    en="Each action at most once, and none unspecified.",
)

OWN_PROFESSION = Reason(
    "OWN_PROFESSION",
    Code.FAILED_PRECONDITION,
    fr="On n'élargit pas les droits de sa propre fonction : demandez à un administrateur qui ne l'exerce pas.",
    en="Nobody widens the rights of their own profession: ask an administrator who does not have it.",
    about_rights=True,
)

ACTIONS: Final = {
    "read": 1,
    "write": 2,
    "search": 3,
    "export": 4,
    "administer": 5,
    "break_glass": 6,
    "prescribe": 7,
    "validate": 8,
}
ADMINISTER: Final = ACTIONS["administer"]


@dataclass(frozen=True, slots=True)
class Policy:
    """Who may do what: the actions of every cell that grants something, and the cells that an association changed."""

    cells: Mapping[Cell, frozenset[int]]
    overridden: frozenset[Cell] = frozenset()

    def actions(self, profession: int, category: int) -> frozenset[int]:
        """What a profession may do with a category."""
        return self.cells.get((profession, category), frozenset())

    def rights(self, profession: int) -> dict[int, frozenset[int]]:
        """What a profession may do, by category, in the order of the categories; nothing empty."""
        return {
            category: actions
            for (owner, category), actions in sorted(self.cells.items())
            if owner == profession and actions
        }

    def professions_that_may(self, action: int, category: int) -> frozenset[int]:
        """The professions that may do something with a category."""
        return frozenset(
            profession for (profession, other), actions in self.cells.items() if other == category and action in actions
        )


def read_defaults(text: str, professions: Mapping[str, int], categories: Mapping[str, int]) -> Policy:
    """The platform's policy from its data file: one table per profession, one line per category.

    Raises ValueError when a profession is missing or unknown, or a category or an action unknown: a typing mistake must
    not silently withhold or grant anything.
    """
    tables = tomllib.loads(text)
    if unknown := set(tables) ^ set(professions):
        message = f"default policy: professions missing or unknown: {', '.join(sorted(unknown))}"
        raise ValueError(message)
    cells: dict[Cell, frozenset[int]] = {}
    for profession, table in tables.items():
        for category, words in table.items():
            names = words.split()
            if (
                category not in categories
                or not set(names) <= set(ACTIONS)
                or len(names) != len(set(names))
                or not names
            ):
                message = f"default policy: {profession}.{category} = {words!r} is not understood"
                raise ValueError(message)
            cells[professions[profession], categories[category]] = frozenset(ACTIONS[name] for name in names)
    return Policy(cells)


def with_overrides(defaults: Policy, overrides: Iterable[tuple[Cell, frozenset[int]]]) -> Policy:
    """The policy in force: the defaults, each overridden cell replaced."""
    cells = dict(defaults.cells)
    changed: set[Cell] = set()
    for cell, actions in overrides:
        cells[cell] = actions
        changed.add(cell)
    return replace(defaults, cells=cells, overridden=frozenset(changed))


def check_actions(actions: Iterable[int]) -> frozenset[int]:
    """The actions asked for a cell as a set; Refusal when one is unspecified, unknown or repeated."""
    listed = list(actions)
    wanted = frozenset(listed)
    if len(wanted) != len(listed) or not wanted <= frozenset(ACTIONS.values()):
        raise Refusal(ACTION_REPEATED, field="actions")
    return wanted


def check_not_own(before: Policy, after: Policy, cell: Cell, own: Collection[int]) -> None:
    """Refuses that somebody adds actions to a profession that they have themselves (`own`, from any assignment in force)."""
    profession, category = cell
    if profession in own and after.actions(profession, category) - before.actions(profession, category):
        raise Refusal(OWN_PROFESSION, field="profession")


def check_reset(policy: Policy, cell: Cell) -> None:
    """Refuses to take back an override that is not there."""
    if cell not in policy.overridden:
        raise Refusal(OVERRIDE_MISSING, field="category")
