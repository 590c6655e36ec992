"""Finds conversations by words or by meaning, narrowed by what is known of them and of their exchanges, page by page.

A page's cursor names the last find shown, not a number of finds passed over: what comes in meanwhile neither repeats a
conversation nor hides one. Relevance changes with every conversation that comes in, so a list by relevance is kept.
"""

import hashlib
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, literal, select, tuple_
from sqlalchemy.orm import aliased
from sqlmodel import Session, col

from service.db import Database, insert_into
from service.errors import Invalid
from service.models import Conversation, Exchange, Searchable, SearchRequest
from service.privacy import Redact
from service.search_words import read_question
from service.searching.conditions import few_conversations, few_exchanges, listed, meets, of_conversation, of_exchange, ranked
from service.searching.fields import By, Order, Wanted, as_fields

COUNTED = 1_000
"""Finds are counted, and listed by relevance, up to here."""
KEPT = timedelta(hours=1)
FRESH = timedelta(minutes=5)
"""How long an answer by meaning serves everybody who asks the same."""
PATIENCE = timedelta(seconds=8)
"""How long a question waits for a worker before words serve instead."""
LEAST_ALIKE = 0.3
"""Cosine below which questions are not about the same: unrelated ones of the packaged model stay below 0.2."""
_MOST_ID = 2**31 - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Found:
    """A page of finds: ids of conversations in their order."""

    conversations: list[int]
    count: int
    more: bool
    """There are more than were counted."""
    cursor: str | None
    """Of the next page; None where this is the last."""
    by: By
    """By what these were found: words serve where no worker answers a question by meaning."""
    waiting: bool = False
    """A worker has not answered yet: ask again in a second."""
    alike: dict[int, float] | None = None
    """By meaning, the cosine of each exchange found."""


def find(db: Database, wanted: Wanted, cursor: str | None, limit: int, now: datetime, redact: Redact = str) -> Found:
    """The page after the cursor. A question by meaning is stored for the worker: `redact` goes over it first.

    Raises
    ------
    Invalid
        The cursor is of another search, or none of ours.
    """
    if wanted.q and wanted.by == By.meaning:
        request = _asked(db, wanted, cursor, now, redact)
        if request.found is not None:
            alike = {key: cosine for key, cosine in request.found if cosine >= LEAST_ALIKE}
            with db.read() as session:
                if wanted.ordered() == Order.relevance:
                    return _most_alike(session, wanted, request.id or 0, alike, cursor, limit)
                return _in_order(session, wanted, cursor, limit, alike)
        if now - request.made_at < PATIENCE:
            return Found([], 0, False, None, By.meaning, waiting=True)
        wanted = replace(wanted, by=By.words)
    if wanted.ordered() == Order.relevance and read_question(wanted.q).wanted:
        return _most_relevant(db, wanted, cursor, limit, now)
    with db.read() as session:
        return _in_order(session, wanted, cursor, limit)


def not_searchable_yet(session: Session) -> int:
    """How many conversations search does not know yet, or not as they are now."""
    due = select(func.count()).where(col(Conversation.searchable_revision) != col(Conversation.revision))
    return int(session.execute(due).scalar_one())


def choices(session: Session) -> dict[str, list[str]]:
    """What there is to choose from."""
    columns = {"source": col(Searchable.source), "channel": col(Searchable.channel), "intent": col(Exchange.intent)}
    return {name: _values(session, column) for name, column in columns.items()}


def _values(session: Session, column: Any) -> list[str]:
    """A column's values in order, one index look-up each: a million rows with five channels cost as much as five."""
    value = select(func.min(column).label("value")).cte("value", recursive=True)
    following = select(func.min(column)).where(column > value.c.value).scalar_subquery()
    value = value.union_all(select(following).where(value.c.value.is_not(None)))
    return list(session.execute(select(value.c.value).where(value.c.value.is_not(None))).scalars())


# --- by date and by priority: the database's order, a page begins after the last find ---------------------------------


