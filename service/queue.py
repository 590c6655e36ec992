"""What the queue shows: the list of items, and one item with everything a reviewer needs beside it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, or_, select
from sqlmodel import Session, col

from service import calibration
from service.calibration import Moved
from service.clusters import MOST_LISTED, Cluster, Settled, cluster_of, settled
from service.conversations import feedback_of, turns_of
from service.errors import NotFound
from service.filters import QueueFilter, matches
from service.models import (
    Article,
    Conversation,
    Draft,
    Evidence,
    Example,
    Exchange,
    Feedback,
    ItemState,
    NamedQueue,
    Reviewer,
    ReviewItem,
    Turn,
    Verdict,
)
from service.outcomes import FLAGGED_AGAIN, flagged_again


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the queue."""

    item: ReviewItem
    exchange: Exchange
    evidence: list[Evidence]
    holder: str | None
    """Who holds it now; None if it is free."""
    cluster_size: int


@dataclass(frozen=True, slots=True)
class Similar:
    """A look-alike question and what it was answered."""

    exchange: Exchange
    conversation: Conversation
    similarity: float
    verdict: str | None


@dataclass(frozen=True, slots=True)
class Nearest:
    article: Article
    similarity: float


@dataclass(frozen=True, slots=True)
class Detail:
    """Everything about one item."""

    item: ReviewItem
    exchange: Exchange
    conversation: Conversation
    turns: list[Turn]
    feedback: list[Feedback]
    evidence: list[Evidence]
    similar: list[Similar]
    contradicted: tuple[Exchange, Conversation] | None
    """Of another conversation: what the consistency signal compared this answer with."""
    articles: list[Nearest]
    verdicts: list[tuple[Verdict, str]]
    """(verdict, reviewer's name), latest first."""
    cluster_size: int
    cluster: Cluster
    """The look-alikes that the decision may settle; none once it is made."""
    settled: dict[int, Settled]
    """By verdict."""
    flagged_again: Sequence[Exchange]
    """What was asked after the item's correction was published, where it reopened for that."""
    holder: str | None
    draft: dict[str, Any] | None
    intents: list[str]


@dataclass(frozen=True, slots=True)
class Counts:
    """The state of the queue."""

    open: int
    held: int
    done: int
    not_reviewable: int
    exchanges: int
    unscored: int


def counts(session: Session, now: datetime, reviewer_id: int | None = None) -> Counts:
    """As this reviewer is to see them; as they are for None."""
    moved = _moved(session, reviewer_id, now)
    elsewhere = len(moved.open), len(moved.not_reviewable)
    by_state: dict[str, int] = dict(
        session.execute(select(col(ReviewItem.state), func.count()).group_by(col(ReviewItem.state))).all()
    )
    return Counts(
        open=by_state.get(ItemState.open, 0) + elsewhere[0],
        held=held_items(session, now) + moved.held,
        done=by_state.get(ItemState.done, 0) - sum(elsewhere),
        not_reviewable=by_state.get(ItemState.not_reviewable, 0) + elsewhere[1],
        exchanges=session.execute(select(func.count()).select_from(Exchange)).scalar_one(),
        unscored=session.execute(select(func.count()).where(col(Conversation.due_at).is_not(None))).scalar_one(),
    )


def open_items(session: Session) -> int:
    return int(session.execute(select(func.count()).where(col(ReviewItem.state) == ItemState.open)).scalar_one())


def held_items(session: Session, now: datetime) -> int:
    """Items that somebody is reviewing."""
    held = (col(ReviewItem.state) == ItemState.open, col(ReviewItem.claimed_until) > now, ~col(ReviewItem.reserved))
    return int(session.execute(select(func.count()).where(*held)).scalar_one())


