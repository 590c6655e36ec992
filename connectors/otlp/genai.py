"""Spans by OpenTelemetry's GenAI conventions (open-telemetry/semantic-conventions, docs/gen-ai), and the older spelling that
OpenLLMetry still sends (`gen_ai.prompt.N`, `traceloop.…`)."""

from collections.abc import Mapping
from typing import Any

from connectors.otlp.attributes import below, text_or_none
from connectors.otlp.messages import answer_in, last_message, question_in
from connectors.otlp.openinference import passages, rough
from connectors.otlp.spans import Kind

OPERATION = "gen_ai.operation.name"
_KINDS: dict[str, Kind] = {
    "chat": "llm",
    "text_completion": "llm",
    "generate_content": "llm",
    "invoke_agent": "agent",
    "invoke_workflow": "chain",
    "retrieval": "retriever",
    "execute_tool": "aside",
}
_TRACELOOP: dict[str, Kind] = {"workflow": "chain", "agent": "agent", "tool": "aside"}
_SIGNS = (
    "gen_ai.input.messages",
    "gen_ai.output.messages",
    "gen_ai.prompt.0.role",
    "gen_ai.completion.0.content",
    "llm.request.type",
)


def kind_of(attributes: Mapping[str, Any]) -> Kind | None:
    """None: this is no span of these conventions."""
    if OPERATION in attributes:
        return _KINDS.get(str(attributes[OPERATION]).lower(), "other")
    if "traceloop.span.kind" in attributes:
        return _TRACELOOP.get(str(attributes["traceloop.span.kind"]).lower(), "other")
    return "llm" if any(sign in attributes for sign in _SIGNS) else None


def read_genai(attributes: Mapping[str, Any], kind: Kind) -> dict[str, Any]:
    """The span's facts by name of their field; only what is said."""
    facts: dict[str, Any] = {
        "kind": kind,
        "model": text_or_none(attributes.get("gen_ai.response.model") or attributes.get("gen_ai.request.model")),
        "response_id": text_or_none(attributes.get("gen_ai.response.id")),
    }
    if kind in ("agent", "chain", "llm"):
        facts |= read_messages(attributes)
    elif kind == "retriever":
        facts["passages"] = passages(below(attributes, "gen_ai.retrieval.documents"), "score")
    return facts


def read_messages(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Question and answer, from a span or from the event that carries them apart from it."""
    asked = below(attributes, "gen_ai.input.messages") or below(attributes, "gen_ai.prompt")
    said = below(attributes, "gen_ai.output.messages") or below(attributes, "gen_ai.completion")
    given, gave = attributes.get("traceloop.entity.input"), attributes.get("traceloop.entity.output")
    question = (last_message(asked, of_user=True) or _plain(asked)) if asked is not None else question_in(given)
    answer = (last_message(said, of_user=False) or answer_in(said)) if said is not None else answer_in(gave)
    facts = {"question": question, "answer": answer}
    if question is None and asked is None:
        facts["rough_question"] = rough(given)
    if answer is None and said is None:
        facts["rough_answer"] = rough(gave)
    return facts


def _plain(asked: Any) -> str | None:
    """A bare prompt; a list of messages without one by the user asks nothing."""
    return text_or_none(asked)
