"""Undo: a reviewer takes back what they just decided, before any of it went out; what others said of the item stays."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, or_, select, update
from sqlmodel import Session, col

from service import calibration, review
from service.claims import Claim
from service.db import changed
from service.errors import Conflict, NotFound
from service.forgetting.forget import refuse_forgotten
from service.models import ArticleVersion, Calibration, Exchange, ItemState, Opinion, OpinionKind, ReviewItem, Skip, Verdict

UNDONE = "undone"
FEED_WAITS = timedelta(seconds=5)
"""The feed of articles waits so much longer than a decision can be undone: an undo that came in time may still be at work."""
_TOO_LATE = "too late to undo: send the item back instead, with a word why"


def undo(
    session: Session, item_id: int, reviewer_id: int, sinks: Sequence[str], now: datetime, lease: timedelta, grace: timedelta
) -> Claim:
    """The item is open and theirs again, what they had decided is their draft, and no knowledge base hears of it.

    Undoing twice changes nothing more.

    Raises
    ------
    Conflict
        It is not their own decision, or it was made longer ago than `grace`, or it is on its way out, or somebody else has
        the item by now.
    """
    item = session.get(ReviewItem, item_id)
    if item is None:
        raise NotFound(f"there is no item {item_id}")
    refuse_forgotten(session, item_id)
    opinion = _opinion(session, item_id, reviewer_id)
    if opinion is not None and opinion.withdrawn_at is None:
        if opinion.decided_at <= now - grace:
            raise Conflict(_TOO_LATE)
        if opinion.kind == OpinionKind.calibration or item.state == ItemState.open:
            return _take_back(session, item, opinion, now, lease)
    verdict: Verdict | None = session.execute(
        select(Verdict).where(col(Verdict.item_id) == item_id).order_by(col(Verdict.id).desc()).limit(1)
    ).scalar_one_or_none()
    if (again := _undone(session, item, opinion or verdict, reviewer_id, now)) is not None:
        return again
    counting = verdict if verdict is not None and verdict.withdrawn_at is None else None
    _may_undo(item, counting, reviewer_id, now - grace)
    if opinion is not None and opinion.withdrawn_at is None:
        typed = _said(opinion)
    else:
        typed = _typed(session, item, counting) if counting else None
    claim = _reopen(session, item, reviewer_id, now, now + lease)
    review.withdraw(session, [item_id], reviewer_id, UNDONE, sinks, now, unsent=True)
    if counting is not None:  # an item that came back after a correction had a verdict before this one
        session.execute(
            update(Verdict)
            .where(
                col(Verdict.item_id) == item_id,
                col(Verdict.withdrawn_reason) == review.DECIDED_AGAIN,
                col(Verdict.withdrawn_at) == counting.decided_at,
            )
            .values(withdrawn_at=None, withdrawn_reason=None)
        )
    if opinion is not None:
        _withdraw(session, opinion, now)
    if typed is not None:
        review.save_draft(session, item_id, reviewer_id, typed, now)
    return claim


def seconds_left(session: Session, item_id: int, reviewer_id: int, now: datetime, grace: timedelta) -> int | None:
    """How long this reviewer can still undo what they decided about the item; None if they cannot."""
    item = session.get(ReviewItem, item_id)
    opinion = _opinion(session, item_id, reviewer_id)
    decided_at = None
    if opinion is not None and opinion.withdrawn_at is None:
        decided_at = opinion.decided_at
    elif item is not None and item.state != ItemState.open and item.reviewer_id == reviewer_id:
        decided_at = item.decided_at
    left = (decided_at + grace - now).total_seconds() if decided_at is not None else 0
    return int(left) if left >= 1 else None


def _may_undo(item: ReviewItem, verdict: Verdict | None, reviewer_id: int, since: datetime) -> None:
    if item.state == ItemState.open:
        raise Conflict(f"item {item.id} is not decided: there is nothing to undo")
    if (verdict.reviewer_id if verdict is not None else item.reviewer_id) != reviewer_id:
        raise Conflict("somebody else decided this item: send it back instead")
    if verdict is not None and verdict.settled_by is not None:
        raise Conflict("this item was settled together with another: undo that decision, or send this item back alone")
    if item.decided_at is None or item.decided_at <= since:
        raise Conflict(_TOO_LATE)


def _reopen(session: Session, item: ReviewItem, reviewer_id: int, now: datetime, until: datetime) -> Claim:
    """The item in the reviewer's hands, if it is still as it was read and in nobody else's."""
    fence = item.fence + 1
    reopened = (
        update(ReviewItem)
        .where(
            col(ReviewItem.id) == item.id,
            col(ReviewItem.state) == item.state,
            col(ReviewItem.fence) == item.fence,
            or_(col(ReviewItem.claimed_until).is_(None), col(ReviewItem.claimed_until) <= now),
        )
        .values(
            state=ItemState.open,
            reviewer_id=reviewer_id,
            claimed_at=now,
            claimed_until=until,
            fence=fence,
            reserved=False,
            decided_at=None,
            disputed=False,
            remark=None if item.state == ItemState.not_reviewable else item.remark,
        )
        .execution_options(synchronize_session=False)
    )
    if changed(session, reopened) == 0:
        raise Conflict("too late to undo: somebody else has this item now")
    return Claim(item.id or 0, fence, until)


def _take_back(session: Session, item: ReviewItem, opinion: Opinion, now: datetime, lease: timedelta) -> Claim:
    """An opinion that made no verdict: of a known item, or one of several on an item that is still open."""
    _withdraw(session, opinion, now)
    if opinion.kind == OpinionKind.calibration:
        known = calibration.renew(session, opinion.item_id, opinion.reviewer_id, now + lease)
        if known is None:
            raise Conflict(f"item {opinion.item_id} is not decided: there is nothing to undo")
        claim = Claim(known.item_id, known.fence, now + lease)
    else:
        claim = _reopen(session, item, opinion.reviewer_id, now, now + lease)
    if (typed := _said(opinion)) is not None:
        review.save_draft(session, opinion.item_id, opinion.reviewer_id, typed, now)
    return claim


def _undone(session: Session, item: ReviewItem, said: Opinion | Verdict | None, reviewer_id: int, now: datetime) -> Claim | None:
    """The item that an undo gave back already, while it is in the reviewer's hands; None otherwise."""
    if said is None or said.withdrawn_reason != UNDONE:
        return None
    if isinstance(said, Opinion) and said.kind == OpinionKind.calibration:
        known = calibration.held(session, reviewer_id, now, reserved=False)
        lease = session.get(Calibration, (item.id, reviewer_id)) if known and known.item_id == item.id else None
        return Claim(item.id or 0, lease.fence, lease.claimed_until) if lease and lease.claimed_until else None
    held = item.state == ItemState.open and item.reviewer_id == reviewer_id
    return (
        Claim(item.id or 0, item.fence, item.claimed_until) if held and item.claimed_until and item.claimed_until > now else None
    )


