"""What a page of finds shows of each conversation: where the words stand, and its exchanges that meet the search."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import aliased, load_only
from sqlmodel import Session, col

from service.conversations import in_order
from service.filters import RAISED
from service.models import Conversation, Evidence, Exchange, Feedback, ItemState, ReviewItem, Searchable, Turn, Verdict
from service.search_words import Piece, Term, read_question, snippet, terms_in
from service.searching.conditions import listed, of_exchange
from service.searching.fields import By, Wanted
from service.searching.find import Found

PLACES = 3
"""Turns that are quoted of one conversation."""
EXCHANGES = 3
"""Exchanges that are listed of one conversation."""
_READ = 20_000
"""Characters of a text that are looked through for the words."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where words stand: in a turn, or in what a user wrote in a rating (then `turn_id` and `role` are None)."""

    turn_id: str | None
    role: str | None
    pieces: list[Piece]


@dataclass(frozen=True, slots=True)
class FoundExchange:
    id: int
    turn_id: str
    question: str
    answer: str
    intent: str | None
    priority: float
    alike: float | None
    """Cosine to the question, where it was asked by meaning."""
    raised: list[tuple[str, float]]
    """(signal, probability) of what speaks against the answer, strongest first."""
    item_id: int | None
    item_state: ItemState | None
    verdict: str | None


@dataclass(frozen=True, slots=True)
class Result:
    conversation_id: int
    external_id: str
    source: str
    channel: str | None
    began_at: datetime
    has_feedback: bool
    turns: int
    opening: str
    """What the user said first."""
    places: list[Place]
    exchanges: list[FoundExchange]
    more_exchanges: int


def results(session: Session, wanted: Wanted, found: Found) -> list[Result]:
    """The page's finds in their order; a conversation that went meanwhile is left out."""
    ids = found.conversations
    terms = read_question(wanted.q).wanted if found.by == By.words else ()
    heads = _heads(session, ids)
    turns = _turns(session, ids)
    comments = _comments(session, ids) if terms else {}
    chosen, others = _chosen(_exchanges(session, wanted, found), terms, found.alike or {})
    listed = _listed(session, chosen, found.alike or {})
    made = []
    for key in ids:
        if key not in heads:
            continue
        head, said = heads[key], turns.get(key, [])
        made.append(
            Result(
                conversation_id=key,
                external_id=head.external_id,
                source=head.source,
                channel=head.channel,
                began_at=head.began_at,
                has_feedback=head.has_feedback,
                turns=len(said),
                opening=next((turn.text for turn in said if turn.role == "user"), said[0].text if said else ""),
                places=_places(said, comments.get(key, []), terms),
                exchanges=listed.get(key, []),
                more_exchanges=others.get(key, 0),
            )
        )
    return made


def _heads(session: Session, ids: Sequence[int]) -> dict[int, Any]:
    found = session.execute(
        select(
            col(Conversation.id),
            col(Conversation.external_id),
            col(Searchable.source),
            col(Searchable.channel),
            col(Searchable.began_at),
            col(Searchable.has_feedback),
        )
        .join(Searchable, col(Searchable.conversation_id) == col(Conversation.id))
        .where(col(Conversation.id).in_(ids))
    )
    return {row.id: row for row in found}


def _turns(session: Session, ids: Sequence[int]) -> dict[int, list[Turn]]:
    needed = (Turn.conversation_id, Turn.external_id, Turn.role, Turn.text, Turn.at, Turn.position, Turn.received_at)
    statement = select(Turn).options(load_only(*needed, raiseload=True)).where(col(Turn.conversation_id).in_(ids))  # type: ignore[arg-type]
    found: dict[int, list[Turn]] = {}
    for turn in session.execute(statement).scalars():
        found.setdefault(turn.conversation_id, []).append(turn)
    return {key: in_order(said) for key, said in found.items()}


def _comments(session: Session, ids: Sequence[int]) -> dict[int, list[str]]:
    rows = session.execute(
        select(col(Feedback.conversation_id), col(Feedback.comment))
        .where(col(Feedback.conversation_id).in_(ids), col(Feedback.comment).is_not(None), ~col(Feedback.withdrawn))
        .order_by(col(Feedback.id))
    )
    found: dict[int, list[str]] = {}
    for key, comment in rows:
        found.setdefault(key, []).append(comment)
    return found


