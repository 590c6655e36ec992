"""Known items that reviewers get again without knowing it: their leases, and the veil that makes them look open.

The item itself stays decided. What a reviewer says of it becomes an opinion of its own kind and changes nothing else.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zlib import crc32

from sqlalchemy import delete, func, select, update
from sqlmodel import Session, col

from service.db import changed, insert_into
from service.errors import Conflict, NotFound
from service.models import Calibration, Exchange, ItemState, KnownItem, Opinion, OpinionKind, ReviewItem, Skip, Verdict
from service.reach import Reach

NOT_REVIEWABLE = str(ItemState.not_reviewable)
"""The label of an opinion that says so of a known item."""


@dataclass(frozen=True, slots=True)
class Lease:
    item_id: int
    fence: int


def mark(session: Session, item_id: int, reviewer_id: int, now: datetime) -> None:
    """The item's verdict is sure: from now on it may be served to those who did not decide it. Twice changes nothing.

    Raises
    ------
    Conflict
        The item has no verdict that counts.
    """
    decided = select(col(Verdict.id)).where(col(Verdict.item_id) == item_id, col(Verdict.withdrawn_at).is_(None))
    if session.get(ReviewItem, item_id) is None:
        raise NotFound(f"there is no item {item_id}")
    if session.execute(decided).first() is None:
        raise Conflict(f"item {item_id} is not decided: only a verdict can be known")
    known = insert_into(session, KnownItem).values(item_id=item_id, reviewer_id=reviewer_id, marked_at=now)
    session.execute(known.on_conflict_do_nothing())


def unmark(session: Session, item_id: int) -> None:
    session.execute(delete(KnownItem).where(col(KnownItem.item_id) == item_id))


def held(session: Session, reviewer_id: int, now: datetime, reserved: bool, besides: int = 0) -> Lease | None:
    """The known item in the reviewer's hands, other than the item `besides`."""
    found = session.execute(
        select(col(Calibration.item_id), col(Calibration.fence))
        .where(
            col(Calibration.reviewer_id) == reviewer_id,
            col(Calibration.claimed_until) > now,
            col(Calibration.reserved) == reserved,
            col(Calibration.item_id) != besides,
        )
        .limit(1)
    ).first()
    return Lease(found.item_id, found.fence) if found else None


def serve(session: Session, reach: Reach, done: int, now: datetime, until: datetime, reserved: bool) -> Lease | None:
    """A known item of the chosen queue, if it is time for one; None otherwise.

    Whether it is time follows from counts alone, as evenly as chance would have it but the same for the same counts.
    """
    if reach.chosen is None or not reach.chosen.calibration_share:
        return None
    served = select(func.count()).where(col(Calibration.reviewer_id) == reach.reviewer_id)
    number = session.execute(served).scalar_one()
    drawn = crc32(f"{reach.chosen.id} {reach.reviewer_id} {done} {number}".encode()) / 2**32
    if drawn >= reach.chosen.calibration_share:
        return None
    me = reach.reviewer_id
    seen = select(col(Opinion.id)).where(col(Opinion.item_id) == col(ReviewItem.id), col(Opinion.reviewer_id) == me)
    passed_over = select(col(Skip.item_id)).where(col(Skip.item_id) == col(ReviewItem.id), col(Skip.reviewer_id) == me)
    decided = select(col(Verdict.id)).where(col(Verdict.item_id) == col(ReviewItem.id), col(Verdict.reviewer_id) == me)
    forgotten = select(col(Exchange.id)).where(col(Exchange.id) == col(ReviewItem.exchange_id), col(Exchange.forgotten))
    found = session.execute(
        select(col(ReviewItem.id), col(ReviewItem.fence))
        .join(KnownItem, col(KnownItem.item_id) == col(ReviewItem.id))
        .where(
            col(ReviewItem.state) == ItemState.done,
            col(KnownItem.reviewer_id) != me,
            ~seen.exists(), ~passed_over.exists(), ~decided.exists(), ~forgotten.exists(),
            *reach.wanted(),
        )
        .order_by(func.abs(col(ReviewItem.id) - number * 7919 % 1000), col(ReviewItem.id))
        .limit(1)
    ).first()  # fmt: skip
    return _take(session, found, me, now, until, reserved) if found else None


