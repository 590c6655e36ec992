"""What reviewers wrote about forgotten exchanges goes: it quotes them. What they decided stays."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select, update
from sqlmodel import Session, col

from service.db import chunks
from service.models import Calibration, Comment, Draft, ItemState, Opinion, ReviewItem, Verdict

REMARK = "The conversation is forgotten: its words are gone."
_REASON = "Its conversation is forgotten."


def forget_reviews(session: Session, exchange_ids: Sequence[int], now: datetime) -> list[int]:
    """Empty the exchanges' items and what hangs on them; open ones leave the queue. Ids of their verdicts."""
    verdict_ids: list[int] = []
    for part in chunks(exchange_ids):
        held = select(col(ReviewItem.id)).where(col(ReviewItem.exchange_id).in_(part)).order_by(col(ReviewItem.id))
        item_ids = list(session.execute(held.with_for_update()).scalars())
        for some in chunks(item_ids):
            _empty(session, some, now)
            found = select(col(Verdict.id)).where(col(Verdict.item_id).in_(some))
            verdict_ids += session.execute(found).scalars()
    return verdict_ids


def _empty(session: Session, item_ids: Sequence[int], now: datetime) -> None:
    def change(model: type[Any], *where: Any, **values: Any) -> None:
        of = col(ReviewItem.id) if model is ReviewItem else model.item_id
        session.execute(
            update(model).where(of.in_(item_ids), *where).values(**values).execution_options(synchronize_session=False)
        )

    opens = col(ReviewItem.state) == ItemState.open
    change(ReviewItem, reason=_REASON, suggestions={}, remark=REMARK)
    change(
        ReviewItem, opens, state=ItemState.not_reviewable, decided_at=now, claimed_until=None, reserved=False, assigned_to=None
    )  # fmt: skip
    change(Verdict, answer=None, comment=None, withdrawn_reason=None)
    change(Opinion, answer=None, question=None, comment=None, withdrawn_reason=None)
    for model in (Draft, Comment):
        session.execute(delete(model).where(model.item_id.in_(item_ids)))  # type: ignore[attr-defined]
    # Known items stay known, for what was said of them counts; whoever has one in their hands unanswered loses it.
    answered = select(col(Opinion.id)).where(
        col(Opinion.item_id) == col(Calibration.item_id), col(Opinion.reviewer_id) == col(Calibration.reviewer_id)
    )
    session.execute(
        delete(Calibration)
        .where(col(Calibration.item_id).in_(item_ids), ~answered.exists())
        .execution_options(synchronize_session=False)
    )
