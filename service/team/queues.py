"""Named queues as the lead keeps them, and who is to review what: assignments, holders, ages."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, get_args

from sqlalchemy import case, delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col

from service.db import changed
from service.errors import Conflict, Invalid, NotFound
from service.filters import QueueFilter, filter_of, matches
from service.models import ItemState, NamedQueue, Reviewer, ReviewItem
from service.settings import SignalName

MOST_REVIEWS = 9
MOST_ASSIGNED = 1000
AGES = (("under a day", 1), ("1 to 3 days", 3), ("3 to 7 days", 7), ("over a week", None))


@dataclass(frozen=True, slots=True)
class QueueContent:
    """What a queue is to be. `reviewers` and `adjudicators` by name; no reviewers: everybody."""

    name: str
    signal: str | None = None
    source: str | None = None
    strategy: str | None = None
    intent: str | None = None
    channel: str | None = None
    least_priority: float | None = None
    budget: int | None = None
    reviewers: tuple[str, ...] = ()
    adjudicators: tuple[str, ...] = ()
    reviews: int = 1
    calibration_share: float = 0.0
    due_hours: float | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """Who holds, or is assigned, which item, and since when."""

    item_id: int
    reviewer: str
    since: datetime | None
    until: datetime | None
    kind: str
    """`held` or `assigned`."""
    overdue: bool


def all_queues(session: Session) -> list[NamedQueue]:
    return list(session.execute(select(NamedQueue).order_by(col(NamedQueue.name))).scalars())


def queue_by_name(session: Session, name: str) -> NamedQueue:
    found: NamedQueue | None = session.execute(select(NamedQueue).where(col(NamedQueue.name) == name)).scalar_one_or_none()
    if found is None:
        raise NotFound(f"queue: there is no queue '{name}'")
    return found


def save_queue(session: Session, content: QueueContent, now: datetime, queue_id: int | None = None) -> NamedQueue:
    """A new queue, or a known one as it shall be from now on.

    Raises
    ------
    Invalid
        A field cannot be; the message names it.
    Conflict
        Another queue has the name.
    NotFound
        There is no such queue, or no such reviewer.
    """
    _check(content)
    queue = session.get(NamedQueue, queue_id) if queue_id is not None else NamedQueue(name="", created_at=now)
    if queue is None:
        raise NotFound(f"there is no queue {queue_id}")
    known = {name: key for key, name in names_of(session).items()}
    for field in QueueContent.__slots__:
        value = getattr(content, field)
        setattr(queue, field, _ids(known, field, value) if field in ("reviewers", "adjudicators") else value)
    queue.name = content.name.strip()
    session.add(queue)
    try:
        session.flush()
    except IntegrityError as error:
        raise Conflict(f"name: there is a queue '{content.name.strip()}' already") from error
    return queue


def remove_queue(session: Session, name: str) -> None:
    """The filter goes; its items stay where they are."""
    queue = queue_by_name(session, name)
    session.execute(delete(NamedQueue).where(col(NamedQueue.id) == queue.id))


def content_of(session: Session, queue: NamedQueue) -> QueueContent:
    names = names_of(session)
    fields = {field: getattr(queue, field) for field in QueueContent.__slots__}
    people = {field: tuple(names.get(key, "?") for key in fields[field]) for field in ("reviewers", "adjudicators")}
    return QueueContent(**{**fields, **people})


def names_of(session: Session) -> dict[int, str]:
    return dict(session.execute(select(col(Reviewer.id), col(Reviewer.name))).all())


def _ids(known: dict[str, int], field: str, names: Sequence[str]) -> list[int]:
    wanted = [name.strip() for name in names if name.strip()]
    if missing := [name for name in wanted if name not in known]:
        raise NotFound(f"{field}: there is no reviewer '{missing[0]}'")
    return sorted({known[name] for name in wanted})


def _check(content: QueueContent) -> None:
    if not content.name.strip() or len(content.name) > 80:
        raise Invalid("name: give one of at most 80 characters")
    if content.signal is not None and content.signal not in get_args(SignalName):
        raise Invalid(f"signal: '{content.signal}' is none of {', '.join(get_args(SignalName))}")
    if content.least_priority is not None and not 0 <= content.least_priority <= 1:
        raise Invalid("least_priority: give a number from 0 to 1")
    if content.budget is not None and content.budget < 1:
        raise Invalid("budget: give at least 1 review a day, or leave it empty")
    if not 1 <= content.reviews <= MOST_REVIEWS:
        raise Invalid(f"reviews: give a number from 1 to {MOST_REVIEWS}")
    if content.reviewers and len(set(content.reviewers)) < content.reviews:
        raise Invalid(f"reviews: {content.reviews} are wanted, but the queue has {len(set(content.reviewers))} reviewers")
    if not 0 <= content.calibration_share <= 0.5:
        raise Invalid("calibration_share: give a share from 0 to 0.5")
    if content.due_hours is not None and content.due_hours <= 0:
        raise Invalid("due_hours: give more than 0 hours, or leave it empty")


# --- who is to review what ----------------------------------------------------------------------------------------


def assign(
    session: Session, reviewer: str, now: datetime, hours: float, item_id: int | None = None, only: QueueFilter | None = None,
    most: int = 1,
) -> int:  # fmt: skip
    """The item, or the best `most` that nobody holds and that are not assigned, go to this reviewer for so many hours; how many.

    Raises
    ------
    NotFound
        There is no such reviewer with an open account, or no such open item.
    Invalid
        `hours` or `most` cannot be.
    """
    if hours <= 0 or hours > 24 * 365:
        raise Invalid("hours: give more than 0 and at most a year")
    if not 1 <= most <= MOST_ASSIGNED:
        raise Invalid(f"most: assign 1 to {MOST_ASSIGNED} items at once")
    found = select(col(Reviewer.id)).where(col(Reviewer.name) == reviewer.strip(), col(Reviewer.active))
    reviewer_id = session.execute(found).scalar()
    if reviewer_id is None:
        raise NotFound(f"reviewer: there is no reviewer '{reviewer}'")
    open_ = select(col(ReviewItem.id)).where(col(ReviewItem.state) == ItemState.open)
    if item_id is not None:
        wanted = open_.where(col(ReviewItem.id) == item_id)
    else:
        unheld = col(ReviewItem.claimed_until).is_(None) | (col(ReviewItem.claimed_until) <= now)
        unassigned = col(ReviewItem.assigned_to).is_(None) | (col(ReviewItem.assigned_until) <= now)
        best = open_.where(unheld, unassigned, *matches(only or QueueFilter()))
        wanted = best.order_by(col(ReviewItem.priority).desc(), col(ReviewItem.id)).limit(most)
    ids = list(session.execute(wanted.with_for_update(skip_locked=True)).scalars())
    if item_id is not None and not ids:
        raise NotFound(f"there is no open item {item_id}")
    given = {"assigned_to": reviewer_id, "assigned_at": now, "assigned_until": now + timedelta(hours=hours)}
    return changed(session, update(ReviewItem).where(col(ReviewItem.id).in_(ids)).values(**given))


def unassign(session: Session, item_id: int | None = None, reviewer: str | None = None) -> int:
    """The item, or all of the reviewer's, are everybody's again; how many."""
    if (item_id is None) == (reviewer is None):
        raise Invalid("give either the item or the reviewer")
    whose = col(ReviewItem.id) == item_id
    if reviewer is not None:
        mine = select(col(Reviewer.id)).where(col(Reviewer.name) == reviewer.strip()).scalar_subquery()
        whose = col(ReviewItem.assigned_to) == mine
    free = {"assigned_to": None, "assigned_at": None, "assigned_until": None}
    given = update(ReviewItem).where(whose, col(ReviewItem.assigned_to).is_not(None))
    return changed(session, given.values(**free).execution_options(synchronize_session=False))


def holders(session: Session, now: datetime, most: int = 500) -> list[Held]:
    """What is in somebody's hands now, and what is assigned; the longest first."""
    names = names_of(session)
    kept = session.execute(
        select(col(ReviewItem.id), col(ReviewItem.reviewer_id), col(ReviewItem.claimed_at), col(ReviewItem.claimed_until))
        .where(col(ReviewItem.state) == ItemState.open, col(ReviewItem.claimed_until) > now, ~col(ReviewItem.reserved))
        .order_by(col(ReviewItem.claimed_at), col(ReviewItem.id))
        .limit(most)
    ).all()
    assigned = session.execute(
        select(col(ReviewItem.id), col(ReviewItem.assigned_to), col(ReviewItem.assigned_at), col(ReviewItem.assigned_until))
        .where(col(ReviewItem.state) == ItemState.open, col(ReviewItem.assigned_to).is_not(None))
        .order_by(col(ReviewItem.assigned_at), col(ReviewItem.id))
        .limit(most)
    ).all()
    return [
        Held(item, names.get(who, "?"), since, until, kind, kind == "assigned" and until is not None and until <= now)
        for kind, rows in (("held", kept), ("assigned", assigned))
        for item, who, since, until in rows
    ]


def ages(session: Session, now: datetime, queue: NamedQueue | None = None) -> list[tuple[str, int]]:
    """Open items by how long they wait."""
    waited = [(name, now - timedelta(days=days)) for name, days in AGES if days is not None]
    group = case(*[(col(ReviewItem.created_at) > since, name) for name, since in waited], else_=AGES[-1][0])
    where = matches(filter_of(queue)) if queue else []
    rows: Any = session.execute(
        select(group, func.count()).where(col(ReviewItem.state) == ItemState.open, *where).group_by(group)
    )
    found = dict(rows.all())
    return [(name, found.get(name, 0)) for name, _ in AGES]
