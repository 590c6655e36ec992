"""Exports into facts: what spans and log records tell, by source and trace."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from connectors.otlp.annotations import judged, judgements_in, ratings_in, read_annotations
from connectors.otlp.attributes import text_or_none
from connectors.otlp.genai import kind_of, read_genai, read_messages
from connectors.otlp.messages import content_text
from connectors.otlp.openinference import KIND, read_openinference
from connectors.otlp.sent import Attributes, SentEvent, SentRecords, SentSpan, SentSpans
from connectors.otlp.spans import Judgement, Rating, Span, fitting_id, joined

SOURCE = "triage.source"
_CONVERSATION_KEYS = (
    *("session.id", "gen_ai.conversation.id", "langfuse.session.id", "traceloop.association.properties.session_id"),
    "traceloop.association.properties.thread_id",
)
_USER_KEYS = ("user.id", "enduser.id", "langfuse.user.id", "traceloop.association.properties.user_id")
_EVALUATION = "gen_ai.evaluation.result"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_SECOND = int(datetime.max.replace(tzinfo=UTC).timestamp())

Traces = dict[tuple[str | None, str], dict[str, Span]]
"""By source (where the resource names one) and trace id: the spans by their ids."""


@dataclass(slots=True)
class Export:
    """What an export tells. `rejected` spans or log records could not be placed; `told` says why, or warns."""

    traces: Traces = field(default_factory=lambda: defaultdict(dict))
    rejected: int = 0
    told: str = ""


def read_spans(sent: Iterable[SentSpans]) -> Export:
    """The facts of all spans; those without valid ids are rejected."""
    export = Export()
    silent = 0
    for of_resource in sent:
        for one in of_resource.spans:
            if not _is_id(one.trace_id, 16) or not _is_id(one.span_id, 8):
                export.rejected += 1
                export.told = "spans need a trace id of 16 and a span id of 8 bytes that are not all zero"
                continue
            span = _facts(one, of_resource.resource)
            silent += span.kind == "llm" and not (span.question or span.answer or span.rough_question or span.failed)
            _add(export, of_resource.resource, one.trace_id.hex(), span)
    if silent and not export.told:
        export.told = f"{silent} LLM spans carry no messages: switch on the capture of message content in the bot"
    return export


def read_logs(sent: Iterable[SentRecords]) -> Export:
    """The facts of GenAI events among the log records; all other records are passed over.

    An evaluation that names no span cannot be placed: it is rejected.
    """
    export = Export()
    for of_resource in sent:
        for record in of_resource.records:
            name = record.name or text_or_none(record.attributes.get("event.name")) or ""
            if not name.startswith("gen_ai."):
                continue
            if not _is_id(record.trace_id, 16) or not _is_id(record.span_id, 8):
                export.rejected += 1
                export.told = f"{name}: needs the trace id and the span id of the answer that it is about"
                continue
            told = {**record.attributes, **record.body} if isinstance(record.body, dict) else record.attributes
            facts = _of_events([SentEvent(name, record.at or record.observed_at, told)], None)
            span = Span(span_id=record.span_id.hex(), known=False, conversation=_first_id(record.attributes), **facts)
            _add(export, of_resource.resource, record.trace_id.hex(), span)
    return export


def _add(export: Export, resource: Attributes, trace_id: str, span: Span) -> None:
    trace = export.traces[fitting_id(resource.get(SOURCE)), trace_id]
    known = trace.get(span.span_id)
    trace[span.span_id] = joined(known, span) if known else span


def _facts(sent: SentSpan, resource: Attributes) -> Span:
    attributes = sent.attributes
    end = _time(sent.end)
    facts: dict[str, Any] = {}
    if KIND in attributes:
        facts = read_openinference(attributes)
    elif (kind := kind_of(attributes)) is not None:
        facts = read_genai(attributes, kind)
    if sent.events:
        for name, value in _of_events(sent.events, end).items():
            facts[name] = facts.get(name) or value
    if _may_annotate(attributes):
        found = list(read_annotations(attributes, end))
        facts["ratings"] = (*facts.get("ratings", ()), *ratings_in(found))
        facts["judgements"] = (*facts.get("judgements", ()), *judgements_in(found))
    if sent.failed:
        facts["problem"] = sent.problem or _exception(sent.events) or "failed"
    return Span(
        span_id=sent.span_id.hex(),
        parent_id=sent.parent_id.hex() if _is_id(sent.parent_id, 8) else None,
        start=_time(sent.start),
        end=end,
        failed=sent.failed,
        conversation=_first_id(attributes),
        user=_first_id(attributes, _USER_KEYS),
        service=text_or_none(resource.get("service.name")),
        **{name: value for name, value in facts.items() if value is not None},
    )


def _of_events(events: Iterable[SentEvent], otherwise: datetime | None) -> dict[str, Any]:
    """What events on a span, or log records about it, tell: evaluations, and messages sent apart from the span.

    `otherwise`: the time of events that name none.
    """
    found: list[Rating | Judgement] = []
    facts: dict[str, Any] = {}
    for name, at, attributes in events:
        if name == _EVALUATION:
            found += judged(
                attributes.get("gen_ai.evaluation.name"),
                attributes.get("gen_ai.evaluation.score.value"),
                attributes.get("gen_ai.evaluation.score.label"),
                attributes.get("gen_ai.evaluation.explanation"),
                identifier=attributes.get("gen_ai.response.id"),
                at=_time(at) or otherwise,
            )
        elif name == "gen_ai.client.inference.operation.details":
            facts |= {key: value for key, value in read_messages(attributes).items() if value}
        elif name == "gen_ai.user.message":
            facts["question"] = content_text(attributes.get("content")) or facts.get("question")
        elif name == "gen_ai.choice":
            message = attributes.get("message", attributes)
            facts["answer"] = content_text(message) or facts.get("answer")
    if facts:
        facts["kind"] = "llm"
    return {**facts, "ratings": ratings_in(found), "judgements": judgements_in(found)}


def _may_annotate(attributes: Mapping[str, Any]) -> bool:
    """Most spans carry none, and looking for each list costs."""
    names = " ".join(attributes)
    return "annotations" in names or "evaluations" in names


def _exception(events: Iterable[SentEvent]) -> str | None:
    told = (event.attributes.get("exception.message") for event in events if event.name == "exception")
    return next((text for one in told if (text := text_or_none(one))), None)


def _first_id(attributes: Mapping[str, Any], keys: Sequence[str] = _CONVERSATION_KEYS) -> str | None:
    return next((found for key in keys if (found := fitting_id(attributes.get(key)))), None)


def _is_id(given: bytes, length: int) -> bool:
    return len(given) == length and any(given)


def _time(nanoseconds: int) -> datetime | None:
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    if not nanoseconds or seconds >= _LAST_SECOND:
        return None
    return _EPOCH + timedelta(seconds=seconds, microseconds=rest // 1000)