def rows(
    session: Session,
    now: datetime,
    state: ItemState = ItemState.open,
    only: QueueFilter | None = None,
    limit: int = 50,
    offset: int = 0,
    reviewer_id: int | None = None,
) -> list[Row]:
    """Items by priority (open ones) or by latest first (decided ones), as this reviewer is to see them; as they are for None."""
    moved = _moved(session, reviewer_id, now)
    here = {ItemState.open: moved.open, ItemState.not_reviewable: moved.not_reviewable}.get(state, frozenset())
    elsewhere = moved.open | moved.not_reviewable
    in_state = or_(
        (col(ReviewItem.state) == state) & col(ReviewItem.id).not_in(elsewhere),
        col(ReviewItem.id).in_(here),
    )
    order = (col(ReviewItem.priority).desc(), col(ReviewItem.id)) if state == ItemState.open else (col(ReviewItem.id).desc(),)
    found = session.execute(
        select(ReviewItem, Exchange)
        .join(Exchange, col(Exchange.id) == col(ReviewItem.exchange_id))
        .where(in_state, *matches(only or QueueFilter()))
        .order_by(*order)
        .limit(limit)
        .offset(offset)
    ).all()
    exchange_ids = [exchange.id for _, exchange in found]
    evidence: dict[int, list[Evidence]] = {}
    for one in session.execute(
        select(Evidence).where(col(Evidence.exchange_id).in_(exchange_ids)).order_by(col(Evidence.probability).desc())
    ).scalars():
        evidence.setdefault(one.exchange_id, []).append(one)
    clusters = [exchange.cluster_id for _, exchange in found if exchange.cluster_id is not None]
    sizes = dict(
        session.execute(
            select(col(Exchange.cluster_id), func.count())
            .where(col(Exchange.cluster_id).in_(clusters))
            .group_by(col(Exchange.cluster_id))
        ).all()
    )
    names = _names(session)
    items = calibration.veiled(session, [item for item, _ in found], reviewer_id)
    exchanges = [exchange for _, exchange in found]
    return [
        Row(
            item,
            exchange,
            evidence.get(exchange.id or 0, []),
            _holder(item, names, now),
            sizes.get(exchange.cluster_id, 1),
        )
        for item, exchange in zip(items, exchanges, strict=True)
    ]


def _moved(session: Session, reviewer_id: int | None, now: datetime) -> Moved:
    return calibration.moved(session, [reviewer_id], now)[reviewer_id] if reviewer_id is not None else Moved()


def detail(session: Session, item_id: int, reviewer_id: int | None, now: datetime, look_alikes: int = MOST_LISTED) -> Detail:
    """The item with its whole conversation, evidence, look-alikes (so many, or as many as the draft lists) and nearest articles.

    Raises
    ------
    NotFound
        There is no such item.
    """
    found = session.execute(
        select(ReviewItem, Exchange, Conversation)
        .join(Exchange, col(Exchange.id) == col(ReviewItem.exchange_id))
        .join(Conversation, col(Conversation.id) == col(Exchange.conversation_id))
        .where(col(ReviewItem.id) == item_id)
    ).first()
    if found is None:
        raise NotFound(f"there is no item {item_id}")
    item, exchange, conversation = found
    names = _names(session)
    draft = session.get(Draft, (item_id, reviewer_id)) if reviewer_id is not None else None
    rows = select(Verdict).where(col(Verdict.item_id) == item_id).order_by(col(Verdict.id).desc())
    verdicts = session.execute(rows).scalars().all()
    if reviewer_id is not None and (veiled := calibration.veil(session, item, reviewer_id)) is not None:
        item, verdicts = veiled
    listed = len(str(draft.content.get("listed") or "").split()) if draft else 0
    return Detail(
        item=item,
        exchange=exchange,
        conversation=conversation,
        turns=turns_of(session, conversation.id or 0),
        feedback=feedback_of(session, conversation.id or 0),
        evidence=list(
            session.execute(
                select(Evidence).where(col(Evidence.exchange_id) == exchange.id).order_by(col(Evidence.probability).desc())
            ).scalars()
        ),
        similar=_similar(session, item.suggestions.get("similar", [])),
        contradicted=_contradicted(session, exchange.id or 0),
        articles=_nearest(session, item.suggestions.get("articles", [])),
        verdicts=[(verdict, names.get(verdict.reviewer_id, "?")) for verdict in verdicts],
        cluster_size=session.execute(select(func.count()).where(col(Exchange.cluster_id) == exchange.cluster_id)).scalar_one(),
        cluster=cluster_of(session, exchange, reviewer_id, now, max(look_alikes, listed))
        if item.state == ItemState.open
        else Cluster([], 0),
        settled=settled(session, verdicts),
        flagged_again=flagged_again(session, item_id) if item.remark == FLAGGED_AGAIN else [],
        holder=_holder(item, names, now),
        draft=draft.content if draft else None,
        intents=known_intents(session, exchange.source),
    )


def exchange_of(session: Session, item_id: int) -> Exchange:
    """The item's exchange.

    Raises
    ------
    NotFound
        There is no such item.
    """
    mine = select(Exchange).join(ReviewItem, col(ReviewItem.exchange_id) == col(Exchange.id))
    found: Exchange | None = session.execute(mine.where(col(ReviewItem.id) == item_id)).scalar_one_or_none()
    if found is None:
        raise NotFound(f"there is no item {item_id}")
    return found


