"""How the queue goes: what was added and decided each day, what is open and for how long, and when it may be empty."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy import func, select, true
from sqlmodel import Session, col

from service.db import day_of
from service.models import Conversation, Exchange, ItemState, ReviewItem, Verdict
from service.quality_rows import Part, in_channel, start_of

USUAL_DAYS = 30
MOST_DAYS = 366
LOOK_BACK = 14
"""Whole days that a forecast rests on."""
LEAST_BUSY = 7
"""Of these, days with decisions that a forecast needs."""
AGES = (
    ("less than a day", 0),
    ("1 to 3 days", 1),
    ("3 to 7 days", 3),
    ("7 to 14 days", 7),
    ("14 to 30 days", 14),
    ("longer", 30),
)
"""What it is called, and from how many days on."""


@dataclass(frozen=True, slots=True)
class Day:
    """A day (UTC) of the queue; `open` at its end. `reopened`: verdicts that were taken back."""

    day: str
    added: int
    decided: int
    set_aside: int
    reopened: int
    open: int


@dataclass(frozen=True, slots=True)
class Age:
    """Open items that wait for so long, from `days` on."""

    name: str
    days: int
    items: int


@dataclass(frozen=True, slots=True)
class Forecast:
    """Days until nothing is open, from `low` to `high` (95 %); None where there is no honest one, and the sentence says why."""

    low: float | None
    high: float | None
    sentence: str


@dataclass(frozen=True, slots=True)
class Burndown:
    open: int
    oldest_at: datetime | None
    days: list[Day]
    ages: list[Age]
    forecast: Forecast


def burndown(session: Session, now: datetime, part: Part | None = None) -> Burndown:
    """The queue's days in the part (the last 30, where it names none; 366 at most), and its open items now."""
    part = part or Part()
    today = now.date()
    last = min(part.until or today, today)
    first = max(part.since or last - timedelta(days=USUAL_DAYS - 1), last - timedelta(days=MOST_DAYS - 1))
    found = _of_part(part, select(func.count(), func.min(col(ReviewItem.created_at)))).where(
        col(ReviewItem.state) == ItemState.open
    )
    waiting, oldest = session.execute(found).one()
    days = _days(session, part, min(first, today - timedelta(days=LOOK_BACK)), today, waiting)
    before_today = days[-LOOK_BACK - 1 : -1]
    return Burndown(
        open=waiting,
        oldest_at=oldest,
        days=[day for day in days if first.isoformat() <= day.day <= last.isoformat()],
        ages=_ages(session, part, now),
        forecast=forecast(waiting, before_today),
    )


def forecast(waiting: int, days: Sequence[Day]) -> Forecast:
    """Whether and when nothing will be open, if the coming days are like these: by the mean daily change and its interval."""
    if not waiting:
        return Forecast(None, None, "Nothing is open.")
    busy = sum(day.decided > 0 for day in days)
    if busy < LEAST_BUSY:
        return Forecast(
            None, None, f"No forecast: of the last {len(days)} days {busy} saw decisions, and {LEAST_BUSY} are the least for one."
        )
    from scipy.special import stdtrit

    change = np.array([day.added + day.reopened - day.decided - day.set_aside for day in days], dtype=np.float64)
    reach = float(stdtrit(len(days) - 1, 0.975) * change.std(ddof=1) / np.sqrt(len(days)))
    least, most = float(change.mean()) - reach, float(change.mean()) + reach
    if most >= 0:
        told = "it grew" if least > 0 else "it did not clearly shrink"
        return Forecast(
            None,
            None,
            f"No forecast: over the last {len(days)} days {told} ({least:+.1f} to {most:+.1f} items a day, 95 % interval).",
        )
    low, high = waiting / -least, waiting / -most
    return Forecast(
        low, high, f"If the coming days are like the last {len(days)}, nothing is open in {low:,.0f} to {max(high, 1):,.0f} days."
    )


def _days(session: Session, part: Part, first: date, last: date, waiting: int) -> list[Day]:
    """Each day of the range. What was open follows from what is open now, backwards through what happened since."""
    added = _per_day(session, part, first, col(ReviewItem.created_at))
    set_aside = _per_day(session, part, first, col(ReviewItem.decided_at), col(ReviewItem.state) == ItemState.not_reviewable)
    verdict = col(Verdict.item_id) == col(ReviewItem.id)
    decided = _per_day(session, part, first, col(Verdict.decided_at), verdict)
    reopened = _per_day(session, part, first, col(Verdict.withdrawn_at), verdict)
    days: list[Day] = []
    for back in range((last - first).days + 1):
        name = (last - timedelta(days=back)).isoformat()
        day = Day(name, added.get(name, 0), decided.get(name, 0), set_aside.get(name, 0), reopened.get(name, 0), max(waiting, 0))
        days.append(day)
        waiting += day.decided + day.set_aside - day.added - day.reopened
    return days[::-1]


def _per_day(session: Session, part: Part, first: date, at: Any, *where: Any) -> dict[str, int]:
    day = day_of(session, at)
    counted = _of_part(part, select(day.label("day"), func.count().label("items"))).where(*where, at >= start_of(first))
    return {row.day: row.items for row in session.execute(counted.group_by(day))}


def _of_part(part: Part, wanted: Any) -> Any:
    """Items of the part's source and channel; its days are the queue's own matter."""
    wanted = wanted.select_from(ReviewItem)
    if part.source is None and part.channel is None:
        return wanted
    wanted = wanted.join(Exchange, col(Exchange.id) == col(ReviewItem.exchange_id))
    if part.source is not None:
        wanted = wanted.where(col(Exchange.source) == part.source)
    if part.channel is not None:
        wanted = wanted.join(Conversation, col(Conversation.id) == col(Exchange.conversation_id)).where(in_channel(part.channel))
    return wanted


def _ages(session: Session, part: Part, now: datetime) -> list[Age]:
    waits = [col(ReviewItem.created_at) <= now - timedelta(days=days) for _, days in AGES]
    waits[0] = true()  # what came in while we looked is new
    shorter = [*(~wait for wait in waits[1:]), true()]
    counts = [func.count().filter(from_here, to_there) for from_here, to_there in zip(waits, shorter, strict=True)]
    found = session.execute(_of_part(part, select(*counts)).where(col(ReviewItem.state) == ItemState.open)).one()
    return [Age(name, days, count) for (name, days), count in zip(AGES, found, strict=True)]
