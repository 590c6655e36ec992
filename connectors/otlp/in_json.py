"""Exports in JSON, by the JSON encoding of the OTLP specification (opentelemetry.io/docs/specs/otlp, "JSON Protobuf Encoding")
and protobuf's own where that is silent: names in camelCase (as the .proto writes them too), ids in hex, null for "left out",
numbers also as strings, enums as numbers or names, unknown fields ignored.

The classes repeat the official messages (opentelemetry-proto 1.x) field by field, also those that we do not read: a body that
is no such message is refused, whichever field says so. One pass over the bytes; json_format took three times as long.
"""

import math
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    AliasChoices,
    AliasGenerator,
    BeforeValidator,
    ConfigDict,
    Field,
    GetPydanticSchema,
    StrictBool,
    TypeAdapter,
    ValidationError,
    with_config,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from connectors.errors import Reject, explain
from connectors.otlp.sent import Attributes, SentEvent, SentRecord, SentRecords, SentSpan, SentSpans

T = TypeVar("T")
_FAILED = (2, "2", "STATUS_CODE_ERROR")
_NAMES = AliasGenerator(validation_alias=lambda name: AliasChoices(to_camel(name), name))
_HEX = ConfigDict(alias_generator=_NAMES, val_json_bytes="hex")
_BASE64 = ConfigDict(alias_generator=_NAMES, val_json_bytes="base64")


def read_traces(body: bytes) -> list[SentSpans]:
    """The spans that the body holds, by resource.

    Raises
    ------
    Reject
        It is no export of spans; the reason names the field and quotes no user's words.
    """
    export = _read(_TRACES, body)
    return [
        SentSpans(
            _resource(one),
            [_span(span) for scope in one.get("scope_spans") or () for span in scope.get("spans") or ()],
        )
        for one in export.get("resource_spans") or ()
    ]


def read_logs(body: bytes) -> list[SentRecords]:
    """The log records that the body holds, by resource; fails as `read_traces` does."""
    export = _read(_LOGS, body)
    return [
        SentRecords(
            _resource(one),
            [_record(record) for scope in one.get("scope_logs") or () for record in scope.get("log_records") or ()],
        )
        for one in export.get("resource_logs") or ()
    ]


def _read(adapter: TypeAdapter[T], body: bytes) -> T:
    try:
        return adapter.validate_json(body)
    except ValidationError as error:
        raise Reject(explain(error)) from error


def _resource(one: "_ResourceSpans | _ResourceLogs") -> Attributes:
    return (one.get("resource") or {}).get("attributes") or {}


def _span(span: "_Span") -> SentSpan:
    status = span.get("status") or {}
    return SentSpan(
        span.get("trace_id") or b"",
        span.get("span_id") or b"",
        span.get("parent_span_id") or b"",
        span.get("start_time_unix_nano") or 0,
        span.get("end_time_unix_nano") or 0,
        status.get("code") in _FAILED,
        status.get("message") or "",
        span.get("attributes") or {},
        [_event(event) for event in span.get("events") or ()],
    )


def _event(event: "_Event") -> SentEvent:
    return SentEvent(event.get("name") or "", event.get("time_unix_nano") or 0, event.get("attributes") or {})


def _record(record: "_LogRecord") -> SentRecord:
    return SentRecord(
        record.get("trace_id") or b"",
        record.get("span_id") or b"",
        record.get("event_name") or "",
        record.get("time_unix_nano") or 0,
        record.get("observed_time_unix_nano") or 0,
        record.get("attributes") or {},
        record.get("body"),
    )


# --- the messages -------------------------------------------------------------------------------------------------


def _number(value: object) -> object:
    if isinstance(value, bool) or (isinstance(value, float) and not math.isfinite(value)):
        raise PydanticCustomError("number", "must be a number, or one in a string")
    return value


def _enum(value: object) -> object:
    """Any number, for the messages may grow."""
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise PydanticCustomError("enum", "must be the number or the name of an enum's value")
    return value


_Integer = Annotated[int, BeforeValidator(_number)]
_Int64 = Annotated[_Integer, Field(ge=-(1 << 63), lt=1 << 63)]
_Uint64 = Annotated[_Integer, Field(ge=0, lt=1 << 64)]
_Uint32 = Annotated[_Integer, Field(ge=0, lt=1 << 32)]
_Int32 = Annotated[_Integer, Field(ge=-(1 << 31), lt=1 << 31)]
_Double = Annotated[float, BeforeValidator(_number)]
_Enum = Annotated[Any, AfterValidator(_enum)]