def _take(session: Session, item: Any, reviewer_id: int, now: datetime, until: datetime, reserved: bool) -> Lease:
    fence = item.fence + 1
    lease = {"fence": fence, "reserved": reserved, "claimed_at": now, "claimed_until": until}
    insert = insert_into(session, Calibration).values(item_id=item.id, reviewer_id=reviewer_id, **lease)
    session.execute(insert.on_conflict_do_update(index_elements=["item_id", "reviewer_id"], set_=lease))
    return Lease(item.id, fence)


def hold(session: Session, item_id: int, reviewer_id: int, fence: int, values: Mapping[str, Any]) -> bool:
    """Do with a known item's lease what `claims.hold` does with an item's; False if it is not in the reviewer's hands."""
    if values.get("state") == ItemState.done:
        return False  # a verdict is for open items only
    held_still = _mine(item_id, reviewer_id, fence)
    lease = session.execute(select(Calibration).where(*held_still)).scalar_one_or_none()
    if lease is None:
        return False
    if values.get("state") == ItemState.not_reviewable:
        judge(session, lease, {"label": NOT_REVIEWABLE, "comment": values.get("remark"), "causes": []}, values["decided_at"])
        return True
    kept = {name: values[name] for name in ("claimed_until", "reserved") if name in values}
    return changed(session, update(Calibration).where(*held_still).values(**kept)) == 1


def keep_reserved(session: Session, reviewer_id: int, now: datetime, until: datetime) -> None:
    waiting = update(Calibration).where(
        col(Calibration.reviewer_id) == reviewer_id, col(Calibration.claimed_until) > now, col(Calibration.reserved)
    )
    session.execute(waiting.values(claimed_until=until))


def unreserve(session: Session, item_id: int, reviewer_id: int, fence: int) -> None:
    unseen = delete(Calibration).where(*_mine(item_id, reviewer_id, fence), col(Calibration.reserved))
    session.execute(unseen)


def lease_of(session: Session, item_id: int, reviewer_id: int, fence: int) -> Calibration | None:
    """The lease under which a decision comes, unless it is given back or answered."""
    found: Calibration | None = session.execute(
        select(Calibration).where(*_mine(item_id, reviewer_id, fence))
    ).scalar_one_or_none()
    return found


def _mine(item_id: int, reviewer_id: int, fence: int) -> list[Any]:
    return [
        col(Calibration.item_id) == item_id,
        col(Calibration.reviewer_id) == reviewer_id,
        col(Calibration.fence) == fence,
        col(Calibration.claimed_until).is_not(None),
    ]


def judge(session: Session, lease: Calibration, told: Mapping[str, Any], now: datetime) -> Opinion:
    """What the reviewer says of the known item; their lease on it ends."""
    opinion = Opinion(
        item_id=lease.item_id,
        reviewer_id=lease.reviewer_id,
        fence=lease.fence,
        kind=OpinionKind.calibration,
        claimed_at=lease.claimed_at,
        decided_at=now,
        **{"intent": None, "answer": None, "question": None, "article_id": None, **told},
    )
    session.add(opinion)
    session.execute(update(Calibration).where(*_mine(lease.item_id, lease.reviewer_id, lease.fence)).values(claimed_until=None))
    session.flush()
    return opinion


def renew(session: Session, item_id: int, reviewer_id: int, until: datetime) -> Lease | None:
    """Take a known item again that was served to this reviewer and is not answered; None where there is none."""
    answered = _answer(item_id, reviewer_id)
    mine = [col(Calibration.item_id) == item_id, col(Calibration.reviewer_id) == reviewer_id]
    taken = session.execute(
        update(Calibration)
        .where(*mine, ~answered.exists())
        .values(claimed_until=until, reserved=False, fence=Calibration.fence + 1)
        .returning(col(Calibration.fence))
        .execution_options(synchronize_session=False)
    ).first()
    return Lease(item_id, taken.fence) if taken else None


def veil(session: Session, item: ReviewItem, reviewer_id: int) -> tuple[ReviewItem, list[Verdict]] | None:
    """The item and its verdicts as the reviewer shall see them who got it as a known one: open, or decided by them alone; None
    for everybody else."""
    lease = session.get(Calibration, (item.id, reviewer_id)) if item.state == ItemState.done else None
    if lease is None:
        return None
    said: Opinion | None = session.execute(_answer(item.id or 0, reviewer_id, Opinion)).scalar_one_or_none()
    shown = ReviewItem(**item.model_dump())
    shown.fence, shown.remark = lease.fence, None
    shown.reserved, shown.claimed_at = lease.reserved, lease.claimed_at
    if said is None:
        shown.state, shown.decided_at = ItemState.open, None
        shown.reviewer_id, shown.claimed_until = (reviewer_id if lease.claimed_until else None), lease.claimed_until
        return shown, []
    shown.decided_at, shown.reviewer_id = said.decided_at, reviewer_id
    if said.label == NOT_REVIEWABLE:
        shown.state, shown.remark = ItemState.not_reviewable, said.comment
        return shown, []
    same = ("id", "item_id", "reviewer_id", "fence", "label", "intent", "answer", "causes", "comment", "decided_at")
    return shown, [Verdict(**{name: getattr(said, name) for name in same})]


