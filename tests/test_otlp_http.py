"""OTLP over HTTP: the OpenTelemetry SDK's own exporter, both encodings, and an answer by the specification for any bytes."""

import asyncio
import gzip
import json
import threading
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
import uvicorn
from conftest import add_token, make_settings, rows_of
from fastapi.testclient import TestClient
from google.rpc.status_pb2 import Status
from httpx import ASGITransport, AsyncClient, Response
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExporter
from spans import TRACE, as_json, key_values, make_export, make_rag, make_span
from sqlalchemy import text

from connectors.errors import Reject
from connectors.otlp import reader, wire
from connectors.otlp.exchanges import events_of_trace
from service.app import create_app
from service.db import Database
from service.models import Conversation, Delivery, Feedback, Scope, Turn
from service.routes.otlp import MOST_AT_ONCE
from service.settings import Settings

PROTOBUF, JSON = "application/x-protobuf", "application/json"


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(settings)) as client:
        yield client


@pytest.fixture
def bot(client: TestClient, db: Database) -> TestClient:
    """The client, with a token of the bot's."""
    client.headers.update(add_token(db, Scope.ingest, name="my-bot"))
    return client


def send(client: TestClient, body: bytes, kind: str = PROTOBUF, path: str = "/v1/traces", **headers: str) -> Response:
    return client.post(path, content=body, headers={"content-type": kind, **headers})


def reason(answer: Response) -> str:
    if answer.headers["content-type"] == JSON:
        return str(answer.json()["message"])
    return Status.FromString(answer.content).message


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("kind", [PROTOBUF, JSON])
def test_each_encoding_is_taken_and_answered_in_kind(bot: TestClient, db: Database, kind: str, zipped: bool) -> None:
    export = make_export(*make_rag())
    body = export.SerializeToString() if kind == PROTOBUF else json.dumps(as_json(export)).encode()

    answer = send(bot, gzip.compress(body) if zipped else body, kind, **({"content-encoding": "gzip"} if zipped else {}))

    assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
    assert answer.content == (b"" if kind == PROTOBUF else b"{}")
    assert [c.source for c in rows_of(db, Conversation)] == ["my-bot"]
    assert [p["rerank_score"] for t in rows_of(db, Turn) for p in t.retrieval or []] == [0.05, 0.18]


def test_json_by_the_specifications_own_example_is_read(bot: TestClient, db: Database) -> None:
    """Numbers of 64 bits as strings, names in camelCase, enums as numbers, and a field that nobody knows."""
    span = {
        "traceId": "5B8EFFF798038103D269B633813FC60C",
        "spanId": "EEE19B7EC3C1B174",
        "name": "chat",
        "kind": 2,
        "startTimeUnixNano": "1544712660000000000",
        "endTimeUnixNano": "1544712661000000000",
        "attributes": [
            {"key": "openinference.span.kind", "value": {"stringValue": "AGENT"}},
            {"key": "input.value", "value": {"stringValue": "Do you ship to Malta?"}},
            {"key": "output.value", "value": {"stringValue": "Yes."}},
            {"key": "my.list", "value": {"arrayValue": {"values": [{"intValue": "7"}, {"doubleValue": 0.5}]}}},
        ],
        "status": {},
        "aFieldOfTheFuture": {"x": 1},
    }
    body = {"resourceSpans": [{"resource": {"attributes": []}, "scopeSpans": [{"scope": {"name": "s"}, "spans": [span]}]}]}

    answer = send(bot, json.dumps(body).encode(), JSON)

    assert answer.status_code == 200
    assert sorted(turn.text for turn in rows_of(db, Turn)) == ["Do you ship to Malta?", "Yes."]


def test_the_header_names_another_source(bot: TestClient, db: Database) -> None:
    send(bot, make_export(*make_rag()).SerializeToString(), **{"x-triage-source": "shop-bot"})

    assert [c.source for c in rows_of(db, Conversation)] == ["shop-bot"]


