"""What a platform deletes is gone everywhere; what a user takes back says nothing any more."""

import json
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from conftest import (
    NOW,
    CountingEncoder,
    add_reviewer,
    closed,
    feedback_given,
    ingest,
    make_disliked,
    make_triage,
    rows_of,
    score_all,
    turn_added,
)
from fastapi.testclient import TestClient
from sqlalchemy import inspect, text

from service.app import create_app
from service.db import Database
from service.models import Conversation, Evidence, Exchange, Feedback, ItemState, ReviewItem, Turn, Vector
from service.settings import Settings
from service.transcripts import load_transcripts

LATER = NOW + timedelta(hours=2)
WORDS = "My cousin grows kohlrabi in Malta"


def removed(turn: str, conversation: str = "c1", **more: Any) -> dict[str, Any]:
    return {"type": "turn_removed", "conversation_id": conversation, "turn_id": turn, **more}


def withdrawn(feedback: str, conversation: str = "c1", **more: Any) -> dict[str, Any]:
    return {"type": "feedback_withdrawn", "conversation_id": conversation, "feedback_id": feedback, **more}


def everything(db: Database) -> str:
    """All text that the database holds."""
    with db.read() as session:
        tables = inspect(session.connection()).get_table_names()
        return json.dumps([[str(row) for row in session.execute(text(f'SELECT * FROM "{name}"'))] for name in sorted(tables)])


def test_no_table_holds_the_text_of_a_removed_turn(db: Database) -> None:
    triage = make_triage(db, CountingEncoder())
    ingest(db, make_disliked(WORDS, "We never ask for it."), make_disliked("Where is my parcel?", "On its way.", id="c2"))
    score_all(triage)
    triage.pick_due(NOW + timedelta(hours=1), Random(1))
    assert "kohlrabi" in everything(db)
    vectors = len(rows_of(db, Vector))

    ingest(db, removed("q"), now=LATER)

    assert "kohlrabi" not in everything(db)
    assert len(rows_of(db, Vector)) < vectors
    score_all(triage, LATER + timedelta(hours=1))
    assert "kohlrabi" not in everything(db)


def test_an_item_about_a_removed_answer_leaves_the_queue_and_others_stay(db: Database) -> None:
    triage = make_triage(db, CountingEncoder())
    ingest(db, make_disliked("Where is it?", WORDS), make_disliked("Do you ship to Malta?", id="c2"))
    score_all(triage)
    triage.pick_due(NOW + timedelta(hours=1), Random(1))

    ingest(db, removed("a"), now=LATER)

    states = {item.exchange_id: item.state for item in rows_of(db, ReviewItem)}
    gone = [exchange.id for exchange in rows_of(db, Exchange) if not exchange.answer]
    assert [states[one] for one in gone] == [ItemState.not_reviewable]
    assert sorted(states.values()) == [ItemState.not_reviewable, ItemState.open]


def test_a_removed_turn_that_nobody_queued_is_scored_anew_without_it(db: Database) -> None:
    triage = make_triage(db, CountingEncoder())
    ingest(db, turn_added("1", "user", "Hello there"), turn_added("2", "bot", "Hi"), turn_added("3", "user", WORDS), closed())
    score_all(triage)

    ingest(db, removed("3"), now=LATER)
    score_all(triage, LATER)

    (conversation,) = rows_of(db, Conversation)
    with db.read() as session:
        transcripts, _ = load_transcripts(session, [conversation.id])
    assert [turn.id for turn in transcripts[conversation.id].turns] == ["1", "2"]
    assert all("3" not in one.turn_ids for one in rows_of(db, Evidence))


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (2, 0, 1)])
def test_a_late_telling_of_a_removed_turn_does_not_bring_it_back(db: Database, order: tuple[int, ...]) -> None:
    told = [
        turn_added("t1", "bot", WORDS, at=NOW.isoformat()),
        turn_added("t1", "bot", f"{WORDS}!", edited_at=LATER.isoformat()),
        removed("t1"),
    ]

    for i in order:
        ingest(db, told[i])

    (turn,) = rows_of(db, Turn)
    assert (turn.removed, turn.text, turn.role) == (True, "", "bot")


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_feedback_with_the_same_id_and_a_later_time_replaces(db: Database, order: tuple[int, ...]) -> None:
    told = [
        feedback_given(rating=-1, id="f", comment="no", at=NOW.isoformat()),
        feedback_given(rating=1, id="f", at=LATER.isoformat()),
    ]

    for i in order:
        ingest(db, told[i])

    assert [(f.rating, f.comment) for f in rows_of(db, Feedback)] == [(1.0, None)]


