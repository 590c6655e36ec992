"""The two encodings of OTLP: one export gives the same facts in both, and JSON that is no export is refused by its field."""

import json
from random import Random
from typing import Any

import pytest
from google.protobuf.json_format import ParseError
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from spans import TRACE, any_value, as_json, facts_of, key_values, make_export, make_rag, make_span, read_officially

from connectors.errors import Reject
from connectors.otlp import reader, wire
from connectors.otlp.sent import SentSpan

WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
LEAVES = (
    WORDS | st.booleans() | st.integers(-(1 << 63), (1 << 63) - 1) | st.floats() | st.sampled_from(['{"role": "user"}', "[1, 2]"])
)
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3), max_leaves=6)
NAMES = WORDS | st.sampled_from(
    [
        *("openinference.span.kind", "session.id", "input.value", "output.value", "llm.input_messages.0.message.content"),
        *("retrieval.documents.0.document.score", "retrieval.documents.1.document.content", "gen_ai.operation.name"),
        *("gen_ai.input.messages", "annotations.0.annotation.name", "annotations.0.annotation.score", "gen_ai.evaluation.name"),
    ]
)
ATTRIBUTES = st.dictionaries(NAMES, VALUES | st.sampled_from(["LLM", "CHAIN", "RETRIEVER", "chat", "csat"]), max_size=6)
TIMES = st.integers(0, (1 << 64) - 1)


def ids(length: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=length, max_size=length) | st.binary(max_size=length + 2)


WITHOUT_VALUE = [KeyValue(key="empty"), KeyValue(key="raw", value=AnyValue(bytes_value=b"\xff"))]
EVENTS = st.builds(
    lambda name, at, told: Span.Event(name=name, time_unix_nano=at, attributes=key_values(told)),
    st.sampled_from(["gen_ai.user.message", "gen_ai.choice", "exception", "gen_ai.evaluation.result"]) | WORDS,
    TIMES,
    ATTRIBUTES,
)
SPANS = st.builds(
    lambda trace, own, parent, start, end, told, events, code, message, empty: Span(
        trace_id=trace,
        span_id=own,
        parent_span_id=parent,
        start_time_unix_nano=start,
        end_time_unix_nano=end,
        attributes=[*key_values(told), *(WITHOUT_VALUE if empty else [])],
        events=events,
        status=Status(code=code, message=message),
        links=[Span.Link(trace_id=trace, span_id=own)] if empty else [],
        kind=Span.SPAN_KIND_CLIENT,
        flags=256,
    ),
    ids(16), ids(8), ids(8), TIMES, TIMES, ATTRIBUTES, st.lists(EVENTS, max_size=2), st.integers(0, 3), WORDS, st.booleans(),
)  # fmt: skip
RECORDS = st.builds(
    lambda trace, own, name, at, told, body: LogRecord(
        trace_id=trace, span_id=own, event_name=name, time_unix_nano=at, attributes=key_values(told), body=any_value(body)
    ),
    ids(16), ids(8), st.sampled_from(["gen_ai.evaluation.result", "gen_ai.choice", ""]), TIMES, ATTRIBUTES, VALUES,
)  # fmt: skip


@settings(deadline=None, max_examples=300)
@given(st.lists(SPANS, max_size=3), ATTRIBUTES)
def test_spans_give_the_same_facts_in_both_encodings(spans: list[Span], resource: dict[str, Any]) -> None:
    export = make_export(*spans)
    export.resource_spans[0].resource.attributes.extend(key_values(resource))

    in_protobuf = wire.read_traces(export.SerializeToString(), "protobuf")
    in_json = wire.read_traces(json.dumps(as_json(export)).encode(), "json")

    assert in_json == in_protobuf
    assert reader.read_spans(in_json) == reader.read_spans(in_protobuf)


@settings(deadline=None, max_examples=200)
@given(st.lists(RECORDS, max_size=3), ATTRIBUTES)
def test_log_records_give_the_same_facts_in_both_encodings(records: list[LogRecord], resource: dict[str, Any]) -> None:
    export = ExportLogsServiceRequest()
    of_resource = export.resource_logs.add()
    of_resource.resource.attributes.extend(key_values(resource))
    of_resource.scope_logs.add().log_records.extend(records)

    in_protobuf = wire.read_logs(export.SerializeToString(), "protobuf")
    in_json = wire.read_logs(json.dumps(as_json(export)).encode(), "json")

    assert in_json == in_protobuf
    assert reader.read_logs(in_json) == reader.read_logs(in_protobuf)