def test_spans_without_ids_are_rejected_and_the_others_taken(bot: TestClient, db: Database) -> None:
    broken = make_span(9)
    broken.trace_id = b""

    answer = send(bot, make_export(broken, *make_rag()).SerializeToString())

    partial = ExportTraceServiceResponse.FromString(answer.content).partial_success
    assert (answer.status_code, partial.rejected_spans) == (200, 1)
    assert "trace id" in partial.error_message
    assert len(rows_of(db, Turn)) == 2


def test_model_calls_without_messages_are_answered_with_a_warning(bot: TestClient) -> None:
    answer = send(bot, make_export(make_span(1, None, None, gen_ai__operation__name="chat")).SerializeToString())

    partial = ExportTraceServiceResponse.FromString(answer.content).partial_success
    assert partial.rejected_spans == 0
    assert "message content" in partial.error_message


# --- refusals -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [PROTOBUF, JSON])
@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"\xff\xff", {}, 400),
        (b"not gzip", {"content-encoding": "gzip"}, 400),
        (gzip.compress(b"{}", mtime=0)[:-4], {"content-encoding": "gzip"}, 400),
        (b"", {"content-encoding": "br"}, 400),
        (b"{}", {"authorization": "Bearer tt_wrong"}, 401),
        (b"{}", {"authorization": ""}, 401),
    ],
)
def test_what_cannot_be_taken_is_refused_by_the_specification(
    bot: TestClient, body: bytes, headers: dict[str, str], status: int, kind: str
) -> None:
    answer = send(bot, body, kind, **headers)

    assert (answer.status_code, answer.headers["content-type"]) == (status, kind)
    assert reason(answer)


def test_another_media_type_is_refused(bot: TestClient) -> None:
    assert send(bot, b"", "text/plain").status_code == 415


def test_a_token_without_the_scope_is_refused(client: TestClient, db: Database) -> None:
    answer = send(client, b"", **add_token(db, Scope.sync, name="sync"))

    assert (answer.status_code, "ingest" in reason(answer)) == (403, True)


def test_a_bomb_is_refused_before_it_goes_off(bot: TestClient) -> None:
    bomb = gzip.compress(bytes(400_000_000), 9)
    tracemalloc.start()
    answer = send(bot, bomb, **{"content-encoding": "gzip"})
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert answer.status_code == 413
    assert len(bomb) < 1_000_000 < peak < 150_000_000


@pytest.mark.parametrize("place", ["", "resourceSpans", "resourceSpans.scopeSpans", "resourceSpans.scopeSpans.spans"])
def test_json_of_the_wrong_shape_is_refused_without_quoting_it(bot: TestClient, place: str) -> None:
    body: Any = "Kohlrabi"
    for name in reversed(place.split(".") if place else []):
        body = {name: body if isinstance(body, str) else [body]}

    answer = send(bot, json.dumps(body).encode(), JSON)

    assert answer.status_code == 400
    assert "Kohlrabi" not in reason(answer)
    assert reason(answer).startswith(place.replace(".", ".0.") or "body")


def test_while_the_database_fails_the_exporter_is_asked_to_come_again(sqlite_url: str, tmp_path: Path) -> None:
    db = Database(sqlite_url)
    with TestClient(create_app(make_settings(sqlite_url, tmp_path))) as client:
        client.headers.update(add_token(db, Scope.ingest, name="my-bot"))
        with db.write() as session:
            session.execute(text("ALTER TABLE delivery RENAME TO elsewhere"))
        refused = send(client, make_export(*make_rag()).SerializeToString())
        with db.write() as session:
            session.execute(text("ALTER TABLE elsewhere RENAME TO delivery"))
        taken = send(client, make_export(*make_rag()).SerializeToString())

    assert (refused.status_code, refused.headers["retry-after"], taken.status_code) == (503, "5", 200)
    db.close()


# --- feedback -----------------------------------------------------------------------------------------------------


def log_record(name: str, span: int, **attributes: Any) -> bytes:
    request = ExportLogsServiceRequest()
    record = request.resource_logs.add().scope_logs.add().log_records.add()
    record.event_name, record.trace_id, record.span_id = name, bytes.fromhex(TRACE), span.to_bytes(8, "big")
    record.attributes.extend(key_values({key.replace("__", "."): value for key, value in attributes.items()}))
    return request.SerializeToString()


