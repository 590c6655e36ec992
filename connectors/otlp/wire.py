"""OTLP over HTTP: an export's bytes into the official messages, and answers that an exporter understands.

Checked against the OTLP specification 1.x (opentelemetry.io/docs/specs/otlp, "OTLP/HTTP" and "JSON Protobuf Encoding"):
both encodings, ids as hex in JSON, unknown fields ignored, refusals as google.rpc.Status.
"""

import base64
import binascii
import re
import zlib
from collections.abc import Iterator
from typing import Any, Literal, TypeVar

from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from pydantic_core import from_json

from connectors.errors import Reject

Encoding = Literal["protobuf", "json"]
MEDIA_TYPES: dict[Encoding, str] = {"protobuf": "application/x-protobuf", "json": "application/json"}

M = TypeVar("M", bound=Message)
_FIELD = re.compile(r"Failed to parse (\w+) field")
_GZIP = 31  # zlib's window bits for the gzip format


class TooLarge(Reject):
    """More bytes come out of the compressed body than may be."""


def encoding_of(content_type: str) -> Encoding:
    """How the body is written.

    Raises
    ------
    Reject
        Neither of the two that OTLP knows.
    """
    media_type = content_type.partition(";")[0].strip().lower()
    for encoding, known in MEDIA_TYPES.items():
        if media_type == known:
            return encoding
    raise Reject(f"header content-type: must be {' or '.join(MEDIA_TYPES.values())}")


def unpacked(body: bytes, content_encoding: str, most: int) -> bytes:
    """The body as it was before compression; never more than `most` bytes are unpacked.

    Raises
    ------
    TooLarge
        More would come out.
    Reject
        It is not gzip, breaks off, or is compressed in another way.
    """
    name = content_encoding.strip().lower()
    if name in ("", "identity"):
        return body
    if name != "gzip":
        raise Reject("header content-encoding: must be gzip or left out")
    out = bytearray()
    while body:
        member = zlib.decompressobj(_GZIP)
        try:
            out += member.decompress(body, most + 1 - len(out))
        except zlib.error as error:
            raise Reject("the body is not gzip, though header content-encoding says so") from error
        if len(out) > most:
            raise TooLarge(f"the body unpacks to more than {most} bytes: export fewer spans at a time")
        if not member.eof:
            raise Reject("the gzip body breaks off")
        body = member.unused_data
    return bytes(out)


def read_traces(body: bytes, encoding: Encoding) -> ExportTraceServiceRequest:
    """The export of spans that the body holds.

    Raises
    ------
    Reject
        It is none; the reason names the field and quotes nothing.
    """
    return _read(body, encoding, ExportTraceServiceRequest())


def read_logs(body: bytes, encoding: Encoding) -> ExportLogsServiceRequest:
    """The export of log records that the body holds; fails as `read_traces` does."""
    return _read(body, encoding, ExportLogsServiceRequest())


def traces_answer(rejected: int, told: str, encoding: Encoding) -> bytes:
    """Success, in part where spans were rejected; with none rejected, `told` is a warning."""
    answer = ExportTraceServiceResponse()
    if rejected or told:
        answer.partial_success.rejected_spans = rejected
        answer.partial_success.error_message = told
    return _written(answer, encoding)


def logs_answer(rejected: int, told: str, encoding: Encoding) -> bytes:
    answer = ExportLogsServiceResponse()
    if rejected or told:
        answer.partial_success.rejected_log_records = rejected
        answer.partial_success.error_message = told
    return _written(answer, encoding)


def refusal(reason: str, encoding: Encoding) -> bytes:
    """The body of every answer that is no success."""
    return _written(Status(message=reason), encoding)


def _written(message: Message, encoding: Encoding) -> bytes:
    if encoding == "json":
        return json_format.MessageToJson(message, indent=None).encode()
    return message.SerializeToString()


def _read(body: bytes, encoding: Encoding, into: M) -> M:
    if encoding == "protobuf":
        try:
            into.ParseFromString(body)
        except DecodeError as error:
            raise Reject(f"the body is not a protobuf {type(into).__name__}") from error
        return into
    try:
        told = from_json(body)  # refuses lone surrogates, on which protobuf's reader stumbles
    except ValueError as error:
        raise Reject("the body is not JSON") from error
    if not isinstance(told, dict):
        raise Reject(f"the body is not a JSON {type(into).__name__}: it must be an object")
    records = list(_records(told))
    for record in records:
        record.pop("links", None)
        for names in (("traceId", "trace_id"), ("spanId", "span_id"), ("parentSpanId", "parent_span_id")):
            for name in names:
                if name in record:
                    record[name] = _id_for_json_format(record[name], name)
    # Nearly all of an export is attributes, and json_format takes five times as long for them.
    apart = [record.pop("attributes", None) for record in records]
    try:
        json_format.ParseDict(told, into, ignore_unknown_fields=True)
        for record, attributes in zip(_read_records(into), apart, strict=True):
            record.attributes.extend(_key_values(attributes))
    except (json_format.ParseError, ValueError, TypeError, AttributeError, RecursionError) as error:
        # Its own words quote the values, which may be a person's.
        where = ".".join(_FIELD.findall(str(error))) if isinstance(error, json_format.ParseError) else ""
        raise Reject(f"{where or 'the body'}: does not fit {type(into).__name__} in OTLP's JSON encoding") from error
    return into


def _key_values(attributes: Any) -> list[KeyValue]:
    if attributes is None:
        return []
    if not isinstance(attributes, list):
        raise Reject("attributes: must be a list")
    return [_key_value(one) for one in attributes]


def _key_value(attribute: Any) -> KeyValue:
    """Plain values at once, all others by json_format."""
    if isinstance(attribute, dict) and isinstance(attribute.get("key"), str) and isinstance(attribute.get("value"), dict):
        value = attribute["value"]
        if len(value) == 1:
            if isinstance(plain := value.get("stringValue"), str):
                return KeyValue(key=attribute["key"], value=AnyValue(string_value=plain))
            if isinstance(plain := value.get("doubleValue"), float):
                return KeyValue(key=attribute["key"], value=AnyValue(double_value=plain))
    return json_format.ParseDict(attribute, KeyValue(), ignore_unknown_fields=True)


def _read_records(message: Message) -> list[Any]:
    """All spans or log records, in the order of `_records`."""
    if isinstance(message, ExportTraceServiceRequest):
        return [span for one in message.resource_spans for scope in one.scope_spans for span in scope.spans]
    assert isinstance(message, ExportLogsServiceRequest)
    return [record for one in message.resource_logs for scope in one.scope_logs for record in scope.log_records]


def _records(told: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All spans or log records; what is not of the right shape is left for json_format to complain of."""
    levels = (
        ("resourceSpans", "resource_spans", "resourceLogs", "resource_logs"),
        ("scopeSpans", "scope_spans", "scopeLogs", "scope_logs"),
        ("spans", "logRecords", "log_records"),
    )
    found: list[dict[str, Any]] = [told]
    for names in levels:
        lists = [one[name] for one in found for name in names if isinstance(one.get(name), list)]
        found = [inner for entries in lists for inner in entries if isinstance(inner, dict)]
    yield from found


def _id_for_json_format(value: object, name: str) -> object:
    """OTLP writes ids as hex, where protobuf's own JSON has Base64."""
    if not isinstance(value, str):
        return value
    try:
        return base64.b64encode(binascii.unhexlify(value)).decode()
    except (binascii.Error, ValueError) as error:
        raise Reject(f"{name}: must be hex digits") from error
