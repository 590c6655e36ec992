"""What we keep of a span: the few facts that make turns, retrieval and feedback. Two tellings of one span are joined."""

import hashlib
import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, JsonValue

from connectors.events import MAX_ID_LENGTH, At, Id, Number, Passage, Text

Kind = Literal["agent", "chain", "llm", "retriever", "reranker", "aside", "other"]
"""`aside`: tools, evaluators and guardrails. What is said below them is not said to the user."""
Target = Literal["span", "trace", "session"]


class _Fact(BaseModel):
    model_config = ConfigDict(frozen=True)


class Rating(_Fact):
    """An end user's feedback that a span or a log record carries; `key` names it within its span."""

    key: Text
    target: Target = "span"
    rating: Number | None = None
    scale: Text | None = None
    comment: Text | None = None
    at: At | None = None


class Judgement(_Fact):
    """What a model or a program thinks of the answer: kept with the turn, never taken for the user's word."""

    name: Text
    score: Number | None = None
    label: Text | None = None
    explanation: Text | None = None
    by: Text | None = None


class Span(_Fact):
    """The facts of one span.

    `known` is False while only a log record has named it. `rough_…`: an input or output in JSON of which no text could be
    made out; it counts where nothing below the span says more.
    """

    span_id: str
    parent_id: str | None = None
    known: bool = True
    kind: Kind = "other"
    start: At | None = None
    end: At | None = None
    failed: bool = False
    problem: Text | None = None
    conversation: Id | None = None
    user: Id | None = None
    question: Text | None = None
    answer: Text | None = None
    rough_question: Text | None = None
    rough_answer: Text | None = None
    passages: tuple[Passage, ...] | None = None
    reranked: tuple[Passage, ...] | None = None
    response_id: Text | None = None
    model: Text | None = None
    service: Text | None = None
    ratings: tuple[Rating, ...] = ()
    judgements: tuple[Judgement, ...] = ()


def fitting_id(value: object) -> str | None:
    """An id as we can store it: too long a one by its digest, an empty one not at all."""
    text = value if isinstance(value, str) else str(value) if isinstance(value, int) and not isinstance(value, bool) else ""
    if not text.strip():
        return None
    return text if len(text) <= MAX_ID_LENGTH else hashlib.sha256(text.encode()).hexdigest()


def joined(one: Span, other: Span) -> Span:
    """Both tellings together, the same whichever came first: what one leaves out the other fills in."""
    fields: dict[str, Any] = {"span_id": one.span_id, "known": one.known or other.known}
    for name in Span.model_fields:
        if name in fields:
            continue
        first, second = getattr(one, name), getattr(other, name)
        if name in ("ratings", "judgements"):
            fields[name] = tuple(sorted({*first, *second}, key=_canonical))
        elif first == second:
            fields[name] = first
        elif name == "kind" and "other" in (first, second):
            fields[name] = first if second == "other" else second
        else:
            fields[name] = max(first, second, key=lambda value: (value not in (None, "", False, ()), _canonical(value)))
    return Span.model_construct(**fields)


def _canonical(value: Any) -> str:
    if isinstance(value, BaseModel):
        return value.model_dump_json()
    if isinstance(value, tuple):
        return json.dumps([_canonical(one) for one in value])
    return str(value)


def details_of(judgements: tuple[Judgement, ...]) -> JsonValue:
    return [one.model_dump(mode="json", exclude_none=True) for one in judgements]
