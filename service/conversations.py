"""A conversation with all that was found in it, and its turns in their order."""

from dataclasses import dataclass

from sqlalchemy import select
from sqlmodel import Session, col

from service import calibration
from service.errors import NotFound
from service.models import Conversation, Evidence, Exchange, Feedback, ReviewItem, Turn


@dataclass(frozen=True, slots=True)
class Whole:
    """A conversation with all that was found in it."""

    conversation: Conversation
    turns: list[Turn]
    feedback: list[Feedback]
    exchanges: list[tuple[Exchange, ReviewItem | None]]
    evidence: dict[int, list[Evidence]]


def told(session: Session, conversation_id: int, reviewer_id: int | None = None) -> Whole:
    """The whole conversation, its items as this reviewer is to see them.

    Raises
    ------
    NotFound
        There is no such conversation.
    """
    conversation = session.get(Conversation, conversation_id)
    if conversation is None:
        raise NotFound(f"there is no conversation {conversation_id}")
    exchanges = session.execute(
        select(Exchange, ReviewItem)
        .join(ReviewItem, col(ReviewItem.exchange_id) == col(Exchange.id), isouter=True)
        .where(col(Exchange.conversation_id) == conversation_id)
    ).all()
    evidence: dict[int, list[Evidence]] = {}
    for one in session.execute(
        select(Evidence)
        .join(Exchange, col(Exchange.id) == col(Evidence.exchange_id))
        .where(col(Exchange.conversation_id) == conversation_id)
        .order_by(col(Evidence.probability).desc())
    ).scalars():
        evidence.setdefault(one.exchange_id, []).append(one)
    shown = {item.id: item for item in calibration.veiled(session, [item for _, item in exchanges if item], reviewer_id)}
    with_items = [(exchange, shown[item.id] if item else None) for exchange, item in exchanges]
    turns, feedback = turns_of(session, conversation_id), feedback_of(session, conversation_id)
    return Whole(conversation, turns, feedback, with_items, evidence)


def turns_of(session: Session, conversation_id: int) -> list[Turn]:
    """The conversation's turns as they were said: by place where a file told it, else by their times, else as received."""
    turns = list(session.execute(select(Turn).where(col(Turn.conversation_id) == conversation_id)).scalars())
    return in_order(turns)


def in_order(turns: list[Turn]) -> list[Turn]:
    """Places are trusted over times (a transcript's order is what was shown); without them, times, then arrival."""
    if all(turn.position is not None for turn in turns):
        return sorted(turns, key=lambda turn: (turn.position or 0, turn.id or 0))
    return sorted(turns, key=lambda turn: (turn.at or turn.received_at, turn.position or 0, turn.id or 0))


def feedback_of(session: Session, conversation_id: int) -> list[Feedback]:
    """The conversation's ratings that were not taken back, as received."""
    given = select(Feedback).where(col(Feedback.conversation_id) == conversation_id, ~col(Feedback.withdrawn))
    return list(session.execute(given.order_by(col(Feedback.id))).scalars())
