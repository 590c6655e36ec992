"""The queue: claim an item, keep it alive, decide, or hand it back. Every change of state is one conditional statement."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, or_, select, update
from sqlmodel import Session, col

from scoring.vectors import content_hash
from service import articles
from service.db import changed, insert_into
from service.errors import Conflict, Invalid, LeaseLost, NotFound
from service.models import (
    Article,
    ArticleStatus,
    Draft,
    Evidence,
    Example,
    Exchange,
    ItemState,
    ReviewItem,
    RootCause,
    Skip,
    Verdict,
    VerdictLabel,
)

MOST_TEXT = 20_000
CHANCE_EVERY = 5
"""Of so many items that a reviewer gets, one is the oldest that pure chance drew."""


@dataclass(frozen=True, slots=True)
class Claim:
    """An item that is ours until `until`. `fence` proves it: every later step names it."""

    item_id: int
    fence: int
    until: datetime


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


@dataclass(frozen=True, slots=True)
class QueueFilter:
    """Which items; None means any."""

    signal: str | None = None
    source: str | None = None
    strategy: str | None = None


# --- claiming -----------------------------------------------------------------------------------------------------


def claim_next(
    session: Session, reviewer_id: int, now: datetime, lease: timedelta, only: QueueFilter | None = None
) -> Claim | None:
    """The item this reviewer holds already, or else the best one that is free; None where the queue has none for them.

    Every fifth is the oldest item that pure chance drew, where one waits: those of low priority would wait for ever, and the
    honest numbers with them.
    """
    held = session.execute(
        select(col(ReviewItem.id), col(ReviewItem.fence))
        .where(
            col(ReviewItem.state) == ItemState.open,
            col(ReviewItem.reviewer_id) == reviewer_id,
            col(ReviewItem.claimed_until) > now,
        )
        .order_by(col(ReviewItem.claimed_until).desc())
        .limit(1)
    ).first()
    if held is not None:
        return heartbeat(session, held.id, reviewer_id, held.fence, now, lease)
    wanted = only or QueueFilter()
    best = _free(reviewer_id, now, wanted).order_by(col(ReviewItem.priority).desc(), col(ReviewItem.id))
    if wanted.strategy is None and _is_chances_turn(session, reviewer_id, now):
        drawn = _free(reviewer_id, now, wanted).where(col(ReviewItem.strategy) == "random").order_by(col(ReviewItem.id))
        if (taken := _take(session, _first(drawn), reviewer_id, now, lease)) is not None:
            return taken
    return _take(session, _first(best), reviewer_id, now, lease)


def _first(free: Any) -> Any:
    return free.limit(1).with_for_update(skip_locked=True, of=ReviewItem)


def _is_chances_turn(session: Session, reviewer_id: int, now: datetime) -> bool:
    decided = select(func.count()).where(
        col(Verdict.reviewer_id) == reviewer_id, col(Verdict.decided_at) > now - timedelta(days=1), col(Verdict.decided_at) <= now
    )
    return int(session.execute(decided).scalar_one()) % CHANCE_EVERY == CHANCE_EVERY - 1


def claim_item(session: Session, item_id: int, reviewer_id: int, now: datetime, lease: timedelta) -> Claim:
    """This very item.

    Raises
    ------
    LeaseLost
        Somebody else holds it, or it is decided.
    """
    item = session.get(ReviewItem, item_id)
    if item is None:
        raise NotFound(f"there is no item {item_id}")
    if item.reviewer_id == reviewer_id and item.state == ItemState.open and item.claimed_until and item.claimed_until > now:
        return heartbeat(session, item_id, reviewer_id, item.fence, now, lease)
    free = (
        select(col(ReviewItem.id))
        .where(col(ReviewItem.id) == item_id, col(ReviewItem.state) == ItemState.open, _unclaimed(now))
        .with_for_update(skip_locked=True)
    )
    taken = _take(session, free, reviewer_id, now, lease)
    if taken is None:
        raise LeaseLost("somebody else has this item now, or it is decided")
    return taken


def heartbeat(session: Session, item_id: int, reviewer_id: int, fence: int, now: datetime, lease: timedelta) -> Claim:
    """Keep the item for another lease.

    Raises
    ------
    LeaseLost
        It is no longer this reviewer's.
    """
    _hold(session, item_id, reviewer_id, fence, {"claimed_until": now + lease})
    return Claim(item_id, fence, now + lease)


def release(session: Session, item_id: int, reviewer_id: int, fence: int) -> None:
    """Give it back to the queue."""
    _hold(session, item_id, reviewer_id, fence, {"claimed_until": None, "reviewer_id": None})


def skip(session: Session, item_id: int, reviewer_id: int, fence: int) -> None:
    """Give it back, and do not show it to this reviewer again."""
    release(session, item_id, reviewer_id, fence)
    session.execute(insert_into(session, Skip).values(item_id=item_id, reviewer_id=reviewer_id).on_conflict_do_nothing())


def not_reviewable(session: Session, item_id: int, reviewer_id: int, fence: int, reason: str, now: datetime) -> None:
    """Take it out of the queue without a verdict.

    Raises
    ------
    Invalid
        No reason is given.
    """
    _hold(
        session,
        item_id,
        reviewer_id,
        fence,
        {"state": ItemState.not_reviewable, "remark": _reason(reason), "claimed_until": None, "decided_at": now},
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
        .values(state=ItemState.open, reviewer_id=None, claimed_until=None, decided_at=None, remark=_reason(reason))
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
    _hold(session, item_id, reviewer_id, fence, {"state": ItemState.done, "claimed_until": None, "decided_at": now})
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


def _check(decision: Decision) -> None:
    for name in ("answer", "comment", "question", "intent"):
        value = getattr(decision, name)
        if value is not None and len(value) > MOST_TEXT:
            raise Invalid(f"{name}: at most {MOST_TEXT} characters")
    if decision.article_id is not None and not (decision.answer or "").strip():
        raise Invalid("answer: changing an article needs the corrected answer")
    if decision.label == VerdictLabel.good and decision.causes:
        raise Invalid("causes: a good answer has no cause of failure")


def _reason(reason: str) -> str:
    if not reason.strip():
        raise Invalid("reason: say why, so that the next person understands")
    return reason.strip()[:MOST_TEXT]


def _unclaimed(now: datetime) -> Any:
    return or_(col(ReviewItem.claimed_until).is_(None), col(ReviewItem.claimed_until) <= now)


def _free(reviewer_id: int, now: datetime, only: QueueFilter) -> Any:
    skipped = select(col(Skip.item_id)).where(col(Skip.item_id) == col(ReviewItem.id), col(Skip.reviewer_id) == reviewer_id)
    free = select(col(ReviewItem.id)).where(
        col(ReviewItem.state) == ItemState.open, _unclaimed(now), ~skipped.exists(), *matches(only)
    )
    return free


def matches(only: QueueFilter) -> list[Any]:
    wanted: list[Any] = []
    if only.signal:
        wanted.append(
            select(col(Evidence.id))
            .where(
                col(Evidence.exchange_id) == col(ReviewItem.exchange_id),
                col(Evidence.name) == only.signal,
                col(Evidence.probability) >= 0.5,
            )
            .correlate(ReviewItem)
            .exists()
        )
    if only.source:
        wanted.append(
            select(col(Exchange.id))
            .where(col(Exchange.id) == col(ReviewItem.exchange_id), col(Exchange.source) == only.source)
            .correlate(ReviewItem)
            .exists()
        )
    if only.strategy:
        wanted.append(col(ReviewItem.strategy) == only.strategy)
    return wanted


def _take(session: Session, free: Any, reviewer_id: int, now: datetime, lease: timedelta) -> Claim | None:
    taken = session.execute(
        update(ReviewItem)
        .where(col(ReviewItem.id).in_(free))
        .values(reviewer_id=reviewer_id, claimed_until=now + lease, fence=ReviewItem.fence + 1)
        .returning(col(ReviewItem.id), col(ReviewItem.fence))
        .execution_options(synchronize_session=False)
    ).first()
    return Claim(taken.id, taken.fence, now + lease) if taken else None


def _hold(session: Session, item_id: int, reviewer_id: int, fence: int, values: Mapping[str, Any]) -> None:
    """Change the item if it is still ours. An expired lease that nobody took since is still ours: no work is lost."""
    held = (
        update(ReviewItem)
        .where(
            col(ReviewItem.id) == item_id,
            col(ReviewItem.state) == ItemState.open,
            col(ReviewItem.reviewer_id) == reviewer_id,
            col(ReviewItem.fence) == fence,
        )
        .values(**values)
        .execution_options(synchronize_session=False)
    )
    if changed(session, held) == 0:
        if session.get(ReviewItem, item_id) is None:
            raise NotFound(f"there is no item {item_id}")
        raise LeaseLost("somebody else has this item now, or it is decided; what you wrote is kept as your draft")