def test_the_official_packages_json_is_refused_or_read_alike() -> None:
    """Mutated exports: what the official package takes we read the same or, where it overlooks something, refuse."""
    rng = Random(5)
    told = make_span(5, 1, "LLM", events={"gen_ai.choice": {"message": {"content": "x"}}}, failed="no", n=7, l=[1, {"b": 2.5}])
    written = json.dumps(as_json(make_export(*make_rag(), told, triage__source="shop")))
    alike, stricter, looser = 0, set[str](), set[str]()
    for _ in range(3000):
        body = changed(json.loads(written), rng)
        try:
            official = wire.read_traces(read_officially(body, ExportTraceServiceRequest()).SerializeToString(), "protobuf")
        except (ParseError, ValueError, TypeError, AttributeError):
            official = None
        try:
            ours = wire.read_traces(json.dumps(body).encode(), "json")
        except Reject as error:
            ours = None
            if official is not None:
                stricter.add(error.reason.rpartition(": ")[2])
        alike += ours == official
        if ours is not None and ours != official:
            looser.add(json.dumps(body))

    assert alike > 2000
    assert looser == set()
    # It takes "" and [] for a message, true for a number of type double, and true and 1.5 for an enum.
    numbers = {"must be a number, or one in a string", "must be the number or the name of an enum's value"}
    assert stricter <= {"Input should be an object", *numbers}


def changed(body: Any, rng: Random) -> Any:
    """The same export with one value replaced or taken away."""
    places: list[tuple[Any, Any]] = []

    def walk(value: Any) -> None:
        for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
            places.append((value, key))
            walk(value[key])

    walk(body)
    where, key = rng.choice(places)
    if rng.random() < 0.2:
        del where[key]
    else:
        junk = [None, "", "\x00", -1, 0, 7, 1.0, 1.5, "12", "x", 1 << 70, 1e308, [], {}, [[]], [None], True, "NaN", "Infinity"]
        where[key] = rng.choice(junk)
    return body


# --- the JSON encoding's own rules --------------------------------------------------------------------------------


def in_json(**fields: Any) -> SentSpan:
    span = {"traceId": TRACE, "spanId": "00" * 7 + "01", **fields}
    body = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}
    (of_resource,) = wire.read_traces(json.dumps(body).encode(), "json")
    return of_resource.spans[0]


def value_in_json(value: Any) -> Any:
    return in_json(attributes=[{"key": "a", "value": value}]).attributes["a"]


@pytest.mark.parametrize(
    ("told", "value"),
    [
        ({"stringValue": "x"}, "x"),
        ({"string_value": "x"}, "x"),
        ({"intValue": "-9223372036854775808"}, -(1 << 63)),
        ({"intValue": 7}, 7),
        ({"intValue": 7.0}, 7),
        ({"doubleValue": 7}, 7.0),
        ({"doubleValue": "0.5"}, 0.5),
        ({"doubleValue": "NaN"}, None),
        ({"doubleValue": "-Infinity"}, None),
        ({"boolValue": False}, False),
        ({"bytesValue": "/w=="}, None),
        ({"bytesValue": "_w"}, None),
        ({"arrayValue": {}}, []),
        (
            {"kvlistValue": {"values": [{"key": "k", "value": {"arrayValue": {"values": [{}, {"intValue": "1"}]}}}]}},
            {"k": [None, 1]},
        ),
        ({"stringValue": None, "intValue": "1"}, 1),
        ({"aValueOfTheFuture": 1}, None),
        ({}, None),
        (None, None),
    ],
)
def test_values_are_read_by_the_specification(told: Any, value: Any) -> None:
    found = value_in_json(told)

    assert (found, type(found)) == (value, type(value))


def test_ids_are_hex_in_either_case_and_null_is_left_out() -> None:
    span = in_json(
        traceId="5B8EFFF798038103D269B633813FC60C", parentSpanId=None, events=None, status=None, attributes=None, links=None
    )

    assert (span.trace_id.hex(), span.parent_id, span.events, span.attributes) == (
        "5b8efff798038103d269b633813fc60c",
        b"",
        [],
        {},
    )


