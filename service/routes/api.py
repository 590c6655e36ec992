"""The JSON API under /api/v1: for programs with a token, and for the pages' own script."""

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Query, Request, Response
from fastapi.security import HTTPBearer
from pydantic import Field
from sqlmodel import Session

from connectors.events import events_of
from service import articles, claims, clusters, feed, hand_picked, queue, review, undo
from service.db import Database
from service.errors import Conflict, LeaseLost, NotFound
from service.filters import QueueFilter
from service.ingest import store
from service.models import Article, ArticleStatus, ArticleVersion, ItemState, Opinion, Scope, Verdict
from service.routes.access import Now, ReadSession, ReviewerId, WriteSession, needs, settings_of, undo_time_of
from service.routes.api_models import (
    ArticleIn,
    ArticleOut,
    ChangeOut,
    ChangesOut,
    ClaimOut,
    ConversationsIn,
    CountsOut,
    DecidedOut,
    DecisionIn,
    EvidenceOut,
    FeedbackOut,
    FencedReasonIn,
    FenceIn,
    FilterIn,
    HandPickedOut,
    ItemDetailOut,
    ItemOut,
    NearestOut,
    ReasonIn,
    SimilarOut,
    TurnOut,
    VerdictOut,
    WhyIn,
)
from service.team import opinions
from service.told import gather

_ERRORS: dict[int | str, dict[str, Any]] = {
    401: {"description": "No valid token."},
    403: {"description": "The token lacks the scope."},
    404: {"description": "There is no such thing."},
    409: {"description": "Somebody was faster, or the state changed meanwhile."},
}
# The scheme is for the documentation: `authenticate` has read the token by then.
router = APIRouter(prefix="/api/v1", responses=_ERRORS, dependencies=[Depends(HTTPBearer(auto_error=False))])
MAY_REVIEW = Depends(needs(Scope.review))


# --- the queue ----------------------------------------------------------------------------------------------------


@router.get("/counts", tags=["queue"], dependencies=[MAY_REVIEW])
def read_counts(session: ReadSession, now: Now) -> CountsOut:
    return CountsOut.model_validate(queue.counts(session, now))


@router.get("/items", tags=["queue"], dependencies=[MAY_REVIEW])
def list_items(
    session: ReadSession,
    now: Now,
    signal: Annotated[str | None, Query(max_length=100)] = None,
    source: Annotated[str | None, Query(max_length=255)] = None,
    strategy: Annotated[str | None, Query(max_length=100)] = None,
    queue_name: Annotated[str | None, Query(max_length=80, alias="queue")] = None,
    state: ItemState = ItemState.open,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    offset: Annotated[int, Query(ge=0)] = 0,
) -> list[ItemOut]:
    """Open items by priority, decided ones by latest first."""
    wanted = QueueFilter(signal, source, strategy, queue_name)
    return [_item(row) for row in queue.rows(session, now, state, wanted, limit, offset)]


@router.post("/items/claim", tags=["queue"], responses={204: {"description": "The queue has nothing for you."}})
def claim_next(request: Request, session: WriteSession, now: Now, reviewer: ReviewerId, only: FilterIn | None = None) -> Any:
    """The best free item, yours until the lease ends; the one you hold, if you hold one."""
    wanted = QueueFilter(**(only or FilterIn()).model_dump())
    claim = claims.claim_next(session, reviewer, now, _lease(request), wanted)
    return ClaimOut.model_validate(claim) if claim else Response(status_code=204)


@router.get("/items/{item_id}", tags=["queue"])
def read_item(item_id: int, session: ReadSession, now: Now, reviewer: ReviewerId) -> ItemDetailOut:
    return _detail(queue.detail(session, item_id, reviewer, now))


@router.post("/items/{item_id}/claim", tags=["queue"])
def claim_item(item_id: int, request: Request, session: WriteSession, now: Now, reviewer: ReviewerId) -> ClaimOut:
    return ClaimOut.model_validate(claims.claim_item(session, item_id, reviewer, now, _lease(request)))


@router.post("/items/{item_id}/heartbeat", tags=["queue"])
def keep_item(item_id: int, fence: FenceIn, request: Request, session: WriteSession, now: Now, reviewer: ReviewerId) -> ClaimOut:
    """Keep the item for another lease."""
    return ClaimOut.model_validate(claims.heartbeat(session, item_id, reviewer, fence.fence, now, _lease(request)))


@router.post("/items/{item_id}/release", tags=["queue"], status_code=204)
def release_item(item_id: int, fence: FenceIn, session: WriteSession, reviewer: ReviewerId) -> None:
    claims.release(session, item_id, reviewer, fence.fence)