def veiled(session: Session, items: Sequence[ReviewItem], reviewer_id: int | None) -> list[ReviewItem]:
    """The items, in order, as the reviewer shall see them; as they are for None."""
    served = select(col(Calibration.item_id)).where(
        col(Calibration.reviewer_id) == reviewer_id, col(Calibration.item_id).in_([item.id for item in items])
    )
    mine = set(session.execute(served).scalars()) if reviewer_id is not None else set()
    found = {item.id: veil(session, item, reviewer_id) for item in items if reviewer_id is not None and item.id in mine}
    return [seen[0] if (seen := found.get(item.id)) else item for item in items]


def said(session: Session, item_ids: Sequence[int], reviewer_id: int) -> dict[int, str]:
    """The label that the reviewer gave, of each known item among these."""
    given = select(col(Opinion.item_id), col(Opinion.label)).where(
        col(Opinion.item_id).in_(item_ids),
        col(Opinion.reviewer_id) == reviewer_id,
        col(Opinion.kind) == OpinionKind.calibration,
        col(Opinion.withdrawn_at).is_(None),
    )
    return dict(session.execute(given).all())


@dataclass(frozen=True, slots=True)
class Moved:
    """Decided items that a reviewer is to find in another list, where `veil` puts them. `held`: open ones in their hands."""

    open: frozenset[int] = frozenset()
    not_reviewable: frozenset[int] = frozenset()
    held: int = 0


def moved(session: Session, people: Collection[int], now: datetime) -> dict[int, Moved]:
    """By reviewer, for the lists and their counts."""
    said = (
        select(col(Opinion.item_id), col(Opinion.reviewer_id), col(Opinion.label))
        .where(col(Opinion.kind) == OpinionKind.calibration, col(Opinion.withdrawn_at).is_(None))
        .subquery()
    )
    mine = (said.c.item_id == col(Calibration.item_id)) & (said.c.reviewer_id == col(Calibration.reviewer_id))
    rows = session.execute(
        select(
            col(Calibration.reviewer_id), col(Calibration.item_id), col(Calibration.claimed_until), col(Calibration.reserved),
            said.c.label,
        )
        .join(ReviewItem, col(ReviewItem.id) == col(Calibration.item_id))
        .join(said, mine, isouter=True)
        .where(col(Calibration.reviewer_id).in_(people), col(ReviewItem.state) == ItemState.done)
        .where(said.c.label.is_(None) | (said.c.label == NOT_REVIEWABLE))
    ).all()  # fmt: skip
    return {
        person: Moved(
            frozenset(row.item_id for row in rows if row.reviewer_id == person and row.label is None),
            frozenset(row.item_id for row in rows if row.reviewer_id == person and row.label is not None),
            sum(row.reviewer_id == person and not row.reserved and (row.claimed_until or now) > now for row in rows),
        )
        for person in people
    }


def take_back(session: Session, item_id: int, reviewer_id: int, now: datetime) -> bool:
    """Forget what the reviewer said of a known item, so that they can say it anew; False where they said nothing."""
    gone = update(Opinion).where(
        col(Opinion.item_id) == item_id,
        col(Opinion.reviewer_id) == reviewer_id,
        col(Opinion.kind) == OpinionKind.calibration,
        col(Opinion.withdrawn_at).is_(None),
    )
    return changed(session, gone.values(withdrawn_at=now, withdrawn_reason="taken back")) == 1


def _answer(item_id: int, reviewer_id: int, what: Any = None) -> Any:
    return select(what if what is not None else col(Opinion.id)).where(
        col(Opinion.item_id) == item_id,
        col(Opinion.reviewer_id) == reviewer_id,
        col(Opinion.kind) == OpinionKind.calibration,
        col(Opinion.withdrawn_at).is_(None),
    )
