"""A find as programs read it: the JSON API's and the command line's."""

from datetime import datetime

from pydantic import BaseModel

from service.models import ItemState, VerdictLabel
from service.searching.results import FoundExchange, Result


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


def told(one: Result) -> FoundOut:
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
