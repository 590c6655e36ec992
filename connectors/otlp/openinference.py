"""Spans by OpenInference's conventions (github.com/Arize-ai/openinference, spec/semantic_conventions.md)."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter

from connectors.events import Passage
from connectors.otlp.attributes import below, dicts, first_text, from_json, number_or_none, text_or_none
from connectors.otlp.messages import answer_in, last_message, question_in
from connectors.otlp.spans import Kind

KIND = "openinference.span.kind"
_KINDS: dict[str, Kind] = {
    "AGENT": "agent",
    "CHAIN": "chain",
    "LLM": "llm",
    "RETRIEVER": "retriever",
    "RERANKER": "reranker",
    "TOOL": "aside",
    "EVALUATOR": "aside",
    "GUARDRAIL": "aside",
}
_SCALES = {"score": "scale", "rerank_score": "rerank_scale"}
_PASSAGES = TypeAdapter(tuple[Passage, ...])
MOST_ROUGH = 20_000


def read_openinference(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The span's facts by name of their field; only what is said."""
    kind = _KINDS.get(str(attributes[KIND]).upper(), "other")
    facts: dict[str, Any] = {"kind": kind, "model": text_or_none(attributes.get("llm.model_name"))}
    if kind in ("agent", "chain", "llm"):
        facts |= _said(attributes)
    elif kind == "retriever":
        found = below(attributes, "retrieval.documents")
        facts["passages"] = passages(found if found is not None else _output_documents(attributes), "score")
    elif kind == "reranker":
        found = below(attributes, "reranker.output_documents")
        facts["reranked"] = passages(found, "rerank_score") if found is not None else None
        facts["passages"] = passages(below(attributes, "reranker.input_documents"), "score") or None
        facts["model"] = text_or_none(attributes.get("reranker.model_name"))
    return facts


def _said(attributes: Mapping[str, Any]) -> dict[str, Any]:
    question = last_message(below(attributes, "llm.input_messages"), of_user=True)
    answer = last_message(below(attributes, "llm.output_messages"), of_user=False)
    given, gave = attributes.get("input.value"), attributes.get("output.value")
    question = question or question_in(given)
    answer = answer or answer_in(gave)
    return {
        "question": question,
        "answer": answer,
        "rough_question": None if question else rough(given),
        "rough_answer": None if answer else rough(gave),
    }


def rough(value: Any) -> str | None:
    """JSON of which no text could be made out, as it is; None where nothing is said."""
    if value is None or from_json(value) in ({}, [], ""):
        return None
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text[:MOST_ROUGH] if text.strip() else None


def passages(documents: Any, field: str) -> tuple[Passage, ...]:
    """Documents as passages, their score in `field`."""
    found = []
    for one in dicts(documents):
        inner = one.get("document")
        document: dict[str, Any] = inner if isinstance(inner, dict) else one
        told: dict[str, Any] = {}
        if (passage_id := text_or_none(document.get("id"))) is not None:
            told["id"] = passage_id
        if (text := first_text(document, ("content", "text", "page_content"))) is not None:
            told["text"] = text
        if (score := number_or_none(document.get("score"))) is not None:
            told[field] = score
        if not told:
            continue
        details = from_json(document.get("metadata"))
        if isinstance(details, dict):
            told["title"] = first_text(details, ("title", "source", "file_name", "url"))
            told[_SCALES[field]] = text_or_none(details.get("score_type") or details.get("scale"))
        if told.get("title") is None:
            told["title"] = text_or_none(document.get("title"))
        found.append(told)
    return _PASSAGES.validate_python(found)


def _output_documents(attributes: Mapping[str, Any]) -> Any:
    """Some retrievers tell their documents only as the output's JSON."""
    told = from_json(attributes.get("output.value"))
    return told.get("documents") if isinstance(told, dict) else told if isinstance(told, list) else None
