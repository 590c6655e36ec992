"""After a refit, what was scored before gets the new priorities: from what is stored, in chunks, whoever stops in between."""

from collections.abc import Sequence
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from conftest import NOW, ingest, make_conversation, make_disliked, make_triage, rows_of, score_all
from sqlalchemy import delete, text, update
from sqlalchemy.exc import DatabaseError
from sqlmodel import col

from scoring.encoder import Encoder, HashingEncoder, Vectors
from scoring.intents import IntentModel
from scoring.scorer import Scorer
from scoring.weights import Weights
from service.db import Database
from service.models import Evidence, Exchange, ReviewItem, Vector
from service.rescore import rescore_due
from service.vectors import StoredVectors

LATER = NOW + timedelta(hours=1)
HEAVY = Weights(0.3, {"user_feedback": 2.0, "intent_confidence": 3.0}, {}, (1.0, 0.5))


class SilentEncoder(HashingEncoder):
    """Has no words for anybody."""

    def encode(self, texts: Sequence[str]) -> Vectors:
        raise AssertionError("a text was encoded")


def fitted(encoder: Encoder, intents: dict[str, str]) -> IntentModel:
    texts = list(intents)
    return IntentModel.fit(texts, encoder.encode(texts), list(intents.values()), 0, encoder.digest)


SHOP = {
    "when do you open": "hours",
    "opening hours please": "hours",
    "are you open on sunday": "hours",
    "i want my money back": "refund",
    "refund my order": "refund",
    "can i get a refund": "refund",
}
OTHER = {text: f"shop.{intent}" for text, intent in SHOP.items()} | {
    "where is my parcel": "shop.delivery",
    "track it": "shop.delivery",
}
TALK = [
    make_disliked("when do you open on sunday", id="c1"),
    make_disliked("refund my money and where is my parcel", id="c2"),
    make_conversation(4, id="c3"),
    make_disliked("", id="c4"),
    {
        "id": "c5",
        "closed": True,
        "turns": [
            {"id": "q", "role": "user", "text": "refund me", "intent": {"name": "told", "confidence": 0.3}},
            {"id": "a", "role": "bot", "text": "No."},
        ],
    },
    *(
        {
            "id": f"told {told}",
            "closed": True,
            "turns": [
                {"id": "q", "role": "user", "text": f"{text} today?", "intent": {"name": told, "confidence": 0.8}},
                {"id": "a", "role": "bot", "text": "Certainly."},
            ],
        }
        for text, told in (("refund my order", "refund"), ("when do you open", "refund"), ("are you open", "shop.refund"))
    ),
]


def rescore(
    db: Database, intents: dict[str, IntentModel], weights: dict[str, Weights], limit: int = 100, now: Any = LATER
) -> int:
    encoder = SilentEncoder()
    return rescore_due(db, Scorer(encoder, StoredVectors(db)), encoder.digest, intents, weights, now, limit)


def scores(db: Database) -> list[Any]:
    """All that a score holds, in an order of its own."""
    found = {e.id: e for e in rows_of(db, Exchange)}
    evidence = sorted(
        (found[e.exchange_id].question, e.name, round(e.value, 9), round(e.probability, 9), e.turn_ids, e.note, e.detail)
        for e in rows_of(db, Evidence)
    )
    told = sorted(
        (e.question, e.turn_id, round(e.priority, 9), round(e.uncertainty, 9), e.because, e.intent, e.scored_by, e.versions)
        for e in found.values()
    )
    return [evidence, told]


def test_rescoring_gives_what_scoring_with_the_new_versions_gives(db: Database, hashing: Encoder, sqlite_url: str) -> None:
    old, new = {"standard": fitted(hashing, SHOP)}, {"standard": fitted(hashing, OTHER)}
    for kept, first in ((db, old), (Database(sqlite_url), new)):
        ingest(kept, *TALK)
        make_triage(kept, hashing).score_due(first, LATER, 100, None, {} if kept is db else {"": HEAVY})
    fresh = Database(sqlite_url)

    done = [rescore(db, new, {"": HEAVY}), rescore(db, new, {"": HEAVY})]

    assert done == [8, 0]
    assert scores(db) == scores(fresh)
    fresh.close()


def test_a_first_intent_model_reaches_what_was_scored_without_one(db: Database, hashing: Encoder) -> None:
    ingest(db, *TALK)
    score_all(make_triage(db, hashing))

    rescore(db, {"standard": fitted(hashing, SHOP)}, {})

    known = {e.question: e.intent for e in rows_of(db, Exchange)}
    assert known["when do you open on sunday"] == "hours"
    assert known["refund me"] == "told"
    assert known[""] is None


