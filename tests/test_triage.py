"""Settled conversations into scores, scores into the queue: once, whatever arrives late or dies midway."""

import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from conftest import (
    NOW,
    CountingEncoder,
    feedback_given,
    ingest,
    make_conversation,
    make_disliked,
    make_triage,
    rows_of,
    score_all,
    turn_added,
)
from sqlalchemy import func, select

from scoring.encoder import Encoder, HashingEncoder, Vectors
from service import triage as triage_module
from service.db import Database
from service.models import Conversation, Evidence, Exchange, ReviewItem, Round, Vector

LATER = NOW + timedelta(hours=1)


class InterruptedEncoder(HashingEncoder):
    """Something happens while it encodes, once."""

    def __init__(self, happens: Callable[[], object]) -> None:
        super().__init__()
        self._happens: Callable[[], object] | None = happens

    def encode(self, texts: Sequence[str]) -> Vectors:
        happens, self._happens = self._happens, None
        if happens:
            happens()
        return super().encode(texts)


def distinct(count: int, prefix: str = "c") -> list[dict[str, Any]]:
    return [make_disliked(f"{prefix}{n}one {prefix}{n}two {prefix}{n}three", id=f"{prefix}{n}") for n in range(count)]


def pick(db: Database, encoder: Encoder, now: Any = LATER, seed: int = 1, **queue: Any) -> int:
    return make_triage(db, encoder, **queue).pick_due(now, Random(seed))


# --- scoring ------------------------------------------------------------------------------------------------------


def test_what_has_settled_is_scored_once_with_its_evidence(db: Database, hashing: Encoder) -> None:
    ingest(db, make_disliked("where is it"), make_conversation(4, id="open", closed=False))
    triage = make_triage(db, hashing)

    at_once, after_quiet_time, again = (
        triage.score_due({}, NOW, 10),
        triage.score_due({}, LATER, 10),
        triage.score_due({}, LATER, 10),
    )

    assert (at_once, after_quiet_time, again) == (1, 1, 0)
    assert [e.question for e in rows_of(db, Exchange)] == ["where is it", "turn 1 of open", "turn 3 of open"]
    assert all(c.due_at is None and c.scored_at for c in rows_of(db, Conversation))
    assert {e.exchange_id for e in rows_of(db, Evidence) if e.name == "user_feedback"} == {rows_of(db, Exchange)[0].id}


def test_each_text_is_encoded_once_and_kept(db: Database) -> None:
    encoder = CountingEncoder()
    ingest(db, make_conversation(4, id="a"), make_disliked("turn 1 of a", "turn 2 of a", id="b"))
    score_all(make_triage(db, encoder))
    ingest(db, feedback_given("t2", conversation="a"))

    score_all(make_triage(db, encoder))

    assert sorted(encoder.texts) == sorted(set(encoder.texts))
    with db.read() as session:
        assert session.execute(select(func.count()).select_from(Vector)).scalar_one() == len(encoder.texts) == 4


class FussyEncoder(HashingEncoder):
    def encode(self, texts: Sequence[str]) -> Vectors:
        if any("poison" in text for text in texts):
            raise RuntimeError("cannot encode this")
        return super().encode(texts)


def test_a_conversation_that_cannot_be_scored_keeps_no_other_waiting_and_is_tried_later(db: Database) -> None:
    ingest(db, *distinct(5), make_disliked("poison", id="bad"))
    triage = make_triage(db, FussyEncoder())

    claimed = [triage.score_due({}, LATER, 10), triage.score_due({}, LATER, 10)]

    (waiting,) = [c for c in rows_of(db, Conversation) if c.due_at is not None]
    assert claimed == [6, 0]
    assert len(rows_of(db, Exchange)) == 5
    assert (waiting.external_id, waiting.claimed_until) == ("bad", None)
    assert make_triage(db, HashingEncoder()).score_due({}, waiting.due_at, 10) == 1


