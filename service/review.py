"""Verdicts: decide an item, with what that does to articles and examples, or send it back. Each is one transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, select, update
from sqlmodel import Session, col

from scoring.vectors import content_hash
from service import articles, calibration, settle
from service.claims import hold, reason_of
from service.db import changed, insert_into
from service.errors import Conflict, Invalid, NotFound
from service.forgetting.forget import refuse_forgotten
from service.models import (
    Article,
    ArticleStatus,
    Draft,
    Example,
    Exchange,
    ItemState,
    Opinion,
    OpinionKind,
    ReviewItem,
    RootCause,
    SecondLook,
    Skip,
    Verdict,
    VerdictLabel,
)

MOST_TEXT = 20_000
DECIDED_AGAIN = "decided again"


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
    settles: tuple[int, ...] = ()
    """Look-alike exchanges that get the same verdict (settle.py)."""


def decide(
    session: Session,
    item_id: int,
    reviewer_id: int,
    fence: int,
    decision: Decision,
    sinks: Sequence[str],
    now: datetime,
    grace: timedelta = timedelta(),
) -> Verdict:
    """The verdict, its correction as an article, and one publication per sink, due after the time in which the decision can
    be undone: together or not at all.

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
    check(decision)
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
        settles=sorted(set(decision.settles)) or None,
        decided_at=now,
    )
    # An item that reopened because its question was flagged again still has the verdict from before.
    session.execute(
        update(Verdict)
        .where(col(Verdict.item_id) == item_id, col(Verdict.withdrawn_at).is_(None))
        .values(withdrawn_at=now, withdrawn_reason=DECIDED_AGAIN)
    )
    session.add(verdict)
    session.flush()
    assert verdict.id is not None
    exchange = session.execute(
        select(Exchange).join(ReviewItem, col(ReviewItem.exchange_id) == col(Exchange.id)).where(col(ReviewItem.id) == item_id)
    ).scalar_one()
    settled = [(exchange, verdict.id), *settle.settle(session, verdict, exchange, now)]
    if decision.answer:
        _correct(session, [one for one, _ in settled], decision, verdict.id, reviewer_id, sinks, now, now + grace)
    if decision.intent:  # a text once, the item's own first: sending a settled one back must not unlearn it
        for text, (source, of) in {one.question: (one.source, key) for one, key in reversed(settled)}.items():
            if text.strip():
                learn_example(session, source, text, decision.intent, now, of)
    session.execute(delete(Draft).where(col(Draft.item_id) == item_id, col(Draft.reviewer_id) == reviewer_id))
    return verdict


def _says(verdict: Verdict, decision: Decision) -> bool:
    told = (verdict.label, verdict.intent, verdict.answer, verdict.comment, sorted(verdict.causes), verdict.settles or [])
    return told == (
        decision.label,
        decision.intent,
        decision.answer,
        decision.comment,
        sorted(str(cause) for cause in decision.causes),
        sorted(set(decision.settles)),
    )


