"""After a refit, what was scored before gets the new priorities: from what is stored, in chunks, whoever stops in between."""

from collections.abc import Sequence, Set
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from conftest import NOW, closed, ingest, make_conversation, make_disliked, make_triage, rows_of, score_all, turn_added
from sqlalchemy import delete, text, update
from sqlalchemy.exc import DatabaseError
from sqlmodel import col

from scoring.encoder import Encoder, HashingEncoder, Vectors
from scoring.intents import IntentModel
from scoring.scorer import Scorer
from scoring.transcripts import Transcript, split
from scoring.weights import Weights
from service.db import Database
from service.models import Evidence, Exchange, ReviewItem, Vector
from service.rescore import rescore_due
from service.transcripts import load_asked, load_transcripts
from service.triage import Triage
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


def test_of_a_chunk_only_those_scored_anew_meanwhile_are_left_out(db: Database, hashing: Encoder) -> None:
    ingest(db, *TALK)
    make_triage(db, hashing).score_due({"standard": fitted(hashing, SHOP)}, LATER, 100)
    overtaken = {e.id for e in rows_of(db, Exchange) if e.question in ("refund me", "when do you open on sunday")}
    before = {e.id: e.detail for e in rows_of(db, Evidence, col(Evidence.exchange_id).in_(overtaken))}
    scorer = _Interrupted(db, hashing, overtaken)

    done = rescore_due(db, scorer, hashing.digest, {"standard": fitted(hashing, OTHER)}, {"": HEAVY}, LATER)

    assert done == 8
    assert {e.id for e in rows_of(db, Exchange) if HEAVY.version not in e.scored_by} == overtaken
    assert {e.id: e.detail for e in rows_of(db, Evidence, col(Evidence.exchange_id).in_(overtaken))} == before


class _Interrupted(Scorer):
    """Exchanges (all, if none are named) are scored anew while their rescoring is computed."""

    def __init__(self, db: Database, encoder: Encoder, overtaken: Set[int] = frozenset()) -> None:
        super().__init__(encoder, StoredVectors(db))
        self._db = db
        self._overtaken = sorted(overtaken)

    @property
    def thresholds(self) -> dict[str, float]:
        named = [col(Exchange.id).in_(self._overtaken)] if self._overtaken else []
        with self._db.write() as session:
            session.execute(update(Exchange).where(*named).values(scored_at=LATER + timedelta(minutes=1)))
        return {}


def test_killed_within_a_chunk_it_keeps_what_is_stored_and_does_the_rest_later(db: Database, hashing: Encoder) -> None:
    ingest(db, make_conversation(1300))  # 650 exchanges
    score_all(make_triage(db, hashing))

    with pytest.raises(KeyboardInterrupt):
        rescore_due(db, _Killed(hashing, StoredVectors(db)), hashing.digest, {}, {"": HEAVY}, LATER)
    stored = sum(HEAVY.version in e.scored_by for e in rows_of(db, Exchange))
    rest = [rescore(db, {}, {"": HEAVY}, limit=1000) for _ in range(2)]

    assert 0 < stored < 650
    assert rest == [650 - stored, 0]


class _Killed(Scorer):
    """Ends the process when the second write session is prepared."""

    _asked = 0

    @property
    def thresholds(self) -> dict[str, float]:
        self._asked += 1
        if self._asked > 1:
            raise KeyboardInterrupt
        return {}


def test_items_that_are_queued_while_rescoring_computes_move_too(db: Database, hashing: Encoder) -> None:
    ingest(db, *TALK)
    triage = make_triage(db, hashing)
    score_all(triage)
    scorer = _Queued(db, hashing, triage)

    rescore_due(db, scorer, hashing.digest, {}, {"": HEAVY}, LATER)

    priorities = {e.id: e.priority for e in rows_of(db, Exchange)}
    items = rows_of(db, ReviewItem)
    assert items
    assert all(item.priority == priorities[item.exchange_id] for item in items)


class _Queued(Scorer):
    """The queue is filled while a rescoring is computed."""

    def __init__(self, db: Database, encoder: Encoder, triage: Triage) -> None:
        super().__init__(encoder, StoredVectors(db))
        self._triage = triage

    @property
    def thresholds(self) -> dict[str, float]:
        self._triage.pick_due(LATER, Random(1))
        return {}


SPOKEN = [
    make_conversation(9, id="by place"),
    {
        "id": "greeting",
        "closed": True,
        "turns": [{"id": "b", "role": "bot", "text": "Hi"}, {"id": "u", "role": "user", "text": "x"}],
    },
    *(
        turn_added(id, role, f"said {id}", "by time", at=(NOW + timedelta(minutes=minute)).isoformat(), **more)
        for id, role, minute, more in (
            ("late answer", "bot", 3, {}),
            ("question", "user", 1, {"intent": {"name": "refund", "confidence": 0.4}}),
            ("more of it", "user", 2, {}),
            ("follow-up", "user", 4, {"intent": {"name": None, "ranking": [{"name": "hours", "confidence": 0.2}]}}),
            ("last", "bot", 5, {}),
        )
    ),
    closed("by time"),
]


def test_what_rescoring_reads_of_conversations_says_the_same_of_questions_as_all_of_it(db: Database) -> None:
    ingest(db, *SPOKEN)
    with db.read() as session:
        whole, _ = load_transcripts(session, [1, 2, 3])
        asked = load_asked(session, [1, 2, 3])

    def told(transcripts: dict[int, Transcript]) -> list[Any]:
        return [
            (key, e.turn_id, e.question, [turn.id for turn in e.question_turns], e.intent, [turn.role for turn in e.history])
            for key in sorted(transcripts)
            for e in split(transcripts[key])
        ]

    assert len(told(whole)) == 7
    assert told(asked) == told(whole)


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