@pytest.mark.parametrize("early", [True, False])
def test_an_evaluation_in_the_logs_is_feedback_if_it_is_the_users(bot: TestClient, db: Database, early: bool) -> None:
    spans = (make_export(*make_rag()).SerializeToString(), PROTOBUF, "/v1/traces")
    of_user = {"gen_ai__evaluation__name": "user_feedback", "gen_ai__evaluation__score__label": "thumbs_down"}
    of_judge = {"gen_ai__evaluation__name": "Relevance", "gen_ai__evaluation__score__value": 0.1}
    rated = (log_record("gen_ai.evaluation.result", 4, **of_user), PROTOBUF, "/v1/logs")
    judged = (log_record("gen_ai.evaluation.result", 4, **of_judge), PROTOBUF, "/v1/logs")

    answers = [send(bot, *one).status_code for one in ((rated, judged, spans) if early else (spans, judged, rated))]

    (feedback,) = rows_of(db, Feedback)
    answer = next(turn for turn in rows_of(db, Turn) if turn.role == "bot")
    assert answers == [200] * 3
    assert (feedback.rating, feedback.scale, feedback.turn_external_id) == (-1, "thumb", answer.external_id)
    assert answer.details["evaluations"] == [{"name": "Relevance", "score": 0.1}]


def test_other_logs_are_passed_over(bot: TestClient, db: Database) -> None:
    assert send(bot, log_record("http.request", 1), PROTOBUF, "/v1/logs").status_code == 200
    assert rows_of(db, Delivery) == []


# --- the OpenTelemetry SDK ----------------------------------------------------------------------------------------


