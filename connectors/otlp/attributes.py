"""Attributes of spans and log records: lists that were flattened into dotted names put together, texts and numbers."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import pydantic_core

MOST_STEPS = 20
"""Dots of a name that count."""


def below(attributes: Mapping[str, Any], name: str) -> Any:
    """What stands under this name: as it is, read from JSON, or put together from `name.0.key`, `name.1.key`, ….

    None where there is nothing.
    """
    if name in attributes:
        return undotted(from_json(attributes[name]))
    start = f"{name}."
    found = {key[len(start) :]: value for key, value in attributes.items() if key.startswith(start)}
    return undotted(found) if found else None


def undotted(value: Any) -> Any:
    """The same value with `{"a.b": 1}` as `{"a": {"b": 1}}`; whole numbers as names make a list."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return [undotted(one) for one in value]
    if not isinstance(value, dict):
        return value
    nested: dict[str, Any] = {}
    for key, inner in value.items():
        *path, last = key.split(".", MOST_STEPS)
        place = nested
        for step in path:
            deeper = place.get(step)
            if not isinstance(deeper, dict):
                deeper = place[step] = {}
            place = deeper
        new = undotted(inner)
        if isinstance(new, dict) and isinstance(old := place.get(last), dict):
            new = {**old, **new}
        place[last] = new
    return _with_lists(nested)


def _with_lists(nested: dict[str, Any]) -> Any:
    """Changes what it is given."""
    for key, inner in nested.items():
        if isinstance(inner, dict):
            nested[key] = _with_lists(inner)
    for key in nested:
        if not key.isdecimal() or len(key) > 9:
            return nested
    return [nested[key] for key in sorted(nested, key=int)] if nested else nested


def from_json(value: Any) -> Any:
    """A string that holds a JSON object or list, read; everything else as it is, also JSON that nests deeper than 200 levels or
    holds half a character."""
    if not isinstance(value, str) or value.lstrip()[:1] not in ("{", "["):
        return value
    try:
        return pydantic_core.from_json(value)
    except ValueError:
        return value


def dicts(value: Any) -> list[dict[str, Any]]:
    """The dicts in a list; a lone one is a list of one."""
    entries = value if isinstance(value, list) else [value]
    return [one for one in entries if isinstance(one, dict)]


def text_or_none(value: Any) -> str | None:
    """A text that says something; numbers as their digits."""
    if value is None:
        return None
    if isinstance(value, str):
        return value if value.strip() else None
    if isinstance(value, float):
        return f"{value:g}" if math.isfinite(value) else None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return None


def first_text(told: Mapping[str, Any], names: Iterable[str]) -> str | None:
    """The first of these entries that says something."""
    for name in names:
        if (text := text_or_none(told.get(name))) is not None:
            return text
    return None


def number_or_none(value: Any) -> float | None:
    """A finite number; also one that was sent as text."""
    if isinstance(value, bool):
        return float(value)
    try:
        number = float(value) if isinstance(value, (float, int, str)) else math.nan
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