@pytest.mark.parametrize(
    ("code", "failed"), [(2, True), ("STATUS_CODE_ERROR", True), (1, False), ("STATUS_CODE_OK", False), (9, False)]
)
def test_enums_may_be_numbers_or_names(code: Any, failed: bool) -> None:
    assert in_json(status={"code": code}, kind="SPAN_KIND_SERVER").failed is failed


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"traceId": "W47/95gDgQPSabYzgT/GDA=="}, "traceId"),
        ({"traceId": 5}, "traceId"),
        ({"name": 5}, "name"),
        ({"startTimeUnixNano": True}, "startTimeUnixNano"),
        ({"startTimeUnixNano": -1}, "startTimeUnixNano"),
        ({"endTimeUnixNano": "18446744073709551616"}, "endTimeUnixNano"),
        ({"endTimeUnixNano": 0.5}, "endTimeUnixNano"),
        ({"kind": 1.5}, "kind"),
        ({"status": {"code": True}}, "status.code"),
        ({"links": [{"traceId": "xyz"}]}, "links.0.traceId"),
        ({"flags": 1 << 32}, "flags"),
        ({"events": [None]}, "events.0"),
        ({"attributes": {"key": "a"}}, "attributes"),
        ({"attributes": [{"key": 1}]}, "attributes.0.key"),
        ({"attributes": [{"value": {"intValue": True}}]}, "attributes.0.value.intValue"),
        ({"attributes": [{"value": {"intValue": str(1 << 63)}}]}, "attributes.0.value.intValue"),
        ({"attributes": [{"value": {"doubleValue": float("nan")}}]}, "attributes.0.value.doubleValue"),
        ({"attributes": [{"value": {"boolValue": "true"}}]}, "attributes.0.value.boolValue"),
        ({"attributes": [{"value": {"bytesValue": "?"}}]}, "attributes.0.value.bytesValue"),
        ({"attributes": [{"value": {"stringValue": "Kohlrabi", "intValue": "1"}}]}, "attributes.0.value"),
        ({"attributes": [{"value": {"arrayValue": {"values": [None]}}}]}, "attributes.0.value.arrayValue.values.0"),
    ],
)
def test_a_wrong_field_is_named(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(Reject) as refused:
        in_json(**fields)

    assert refused.value.reason.startswith(f"resourceSpans.0.scopeSpans.0.spans.0.{field}: ")
    assert "Kohlrabi" not in refused.value.reason


@pytest.mark.parametrize("body", [b'{"resourceSpans": [', b'{"resourceSpans": "\\ud800"}', b"\xff", b"[" * 10_000, b""])
def test_what_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(Reject, match=r"^body: Invalid JSON"):
        wire.read_traces(body, "json")


def test_values_nested_without_end_are_refused_in_either_encoding() -> None:
    deep: Any = {"stringValue": "x"}
    raw = b"\x0a\x01x"
    for _ in range(300):
        deep = {"arrayValue": {"values": [deep]}}
        raw = _field(5, _field(1, raw))

    with pytest.raises(Reject):
        value_in_json(deep)
    with pytest.raises(Reject):
        wire.read_traces(_in_span(raw), "protobuf")


def _in_span(raw: bytes) -> bytes:
    """An export of one span with one attribute, written by hand: the official package builds no message that deep."""
    return _field(1, _field(2, _field(2, _field(9, _field(1, b"a") + _field(2, raw)))))


def _field(number: int, content: bytes) -> bytes:
    size, length = len(content), b""
    while size > 127:
        length, size = length + bytes([size & 127 | 128]), size >> 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + content


def test_the_facts_of_a_whole_trace_are_the_same_in_both_encodings() -> None:
    export = make_export(*make_rag(), triage__source="shop")

    in_json = reader.read_spans(wire.read_traces(json.dumps(as_json(export)).encode(), "json"))

    assert in_json == facts_of(export)
    assert [span.kind for span in in_json.traces["shop", TRACE].values()] == ["chain", "retriever", "reranker", "llm"]
