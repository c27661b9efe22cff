"""Every reason of refusal that the code of the platform declares, read from its source: no package needs to be imported for it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
#: Packages by the name that the list gives them, in its order: first what any call may be refused for.
PLACES = {
    "kit": ROOT / "libs/dui-kit/src",
    "gateway": ROOT / "gateway/src",
    **{path.parent.name: path for path in sorted((ROOT / "services").glob("*/src"))},
}


@dataclass(frozen=True, slots=True)
class Declared:
    """`NAME = Reason("NAME", Code.…, fr="…", en="…")`, and where it stands."""

    of: str
    place: str
    reason: str
    code: str
    fr: str
    en: str


class NotPlain(ValueError):
    """A reason that is not written down whole in one place: nobody could list it."""


def declared() -> list[Declared]:
    """All of them, in the order of packages and names. Raises `NotPlain`."""
    found = [one for of, place in PLACES.items() for path in sorted(place.rglob("*.py")) for one in _in_file(of, path)]
    order = list(PLACES)
    return sorted(found, key=lambda one: (order.index(one.of), one.reason))


def _in_file(of: str, path: Path) -> Iterator[Declared]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    plain = {id(node.value) for node in tree.body if isinstance(node, ast.Assign)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Reason":
            place = f"{path.relative_to(ROOT)}:{node.lineno}"
            if id(node) not in plain:
                raise NotPlain(f"{place}: a reason is a constant of its module")
            yield _read(of, place, node)


def _read(of: str, place: str, call: ast.Call) -> Declared:
    try:
        name, code = call.args
        words = {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}
        if not isinstance(code, ast.Attribute) or not {"fr", "en"} <= set(words):
            raise NotPlain
        return Declared(of, place, ast.literal_eval(name), code.attr, words["fr"], words["en"])
    except ValueError:
        raise NotPlain(f'{place}: write Reason("NAME", Code.SOME, fr="…", en="…")') from None
