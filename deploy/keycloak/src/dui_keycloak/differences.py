"""Where what Keycloak has differs from what the code says. What the code does not say is not compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

_SECRET = "secret"  # noqa: S105 (the name of a field)


def differences(wanted: object, found: object, path: str = "") -> Iterator[str]:
    """One line per difference, as `path: found -> wanted`; secrets are named and not shown.

    Lists of plain values are compared as sets (Keycloak keeps no order for them), other lists item by item.
    """
    match wanted, found:
        case Mapping(), Mapping():
            for key, value in wanted.items():
                yield from differences(value, found.get(key), f"{path}.{key}" if path else str(key))
        case list(), list() if all(isinstance(each, str) for each in (*wanted, *found)):
            if set(wanted) != set(found):
                yield f"{path}: {sorted(found)} -> {sorted(wanted)}"
        case list(), list() if len(wanted) == len(found):
            for index, (one, other) in enumerate(zip(wanted, found, strict=True)):
                name = one.get("name", index) if isinstance(one, Mapping) else index
                yield from differences(one, other, f"{path}[{name}]")
        case _ if wanted == found or (wanted in ([], {}) and found is None):
            return
        case _ if path.rsplit(".", 1)[-1] == _SECRET:
            yield f"{path}: differs"
        case _:
            yield f"{path}: {found!r} -> {wanted!r}"
