"""The look-alikes of an item as its page lists them: what each was answered, how alike it is, and whether it can be settled."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import numpy as np
from sqlalchemy import and_, func, or_, select
from sqlmodel import Session, col

from scoring.same_answer import say_the_same
from scoring.vectors import content_hash
from service.budget import RAISED
from service.db import chunks
from service.models import Evidence, Exchange, ItemState, Reviewer, ReviewItem, Vector, Verdict
from service.settle import DRAWN, free_for, settled_by

MOST_LISTED = 50
"""At once: whoever goes on is shown as many again."""
LEAST_ALIKE = 0.6
"""Cosine below which a member of the cluster asks something else: clusters grow from neighbour to neighbour."""
MOST_SHOWN = 5000
_READ = 4
"""Members read for each that is to be listed: some of them ask something else."""


class Free(StrEnum):
    """Whether a decision can settle it. `held`: others are at work on it; `drawn`: chance drew it."""

    free = "free"
    held = "held"
    drawn = "drawn"


@dataclass(frozen=True, slots=True)
class Alike:
    """A look-alike without a verdict. `similarity`: cosine of the two questions, None where a vector is missing."""

    exchange: Exchange
    item: ReviewItem | None
    similarity: float | None
    signals: tuple[str, ...]
    """What speaks against its answer, strongest first."""
    same_answer: bool
    same_reason: bool
    """A signal that speaks against the item's answer speaks against this one too."""
    free: Free
    holder: str | None


@dataclass(frozen=True, slots=True)
class Cluster:
    """`more`: further exchanges of the cluster, not looked at yet. `apart`: those passed over, which ask something else."""

    alike: list[Alike]
    more: int
    apart: int = 0


def cluster_of(session: Session, mine: Exchange, reviewer_id: int | None, now: datetime, most: int = MOST_LISTED) -> Cluster:
    """Exchanges of this one's cluster that have no verdict, `most` at most: those with an item first, then by priority."""
    if mine.cluster_id is None:
        return Cluster([], 0)
    most = min(most, MOST_SHOWN)
    waiting = and_(
        col(Exchange.cluster_id) == mine.cluster_id,
        col(Exchange.id) != mine.id,
        ~col(Exchange.forgotten),
        or_(col(ReviewItem.id).is_(None), col(ReviewItem.state) == ItemState.open),
        ~select(col(Verdict.id))
        .where(col(Verdict.item_id) == col(ReviewItem.id), col(Verdict.withdrawn_at).is_(None))
        .correlate(ReviewItem)
        .exists(),
    )
    with_item = (ReviewItem, col(ReviewItem.exchange_id) == col(Exchange.id))
    rows = session.execute(
        select(Exchange, ReviewItem, col(Reviewer.name), free_for(reviewer_id, now).label("free"))
        .join(*with_item, isouter=True)
        .join(Reviewer, col(Reviewer.id) == col(ReviewItem.reviewer_id), isouter=True)
        .where(waiting)
        .order_by(col(ReviewItem.id).is_(None), col(Exchange.priority).desc(), col(Exchange.id))
        .limit(most * _READ)
    ).all()
    if not rows:
        return Cluster([], 0)
    everything = session.execute(select(func.count(col(Exchange.id))).join(*with_item, isouter=True).where(waiting)).scalar_one()
    exchanges = [row[0] for row in rows]
    cosines = _Cosines(session, [mine, *exchanges])
    raised = _raised(session, [mine.id or 0, *(one.id or 0 for one in exchanges)])
    found = []
    for exchange, item, holder, is_free in rows:
        similarity = cosines.of(mine.question, exchange.question)
        if similarity is not None and similarity < LEAST_ALIKE:
            continue
        free = Free.free if item is None or is_free else Free.drawn if item.strategy == DRAWN else Free.held
        held = free == Free.held and item.claimed_until is not None and item.claimed_until > now
        signals = raised.get(exchange.id or 0, ())
        answers = cosines.of(mine.answer, exchange.answer) or 0.0
        found.append(
            Alike(
                exchange,
                item,
                similarity,
                signals,
                say_the_same(mine.question, mine.answer, exchange.question, exchange.answer, answers),
                bool(set(signals) & set(raised.get(mine.id or 0, ()))),
                free,
                holder if held else None,
            )
        )
    apart = len(rows) - len(found)
    return Cluster(found[:most], everything - len(found[:most]) - apart, apart)


def _raised(session: Session, exchange_ids: Sequence[int]) -> dict[int, tuple[str, ...]]:
    raised: dict[int, tuple[str, ...]] = {}
    rows = session.execute(
        select(col(Evidence.exchange_id), col(Evidence.name))
        .where(col(Evidence.exchange_id).in_(exchange_ids), col(Evidence.probability) >= RAISED)
        .order_by(col(Evidence.probability).desc(), col(Evidence.name))
    )
    for exchange_id, name in rows:
        raised[exchange_id] = (*raised.get(exchange_id, ()), name)
    return raised


class _Cosines:
    """Of questions and answers by the vectors that scoring has stored; this process makes none."""

    def __init__(self, session: Session, exchanges: Iterable[Exchange]) -> None:
        texts = {content_hash(text) for one in exchanges for text in (one.question, one.answer)}
        by_digest: dict[str, dict[bytes, Any]] = {}
        for part in chunks(sorted(texts)):
            rows = session.execute(
                select(col(Vector.digest), col(Vector.content_hash), col(Vector.embedding)).where(
                    col(Vector.content_hash).in_(part)
                )
            )
            for digest, key, vector in rows:
                by_digest.setdefault(digest, {})[bytes(key)] = vector
        # After a change of model there are vectors of two: those of the one that knows more of these texts.
        self._vectors: Mapping[bytes, Any] = max(by_digest.values(), key=len, default={})

    def of(self, one: str, two: str) -> float | None:
        vectors = [self._vectors.get(content_hash(text)) for text in (one, two)]
        return None if vectors[0] is None or vectors[1] is None else float(np.dot(vectors[0], vectors[1]))


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of a verdict's look-alikes: (exchange, item) of those settled with it, and how many were left out.
    `by_item`: of a verdict that was settled itself, the item whose decision settled it."""

    exchanges: list[tuple[int, int]]
    left_out: int
    by_item: int | None


def settled(session: Session, verdicts: Iterable[Verdict]) -> dict[int, Settled]:
    """By verdict, for those that settled others or were settled."""
    found = {}
    for one in verdicts:
        if not one.settles and one.settled_by is None:
            continue
        done = settled_by(session, one.id or 0)
        left_out = 0 if one.withdrawn_at else len(set(one.settles or ()) - {exchange_id for exchange_id, _ in done})
        by = session.get(Verdict, one.settled_by) if one.settled_by is not None else None
        found[one.id or 0] = Settled(done, left_out, by.item_id if by else None)
    return found


def settled_with(session: Session, item_id: int) -> Settled | None:
    """What became of the look-alikes of the item's verdict that counts; None where there were none."""
    standing = select(Verdict).where(col(Verdict.item_id) == item_id, col(Verdict.withdrawn_at).is_(None))
    verdicts = session.execute(standing).scalars().all()
    return next(iter(settled(session, verdicts).values()), None)
