"""What was done and what waits, per queue and person: counts and times, no ranking."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import Any

from sqlalchemy import func, select
from sqlmodel import Session, col

from service.filters import filter_of, matches
from service.models import ItemState, NamedQueue, Opinion, OpinionKind, Reviewer, ReviewItem, Skip, Verdict
from service.reach import DAY, by_opinions, reviews_since
from service.team.queues import ages, all_queues

WEEK = timedelta(days=7)
LONGEST = timedelta(hours=1)
"""A decision that took longer says that somebody was away, not how long deciding takes: it is left out of the median."""


@dataclass(frozen=True, slots=True)
class QueueProgress:
    name: str
    open: int
    held: int
    overdue: int
    disputed: int
    judged: int
    """Open items that some have judged and others are still to judge."""
    day: int
    week: int
    budget: int | None
    ages: list[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class PersonProgress:
    """Of 24 hours and of 7 days. `seconds`: the median from claim to decision within the week; None where none was timed."""

    name: str
    decided_day: int
    decided_week: int
    skipped_day: int
    skipped_week: int
    seconds: float | None
    timed: int
    assigned: int
    overdue: int


def queue_progress(session: Session, now: datetime) -> list[QueueProgress]:
    return [_queue(session, queue, now) for queue in all_queues(session)]


def person_progress(session: Session, now: datetime) -> list[PersonProgress]:
    """By name. Known items that were served again count like any other: how many they are stays hidden."""
    people: list[Any] = list(session.execute(select(Reviewer).where(col(Reviewer.active)).order_by(col(Reviewer.name))).scalars())
    made = _made(session, now)
    skipped = session.execute(select(col(Skip.reviewer_id), col(Skip.skipped_at)).where(col(Skip.skipped_at) > now - WEEK)).all()
    assigned = session.execute(
        select(col(ReviewItem.assigned_to), col(ReviewItem.assigned_until)).where(
            col(ReviewItem.state) == ItemState.open, col(ReviewItem.assigned_to).is_not(None)
        )
    ).all()
    return [
        _person(
            person.name,
            [(at, took) for who, at, took in made if who == person.id],
            [at for who, at in skipped if who == person.id],
            [until for who, until in assigned if who == person.id],
            now,
        )
        for person in people
    ]


def _queue(session: Session, queue: NamedQueue, now: datetime) -> QueueProgress:
    inside = [col(ReviewItem.state) == ItemState.open, *matches(filter_of(queue))]

    def count(*where: Any) -> int:
        return int(session.execute(select(func.count()).select_from(ReviewItem).where(*inside, *where)).scalar_one())

    given = select(col(Opinion.id)).where(
        col(Opinion.item_id) == col(ReviewItem.id), col(Opinion.kind) == OpinionKind.review, col(Opinion.withdrawn_at).is_(None)
    )
    due = now - timedelta(hours=queue.due_hours) if queue.due_hours is not None else None
    return QueueProgress(
        name=queue.name,
        open=count(),
        held=count(col(ReviewItem.claimed_until) > now, ~col(ReviewItem.reserved)),
        overdue=count(col(ReviewItem.created_at) <= due) if due else 0,
        disputed=count(col(ReviewItem.disputed)),
        judged=count(~col(ReviewItem.disputed), given.exists()),
        day=reviews_since(session, queue, now - DAY),
        week=reviews_since(session, queue, now - WEEK),
        budget=queue.budget,
        ages=ages(session, now, queue),
    )


def _made(session: Session, now: datetime) -> list[tuple[int, datetime, float | None]]:
    """(reviewer, when, seconds it took) of the week's verdicts and opinions, each review once."""
    verdicts = session.execute(
        select(
            col(Verdict.reviewer_id),
            col(Verdict.decided_at),
            col(Verdict.fence),
            col(ReviewItem.fence),
            col(ReviewItem.claimed_at),
        )
        .join(ReviewItem, col(ReviewItem.id) == col(Verdict.item_id))
        .where(col(Verdict.decided_at) > now - WEEK, col(Verdict.settled_by).is_(None), ~by_opinions())
    ).all()
    opinions = session.execute(
        select(col(Opinion.reviewer_id), col(Opinion.decided_at), col(Opinion.claimed_at)).where(
            col(Opinion.decided_at) > now - WEEK
        )
    ).all()
    made = [(who, at, _took(claimed if fence == latest else None, at)) for who, at, fence, latest, claimed in verdicts]
    return made + [(who, at, _took(claimed, at)) for who, at, claimed in opinions]


def _took(claimed_at: datetime | None, decided_at: datetime) -> float | None:
    if claimed_at is None or not timedelta(0) <= decided_at - claimed_at <= LONGEST:
        return None
    return (decided_at - claimed_at).total_seconds()


def _person(
    name: str, made: Iterable[tuple[datetime, float | None]], skipped: list[Any], assigned: list[Any], now: datetime
) -> PersonProgress:
    done = list(made)
    times = [took for _, took in done if took is not None]
    return PersonProgress(
        name=name,
        decided_day=sum(at > now - DAY for at, _ in done),
        decided_week=len(done),
        skipped_day=sum(at > now - DAY for at in skipped),
        skipped_week=len(skipped),
        seconds=median(times) if times else None,
        timed=len(times),
        assigned=len(assigned),
        overdue=sum(until is not None and until <= now for until in assigned),
    )
