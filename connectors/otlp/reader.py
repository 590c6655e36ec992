"""Exports into facts: spans and log records of the official messages, by source and trace."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SentSpan
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from connectors.otlp.annotations import judged, judgements_in, ratings_in, read_annotations
from connectors.otlp.attributes import Attributes, read_attributes, read_value, text_or_none
from connectors.otlp.genai import kind_of, read_genai, read_messages
from connectors.otlp.messages import content_text
from connectors.otlp.openinference import KIND, read_openinference
from connectors.otlp.spans import Judgement, Rating, Span, fitting_id, joined

SOURCE = "triage.source"
_CONVERSATION_KEYS = (
    *("session.id", "gen_ai.conversation.id", "langfuse.session.id", "traceloop.association.properties.session_id"),
    "traceloop.association.properties.thread_id",
)
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


def read_spans(request: ExportTraceServiceRequest) -> Export:
    """The facts of all spans; those without valid ids are rejected."""
    export = Export()
    silent = 0
    for of_resource in request.resource_spans:
        resource = read_attributes(of_resource.resource.attributes)
        for of_scope in of_resource.scope_spans:
            for sent in of_scope.spans:
                if not _is_id(sent.trace_id, 16) or not _is_id(sent.span_id, 8):
                    export.rejected += 1
                    export.told = "spans need a trace id of 16 and a span id of 8 bytes that are not all zero"
                    continue
                span = _facts(sent, resource)
                silent += span.kind == "llm" and not (span.question or span.answer or span.rough_question or span.failed)
                _add(export, resource, sent.trace_id.hex(), span)
    if silent and not export.told:
        export.told = f"{silent} LLM spans carry no messages: switch on the capture of message content in the bot"
    return export


def read_logs(request: ExportLogsServiceRequest) -> Export:
    """The facts of GenAI events among the log records; all other records are passed over.

    An evaluation that names no span cannot be placed: it is rejected.
    """
    export = Export()
    for of_resource in request.resource_logs:
        resource = read_attributes(of_resource.resource.attributes)
        for of_scope in of_resource.scope_logs:
            for record in of_scope.log_records:
                attributes = read_attributes(record.attributes)
                name = record.event_name or text_or_none(attributes.get("event.name")) or ""
                if not name.startswith("gen_ai."):
                    continue
                if not _is_id(record.trace_id, 16) or not _is_id(record.span_id, 8):
                    export.rejected += 1
                    export.told = f"{name}: needs the trace id and the span id of the answer that it is about"
                    continue
                at = _time(record.time_unix_nano) or _time(record.observed_time_unix_nano)
                facts = _of_events([(name, _with_body(attributes, record), at)])
                conversation = _first_id(attributes)
                span = Span(span_id=record.span_id.hex(), known=False, conversation=conversation, **facts)
                _add(export, resource, record.trace_id.hex(), span)
    return export


def _add(export: Export, resource: Attributes, trace_id: str, span: Span) -> None:
    trace = export.traces[fitting_id(resource.get(SOURCE)), trace_id]
    known = trace.get(span.span_id)
    trace[span.span_id] = joined(known, span) if known else span


def _facts(sent: SentSpan, resource: Attributes) -> Span:
    attributes = read_attributes(sent.attributes)
    end = _time(sent.end_time_unix_nano)
    facts: dict[str, Any] = {}
    if KIND in attributes:
        facts = read_openinference(attributes)
    elif (kind := kind_of(attributes)) is not None:
        facts = read_genai(attributes, kind)
    events = [(event.name, read_attributes(event.attributes), _time(event.time_unix_nano) or end) for event in sent.events]
    for name, value in _of_events(events).items():
        facts[name] = facts.get(name) or value
    found = list(read_annotations(attributes, end)) if _may_annotate(attributes) else []
    facts["ratings"] = (*facts.get("ratings", ()), *ratings_in(found))
    facts["judgements"] = (*facts.get("judgements", ()), *judgements_in(found))
    failed = sent.status.code == Status.STATUS_CODE_ERROR
    return Span(
        span_id=sent.span_id.hex(),
        parent_id=sent.parent_span_id.hex() if _is_id(sent.parent_span_id, 8) else None,
        start=_time(sent.start_time_unix_nano),
        end=end,
        failed=failed,
        problem=(sent.status.message or _exception(events) or "failed") if failed else None,
        conversation=_first_id(attributes),
        service=text_or_none(resource.get("service.name")),
        **{name: value for name, value in facts.items() if value is not None},
    )


def _of_events(events: Iterable[tuple[str, Attributes, datetime | None]]) -> dict[str, Any]:
    """What events on a span, or log records about it, tell: evaluations, and messages sent apart from the span."""
    found: list[Rating | Judgement] = []
    facts: dict[str, Any] = {}
    for name, attributes, at in events:
        if name == _EVALUATION:
            found += judged(
                attributes.get("gen_ai.evaluation.name"),
                attributes.get("gen_ai.evaluation.score.value"),
                attributes.get("gen_ai.evaluation.score.label"),
                attributes.get("gen_ai.evaluation.explanation"),
                identifier=attributes.get("gen_ai.response.id"),
                at=at,
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


def _with_body(attributes: Attributes, record: LogRecord) -> Attributes:
    body = read_value(record.body)
    return {**attributes, **body} if isinstance(body, dict) else attributes


def _may_annotate(attributes: Mapping[str, Any]) -> bool:
    """Most spans carry none, and looking for each list costs."""
    return any("annotations" in key or "evaluations" in key for key in attributes)


def _exception(events: Iterable[tuple[str, Attributes, datetime | None]]) -> str | None:
    told = (attributes.get("exception.message") for name, attributes, _ in events if name == "exception")
    return next((text for one in told if (text := text_or_none(one))), None)


def _first_id(attributes: Mapping[str, Any]) -> str | None:
    return next((found for key in _CONVERSATION_KEYS if (found := fitting_id(attributes.get(key)))), None)


def _is_id(given: bytes, length: int) -> bool:
    return len(given) == length and any(given)


def _time(nanoseconds: int) -> datetime | None:
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    if not nanoseconds or seconds >= _LAST_SECOND:
        return None
    return _EPOCH + timedelta(seconds=seconds, microseconds=rest // 1000)