@router.post("/items/{item_id}/skip", tags=["queue"], status_code=204)
def skip_item(item_id: int, fence: FenceIn, session: WriteSession, now: Now, reviewer: ReviewerId) -> None:
    """Give it back, and never show it to this reviewer again."""
    claims.skip(session, item_id, reviewer, fence.fence, now)


@router.post("/items/{item_id}/not-reviewable", tags=["queue"], status_code=204)
def close_item(item_id: int, why: FencedReasonIn, session: WriteSession, now: Now, reviewer: ReviewerId) -> None:
    claims.not_reviewable(session, item_id, reviewer, why.fence, why.reason, now)


@router.post("/items/{item_id}/send-back", tags=["queue"], status_code=204)
def send_back(item_id: int, why: ReasonIn, request: Request, session: WriteSession, now: Now, reviewer: ReviewerId) -> None:
    """Reopen a decided item: its verdict is withdrawn and what it did to articles is taken back."""
    review.send_back(session, item_id, reviewer, why.reason, list(settings_of(request).sinks), now)


@router.post("/items/{item_id}/undo", tags=["queue"])
def undo_item(item_id: int, request: Request, session: WriteSession, now: Now, reviewer: ReviewerId) -> ClaimOut:
    """Take back your own last decision before any of it goes out: the item is yours again, what you decided is its draft."""
    sinks = list(settings_of(request).sinks)
    claim = undo.undo(session, item_id, reviewer, sinks, now, _lease(request), undo_time_of(request))
    return ClaimOut.model_validate(claim)


@router.put("/items/{item_id}/draft", tags=["queue"], status_code=204)
def save_draft(
    item_id: int,
    content: Annotated[dict[Annotated[str, Field(max_length=40)], str | list[str] | None], Body(max_length=20)],
    session: WriteSession,
    now: Now,
    reviewer: ReviewerId,
) -> None:
    review.save_draft(session, item_id, reviewer, content, now)


@router.post("/items/{item_id}/decide", tags=["queue"])
def decide(item_id: int, made: DecisionIn, request: Request, now: Now, reviewer: ReviewerId) -> DecidedOut:
    """The verdict and its correction, together or not at all; the same again under the same fence changes nothing.

    Refused with 409, it is kept as the reviewer's draft.
    """
    db: Database = request.app.state.db
    decision = review.Decision(
        **{**made.model_dump(exclude={"fence"}), "causes": tuple(made.causes), "settles": tuple(made.settles)}
    )
    try:
        with db.write() as session:
            sinks = list(settings_of(request).sinks)
            made_of = opinions.decide(session, item_id, reviewer, made.fence, decision, sinks, now, undo_time_of(request))
            return _decided(session, made_of)
    except (LeaseLost, Conflict):
        typed = made.model_dump(exclude={"fence", "article_id", "settles"}, mode="json")
        typed |= {"settling": "1", "settles": [str(exchange_id) for exchange_id in made.settles]}
        with db.write() as session:
            review.save_draft(session, item_id, reviewer, typed | {"article": str(made.article_id or "")}, now)
        raise


@router.post("/exchanges/{exchange_id}/review", tags=["queue"], status_code=201)
def hand_pick(exchange_id: int, why: WhyIn, session: WriteSession, now: Now, reviewer: ReviewerId) -> HandPickedOut:
    """Put an exchange into the queue by hand; where it has an item already, that one is named."""
    return HandPickedOut(item_id=hand_picked.hand_pick(session, exchange_id, reviewer, why.reason, now))


# --- articles -----------------------------------------------------------------------------------------------------