def _opinion(session: Session, item_id: int, reviewer_id: int) -> Opinion | None:
    """The last one that they gave of the item."""
    mine = select(Opinion).where(col(Opinion.item_id) == item_id, col(Opinion.reviewer_id) == reviewer_id)
    found: Opinion | None = session.execute(mine.order_by(col(Opinion.id).desc()).limit(1)).scalar_one_or_none()
    return found


def _withdraw(session: Session, opinion: Opinion, now: datetime) -> None:
    """They may say anew what they think: having given an opinion they would not be shown the item again."""
    session.execute(
        update(Opinion)
        .where(col(Opinion.id) == opinion.id, col(Opinion.withdrawn_at).is_(None))
        .values(withdrawn_at=now, withdrawn_reason=UNDONE)
        .execution_options(synchronize_session=False)
    )
    not_again = col(Skip.item_id) == opinion.item_id, col(Skip.reviewer_id) == opinion.reviewer_id
    session.execute(delete(Skip).where(*not_again, col(Skip.skipped_at).is_(None)))


def _said(opinion: Opinion) -> dict[str, Any] | None:
    """The opinion as the form had it; None where it was that the item cannot be reviewed, which the form does not hold."""
    if opinion.label == calibration.NOT_REVIEWABLE:
        return None
    return _fields(opinion) | {"article": str(opinion.article_id or ""), "question": opinion.question or ""}


def _fields(said: Verdict | Opinion) -> dict[str, Any]:
    return {
        "label": said.label,
        "intent": said.intent or "",
        "answer": said.answer or "",
        "causes": list(said.causes),
        "comment": said.comment or "",
    }


def _typed(session: Session, item: ReviewItem, verdict: Verdict) -> dict[str, Any]:
    """The decision as the form had it."""
    asked = session.get_one(Exchange, item.exchange_id).question.strip()
    version = session.execute(
        select(ArticleVersion).where(col(ArticleVersion.verdict_id) == verdict.id).limit(1)
    ).scalar_one_or_none()
    article, question = "", ""
    if version is not None:
        article = str(version.article_id) if version.version > 1 else ""
        question = version.question if version.question != asked else ""
    return _fields(verdict) | {"question": question, "article": article}