def test_late_feedback_moves_the_open_item_and_doubles_nothing(db: Database, hashing: Encoder) -> None:
    ingest(db, make_conversation(3))
    triage = make_triage(db, hashing)
    score_all(triage)
    triage.pick_due(LATER, Random(1))
    (before,) = rows_of(db, ReviewItem)

    ingest(db, feedback_given("t2", rating=-1, comment="wrong"), now=LATER)
    score_all(triage, LATER + timedelta(seconds=1))

    (item,) = rows_of(db, ReviewItem)
    (exchange,) = rows_of(db, Exchange)
    assert item.priority > before.priority
    assert item.priority == exchange.priority
    assert len([e for e in rows_of(db, Evidence) if e.name == "user_feedback"]) == 1


def test_a_conversation_whose_beginning_comes_late_keeps_one_exchange(db: Database, hashing: Encoder) -> None:
    at = [(NOW + timedelta(seconds=s)).isoformat() for s in range(4)]
    ingest(db, turn_added("q", "user", "where is it", at=at[0]), turn_added("b", "bot", "on its way", at=at[2]))
    triage = make_triage(db, hashing)
    score_all(triage)
    triage.pick_due(LATER, Random(1))
    before = rows_of(db, Exchange)[0].id

    ingest(db, turn_added("a", "bot", "one moment", at=at[1]), turn_added("c", "bot", "tomorrow", at=at[3]), now=LATER)
    score_all(triage, LATER + timedelta(hours=1))

    (exchange,) = rows_of(db, Exchange)
    assert (exchange.id, exchange.turn_id, exchange.turn_ids) == (before, "c", ["a", "b", "c"])
    assert exchange.answer == "one moment\non its way\ntomorrow"
    assert len(rows_of(db, ReviewItem)) == 1


def test_an_exchange_that_is_no_more_goes_unless_somebody_reviews_it(db: Database, hashing: Encoder) -> None:
    ingest(db, make_conversation(4, closed=False))
    triage = make_triage(db, hashing)
    score_all(triage)
    assert len(rows_of(db, Exchange)) == 2

    edit = {"edited_at": LATER.isoformat(), "at": (NOW + timedelta(seconds=1)).isoformat()}
    ingest(db, turn_added("t2", "agent", "a person speaks", **edit), now=LATER)
    score_all(triage, LATER + timedelta(hours=1))

    assert [e.turn_id for e in rows_of(db, Exchange)] == ["t4"]


def test_an_exchange_is_never_its_own_neighbour_nor_its_conversations(db: Database, hashing: Encoder) -> None:
    # Scored again, an exchange is found in the past: as a neighbour of itself it would always agree with itself.
    same = make_conversation(2, id="c1")
    same["turns"] = [
        {"id": f"t{n}", "role": "user" if n % 2 == 0 else "bot", "text": "is it open on sundays" if n % 2 == 0 else "Yes, it is."}
        for n in range(4)
    ]
    ingest(db, same)
    triage = make_triage(db, hashing)
    score_all(triage)
    ingest(db, feedback_given("t1", conversation="c1"))

    score_all(triage)

    assert "answer_consistency" not in {e.name for e in rows_of(db, Evidence)}


def test_neighbours_come_from_the_past_of_the_same_source(db: Database, hashing: Encoder) -> None:
    question = "is the shop open on sundays"
    # The platform's name "3" for the first is the row's number of the last: the two must not be confused.
    ingest(db, make_disliked(question, "Yes, it is open.", id="3"))
    ingest(db, make_disliked(question, "No, it is closed.", id="8"), source="other")
    triage = make_triage(db, hashing)
    score_all(triage)

    ingest(db, make_disliked(question, "No, it is closed.", id="1"))
    score_all(triage)

    old, other, new = rows_of(db, Exchange)
    found = {e.exchange_id: e.detail for e in rows_of(db, Evidence) if e.name == "answer_consistency"}
    assert found[new.id]["key"] == old.id
    assert other.id not in found
    assert (new.cluster_id, other.cluster_id) == (old.id, other.id)


