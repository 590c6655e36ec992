"""Spans as an instrumented bot exports them, built by the official proto package and written in both encodings."""

import base64
import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from conftest import NOW
from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from connectors.otlp import reader, wire
from connectors.otlp.reader import Export

TRACE = "0af7651916cd43dd8448eb211c80319c"


def key_values(attributes: Mapping[str, Any]) -> list[KeyValue]:
    return [KeyValue(key=key, value=any_value(value)) for key, value in attributes.items()]


def any_value(value: Any) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    if isinstance(value, list):
        return AnyValue(array_value=ArrayValue(values=[any_value(one) for one in value]))
    if isinstance(value, dict):
        return AnyValue(kvlist_value=KeyValueList(values=key_values(value)))
    return AnyValue(string_value=str(value))


def nanoseconds(at: datetime) -> int:
    return int(at.timestamp() * 1_000_000) * 1000


def make_span(
    id: int,
    parent: int | None = None,
    kind: str | None = "CHAIN",
    trace: str = TRACE,
    start: float = 0,
    end: float = 1,
    failed: str | None = None,
    events: Mapping[str, Mapping[str, Any]] | None = None,
    **attributes: Any,
) -> Span:
    """A span by OpenInference's conventions; in the attributes' names `__` stands for a dot. Seconds from NOW."""
    named = {name.replace("__", "."): value for name, value in attributes.items()}
    if kind:
        named["openinference.span.kind"] = kind
    return Span(
        trace_id=bytes.fromhex(trace),
        span_id=id.to_bytes(8, "big"),
        parent_span_id=parent.to_bytes(8, "big") if parent else b"",
        name=f"span {id}",
        start_time_unix_nano=nanoseconds(NOW + timedelta(seconds=start)),
        end_time_unix_nano=nanoseconds(NOW + timedelta(seconds=end)),
        attributes=key_values(named),
        status=Status(code=Status.STATUS_CODE_ERROR, message=failed) if failed is not None else Status(),
        events=[
            Span.Event(name=name, attributes=key_values(told), time_unix_nano=nanoseconds(NOW + timedelta(seconds=end)))
            for name, told in (events or {}).items()
        ],
    )


def make_export(*spans: Span, **resource: str) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    of_resource = request.resource_spans.add()
    of_resource.resource.attributes.extend(key_values({name.replace("__", "."): value for name, value in resource.items()}))
    of_resource.scope_spans.add().spans.extend(spans)
    return request


def make_rag(trace: str = TRACE, session: str | None = "s1") -> list[Span]:
    """One exchange of a bot with retrieval: the chain, its retriever, its reranker and its model, the root first."""
    of_session = {"session__id": session} if session else {}
    documents = {
        "retrieval__documents__0__document__id": "kb-7",
        "retrieval__documents__0__document__content": "Track your parcel on the order page.",
        "retrieval__documents__0__document__score": 0.71,
        "retrieval__documents__0__document__metadata": json.dumps({"title": "Tracking"}),
        "retrieval__documents__1__document__id": "kb-9",
        "retrieval__documents__1__document__content": "Returns are free for 30 days.",
        "retrieval__documents__1__document__score": 0.64,
    }
    ranked = {
        "reranker__output_documents__0__document__id": "kb-9",
        "reranker__output_documents__0__document__score": 0.18,
        "reranker__output_documents__1__document__content": "Track your parcel on the order page.",
        "reranker__output_documents__1__document__score": 0.05,
        "reranker__model_name": "rerank-small",
    }
    messages = {
        "llm__input_messages__0__message__role": "system",
        "llm__input_messages__0__message__content": "Answer from the context.",
        "llm__input_messages__1__message__role": "user",
        "llm__input_messages__1__message__content": "Context: …\nQuestion: How do I return shoes?",
        "llm__output_messages__0__message__role": "assistant",
        "llm__output_messages__0__message__content": "Your order is on its way.",
        "llm__model_name": "model-1",
    }
    chain = {"input__value": "How do I return shoes?", "output__value": "Your order is on its way."}
    return [
        make_span(1, None, "CHAIN", trace, 0, 4, **chain, **of_session),
        make_span(2, 1, "RETRIEVER", trace, 0.1, 1, **documents),
        make_span(3, 1, "RERANKER", trace, 1, 2, **ranked),
        make_span(4, 1, "LLM", trace, 2, 3.9, **messages),
    ]


def facts_of(export: ExportTraceServiceRequest) -> Export:
    """What we read of it, sent as protobuf."""
    return reader.read_spans(wire.read_traces(export.SerializeToString(), "protobuf"))


def as_json(request: Any) -> Any:
    """By OTLP's JSON encoding, which the official proto package does not write: ids are hex, enums numbers."""
    body = json_format.MessageToDict(request, use_integers_for_enums=True)
    _respell_ids(body, lambda given: base64.b64decode(given).hex())
    return body


def read_officially(body: Any, into: Any) -> Any:
    """The body by the official package, which wants ids in Base64."""
    body = json.loads(json.dumps(body))
    _respell_ids(body, lambda given: base64.b64encode(bytes.fromhex(given)).decode())
    return json_format.ParseDict(body, into, ignore_unknown_fields=True)


def _respell_ids(value: Any, respell: Callable[[str], str]) -> None:
    if isinstance(value, list):
        for one in value:
            _respell_ids(one, respell)
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in ("traceId", "spanId", "parentSpanId") and isinstance(inner, str):
                value[key] = respell(inner)
            else:
                _respell_ids(inner, respell)
