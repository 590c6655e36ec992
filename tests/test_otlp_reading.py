"""What spans say: inputs and outputs as frameworks write them, and whose judgement an annotation is."""

import json
from typing import Any

import pytest
from spans import facts_of, make_export, make_span

from connectors.otlp.annotations import judged
from connectors.otlp.attributes import undotted
from connectors.otlp.messages import answer_in, question_in
from connectors.otlp.spans import Judgement, Rating, Span, joined

HUMAN = {"lc": 1, "type": "constructor", "id": ["langchain", "schema", "messages", "HumanMessage"], "kwargs": {"content": "hi?"}}
AI = {"lc": 1, "type": "constructor", "id": ["langchain", "schema", "messages", "AIMessage"], "kwargs": {"content": "hello"}}


@pytest.mark.parametrize(
    "given",
    [
        "hi?",
        json.dumps({"question": "hi?", "chat_history": [["x", "y"]]}),
        json.dumps({"query": {"text": "hi?"}}),
        {"input": {"messages": [["system", "be kind"], ["user", "hi?"]]}},
        {"messages": [[HUMAN]]},
        {"messages": [{"content": "hi?", "type": "human"}, {"content": "", "type": "ai", "tool_calls": [1]}]},
        [{"role": "user", "content": "before"}, {"role": "assistant", "content": "x"}, {"role": "user", "content": "hi?"}],
        {"messages": [{"_role": "user"}, {"role": {"value": "user"}, "content": [{"text": "hi?"}]}]},
        {"contents": 1, "prompt": [{"role": "user", "parts": [{"text": "hi?"}]}]},
        [
            {"role": "user", "parts": [{"type": "text", "content": "hi?"}]},
            {"role": "tool", "parts": [{"type": "tool_call_response"}]},
        ],
    ],
)
def test_the_question_is_found_in_what_frameworks_take(given: Any) -> None:
    assert question_in(given) == "hi?"


@pytest.mark.parametrize(
    "given",
    [
        "hello",
        json.dumps({"answer": "hello", "source_documents": []}),
        {"output": {"content": "hello"}},
        {"generations": [[{"text": "hello", "generation_info": None}]]},
        {"choices": [{"finish_reason": "stop", "message": {"role": "assistant", "content": "hello"}}]},
        {"messages": [HUMAN, AI]},
        [{"role": "assistant", "parts": [{"type": "reasoning", "content": "hm"}, {"type": "text", "content": "hello"}]}],
        {"replies": [{"role": "assistant", "content": [{"text": "hello"}]}]},
    ],
)
def test_the_answer_is_found_in_what_frameworks_give(given: Any) -> None:
    assert answer_in(given) == "hello"


@pytest.mark.parametrize(
    "given", [None, 5, "", "  ", [], {}, {"messages": []}, {"tool": {"args": 1}}, [[[[[]]]]], {"messages": 5}]
)
def test_where_nothing_is_said_nothing_is_found(given: Any) -> None:
    assert (question_in(given), answer_in(given)) == (None, None)


@pytest.mark.parametrize(
    ("given", "rating", "scale"),
    [
        ({"name": "user_feedback", "score": 0, "label": None}, 0, "thumb"),
        ({"name": "user_feedback", "score": 0.25, "label": None}, 0.25, "unit"),
        ({"name": "User Feedback", "score": 1, "label": "thumbs-down"}, -1, "thumb"),
        ({"name": "thumbs_down", "score": 1, "label": None}, -1, "thumb"),
        ({"name": "csat", "score": 4, "label": None}, 4, "csat"),
        ({"name": "star_rating", "score": 2, "label": None}, 2, "stars"),
        ({"name": "nps", "score": 9, "label": None}, 9, "nps"),
        ({"name": "correctness", "score": 0, "label": "incorrect", "by": "HUMAN"}, -1, "thumb"),
        ({"name": "note", "score": None, "label": "👎", "by": "HUMAN"}, -1, "thumb"),
    ],
)
def test_the_users_judgements_are_ratings(given: dict[str, Any], rating: float, scale: str) -> None:
    (found,) = judged(explanation=None, **given)

    assert isinstance(found, Rating)
    assert (found.rating, found.scale) == (rating, scale)


