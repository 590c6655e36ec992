"""OTLP over HTTP: what the headers say, compression, and answers that an exporter understands.

Checked against the OTLP specification 1.x (opentelemetry.io/docs/specs/otlp, "OTLP/HTTP"): both encodings, answers in the
request's own, refusals as google.rpc.Status.
"""

import zlib
from typing import Literal

from google.protobuf import json_format
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from connectors.errors import Reject
from connectors.otlp import in_json, in_protobuf
from connectors.otlp.sent import SentRecords, SentSpans

Encoding = Literal["protobuf", "json"]
MEDIA_TYPES: dict[Encoding, str] = {"protobuf": "application/x-protobuf", "json": "application/json"}

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


def read_traces(body: bytes, encoding: Encoding) -> list[SentSpans]:
    """The spans that the body holds, by resource.

    Raises
    ------
    Reject
        It is no export of spans; of JSON the reason names the field and quotes no user's words.
    """
    return in_json.read_traces(body) if encoding == "json" else in_protobuf.read_traces(body)


def read_logs(body: bytes, encoding: Encoding) -> list[SentRecords]:
    """The log records that the body holds, by resource; fails as `read_traces` does."""
    return in_json.read_logs(body) if encoding == "json" else in_protobuf.read_logs(body)


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
