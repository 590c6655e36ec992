"""What we read of an export, the same for both encodings: spans and log records with Python values as attributes."""

from dataclasses import dataclass
from typing import Any, NamedTuple

Attributes = dict[str, Any]
"""Strings, finite numbers, booleans, lists and dicts by name; None for what has no place here (bytes, NaN, infinity)."""


class SentEvent(NamedTuple):
    name: str
    at: int
    attributes: Attributes


class SentSpan(NamedTuple):
    """Times in nanoseconds since 1970, 0 where none is told; ids as bytes of any length. `problem`: the status's message."""

    trace_id: bytes
    span_id: bytes
    parent_id: bytes
    start: int
    end: int
    failed: bool
    problem: str
    attributes: Attributes
    events: list[SentEvent]


class SentRecord(NamedTuple):
    """A log record; `body` as a Python value."""

    trace_id: bytes
    span_id: bytes
    name: str
    at: int
    observed_at: int
    attributes: Attributes
    body: Any


@dataclass(frozen=True, slots=True)
class SentSpans:
    """The spans of one resource."""

    resource: Attributes
    spans: list[SentSpan]


@dataclass(frozen=True, slots=True)
class SentRecords:
    """The log records of one resource."""

    resource: Attributes
    records: list[SentRecord]