@router.get("/articles/changes", tags=["articles"], dependencies=[Depends(needs(Scope.sync))])
def article_changes(
    request: Request,
    session: ReadSession,
    now: Now,
    after: Annotated[str | None, Query(max_length=100)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> ChangesOut:
    """Every article version once, in order, from a cursor on: for knowledge bases that pull. Drafts are left out."""
    grace = undo_time_of(request)
    page, cursor, more = feed.changes_after(session, after, limit, now - grace - undo.FEED_WAITS if grace else None)
    return ChangesOut(changes=[_change(article, version) for article, version in page], cursor=cursor, more=more)


@router.get("/articles", tags=["articles"], dependencies=[MAY_REVIEW])
def list_articles(
    session: ReadSession,
    search: Annotated[str, Query(max_length=200)] = "",
    status: ArticleStatus | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    offset: Annotated[int, Query(ge=0)] = 0,
) -> list[ArticleOut]:
    return [ArticleOut.model_validate(a) for a in articles.find_articles(session, search, status, limit, offset)]


@router.get("/articles/{key}", tags=["articles"], dependencies=[MAY_REVIEW])
def read_article(key: str, session: ReadSession) -> ArticleOut:
    return ArticleOut.model_validate(articles.article_by_key(session, key))


@router.post("/articles", tags=["articles"], status_code=201)
def add_article(given: ArticleIn, request: Request, session: WriteSession, now: Now, reviewer: ReviewerId) -> ArticleOut:
    content = articles.Content(given.question, given.answer, tuple(given.variants), given.intent, given.status)
    sinks = list(settings_of(request).sinks)
    article = articles.save_article(session, content, sinks, now, "api", key=given.key, reviewer_id=reviewer)
    return ArticleOut.model_validate(article)


@router.put("/articles/{key}", tags=["articles"])
def change_article(
    key: str, given: ArticleIn, request: Request, session: WriteSession, now: Now, reviewer: ReviewerId
) -> ArticleOut:
    article = articles.article_by_key(session, key)
    content = articles.Content(given.question, given.answer, tuple(given.variants), given.intent, given.status)
    sinks = list(settings_of(request).sinks)
    changed = articles.save_article(session, content, sinks, now, "api", article.id, given.expected_version, reviewer_id=reviewer)
    return ArticleOut.model_validate(changed)


# --- ingest -------------------------------------------------------------------------------------------------------


@router.post("/sources/{source}/conversations", tags=["ingest"], status_code=202, dependencies=[Depends(needs(Scope.ingest))])
def ingest(source: str, given: ConversationsIn, request: Request, now: Now) -> dict[str, int]:
    """Whole conversations, or single events, from a program with a token; the same twice changes nothing."""
    if source not in request.app.state.sources:
        raise NotFound(f"there is no source '{source}': add it to TRIAGE_SOURCES")
    events = [event for conversation in given.conversations for event in events_of(conversation)] + given.events
    told = gather(events, request.app.state.redact)
    db: Database = request.app.state.db
    with db.write() as session:
        store(session, source, told, timedelta(seconds=settings_of(request).settle_seconds), now)
    return {"events": len(events)}


@router.get("/openapi.json", include_in_schema=False)
def openapi(request: Request) -> dict[str, Any]:
    schema: dict[str, Any] = request.app.openapi()
    return schema


# --- rows into answers --------------------------------------------------------------------------------------------


def _lease(request: Request) -> timedelta:
    return timedelta(seconds=settings_of(request).queue.lease_seconds)


def _item(row: queue.Row) -> ItemOut:
    return ItemOut(
        **_shared(row.item, row.exchange), cluster_size=row.cluster_size, holder=row.holder, evidence=_found(row.evidence)
    )


def _detail(found: queue.Detail) -> ItemDetailOut:
    return ItemDetailOut(
        **_shared(found.item, found.exchange),
        cluster_size=found.cluster_size,
        holder=found.holder,
        evidence=_found(found.evidence),
        turn_id=found.exchange.turn_id,
        conversation_id=found.conversation.external_id,
        turns=[TurnOut.model_validate(turn) for turn in found.turns],
        feedback=[FeedbackOut.model_validate(given) for given in found.feedback],
        similar=[
            SimilarOut(
                exchange_id=one.exchange.id,
                conversation_id=one.conversation.external_id,
                question=one.exchange.question,
                answer=one.exchange.answer,
                similarity=one.similarity,
                verdict=one.verdict,
            )
            for one in found.similar
        ],
        articles=[
            NearestOut(article=ArticleOut.model_validate(near.article), similarity=near.similarity) for near in found.articles
        ],
        verdicts=[VerdictOut.model_validate(verdict) for verdict, _ in found.verdicts],
        draft=found.draft,
        intents=found.intents,
        remark=found.item.remark,
    )


def _decided(session: Session, verdict: Verdict | Opinion) -> DecidedOut:
    found = clusters.settled_with(session, verdict.item_id) if isinstance(verdict, Verdict) else None
    told = DecidedOut.model_validate(verdict)
    return told.model_copy(update={"settled": [exchange_id for exchange_id, _ in found.exchanges] if found else []})


def _shared(item: Any, exchange: Any) -> dict[str, Any]:
    of_item = ("id", "state", "priority", "strategy", "propensity", "reason", "created_at")
    of_exchange = ("question", "answer", "intent", "source")
    return {name: getattr(item, name) for name in of_item} | {name: getattr(exchange, name) for name in of_exchange}


def _found(evidence: list[Any]) -> list[EvidenceOut]:
    return [EvidenceOut.model_validate(one) for one in evidence]


def _change(article: Article, version: ArticleVersion) -> ChangeOut:
    return ChangeOut(
        key=article.key,
        version=version.version,
        question=version.question,
        variants=version.variants,
        answer=version.answer,
        intent=version.intent,
        status=version.status,
        origin=version.origin,
        changed_at=version.changed_at,
        cursor=feed.write_cursor(version.id or 0),
    )
