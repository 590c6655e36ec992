"""Which items a reviewer may be served: what their queues hold, what is assigned, disputed, or other people's."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, false, func, not_, or_, select
from sqlmodel import Session, col

from service.errors import Forbidden, NotFound
from service.filters import QueueFilter, filter_of, matches, matches_all, one_of, without_queue
from service.models import NamedQueue, Opinion, OpinionKind, Reviewer, ReviewItem, Verdict

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Reach:
    """A reviewer, what they chose to work through, and the queues there are; read once a claim."""

    reviewer_id: int
    is_admin: bool
    only: QueueFilter
    queues: list[NamedQueue]
    chosen: NamedQueue | None

    def wanted(self) -> list[Any]:
        """What the reviewer asked for, as conditions on review items."""
        return matches_all(without_queue(self.only), *([filter_of(self.chosen)] if self.chosen else []))

    def allowed(self, now: datetime) -> list[Any]:
        """What may be served to them, as conditions on review items.

        Items of a queue with reviewers of its own go to those alone; assigned ones to their reviewer until they are overdue;
        disputed ones to adjudicators.
        """
        mine = or_(col(ReviewItem.assigned_to).is_(None), col(ReviewItem.assigned_to) == self.reviewer_id)
        conditions: list[Any] = [or_(mine, col(ReviewItem.assigned_until) <= now)]
        if not self.is_admin:
            settles = one_of([queue for queue in self.queues if self.reviewer_id in queue.adjudicators])
            conditions.append(or_(~col(ReviewItem.disputed), *settles))
        others = one_of([queue for queue in self.queues if not is_open_to(queue, self.reviewer_id)])
        if others:
            # A column without a value is in no queue that asks for one: not(unknown) must be true.
            elsewhere = [not_(func.coalesce(other, false())) for other in others]
            conditions.append(or_(col(ReviewItem.disputed), and_(*elsewhere)))
        return conditions

    def late(self, now: datetime) -> Any | None:
        """Of the items in `wanted`, those that wait longer than their queue promises; None where none promises anything."""
        if self.chosen:
            promised = self.chosen.due_hours
            return None if promised is None else col(ReviewItem.created_at) <= now - timedelta(hours=promised)
        late = [
            and_(col(ReviewItem.created_at) <= now - timedelta(hours=queue.due_hours), *matches(filter_of(queue)))
            for queue in self.queues
            if queue.due_hours is not None
        ]
        return or_(*late) if late else None


def read_reach(session: Session, reviewer_id: int, only: QueueFilter) -> Reach:
    """What this reviewer may be served.

    Raises
    ------
    NotFound
        There is no queue of that name.
    Forbidden
        The queue is for other reviewers.
    """
    queues = list(session.execute(select(NamedQueue).order_by(col(NamedQueue.name))).scalars())
    is_admin = bool(session.execute(select(col(Reviewer.is_admin)).where(col(Reviewer.id) == reviewer_id)).scalar())
    chosen = None
    if only.queue:
        chosen = next((queue for queue in queues if queue.name == only.queue), None)
        if chosen is None:
            raise NotFound(f"queue: there is no queue '{only.queue}'")
        if not is_open_to(chosen, reviewer_id) and reviewer_id not in chosen.adjudicators and not is_admin:
            raise Forbidden(f"the queue '{chosen.name}' is for other reviewers")
    return Reach(reviewer_id, is_admin, only, queues, chosen)


def is_open_to(queue: NamedQueue, reviewer_id: int) -> bool:
    return not queue.reviewers or reviewer_id in queue.reviewers


def is_spent(session: Session, queue: NamedQueue, now: datetime) -> bool:
    """Whether the queue has had its reviews of 24 hours."""
    return queue.budget is not None and reviews_since(session, queue, now - DAY) >= queue.budget


def reviews_since(session: Session, queue: NamedQueue, since: datetime) -> int:
    """Reviews of the queue's items: verdicts that a person gave, and opinions of those who judge apart from each other."""
    where = matches(filter_of(queue))
    opinions = select(func.count()).select_from(Opinion).join(ReviewItem, col(ReviewItem.id) == col(Opinion.item_id))
    given = session.execute(
        opinions.where(col(Opinion.kind) == OpinionKind.review, col(Opinion.decided_at) > since, *where)
    ).scalar_one()
    verdicts = select(func.count()).select_from(Verdict).join(ReviewItem, col(ReviewItem.id) == col(Verdict.item_id))
    decided = session.execute(
        verdicts.where(col(Verdict.decided_at) > since, col(Verdict.settled_by).is_(None), ~by_opinions(), *where)
    ).scalar_one()
    return int(given + decided)


def by_opinions() -> Any:
    """The verdict is what opinions agreed on: its review is counted with them."""
    return (
        select(col(Opinion.id))
        .where(
            col(Opinion.item_id) == col(Verdict.item_id),
            col(Opinion.fence) == col(Verdict.fence),
            col(Opinion.kind) == OpinionKind.review,
        )
        .correlate(Verdict)
        .exists()
    )
