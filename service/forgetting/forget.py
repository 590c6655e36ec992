"""Takes the words of whole conversations out of everything that was made of them, in one transaction.

What numbers are made of stays, so that the quality report says the same as before: that an exchange was, when, its intent,
priority and propensity, how strongly each signal spoke, labels and causes of verdicts, ratings. docs/operations.md says of
each thing whether it goes or stays, and why.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import bindparam, delete, select, update
from sqlmodel import Session, col

from scoring.clauses import clauses
from scoring.vectors import content_hash
from service.db import chunks, table_of
from service.errors import Gone
from service.forgetting.knowledge import forget_articles, forget_drafts_of_articles, forget_examples, forget_watches
from service.forgetting.reviews import forget_reviews
from service.models import Conversation, Evidence, Exchange, Feedback, ForgottenBecause, ReviewItem, Searchable, Turn
from service.removals import forget_vectors

NOTHING = content_hash("")
QUOTED = "It was compared with an answer of another conversation, which is forgotten."
"""Note of evidence that quoted a forgotten exchange."""
ERASED = (ForgottenBecause.request, ForgottenBecause.platform)
"""Of a conversation that is forgotten for one of these, nothing is taken in any more."""


def forget(session: Session, conversation_ids: Sequence[int], because: ForgottenBecause, now: datetime) -> int:
    """No table holds a word of these conversations any more; how many had not been forgotten for this yet.

    Twice changes nothing. Who scores or indexes one of them meanwhile finds it changed and stores nothing.
    """
    done = 0
    for part in chunks(sorted(set(conversation_ids)), 100):
        ids = _hold(session, part, because)
        if ids:
            _forget(session, ids, because, now)
            done += len(ids)
    return done


def erased(session: Session, source: str, names: Iterable[str]) -> set[str]:
    """Those of the platform's ids of which nothing is taken in any more."""
    found: set[str] = set()
    for part in chunks(sorted(set(names))):
        rows = select(col(Conversation.external_id)).where(
            col(Conversation.source) == source,
            col(Conversation.external_id).in_(part),
            col(Conversation.forgotten_because).in_(ERASED),
        )
        found |= set(session.execute(rows).scalars())
    return found


def refuse_forgotten(session: Session, item_id: int) -> None:
    """Return if the item's conversation still has its words.

    Raises
    ------
    Gone
        It is forgotten: nothing more can be written about it.
    """
    if is_forgotten(session, item_id):
        raise Gone("this conversation was forgotten: its words are gone, and so is what was written about it")


def is_forgotten(session: Session, item_id: int) -> bool:
    found = select(col(Exchange.forgotten)).join(ReviewItem, col(ReviewItem.exchange_id) == col(Exchange.id))
    return bool(session.execute(found.where(col(ReviewItem.id) == item_id)).scalar())


def without_words(detail: dict[str, Any]) -> dict[str, Any]:
    """The figures of evidence: texts and lists go."""
    return {name: value for name, value in detail.items() if isinstance(value, int | float)}


def _hold(session: Session, ids: Sequence[int], because: ForgottenBecause) -> list[int]:
    """Those that have words, or that are forgotten for their age alone; in the order in which scoring and ingest hold them."""
    wanted: Any = col(Conversation.forgotten_because).is_(None)
    if because != ForgottenBecause.age:
        wanted |= col(Conversation.forgotten_because) == ForgottenBecause.age
    held = select(col(Conversation.id)).where(col(Conversation.id).in_(ids), wanted).order_by(col(Conversation.id))
    return [int(key) for key in session.execute(held.with_for_update()).scalars()]


@dataclass(frozen=True, slots=True)
class _Said:
    """Rows (id, source, question) of the exchanges, and all texts of which scoring may have stored vectors."""

    exchanges: Sequence[Any]
    texts: set[str]


