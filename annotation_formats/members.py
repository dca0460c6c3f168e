"""A member of an object of a JSON file, of the kind that is expected there."""

from __future__ import annotations

from typing import Any

REQUIRED = object()
NUMBER = (int, float, str)
_KINDS = {dict: "an object", list: "a list", str: "text", int: "a whole number", NUMBER: "a number"}


def member(parent: object, place: str, key: str, kind: type | tuple, default: object = REQUIRED) -> Any:
    """`parent[key]`, or the default where it is missing or null; `place` is the parent's, with a dot behind it."""
    if not isinstance(parent, dict):
        raise ValueError(f"{place.rstrip('.') or 'top level'}: expected an object, received {parent!r:.80}")
    value = parent.get(key)
    if value is None and default is not REQUIRED:
        return default
    if not isinstance(value, kind) or isinstance(value, bool):
        received = f"received {value!r:.80}" if key in parent else "but it is missing"
        raise ValueError(f"{place}{key}: expected {_KINDS[kind]}, {received}")
    return value
