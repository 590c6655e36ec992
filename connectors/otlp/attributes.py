"""Attributes of spans and log records as Python values, and lists that were flattened into dotted names put together."""

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

Attributes = dict[str, Any]


def read_attributes(given: Iterable[KeyValue]) -> Attributes:
    return {one.key: read_value(one.value) for one in given}


def read_value(value: AnyValue) -> Any:
    """Strings, numbers, booleans, lists and dicts; None for what has no place here (bytes, NaN, infinity)."""
    kind = value.WhichOneof("value")
    if kind == "string_value":
        return value.string_value
    if kind == "double_value":
        return value.double_value if math.isfinite(value.double_value) else None
    if kind == "int_value":
        return value.int_value
    if kind == "bool_value":
        return value.bool_value
    if kind == "array_value":
        return [read_value(one) for one in value.array_value.values]
    if kind == "kvlist_value":
        return read_attributes(value.kvlist_value.values)
    return None


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
    if isinstance(value, list):
        return [undotted(one) for one in value]
    if not isinstance(value, dict):
        return value
    nested: dict[str, Any] = {}
    for key, inner in value.items():
        place = nested
        *path, last = str(key).split(".")[:20]
        for step in path:
            deeper = place.get(step)
            if not isinstance(deeper, dict):
                deeper = place[step] = {}
            place = deeper
        old = place.get(last)
        new = undotted(inner)
        place[last] = {**old, **new} if isinstance(old, dict) and isinstance(new, dict) else new
    return _as_list(nested)


def _as_list(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    inner = {key: _as_list(one) for key, one in value.items()}
    if inner and all(key.isdecimal() and len(key) < 10 for key in inner):
        return [inner[key] for key in sorted(inner, key=int)]
    return inner


def from_json(value: Any) -> Any:
    """A string that holds a JSON object or list, read; everything else as it is."""
    if not isinstance(value, str) or value.lstrip()[:1] not in ("{", "["):
        return value
    try:
        return json.loads(value, parse_constant=lambda name: None)
    except (ValueError, RecursionError):
        return value


def dicts(value: Any) -> list[dict[str, Any]]:
    """The dicts in a list; a lone one is a list of one."""
    entries = value if isinstance(value, list) else [value]
    return [one for one in entries if isinstance(one, dict)]


def text_or_none(value: Any) -> str | None:
    """A text that says something; numbers as their digits."""
    if isinstance(value, str):
        return value if value.strip() else None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:g}" if isinstance(value, float) else str(value)
    return None


def number_or_none(value: Any) -> float | None:
    """A finite number; also one that was sent as text."""
    if isinstance(value, bool):
        return float(value)
    try:
        number = float(value) if isinstance(value, int | float | str) else math.nan
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
