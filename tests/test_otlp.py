"""Exports of spans: turns, retrieval and feedback, the same whatever the order and grouping in which spans come."""

import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from conftest import NOW, SETTLE, rows_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from spans import TRACE, facts_of, make_export, make_rag, make_span

from service import traces
from service.db import Database
from service.models import Conversation, Delivery, Feedback, Turn
from service.privacy import make_redact

PLAIN = make_redact(False, [])


def export(db: Database, *spans: Span, source: str = "bot", at: timedelta = timedelta(), **resource: str) -> int:
    found = facts_of(make_export(*spans, **resource))
    return found.rejected + traces.accept(db, source, found.traces, PLAIN, SETTLE, NOW + at)


def told(db: Database) -> Any:
    """All that stands in the rows, without our own ids and what was taken back."""
    names = {row.id: (row.source, row.external_id) for row in rows_of(db, Conversation)}
    turns = [
        (names[t.conversation_id], t.external_id, t.role, t.text, t.at, json.dumps(t.retrieval), json.dumps(t.details))
        for t in rows_of(db, Turn)
        if not t.removed
    ]
    feedback = [
        (names[f.conversation_id], f.external_id, f.turn_external_id, f.rating, f.scale, f.comment)
        for f in rows_of(db, Feedback)
        if not f.withdrawn
    ]
    return sorted(turns), sorted(feedback)


def test_a_rag_trace_becomes_an_exchange_with_both_scores(db: Database) -> None:
    export(db, *make_rag())

    question, answer = sorted(rows_of(db, Turn), key=lambda turn: turn.at)
    assert rows_of(db, Conversation)[0].external_id == "s1"
    assert (question.external_id, question.role, question.text) == (
        f"{TRACE}-0000000000000001-user",
        "user",
        "How do I return shoes?",
    )
    assert (answer.external_id, answer.role, answer.text) == (f"{TRACE}-0000000000000001", "bot", "Your order is on its way.")
    assert [(p["id"], p["title"], p["score"], p["rerank_score"]) for p in answer.retrieval] == [
        ("kb-7", "Tracking", 0.71, 0.05),
        ("kb-9", None, 0.64, 0.18),
    ]
    assert answer.details["model"] == "model-1"


def test_the_source_is_the_tokens_unless_the_resource_names_one(db: Database) -> None:
    export(db, *make_rag(), triage__source="shop-bot")
    export(db, *make_rag("1" * 32, "s2"))

    assert sorted((row.source, row.external_id) for row in rows_of(db, Conversation)) == [("bot", "s2"), ("shop-bot", "s1")]


def test_a_trace_without_a_session_is_a_conversation_of_its_own(db: Database) -> None:
    export(db, *make_rag(session=None))

    assert rows_of(db, Conversation)[0].external_id == TRACE


def test_nothing_is_told_before_the_root_has_come(db: Database) -> None:
    root, *children = make_rag()

    export(db, *children)
    before = rows_of(db, Turn)
    export(db, root)

    assert (before, len(rows_of(db, Turn))) == ([], 2)


def test_a_root_that_never_comes_is_not_waited_for_forever(db: Database) -> None:
    _, *children = make_rag()
    export(db, *children)

    early = traces.tell_due(db, SETTLE, NOW + traces.WAIT / 2)
    late = traces.tell_due(db, SETTLE, NOW + traces.WAIT)
    again = traces.tell_due(db, SETTLE, NOW + 2 * traces.WAIT)

    assert (early, late, again) == (0, 1, 0)
    assert [turn.text for turn in rows_of(db, Turn)][-1] == "Your order is on its way."


def test_a_root_that_comes_after_all_takes_the_childrens_telling_back(db: Database) -> None:
    root, *children = make_rag()
    export(db, *children)
    traces.tell_due(db, SETTLE, NOW + traces.WAIT)
    export(db, root, at=timedelta(hours=1))
    late = told(db)

    export(db, *make_rag(), source="other")

    assert [row[1:] for row in late[0]] == [row[1:] for row in told(db)[0] if row[0][0] == "other"]


def test_spans_of_other_programs_leave_nothing(db: Database) -> None:
    export(db, make_span(1, kind=None, http__route="/health"))

    traces.tell_due(db, SETTLE, NOW + traces.WAIT)

    assert (rows_of(db, Delivery), rows_of(db, Conversation)) == ([], [])


def test_facts_are_kept_for_late_spans_and_then_forgotten(db: Database) -> None:
    root, retriever, reranker, model = make_rag()
    export(db, root, model)
    export(db, retriever, at=timedelta(days=5))
    export(db, reranker, at=timedelta(days=6))

    traces.tell_due(db, SETTLE, NOW + timedelta(days=6) + traces.KEPT)

    (answer,) = [turn for turn in rows_of(db, Turn) if turn.role == "bot"]
    assert [p["rerank_score"] for p in answer.retrieval] == [0.05, 0.18]
    assert rows_of(db, Delivery) == []


def test_the_same_export_again_changes_nothing(db: Database) -> None:
    export(db, *make_rag())
    before = (told(db), rows_of(db, Conversation)[0].revision)

    export(db, *make_rag(), at=timedelta(hours=1))

    assert (told(db), rows_of(db, Conversation)[0].revision) == before


