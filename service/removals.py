"""A turn that its platform deleted: its text leaves what was made of it too, in the transaction that empties the turn.

What people decided stays: verdicts, their comments, and articles made from a correction.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select, update
from sqlmodel import Session, col

from scoring.vectors import content_hash
from service.db import chunks
from service.models import Conversation, Evidence, Example, Exchange, ItemState, ReviewItem, Vector, Verdict

REMARK = "The platform removed what this item was about."


@dataclass(frozen=True, slots=True)
class Removed:
    """A turn by the platform's id, and the text that it had."""

    conversation_id: int
    turn_id: str
    text: str


def erase(session: Session, removed: Sequence[Removed], now: datetime) -> None:
    """Take these texts out of exchanges, evidence, vectors and labelled examples.

    The turns' own conversations are due at once by whoever removed them; others whose evidence quoted them become due here.
    """
    for conversation_id in sorted({one.conversation_id for one in removed}):
        mine = [one for one in removed if one.conversation_id == conversation_id]
        found = select(Exchange).where(col(Exchange.conversation_id) == conversation_id).order_by(col(Exchange.id))
        exchanges = session.execute(found).scalars().all()
        said = {one.text for one in mine} | {text for e in exchanges for text in (e.question, e.answer)}
        touched = [e for e in exchanges if any(one.turn_id in e.turn_ids or one.text in e.question for one in mine)]
        ids = [e.id or 0 for e in exchanges]
        for part in chunks(ids):  # notes quote: all are written anew when the conversation is scored again
            session.execute(delete(Evidence).where(col(Evidence.exchange_id).in_(part)))
        _forget_quotes(session, [e.id or 0 for e in touched], now)
        for exchange in touched:
            _empty(session, exchange, mine, now)
        forget_vectors(session, said)


def _empty(session: Session, exchange: Exchange, removed: Sequence[Removed], now: datetime) -> None:
    """Nobody has seen it: it goes, and scoring makes it anew. Else it stays without these texts, for its item and verdict."""
    if not exchange.reviewed:
        session.execute(delete(Exchange).where(col(Exchange.id) == exchange.id))
        return
    question, answer = exchange.question, exchange.answer
    for one in removed:
        question, answer = _without(question, one.text), _without(answer, one.text)
    item = col(ReviewItem.exchange_id) == exchange.id
    judged = select(col(Verdict.id)).join(ReviewItem, col(ReviewItem.id) == col(Verdict.item_id)).where(item)
    if question != exchange.question:
        session.execute(delete(Example).where(col(Example.verdict_id).in_(judged)))
    row: dict[str, Any] = {"question": question, "answer": answer, "question_hash": content_hash(question)}
    session.execute(update(Exchange).where(col(Exchange.id) == exchange.id).values(row))
    if not question.strip() or not answer.strip():
        closed = {"state": ItemState.not_reviewable, "remark": REMARK, "decided_at": now, "claimed_until": None}
        session.execute(update(ReviewItem).where(item, col(ReviewItem.state) == ItemState.open).values(closed))


def _without(joined: str, text: str) -> str:
    """Texts of several turns are joined by line breaks."""
    if not text:
        return joined
    return f"\n{joined}\n".replace(f"\n{text}\n", "\n").removeprefix("\n").removesuffix("\n")


def _forget_quotes(session: Session, exchange_ids: Sequence[int], now: datetime) -> None:
    """Evidence of other conversations that compared an answer with one of these."""
    for part in chunks(exchange_ids):
        quoting = (
            select(col(Evidence.id), col(Exchange.conversation_id))
            .join(Exchange, col(Exchange.id) == col(Evidence.exchange_id))
            .where(col(Evidence.other_id).in_(part))
        )
        rows = session.execute(quoting).all()
        for some in chunks(rows):
            session.execute(delete(Evidence).where(col(Evidence.id).in_([evidence_id for evidence_id, _ in some])))
            due = update(Conversation).where(col(Conversation.id).in_(sorted({conversation for _, conversation in some})))
            session.execute(due.values(due_at=now, revision=col(Conversation.revision) + 1))


def forget_vectors(session: Session, texts: set[str]) -> None:
    """Their vectors, unless another conversation asked the very same; whoever needs one of them encodes it again."""
    for part in chunks(sorted({content_hash(text) for text in texts})):
        asked = select(col(Exchange.question_hash)).where(col(Exchange.question_hash).in_(part))
        session.execute(delete(Vector).where(col(Vector.content_hash).in_(part), col(Vector.content_hash).not_in(asked)))
