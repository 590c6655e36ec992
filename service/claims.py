"""The queue's leases: claim an item, keep it alive, or hand it back. Every change of state is one conditional statement."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, or_, select, update
from sqlmodel import Session, col

from service import calibration
from service.db import changed, insert_into
from service.errors import Forbidden, Invalid, LeaseLost, NotFound
from service.filters import QueueFilter, matches
from service.forgetting.forget import refuse_forgotten
from service.models import ItemState, Opinion, OpinionKind, ReviewItem, Skip, Verdict
from service.reach import Reach, is_spent, read_reach

MOST_REASON = 20_000
RESERVED_FOR = timedelta(minutes=2)
"""How long an item waits unseen for a reviewer who gives no sign of life."""
CHANCE_EVERY = 5
"""Of so many items that a reviewer gets, one is the oldest that pure chance drew."""
URGENT = 0.6
"""From this priority an item goes before those that are merely late."""


@dataclass(frozen=True, slots=True)
class Claim:
    """An item that is ours until `until`. `fence` proves it: every later step names it."""

    item_id: int
    fence: int
    until: datetime


def claim_next(
    session: Session, reviewer_id: int, now: datetime, lease: timedelta, only: QueueFilter | None = None
) -> Claim | None:
    """The item this reviewer holds already, or the one reserved for them, or else the best one that is free; None where the
    queue has none for them, or has had its reviews of the day.

    What is assigned to them comes first; then urgent items, then the others, and of either kind first those that are late.
    Every fifth is the oldest item that pure chance drew, where one waits: those of low priority would wait for ever, and the
    honest numbers with them.
    """
    mine = session.execute(_mine(reviewer_id, now)).all()
    for held in mine:
        if not held.reserved:
            return heartbeat(session, held.id, reviewer_id, held.fence, now, lease)
    if (known := calibration.held(session, reviewer_id, now, reserved=False)) is not None:
        return heartbeat(session, known.item_id, reviewer_id, known.fence, now, lease)
    wanted = only or QueueFilter()
    for waiting in mine:
        if _meets(session, waiting.id, wanted):
            hold(session, waiting.id, reviewer_id, waiting.fence, {"claimed_at": now, "claimed_until": now + lease})
            return Claim(waiting.id, waiting.fence, now + lease)
        unreserve(session, waiting.id, reviewer_id, waiting.fence)
    if (known := calibration.held(session, reviewer_id, now, reserved=True)) is not None:
        return _keep(session, known.item_id, reviewer_id, known.fence, now + lease, reserved=False)
    return _take_best(session, reviewer_id, now, lease, wanted)


def reserve_next(
    session: Session, item_id: int, reviewer_id: int, now: datetime, lease: timedelta, only: QueueFilter | None = None
) -> Claim | None:
    """The item that `claim_next` would give this reviewer once `item_id` is decided, kept for them unseen for a short while;
    None where there is none."""
    wanted, kept = only or QueueFilter(), min(lease, RESERVED_FOR)
    for mine in session.execute(_mine(reviewer_id, now).where(col(ReviewItem.id) != item_id)).all():
        if not mine.reserved:
            return heartbeat(session, mine.id, reviewer_id, mine.fence, now, lease)
        if _meets(session, mine.id, wanted):
            return _keep(session, mine.id, reviewer_id, mine.fence, now + kept, reserved=True)
        unreserve(session, mine.id, reviewer_id, mine.fence)
    for unseen in (False, True):
        if (known := calibration.held(session, reviewer_id, now, unseen, besides=item_id)) is not None:
            until = now + (kept if unseen else lease)
            return _keep(session, known.item_id, reviewer_id, known.fence, until, reserved=unseen)
    return _take_best(session, reviewer_id, now, kept, wanted, reserved=True)


def keep_reserved(session: Session, reviewer_id: int, now: datetime, lease: timedelta) -> None:
    """While a reviewer works on one item, the next one stays theirs."""
    session.execute(
        update(ReviewItem)
        .where(
            col(ReviewItem.state) == ItemState.open,
            col(ReviewItem.reviewer_id) == reviewer_id,
            col(ReviewItem.claimed_until) > now,
            col(ReviewItem.reserved),
        )
        .values(claimed_until=now + min(lease, RESERVED_FOR))
        .execution_options(synchronize_session=False)
    )
    calibration.keep_reserved(session, reviewer_id, now, now + min(lease, RESERVED_FOR))


def unreserve(session: Session, item_id: int, reviewer_id: int, fence: int) -> None:
    """Give a reserved item back. One that was shown meanwhile, or is another's by now, stays as it is."""
    session.execute(
        update(ReviewItem)
        .where(
            col(ReviewItem.id) == item_id,
            col(ReviewItem.reviewer_id) == reviewer_id,
            col(ReviewItem.fence) == fence,
            col(ReviewItem.reserved),
        )
        .values(reviewer_id=None, claimed_until=None, reserved=False)
        .execution_options(synchronize_session=False)
    )
    calibration.unreserve(session, item_id, reviewer_id, fence)


