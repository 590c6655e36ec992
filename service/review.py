"""Verdicts: decide an item, with what that does to articles and examples, or send it back. Each is one transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select, update
from sqlmodel import Session, col

from scoring.vectors import content_hash
from service import articles
from service.claims import hold, reason_of
from service.db import changed, insert_into
from service.errors import Conflict, Invalid, NotFound
from service.models import (
    Article,
    ArticleStatus,
    Draft,
    Example,
    Exchange,
    ItemState,
    ReviewItem,
    RootCause,
    Verdict,
    VerdictLabel,
)

MOST_TEXT = 20_000


@dataclass(frozen=True, slots=True)
class Decision:
    """What a reviewer decided. `answer` makes a new article, or the next version of article `article_id`."""

    label: VerdictLabel
    intent: str | None = None
    answer: str | None = None
    question: str | None = None
    """The article's question; the user's own where the reviewer gave none."""
    article_id: int | None = None
    causes: tuple[RootCause, ...] = ()
    comment: str | None = None


def decide(
    session: Session,
    item_id: int,
    reviewer_id: int,
    fence: int,
    decision: Decision,
    sinks: Sequence[str],
    now: datetime,
) -> Verdict:
    """The verdict, its correction as an article, and one publication per sink: together or not at all.

    Deciding the same again under the same fence gives the verdict that is there (a double click, a lost answer).

    Raises
    ------
    LeaseLost
        The item is no longer this reviewer's.
    Conflict
        It was decided under this fence already, but otherwise.
    Invalid
        The decision contradicts itself or is too long.
    """
    _check(decision)
    same: Verdict | None = session.execute(
        select(Verdict).where(
            col(Verdict.item_id) == item_id, col(Verdict.fence) == fence, col(Verdict.reviewer_id) == reviewer_id
        )
    ).scalar_one_or_none()
    if same is not None and same.withdrawn_at is None:
        if not _says(same, decision):
            raise Conflict("you decided this item already, otherwise: send it back to change your verdict")
        return same
    hold(session, item_id, reviewer_id, fence, {"state": ItemState.done, "claimed_until": None, "decided_at": now})
    verdict = Verdict(
        item_id=item_id,
        reviewer_id=reviewer_id,
        fence=fence,
        label=decision.label,
        intent=decision.intent,
        answer=decision.answer,
        causes=[str(cause) for cause in decision.causes],
        comment=decision.comment,
        decided_at=now,
    )
    session.add(verdict)
    session.flush()
    assert verdict.id is not None
    exchange = session.execute(
        select(Exchange).join(ReviewItem, col(ReviewItem.exchange_id) == col(Exchange.id)).where(col(ReviewItem.id) == item_id)
    ).scalar_one()
    if decision.answer:
        _correct(session, exchange, decision, verdict.id, reviewer_id, sinks, now)
    if decision.intent and exchange.question.strip():
        learn_example(session, exchange.source, exchange.question, decision.intent, now, verdict.id)
    session.execute(delete(Draft).where(col(Draft.item_id) == item_id, col(Draft.reviewer_id) == reviewer_id))
    return verdict


def _says(verdict: Verdict, decision: Decision) -> bool:
    told = (verdict.label, verdict.intent, verdict.answer, verdict.comment, sorted(verdict.causes))
    return told == (
        decision.label,
        decision.intent,
        decision.answer,
        decision.comment,
        sorted(str(cause) for cause in decision.causes),
    )


def _correct(
    session: Session,
    exchange: Exchange,
    decision: Decision,
    verdict_id: int,
    reviewer_id: int,
    sinks: Sequence[str],
    now: datetime,
) -> None:
    assert decision.answer is not None
    asked = exchange.question.strip()
    question = (decision.question or "").strip() or asked
    variants: tuple[str, ...] = (asked,) if asked and asked != question else ()
    intent = decision.intent  # never a predicted one: it may be just what went wrong
    if decision.article_id is not None:
        article = session.get(Article, decision.article_id)
        if article is None:
            raise NotFound(f"article_id: there is no article {decision.article_id}")
        question = (decision.question or "").strip() or article.question
        known = dict.fromkeys((*article.variants, *((asked,) if asked and asked != question else ())))
        variants, intent = tuple(known), article.intent or intent
    articles.save_article(
        session,
        articles.Content(question, decision.answer.strip(), variants, intent, ArticleStatus.active),
        sinks,
        now,
        origin="verdict",
        article_id=decision.article_id,
        verdict_id=verdict_id,
        reviewer_id=reviewer_id,
    )


def learn_example(session: Session, source: str, text: str, intent: str, now: datetime, verdict_id: int | None = None) -> None:
    """A labelled question for our own intent model; of seeds and of verdicts each, the latest label of a text counts."""
    insert = insert_into(session, Example).values(
        source=source,
        content_hash=content_hash(text),
        text=text,
        intent=intent,
        by_verdict=verdict_id is not None,
        verdict_id=verdict_id,
        added_at=now,
    )
    session.execute(
        insert.on_conflict_do_update(
            index_elements=["source", "content_hash", "by_verdict"],
            set_={
                **{name: insert.excluded[name] for name in ("intent", "verdict_id", "added_at")},
                "suspected": None,
                "suspicion": None,
            },
            where=(col(Example.intent) != insert.excluded.intent)
            | col(Example.verdict_id).is_distinct_from(insert.excluded.verdict_id),
        )
    )


def save_draft(session: Session, item_id: int, reviewer_id: int, content: Mapping[str, Any], now: datetime) -> None:
    """Keep what a reviewer typed, whether or not they still hold the item."""
    if session.get(ReviewItem, item_id) is None:
        raise NotFound(f"there is no item {item_id}")
    kept = {key: value[:MOST_TEXT] if isinstance(value, str) else value for key, value in content.items()}
    insert = insert_into(session, Draft).values(item_id=item_id, reviewer_id=reviewer_id, content=kept, saved_at=now)
    session.execute(
        insert.on_conflict_do_update(
            index_elements=["item_id", "reviewer_id"], set_={"content": insert.excluded.content, "saved_at": now}
        )
    )


def send_back(session: Session, item_id: int, reviewer_id: int, reason: str, sinks: Sequence[str], now: datetime) -> None:
    """Reopen a decided item for another look: its verdict is withdrawn and what it did to articles is taken back.

    Raises
    ------
    Conflict
        The item is not decided.
    """
    reopened = (
        update(ReviewItem)
        .where(col(ReviewItem.id) == item_id, col(ReviewItem.state).in_([ItemState.done, ItemState.not_reviewable]))
        .values(state=ItemState.open, reviewer_id=None, claimed_until=None, decided_at=None, remark=reason_of(reason))
    )
    if changed(session, reopened) == 0:
        raise Conflict(f"item {item_id} is not decided: there is nothing to send back")
    withdrawn = session.execute(
        update(Verdict)
        .where(col(Verdict.item_id) == item_id, col(Verdict.withdrawn_at).is_(None))
        .values(withdrawn_at=now, withdrawn_reason=reason.strip())
        .returning(col(Verdict.id))
    )
    for verdict_id in withdrawn.scalars().all():
        session.execute(delete(Example).where(col(Example.verdict_id) == verdict_id))
        articles.withdraw(session, verdict_id, sinks, now, reviewer_id)


def _check(decision: Decision) -> None:
    for name in ("answer", "comment", "question", "intent"):
        value = getattr(decision, name)
        if value is not None and len(value) > MOST_TEXT:
            raise Invalid(f"{name}: at most {MOST_TEXT} characters")
    if decision.article_id is not None and not (decision.answer or "").strip():
        raise Invalid("answer: changing an article needs the corrected answer")
    if decision.label == VerdictLabel.good and decision.causes:
        raise Invalid("causes: a good answer has no cause of failure")