def _in_order(session: Session, wanted: Wanted, cursor: str | None, limit: int, alike: dict[int, float] | None = None) -> Found:
    order = Order.priority if wanted.ordered() == Order.priority else Order.date
    conditions = of_conversation(session, wanted)
    left, among = few_exchanges(session, wanted) if alike is None else (wanted, listed(session, list(alike)))
    few = few_conversations(session, conditions) if wanted.q or (order == Order.priority and conditions) else None
    if few is not None:
        conditions = [col(Searchable.conversation_id).in_(few)]
    counted = select(col(Searchable.conversation_id)).where(*conditions)
    if order == Order.priority or wanted.asks_exchange() or alike is not None:
        counted = counted.where(meets(left, among))
    if order == Order.date:
        place: tuple[Any, Any] = (col(Searchable.began_at), col(Searchable.conversation_id))
        page = counted.add_columns(*place)
    else:
        page, place = _by_priority(left, among, conditions, few)
    if cursor is not None:
        last = [literal(value, column.type) for value, column in zip(_read_place(cursor, order), place, strict=True)]
        page = page.where(tuple_(*place) < tuple_(*last))
    rows = session.execute(page.order_by(place[0].desc(), place[1].desc()).limit(limit + 1)).all()
    count = session.execute(select(func.count()).select_from(counted.limit(COUNTED + 1).subquery())).scalar_one()
    return Found(
        conversations=[row[0] for row in rows[:limit]],
        count=min(count, COUNTED),
        more=count > COUNTED,
        cursor=_write_place(order, *rows[limit - 1][1:]) if len(rows) > limit else None,
        by=By.meaning if alike is not None else By.words,
        alike=alike,
    )


def _by_priority(wanted: Wanted, among: Any, conditions: list[Any], few: Any) -> tuple[Any, tuple[Any, Any]]:
    """Exchanges that no other exchange of their conversation comes before: each conversation once, at its best."""
    one: Any = aliased(Exchange)
    better: Any = aliased(Exchange)
    beaten = select(better.id).where(
        better.conversation_id == one.conversation_id,
        tuple_(better.priority, better.id) > tuple_(one.priority, one.id),
        *of_exchange(wanted, better, among),
    )
    if few is not None:
        found = one.conversation_id.in_(few)
    else:
        known = select(col(Searchable.conversation_id)).where(col(Searchable.conversation_id) == one.conversation_id)
        found = known.where(*conditions).exists()
    page = select(one.conversation_id, one.priority, one.id).where(found, *of_exchange(wanted, one, among), ~beaten.exists())
    return page, (one.priority, one.id)


# --- by relevance: a list that is kept, a page begins after a place in it ---------------------------------------------


def _most_relevant(db: Database, wanted: Wanted, cursor: str | None, limit: int, now: datetime) -> Found:
    """By words. The list is kept only where there is a second page."""
    key = _key("words", wanted)
    if cursor is not None:
        request, place = _kept(db, key, cursor)
        return _part([conversation_id for conversation_id, _ in request.found or []], place, limit, request.id, By.words)
    with db.read() as session:
        listed = session.execute(ranked(session, wanted).limit(COUNTED + 1)).all()
    request_id = None
    if len(listed) > limit:
        with db.write() as session:
            session.execute(delete(SearchRequest).where(col(SearchRequest.made_at) < now - KEPT))
            kept = {"key": key, "made_at": now, "answered_at": now, "found": [[row[0], round(row[1], 6)] for row in listed]}
            request_id = session.execute(
                insert_into(session, SearchRequest).values(kept).returning(col(SearchRequest.id))
            ).scalar_one()
    return _part([row[0] for row in listed], 0, limit, request_id, By.words)