def _mine(reviewer_id: int, now: datetime) -> Any:
    """What this reviewer holds: reserved items last, the latest lease first."""
    return (
        select(col(ReviewItem.id), col(ReviewItem.fence), col(ReviewItem.reserved))
        .where(
            col(ReviewItem.state) == ItemState.open,
            col(ReviewItem.reviewer_id) == reviewer_id,
            col(ReviewItem.claimed_until) > now,
        )
        .order_by(col(ReviewItem.reserved), col(ReviewItem.claimed_until).desc())
    )


def _meets(session: Session, item_id: int, only: QueueFilter) -> bool:
    wanted = matches(only)
    return (
        not wanted
        or session.execute(select(col(ReviewItem.id)).where(col(ReviewItem.id) == item_id, *wanted)).first() is not None
    )


def _take_best(
    session: Session, reviewer_id: int, now: datetime, lease: timedelta, wanted: QueueFilter, reserved: bool = False
) -> Claim | None:
    reach = read_reach(session, reviewer_id, wanted)
    if reach.chosen is not None and is_spent(session, reach.chosen, now):
        return None
    # The item before a reserved one is not decided yet, but will be.
    done = _done_today(session, reviewer_id, now) + int(reserved)
    if (known := calibration.serve(session, reach, done, now, now + lease, reserved)) is not None:
        return Claim(known.item_id, known.fence, now + lease)
    free = _free(reach, now)
    best = free.order_by(col(ReviewItem.priority).desc(), col(ReviewItem.id))
    choices = [best.where(col(ReviewItem.assigned_to) == reviewer_id)]
    if wanted.strategy is None and done % CHANCE_EVERY == CHANCE_EVERY - 1:
        choices.append(free.where(col(ReviewItem.strategy) == "random").order_by(col(ReviewItem.id)))
    if (late := reach.late(now)) is not None:
        urgent = session.execute(best.where(col(ReviewItem.priority) >= URGENT).limit(1)).first() is not None
        of_its_kind = (col(ReviewItem.priority) >= URGENT,) if urgent else ()
        choices.append(free.where(late, *of_its_kind).order_by(col(ReviewItem.created_at), col(ReviewItem.id)))
    for choice in (*choices, best):
        if (taken := _take(session, choice, now, reviewer_id, now + lease, reserved)) is not None:
            return taken
    return None


def _done_today(session: Session, reviewer_id: int, now: datetime) -> int:
    """Verdicts and opinions of 24 hours; look-alikes that were settled with another were no item before this reviewer."""

    def of(table: Any, *where: Any) -> Any:
        by, at = col(table.reviewer_id), col(table.decided_at)
        return select(func.count()).where(by == reviewer_id, at > now - timedelta(days=1), at <= now, *where)

    looked_at = of(Verdict, col(Verdict.settled_by).is_(None))
    both = select(looked_at.scalar_subquery() + of(Opinion).scalar_subquery())
    return int(session.execute(both).scalar_one())


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
    if (known := calibration.renew(session, item_id, reviewer_id, now + lease)) is not None:
        return Claim(known.item_id, known.fence, now + lease)
    free = select(col(ReviewItem.id)).where(
        col(ReviewItem.id) == item_id, col(ReviewItem.state) == ItemState.open, _unclaimed(now)
    )
    if session.execute(free).first() is None:
        refuse_forgotten(session, item_id)
        raise LeaseLost("somebody else has this item now, or it is decided")
    if (why := refusal(session, item, reviewer_id, now)) is not None:
        raise Forbidden(why)
    taken = _take(session, free, now, reviewer_id, now + lease, reserved=False)
    if taken is None:
        raise LeaseLost("somebody else has this item now, or it is decided")
    return taken


