"""Exports in protobuf, read by the official messages."""

import math
from collections.abc import Iterable
from typing import Any, TypeVar

from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from connectors.errors import Reject
from connectors.otlp.sent import Attributes, SentEvent, SentRecord, SentRecords, SentSpan, SentSpans

M = TypeVar("M", bound=Message)


def read_traces(body: bytes) -> list[SentSpans]:
    """The spans that the body holds, by resource.

    Raises
    ------
    Reject
        It is no export of spans.
    """
    export = _read(body, ExportTraceServiceRequest)
    return [
        SentSpans(
            _attributes(one.resource.attributes),
            [_span(span) for scope in one.scope_spans for span in scope.spans],
        )
        for one in export.resource_spans
    ]


def read_logs(body: bytes) -> list[SentRecords]:
    """The log records that the body holds, by resource; fails as `read_traces` does."""
    export = _read(body, ExportLogsServiceRequest)
    return [
        SentRecords(
            _attributes(one.resource.attributes),
            [_record(record) for scope in one.scope_logs for record in scope.log_records],
        )
        for one in export.resource_logs
    ]


def _read(body: bytes, kind: type[M]) -> M:
    try:
        return kind.FromString(body)
    except DecodeError as error:
        raise Reject(f"the body is not a protobuf {kind.DESCRIPTOR.name}") from error


def _span(span: Span) -> SentSpan:
    status = span.status
    return SentSpan(
        span.trace_id,
        span.span_id,
        span.parent_span_id,
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        status.code == Status.STATUS_CODE_ERROR,
        status.message,
        _attributes(span.attributes),
        [SentEvent(event.name, event.time_unix_nano, _attributes(event.attributes)) for event in span.events],
    )


def _record(record: LogRecord) -> SentRecord:
    return SentRecord(
        record.trace_id,
        record.span_id,
        record.event_name,
        record.time_unix_nano,
        record.observed_time_unix_nano,
        _attributes(record.attributes),
        _value(record.body),
    )


def _attributes(given: Iterable[KeyValue]) -> Attributes:
    return {one.key: _value(one.value) for one in given}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "string_value":
        return value.string_value
    if kind == "double_value":
        return value.double_value if math.isfinite(value.double_value) else None
    if kind == "int_value":
        return value.int_value
    if kind == "bool_value":
        return value.bool_value
    if kind == "array_value":
        return [_value(one) for one in value.array_value.values]
    if kind == "kvlist_value":
        return _attributes(value.kvlist_value.values)
    return None
