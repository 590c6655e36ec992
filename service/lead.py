"""What the lead's page, its charts, its files and the report are made of: all numbers of a part, kept for a moment."""

import hashlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from threading import Lock
from typing import Any

from sqlmodel import Session

from service.burndown import Burndown, burndown
from service.corrections import Corrections, corrections
from service.errors import Invalid
from service.gaps import Gap, gaps
from service.quality import Quality, numbers
from service.quality_rows import Asked, Part, newest, read_asked

KEPT_FOR = timedelta(seconds=60)
"""Scores that are made anew and hours that pass change numbers too, without any new row."""
MOST_KEPT = 32
MOST_WEEKS = 520


@dataclass(frozen=True, slots=True)
class Lead:
    """All of it. `state` names what it was made from: the same state, the same numbers. `sources` and `channels`: what there
    is to choose from, whatever was chosen."""

    at: datetime
    part: Part
    state: str
    quality: Quality
    queue: Burndown
    corrections: Corrections
    unknown: list[Gap]
    sources: list[str]
    channels: list[str]


class Numbers:
    """One per process. A page and its charts are read and worked out once; newer rows are seen at once."""

    def __init__(self, thresholds: Mapping[str, float], sources: Sequence[str]) -> None:
        self._thresholds = thresholds
        self._sources = sources
        self._lock = Lock()
        self._read: tuple[tuple[Any, ...], datetime, Asked] | None = None
        self._kept: OrderedDict[tuple[str, Part], Lead] = OrderedDict()

    def of(self, session: Session, now: datetime, part: Part, state: str = "") -> Lead:
        """The numbers of the part as they are now; or, where `state` names some that are still kept, those: a chart shows
        what its page tells."""
        with self._lock:  # the charts of a page come all at once: one of them does the work
            kept = self._kept.get((state, part))
            if kept is not None and now - kept.at < KEPT_FOR:
                return kept
            asked, read_at, state = self._asked(session, now)
            kept = self._kept.get((state, part))
            if kept is None:
                kept = self._made(session, asked, read_at, part, state)
                self._kept[state, part] = kept
                if len(self._kept) > MOST_KEPT:
                    self._kept.popitem(last=False)
            return kept

    def _asked(self, session: Session, now: datetime) -> tuple[Asked, datetime, str]:
        rows = newest(session)
        if self._read is None or self._read[0] != rows or not timedelta() <= now - self._read[1] < KEPT_FOR:
            self._read = (rows, now, read_asked(session))
        _, read_at, asked = self._read
        return asked, read_at, hashlib.sha256(repr((rows, read_at)).encode()).hexdigest()[:16]

    def _made(self, session: Session, asked: Asked, at: datetime, part: Part, state: str) -> Lead:
        return Lead(
            at=at,
            part=part,
            state=state,
            quality=numbers(asked, at, self._thresholds, part),
            queue=burndown(session, at, part),
            corrections=corrections(session, part),
            unknown=gaps(session, self._sources),
            sources=sorted(asked.source.names),
            channels=sorted(asked.channel.names),
        )


def part_of(today: date, weeks: str = "", since: str = "", until: str = "", source: str = "", channel: str = "") -> Part:
    """The part that was asked for in words; an empty one means any. `weeks` counts ISO weeks up to this one.

    Raises
    ------
    Invalid
        A field does not fit; the message names it and says what does.
    """
    if weeks and (since or until):
        raise Invalid("weeks: give either weeks or days (since, until), not both")
    if weeks and not (weeks.isascii() and weeks.isdigit() and 1 <= int(weeks) <= MOST_WEEKS):
        raise Invalid(f"weeks: give a whole number from 1 to {MOST_WEEKS}")
    first, last = _day("since", since), _day("until", until)
    if weeks:
        first = today - timedelta(days=today.weekday(), weeks=int(weeks) - 1)
    if first is not None and last is not None and first > last:
        raise Invalid("since: is later than until; exchange the two")
    return Part(first, last, source or None, channel or None)


def _day(name: str, told: str) -> date | None:
    if not told:
        return None
    try:
        return date.fromisoformat(told)
    except ValueError as error:
        raise Invalid(f"{name}: give a day like 2026-01-31") from error