@pytest.fixture
def address(settings: Settings) -> Iterator[str]:
    """A real web process on this machine."""
    server = uvicorn.Server(uvicorn.Config(create_app(settings), host="127.0.0.1", port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join()


@pytest.mark.parametrize("one_by_one", [True, False])
@pytest.mark.parametrize("compression", [Compression.NoCompression, Compression.Gzip])
def test_the_sdks_exporter_brings_an_exchange(address: str, db: Database, compression: Compression, one_by_one: bool) -> None:
    headers = {name.lower(): value for name, value in add_token(db, Scope.ingest, name="my-bot").items()}
    exporter: SpanExporter = OTLPSpanExporter(f"{address}/v1/traces", headers=headers, compression=compression)
    provider = TracerProvider(resource=Resource.create({"service.name": "rag"}))
    provider.add_span_processor(SimpleSpanProcessor(exporter) if one_by_one else BatchSpanProcessor(exporter))
    tracer = provider.get_tracer("bot")

    with tracer.start_as_current_span("chain") as chain:
        chain.set_attributes({"openinference.span.kind": "CHAIN", "session.id": "s1", "input.value": "Do you ship to Malta?"})
        with tracer.start_as_current_span("retriever") as retriever:
            retriever.set_attribute("openinference.span.kind", "RETRIEVER")
            retriever.set_attribute("retrieval.documents.0.document.id", "kb-1")
            retriever.set_attribute("retrieval.documents.0.document.score", 0.83)
        with tracer.start_as_current_span("reranker") as reranker:
            reranker.set_attribute("openinference.span.kind", "RERANKER")
            reranker.set_attribute("reranker.output_documents.0.document.id", "kb-1")
            reranker.set_attribute("reranker.output_documents.0.document.score", 0.07)
        chain.set_attribute("output.value", "We ship to all of Europe.")
    provider.shutdown()

    question, answer = sorted(rows_of(db, Turn), key=lambda turn: turn.at)
    assert [(c.source, c.external_id) for c in rows_of(db, Conversation)] == [("my-bot", "s1")]
    assert (question.text, answer.text) == ("Do you ship to Malta?", "We ship to all of Europe.")
    assert [(p["id"], p["score"], p["rerank_score"]) for p in answer.retrieval] == [("kb-1", 0.83, 0.07)]
    assert answer.details["service"] == "rag"


# --- any bytes ----------------------------------------------------------------------------------------------------

ANSWERS = {200, 400, 413}
quick = settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def one_bot(sqlite_url: str, tmp_path: Path) -> Iterator[TestClient]:
    db = Database(sqlite_url)
    with TestClient(create_app(make_settings(sqlite_url, tmp_path)), raise_server_exceptions=True) as client:
        client.headers.update(add_token(db, Scope.ingest, name="my-bot"))
        yield client
    db.close()


@quick
@given(body=st.binary(max_size=300), kind=st.sampled_from([PROTOBUF, JSON]), path=st.sampled_from(["/v1/traces", "/v1/logs"]))
def test_any_bytes_get_an_answer_by_the_specification(one_bot: TestClient, body: bytes, kind: str, path: str) -> None:
    answer = send(one_bot, body, kind, path)

    assert answer.status_code in ANSWERS
    assert answer.headers["content-type"] == kind


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10) | st.sampled_from([TRACE, "0" * 32]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["resourceSpans", "scopeSpans", "spans", "traceId", "spanId", "attributes", "key", "value", "stringValue"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@quick
@given(body=ANY_JSON)
def test_any_json_gets_an_answer_by_the_specification(one_bot: TestClient, body: Any) -> None:
    answer = send(one_bot, json.dumps(body).encode(), JSON)

    assert answer.status_code in ANSWERS


def mutated(body: Any, rng: Random) -> Any:
    """The same export with one value replaced, taken away or put elsewhere."""
    places: list[tuple[Any, Any]] = []

    def walk(value: Any) -> None:
        for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
            places.append((value, key))
            walk(value[key])

    walk(body)
    where, key = rng.choice(places)
    other = rng.choice(places)
    junk = [None, "", "\x00", "\ud800", -1, 1 << 70, 1e308, float("nan"), [], {}, [[]], "x" * 300, True, other[0][other[1]]]
    if rng.random() < 0.2:
        del where[key]
    else:
        where[key] = json.loads(json.dumps(rng.choice(junk)))
    return body


def test_ten_thousand_mutated_exports_give_facts_or_a_reject() -> None:
    rng = Random(1)
    annotated = make_span(5, 1, "LLM", evaluations__0__evaluation__name="csat", evaluations__0__evaluation__score=4)
    export = make_export(*make_rag(), annotated)
    written, raw = json.dumps(as_json(export)), export.SerializeToString()
    read, reasons = 0, set[str]()
    for number in range(10_000):
        try:
            if number % 2:
                body = json.dumps(mutated(json.loads(written), rng)).encode()
                found = reader.read_spans(wire.read_traces(body, "json"))
            else:
                place = rng.randrange(len(raw))
                body = raw[:place] + rng.randbytes(rng.randint(0, 3)) + raw[place + rng.randint(0, 3) :]
                found = reader.read_spans(wire.read_traces(body, "protobuf"))
            for (_, trace_id), spans in found.traces.items():
                events_of_trace(trace_id, spans)
            read += 1
        except Reject as error:
            reasons.add(error.reason)

    assert 1000 < read < 10_000
    assert not any("Track" in reason for reason in reasons)


def test_more_exports_at_once_than_can_be_read_are_asked_to_come_again(sqlite_url: str, tmp_path: Path) -> None:
    db = Database(sqlite_url)
    headers = {**add_token(db, Scope.ingest, name="my-bot"), "content-type": PROTOBUF}
    body = make_export(*make_rag()).SerializeToString()

    async def flood() -> list[Response]:
        transport = ASGITransport(create_app(make_settings(sqlite_url, tmp_path)))
        async with AsyncClient(transport=transport, base_url="http://test", headers=headers) as sender:
            with db.write() as session:  # nobody else can write until we are done
                session.execute(text("SELECT 1"))
                sent = [asyncio.create_task(sender.post("/v1/traces", content=body)) for _ in range(MOST_AT_ONCE + 3)]
                while sum(task.done() for task in sent) < 3:
                    await asyncio.sleep(0.01)
            return list(await asyncio.gather(*sent))

    answers = asyncio.run(flood())

    assert sorted(answer.status_code for answer in answers) == [200] * MOST_AT_ONCE + [503] * 3
    assert {answer.headers.get("retry-after") for answer in answers} == {None, "1"}
    assert len(rows_of(db, Turn)) == 2
    db.close()
