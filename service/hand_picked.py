"""Items that a person asks for: any scored exchange, put into the queue by hand."""

from datetime import datetime

from sqlalchemy import select, update
from sqlmodel import Session, col

from service.db import insert_into
from service.errors import Gone, Invalid, NotFound
from service.filters import repeat_exchange
from service.models import Exchange, ItemState, Reviewer, ReviewItem

BY_HAND = "by_hand"
_MOST_REASON = 500


def hand_pick(session: Session, exchange_id: int, reviewer_id: int, reason: str, now: datetime) -> int:
    """The id of the exchange's item: a new one, or the one that it has already, which stays as it is.

    Like every item that chance did not draw, it counts for itself alone in estimates (propensity 1).

    Raises
    ------
    NotFound
        There is no such exchange.
    Invalid
        The reason is too long.
    Gone
        Its conversation is forgotten.
    """
    if len(reason) > _MOST_REASON:
        raise Invalid(f"reason: at most {_MOST_REASON} characters")
    exchange = session.get(Exchange, exchange_id)
    if exchange is None:
        raise NotFound(f"there is no exchange {exchange_id}")
    if exchange.forgotten:
        raise Gone("this conversation was forgotten: there is nothing left to review")
    name = session.execute(select(col(Reviewer.name)).where(col(Reviewer.id) == reviewer_id)).scalar_one()
    said = f"chosen by {name}" + (f": {reason.strip()}" if reason.strip() else "")
    added = session.execute(
        insert_into(session, ReviewItem)
        .values(
            exchange_id=exchange_id,
            cluster_id=exchange.cluster_id,
            state=ItemState.open,
            priority=exchange.priority,
            strategy=BY_HAND,
            propensity=1.0,
            reason=said,
            suggestions={},
            created_at=now,
            fence=0,
        )
        .on_conflict_do_nothing(index_elements=["exchange_id"])
        .returning(col(ReviewItem.id))
    ).scalar_one_or_none()
    if added is not None:
        session.execute(update(Exchange).where(col(Exchange.id) == exchange_id).values(reviewed=True))
        repeat_exchange(session, [exchange_id])
        return int(added)
    known = session.execute(select(col(ReviewItem.id)).where(col(ReviewItem.exchange_id) == exchange_id)).scalar_one()
    return int(known)