def _most_alike(
    session: Session, wanted: Wanted, request_id: int, alike: dict[int, float], cursor: str | None, limit: int
) -> Found:
    """By meaning: the worker's list, narrowed; a conversation stands where its nearest question does."""
    place = _read_list_place(cursor)[1] if cursor is not None else 0
    one: Any = aliased(Exchange)
    meets = session.execute(
        select(one.id, one.conversation_id)
        .join(Searchable, col(Searchable.conversation_id) == one.conversation_id)
        .where(*of_conversation(session, wanted), *of_exchange(wanted, one, listed(session, list(alike))))
    )
    conversation_of = dict(meets.all())
    conversations = list(dict.fromkeys(conversation_of[key] for key in alike if key in conversation_of))
    return replace(_part(conversations, place, limit, request_id, By.meaning), alike=alike)


def _part(conversations: list[int], place: int, limit: int, request_id: int | None, by: By) -> Found:
    return Found(
        conversations=conversations[place : min(place + limit, COUNTED)],
        count=min(len(conversations), COUNTED),
        more=len(conversations) > COUNTED,
        cursor=f"list:{request_id}:{place + limit}" if min(len(conversations), COUNTED) > place + limit else None,
        by=by,
    )


def _asked(db: Database, wanted: Wanted, cursor: str | None, now: datetime, redact: Redact) -> SearchRequest:
    """The question in the table that workers answer from: one that was put already, or a new one."""
    key = _key("meaning", Wanted(q=wanted.q, by=By.meaning, source=wanted.source))
    if cursor is not None and wanted.ordered() == Order.relevance:
        request, _ = _kept(db, key, cursor)
        return request
    put = (
        select(SearchRequest)
        .where(col(SearchRequest.key) == key, col(SearchRequest.made_at) > now - FRESH)
        .order_by(col(SearchRequest.id).desc())
        .limit(1)
    )
    with db.read() as session:
        known: SearchRequest | None = session.execute(put).scalar_one_or_none()
    if known is not None:
        return known
    with db.write() as session:
        session.execute(delete(SearchRequest).where(col(SearchRequest.made_at) < now - KEPT))
        request = SearchRequest(key=key, text=redact(wanted.q), source=wanted.source, made_at=now)
        session.add(request)
        session.flush()
        return request


def _kept(db: Database, key: str, cursor: str) -> tuple[SearchRequest, int]:
    request_id, place = _read_list_place(cursor)
    with db.read() as session:
        request = session.get(SearchRequest, request_id)
    if request is None:
        raise Invalid("cursor: this list is no longer kept; search again")
    if request.key != key:
        raise Invalid("cursor: it belongs to another search")
    return request, place


def _key(kind: str, wanted: Wanted) -> str:
    told = json.dumps([kind, as_fields(wanted)], sort_keys=True)
    return hashlib.blake2b(told.encode(), digest_size=16).hexdigest()


# --- cursors ---------------------------------------------------------------------------------------------------------


def _write_place(order: Order, at: datetime | float, key: int) -> str:
    return f"{order}:{_micros(at) if isinstance(at, datetime) else repr(at)}:{key}"


def _micros(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1)


def _read_place(cursor: str, order: Order) -> tuple[datetime | float, int]:
    kind, at, key = _split(cursor)
    if kind != order:
        raise Invalid("cursor: it belongs to another search")
    try:
        place = _EPOCH + timedelta(microseconds=int(at)) if order == Order.date else float(at)
        return place, _an_id(key)
    except (ValueError, OverflowError) as error:
        raise Invalid("cursor: none of ours; leave it out to begin") from error


def _read_list_place(cursor: str) -> tuple[int, int]:
    kind, request_id, place = _split(cursor)
    try:
        if kind == "list":
            return _an_id(request_id), _an_id(place)
    except ValueError as error:
        raise Invalid("cursor: none of ours; leave it out to begin") from error
    raise Invalid("cursor: it belongs to another search")


def _split(cursor: str) -> list[str]:
    parts = cursor.split(":")
    if len(parts) != 3:
        raise Invalid("cursor: none of ours; leave it out to begin")
    return parts


def _an_id(told: str) -> int:
    key = int(told)
    if not 0 <= key <= _MOST_ID:
        raise ValueError(told)
    return key