def test_the_whole_history_sent_again_doubles_no_turn(db: Database) -> None:
    said: list[dict[str, Any]] = []
    for place, question in enumerate(["Hi", "Where is my parcel?", "And the invoice?"]):
        said.append({"role": "user", "parts": [{"type": "text", "content": question}]})
        answer = {"role": "assistant", "parts": [{"type": "text", "content": f"answer {place}"}]}
        attributes = {
            "gen_ai__operation__name": "chat",
            "gen_ai__conversation__id": "c9",
            "gen_ai__input__messages": json.dumps(said),
            "gen_ai__output__messages": json.dumps([answer]),
        }
        export(db, make_span(1, None, None, f"{place + 1:032x}", 10 * place, 10 * place + 1, **attributes))
        said.append(answer)

    turns = sorted(rows_of(db, Turn), key=lambda turn: turn.at)
    assert [turn.text for turn in turns] == ["Hi", "answer 0", "Where is my parcel?", "answer 1", "And the invoice?", "answer 2"]
    assert len(rows_of(db, Conversation)) == 1


def test_several_runs_of_agents_in_one_trace_are_several_exchanges(db: Database) -> None:
    export(
        db,
        make_span(1, None, None, end=30),
        make_span(2, 1, "AGENT", start=1, end=5, input__value="first?", output__value="one"),
        make_span(3, 2, "RETRIEVER", start=2, end=3, retrieval__documents__0__document__content="of the first"),
        make_span(4, 1, "AGENT", start=10, end=15, input__value="second?", output__value="two"),
        make_span(5, 1, "RETRIEVER", start=8, end=9, retrieval__documents__0__document__content="of the second"),
    )

    turns = sorted(rows_of(db, Turn), key=lambda turn: turn.at)
    assert [turn.text for turn in turns] == ["first?", "one", "second?", "two"]
    assert [turn.retrieval and turn.retrieval[0]["text"] for turn in turns] == [None, "of the first", None, "of the second"]


def test_what_is_said_below_tools_and_evaluators_is_not_said_to_the_user(db: Database) -> None:
    export(
        db,
        make_span(1, None, "AGENT", end=9, input__value=json.dumps({"unreadable": [1, 2]}), output__value="the answer"),
        make_span(2, 1, "EVALUATOR", start=5, end=8),
        make_span(3, 2, "LLM", start=6, end=7, input__value="Is this right?", output__value="5"),
        make_span(4, 1, "LLM", start=1, end=4, input__value="the question", output__value="a draft"),
    )

    assert [turn.text for turn in sorted(rows_of(db, Turn), key=lambda turn: turn.at)] == ["the question", "the answer"]


def test_a_failed_run_is_an_empty_answer_with_its_error(db: Database) -> None:
    export(db, make_span(1, None, "AGENT", input__value="hello?", failed="the model timed out"))

    answer = next(turn for turn in rows_of(db, Turn) if turn.role == "bot")
    assert (answer.text, answer.details["error"]) == ("", "the model timed out")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10_000))
def test_any_order_grouping_and_repetition_gives_the_same_rows(sqlite_db: Database, seed: int) -> None:
    rng = Random(seed)
    chains = [
        make_span(1, None, None, "c" * 32, end=9),
        make_span(2, 1, "CHAIN", "c" * 32, start=1, end=2, input__value="q", output__value="condensed"),
        make_span(3, 1, "CHAIN", "c" * 32, start=3, end=8, input__value="condensed", output__value="a", session__id="s"),
        make_span(4, 3, "RETRIEVER", "c" * 32, start=4, end=5, retrieval__documents__0__document__content="p"),
    ]
    annotated = {"annotations__0__annotation__name": "user_feedback", "annotations__0__annotation__score": 0}
    agents = [
        make_span(11, None, "AGENT", "a" * 32, end=9, input__value="q2", output__value="a2", **annotated),
        make_span(12, 11, "LLM", "a" * 32, start=1, end=8, session__id="s", input__value="q3", output__value="a3"),
    ]
    spans = [*make_rag(), *chains, *agents] if seed % 2 else [*make_rag(), *agents]
    straight, mixed = (f"{name} {uuid.uuid4()}" for name in ("straight", "mixed"))
    export(sqlite_db, *spans, source=straight)

    shuffled = rng.sample(spans, len(spans)) + rng.choices(spans, k=3)
    while shuffled:
        size = rng.randint(1, 4)
        export(sqlite_db, *shuffled[:size], source=mixed)
        if rng.random() < 0.3:
            traces.tell_due(sqlite_db, SETTLE, NOW + traces.WAIT)
        shuffled = shuffled[size:]
    traces.tell_due(sqlite_db, SETTLE, NOW + traces.WAIT)

    turns, feedback = told(sqlite_db)
    by_source = {
        source: ([row[1:] for row in turns if row[0][0] == source], [row[1:] for row in feedback if row[0][0] == source])
        for source in (straight, mixed)
    }
    assert by_source[straight] == by_source[mixed]
    assert len(by_source[mixed][0]) == (6 if seed % 2 else 4)


@pytest.fixture
def sqlite_db(sqlite_url: str) -> Any:
    db = Database(sqlite_url)
    yield db
    db.close()


def test_processes_that_export_the_same_traces_at_once_lose_nothing(db: Database) -> None:
    spans = [span for number in range(1, 6) for span in make_rag(f"{number:032x}", f"s{number % 2}")]
    export(db, *spans, source="straight")
    rng = Random(3)
    parts = [rng.sample(spans, 4) for _ in range(12)] + [spans[place : place + 5] for place in range(0, len(spans), 5)]

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(lambda part: export(db, *part, source="at once"), parts))

    turns, _ = told(db)
    by_source = [[row[1:] for row in turns if row[0][0] == source] for source in ("straight", "at once")]
    assert len(by_source[0]) == 10
    assert by_source[0] == by_source[1]
