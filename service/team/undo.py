"""Taking back what one said of an item that several judge, or of a known one; anything else as `service/undo.py` does it."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, or_, select, update
from sqlmodel import Session, col

from service import calibration, review
from service import undo as of_verdicts
from service.claims import Claim
from service.db import changed
from service.errors import Conflict
from service.models import ItemState, Opinion, OpinionKind, ReviewItem, Skip


def undo(
    session: Session, item_id: int, reviewer_id: int, sinks: Sequence[str], now: datetime, lease: timedelta, grace: timedelta
) -> Claim:
    """As `undo.undo`; the reviewer's own opinion is withdrawn, those of the others stay.

    Raises
    ------
    Conflict
        It is not their own decision, it was made longer ago than `grace`, or somebody judges the item by now.
    """
    opinion = _last(session, item_id, reviewer_id)
    if opinion is None:
        return of_verdicts.undo(session, item_id, reviewer_id, sinks, now, lease, grace)
    if opinion.decided_at <= now - grace:
        raise Conflict("too late to undo what you said of this item")
    if opinion.kind == OpinionKind.calibration:
        claim = _undo_calibration(session, opinion, now, lease)
    elif session.get_one(ReviewItem, item_id).state == ItemState.open:
        claim = _reopen(session, opinion, now, lease)
    else:
        claim = of_verdicts.undo(session, item_id, reviewer_id, sinks, now, lease, grace)
    session.execute(
        update(Opinion)
        .where(col(Opinion.id) == opinion.id, col(Opinion.withdrawn_at).is_(None))
        .values(withdrawn_at=now, withdrawn_reason=of_verdicts.UNDONE)
    )
    gone = delete(Skip).where(col(Skip.item_id) == item_id, col(Skip.reviewer_id) == reviewer_id, col(Skip.skipped_at).is_(None))
    session.execute(gone)
    review.save_draft(session, item_id, reviewer_id, _typed(opinion), now)
    return claim


def seconds_left(session: Session, item_id: int, reviewer_id: int, now: datetime, grace: timedelta) -> int | None:
    """How long this reviewer can still take back what they said of the item; None if they cannot."""
    opinion = _last(session, item_id, reviewer_id)
    if opinion is None:
        return of_verdicts.seconds_left(session, item_id, reviewer_id, now, grace)
    left = (opinion.decided_at + grace - now).total_seconds()
    return int(left) if left >= 1 else None


def _last(session: Session, item_id: int, reviewer_id: int) -> Opinion | None:
    found: Opinion | None = session.execute(
        select(Opinion)
        .where(col(Opinion.item_id) == item_id, col(Opinion.reviewer_id) == reviewer_id, col(Opinion.withdrawn_at).is_(None))
        .order_by(col(Opinion.id).desc())
        .limit(1)
    ).scalar_one_or_none()
    return found


def _undo_calibration(session: Session, opinion: Opinion, now: datetime, lease: timedelta) -> Claim:
    calibration.take_back(session, opinion.item_id, opinion.reviewer_id, now)
    again = calibration.renew(session, opinion.item_id, opinion.reviewer_id, now + lease)
    if again is None:
        raise Conflict("somebody was faster: look at the item again")
    return Claim(again.item_id, again.fence, now + lease)


def _reopen(session: Session, opinion: Opinion, now: datetime, lease: timedelta) -> Claim:
    """Nobody judges it yet: it is theirs again."""
    taken = (
        update(ReviewItem)
        .where(
            col(ReviewItem.id) == opinion.item_id,
            col(ReviewItem.state) == ItemState.open,
            col(ReviewItem.fence) == opinion.fence,
            or_(col(ReviewItem.claimed_until).is_(None), col(ReviewItem.claimed_until) <= now),
        )
        .values(
            reviewer_id=opinion.reviewer_id,
            claimed_at=now,
            claimed_until=now + lease,
            fence=ReviewItem.fence + 1,
            disputed=False,
        )
        .execution_options(synchronize_session=False)
    )
    if changed(session, taken) == 0:
        raise Conflict("somebody else judges this item by now: your opinion stays")
    return Claim(opinion.item_id, opinion.fence + 1, now + lease)


def _typed(opinion: Opinion) -> dict[str, Any]:
    return {
        "label": opinion.label,
        "intent": opinion.intent or "",
        "question": opinion.question or "",
        "answer": opinion.answer or "",
        "article": str(opinion.article_id or ""),
        "causes": list(opinion.causes),
        "comment": opinion.comment or "",
    }
