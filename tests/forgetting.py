"""Builders for what is forgotten: a word in every place where a conversation's words may lie, and where it is found again."""

import json
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

from conftest import NOW, add_reviewer, ingest, make_disliked, make_triage, rows_of, score_all
from sqlalchemy import inspect, text, update
from sqlmodel import col

from scoring.encoder import HashingEncoder
from service import impact, review, watch
from service.claims import claim_item
from service.db import Database
from service.models import (
    ArticleVersion,
    Conversation,
    Delivery,
    DeliveryState,
    Evidence,
    Example,
    Exchange,
    Opinion,
    OpinionKind,
    ReviewItem,
    Skip,
    VerdictLabel,
)
from service.searching.index import index_due
from service.team import comments, relabel

WORD = "kohlrabi"
LATER = NOW + timedelta(hours=1)
MUCH_LATER = NOW + timedelta(days=400)


def places_of(db: Database, word: str) -> list[str]:
    """The tables that hold the word in any column, those of the search index included."""
    with db.read() as session:
        names = sorted(inspect(session.connection()).get_table_names())
        rows = {name: session.execute(text(f'SELECT * FROM "{name}"')).all() for name in names}
    return [name for name, found in rows.items() if word in str([[_plain(cell) for cell in row] for row in found]).lower()]


def _plain(cell: Any) -> Any:
    return cell.decode("latin-1") if isinstance(cell, bytes) else cell


def make_asked(id: str = "c1", question: str = f"How long does {WORD} keep?", **more: Any) -> dict[str, Any]:
    """A conversation that its user rated down, with the word wherever a platform can put it."""
    told = make_disliked(question, f"{WORD} keeps for a week.", id=id)
    user, bot = told["turns"]
    user |= {"metadata": {"user_id": "u-7", "said": WORD}, "intent": {"name": "storage", "confidence": 0.3, "text": WORD}}
    bot["retrieval"] = [{"id": "k", "title": f"On {WORD}", "text": f"{WORD} keeps.", "score": 0.4}]
    bot["feedback"][0] |= {"comment": f"no, {WORD} does not", "id": "f", "metadata": {"said": WORD}}
    last = {"id": "r", "role": "user", "text": f"That is not what I asked about {WORD}"}
    return {**told, "turns": [user, bot, last], "metadata": {"topic": WORD}, **more}


def make_known(db: Database, sinks: tuple[str, ...] = ("folder",)) -> int:
    """Conversation c1 with all that can be made of it, decided by anna with an article; c3 quotes it. The item's id."""
    triage = make_triage(db, HashingEncoder())
    ingest(db, make_asked(), make_disliked("Where is my parcel?", "It is on its way.", id="c3"))
    score_all(triage)
    triage.pick_due(LATER, Random(1))
    while index_due(db):
        pass
    anna, berta = add_reviewer(db, "anna"), add_reviewer(db, "berta")
    item_id = item_of(db, "c1")
    exchange_id = exchange_of(db, "c1")
    decision = review.Decision(
        VerdictLabel.wrong, intent="storage", answer="Two weeks when it is cold.", question="How long do vegetables keep?",
        comment=f"the user speaks of {WORD}",
    )  # fmt: skip
    with db.write() as session:
        comments.add_comment(session, item_id, anna, f"@berta is {WORD} ours?", "k1", LATER)
        review.save_draft(session, item_id, berta, {"comment": WORD}, LATER)
        draft = impact.Draft(f"How long does {WORD} keep?", "Two weeks.", (f"{WORD}?",))
        impact.ask(session, draft, LATER)
        session.add(
            Opinion(
                item_id=item_id, reviewer_id=berta, fence=9, kind=OpinionKind.review, label="wrong", comment=WORD, answer=WORD,
                question=WORD, causes=[], decided_at=LATER, withdrawn_at=LATER, withdrawn_reason=f"{WORD}!",
            )
        )  # fmt: skip
        session.add(Skip(item_id=item_id, reviewer_id=berta))
        claim = claim_item(session, item_id, anna, LATER, timedelta(hours=1))
        review.decide(session, item_id, anna, claim.fence, decision, sinks, LATER)
        other = exchange_of(db, "c3")
        session.execute(
            update(Evidence)
            .where(col(Evidence.exchange_id) == other, col(Evidence.name) == "user_feedback")
            .values(note=f"Elsewhere the answer was: {WORD}", other_id=exchange_id, detail={"key": exchange_id, "said": [WORD]})
        )
    version = rows_of(db, ArticleVersion)[-1]
    with db.write() as session:  # the knowledge base has it: its questions are watched
        session.execute(text("UPDATE publication SET state = 'published', published_at = :at"), {"at": LATER})
    watch.watch_due(db, HashingEncoder(), LATER + timedelta(minutes=1))
    with db.write() as session:
        seen = next(one for one in rows_of(db, Example) if one.verdict_id == version.verdict_id)
        relabel.keep(session, seen.id or 0, "storage", anna, LATER)
        session.add(_delivery("d1", DeliveryState.unreadable, {"conversation": {"id": "c1"}, "text": WORD}))
        session.add(_delivery("d2", DeliveryState.unreadable, {"conversation": {"id": "c12"}, "text": "of another"}))
        kept = {"spans": [{"span_id": "s", "conversation": "c1", "question": WORD}], "turns": [["c1", "s"]]}
        session.add(_delivery("trace:t9", DeliveryState.traced, kept))
    return item_id


def item_of(db: Database, conversation: str) -> int:
    exchange_id = exchange_of(db, conversation)
    return next(one.id for one in rows_of(db, ReviewItem) if one.exchange_id == exchange_id)


def exchange_of(db: Database, conversation: str) -> int:
    """The conversation's first exchange."""
    conversation_id = conversation_of(db, conversation)
    return next(one.id for one in rows_of(db, Exchange) if one.conversation_id == conversation_id)


def conversation_of(db: Database, name: str) -> int:
    (found,) = rows_of(db, Conversation, col(Conversation.external_id) == name)
    return int(found.id)


def bytes_of(db: Database) -> bytes:
    """The SQLite file with its log."""
    file = Path(db.url.removeprefix("sqlite:///"))
    log = file.with_name(f"{file.name}-wal")
    return (file.read_bytes() + (log.read_bytes() if log.exists() else b"")).lower()


def _delivery(name: str, state: DeliveryState, body: dict[str, Any]) -> Delivery:
    return Delivery(
        source="standard", external_id=name, received_at=LATER, state=state, reason="x", body=json.dumps(body).encode()
    )  # fmt: skip