def known_intents(session: Session, source: str) -> list[str]:
    labelled = select(col(Example.intent)).where(col(Example.source) == source).distinct()
    seen = select(col(Exchange.intent)).where(col(Exchange.source) == source, col(Exchange.intent).is_not(None)).distinct()
    return sorted({str(name) for name in session.execute(labelled.union(seen)).scalars()})


def _similar(session: Session, near: list[dict[str, Any]]) -> list[Similar]:
    wanted = {one["exchange_id"]: one["similarity"] for one in near}
    found = session.execute(
        select(Exchange, Conversation, Verdict)
        .join(Conversation, col(Conversation.id) == col(Exchange.conversation_id))
        .join(ReviewItem, col(ReviewItem.exchange_id) == col(Exchange.id), isouter=True)
        .join(
            Verdict,
            (col(Verdict.item_id) == col(ReviewItem.id)) & col(Verdict.withdrawn_at).is_(None),
            isouter=True,
        )
        .where(col(Exchange.id).in_(list(wanted)), ~col(Exchange.forgotten))
    ).all()
    similar = [Similar(e, c, wanted[e.id], v.label if v else None) for e, c, v in found]
    return sorted(similar, key=lambda one: -one.similarity)


def _contradicted(session: Session, exchange_id: int) -> tuple[Exchange, Conversation] | None:
    """The exchange of another conversation whose answer speaks most against this one's."""
    told = session.execute(
        select(Evidence)
        .where(
            col(Evidence.exchange_id) == exchange_id, col(Evidence.name) == "answer_consistency", col(Evidence.probability) >= 0.3
        )
        .order_by(col(Evidence.probability).desc())
    ).scalars()
    keys = [one.detail["key"] for one in told if isinstance(one.detail.get("key"), int)]
    found = session.execute(
        select(Exchange, Conversation)
        .join(Conversation, col(Conversation.id) == col(Exchange.conversation_id))
        .where(col(Exchange.id).in_(keys[:1]), ~col(Exchange.forgotten))
    ).first()
    return (found[0], found[1]) if found else None


def _nearest(session: Session, near: list[dict[str, Any]]) -> list[Nearest]:
    wanted = {one["article_id"]: one["similarity"] for one in near}
    found = session.execute(select(Article).where(col(Article.id).in_(list(wanted)))).scalars()
    return sorted((Nearest(article, wanted[article.id]) for article in found), key=lambda one: -one.similarity)


def articles_beside(session: Session, item_id: int) -> list[Nearest]:
    """The articles nearest to the item's question, as they are now.

    Raises
    ------
    NotFound
        There is no such item.
    """
    item = session.get(ReviewItem, item_id)
    if item is None:
        raise NotFound(f"there is no item {item_id}")
    return _nearest(session, item.suggestions.get("articles", []))


def _names(session: Session) -> dict[int, str]:
    return dict(session.execute(select(col(Reviewer.id), col(Reviewer.name))).all())


def _holder(item: ReviewItem, names: dict[int, str], now: datetime) -> str | None:
    held = item.state == ItemState.open and item.reviewer_id and item.claimed_until and item.claimed_until > now
    return names.get(item.reviewer_id or 0) if held else None


def verdicts_of(session: Session, item_ids: Sequence[int], reviewer_id: int | None = None) -> dict[int, tuple[str, str]]:
    """(label, reviewer's name) of the verdict that counts, per item; of a known item what this reviewer said of it."""
    found = session.execute(
        select(col(Verdict.item_id), col(Verdict.label), col(Reviewer.name))
        .join(Reviewer, col(Reviewer.id) == col(Verdict.reviewer_id))
        .where(col(Verdict.item_id).in_(item_ids), col(Verdict.withdrawn_at).is_(None))
    ).all()
    verdicts = {item_id: (label, name) for item_id, label, name in found}
    if reviewer_id is not None:
        name = _names(session).get(reviewer_id, "?")
        said = calibration.said(session, item_ids, reviewer_id)
        verdicts.update({item_id: (label, name) for item_id, label in said.items()})
    return verdicts


def filter_choices(session: Session) -> dict[str, list[str]]:
    """What the queue can be filtered by: what there is among its items."""
    sources = select(col(Exchange.source)).join(ReviewItem, col(ReviewItem.exchange_id) == col(Exchange.id)).distinct()
    queues = select(col(NamedQueue.name)).order_by(col(NamedQueue.name))
    return {
        "queue": list(session.execute(queues).scalars()),
        "source": sorted(session.execute(sources).scalars()),
        "strategy": sorted(session.execute(select(col(ReviewItem.strategy)).distinct()).scalars()),
    }


def all_intents(session: Session) -> list[str]:
    sources = session.execute(select(col(Exchange.source)).distinct()).scalars()
    return sorted({intent for source in sources for intent in known_intents(session, source)})
