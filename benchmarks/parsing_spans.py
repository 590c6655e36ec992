"""What share of an export's request is spent on reading its spans, by encoding: python -m benchmarks.parsing_spans [EXPORTS]

Exports of 8 traces with 4 spans each (chain, retriever, reranker, model), answered one after the other by the real receiver over
SQLite. Reading is unpacking, parsing and making facts. The reach is a share of at most 15 % of the processor's time.
"""

import asyncio
import gzip
import json
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from starlette.applications import Starlette
from starlette.routing import Route

from connectors.otlp import reader, wire
from service import tokens
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


@dataclass
class Spent:
    """Seconds, of the clock and of the processor."""

    clock: float = 0.0
    processor: float = 0.0

    @contextmanager
    def timed(self) -> Iterator[None]:
        clock, processor = time.perf_counter(), time.process_time()
        yield
        self.clock += time.perf_counter() - clock
        self.processor += time.process_time() - processor


@dataclass
class Case:
    encoding: wire.Encoding
    zipped: bool
    reading: Spent = field(default_factory=Spent)
    whole: Spent = field(default_factory=Spent)

    @property
    def headers(self) -> dict[str, str]:
        return {"content-type": wire.MEDIA_TYPES[self.encoding], "content-encoding": "gzip" if self.zipped else "identity"}

    def body(self) -> bytes:
        """A new export: each request stores something."""
        made = make_export()
        plain = made.SerializeToString() if self.encoding == "protobuf" else as_json(made)
        return gzip.compress(plain) if self.zipped else plain

    def read(self, body: bytes) -> object:
        return reader.read_spans(wire.read_traces(wire.unpacked(body, self.headers["content-encoding"], 1 << 25), self.encoding))


async def measure(app: Starlette, token: str, cases: list[Case], exports: int) -> None:
    """The cases in turn, so that what else the machine does falls on all of them alike."""
    given = {"authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://bench", headers=given) as client:
        for case in cases:  # the first of each pays for imports
            (await client.post("/v1/traces", content=case.body(), headers=case.headers)).raise_for_status()
        for _ in range(exports):
            for case in cases:
                body = case.body()
                with case.reading.timed():
                    case.read(body)
                with case.whole.timed():
                    (await client.post("/v1/traces", content=body, headers=case.headers)).raise_for_status()


def main(exports: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/bench.db"
        upgrade(url)
        db = Database(url)
        with db.write() as session:
            token = tokens.add_token(session, "bench", [Scope.ingest], datetime.now(UTC))
        otlp = Otlp(db, make_redact(True, ["US", "GB", "DE"]), timedelta(minutes=10), 4 << 20)
        app = Starlette(routes=[Route("/v1/traces", otlp.traces, methods=["POST"])])
        encodings: tuple[wire.Encoding, ...] = ("protobuf", "json")
        cases = [Case(encoding, zipped) for encoding in encodings for zipped in (False, True)]
        asyncio.run(measure(app, token, cases, exports))
        for case in cases:
            told = f"{case.encoding:8} {'gzip' if case.zipped else 'plain':5} reading is"
            for of, read, whole in (
                ("processor time", case.reading.processor, case.whole.processor),
                ("time", case.reading.clock, case.whole.clock),
            ):
                told += (
                    f" {read / whole:.3f} of the request's {of} ({1000 * read / exports:.2f} of {1000 * whole / exports:.1f} ms)"
                )
            print(told)
        db.close()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 60)
