"""Finds sources, pulls and sinks by kind: ours and third parties' alike are entry points of the installed packages."""

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from connectors.errors import Reject

SOURCES = "transcript_triage.sources"
SINKS = "transcript_triage.sinks"
PULLS = "transcript_triage.pulls"


def load(group: str, kind: str) -> Any:
    """The class registered under that kind.

    Raises
    ------
    Reject
        Nothing is registered under it; the reason lists what is.
    """
    known = _known(group)
    if kind not in known:
        raise Reject(f"unknown kind '{kind}'; installed: {', '.join(sorted(known)) or 'none'}")
    return known[kind].load()


@cache
def _known(group: str) -> dict[str, EntryPoint]:
    """By kind. Looked up once a process: it reads what every installed package says of itself."""
    return {point.name: point for point in entry_points(group=group)}