def _correct(
    session: Session,
    exchanges: Sequence[Exchange],
    decision: Decision,
    verdict_id: int,
    reviewer_id: int,
    sinks: Sequence[str],
    now: datetime,
    due_at: datetime,
) -> None:
    """The correction as an article; the questions of all the exchanges, of which the first is the item's, become variants."""
    assert decision.answer is not None
    asked = [one.question.strip() for one in exchanges if one.question.strip()]
    question = (decision.question or "").strip() or (asked[0] if exchanges[0].question.strip() else "")
    known: Sequence[str] = ()
    intent = decision.intent  # never a predicted one: it may be just what went wrong
    if decision.article_id is not None:
        article = session.get(Article, decision.article_id)
        if article is None:
            raise NotFound(f"article_id: there is no article {decision.article_id}")
        question = (decision.question or "").strip() or article.question
        known, intent = article.variants, article.intent or intent
    articles.save_article(
        session,
        articles.Content(
            question, decision.answer.strip(), settle.variants(question, known, asked), intent, ArticleStatus.active
        ),
        sinks,
        now,
        origin="verdict",
        article_id=decision.article_id,
        verdict_id=verdict_id,
        reviewer_id=reviewer_id,
        due_at=due_at,
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
    new = insert.on_conflict_do_update(
        index_elements=["source", "content_hash", "by_verdict"],
        set_={
            **{name: insert.excluded[name] for name in ("intent", "verdict_id", "added_at")},
            **dict.fromkeys(("suspected", "suspicion", "near")),
        },
        where=(col(Example.intent) != insert.excluded.intent)
        | col(Example.verdict_id).is_distinct_from(insert.excluded.verdict_id),
    )
    if changed(session, new):
        _end_keeps(session, source, text, intent, now, by_seed=verdict_id is None)


def _end_keeps(session: Session, source: str, text: str, intent: str, now: datetime, by_seed: bool) -> None:
    """The text has this label now: that a reviewer kept another one counts no more. A seed changes no verdict's label."""
    same = [col(Example.source) == source, col(Example.content_hash) == content_hash(text), col(Example.by_verdict)]
    kept = update(SecondLook).where(
        col(SecondLook.source) == source,
        col(SecondLook.content_hash) == content_hash(text),
        col(SecondLook.intent) != intent,
        col(SecondLook.ended_at).is_(None),
    )
    if by_seed:
        kept = kept.where(~select(col(Example.id)).where(*same).exists())
    session.execute(kept.values(ended_at=now).execution_options(synchronize_session=False))


def save_draft(session: Session, item_id: int, reviewer_id: int, content: Mapping[str, Any], now: datetime) -> None:
    """Keep what a reviewer typed, whether or not they still hold the item.

    Raises
    ------
    Gone
        Its conversation is forgotten: what is typed quotes it.
    """
    if session.get(ReviewItem, item_id) is None:
        raise NotFound(f"there is no item {item_id}")
    refuse_forgotten(session, item_id)
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
    Gone
        Its conversation is forgotten: there is nothing to look at.
    """
    refuse_forgotten(session, item_id)
    if calibration.take_back(session, item_id, reviewer_id, now):
        return  # what they said of a known item is all that they may take back: its verdict is not theirs
    reopened = (
        update(ReviewItem)
        .where(col(ReviewItem.id) == item_id, col(ReviewItem.state).in_([ItemState.done, ItemState.not_reviewable]))
        .values(
            state=ItemState.open,
            reviewer_id=None,
            claimed_until=None,
            decided_at=None,
            disputed=False,
            remark=reason_of(reason),
        )
    )
    if changed(session, reopened) == 0:
        raise Conflict(f"item {item_id} is not decided: there is nothing to send back")
    _ask_again(session, item_id, reason, now)
    withdraw(session, [item_id], reviewer_id, reason, sinks, now)


def _ask_again(session: Session, item_id: int, reason: str, now: datetime) -> None:
    """Those who gave their opinion apart from each other may give it anew."""
    mine = [col(Opinion.item_id) == item_id, col(Opinion.kind) == OpinionKind.review, col(Opinion.withdrawn_at).is_(None)]
    session.execute(update(Opinion).where(*mine).values(withdrawn_at=now, withdrawn_reason=reason.strip()))
    session.execute(delete(Skip).where(col(Skip.item_id) == item_id, col(Skip.skipped_at).is_(None)))


def withdraw(
    session: Session,
    item_ids: Sequence[int],
    reviewer_id: int,
    reason: str,
    sinks: Sequence[str],
    now: datetime,
    unsent: bool = False,
) -> None:
    """The verdicts that count for these items do not count any more; what they did to articles, examples and look-alikes is
    taken back. A verdict that another one settled takes back its question alone.

    `unsent`: no knowledge base knows of it yet, and none is told.
    """
    withdrawn = session.execute(
        update(Verdict)
        .where(col(Verdict.item_id).in_(item_ids), col(Verdict.withdrawn_at).is_(None))
        .values(withdrawn_at=now, withdrawn_reason=reason.strip())
        .returning(col(Verdict.id), col(Verdict.item_id), col(Verdict.settled_by))
        .execution_options(synchronize_session=False)
    ).all()
    settle.take_back(session, [row.id for row in withdrawn], reason.strip(), now)
    for row in withdrawn:
        session.execute(delete(Example).where(col(Example.verdict_id) == row.id))
        if unsent:
            articles.unmake(session, row.id, now)
            continue
        if row.settled_by is None:
            articles.withdraw(session, row.id, sinks, now, reviewer_id)
            continue
        gone = settle.question_of(session, row.item_id)
        if gone not in settle.questions_of(session, row.settled_by):
            articles.forget_variant(session, row.settled_by, gone, sinks, now, reviewer_id)


def check(decision: Decision) -> None:
    """Refuse what contradicts itself or is too long.

    Raises
    ------
    Invalid
        It names the field.
    """
    for name in ("answer", "comment", "question", "intent"):
        value = getattr(decision, name)
        if value is not None and len(value) > MOST_TEXT:
            raise Invalid(f"{name}: at most {MOST_TEXT} characters")
    if decision.article_id is not None and not (decision.answer or "").strip():
        raise Invalid("answer: changing an article needs the corrected answer")
    if decision.label == VerdictLabel.good and decision.causes:
        raise Invalid("causes: a good answer has no cause of failure")
