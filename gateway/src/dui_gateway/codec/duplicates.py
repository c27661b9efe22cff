"""Keys that stand twice in one JSON object. A parser keeps the last and says nothing (RFC 8259, section 4), so a client that
wrote a dose twice by mistake would have one of the two recorded: nobody could say which one was meant.

The keys of the text are counted and compared with those of the parsed document; only a text at fault is parsed again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any

from dui_gateway.codec.decode import path_to

# Every string of a JSON text, one after the other, and the colon after it if it is a key. Brackets, numbers and words between
# strings hold no quotation mark; inside a string one is escaped. Possessive, so that a long text takes one pass.
_STRINGS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"[ \t\n\r]*+(:?)')


class _Pairs(list[tuple[str, Any]]):
    """An object as its text has it."""


def has_duplicates(raw: bytes, document: Any) -> bool:
    """Whether an object in `raw`, a valid JSON text whose value is `document`, has a key twice."""
    return _STRINGS.findall(raw).count(b":") != _count(document)


def _count(document: Any) -> int:
    """The keys of all objects, without recursion."""
    found, layer = 0, [document]
    while layer:
        item = layer.pop()
        if type(item) is dict:
            found += len(item)
            layer.extend(item.values())
        elif type(item) is list:
            layer.extend(item)
    return found


def path_of_duplicate(raw: bytes, names: Collection[str]) -> str:
    """Where the first key that comes twice is. A key that is none of `names` may be anything: it shows as `?`."""
    # Numbers are not needed, and Python refuses to read very long ones.
    document = json.loads(raw, object_pairs_hook=_Pairs, parse_int=str, parse_float=str)
    return _find(document, "", names) or "?"


def _find(value: Any, path: str, names: Collection[str]) -> str:
    if isinstance(value, _Pairs):
        seen = set()
        for name, item in value:
            here = path_to(path, name if name in names else "?")
            if name in seen:
                return here
            seen.add(name)
            found = _find(item, here, names)
            if found:
                return found
    elif isinstance(value, list):
        for index, item in enumerate(value):
            found = _find(item, f"{path}[{index}]", names)
            if found:
                return found
    return ""