def test_open_items_move_in_the_queue_and_decided_ones_stay(db: Database, hashing: Encoder) -> None:
    ingest(db, *TALK)
    triage = make_triage(db, hashing)
    score_all(triage)
    triage.pick_due(LATER, Random(1))
    before = {item.id: item.priority for item in rows_of(db, ReviewItem)}
    decided = min(before)
    with db.write() as session:
        session.execute(update(ReviewItem).where(col(ReviewItem.id) == decided).values(state="done"))

    rescore(db, {}, {"": HEAVY})

    priorities = {e.id: e.priority for e in rows_of(db, Exchange)}
    items = rows_of(db, ReviewItem)
    assert {item.id for item in items if item.priority != before[item.id]} == set(before) - {decided}
    assert all(item.priority == priorities[item.exchange_id] for item in items if item.id != decided)


def test_a_source_with_weights_of_its_own_gets_those(db: Database, hashing: Encoder) -> None:
    ingest(db, make_disliked("when do you open"))
    ingest(db, make_disliked("when do you open"), source="other")
    score_all(make_triage(db, hashing))

    while rescore(db, {}, {"other": HEAVY}):
        pass

    assert {e.source: e.versions["weights"] for e in rows_of(db, Exchange)} == {
        "standard": Weights.default().version,
        "other": HEAVY.version,
    }


def test_killed_between_chunks_it_goes_on_where_it_stopped(db: Database, hashing: Encoder) -> None:
    ingest(db, *(make_disliked(f"question {n}", id=f"c{n}") for n in range(25)))
    score_all(make_triage(db, hashing))

    first = rescore(db, {}, {"": HEAVY}, limit=10)
    halfway = [e.scored_by for e in rows_of(db, Exchange)]
    other_process = Database(db.url)
    rest = [rescore(other_process, {}, {"": HEAVY}, limit=10) for _ in range(3)]
    other_process.close()

    assert (first, rest) == (10, [10, 5, 0])
    assert sum(HEAVY.version in one for one in halfway) == 10
    assert all(HEAVY.version in e.scored_by for e in rows_of(db, Exchange))


def test_a_chunk_that_fails_midway_changes_nothing_and_is_done_later(db: Database, hashing: Encoder) -> None:
    ingest(db, *TALK)
    triage = make_triage(db, hashing)
    score_all(triage)
    triage.pick_due(LATER, Random(1))
    before = scores(db)
    model = {"standard": fitted(hashing, SHOP)}
    with db.write() as session:  # exchanges can be changed, their items cannot
        session.execute(text("ALTER TABLE review_item RENAME TO elsewhere"))

    with pytest.raises(DatabaseError):
        rescore(db, model, {"": HEAVY})
    after_failure = scores(db)
    with db.write() as session:
        session.execute(text("ALTER TABLE elsewhere RENAME TO review_item"))

    assert after_failure == before
    assert rescore(db, model, {"": HEAVY}) == 8


def test_what_is_scored_anew_meanwhile_is_left_as_it_is(db: Database, hashing: Encoder) -> None:
    ingest(db, make_disliked("when do you open"))
    score_all(make_triage(db, hashing))
    with db.write() as session:
        session.execute(update(Exchange).values(scored_by="older"))
    (old,) = rows_of(db, Exchange)
    scorer = _Interrupted(db, hashing)

    done = rescore_due(db, scorer, hashing.digest, {}, {"": HEAVY}, LATER)

    (exchange,) = rows_of(db, Exchange)
    assert done == 1
    assert exchange.scored_at > old.scored_at
    assert exchange.priority == old.priority
    assert exchange.versions["weights"] == Weights.default().version


class _Interrupted(Scorer):
    """The conversation is scored anew while its rescoring is computed."""

    def __init__(self, db: Database, encoder: Encoder) -> None:
        super().__init__(encoder, StoredVectors(db))
        self._db = db

    @property
    def thresholds(self) -> dict[str, float]:
        with self._db.write() as session:
            session.execute(update(Exchange).values(scored_at=LATER + timedelta(minutes=1)))
        return {}


def test_a_question_without_a_stored_vector_keeps_what_was_found(db: Database, hashing: Encoder) -> None:
    ingest(db, make_disliked("when do you open"))
    make_triage(db, hashing).score_due({"standard": fitted(hashing, SHOP)}, LATER, 10)
    before = [(e.name, e.probability) for e in rows_of(db, Evidence)]
    with db.write() as session:
        session.execute(delete(Vector))

    done = rescore(db, {"standard": fitted(hashing, OTHER)}, {})

    assert done == 1
    assert [(e.name, e.probability) for e in rows_of(db, Evidence)] == before
    assert rows_of(db, Exchange)[0].intent == "hours"
