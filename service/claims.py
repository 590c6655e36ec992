"""The queue's leases: claim an item, keep it alive, or hand it back. Every change of state is one conditional statement."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, or_, select, update
from sqlmodel import Session, col

from service.db import changed, insert_into
from service.errors import Invalid, LeaseLost, NotFound
from service.models import Evidence, Exchange, ItemState, ReviewItem, Skip, Verdict

MOST_REASON = 20_000
CHANCE_EVERY = 5
"""Of so many items that a reviewer gets, one is the oldest that pure chance drew."""


@dataclass(frozen=True, slots=True)
class Claim:
    """An item that is ours until `until`. `fence` proves it: every later step names it."""

    item_id: int
    fence: int
    until: datetime


@dataclass(frozen=True, slots=True)
class QueueFilter:
    """Which items; None means any."""

    signal: str | None = None
    source: str | None = None
    strategy: str | None = None


def claim_next(
    session: Session, reviewer_id: int, now: datetime, lease: timedelta, only: QueueFilter | None = None
) -> Claim | None:
    """The item this reviewer holds already, or else the best one that is free; None where the queue has none for them.

    Every fifth is the oldest item that pure chance drew, where one waits: those of low priority would wait for ever, and the
    honest numbers with them.
    """
    held = session.execute(
        select(col(ReviewItem.id), col(ReviewItem.fence))
        .where(
            col(ReviewItem.state) == ItemState.open,
            col(ReviewItem.reviewer_id) == reviewer_id,
            col(ReviewItem.claimed_until) > now,
        )
        .order_by(col(ReviewItem.claimed_until).desc())
        .limit(1)
    ).first()
    if held is not None:
        return heartbeat(session, held.id, reviewer_id, held.fence, now, lease)
    wanted = only or QueueFilter()
    best = _free(reviewer_id, now, wanted).order_by(col(ReviewItem.priority).desc(), col(ReviewItem.id))
    if wanted.strategy is None and _is_chances_turn(session, reviewer_id, now):
        drawn = _free(reviewer_id, now, wanted).where(col(ReviewItem.strategy) == "random").order_by(col(ReviewItem.id))
        if (taken := _take(session, _first(drawn), reviewer_id, now, lease)) is not None:
            return taken
    return _take(session, _first(best), reviewer_id, now, lease)


def _first(free: Any) -> Any:
    return free.limit(1).with_for_update(skip_locked=True, of=ReviewItem)


def _is_chances_turn(session: Session, reviewer_id: int, now: datetime) -> bool:
    decided = select(func.count()).where(
        col(Verdict.reviewer_id) == reviewer_id, col(Verdict.decided_at) > now - timedelta(days=1), col(Verdict.decided_at) <= now
    )
    return int(session.execute(decided).scalar_one()) % CHANCE_EVERY == CHANCE_EVERY - 1


def claim_item(session: Session, item_id: int, reviewer_id: int, now: datetime, lease: timedelta) -> Claim:
    """This very item.

    Raises
    ------
    LeaseLost
        Somebody else holds it, or it is decided.
    """
    item = session.get(ReviewItem, item_id)
    if item is None:
        raise NotFound(f"there is no item {item_id}")
    if item.reviewer_id == reviewer_id and item.state == ItemState.open and item.claimed_until and item.claimed_until > now:
        return heartbeat(session, item_id, reviewer_id, item.fence, now, lease)
    free = (
        select(col(ReviewItem.id))
        .where(col(ReviewItem.id) == item_id, col(ReviewItem.state) == ItemState.open, _unclaimed(now))
        .with_for_update(skip_locked=True)
    )
    taken = _take(session, free, reviewer_id, now, lease)
    if taken is None:
        raise LeaseLost("somebody else has this item now, or it is decided")
    return taken


def heartbeat(session: Session, item_id: int, reviewer_id: int, fence: int, now: datetime, lease: timedelta) -> Claim:
    """Keep the item for another lease.

    Raises
    ------
    LeaseLost
        It is no longer this reviewer's.
    """
    hold(session, item_id, reviewer_id, fence, {"claimed_until": now + lease})
    return Claim(item_id, fence, now + lease)


def release(session: Session, item_id: int, reviewer_id: int, fence: int) -> None:
    """Give it back to the queue."""
    hold(session, item_id, reviewer_id, fence, {"claimed_until": None, "reviewer_id": None})


def skip(session: Session, item_id: int, reviewer_id: int, fence: int) -> None:
    """Give it back, and do not show it to this reviewer again."""
    release(session, item_id, reviewer_id, fence)
    session.execute(insert_into(session, Skip).values(item_id=item_id, reviewer_id=reviewer_id).on_conflict_do_nothing())


def not_reviewable(session: Session, item_id: int, reviewer_id: int, fence: int, reason: str, now: datetime) -> None:
    """Take it out of the queue without a verdict.

    Raises
    ------
    Invalid
        No reason is given.
    """
    hold(
        session,
        item_id,
        reviewer_id,
        fence,
        {"state": ItemState.not_reviewable, "remark": reason_of(reason), "claimed_until": None, "decided_at": now},
    )


def reason_of(reason: str) -> str:
    if not reason.strip():
        raise Invalid("reason: say why, so that the next person understands")
    return reason.strip()[:MOST_REASON]


def _unclaimed(now: datetime) -> Any:
    return or_(col(ReviewItem.claimed_until).is_(None), col(ReviewItem.claimed_until) <= now)


def _free(reviewer_id: int, now: datetime, only: QueueFilter) -> Any:
    skipped = select(col(Skip.item_id)).where(col(Skip.item_id) == col(ReviewItem.id), col(Skip.reviewer_id) == reviewer_id)
    free = select(col(ReviewItem.id)).where(
        col(ReviewItem.state) == ItemState.open, _unclaimed(now), ~skipped.exists(), *matches(only)
    )
    return free


def matches(only: QueueFilter) -> list[Any]:
    wanted: list[Any] = []
    if only.signal:
        wanted.append(
            select(col(Evidence.id))
            .where(
                col(Evidence.exchange_id) == col(ReviewItem.exchange_id),
                col(Evidence.name) == only.signal,
                col(Evidence.probability) >= 0.5,
            )
            .correlate(ReviewItem)
            .exists()
        )
    if only.source:
        wanted.append(
            select(col(Exchange.id))
            .where(col(Exchange.id) == col(ReviewItem.exchange_id), col(Exchange.source) == only.source)
            .correlate(ReviewItem)
            .exists()
        )
    if only.strategy:
        wanted.append(col(ReviewItem.strategy) == only.strategy)
    return wanted


def _take(session: Session, free: Any, reviewer_id: int, now: datetime, lease: timedelta) -> Claim | None:
    taken = session.execute(
        update(ReviewItem)
        .where(col(ReviewItem.id).in_(free))
        .values(reviewer_id=reviewer_id, claimed_until=now + lease, fence=ReviewItem.fence + 1)
        .returning(col(ReviewItem.id), col(ReviewItem.fence))
        .execution_options(synchronize_session=False)
    ).first()
    return Claim(taken.id, taken.fence, now + lease) if taken else None


def hold(session: Session, item_id: int, reviewer_id: int, fence: int, values: Mapping[str, Any]) -> None:
    """Change the item if it is still ours. An expired lease that nobody took since is still ours: no work is lost."""
    held = (
        update(ReviewItem)
        .where(
            col(ReviewItem.id) == item_id,
            col(ReviewItem.state) == ItemState.open,
            col(ReviewItem.reviewer_id) == reviewer_id,
            col(ReviewItem.fence) == fence,
        )
        .values(**values)
        .execution_options(synchronize_session=False)
    )
    if changed(session, held) == 0:
        if session.get(ReviewItem, item_id) is None:
            raise NotFound(f"there is no item {item_id}")
        raise LeaseLost("somebody else has this item now, or it is decided; what you wrote is kept as your draft")