def _places(said: Sequence[Turn], comments: Sequence[str], terms: Sequence[Term]) -> list[Place]:
    """The turns that together hold most of the words, in the order in which they were said."""
    texts: list[tuple[str | None, str | None, str]] = [(turn.external_id, turn.role, turn.text[:_READ]) for turn in said]
    texts += [(None, None, comment[:_READ]) for comment in comments]
    holding = {place: held for place, (_, _, text) in enumerate(texts) if terms and (held := terms_in(text, terms))}
    chosen: list[int] = []
    shown: set[Term] = set()
    while holding and len(chosen) < PLACES:
        best = max(holding, key=lambda place: (len(holding[place] - shown), len(holding[place]), -place))
        shown |= holding.pop(best)
        chosen.append(best)
    return [Place(texts[place][0], texts[place][1], snippet(texts[place][2], terms)) for place in sorted(chosen)]


def _exchanges(session: Session, wanted: Wanted, found: Found) -> list[Any]:
    one: Any = aliased(Exchange)
    columns = (one.id, one.conversation_id, one.turn_id, one.question, one.answer, one.intent, one.priority)
    return list(
        session.execute(
            select(*columns).where(
                one.conversation_id.in_(found.conversations),
                *of_exchange(wanted, one, listed(session, list(found.alike)) if found.alike is not None else None),
            )
        )
    )


def _chosen(exchanges: Sequence[Any], terms: Sequence[Term], alike: Mapping[int, float]) -> tuple[list[Any], dict[int, int]]:
    """Of each conversation those that fit best, and how many others there are."""
    by_conversation: dict[int, list[Any]] = {}
    for one in exchanges:
        by_conversation.setdefault(one.conversation_id, []).append(one)
    chosen: list[Any] = []
    for mine in by_conversation.values():
        fits = {one.id: len(terms_in(f"{one.question[:_READ]} {one.answer[:_READ]}", terms)) for one in mine} if terms else {}
        mine.sort(key=lambda one: (-alike.get(one.id, 0.0), -fits.get(one.id, 0), -one.priority, one.id))
        chosen += mine[:EXCHANGES]
    return chosen, {key: len(mine) - EXCHANGES for key, mine in by_conversation.items() if len(mine) > EXCHANGES}


def _listed(session: Session, chosen: Sequence[Any], alike: Mapping[int, float]) -> dict[int, list[FoundExchange]]:
    ids = [one.id for one in chosen]
    raised: dict[int, list[tuple[str, float]]] = {}
    for exchange_id, name, probability in session.execute(
        select(col(Evidence.exchange_id), col(Evidence.name), col(Evidence.probability))
        .where(col(Evidence.exchange_id).in_(ids), col(Evidence.probability) >= RAISED)
        .order_by(col(Evidence.probability).desc())
    ):
        raised.setdefault(exchange_id, []).append((name, probability))
    items = {
        exchange_id: (item_id, ItemState(state), label)
        for exchange_id, item_id, state, label in session.execute(
            select(col(ReviewItem.exchange_id), col(ReviewItem.id), col(ReviewItem.state), col(Verdict.label))
            .join(Verdict, (col(Verdict.item_id) == col(ReviewItem.id)) & col(Verdict.withdrawn_at).is_(None), isouter=True)
            .where(col(ReviewItem.exchange_id).in_(ids))
        )
    }
    listed: dict[int, list[FoundExchange]] = {}
    for one in chosen:
        item_id, state, label = items.get(one.id, (None, None, None))
        listed.setdefault(one.conversation_id, []).append(
            FoundExchange(
                id=one.id,
                turn_id=one.turn_id,
                question=one.question,
                answer=one.answer,
                intent=one.intent,
                priority=one.priority,
                alike=alike.get(one.id),
                raised=raised.get(one.id, []),
                item_id=item_id,
                item_state=state,
                verdict=label,
            )
        )
    return listed
