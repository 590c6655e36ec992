"""What share of an export's request is spent on reading its spans, by encoding: python -m benchmarks.parsing_spans [EXPORTS]

Exports of 8 traces with 4 spans each (chain, retriever, reranker, model), answered one after the other by the real receiver over
SQLite.
"""

import asyncio
import gzip
import json
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from starlette.applications import Starlette
from starlette.routing import Route

from connectors.otlp import reader, wire
from service import auth
from service.db import Database
from service.migrate import upgrade
from service.models import Scope
from service.privacy import make_redact
from service.routes.otlp import Otlp

TRACES = 8
PASSAGE = "You can return any unused item within 30 days of delivery; the label is in the parcel. " * 4


def make_export() -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    spans = request.resource_spans.add().scope_spans.add().spans
    for _ in range(TRACES):
        trace, session, now = uuid.uuid4().bytes, uuid.uuid4().hex, time.time_ns()
        root = uuid.uuid4().bytes[:8]
        question, answer = "How do I return my shoes?", "You can return them within 30 days."
        retrieved: dict[str, Any] = {"openinference.span.kind": "RETRIEVER", "session.id": session}
        ranked: dict[str, Any] = {"openinference.span.kind": "RERANKER", "session.id": session}
        for place in range(5):
            retrieved[f"retrieval.documents.{place}.document.id"] = f"kb-{place}"
            retrieved[f"retrieval.documents.{place}.document.content"] = PASSAGE
            retrieved[f"retrieval.documents.{place}.document.score"] = 0.9 - place / 10
            ranked[f"reranker.output_documents.{place}.document.id"] = f"kb-{place}"
            ranked[f"reranker.output_documents.{place}.document.score"] = 0.8 - place / 10
        model = {
            "openinference.span.kind": "LLM",
            "llm.input_messages.0.message.role": "user",
            "llm.input_messages.0.message.content": PASSAGE + question,
            "llm.output_messages.0.message.role": "assistant",
            "llm.output_messages.0.message.content": answer,
        }
        chain = {"openinference.span.kind": "CHAIN", "session.id": session, "input.value": question, "output.value": answer}
        for place, attributes in enumerate((retrieved, ranked, model, chain)):
            last = place == 3
            span = Span(trace_id=trace, span_id=root if last else uuid.uuid4().bytes[:8], parent_span_id=b"" if last else root)
            span.start_time_unix_nano, span.end_time_unix_nano = now + place, now + place + 1_000_000
            span.attributes.extend(KeyValue(key=key, value=_value(value)) for key, value in attributes.items())
            spans.append(span)
    return request


def _value(value: Any) -> AnyValue:
    return AnyValue(double_value=value) if isinstance(value, float) else AnyValue(string_value=value)


def as_json(request: ExportTraceServiceRequest) -> bytes:
    """By OTLP's JSON encoding."""
    spans = [
        {
            "traceId": span.trace_id.hex(),
            "spanId": span.span_id.hex(),
            "parentSpanId": span.parent_span_id.hex(),
            "startTimeUnixNano": str(span.start_time_unix_nano),
            "endTimeUnixNano": str(span.end_time_unix_nano),
            "attributes": [
                {
                    "key": one.key,
                    "value": {"stringValue": one.value.string_value}
                    if one.value.HasField("string_value")
                    else {"doubleValue": one.value.double_value},
                }
                for one in span.attributes
            ],
        }
        for span in request.resource_spans[0].scope_spans[0].spans
    ]
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}).encode()


async def measure(app: Starlette, token: str, bodies: list[bytes], headers: dict[str, str]) -> float:
    """Seconds for all requests."""
    given = {"authorization": f"Bearer {token}", **headers}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://bench", headers=given) as client:
        started = time.perf_counter()
        for body in bodies:
            (await client.post("/v1/traces", content=body)).raise_for_status()
        return time.perf_counter() - started


def timed(read: Callable[[bytes], object], bodies: list[bytes]) -> float:
    started = time.perf_counter()
    for body in bodies:
        read(body)
    return time.perf_counter() - started


def main(exports: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/bench.db"
        upgrade(url)
        db = Database(url)
        with db.write() as session:
            token = auth.add_token(session, "bench", [Scope.ingest], datetime.now(UTC))
        otlp = Otlp(db, make_redact(True, ["US", "GB", "DE"]), timedelta(minutes=10), 4 << 20)
        app = Starlette(routes=[Route("/v1/traces", otlp.traces, methods=["POST"])])
        for encoding in ("protobuf", "json"):
            for zipped in (False, True):
                made = [make_export() for _ in range(exports)]
                plain = [one.SerializeToString() if encoding == "protobuf" else as_json(one) for one in made]
                bodies = [gzip.compress(body) for body in plain] if zipped else plain
                headers = {"content-type": wire.MEDIA_TYPES[encoding], **({"content-encoding": "gzip"} if zipped else {})}
                compression = headers.get("content-encoding", "")

                def read(body: bytes, encoding: wire.Encoding = encoding, compression: str = compression) -> object:
                    return reader.read_spans(wire.read_traces(wire.unpacked(body, compression, 1 << 25), encoding))

                parsing = timed(read, bodies)
                whole = asyncio.run(measure(app, token, bodies, headers))
                print(
                    f"{encoding:8} {'gzip' if zipped else 'plain':5} {parsing / whole:.3f} of the request is parsing "
                    f"({1000 * parsing / exports:.1f} of {1000 * whole / exports:.1f} ms)"
                )
        db.close()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 60)