@pytest.mark.parametrize(
    ("taken_back_at", "counts"), [(NOW + timedelta(minutes=1), False), (None, False), (NOW - timedelta(minutes=1), True)]
)
@pytest.mark.parametrize("backwards", [False, True])
def test_feedback_that_was_taken_back_counts_only_if_it_was_given_again_later(
    db: Database, taken_back_at: Any, counts: bool, backwards: bool
) -> None:
    told = [
        feedback_given(rating=-1, id="f", comment="no", at=NOW.isoformat()),
        withdrawn("f", **({"at": taken_back_at.isoformat()} if taken_back_at else {})),
    ]
    ingest(db, turn_added("t1"), turn_added("t2", "bot", "Yes."))

    for one in told[::-1] if backwards else told:
        ingest(db, one)

    (conversation,) = rows_of(db, Conversation)
    with db.read() as session:
        transcripts, _ = load_transcripts(session, [conversation.id])
    given = [one.rating for turn in transcripts[conversation.id].turns for one in turn.feedback]
    assert given == ([-1.0] if counts else [])
    assert [f.comment for f in rows_of(db, Feedback)] == (["no"] if counts else [None])


def test_a_rating_of_the_whole_conversation_counts_for_its_last_answer_on_its_own_scale(db: Database) -> None:
    triage = make_triage(db, CountingEncoder())
    rating = feedback_given(None, rating=1, id="csat")
    rating["feedback"]["scale"] = "csat"
    ingest(db, turn_added("1", "user", "Where is it?"), turn_added("2", "bot", "On its way."), rating, closed())

    score_all(triage)

    (said,) = rows_of(db, Evidence, Evidence.name == "user_feedback")
    assert (said.detail["rating"], said.detail["scale"], said.detail["goodness"]) == (1, "csat", 0)


def test_scales_that_the_platform_names_arrive_in_the_evidence(db: Database) -> None:
    triage = make_triage(db, CountingEncoder())
    passages = [{"id": "k", "text": "x", "score": 0.4, "scale": "bm25", "rerank_score": 0.9, "rerank_scale": "logit"}]
    intent = {"name": "refund", "confidence": 41, "scale": "percent"}
    ingest(
        db,
        turn_added("1", "user", "Could I get my money back for the shoes?", intent=intent),
        turn_added("2", "bot", "We ship to all of Europe within five days.", retrieval=passages),
        closed(),
    )

    score_all(triage)

    found = {one.name: one.detail for one in rows_of(db, Evidence)}
    assert (found["answer_relevance"]["scale"], found["answer_relevance"]["scale_named_by_platform"]) == ("logit", "logit")
    assert found["intent_confidence"]["scale"] == "platform, percent"
    assert found["intent_confidence"]["confidence"] == 0.41


def test_a_conversations_page_says_that_a_turn_was_removed_and_names_the_scales(db: Database, settings: Settings) -> None:
    add_reviewer(db, "anna", "a long password")
    passages = [{"id": "k", "title": "Shipping", "score": 11.5, "scale": "bm25", "rerank_score": 0.2, "rerank_scale": "logit"}]
    ingest(db, turn_added("1", "user", WORDS), turn_added("2", "bot", "Yes.", retrieval=passages), removed("1"), removed("3"))
    with TestClient(create_app(settings), headers={"accept": "text/html"}) as client:
        client.post("/sign-in", data={"name": "anna", "password": "a long password"})

        page = client.get(f"/conversations/{rows_of(db, Conversation)[0].id}").text

    assert page.count("The platform removed this turn") == 2
    assert "kohlrabi" not in page
    assert "bm25 11.5" in page
    assert "logit 0.2" in page