def _forget(session: Session, ids: Sequence[int], because: ForgottenBecause, now: datetime) -> None:
    said = _read(session, ids)
    exchange_ids = [row.id for row in said.exchanges]
    _empty_turns(session, ids)
    for part in chunks(exchange_ids):
        session.execute(
            update(Exchange)
            .where(col(Exchange.id).in_(part))
            .values(question="", answer="", question_hash=NOTHING, reviewed=True, forgotten=True)
            .execution_options(synchronize_session=False)
        )
        _empty_evidence(session, col(Evidence.exchange_id).in_(part), "")
        _empty_evidence(session, col(Evidence.other_id).in_(part), QUOTED)
    verdict_ids = forget_reviews(session, exchange_ids, now)
    asked = {(row.source, row.question) for row in said.exchanges}
    forget_examples(session, verdict_ids, asked)
    forget_watches(session, verdict_ids, {question for _, question in asked})
    forget_drafts_of_articles(session, exchange_ids, {question for _, question in asked})
    if because in ERASED:
        forget_articles(session, verdict_ids, {question for _, question in asked}, now)
    forget_vectors(session, said.texts)
    session.execute(delete(Searchable).where(col(Searchable.conversation_id).in_(ids)))
    # Last: emptied turns make their conversation due to be indexed (see the migration of search).
    revision = col(Conversation.revision) + 1
    session.execute(
        update(Conversation)
        .where(col(Conversation.id).in_(ids))
        .values(
            details={},
            due_at=None,
            claimed_until=None,
            revision=revision,
            searchable_revision=revision,
            forgotten_at=now,
            forgotten_because=because,
        )
        .execution_options(synchronize_session=False)
    )


def _read(session: Session, ids: Sequence[int]) -> _Said:
    exchanges = session.execute(
        select(col(Exchange.id), col(Exchange.source), col(Exchange.question), col(Exchange.answer))
        .where(col(Exchange.conversation_id).in_(ids), ~col(Exchange.forgotten))
        .order_by(col(Exchange.id))
        .with_for_update()  # in the order in which acquisition and scoring hold them
    ).all()
    turns = session.execute(
        select(col(Turn.conversation_id), col(Turn.role), col(Turn.text))
        .where(col(Turn.conversation_id).in_(ids))
        .order_by(col(Turn.conversation_id), col(Turn.position), col(Turn.at), col(Turn.id))
    ).all()
    texts = {text for row in exchanges for text in (row.question, row.answer)} | _texts_of(turns)
    return _Said(exchanges, {text for text in texts if text.strip()})


def _texts_of(turns: Iterable[Any]) -> set[str]:
    """Turns, and runs of turns by one speaker as scoring joins them, with the clauses that it looks at apart."""
    texts: set[str] = set()
    for _, run in groupby(turns, key=lambda turn: (turn.conversation_id, turn.role)):
        said = [turn.text for turn in run]
        texts.update(said, ["\n".join(said)])
    return texts | {part for text in texts for part in clauses(text)}


def _empty_turns(session: Session, ids: Sequence[int]) -> None:
    """Who spoke when stays: under their ids the platform's turns are known when they are told again."""
    nothing: dict[str, Any] = {"intent": None, "retrieval": None, "details": {}}
    session.execute(
        update(Turn)
        .where(col(Turn.conversation_id).in_(ids))
        .values(text="", removed=True, **nothing)
        .execution_options(synchronize_session=False)
    )
    session.execute(
        update(Feedback)
        .where(col(Feedback.conversation_id).in_(ids))
        .values(comment=None, details={}, forgotten=True)
        .execution_options(synchronize_session=False)
    )


def _empty_evidence(session: Session, which: Any, note: str) -> None:
    table = table_of(Evidence)
    rows = session.execute(select(table.c.id, table.c.detail).where(which).order_by(table.c.id)).all()
    if rows:
        session.connection().execute(
            update(table).where(table.c.id == bindparam("row")).values(note=note, detail=bindparam("kept")),
            [{"row": key, "kept": without_words(detail)} for key, detail in rows],
        )