def test_a_turn_that_arrives_while_its_conversation_is_scored_is_scored_next_time(db: Database) -> None:
    ingest(db, make_conversation(2))
    late = InterruptedEncoder(lambda: ingest(db, turn_added("t3", text="no, that is wrong"), now=NOW))
    triage = make_triage(db, late)

    triage.score_due({}, LATER, 10)
    stored_too_early = rows_of(db, Exchange)
    score_all(triage)

    assert stored_too_early == []
    assert len(rows_of(db, Exchange)) == 1
    assert rows_of(db, Conversation)[0].due_at is None


def test_a_claim_that_was_lost_while_scoring_stores_nothing_twice(db: Database) -> None:
    ingest(db, *distinct(3))
    after_the_lease = LATER + triage_module.SCORE_LEASE
    slow = InterruptedEncoder(lambda: make_triage(db, HashingEncoder()).score_due({}, after_the_lease, 10))

    make_triage(db, slow).score_due({}, LATER, 10)

    exchanges = rows_of(db, Exchange)
    assert len(exchanges) == 3
    assert {e.scored_at for e in exchanges} == {after_the_lease}
    names = [(e.exchange_id, e.name) for e in rows_of(db, Evidence)]
    assert sorted(set(names)) == sorted(names)


# --- choosing -----------------------------------------------------------------------------------------------------


def test_the_queue_is_filled_up_to_its_capacity_with_the_likeliest_failures_first(db: Database, hashing: Encoder) -> None:
    ingest(db, *distinct(12), *(make_conversation(2, id=f"fine {n}") for n in range(12)))
    score_all(make_triage(db, hashing))

    added = [pick(db, hashing, capacity=8, review_rate=0, urgent_priority=0.3) for _ in range(3)]

    items = rows_of(db, ReviewItem)
    assert (added, len(items)) == ([8, 0, 0], 8)
    assert all(rows_of(db, Exchange, Exchange.id == item.exchange_id)[0].question.startswith("c") for item in items)
    assert {item.strategy for item in items} == {"value"}


def test_look_alike_questions_give_one_item_until_it_is_decided(db: Database, hashing: Encoder) -> None:
    ingest(db, *(make_disliked("where is my parcel", id=f"c{n}") for n in range(6)))
    score_all(make_triage(db, hashing))

    added = [pick(db, hashing, random_share=0.001, urgent_priority=0.1) for _ in range(3)]

    assert added == [1, 0, 0]


@pytest.mark.parametrize("seed", range(5))
def test_chance_and_merit_never_bring_the_same_question_twice_in_one_round(db: Database, hashing: Encoder, seed: int) -> None:
    alike = [make_disliked("where is my parcel", id=f"c{n}") for n in range(3)]
    ingest(db, *alike, *distinct(2, "d"))
    score_all(make_triage(db, hashing))

    pick(db, hashing, seed=seed, random_share=0.4, urgent_priority=0.1)

    chosen = [item for item in rows_of(db, ReviewItem) if item.strategy != "random"]
    others = {item.cluster_id for item in rows_of(db, ReviewItem)} - {item.cluster_id for item in chosen}
    by_chance = [item.cluster_id for item in rows_of(db, ReviewItem) if item.strategy == "random"]
    assert not {item.cluster_id for item in chosen} & set(by_chance)
    assert len({item.cluster_id for item in chosen}) == len(chosen)
    assert others == set(by_chance)


def test_a_share_is_chosen_by_pure_chance_and_says_with_which_probability(db: Database, hashing: Encoder) -> None:
    ingest(db, *(make_conversation(2, id=f"fine {n}") for n in range(60)))
    score_all(make_triage(db, hashing))

    pick(db, hashing, review_rate=0.5, random_share=0.4)

    items = rows_of(db, ReviewItem)
    by_chance = [item for item in items if item.strategy == "random"]
    (this,) = rows_of(db, Round)
    assert len(by_chance) == 12
    assert [item.propensity for item in by_chance] == [pytest.approx(12 / 60)] * 12
    assert {item.propensity for item in items if item.strategy != "random"} <= {1.0}
    assert (this.pool, sum(this.counts.values())) == (60, len(items))


# --- hostile input ------------------------------------------------------------------------------------------------


