"""A search's conditions in the words of each database: FTS5 on SQLite, tsvector on PostgreSQL, rows for the rest."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from sqlalchemy import Integer, cast, column, false, func, literal, literal_column, select, table
from sqlalchemy.orm import aliased
from sqlmodel import Session, col

from service.filters import RAISED
from service.models import Evidence, Exchange, ReviewItem, Searchable, Verdict
from service.search_words import Question, as_fts5, as_tsquery, read_question
from service.searching.fields import UNREVIEWED, By, Wanted

FEW = 15_000
"""Ids that one statement is given at most."""
_FTS5 = table("searchable_words", column("rowid"), column("rank"), column("searchable_words"))


def of_conversation(session: Session, wanted: Wanted) -> list[Any]:
    conditions: list[Any] = []
    if wanted.source is not None:
        conditions.append(col(Searchable.source) == wanted.source)
    if wanted.channel is not None:
        conditions.append(col(Searchable.channel) == wanted.channel)
    if wanted.feedback is not None:
        conditions.append(col(Searchable.has_feedback) == wanted.feedback)
    if wanted.since is not None:
        conditions.append(col(Searchable.began_at) >= _midnight(wanted.since))
    if wanted.until is not None:
        conditions.append(col(Searchable.began_at) < _midnight(wanted.until) + timedelta(days=1))
    if wanted.q and wanted.by == By.words:
        conditions += _words(session, wanted.q)
    return conditions


def listed(session: Session, ids: Sequence[int]) -> Any:
    """These ids as one parameter, to stand behind IN: thousands of parameters cost more than what they look for."""
    if _is_sqlite(session):
        return select(func.json_each(json.dumps(list(ids))).table_valued("value").c.value)
    from sqlalchemy.dialects.postgresql import ARRAY  # the web process on SQLite starts without it

    return select(func.unnest(literal(list(ids), ARRAY(Integer))))


def of_exchange(wanted: Wanted, one: Any, among: Any = None) -> list[Any]:
    """The conditions on an exchange; `one` is the alias that they are about, `among` the list of ids that it is of."""
    conditions: list[Any] = []
    if among is not None:
        conditions.append(one.id.in_(among))
    if wanted.intent is not None:
        conditions.append(one.intent == wanted.intent)
    if wanted.least is not None:
        conditions.append(one.priority >= wanted.least)
    if wanted.most is not None:
        conditions.append(one.priority <= wanted.most)
    if wanted.signal is not None:
        raised = select(col(Evidence.exchange_id)).where(
            col(Evidence.name) == wanted.signal, col(Evidence.probability) >= RAISED, col(Evidence.exchange_id) == one.id
        )
        conditions.append(raised.correlate(one).exists())
    if wanted.verdict is not None:
        given = (
            select(col(Verdict.id))
            .join(ReviewItem, col(ReviewItem.id) == col(Verdict.item_id))
            .where(col(ReviewItem.exchange_id) == one.id, col(Verdict.withdrawn_at).is_(None))
        )
        if wanted.verdict == UNREVIEWED:
            conditions.append(~given.correlate(one).exists())
        else:
            conditions.append(given.where(col(Verdict.label) == wanted.verdict).correlate(one).exists())
    return conditions


def meets(wanted: Wanted, among: Any) -> Any:
    """The condition on a conversation that one of its exchanges meets what is asked of exchanges."""
    one: Any = aliased(Exchange)
    holds = of_exchange(wanted, one, among)
    if among is not None:
        return col(Searchable.conversation_id).in_(select(one.conversation_id).where(*holds))
    return select(one.id).where(one.conversation_id == col(Searchable.conversation_id), *holds).correlate(Searchable).exists()


def few_exchanges(session: Session, wanted: Wanted) -> tuple[Wanted, Any]:
    """What is left to ask once the rarest thing asked of exchanges is met, and the list of those that meet it.

    The list is None where nothing asked is rare. Neither planner knows which of several conditions is the rare one, and walking
    past everything else costs seconds where there are hundreds of thousands. Each look reads at most FEW entries of one index.
    """
    one: Any = aliased(Exchange)
    looks: list[tuple[Any, dict[str, Any]]] = []
    if wanted.intent is not None:
        looks.append((select(one.id).where(one.intent == wanted.intent), {"intent": None}))
    if wanted.least is not None or wanted.most is not None:
        least, most = wanted.least or 0.0, 1.0 if wanted.most is None else wanted.most
        looks.append((select(one.id).where(one.priority >= least, one.priority <= most), {"least": None, "most": None}))
    if wanted.signal is not None:
        raised = select(col(Evidence.exchange_id)).where(col(Evidence.name) == wanted.signal, col(Evidence.probability) >= RAISED)
        looks.append((raised, {"signal": None}))
    if wanted.verdict not in (None, UNREVIEWED):
        given = select(col(ReviewItem.exchange_id)).join(Verdict, col(Verdict.item_id) == col(ReviewItem.id))
        given = given.where(col(Verdict.label) == wanted.verdict, col(Verdict.withdrawn_at).is_(None))
        looks.append((given, {"verdict": None}))
    found = [(list(session.execute(look.limit(FEW + 1)).scalars()), met) for look, met in looks]
    few = [one for one in found if len(one[0]) <= FEW]
    if not few:
        return wanted, None
    ids, met = min(few, key=lambda one: len(one[0]))
    return replace(wanted, **met), listed(session, ids)


def few_conversations(session: Session, conditions: Sequence[Any]) -> Any:
    """The list of the conversations that meet these conditions, where they are few."""
    found = list(session.execute(select(col(Searchable.conversation_id)).where(*conditions).limit(FEW + 1)).scalars())
    return listed(session, found) if len(found) <= FEW else None


def ranked(session: Session, wanted: Wanted) -> Any:
    """(conversation, rank), best first: BM25 on SQLite, on PostgreSQL how often and how near each other in how long a text."""
    question = read_question(wanted.q)
    conditions = of_conversation(session, replace(wanted, q=""))
    if wanted.asks_exchange():
        conditions.append(meets(*few_exchanges(session, wanted)))
    if _is_sqlite(session):
        ranked = (
            select(_FTS5.c.rowid, _FTS5.c.rank)
            .join(Searchable, col(Searchable.conversation_id) == _FTS5.c.rowid)
            .where(_FTS5.c.searchable_words.op("MATCH")(_match(question)), *conditions)
        )
        return ranked.order_by(_FTS5.c.rank, _FTS5.c.rowid.desc())
    asked = _tsquery(question)
    rank = func.ts_rank(literal_column("searchable.words"), asked, 1)
    ranked = select(col(Searchable.conversation_id), rank).where(_stands_in(asked), *conditions)
    return ranked.order_by(rank.desc(), col(Searchable.conversation_id).desc())


def _words(session: Session, asked: str) -> list[Any]:
    """The conditions that these words make. What holds no word finds nothing."""
    question = read_question(asked)
    if not question.wanted and not question.unwanted:
        return [false()]
    if not _is_sqlite(session):
        return [_stands_in(_tsquery(question))]
    if not question.wanted:
        return [col(Searchable.conversation_id).not_in(_fts5(as_fts5(question.unwanted, "OR")))]
    return [col(Searchable.conversation_id).in_(_fts5(_match(question)))]


def _is_sqlite(session: Session) -> bool:
    return session.get_bind().dialect.name == "sqlite"


def _match(question: Question) -> str:
    wanted = as_fts5(question.wanted)
    return f"({wanted}) NOT ({as_fts5(question.unwanted, 'OR')})" if question.unwanted else wanted


def _fts5(match: str) -> Any:
    return select(_FTS5.c.rowid).where(_FTS5.c.searchable_words.op("MATCH")(match))


def _tsquery(question: Question) -> Any:
    from sqlalchemy.dialects.postgresql import TSQUERY  # the web process on SQLite starts without it

    parts = [f"({as_tsquery(question.wanted)})"] if question.wanted else []
    parts += [f"!({as_tsquery(question.unwanted, '|')})"] if question.unwanted else []
    return cast(" & ".join(parts), TSQUERY)


def _stands_in(asked: Any) -> Any:
    return literal_column("searchable.words").op("@@")(asked)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)