def refusal(session: Session, item: ReviewItem, reviewer_id: int, now: datetime) -> str | None:
    """Why this reviewer may not take the open item though nobody holds it; None where they may."""
    if not item.disputed and _has_judged(session, item.id or 0, reviewer_id):
        return "you have given your opinion on this item; now others give theirs"
    reach = read_reach(session, reviewer_id, QueueFilter())
    allowed = select(col(ReviewItem.id)).where(col(ReviewItem.id) == item.id, *reach.allowed(now))
    if reach.is_admin or session.execute(allowed).first() is not None:
        return None
    if item.disputed:
        return "opinions on this item differ: an adjudicator decides it"
    return "this item is for somebody else: it is assigned, or in a queue with reviewers of its own"


def _has_judged(session: Session, item_id: int, reviewer_id: int) -> bool:
    given = select(col(Opinion.id)).where(
        col(Opinion.item_id) == item_id,
        col(Opinion.reviewer_id) == reviewer_id,
        col(Opinion.kind) == OpinionKind.review,
        col(Opinion.withdrawn_at).is_(None),
    )
    return session.execute(given).first() is not None


def heartbeat(session: Session, item_id: int, reviewer_id: int, fence: int, now: datetime, lease: timedelta) -> Claim:
    """Keep the item for another lease.

    Raises
    ------
    LeaseLost
        It is no longer this reviewer's.
    """
    return _keep(session, item_id, reviewer_id, fence, now + lease, reserved=False)


def _keep(session: Session, item_id: int, reviewer_id: int, fence: int, until: datetime, reserved: bool) -> Claim:
    hold(session, item_id, reviewer_id, fence, {"claimed_until": until, "reserved": reserved})
    return Claim(item_id, fence, until)


def release(session: Session, item_id: int, reviewer_id: int, fence: int) -> None:
    """Give it back to the queue."""
    hold(session, item_id, reviewer_id, fence, {"claimed_until": None, "reviewer_id": None})


def skip(session: Session, item_id: int, reviewer_id: int, fence: int, now: datetime) -> None:
    """Give it back, and do not show it to this reviewer again."""
    release(session, item_id, reviewer_id, fence)
    not_for_them = insert_into(session, Skip).values(item_id=item_id, reviewer_id=reviewer_id, skipped_at=now)
    session.execute(not_for_them.on_conflict_do_nothing())


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


def _free(reach: Reach, now: datetime) -> Any:
    skipped = select(col(Skip.item_id)).where(col(Skip.item_id) == col(ReviewItem.id), col(Skip.reviewer_id) == reach.reviewer_id)
    return select(col(ReviewItem.id)).where(
        col(ReviewItem.state) == ItemState.open,
        _unclaimed(now),
        ~skipped.exists(),
        *reach.wanted(),
        *reach.allowed(now),
    )


def _take(session: Session, free: Any, now: datetime, reviewer_id: int, until: datetime, reserved: bool) -> Claim | None:
    """The first of the free items. Found and locked first, then taken: no plan can make one statement take two."""
    item_id = session.execute(free.limit(1).with_for_update(skip_locked=True, of=ReviewItem)).scalar()
    if item_id is None:
        return None
    taken = session.execute(
        update(ReviewItem)
        .where(col(ReviewItem.id) == item_id, col(ReviewItem.state) == ItemState.open, _unclaimed(now))
        .values(reviewer_id=reviewer_id, claimed_at=now, claimed_until=until, fence=ReviewItem.fence + 1, reserved=reserved)
        .returning(col(ReviewItem.id), col(ReviewItem.fence))
        .execution_options(synchronize_session=False)
    ).first()
    return Claim(taken.id, taken.fence, until) if taken else None


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
        .values(**{"reserved": False, **values})
        .execution_options(synchronize_session=False)
    )
    if changed(session, held) == 0 and not calibration.hold(session, item_id, reviewer_id, fence, values):
        if session.get(ReviewItem, item_id) is None:
            raise NotFound(f"there is no item {item_id}")
        refuse_forgotten(session, item_id)
        raise LeaseLost("somebody else has this item now, or it is decided; what you wrote is kept as your draft")