def said(*texts: str, roles: Sequence[str] = ("user", "bot"), **more: Any) -> list[dict[str, Any]]:
    return [{"id": f"t{n}", "role": roles[n % len(roles)], "text": text, **more} for n, text in enumerate(texts)]


MEGABYTE = 1_000_000
HOSTILE: dict[str, list[dict[str, Any]]] = {
    "one word of a megabyte": said("x" * MEGABYTE, "answer", "no"),
    "many words": said("why not " * (MEGABYTE // 8), "because " * (MEGABYTE // 8), "no " * (MEGABYTE // 3)),
    "many digits": said("1 2 3 " * 20_000, "7,00 " * 20_000, "12-12-12 " * 10_000),
    "many signs": said("?!." * 100_000, "((((" * 100_000, "---" * 100_000),
    "many lines": said("\n" * 300_000, "a\n" * 200_000, "\r\n" * 100_000),
    "emoji": said("🙈" * 1000, "👩‍👩‍👧‍👦 🏳️‍🌈", "🤬🤬"),
    "right to left": said("\u202eשלום עולם", "مرحبا بالعالم", "\u200f\u202dلا"),
    "NUL and controls": said("a\x00b", "\x01\x02\x1b[31m", "\x7f\x85\u2028"),
    "empty": said("", "", ""),
    "blank": said(" \t\n", "\u00a0\u3000", "\u200b"),
    "one turn": said("hello"),
    "one bot turn": said("hello", roles=["bot"]),
    "the bot first": said("Hello! How can I help?", "where is it", "there", roles=["bot", "user"]),
    "two user turns in a row": said("where", "is it", "there", roles=["user", "user", "bot"]),
    "only agents": said("a", "b", roles=["agent"]),
    "no turns": [],
    "400 turns": said(*(f"turn {n}" for n in range(400))),
    "400 times the same": said(*(["again"] * 400)),
    "times out of order": [
        {"id": f"t{n}", "role": role, "text": role, "at": at}
        for n, (role, at) in enumerate(
            [("user", "9999-12-31T23:59:59Z"), ("bot", "0001-01-01T00:00:00Z"), ("user", "2026-01-05T09:00:00+14:00")]
        )
    ],
    "huge numbers": [
        *said("q", "a", "b", intent={"name": "x", "confidence": 1e308, "ranking": [{"name": "y", "confidence": -1e308}]}),
        {"id": "z", "role": "bot", "text": "a", "retrieval": [{"score": 1e308, "rerank_score": -1e308}, {"score": -1e308}, {}]},
        {"id": "y", "role": "bot", "text": "b", "feedback": [{"rating": 1e308, "scale": "stars"}, {"rating": -1e308}]},
    ],
    "strange feedback": [
        {"id": "q", "role": "user", "text": "q", "feedback": [{"rating": 1}]},
        {"id": "a", "role": "bot", "text": "a", "feedback": [{"rating": 3, "scale": s} for s in ("", "😀", "nps", "percent")]},
        {"id": "b", "role": "bot", "text": "b", "feedback": [{"comment": "🤬" * 1000}, {"comment": "\x00"}]},
    ],
    "deep metadata": said("q", "a", metadata=json.loads('{"a":' * 90 + "1" + "}" * 90)),
    "empty intent and retrieval": said("q", "a", intent={}, retrieval=[{}, {"text": "", "title": ""}]),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_conversations_are_stored_scored_and_queued(db: Database, hashing: Encoder, name: str) -> None:
    ingest(db, {"id": name, "closed": True, "turns": HOSTILE[name]}, make_disliked("an ordinary question", id="fine"))
    triage = make_triage(db, hashing)

    scored = score_all(triage)
    triage.pick_due(LATER, Random(1))

    assert scored == 2
    assert all(0 <= e.priority <= 1 and 0 <= e.uncertainty <= 1 for e in rows_of(db, Exchange))
    assert all(0 <= e.probability <= 1 and 0 <= e.value <= 1 for e in rows_of(db, Evidence))
    assert all(c.due_at is None for c in rows_of(db, Conversation))