@with_config(_BASE64)
class _AnyValue(TypedDict, total=False):
    string_value: str | None
    bool_value: StrictBool | None
    int_value: _Int64 | None
    double_value: _Double | None
    array_value: "_ArrayValue | None"
    kvlist_value: "_KeyValueList | None"
    bytes_value: bytes | None
    string_value_strindex: _Int32 | None


def _plain(value: _AnyValue) -> Any:
    """The one value that is told, as Python has it."""
    told = value if len(value) == 1 else {name: inner for name, inner in value.items() if inner is not None}
    if len(told) > 1:
        raise PydanticCustomError("several", "must hold one value, not several")
    for kind, found in told.items():
        if kind in ("string_value", "int_value", "bool_value"):
            return found
        if kind == "double_value" and isinstance(found, float):
            return found if math.isfinite(found) else None
        if kind == "array_value" and isinstance(found, dict):
            return found.get("values") or []
        if kind == "kvlist_value" and isinstance(found, dict):
            return found.get("values") or {}
    return None


_Value = Annotated[Any, GetPydanticSchema(lambda _, read: read(Annotated[_AnyValue, AfterValidator(_plain)]))]


class _ArrayValue(TypedDict, total=False):
    values: list[_Value] | None


class _KeyValue(TypedDict, total=False):
    key: str | None
    value: _Value | None
    key_strindex: _Int32 | None


def _by_key(given: list[_KeyValue]) -> Attributes:
    return {one.get("key") or "": one.get("value") for one in given}


_Attributes = Annotated[Attributes, GetPydanticSchema(lambda _, read: read(Annotated[list[_KeyValue], AfterValidator(_by_key)]))]


class _KeyValueList(TypedDict, total=False):
    values: _Attributes | None


class _EntityRef(TypedDict, total=False):
    schema_url: str | None
    type: str | None
    id_keys: list[str] | None
    description_keys: list[str] | None


class _Resource(TypedDict, total=False):
    attributes: _Attributes | None
    dropped_attributes_count: _Uint32 | None
    entity_refs: list[_EntityRef] | None


class _Scope(TypedDict, total=False):
    name: str | None
    version: str | None
    attributes: _Attributes | None
    dropped_attributes_count: _Uint32 | None


class _Event(TypedDict, total=False):
    time_unix_nano: _Uint64 | None
    name: str | None
    attributes: _Attributes | None
    dropped_attributes_count: _Uint32 | None


class _Link(TypedDict, total=False):
    trace_id: bytes | None
    span_id: bytes | None
    trace_state: str | None
    attributes: _Attributes | None
    dropped_attributes_count: _Uint32 | None
    flags: _Uint32 | None


class _Status(TypedDict, total=False):
    message: str | None
    code: _Enum | None


class _Span(TypedDict, total=False):
    trace_id: bytes | None
    span_id: bytes | None
    trace_state: str | None
    parent_span_id: bytes | None
    flags: _Uint32 | None
    name: str | None
    kind: _Enum | None
    start_time_unix_nano: _Uint64 | None
    end_time_unix_nano: _Uint64 | None
    attributes: _Attributes | None
    dropped_attributes_count: _Uint32 | None
    events: list[_Event] | None
    dropped_events_count: _Uint32 | None
    links: list[_Link] | None
    dropped_links_count: _Uint32 | None
    status: _Status | None


class _LogRecord(TypedDict, total=False):
    time_unix_nano: _Uint64 | None
    observed_time_unix_nano: _Uint64 | None
    severity_number: _Enum | None
    severity_text: str | None
    body: _Value | None
    attributes: _Attributes | None
    dropped_attributes_count: _Uint32 | None
    flags: _Uint32 | None
    trace_id: bytes | None
    span_id: bytes | None
    event_name: str | None


class _ScopeSpans(TypedDict, total=False):
    scope: _Scope | None
    spans: list[_Span] | None
    schema_url: str | None


class _ScopeLogs(TypedDict, total=False):
    scope: _Scope | None
    log_records: list[_LogRecord] | None
    schema_url: str | None


class _ResourceSpans(TypedDict, total=False):
    resource: _Resource | None
    scope_spans: list[_ScopeSpans] | None
    schema_url: str | None


class _ResourceLogs(TypedDict, total=False):
    resource: _Resource | None
    scope_logs: list[_ScopeLogs] | None
    schema_url: str | None


@with_config(_HEX)
class _ExportTraceServiceRequest(TypedDict, total=False):
    resource_spans: list[_ResourceSpans] | None


@with_config(_HEX)
class _ExportLogsServiceRequest(TypedDict, total=False):
    resource_logs: list[_ResourceLogs] | None


_TRACES = TypeAdapter(_ExportTraceServiceRequest)
_LOGS = TypeAdapter(_ExportLogsServiceRequest)