@pytest.mark.parametrize(
    "given",
    [
        {"name": "user_feedback", "score": 1, "label": None, "by": "LLM"},
        {"name": "user_frustration", "score": 1, "label": None},
        {"name": "hallucination", "score": 1, "label": "hallucinated", "by": "LLM"},
        {"name": "hallucination", "score": 1, "label": None, "by": "HUMAN"},
        {"name": "Relevance", "score": 0.2, "label": None, "by": "CODE"},
    ],
)
def test_all_other_judgements_are_kept_as_such(given: dict[str, Any]) -> None:
    (found,) = judged(explanation=None, **given)

    assert isinstance(found, Judgement)


def facts(**attributes: Any) -> Span:
    (spans,) = facts_of(make_export(make_span(1, None, attributes.pop("kind", None), **attributes))).traces.values()
    return next(iter(spans.values()))


def test_genai_messages_may_be_json_or_structured() -> None:
    messages = [{"role": "user", "parts": [{"type": "text", "content": "hi?"}]}]

    written = facts(gen_ai__operation__name="chat", gen_ai__input__messages=json.dumps(messages))
    structured = facts(gen_ai__operation__name="chat", gen_ai__input__messages=messages)

    assert written.question == structured.question == "hi?"


def test_genai_retrieval_is_read() -> None:
    documents = json.dumps([{"id": "d1", "score": 0.7}, {"id": "d2", "score": 0.4}])

    span = facts(gen_ai__operation__name="retrieval", gen_ai__retrieval__documents=documents)

    assert [(passage.id, passage.score) for passage in span.passages or ()] == [("d1", 0.7), ("d2", 0.4)]


def test_the_older_flat_messages_are_read() -> None:
    span = facts(
        gen_ai__prompt__0__role="user", gen_ai__prompt__0__content="hi?", gen_ai__completion__0__role="assistant",
        gen_ai__completion__0__content="hello", traceloop__association__properties__session_id="s",
    )  # fmt: skip

    assert (span.question, span.answer, span.conversation) == ("hi?", "hello", "s")


def test_messages_in_events_of_the_span_are_read() -> None:
    events = {"gen_ai.user.message": {"content": "hi?"}, "gen_ai.choice": {"message": {"content": "hello"}}}

    span = facts(gen_ai__operation__name="chat", events=events)

    assert (span.question, span.answer) == ("hi?", "hello")


def test_a_session_id_that_is_too_long_is_kept_apart_from_others() -> None:
    one, other = (facts(session__id="x" * 400 + end).conversation for end in "ab")

    assert one is not None
    assert other is not None
    assert (len(one), one != other) == (64, True)


def test_two_tellings_of_a_span_are_joined_whichever_came_first() -> None:
    one = facts(kind="LLM", input__value="hi?")
    other = Span(span_id=one.span_id, known=False, ratings=(Rating(key="k", rating=1),), conversation="s")

    assert joined(one, other) == joined(other, one)
    assert (joined(one, other).question, joined(one, other).conversation, joined(one, other).kind) == ("hi?", "s", "llm")


@pytest.mark.parametrize(
    "written", ["[" * 900 + "]" * 900, '{"a":' * 900 + "1" + "}" * 900, '[{"role": "user", "content": "\\ud800"}]']
)
def test_json_that_cannot_be_kept_is_text(written: str) -> None:
    """Nested without end, and half a character: not read further, and no error."""
    span = facts(kind="LLM", input__value=written, llm__input_messages=written, annotations=written)

    assert (span.question, span.ratings) == (written, ())


def test_a_number_that_is_none_is_no_score() -> None:
    documents = '[{"document": {"id": "d1", "score": NaN}}, {"document": {"score": NaN}}]'

    span = facts(kind="RETRIEVER", retrieval__documents=documents)

    assert [(passage.id, passage.score) for passage in span.passages or ()] == [("d1", None)]


def test_names_with_dots_are_put_together() -> None:
    given = {"a.1.b": 1, "a.0": {"b.c": 2}, "a.1.d": [{"e.0": 3}], "f": {"0": 4, "x": 5}, "a.1": {"g": 6}}

    assert undotted(given) == {"a": [{"b": {"c": 2}}, {"b": 1, "d": [{"e": [3]}], "g": 6}], "f": {"0": 4, "x": 5}}
