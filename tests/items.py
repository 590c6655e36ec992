"""Builders of what reviewers see: a scored exchange that was chosen for review, and an article."""

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from sqlalchemy import select, update
from sqlmodel import col

from scoring.vectors import content_hash
from service import articles
from service.db import Database
from service.models import Conversation, Evidence, Example, Exchange, ItemState, ReviewItem, Turn
from service.review import learn_example

EARLY = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
_numbers = count(1)


def make_item(
    db: Database,
    question: str = "Can I return worn shoes?",
    answer: str = "We ship to all of Europe.",
    follow_up: str | None = "That is not what I asked",
    priority: float = 0.8,
    signal: str = "answer_relevance",
    note: str = "The answer seems to speak of something else than the question.",
    probability: float = 0.9,
    turns_around: int = 0,
    suggestions: dict[str, Any] | None = None,
    source: str = "standard",
    state: str = ItemState.open,
) -> int:
    """A scored exchange in its conversation, chosen for review."""
    n = next(_numbers)
    said = [("user" if i % 2 == 0 else "bot", f"before {i}") for i in range(turns_around)]
    asked = len(said)
    said += [("user", question), ("bot", answer)] + ([("user", follow_up)] if follow_up else [])
    said += [("bot" if i % 2 == 0 else "user", f"later {i}") for i in range(turns_around)]
    with db.write() as session:
        conversation = Conversation(
            source=source, external_id=f"c{n}", channel="web", started_at=EARLY, received_at=EARLY, details={}
        )
        session.add(conversation)
        session.flush()
        for place, (role, text) in enumerate(said):
            session.add(
                Turn(
                    conversation_id=conversation.id,
                    external_id=f"t{place}",
                    role=role,
                    text=text,
                    at=EARLY + timedelta(seconds=place),
                    position=place,
                    received_at=EARLY,
                    details={},
                )
            )
        exchange = Exchange(
            conversation_id=conversation.id,
            source=source,
            turn_id=f"t{asked + 1}",
            turn_ids=[f"t{asked + 1}"],
            question=question,
            answer=answer,
            question_hash=n.to_bytes(16, "big"),
            intent=None,
            asked_at=EARLY,
            priority=priority,
            uncertainty=0.1,
            because=note,
            versions={},
            created_at=EARLY,
            scored_at=EARLY,
            reviewed=True,
        )
        session.add(exchange)
        session.flush()
        exchange.cluster_id = exchange.id
        session.add(
            Evidence(
                exchange_id=exchange.id,
                name=signal,
                value=probability,
                probability=probability,
                turn_ids=[f"t{asked}", f"t{asked + 1}"],
                note=note,
                detail={"cosine": 0.12},
            )
        )
        item = ReviewItem(
            exchange_id=exchange.id,
            cluster_id=exchange.id,
            state=state,
            priority=priority,
            strategy="value",
            propensity=1.0,
            reason="chosen because it is likely wrong",
            suggestions=suggestions or {},
            source=source,
            channel="web",
            created_at=EARLY,
        )
        session.add(item)
        session.flush()
        assert item.id is not None
        return item.id


def add_look_alikes(db: Database, exchange_id: int, count: int) -> list[int]:
    """So many exchanges of the same conversation with the same question and answer, of its cluster, in no queue."""
    with db.write() as session:
        like = session.get_one(Exchange, exchange_id)
        same = {name: value for name, value in like.model_dump().items() if name not in ("id", "turn_id", "reviewed", "priority")}
        added = [Exchange(**same, turn_id=f"alike{place}", reviewed=False, priority=0.5 - place / 1000) for place in range(count)]
        session.add_all(added)
        session.flush()
        return [one.id or 0 for one in added]


def make_article(db: Database, question: str = "Which shoes can I return?", answer: str = "Unworn ones.") -> int:
    with db.write() as session:
        article = articles.save_article(session, articles.Content(question, answer), ["folder"], EARLY, origin="import")
        assert article.id is not None
        return article.id


def make_slip(db: Database, question: str = "Are you open on Sundays?", source: str = "standard") -> int:
    """A seed labelled "refund" that looks like one of "hours", as a fit notes it; the example's id."""
    like = {"When do you open?": "hours", "Are you open today?": "hours", "Send my money back.": "refund"}
    with db.write() as session:
        for text, intent in {**like, question: "refund"}.items():
            learn_example(session, source, text, intent, EARLY)
        slip = select(col(Example.id)).where(col(Example.source) == source, col(Example.text) == question)
        label_id = session.execute(slip).scalar_one() or 0
        near = [content_hash(text).hex() for text in like]
        session.execute(update(Example).where(col(Example.id) == label_id).values(suspected="hours", suspicion=0.82, near=near))
        return label_id


def let_the_lease_pass(db: Database, item_id: int) -> None:
    with db.write() as session:
        session.execute(update(ReviewItem).where(col(ReviewItem.id) == item_id).values(claimed_until=EARLY))
