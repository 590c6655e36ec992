"""Amending: a decided item gets another verdict, the one before stays in its history."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlmodel import Session, col

from service import calibration, review, settle
from service.claims import reason_of
from service.db import changed
from service.errors import Conflict, Forbidden, NotFound
from service.forgetting.forget import is_forgotten, refuse_forgotten
from service.models import ItemState, Reviewer, ReviewItem, Verdict
from service.review import Decision


def current(session: Session, item_id: int) -> Verdict | None:
    """The verdict that counts."""
    counts = select(Verdict).where(col(Verdict.item_id) == item_id, col(Verdict.withdrawn_at).is_(None))
    found: Verdict | None = session.execute(counts.order_by(col(Verdict.id).desc()).limit(1)).scalar_one_or_none()
    return found


def may_amend(session: Session, item: ReviewItem, reviewer_id: int) -> Verdict | None:
    """The verdict that this reviewer may amend: their own, or as an admin anybody's; None where there is none."""
    if (
        item.state != ItemState.done
        or is_forgotten(session, item.id or 0)
        or calibration.veil(session, item, reviewer_id) is not None
    ):
        return None
    verdict = current(session, item.id or 0)
    if verdict is None or verdict.reviewer_id == reviewer_id:
        return verdict
    is_admin = session.execute(select(col(Reviewer.is_admin)).where(col(Reviewer.id) == reviewer_id)).scalar()
    return verdict if is_admin else None


def amend(
    session: Session, item_id: int, verdict_id: int, reviewer_id: int, decision: Decision, reason: str, sinks: Sequence[str],
    now: datetime, grace: timedelta = timedelta(0),
) -> Verdict:  # fmt: skip
    """The new verdict; what the old one did to articles and examples is taken back. The same twice changes nothing.

    Raises
    ------
    Forbidden
        It is somebody else's verdict.
    Conflict
        `verdict_id` does not count any more: look at the item again.
    Invalid
        There is no reason, or the decision contradicts itself.
    Gone
        The item's conversation is forgotten.
    """
    item = session.get(ReviewItem, item_id)
    if item is None:
        raise NotFound(f"there is no item {item_id}")
    refuse_forgotten(session, item_id)
    why = reason_of(reason)
    review.check(decision)
    counts = current(session, item_id)
    if counts is not None and counts.id != verdict_id and _is_repeated(session, counts, verdict_id, reviewer_id, why, decision):
        return counts
    if counts is None or counts.id != verdict_id:
        raise Conflict("the verdict was changed meanwhile: look at the item again")
    if may_amend(session, item, reviewer_id) is None:
        raise Forbidden("only the reviewer who decided, or an admin, can amend a verdict: send the item back instead")
    review.withdraw(session, [item_id], reviewer_id, why, sinks, now)
    fence = item.fence + 1
    mine = (
        update(ReviewItem)
        .where(col(ReviewItem.id) == item_id, col(ReviewItem.state) == ItemState.done, col(ReviewItem.fence) == item.fence)
        .values(state=ItemState.open, reviewer_id=reviewer_id, claimed_at=None, claimed_until=now, fence=fence, remark=why)
        .execution_options(synchronize_session=False)
    )
    if changed(session, mine) == 0:
        raise Conflict("the item was changed meanwhile: look at it again")
    if not decision.settles and settle.is_failing(counts.label) == settle.is_failing(decision.label):
        decision = replace(decision, settles=tuple(counts.settles or ()))  # what it settled is settled anew
    return review.decide(session, item_id, reviewer_id, fence, decision, sinks, now, grace)


def _is_repeated(session: Session, counts: Verdict, verdict_id: int, reviewer_id: int, why: str, decision: Decision) -> bool:
    """A double click: the verdict that counts is what this form made of that one."""
    old = session.get(Verdict, verdict_id)
    made_now = old is not None and old.withdrawn_reason == why and old.withdrawn_at == counts.decided_at
    same = (counts.label, counts.intent, counts.answer) == (decision.label, decision.intent, decision.answer)
    return made_now and same and counts.reviewer_id == reviewer_id
