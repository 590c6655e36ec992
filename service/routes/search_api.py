"""The JSON API's search: the same finds as the page's, for programs."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.security import HTTPBearer
from pydantic import BaseModel

from service.db import Database
from service.models import ItemState, Scope, VerdictLabel
from service.routes.access import Now, needs
from service.searching import find as search
from service.searching.fields import By, read_fields
from service.searching.results import FoundExchange, Result, results
from service.views.search import SearchForm

router = APIRouter(
    prefix="/api/v1",
    tags=["search"],
    responses={
        401: {"description": "No valid token."},
        403: {"description": "The token lacks the scope."},
        422: {"description": "A field holds what it cannot mean, or the cursor is of another search."},
    },
    dependencies=[Depends(HTTPBearer(auto_error=False))],
)


class SearchIn(SearchForm):
    """What the page's form holds; empty means any."""

    limit: Annotated[int, Query(ge=1, le=100)] = 25
    cursor: Annotated[str, Query(max_length=100)] = ""


class QuoteOut(BaseModel):
    """Part of a turn (or of a rating's comment, without `turn_id`) in pieces: text, and whether it was searched for."""

    turn_id: str | None
    role: str | None
    pieces: list[tuple[str, bool]]


class RaisedOut(BaseModel):
    name: str
    probability: float


class FoundExchangeOut(BaseModel):
    """`id` is what `POST /exchanges/{id}/review` takes."""

    id: int
    turn_id: str
    question: str
    answer: str
    intent: str | None
    priority: float
    similarity: float | None
    raised: list[RaisedOut]
    item_id: int | None
    item_state: ItemState | None
    verdict: VerdictLabel | None


class FoundOut(BaseModel):
    """At most three exchanges that meet the search; `more_exchanges` says how many others there are."""

    conversation_id: str
    source: str
    channel: str | None
    began_at: datetime
    has_feedback: bool
    turns: int
    opening: str
    quotes: list[QuoteOut]
    exchanges: list[FoundExchangeOut]
    more_exchanges: int
    page: str


class SearchOut(BaseModel):
    """`waiting`: a worker has not answered by meaning yet, ask the same again in a second. `by`: what these were found by."""

    conversations: list[FoundOut]
    count: int
    more_than_count: bool
    cursor: str | None
    waiting: bool
    by: By


@router.get("/search", dependencies=[Depends(needs(Scope.review))])
def find_conversations(request: Request, given: Annotated[SearchIn, Query()], now: Now) -> SearchOut:
    """Conversations by words or meaning and by what is known of them. Continue with `cursor`."""
    db: Database = request.app.state.db
    wanted = read_fields(given.model_dump(exclude={"limit", "cursor"}))
    found = search.find(db, wanted, given.cursor or None, given.limit, now, request.app.state.redact)
    with db.read() as session:
        shown = results(session, wanted, found)
    return SearchOut(
        conversations=[_found(one) for one in shown],
        count=found.count,
        more_than_count=found.more,
        cursor=found.cursor,
        waiting=found.waiting,
        by=found.by,
    )


def _found(one: Result) -> FoundOut:
    return FoundOut(
        conversation_id=one.external_id,
        source=one.source,
        channel=one.channel,
        began_at=one.began_at,
        has_feedback=one.has_feedback,
        turns=one.turns,
        opening=one.opening,
        quotes=[QuoteOut(turn_id=place.turn_id, role=place.role, pieces=place.pieces) for place in one.places],
        exchanges=[_exchange(exchange) for exchange in one.exchanges],
        more_exchanges=one.more_exchanges,
        page=f"/conversations/{one.conversation_id}",
    )


def _exchange(one: FoundExchange) -> FoundExchangeOut:
    return FoundExchangeOut(
        id=one.id,
        turn_id=one.turn_id,
        question=one.question,
        answer=one.answer,
        intent=one.intent,
        priority=one.priority,
        similarity=one.alike,
        raised=[RaisedOut(name=name, probability=probability) for name, probability in one.raised],
        item_id=one.item_id,
        item_state=one.item_state,
        verdict=VerdictLabel(one.verdict) if one.verdict else None,
    )
