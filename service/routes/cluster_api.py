"""The API's part about look-alikes, the impact of articles, and what became of corrections."""

from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from fastapi.security import HTTPBearer
from pydantic import BaseModel, ConfigDict, Field

from service import articles, clusters, impact, outcomes, queue
from service.clusters import Free
from service.models import ImpactState, Scope
from service.routes.access import Now, ReadSession, ReviewerId, WriteSession, needs
from service.routes.api_models import Text

MAY_REVIEW = Depends(needs(Scope.review))
router = APIRouter(prefix="/api/v1", dependencies=[Depends(HTTPBearer(auto_error=False))])


class AlikeOut(BaseModel):
    """A look-alike without a verdict. `free`: `free` to be settled, `held` by somebody else, or `drawn` by chance."""

    exchange_id: int
    item_id: int | None
    conversation_id: int
    turn_id: str
    question: str
    answer: str
    priority: float
    similarity: float | None
    signals: list[str]
    same_answer: bool
    same_reason: bool
    free: Free
    holder: str | None


class ClusterOut(BaseModel):
    alike: list[AlikeOut]
    more: int


@router.get("/items/{item_id}/cluster", tags=["queue"])
def read_cluster(item_id: int, session: ReadSession, now: Now, reviewer: ReviewerId) -> ClusterOut:
    """Exchanges that ask the same and have no verdict: candidates for `settles`."""
    exchange = queue.exchange_of(session, item_id)
    found = clusters.cluster_of(session, exchange, reviewer, now)
    return ClusterOut(
        alike=[
            AlikeOut(
                exchange_id=one.exchange.id or 0,
                item_id=one.item.id if one.item else None,
                conversation_id=one.exchange.conversation_id,
                turn_id=one.exchange.turn_id,
                question=one.exchange.question,
                answer=one.exchange.answer,
                priority=one.exchange.priority,
                similarity=one.similarity,
                signals=list(one.signals),
                same_answer=one.same_answer,
                same_reason=one.same_reason,
                free=one.free,
                holder=one.holder,
            )
            for one in found.alike
        ],
        more=found.more,
    )


class ImpactIn(BaseModel):
    """An article as it might be saved."""

    model_config = ConfigDict(extra="forbid")

    question: Text
    answer: Text
    variants: list[Text] = []
    article: str | None = Field(None, description="key of the article that it changes")
    source: str | None = Field(None, description="only this source's traffic; left out: all")


class ImpactAskedOut(BaseModel):
    key: str


class AskedOut(BaseModel):
    exchange_id: int
    conversation_id: int
    turn_id: str
    question: str
    answer: str
    similarity: float


class BesideOut(BaseModel):
    article: str
    question: str
    answer: str
    similarity: float
    note: str


class ImpactOut(BaseModel):
    """Numbers count all; the lists are examples, at most ten each. All empty until `state` is `ready`."""

    key: str
    state: ImpactState
    computed_at: datetime | None
    days: int
    traffic: int
    flagged: int
    good: int
    answered: int
    already: int
    answers: list[AskedOut]
    displaced: int
    displaces: list[AskedOut]
    confirms: int
    duplicates: list[BesideOut]
    contradicts: list[BesideOut]
    near: list[BesideOut]


@router.post("/impact", tags=["articles"], status_code=202, dependencies=[MAY_REVIEW])
def ask_impact(given: ImpactIn, session: WriteSession, now: Now) -> ImpactAskedOut:
    """Have the worker replay the draft over recent traffic; the same text is computed once."""
    article_id = articles.article_by_key(session, given.article).id if given.article is not None else None
    draft = impact.Draft(given.question, given.answer, tuple(given.variants), article_id, given.source)
    return ImpactAskedOut(key=impact.ask(session, draft, now))


@router.get("/impact/{key}", tags=["articles"], dependencies=[MAY_REVIEW])
def read_impact(key: str, session: ReadSession) -> ImpactOut:
    found = impact.read(session, key)
    numbers = ("days", "traffic", "flagged", "good", "answered", "already", "displaced", "confirms")
    return ImpactOut(
        key=found.impact.key,
        state=ImpactState(found.impact.state),
        computed_at=found.impact.computed_at,
        answers=[_asked(one) for one in found.answers],
        displaces=[_asked(one) for one in found.displaces],
        duplicates=[_beside(one) for one in found.duplicates],
        contradicts=[_beside(one) for one in found.contradicts],
        near=[_beside(one) for one in found.near],
        **{name: getattr(found, name) for name in numbers},
    )


def _asked(one: impact.Asked) -> AskedOut:
    names = ("conversation_id", "turn_id", "question", "answer")
    of_exchange: dict[str, Any] = {name: getattr(one.exchange, name) for name in names}
    return AskedOut(exchange_id=one.exchange.id or 0, similarity=one.similarity, **of_exchange)


def _beside(one: impact.Beside) -> BesideOut:
    article = one.article
    return BesideOut(
        article=article.key, question=article.question, answer=article.answer, similarity=one.similarity, note=one.note
    )


class CorrectionOut(BaseModel):
    """A published correction. `seen`: exchanges since that asked what it was to answer; `flagged_again` of them."""

    article: str
    version: int
    question: str
    item_id: int | None
    published_at: datetime
    seen: int
    flagged_again: int
    reopened_at: datetime | None


@router.get("/corrections", tags=["articles"], dependencies=[MAY_REVIEW])
def read_corrections(session: ReadSession, now: Now, days: Annotated[int, Query(ge=1, le=3650)] = 30) -> list[CorrectionOut]:
    """Corrections published in the last days, latest first, with what became of them."""
    names = ("version", "question", "item_id", "published_at", "seen", "flagged_again", "reopened_at")
    return [
        CorrectionOut(article=one.key, **{name: getattr(one, name) for name in names})
        for one in outcomes.corrections(session, now - timedelta(days=days))
    ]
